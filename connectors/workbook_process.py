"""Reads one workbook in a process of its own; run as a script, never imported by pii-guard.

The library that reads workbooks lays a sheet out as a full rectangle: two cells far apart, or one damaged byte, may ask
for more memory than there is, and that ends the process. Here it ends this one, and pii-guard names the file.

In: 8 bytes with the length of the workbook, the workbook, then one line a request: `names`, `comments`, or the number
of a sheet. Out: lines of JSON. `names` is answered by `{"names": [[number, name], ...], "comments": true or false}`,
the others by `{"rows": [...]}` as often as there are rows; `{"end": null}` stands behind each answer. Where it cannot
go on, `{"error": ...}` is the last line: `locked`, `unknown` (a workbook of old Excel, locked or damaged), `format` (no
workbook), `comments` (they cannot be read, but the sheets may) or `damaged`.

python_calamine gives no comments. Those of .xlsx and .ods are XML, those of .xlsb are records that begin with a number
and a length (MS-XLSB 2.1.4), those of .xls are read by xlrd.
"""

from __future__ import annotations

import datetime
import io
import json
import os
import re
import sys
import zipfile
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

import defusedxml.ElementTree
import python_calamine
import xlrd

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MEMORY = 1 << 30
"""Bytes of address space above what the interpreter has at its start; on Linux."""
SECONDS = 600
WITH_CELLS = (python_calamine.SheetTypeEnum.WorkSheet, python_calamine.SheetTypeEnum.MacroSheet)
ROWS = 500
"""Rows of an answer."""
OLE = bytes.fromhex("d0cf11e0a1b11ae1")
COMMENT_TEXT = 637
"""BrtCommentText (MS-XLSB 2.4.333): a byte of flags, a count, so many characters in UTF-16."""


def main() -> None:
    limit()
    source, out = sys.stdin.buffer, os.fdopen(os.dup(1), "w", encoding="ascii")
    data = source.read(int.from_bytes(source.read(8), "big"))
    try:
        book = python_calamine.load_workbook(io.BytesIO(data))
        for line in source:
            request = line.decode().strip()
            if request == "names":
                sheets = enumerate(book.sheets_metadata)
                names = [(number, each.name) for number, each in sheets if each.typ in WITH_CELLS]
                answers: Iterator[dict[str, Any]] = iter([{"names": names, "comments": has_comments(data)}])
            elif request == "comments":
                try:
                    answers = iter([{"rows": [[text]]} for text in comments(data)])
                except Exception:  # noqa: BLE001 - as below
                    out.write('{"error": "comments"}\n')
                    return
            else:
                answers = sheet(book.get_sheet_by_index(int(request)))
            for answer in answers:
                out.write(json.dumps(answer) + "\n")
            out.write('{"end": null}\n')
            out.flush()
    except Exception:  # noqa: BLE001 - whatever the libraries raise; it may quote cells, and is not repeated
        out.write(json.dumps({"error": trouble(data)}) + "\n")


def trouble(data: bytes) -> str:
    """What is wrong with a workbook that could not be read, by the names in its container."""
    if data.startswith(b"PK"):
        return "damaged"
    if "EncryptedPackage".encode("utf-16-le") in data:
        return "locked"
    return "unknown" if "Workbook".encode("utf-16-le") in data else "format"


def limit() -> None:
    if sys.platform != "linux":
        return  # no other system bounds a process so
    import resource

    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def sheet(read: python_calamine.CalamineSheet) -> Iterator[dict[str, Any]]:
    rows: list[list[str]] = []
    for row in read.iter_rows():
        if row.count("") == len(row):  # a stray cell far below may make millions of these
            continue
        rows.append([cell if type(cell) is str else text(cell) for cell in row])
        if len(rows) == ROWS:
            yield {"rows": rows}
            rows = []
    yield {"rows": rows}


def text(cell: object) -> str:
    """A cell as text: whole numbers in digits (a workbook knows floating-point numbers only), dates in ISO 8601."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, (datetime.date, datetime.time)):
        return cell.isoformat()
    return str(cell)


def has_comments(data: bytes) -> bool:
    """Whether there may be comments: true where there are some, or where that cannot be told."""
    try:
        if data.startswith(OLE):
            return any(comments(data))
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if comment_parts(archive):
                return True
            if "content.xml" not in archive.namelist():
                return False
            with archive.open("content.xml") as part:
                before = b""
                while piece := part.read(1 << 20):
                    if b"annotation" in before + piece or b"\0" in piece:  # a NUL: not the UTF-8 that all write
                        return True
                    before = piece[-16:]
            return False
    except Exception:  # noqa: BLE001 - whoever asks for them is told
        return True


def comments(data: bytes) -> Iterator[str]:
    """The comments of a workbook, sheet by sheet."""
    if data.startswith(OLE):
        yield from old_comments(data)
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in comment_parts(archive):
            with archive.open(name) as part:
                yield from binary_comments(part.read()) if name.endswith(".bin") else comments_of(part, "comment")
        if "content.xml" in archive.namelist():
            with archive.open("content.xml") as part:
                yield from comments_of(part, "annotation")


def comment_parts(archive: zipfile.ZipFile) -> list[str]:
    """The files with comments in an .xlsx or .xlsb workbook."""
    pattern = re.compile(r"xl/(?:comments|threadedComments/).*\.(?:xml|bin)")
    return [name for name in archive.namelist() if pattern.fullmatch(name)]


def comments_of(part: IO[bytes], kind: str) -> Iterator[str]:
    """The elements `kind` of an XML file, in lines as their paragraphs are."""
    ends = (f"}}{kind}", "}threadedComment")
    for _, element in defusedxml.ElementTree.iterparse(part):
        if element.tag.endswith(ends):
            paragraphs = [each for each in element.iter() if each.tag.endswith("text:1.0}p")] or [element]
            yield "\n".join("".join(words(each)) for each in paragraphs)
        if element.tag.endswith((*ends, "}table-row")):
            element.clear()


def words(element: Element) -> Iterator[str]:
    """The text of an element; OpenDocument writes blanks at some places as elements."""
    yield " " if element.tag.endswith(("text:1.0}s", "text:1.0}tab", "text:1.0}line-break")) else element.text or ""
    for child in element:
        yield from words(child)
        yield child.tail or ""


def binary_comments(data: bytes) -> Iterator[str]:
    position = 0

    def number(longest: int) -> int:
        """Seven bits a byte, the lowest first; the eighth says that another one follows."""
        nonlocal position
        value = 0
        for shift in range(0, 7 * longest, 7):
            value |= (data[position] & 0x7F) << shift
            position += 1
            if data[position - 1] < 0x80:
                break
        return value

    while position < len(data):
        kind, length = number(2), number(4)
        record = data[position : position + length]
        if len(record) < length:
            raise EOFError
        if kind == COMMENT_TEXT:
            count = int.from_bytes(record[1:5], "little")
            yield record[5 : 5 + 2 * count].decode("utf-16-le", "replace")
        position += length


def old_comments(data: bytes) -> Iterator[str]:
    with (
        open(os.devnull, "w", encoding="utf-8") as log,
        xlrd.open_workbook(file_contents=data, logfile=log, on_demand=True, ignore_workbook_corruption=True) as book,
    ):
        for number in range(book.nsheets):
            yield from (note.text for note in book.sheet_by_index(number).cell_note_map.values())
            book.unload_sheet(number)


if __name__ == "__main__":
    main()
