"""Apache ORC, with its types, stripe by stripe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from pyarrow import orc

from pii_guard.connectors.base import Capabilities, FileSource, FileTable, bounded, check_names, empty_batch, reading
from pii_guard.connectors.resource import Resource

__all__ = ["OrcSource", "OrcTable"]


class OrcTable(FileTable):
    """The rows of an ORC file. The file is opened when the table is made, so damage shows at once."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource)
        with self._open() as file:
            self.row_count = file.nrows if file else 0
            check_names(file.schema if file else ())

    def batches(self) -> Iterator[pa.RecordBatch]:
        self.bytes_read = 0
        size = self.size or 0
        with self._open() as file:
            if file is not None:
                for number in range(file.nstripes):
                    self.bytes_read = size * number // file.nstripes
                    stripe = file.read_stripe(number)
                    stripe.validate(full=True)
                    yield from bounded(stripe)
                if not file.nrows:
                    yield empty_batch(file.schema)
        self.bytes_read = size

    def reader(self) -> pa.RecordBatchReader:
        with self._open() as file:
            schema = file.schema if file else pa.schema([])
        return pa.RecordBatchReader.from_batches(schema, self.batches())

    @contextmanager
    def _open(self) -> Iterator[orc.ORCFile | None]:
        """The file, or None if it is empty (nothing was ever written to it)."""
        with reading(self.target), self.resource.open_seekable() as file:
            yield orc.ORCFile(file) if self.resource.head() else None


class OrcSource(FileSource):
    """An ORC file."""

    format = "orc"
    capabilities = Capabilities(typed=True, nested=True, metadata=False, row_count=True, writable=False)
    table = OrcTable
