"""Workbooks that no library at hand writes: OpenDocument, and the container of an encrypted Excel file."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Sequence
from xml.sax.saxutils import escape

__all__ = ["locked", "ods"]

_NAMES = ("office", "table", "text", "manifest")
_SPACES = " ".join(f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in _NAMES)
_TYPE = "application/vnd.oasis.opendocument.spreadsheet"


def ods(sheets: dict[str, Sequence[Sequence[str]]]) -> bytes:
    """An OpenDocument spreadsheet of text cells."""
    tables = "".join(
        f'<table:table table:name="{escape(name)}">{"".join(map(_row, rows))}</table:table>'
        for name, rows in sheets.items()
    )
    body = f"<office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body>"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("mimetype"), _TYPE)
        archive.writestr(
            zipfile.ZipInfo("content.xml"), f"<office:document-content {_SPACES}>{body}</office:document-content>"
        )
        entry = f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{_TYPE}"/>'
        archive.writestr(
            zipfile.ZipInfo("META-INF/manifest.xml"), f"<manifest:manifest {_SPACES}>{entry}</manifest:manifest>"
        )
    return buffer.getvalue()


def _row(cells: Sequence[str]) -> str:
    texts = (f"<text:p>{escape(cell)}</text:p>" for cell in cells)
    shown = (f'<table:table-cell office:value-type="string">{text}</table:table-cell>' for text in texts)
    return f"<table:table-row>{''.join(shown)}</table:table-row>"


def locked(*streams: str) -> bytes:
    """An OLE container with empty streams of these names: `EncryptedPackage` makes it an encrypted .xlsx file."""
    free, end, none = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF
    header = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16)
    header += struct.pack("<HHHHH6x", 0x3E, 3, 0xFFFE, 9, 6)
    header += struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, end, 0, end, 0)
    header += struct.pack("<I", 0) + struct.pack("<I", free) * 108
    fat = struct.pack("<II", 0xFFFFFFFD, end) + struct.pack("<I", free) * 126
    names = ["Root Entry", *streams]
    directory = b""
    for number, name in enumerate(names):
        encoded = (name + "\0").encode("utf-16-le")
        right = number + 1 if 0 < number < len(names) - 1 else none
        kind, child = (2, none) if number else (5, 1)
        directory += encoded.ljust(64, b"\0")
        directory += struct.pack("<HBBIII", len(encoded), kind, 1, none, right, child)
        directory += bytes(36) + struct.pack("<IQ", end, 0)
    return header + fat + directory.ljust(512, b"\0")
