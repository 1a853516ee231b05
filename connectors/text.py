"""Any text file: its lines as one string column named `text`. Also standard input, which is called `-`."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from pii_guard.connectors.base import Capabilities, FileSource, reading
from pii_guard.connectors.lines import TextFileTable, line_arrays, string_batches

__all__ = ["COLUMN", "TextSource", "TextTable"]

COLUMN = "text"


class TextTable(TextFileTable):
    """Row n is line n of the file, blank lines too, unless a line is longer than a window (`lines.LINE_LIMIT`)."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        with reading(self.target), self.opened() as file:
            for lines in line_arrays(self.blocks(file)):
                yield from string_batches(COLUMN, lines)

    def reader(self) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(pa.schema([(COLUMN, pa.string())]), self.batches())


class TextSource(FileSource):
    format = "text"
    capabilities = Capabilities(
        typed=False, nested=False, metadata=False, row_count=False, writable=False, sampling=True, comments=True
    )
    table = TextTable
