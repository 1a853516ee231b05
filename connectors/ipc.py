"""Arrow IPC, files (Feather version 2 too) and streams, with their types and tags.

Arrow trusts what it reads: offsets that lead astray would end the process. So each batch is validated in full.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from pii_guard.connectors.base import Capabilities, FileSource, FileTable, bounded, check_names, empty_batch, reading
from pii_guard.errors import ReadError

__all__ = ["FILE_MAGIC", "IpcSource", "IpcTable"]

FILE_MAGIC = b"ARROW1\0\0"


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


def _batches(reader: pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader | None) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)
    elif reader is not None:
        yield from reader


class IpcSource(FileSource):
    """An Arrow file or stream."""

    format = "arrow"
    capabilities = Capabilities(typed=True, nested=True, metadata=True, row_count=False, writable=False)
    table = IpcTable
