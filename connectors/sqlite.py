"""SQLite files: every table is a table; nothing is ever written, not even beside the file.

The file is opened read-only and as one that nobody changes; a copy in memory stands for one that is not a file of its
own. All columns are text: SQLite knows no types of columns, only of values. Numbers are in digits, and so are the bytes
of a column of blobs, which is one of bytes. What a write-ahead log or a journal beside the file still holds is not in
the file, and is named as not examined. Views, indexes and virtual tables hold nothing of their own.
Rate: some 600,000 values a second.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import chain
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from pii_guard.connectors.base import (
    MAX_BATCH_BYTES,
    Capabilities,
    EmptyTable,
    FileSource,
    Table,
    bounded,
    empty_batch,
    reading,
)
from pii_guard.connectors.resource import Resource
from pii_guard.errors import ReadError

__all__ = ["MAX_IN_MEMORY", "MAX_VALUE", "SqliteSource", "SqliteTable"]

MAX_IN_MEMORY = 256 << 20
"""Bytes of a database that is not a file of its own, at most."""

MAX_VALUE = 32 << 20
"""Bytes of a value, at most: a column that is computed takes no room in the file."""

_FIRST, _ROWS = 4, 8192  # rows fetched at once, at first and at most: a blob may be large
_DAMAGED = "a damaged or truncated SQLite database"
_TABLES = """
    SELECT name FROM sqlite_schema
    WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL %' AND name NOT GLOB 'sqlite_*' ORDER BY rowid
"""


@contextmanager
def _connected(resource: Resource, where: str = "") -> Iterator[sqlite3.Connection]:
    """A connection that cannot write. Raises ReadError for what is no sound database; `where` stands in front."""
    with reading(resource.target):
        if resource.path is None:
            connection = _in_memory(resource)
        else:
            with resource.open():
                pass  # says why it cannot be opened, as SQLite does not
            path = quote(os.fsencode(os.path.abspath(resource.path)))
            connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    with closing(connection):
        connection.text_factory = bytes
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
        try:
            yield connection
        except sqlite3.DataError:
            raise ReadError(resource.target, f"{where}a value of more than {MAX_VALUE >> 20} MB") from None
        except (sqlite3.Error, sqlite3.Warning, OverflowError):
            raise ReadError(resource.target, where + _DAMAGED) from None


def _in_memory(resource: Resource) -> sqlite3.Connection:
    with resource.open_seekable() as file:  # it may be read for the list of tables and for each of them
        data = file.read(MAX_IN_MEMORY + 1)
    if len(data) > MAX_IN_MEMORY:
        raise ReadError(resource.target, f"a database of more than {MAX_IN_MEMORY >> 20} MB; unpack it")
    connection = sqlite3.connect(":memory:")
    connection.deserialize(data)
    connection.execute("PRAGMA query_only = ON")
    return connection


class SqliteTable(Table):
    """One table of a database."""

    def __init__(self, resource: Resource, name: str) -> None:
        self.resource = resource
        self.target = resource.target
        self.name = name
        with reading(self.target):
            self.size = resource.size

    def batches(self) -> Iterator[pa.RecordBatch]:
        self.bytes_read = 0
        with _connected(self.resource, f"table {self.name}: ") as connection:
            cursor = connection.execute(f'SELECT * FROM "{self.name.replace(chr(34), chr(34) * 2)}"')  # noqa: S608
            names = [column[0] for column in cursor.description]
            size, seen = _FIRST, False
            while rows := cursor.fetchmany(size):
                batch = pa.RecordBatch.from_arrays([_column(values) for values in zip(*rows, strict=True)], names=names)
                yield from bounded(batch)
                size = min(max(size * MAX_BATCH_BYTES // max(batch.nbytes, 1), 1), 2 * size, _ROWS)
                seen = True
            if not seen:
                yield empty_batch(_schema(names))
        self.bytes_read = self.size or 0

    def reader(self) -> pa.RecordBatchReader:
        """Every column as text; bytes that are no UTF-8 raise ReadError."""
        batches = self.batches()
        first = next(batches)
        schema = _schema(first.schema.names)
        return pa.RecordBatchReader.from_batches(schema, self._as_text(chain([first], batches), schema))

    def _as_text(self, batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        with reading(self.target):
            for batch in batches:
                yield batch.cast(schema)


def _schema(names: list[str]) -> pa.Schema:
    return pa.schema([(name, pa.string()) for name in names])


def _column(values: tuple[Any, ...]) -> pa.Array[Any]:
    """Values of one column: text (here bytes), blobs, numbers and nulls, one beside the other."""
    texts = [value if value is None or type(value) is bytes else str(value).encode() for value in values]
    array = pa.array(texts, pa.binary())
    try:
        return array.cast(pa.string())
    except pa.ArrowInvalid:  # not all of them are UTF-8
        return array


class SqliteSource(FileSource):
    """A SQLite database."""

    format = "sqlite"
    capabilities = Capabilities(typed=False, nested=False, metadata=False, row_count=False, writable=False)

    def tables(self) -> Iterator[Table]:
        with reading(self.target):
            if not self.resource.head():  # nothing was ever written to it
                yield EmptyTable(self.resource)
                return
        with _connected(self.resource) as connection:
            names = [row[0].decode(errors="replace") for row in connection.execute(_TABLES)]
        for name in names:
            yield SqliteTable(self.resource, name)
        self._check_beside()

    def _check_beside(self) -> None:
        for suffix, what in (("-wal", "write-ahead log"), ("-journal", "rollback journal")):
            beside = f"{self.resource.path}{suffix}"
            if self.resource.path is not None and os.path.exists(beside) and os.path.getsize(beside):
                raise ReadError(
                    self.target, f"changes that wait in its {what} are not examined; close the database first"
                )
