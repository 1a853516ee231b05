"""Reads one workbook in a process of its own; run as a script, never imported by pii-guard.

The library that reads workbooks lays a sheet out as a full rectangle: two cells far apart, or one damaged byte, may ask
for more memory than there is, and that ends the process. Here it ends this one, and pii-guard names the file.

In: 8 bytes with the length of the workbook, the workbook, then one line a request: `names`, `comments`, or the number
of a sheet. Out: lines of JSON. `names` is answered by `{"names": [[number, name], ...], "comments": true or false}`,
the others by `{"rows": [...]}` as often as there are rows; `{"end": null}` stands behind each answer. Where it cannot
go on, `{"error": ...}` is the last line: `locked`, `unknown` (a workbook of old Excel, locked or damaged), `format` (no
workbook) or `damaged`.
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
from typing import Any

import defusedxml.ElementTree
import python_calamine

MEMORY = 1 << 30
"""Bytes of address space above what the interpreter has at its start; on Linux."""
SECONDS = 600
WITH_CELLS = (python_calamine.SheetTypeEnum.WorkSheet, python_calamine.SheetTypeEnum.MacroSheet)
ROWS = 500
"""Rows of an answer."""


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
                answers: Iterator[dict[str, Any]] = iter([{"names": names, "comments": bool(comment_parts(data))}])
            elif request == "comments":
                answers = ({"rows": [[text]]} for text in comments(data))
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


def comments(data: bytes) -> Iterator[str]:
    """Comments of an .xlsx workbook; python_calamine does not give them."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in comment_parts(data):
            with archive.open(name) as part:
                for _, element in defusedxml.ElementTree.iterparse(part):
                    if element.tag.endswith(("}comment", "}threadedComment")):
                        yield "".join(element.itertext())
                        element.clear()


def comment_parts(data: bytes) -> list[str]:
    if not data.startswith(b"PK"):
        return []
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [name for name in archive.namelist() if re.match(r"xl/(comments|threadedComments/).*\.xml$", name)]


if __name__ == "__main__":
    main()
