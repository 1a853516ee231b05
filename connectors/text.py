"""Any text file: its lines as one string column named `text`. Also standard input, which is called `-`."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from pii_guard.connectors.base import Capabilities, FileSource, reading
from pii_guard.connectors.lines import TextFileTable, has_windows, line_arrays, string_batches

__all__ = ["COLUMN", "TextSource", "TextTable"]

COLUMN = "text"


class TextTable(TextFileTable):
    """Row n is line n of the file, blank lines too, up to the first line that is longer than a window.

    Behind that, and in samples, `first_line` is None.
    """

    def batches(self) -> Iterator[pa.RecordBatch]:
        number = 1 if self.reading.sample is None else None
        with reading(self.target), self.opened() as file:
            for lines in line_arrays(self.blocks(file)):
                cut = number is not None and has_windows(lines)
                for batch in string_batches(COLUMN, lines):
                    self.first_line = None if cut else number
                    yield batch
                    number = None if cut or number is None else number + batch.num_rows

    def reader(self) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(pa.schema([(COLUMN, pa.string())]), self.batches())


class TextSource(FileSource):
    format = "text"
    capabilities = Capabilities(
        typed=False, nested=False, metadata=False, row_count=False, writable=False, sampling=True, comments=True
    )
    table = TextTable
