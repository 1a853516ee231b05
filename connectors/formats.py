"""The file formats, and how a file is told to be of one: by its content where that is clear, else by its suffix."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from pathlib import Path

from pii_guard.connectors.base import FileSource
from pii_guard.connectors.encoding import BYTE_ORDER_MARKS

__all__ = ["FORMATS", "Format", "Unreadable", "format_for_suffix", "identify"]


@dataclass(frozen=True, slots=True)
class Format:
    """A file format: its id, its suffixes, where its `FileSource` is, and what it is in a line."""

    id: str
    suffixes: tuple[str, ...]
    entry: str
    description: str

    def load(self) -> type[FileSource]:
        """The connector; its libraries are imported now."""
        module, name = self.entry.split(":")
        connector: type[FileSource] = getattr(importlib.import_module(module), name)
        return connector


_CSV = Format(
    "csv",
    (".csv", ".tsv", ".tab", ".psv"),
    "pii_guard.connectors.delimited:DelimitedSource",
    "rows divided by comma, tab, semicolon or bar; all columns are text",
)
_PARQUET = Format(
    "parquet",
    (".parquet", ".pq"),
    "pii_guard.connectors.parquet:ParquetSource",
    "Apache Parquet, with its types and tags",
)
_NDJSON = Format(
    "ndjson",
    (".ndjson", ".jsonl"),
    "pii_guard.connectors.ndjson:NdjsonSource",
    "JSON objects, one a line",
)
_TEXT = Format(
    "text",
    (
        ".txt",
        ".text",
        ".log",
        ".md",
        ".rst",
        ".sql",
        ".xml",
        ".html",
        ".htm",
        ".yaml",
        ".yml",
        ".toml",
        ".ini",
        ".conf",
    ),
    "pii_guard.connectors.text:TextSource",
    "the lines of any text file",
)

FORMATS = (_CSV, _PARQUET, _NDJSON, _TEXT)
"""What can be read. A file of none of these suffixes is read as text unless it is binary."""

_BY_SUFFIX = {suffix: format for format in FORMATS for suffix in format.suffixes}

_HEAD = 8 << 10

# Binary formats that hold records or documents: saying "clean" without having read them would be a lie.
_DOCUMENTS = {
    b"%PDF-": "a PDF document",
    b"PK\x03\x04": "a zip archive or an Office document",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an old Office or HWP document",
    b"\x1f\x8b": "a gzip archive",
    b"\xfd7zXZ\0": "an xz archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"BZh91AY&SY": "a bzip2 archive",
    b"SQLite format 3\0": "an SQLite database",
    b"Obj\x01": "an Avro file",
    b"ARROW1\0\0": "an Arrow file",
    b"PGDMP": "a PostgreSQL dump in the custom format",
}

# Pictures, sound, fonts, programs. Other binary files are known by a NUL byte.
_BINARY_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".gif", ".bmp", ".ico", ".webp", ".tif", ".tiff", ".psd", ".heic"),
    *(".mp3", ".m4a", ".wav", ".flac", ".ogg", ".mp4", ".mov", ".avi", ".mkv", ".webm"),
    *(".ttf", ".otf", ".woff", ".woff2"),
    *(".exe", ".dll", ".so", ".dylib", ".o", ".a", ".lib", ".pyc", ".pyo", ".class", ".wasm"),
)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why no connector reads a file. `in_scope` if it may hold records or documents."""

    reason: str
    in_scope: bool


def identify(path: Path) -> Format | Unreadable:
    """The format of a regular file. Raises OSError if it cannot be read."""
    suffix = path.suffix.lower()
    with path.open("rb") as file:
        head = file.read(_HEAD)
        size = file.seek(0, 2)
        file.seek(-min(size, 4), 2)
        tail = file.read()
    if head[:4] == tail and tail in (b"PAR1", b"PARE"):
        return _PARQUET
    for magic, what in _DOCUMENTS.items():
        if head.startswith(magic):
            return Unreadable(f"{what}, which no connector reads yet", in_scope=True)
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    is_wide = head.startswith(tuple(BYTE_ORDER_MARKS))
    if suffix in _BINARY_SUFFIXES or (b"\0" in head and not is_wide):
        return Unreadable("binary", in_scope=False)
    return _NDJSON if suffix == ".json" and _starts_with_object_line(path) else _TEXT


def _starts_with_object_line(path: Path) -> bool:
    """Whether a `.json` file is NDJSON under another name: its first line is an object, and more lines follow."""
    with path.open("rb") as file:
        line = file.readline(1 << 20)
    try:
        return line.endswith(b"\n") and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def format_for_suffix(suffix: str) -> Format | None:
    """The format that is written to a file of this suffix, if any is."""
    format = _BY_SUFFIX.get(suffix.lower())
    return format if format and format.load().capabilities.writable else None
