"""Directories that are one table in parts: `orders/year=2024/month=05/part-0.parquet` (Hive style).

The table is called after the directory above the first `name=value`; each such directory gives a column to the rows
below it. Values are percent-decoded; `__HIVE_DEFAULT_PARTITION__` is a null.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import unquote

import pyarrow as pa

from pii_guard.connectors.base import FileSource, Source, Table, empty_batch
from pii_guard.connectors.contents import Found
from pii_guard.errors import ReadError

__all__ = ["joined"]

_NULL = "__HIVE_DEFAULT_PARTITION__"


def joined(found: Iterator[Found], root: str, below: PurePosixPath) -> Iterator[Found]:
    """The sources of the file `below` the directory `root`, as parts of one table where its directories say so.

    Members of archives stay what they are: an archive is a table of its own to nobody.
    """
    parts = list(below.parts[:-1])
    first = next((place for place, part in enumerate(parts) if _is_partition(part)), None)
    for each in found:
        if first is None or not isinstance(each, FileSource) or not each.lasting:
            yield each
        else:
            base = "/".join([root.rstrip("/") or "/", *parts[:first]])
            columns = [part.partition("=")[::2] for part in parts[first:] if _is_partition(part)]
            yield _Part(each, base, PurePosixPath(base).name, dict(columns), "/".join(below.parts[first:]))


def _is_partition(directory: str) -> bool:
    name, equals, _ = directory.partition("=")
    return bool(name and equals)


class _Part(Source):
    """A file that is a part of a table."""

    lasting = True

    def __init__(self, file: FileSource, target: str, table: str, columns: dict[str, str], shown: str) -> None:
        self._file, self._table, self._columns, self._shown = file, table, columns, shown
        self.target, self.identity = target, file.identity
        self.format, self.capabilities = file.format, file.capabilities  # type: ignore[misc]

    def tables(self) -> Iterator[Table]:
        for table in self._file.tables():
            yield _PartTable(table, self._table, self._columns, self._shown)


class _PartTable(Table):
    """The rows of a part, with the columns that its directories stand for."""

    def __init__(self, part: Table, name: str, columns: dict[str, str], shown: str) -> None:
        self._part, self.name, self._columns, self._shown = part, name, columns, shown
        self.size, self.row_count = part.size, part.row_count

    def position(self) -> int:
        return self._part.position()

    def batches(self) -> Iterator[pa.RecordBatch]:
        self._part.reading = self.reading
        try:
            for batch in self._part.batches():
                yield self._with_columns(batch)
        except ReadError as error:
            raise ReadError(error.source, f"{self._shown}: {error.reason}") from None
        finally:
            self.unparsed, self.replaced, self.unread = self._part.unparsed, self._part.replaced, self._part.unread
            self.doubt = f"{self._shown}: {self._part.doubt}" if self._part.doubt else ""

    def reader(self) -> pa.RecordBatchReader:
        reader = self._part.reader()
        schema = self._with_columns(empty_batch(reader.schema)).schema
        return pa.RecordBatchReader.from_batches(schema, map(self._with_columns, reader))

    def _with_columns(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        for name, value in self._columns.items():
            if name not in batch.schema.names:
                decoded = pa.array([None if value == _NULL else unquote(value)], pa.string())
                indices = pa.repeat(pa.scalar(0, pa.int8()), batch.num_rows)
                batch = batch.append_column(unquote(name), pa.DictionaryArray.from_arrays(indices, decoded))
        return batch
