"""SQLite files, found as files or named by URL: every table is a table; nothing is ever written, not even beside them.

The file is opened read-only and as one that nobody changes; a copy in memory stands for one that is not a file of its
own. All columns are text: SQLite knows no types of columns, only of values. Numbers are in digits, and so are the bytes
of a column of blobs, which is one of bytes. What a write-ahead log or a journal beside the file still holds is not in
the file, and is named as not examined. Views, indexes and virtual tables hold nothing of their own.
Rate: some 600,000 values a second.
"""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import chain, islice
from urllib.parse import quote

import pyarrow as pa

from pii_guard.connectors.base import Capabilities, EmptyTable, FileSource, Table, reading
from pii_guard.connectors.database import Column, DatabaseSource, DatabaseTable, Relation, quoted
from pii_guard.connectors.database_url import DatabaseUrl
from pii_guard.connectors.json_columns import unfolded
from pii_guard.connectors.resource import LocalFile, Resource
from pii_guard.connectors.rows import batches_of_rows, text_schema
from pii_guard.connectors.sampling import Sample
from pii_guard.connectors.selection import Selection
from pii_guard.connectors.sqlite_pages import TablePages
from pii_guard.errors import ReadError

__all__ = ["MAX_IN_MEMORY", "MAX_VALUE", "SqliteDatabase", "SqliteSource", "SqliteTable"]

MAX_IN_MEMORY = 256 << 20
"""Bytes of a database that is not a file of its own, at most."""

MAX_VALUE = 32 << 20
"""Bytes of a value, at most: a column that is computed takes no room in the file."""

_FEWEST_BYTES = 2 << 20
"""Smaller databases are read whole."""

_ROWIDS = ("rowid", "oid", "_rowid_")
"""What the rowid is called, unless a column is (https://www.sqlite.org/rowidtable.html)."""

_DAMAGED = "a damaged or truncated SQLite database"
_REFUSED = "SQLite refuses it: there is no such table or column, or its SQL has a mistake or would write"
_REASONS = {
    "SQLITE_ERROR": _REFUSED,
    "SQLITE_READONLY": _REFUSED,
    "SQLITE_NOTADB": "no SQLite database, or an encrypted one",
}
_TABLES = """
    SELECT name FROM sqlite_schema
    WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL %' AND name NOT GLOB 'sqlite_*' ORDER BY rowid
"""
_TABLES_AND_VIEWS = """
    SELECT name, type FROM sqlite_schema
    WHERE type IN ('table', 'view') AND sql NOT LIKE 'CREATE VIRTUAL %' AND name NOT GLOB 'sqlite_*' ORDER BY name
"""

_ROOT = "SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND name = ?"
"""A trigger may be called as its table is."""


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
        except (sqlite3.Error, sqlite3.Warning, OverflowError) as error:
            own = _REFUSED if isinstance(error, sqlite3.ProgrammingError | sqlite3.Warning) else _DAMAGED
            reason = _REASONS.get(getattr(error, "sqlite_errorname", ""), own)
            raise ReadError(resource.target, where + reason) from None


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
        for batch in self._read():
            yield from unfolded(batch, self._json)

    def _read(self) -> Iterator[pa.RecordBatch]:
        self.bytes_read = 0
        with _connected(self.resource, f"table {self.name}: ") as connection:
            self._json = _json_places(_columns(connection, self.name))
            yield from _rows(connection, f"SELECT * FROM {quoted(self.name)}")  # noqa: S608 - quoted
        self.bytes_read = self.size or 0

    def reader(self) -> pa.RecordBatchReader:
        """Every column as text, JSON too; bytes that are no UTF-8 raise ReadError."""
        batches = self._read()
        first = next(batches)
        schema = text_schema(first.schema.names)
        return pa.RecordBatchReader.from_batches(schema, self._as_text(chain([first], batches), schema))

    def _as_text(self, batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        with reading(self.target):
            for batch in batches:
                yield batch.cast(schema)


def _columns(connection: sqlite3.Connection, table: str) -> list[Column]:
    """The columns of a table in the order of `SELECT *`. JSON is what was declared so: SQLite has no type for it."""
    name = quoted(table)
    foreign = {row[3] for row in connection.execute(f"PRAGMA foreign_key_list({name})")}
    return [
        Column(
            column.decode(errors="replace"),
            key="primary" if key else "foreign" if column in foreign else "",
            json=kind.upper() == b"JSON",
        )
        for _, column, kind, _, _, key, hidden in connection.execute(f"PRAGMA table_xinfo({name})")
        if hidden != 1
    ]


def _json_places(columns: Sequence[Column]) -> frozenset[int]:
    return frozenset(place for place, column in enumerate(columns) if column.json)


def _rows(connection: sqlite3.Connection, sql: str) -> Iterator[pa.RecordBatch]:
    cursor = connection.execute(sql)
    return batches_of_rows(cursor.fetchmany, [column[0] for column in cursor.description])


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
        _check_beside(self.resource)


def _check_beside(resource: Resource) -> None:
    for suffix, what in (("-wal", "write-ahead log"), ("-journal", "rollback journal")):
        beside = f"{resource.path}{suffix}"
        if resource.path is not None and os.path.exists(beside) and os.path.getsize(beside):
            reason = f"changes that wait in its {what} are not examined; close the database first"
            raise ReadError(resource.target, reason)


class SqliteDatabaseTable(DatabaseTable):
    """One table, view or query of a database that a URL names."""

    source: SqliteDatabase

    def __init__(self, source: SqliteDatabase, relation: Relation, query: str | None) -> None:
        super().__init__(source, relation)
        self.query = query
        # one step of a query or a view may take long, and Python sees no Ctrl-C in it
        self.reads_ahead = query is not None or relation.elsewhere is not None

    def rows(self) -> Iterator[pa.RecordBatch]:
        where = "the query: " if self.query else f"table {self.name}: "
        with _connected(self.source.resource, where) as connection:
            self.cancel = connection.interrupt
            self.columns = () if self.query else _columns(connection, self.relation.table)
            self.json = _json_places(self.columns)
            if self.sample is not None and self.source.resource.size >= _FEWEST_BYTES:
                yield from self._sampled(connection, self.sample)
            else:
                yield from _rows(connection, self.query or self._select)

    @property
    def _select(self) -> str:
        return f"SELECT * FROM {quoted(self.relation.table)}"  # noqa: S608 - quoted

    def _sampled(self, connection: sqlite3.Connection, sample: Sample) -> Iterator[pa.RecordBatch]:
        names = {column.name.lower() for column in self.columns}
        rowid = next((name for name in _ROWIDS if name not in names), None)
        ((root,),) = connection.execute(_ROOT, (self.relation.table,))
        with self.source.resource.open_seekable() as file:
            pages = TablePages(file, root)
            if rowid is not None and pages.has_rowids:
                self.share, ranges = pages.drawn(sample.share_of(pages.rows(self.seed)), self.name)
                self.drawn, self.drawn_by_row = f"pages, by {rowid}", False
        if rowid is None or not pages.has_rowids:
            yield from self._sampled_by_row(connection, sample)
            return
        sql = f"{self._select} WHERE {rowid} BETWEEN ? AND ?"
        cursors = (connection.execute(sql, each) for each in ranges)
        first = next(cursors)
        rows = chain(first, chain.from_iterable(cursors))
        yield from batches_of_rows(lambda count: list(islice(rows, count)), [column[0] for column in first.description])

    def _sampled_by_row(self, connection: sqlite3.Connection, sample: Sample) -> Iterator[pa.RecordBatch]:
        """For a table that SQLite keeps by another key: all of it is read, and each row drawn by itself."""
        ((count,),) = connection.execute(f"SELECT count(*) FROM {quoted(self.relation.table)}")  # noqa: S608 - quoted
        self.share = sample.share_of(count)
        self.drawn, self.drawn_by_row = "rows, one by one; all were read, as it has no rowid", True
        draw = random.Random(self.seed).random  # noqa: S311 - to be the same in each run
        connection.create_function("pii_guard_draw", 0, draw)
        yield from _rows(connection, f"{self._select} WHERE pii_guard_draw() < {self.share}")


class SqliteDatabase(DatabaseSource):
    """A SQLite file that a URL names: `sqlite:///relative/path`, `sqlite:////absolute/path`."""

    format = "sqlite"
    home = "main"
    capabilities = Capabilities(
        typed=False, nested=False, metadata=False, row_count=False, writable=True, sampling=True
    )

    def __init__(self, url: DatabaseUrl, selection: Selection) -> None:
        super().__init__(url, selection)
        self.resource = LocalFile(url.file(), self.target)
        self.identity = self.resource.identity

    def relations(self) -> list[Relation]:
        if not self.resource.head():  # nothing was ever written to it
            return []
        with _connected(self.resource) as connection:
            rows = connection.execute(_TABLES_AND_VIEWS).fetchall()
        return [
            Relation("", name.decode(errors="replace"), elsewhere="a view" if kind == b"view" else None)
            for name, kind in rows
        ]

    def table(self, relation: Relation, query: str | None = None) -> SqliteDatabaseTable:
        return SqliteDatabaseTable(self, relation, query)

    def tables(self) -> Iterator[Table]:
        yield from super().tables()
        _check_beside(self.resource)
