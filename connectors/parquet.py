"""Parquet, with its types and its field metadata. A file under Parquet modular encryption is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pii_guard.connectors.base import (
    MAX_BATCH_BYTES,
    MAX_BATCH_ROWS,
    Capabilities,
    FileSource,
    FileTable,
    bounded,
    check_names,
    empty_batch,
    reading,
)
from pii_guard.connectors.prefetch import behind
from pii_guard.connectors.resource import Resource
from pii_guard.connectors.sampling import Sample
from pii_guard.connectors.style import Style
from pii_guard.errors import ReadError, UsageError

__all__ = ["ENCRYPTED_MAGIC", "MAGIC", "ParquetSource", "ParquetTable"]

MAGIC = b"PAR1"
"""The first and the last four bytes of a Parquet file."""

ENCRYPTED_MAGIC = b"PARE"
"""The same of a file whose footer is encrypted."""

_ENCRYPTED = "encrypted by Parquet itself (modular encryption), which pii-guard has no key for"
_SMALLEST = 12  # magic, length of the footer, magic
_READ_AHEAD = 1 << 20  # read column chunks in steps: a row group may be as large as the file
_ROW_GROUP_ROWS = 1 << 17
_ROW_GROUP_BYTES = 64 << 20


class ParquetTable(FileTable):
    """The rows of a Parquet file. The file is opened when the table is made, so damage shows at once."""

    drawn = "row groups"

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource)
        with self._open() as file:
            self.row_count = file.metadata.num_rows if file else 0
            check_names(file.schema_arrow if file else ())

    def batches(self) -> Iterator[pa.RecordBatch]:
        self.bytes_read = 0
        with self._open() as file:
            done, size = 0, self.size or 0
            groups = self._drawn(file.metadata) if file else None
            for batch in _batches(file, groups) if file else ():
                done += batch.num_rows
                self.bytes_read = size * done // max(file.metadata.num_rows, 1) if file else 0
                yield from bounded(batch)
            self.bytes_read = size
            if file and not done:
                yield empty_batch(file.schema_arrow)

    def _drawn(self, metadata: pq.FileMetaData) -> list[int] | None:
        """The row groups of the sample; None: all."""
        if self.reading.sample is None:
            return None
        share = self.reading.sample.share_of(metadata.num_rows)
        groups = Sample.drawn(share, metadata.num_row_groups, self.target)
        rows = sum(metadata.row_group(group).num_rows for group in groups)
        self.unread = (self.size or 0) * (metadata.num_rows - rows) // max(metadata.num_rows, 1)
        self.estimated = metadata.num_rows if self.unread else None
        return groups

    def reader(self) -> pa.RecordBatchReader:
        with self._open() as file:
            schema = file.schema_arrow if file else pa.schema([])
        return pa.RecordBatchReader.from_batches(schema, self.batches())

    def style(self) -> Style:
        with self._open() as file:
            if file is None or not file.metadata.num_row_groups:
                return Style()
            group = file.metadata.row_group(0)
            columns = (group.column(number) for number in range(group.num_columns))
            return Style(compression={column.path_in_schema: _codec(column.compression) for column in columns})

    @contextmanager
    def _open(self) -> Iterator[pq.ParquetFile | None]:
        """The file, or None if it is empty (nothing was ever written to it)."""
        with reading(self.target), self.resource.open_seekable() as source:
            self.size = size = source.seek(0, os.SEEK_END)
            if not size:
                yield None
                return
            self._check_frame(source, size)
            try:
                # pre_buffer keeps what it has read until the end of the file
                with pq.ParquetFile(source, buffer_size=_READ_AHEAD, pre_buffer=False) as file:
                    yield file
            except OSError as error:
                if "crypt" in str(error):  # a plain footer, but columns that need a key
                    raise ReadError(self.target, _ENCRYPTED) from None
                raise

    def _check_frame(self, file: BinaryIO, size: int) -> None:
        """Refuse what is no whole Parquet file before pyarrow sees it: some such input ends the process."""
        file.seek(0)
        head = file.read(len(MAGIC))
        file.seek(-min(size, _SMALLEST), os.SEEK_END)
        tail = file.read()
        if head == ENCRYPTED_MAGIC:
            raise ReadError(self.target, _ENCRYPTED)
        if head != MAGIC:
            raise ReadError(self.target, "not a Parquet file")
        footer = int.from_bytes(tail[-8:-4], "little")
        if not tail.endswith(MAGIC) or footer + _SMALLEST > size:
            raise ReadError(self.target, "a truncated Parquet file: its end is missing")


def _codec(name: str) -> str:
    """The name by which pyarrow writes what it reads as `name`."""
    return {"UNCOMPRESSED": "none", "LZ4_RAW": "lz4"}.get(name, name.lower())


def _batches(file: pq.ParquetFile, groups: list[int] | None) -> Iterator[pa.RecordBatch]:
    metadata = file.metadata
    size = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    rows = MAX_BATCH_BYTES * metadata.num_rows // max(size, 1)
    yield from file.iter_batches(batch_size=min(max(rows, 1), MAX_BATCH_ROWS), row_groups=groups)


class ParquetSource(FileSource):
    """A Parquet file."""

    format = "parquet"
    capabilities = Capabilities(typed=True, nested=True, metadata=True, row_count=True, writable=True, sampling=True)
    table = ParquetTable

    @staticmethod
    def write(reader: pa.RecordBatchReader, file: BinaryIO, suffix: str, style: Style) -> int:
        try:
            writer = pq.ParquetWriter(file, reader.schema, compression=style.compression)
        except pa.ArrowNotImplementedError:
            raise UsageError(f"the table holds a type that a {suffix} file cannot hold") from None
        rows = 0

        def write(group: pa.Table) -> None:
            nonlocal rows
            writer.write_table(group)
            rows += group.num_rows

        with writer:
            behind(_row_groups(reader), write)  # to compress is as much work as to encrypt
        return rows


def _row_groups(reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """The batches in groups worth a row group: pyarrow writes one for each table that it is given."""
    group: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in reader:
        group.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if rows >= _ROW_GROUP_ROWS or size >= _ROW_GROUP_BYTES:
            yield pa.Table.from_batches(group, reader.schema)
            group, rows, size = [], 0, 0
    if rows:
        yield pa.Table.from_batches(group, reader.schema)
