"""Workbooks: Excel (.xlsx, .xlsm, .xlsb, .xls) and OpenDocument (.ods), each sheet a table, hidden ones too.

All columns are text: whole numbers in digits, dates in ISO 8601, of formulas the value that was stored. Rows without a
value are skipped. The header is the first row, of the first HEADER_ROWS, that fills more than half as many cells as the
fullest of them; what stands above it is a column `(above the header)`. Comments are a table `(comments)`; text boxes
and charts are not read. A workbook is read in a process of its own (`workbook_process`), some 300,000 cells a second.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import weakref
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.connectors.base import Capabilities, EmptyTable, FileSource, Table, bounded, empty_batch, reading
from pii_guard.connectors.resource import Resource
from pii_guard.errors import ReadError

__all__ = ["ABOVE", "COMMENTS", "HEADER_ROWS", "WorkbookSource", "WorkbookTable"]

ABOVE = "(above the header)"
COMMENTS = "(comments)"
HEADER_ROWS = 20

_NAMES, _COMMENTS = "names", "comments"
_ROWS = 8192
_PROGRAM = Path(__file__).with_name("workbook_process.py")
_REASONS = {
    "locked": "encrypted by Office itself, which pii-guard has no password for",
    "unknown": "a workbook of old Excel that is locked by a password, or damaged",
    "format": "an old Office or HWP document, which no connector reads yet",
    "comments": "its comments could not be read",
    "damaged": "a damaged or truncated workbook",
}
_ENDED = "a workbook that is damaged, or too large to lay out; save the sheets as .csv"


class _Workbook:
    """The process that has a workbook open. It is started when it is asked, and again after an answer was abandoned."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._process: subprocess.Popen[bytes] | None = None
        self._busy = False
        self._stop: weakref.finalize[Any, Any] | None = None

    def ask(self, request: str) -> Iterator[dict[str, Any]]:
        """The answers to one request. Raises ReadError if the workbook is locked, damaged or too large."""
        self._resource.head()  # the process may have it open, but a file that is gone is gone
        if self._busy:
            self.close()
        try:
            process = self._process or self._start()
            assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - they are pipes
            self._busy = True
            process.stdin.write(f"{request}\n".encode())
            process.stdin.flush()
            for line in process.stdout:
                answer = json.loads(line)
                if "end" in answer:
                    self._busy = False
                    return
                if "error" in answer:
                    self.close()
                    raise ReadError(self._resource.target, _REASONS[answer["error"]])
                yield answer
        except BrokenPipeError:
            pass
        self.close()
        raise ReadError(self._resource.target, _ENDED)

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-P", str(_PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._process = process
        self._stop = weakref.finalize(self, _stop, process)
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        with self._resource.open_seekable() as file:
            process.stdin.write(file.seek(0, os.SEEK_END).to_bytes(8, "big"))
            file.seek(0)
            shutil.copyfileobj(file, process.stdin, 1 << 20)
        return process

    def close(self) -> None:
        """End the process."""
        if self._stop is not None:
            self._stop()
        self._process, self._busy = None, False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:
                continue  # what was not taken is not wanted any more


class WorkbookTable(Table):
    """A sheet of a workbook, or all its comments. `request` is what the process calls it."""

    def __init__(self, book: _Workbook, resource: Resource, name: str, request: str) -> None:
        self._book = book
        self._request = request
        self.target = resource.target
        self.name = name
        with reading(self.target):
            self.size = resource.size

    def batches(self) -> Iterator[pa.RecordBatch]:
        self.bytes_read = 0
        with reading(self.target):
            above, names, rows = self._content()
            if above:
                yield pa.record_batch([pa.array(above, pa.string())], names=[ABOVE])
            seen = False
            for batch in _batches(names, rows):
                # one stray cell far to the right makes thousands of columns without a name and without a value
                kept = [n for n, name in enumerate(names) if name or pc.any(pc.not_equal(batch.column(n), "")).as_py()]
                yield from bounded(batch.select(kept) if len(kept) < len(names) else batch)
                seen = True
            if names and not seen:
                yield empty_batch(_schema(names))
        self.bytes_read = self.size or 0

    def reader(self) -> pa.RecordBatchReader:
        """The rows below the header. Cells above it, which no table could hold, raise ReadError."""
        with reading(self.target):
            above, names, rows = self._content()
        if above:
            raise ReadError(self.target, f"{len(above)} cells stand above the header of a sheet; remove them first")
        return pa.RecordBatchReader.from_batches(_schema(names), _batches(names, rows))

    def _content(self) -> tuple[list[str], list[str], Iterator[list[str]]]:
        """(cells above the header, names of the columns, rows below it)"""
        rows = self._rows()
        if self._request == _COMMENTS:
            return [], ["comment"], rows
        first = list(islice(rows, HEADER_ROWS))
        filled = [sum(map(bool, row)) for row in first]
        header = next((number for number, cells in enumerate(filled) if 2 * cells > max(filled)), None)
        if header is None:
            return [], [], iter(())
        above = [cell for row in first[:header] for cell in row if cell]
        return above, first[header], chain(first[header + 1 :], rows)

    def _rows(self) -> Iterator[list[str]]:
        for answer in self._book.ask(self._request):
            yield from answer["rows"]


def _batches(names: list[str], rows: Iterator[list[str]]) -> Iterator[pa.RecordBatch]:
    while part := list(islice(rows, _ROWS)):
        columns = [pa.array(column, pa.string()) for column in zip(*part, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, names=names)


def _schema(names: list[str]) -> pa.Schema:
    return pa.schema([(name, pa.string()) for name in names])


class WorkbookSource(FileSource):
    """A workbook; its sheets are its tables."""

    format = "workbook"
    capabilities = Capabilities(typed=False, nested=False, metadata=False, row_count=False, writable=False)

    def tables(self) -> Iterator[Table]:
        book = _Workbook(self.resource)
        with reading(self.target):
            if not self.resource.head():  # nothing was ever written to it
                yield EmptyTable(self.resource)
                return
            (answer,) = book.ask(_NAMES)
        for number, name in answer["names"]:
            yield WorkbookTable(book, self.resource, name, str(number))
        if answer["comments"]:
            yield WorkbookTable(book, self.resource, COMMENTS, _COMMENTS)
