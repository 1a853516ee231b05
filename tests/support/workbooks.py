"""Workbooks that no library at hand writes: OpenDocument, comments of .xls and .xlsb, and the container of an encrypted
Excel file."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Sequence
from xml.sax.saxutils import escape

__all__ = ["binary_comments", "locked", "notes", "ods"]

_NAMES = ("office", "table", "text", "manifest", "dc")
_SPACES = " ".join(f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in _NAMES)
_TYPE = "application/vnd.oasis.opendocument.spreadsheet"


def ods(sheets: dict[str, Sequence[Sequence[str]]], annotation: str = "") -> bytes:
    """An OpenDocument spreadsheet of text cells; `annotation` is XML that stands in a last cell of the last sheet."""
    tables = "".join(
        f'<table:table table:name="{escape(name)}">{"".join(map(_row, rows))}</table:table>'
        for name, rows in sheets.items()
    )
    if annotation:
        cell = f"<table:table-cell><office:annotation>{annotation}</office:annotation></table:table-cell>"
        tables = tables.removesuffix("</table:table>") + f"<table:table-row>{cell}</table:table-row></table:table>"
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


def notes(texts: Sequence[str]) -> bytes:
    """The records of a sheet of an .xls file (MS-XLS 2.4.181, 2.4.329, 2.4.179) that make comments in its first row."""

    def record(kind: int, data: bytes) -> bytes:
        return struct.pack("<HH", kind, len(data)) + data

    data = b""
    for number, text in enumerate(texts, 1):
        encoded = text.encode("utf-16-le")
        common = struct.pack("<HHHHH12x", 0x15, 18, 0x19, number, 0x4011)
        data += record(0x5D, common + struct.pack("<HH22x", 0x0D, 22) + bytes(4))
        data += record(0x1B6, struct.pack("<HH6xHHI", 0x212, 0, len(text), 16, 0))
        for start in range(0, len(encoded), 8000):
            data += record(0x3C, b"\1" + encoded[start : start + 8000])
        data += record(0x3C, struct.pack("<HHIHHI", 0, 0, 0, len(text), 0, 0))
        author = "작성자"
        data += record(
            0x1C, struct.pack("<HHHHHB", 0, number, 0, number, len(author), 1) + author.encode("utf-16-le") + b"\0"
        )
    return data


def binary_comments(texts: Sequence[str]) -> bytes:
    """`xl/comments1.bin` of an .xlsb file (MS-XLSB 2.1.7.8) with these comments, and records around them."""

    def record(kind: int, data: bytes = b"") -> bytes:
        size = len(data)
        length = bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14])
        return bytes([kind & 0x7F | 0x80, kind >> 7]) + length + data

    author = "작성자".encode("utf-16-le")
    data = record(628) + record(630) + record(632, struct.pack("<I", len(author) // 2) + author) + record(631)
    data += record(633)
    for text in texts:
        encoded = text.encode("utf-16-le")
        data += record(635, bytes(36)) + record(637, struct.pack("<BI", 0, len(encoded) // 2) + encoded) + record(636)
    return data + record(634) + record(629)


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
