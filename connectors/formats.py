"""The file formats, and how a file is told to be of one: by its content where that is clear, else by its suffix."""

from __future__ import annotations

import codecs
import importlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pii_guard.connectors.base import FileSource
from pii_guard.connectors.encoding import wide_encoding
from pii_guard.connectors.nesting import Nesting
from pii_guard.connectors.resource import Resource

__all__ = ["CONTAINERS", "FORMATS", "Container", "Format", "Unreadable", "format_for_suffix", "identify"]

Members = Callable[[Resource, Nesting], Iterator[Any]]
"""From a container to a Resource for each file in it, or the ReadError of one that cannot be read."""


@dataclass(frozen=True, slots=True)
class Format:
    """A file format: its id, its suffixes, where its `FileSource` is, and what it is in a line."""

    id: str
    suffixes: tuple[str, ...]
    entry: str
    description: str

    def load(self) -> type[FileSource]:
        """The connector; its libraries are imported now."""
        connector: type[FileSource] = _imported(self.entry)
        return connector


@dataclass(frozen=True, slots=True)
class Container:
    """A file that holds other files: its id, where the function is that gives them, whether it holds exactly one."""

    id: str
    entry: str
    single: bool

    def load(self) -> Members:
        """The function from the file to its members, each a resource, or an error for one that cannot be read."""
        members: Members = _imported(self.entry)
        return members


def _imported(entry: str) -> Any:
    module, name = entry.split(":")
    return getattr(importlib.import_module(module), name)


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
_JSON = Format(
    "json",
    (".json", ".geojson"),
    "pii_guard.connectors.json_document:JsonSource",
    "a JSON document: an array of rows, or one object",
)
_ARROW = Format(
    "arrow",
    (".arrow", ".arrows", ".feather", ".ipc"),
    "pii_guard.connectors.ipc:IpcSource",
    "Arrow IPC files and streams, Feather",
)
_ORC = Format("orc", (".orc",), "pii_guard.connectors.orc:OrcSource", "Apache ORC, with its types")
_AVRO = Format("avro", (".avro",), "pii_guard.connectors.avro:AvroSource", "Avro container files, with their types")
_WORKBOOK = Format(
    "workbook",
    (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"),
    "pii_guard.connectors.workbook:WorkbookSource",
    "Excel and OpenDocument workbooks; each sheet is a table",
)
_SQLITE = Format(
    "sqlite",
    (".sqlite", ".sqlite3", ".db"),
    "pii_guard.connectors.sqlite:SqliteSource",
    "SQLite databases; nothing is written beside them",
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

FORMATS = (_CSV, _PARQUET, _NDJSON, _JSON, _ARROW, _ORC, _AVRO, _WORKBOOK, _SQLITE, _TEXT)
"""What can be read. A file of none of these suffixes is read as text unless it is binary."""

_BY_SUFFIX = {suffix: format for format in FORMATS for suffix in format.suffixes}

_SNIFFED = 8 << 10  # a NUL byte in so much of a file makes it binary

_SNIFFED_LINES = 5  # text without a suffix is rows if one of these marks is as often in each of so many lines
_MARKS = (b",", b"\t", b";", b"|")
_LISTS = (".txt", ".text", ".dat", ".data")
"""Suffixes of which some say text and some rows."""

_COMPRESSION = "pii_guard.connectors.compression:"
_ARCHIVE = "pii_guard.connectors.archives:"

_ZIP = re.compile(rb"PK(?:\x03\x04|\x05\x06)")

CONTAINERS = {
    re.compile(rb"\x1f\x8b\x08"): Container("gzip", _COMPRESSION + "gzipped", single=True),
    re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"): Container("bzip2", _COMPRESSION + "bzip2", single=True),
    re.compile(rb"\xfd7zXZ\0"): Container("xz", _COMPRESSION + "xz", single=True),
    re.compile(rb"\x28\xb5\x2f\xfd"): Container("zstd", _COMPRESSION + "zstd", single=True),
    _ZIP: Container("zip", _ARCHIVE + "zip_members", single=False),
    re.compile(rb"(?s:.{257})ustar"): Container("tar", _ARCHIVE + "tar_members", single=False),
}
"""What files begin with that hold others. A name alone makes no container."""

_KNOWN_BY_CONTENT = (_WORKBOOK, _SQLITE)
"""Formats whose suffixes say nothing: HTML and CSV are often called .xls, and any database .db."""

_MAGIC = {
    re.compile(rb"Obj\x01"): _AVRO,
    re.compile(rb"SQLite format 3\0"): _SQLITE,
    re.compile(rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"): _WORKBOOK,  # or another document of old Office, as it will say
    re.compile(rb"ARROW1\0\0"): _ARROW,
    re.compile(rb"\xff{4}(?s:..)\0\0"): _ARROW,  # a stream: a mark, and the length of its schema
}

# Binary formats that hold records or documents: saying "clean" without having read them would be a lie.
_DOCUMENTS = {
    b"%PDF-": "a PDF document",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x04\x22\x4d\x18": "an lz4 file",
    b"\x1f\x9d": "a file of the old compress",
    b"FEA1": "a Feather file of version 1",
    b"PGDMP": "a PostgreSQL dump in the custom format",
}

_ZIP_SUFFIXES = (".zip", ".jar", ".exe")

_ZIPPED_WORKBOOKS = ("xl/workbook.xml", "xl/workbook.bin")

# Zip archives that are documents, by a file that each of them has.
_ZIPPED_DOCUMENTS = {
    "word/document.xml": "a Word document",
    "ppt/presentation.xml": "a PowerPoint document",
    "Contents/content.hpf": "an HWPX document",
    "META-INF/manifest.xml": "an OpenDocument file",
}

_HOLDING = (
    *(".gz", ".tgz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"),
    *(".sqlite", ".sqlite3"),
)
"""Suffixes of files that hold others or records: one that is binary and begins like none of them is damaged."""

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


def identify(resource: Resource) -> Format | Container | Unreadable:
    """What `resource` is. Raises OSError or ReadError if it cannot be read."""
    head = resource.head()
    if head[:4] in (b"PAR1", b"PARE") and _tail(resource, 4) == head[:4]:
        return _PARQUET
    if head.startswith(b"ORC") and _tail(resource, 4).startswith(b"ORC"):
        return _ORC
    for pattern, format in _MAGIC.items():
        if pattern.match(head):
            return format
    for magic, what in _DOCUMENTS.items():
        if head.startswith(magic):
            return Unreadable(f"{what}, which no connector reads yet", in_scope=True)
    for pattern, container in CONTAINERS.items():
        if pattern.match(head):
            return _zipped(container, resource) if container.id == "zip" else container
    wide = wide_encoding(head)
    if wide:
        head = head.decode(wide, "ignore").encode()
    if resource.suffix in _BY_SUFFIX:
        format = _BY_SUFFIX[resource.suffix]
        if format not in _KNOWN_BY_CONTENT or not head:
            return _told(head, resource.suffix, format)
    head = head[:_SNIFFED]
    if _ends_as_zip(resource):
        return _zipped(CONTAINERS[_ZIP], resource)
    if resource.suffix in _BINARY_SUFFIXES or (b"\0" in head and not wide):
        return Unreadable("binary", in_scope=resource.suffix in _HOLDING)
    if resource.suffix in _LISTS and _is_list(head):
        return _CSV
    sniffed = not resource.suffix or _BY_SUFFIX.get(resource.suffix) is _WORKBOOK
    return _sniffed(head) if sniffed else _TEXT


def _zipped(archive: Container, resource: Resource) -> Container | Format | Unreadable:
    names = _imported(_ARCHIVE + "zip_names")(resource)
    if names.intersection(_ZIPPED_WORKBOOKS) or ("content.xml" in names and _is_spreadsheet(resource)):
        return _WORKBOOK
    what = next((what for name, what in _ZIPPED_DOCUMENTS.items() if name in names), None)
    return Unreadable(f"{what}, which no connector reads yet", in_scope=True) if what else archive


def _is_spreadsheet(resource: Resource) -> bool:
    """Whether an OpenDocument file is one: its type stands in front, uncompressed."""
    return b"application/vnd.oasis.opendocument.spreadsheet" in resource.head()[:200]


def _ends_as_zip(resource: Resource) -> bool:
    """Whether a file that begins like none is a zip archive with something in front of it: it is one by its end."""
    if resource.path is None and resource.suffix not in _ZIP_SUFFIXES:
        return False  # what cannot seek would be copied for that
    with resource.open_seekable() as file:
        place, record = _imported("pii_guard.connectors.zip_gaps:end_record")(file)
        size, start = (int.from_bytes(record[at : at + 4], "little") for at in (12, 16))
        return place >= 22 and len(record) == 22 + int.from_bytes(record[20:22], "little") and start + size <= place


def _tail(resource: Resource, size: int) -> bytes:
    with resource.open_seekable() as file:
        end = file.seek(0, 2)
        file.seek(-min(end, size), 2)
        return file.read()


def _told(head: bytes, suffix: str, named: Format) -> Format:
    """The format of text whose suffix names the format `named`: another where its beginning can be nothing else."""
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if named in (_JSON, _CSV) and _starts_with_object_line(head):
        return _NDJSON
    if named is _CSV and re.match(rb'(?:\[\s*)?\{\s*"', start):
        return _JSON
    if named is _NDJSON and re.match(rb"\[\s*\{", start) and not _is_array_line(start):
        return _JSON
    if named is _JSON and start and start[:1] not in b'{["-0123456789tfn' and _sniffed(head) is _CSV:
        return _CSV
    if named in (_PARQUET, _ORC, _AVRO, _ARROW) and start and _is_text(head):
        found = _sniffed(head)
        return named if found is _TEXT else found
    return _CSV if suffix in _LISTS and _is_list(head) else named


def _is_array_line(head: bytes) -> bool:
    """Whether the first of several lines is a whole array."""
    line, _, rest = head.partition(b"\n")
    try:
        return bool(rest.strip()) and isinstance(json.loads(line), list)
    except (ValueError, RecursionError):
        return False


def _is_text(head: bytes) -> bool:
    """Whether bytes are UTF-8 or CP949, but for a character that their end cuts."""
    if b"\0" in head:
        return False
    for name in ("utf-8", "cp949"):
        try:
            codecs.getincrementaldecoder(name)().decode(head)
        except UnicodeDecodeError:
            continue
        return True
    return False


def _is_list(head: bytes) -> bool:
    """Whether text is rows beyond doubt: five lines, each with as many tabs, or as many bars. Commas and semicolons
    are in sentences and logs as well."""
    lines = head[:_SNIFFED].removeprefix(codecs.BOM_UTF8).split(b"\n")[:_SNIFFED_LINES]
    if len(lines) < _SNIFFED_LINES or not all(line.strip() for line in lines):
        return False
    return any(
        len(each) == 1 and min(each) for each in ({line.count(mark) for line in lines} for mark in (b"\t", b"|"))
    )


def _sniffed(head: bytes) -> Format:
    """The format of text without a suffix, such as what arrives on standard input."""
    if _starts_with_object_line(head):
        return _NDJSON
    if re.match(rb"(?:\xef\xbb\xbf)?\s*(?:\{\s*[\"}]|\[\s*[\[{\"\]])", head):
        return _JSON
    lines = head.removesuffix(b"\n").split(b"\n")[:_SNIFFED_LINES]
    counts = [{line.count(mark) for line in lines} for mark in _MARKS]
    return _CSV if len(lines) > 1 and any(len(each) == 1 and min(each) for each in counts) else _TEXT


def _starts_with_object_line(head: bytes) -> bool:
    """Whether the first line is an object, and ends."""
    line, end, _ = head.partition(b"\n")
    try:
        return bool(end) and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def format_for_suffix(suffix: str) -> Format | None:
    """The format that is written to a file of this suffix, if any is."""
    format = _BY_SUFFIX.get(suffix.lower())
    return format if format and format.load().capabilities.writable else None
