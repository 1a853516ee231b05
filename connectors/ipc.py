"""Arrow IPC, files (Feather version 2 too) and streams, with their types and tags.

Arrow trusts what it reads: offsets that lead astray would end the process. So each batch is validated in full.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.connectors.base import Capabilities, FileSource, FileTable, bounded, check_names, empty_batch, reading
from pii_guard.connectors.style import Style
from pii_guard.errors import ReadError

__all__ = ["FILE_MAGIC", "IpcSource", "IpcTable"]

FILE_MAGIC = b"ARROW1\0\0"
_STREAM = ".arrows"


class IpcTable(FileTable):
    """The batches of an Arrow file or stream."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        self.bytes_read = 0
        seen = False
        with self._open() as reader:
            check_names(reader.schema if reader else ())
            for batch in _batches(reader):
                batch.validate(full=True)
                for part in bounded(batch):
                    yield part
                    seen = True
            if not seen and reader is not None:
                yield empty_batch(reader.schema)
        self.bytes_read = self.size or 0

    def reader(self) -> pa.RecordBatchReader:
        with self._open() as reader:
            schema = pa.schema([]) if reader is None else reader.schema
            check_names(schema)
        return pa.RecordBatchReader.from_batches(schema, self.batches())

    def style(self) -> Style:
        """The compression of the first batch; it stands in the batch, and pyarrow does not tell it."""
        with reading(self.target), self.resource.open() as file:
            if not self.resource.head():
                return Style()
            if self.resource.head().startswith(FILE_MAGIC):
                file.read(len(FILE_MAGIC))  # a stream stands between the magic and the footer
            for message in pa.ipc.MessageReader.open_stream(file):
                if message.type == "record batch":
                    return Style(compression=_codec(message.metadata.to_pybytes()))
        return Style()

    @contextmanager
    def _open(self) -> Iterator[pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader | None]:
        """A reader, or None if the file is empty (nothing was ever written to it)."""
        with reading(self.target):
            head = self.resource.head()
            if not head:
                yield None
            elif head.startswith(FILE_MAGIC):
                with self.resource.open_seekable() as file, pa.ipc.open_file(file) as reader:
                    yield reader
            elif head.startswith(b"\xff\xff\xff\xff"):
                with self.resource.open() as file, pa.ipc.open_stream(file) as reader:
                    yield reader
            else:
                raise ReadError(self.target, "not an Arrow file")


def _codec(message: bytes) -> str:
    """The compression of a record batch, by the flatbuffers of its message (Message.fbs of the Arrow format)."""

    def table(place: int) -> int:
        return place + int.from_bytes(message[place : place + 4], "little")

    def field(table: int, number: int) -> int | None:
        """Where a field of a table is; None if it is left out, and so has its default."""
        slots = table - int.from_bytes(message[table : table + 4], "little", signed=True)
        slot = 4 + 2 * number
        if slot >= int.from_bytes(message[slots : slots + 2], "little"):
            return None
        offset = int.from_bytes(message[slots + slot : slots + slot + 2], "little")
        return table + offset if offset else None

    header = field(table(0), 2)
    compression = None if header is None else field(table(header), 3)
    if compression is None:
        return "none"
    codec = field(table(compression), 0)
    return "zstd" if codec is not None and message[codec] == 1 else "lz4"


def _batches(reader: pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader | None) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)
    elif reader is not None:
        yield from reader


class IpcSource(FileSource):
    """An Arrow file or stream."""

    format = "arrow"
    capabilities = Capabilities(typed=True, nested=True, metadata=True, row_count=False, writable=True)
    table = IpcTable

    @staticmethod
    def write(reader: pa.RecordBatchReader, file: BinaryIO, suffix: str, style: Style) -> int:
        codec = style.compression if isinstance(style.compression, str) else "zstd"
        options = pa.ipc.IpcWriteOptions(compression=None if codec == "none" else codec, emit_dictionary_deltas=True)
        make = pa.ipc.new_stream if suffix == _STREAM else pa.ipc.new_file
        rows, known = 0, dict[int, pa.Array]()
        with make(file, reader.schema, options=options) as writer:
            for batch in reader:
                writer.write_batch(_growing(batch, known))
                rows += batch.num_rows
        return rows


def _growing(batch: pa.RecordBatch, known: dict[int, pa.Array]) -> pa.RecordBatch:
    """`batch` with dictionaries that begin with those of the batches before: a file cannot replace a dictionary."""
    columns = list(batch.columns)
    for place, column in enumerate(columns):
        if not isinstance(column, pa.DictionaryArray):
            continue
        before = known.get(place, column.dictionary.slice(0, 0))
        new = column.dictionary.filter(pc.invert(pc.is_in(column.dictionary, before)))
        known[place] = pa.concat_arrays([before, new.unique()])
        indices = pc.index_in(column.dictionary, known[place]).take(column.indices).cast(column.type.index_type)
        columns[place] = pa.DictionaryArray.from_arrays(indices, known[place], ordered=column.type.ordered)
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)
