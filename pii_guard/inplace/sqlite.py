"""SQLite: each page is one transaction of the one writer that there may be; triggers refuse plain values.

Rows are told apart by their rowid, or by the primary key of a table WITHOUT ROWID. Another run is kept away by a lock
file beside the database, which the system releases when a process ends, however it ends.
"""

from __future__ import annotations

import errno
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import pyarrow as pa

from pii_guard.connectors import sqlite_errors
from pii_guard.connectors.database import Relation
from pii_guard.connectors.failures import Failure
from pii_guard.connectors.sqlite import SqliteDatabase
from pii_guard.errors import WriteError
from pii_guard.inplace.dialect import NUMBER, SHORTEST, Dialect, Survey
from pii_guard.keys.files import locked

__all__ = ["SqliteDialect"]

_BUSY_SECONDS = 10
_STREAM_ROWS = 8192
_ROWIDS = ("rowid", "_rowid_", "oid")


class SqliteDialect(Dialect):
    errors: ClassVar = sqlite_errors.ERRORS
    locking: ClassVar = ""
    octets: ClassVar = "length(CAST({} AS BLOB))"
    number: ClassVar = "INTEGER PRIMARY KEY"
    page = "temp.pii_guard_page"

    def __init__(self, target: str, relation: Relation, columns: Sequence[str], path: str, stack: ExitStack) -> None:
        super().__init__(target, relation, columns)
        self._path, self._stack = path, stack
        with self._speaking():
            self._connection = sqlite3.connect(
                f"file:{quote(os.fsencode(path))}?mode=rw", uri=True, isolation_level=None, timeout=_BUSY_SECONDS
            )
            stack.enter_context(closing(self._connection))
        self.execute("PRAGMA trusted_schema = OFF")
        self.execute("PRAGMA secure_delete = ON")
        self._table = self.literal(relation.table)
        self._columns = self.execute(f"PRAGMA table_xinfo({self._table})")
        keys = sorted((row[5], row[1]) for row in self._columns if row[5])
        ((self._sql,),) = self.execute(
            f"SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = {self._table} COLLATE NOCASE"
        )
        if re.search(r"\bWITHOUT\s+ROWID\b", self._sql, re.IGNORECASE):
            self.key = tuple(name for _, name in keys)
        else:
            taken = {row[1].lower() for row in self._columns}
            self.key = tuple(name for name in _ROWIDS if name not in taken)[:1]

    @classmethod
    @contextmanager
    def connected(cls, source: SqliteDatabase, relation: Relation, columns: Sequence[str]) -> Iterator[SqliteDialect]:
        with ExitStack() as stack:
            yield cls(source.target, relation, columns, os.path.abspath(source.url.file()), stack)

    # --- statements ----------------------------------------------------------------------------------------------

    def execute(self, sql: str) -> list[Any]:
        with self._speaking():
            return self._connection.execute(sql).fetchall()

    def fetch(self, sql: str) -> pa.Table:
        return self._rows([NUMBER, *self.columns], self.execute(sql))

    def stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        with self._speaking(), closing(self._connection.execute(sql)) as cursor:
            while rows := cursor.fetchmany(_STREAM_ROWS):
                yield from self._rows(self.columns, rows).to_batches()

    def _rows(self, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> pa.Table:
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
        try:
            arrays = [
                pa.array(column, pa.int64() if name == NUMBER else pa.string())
                for name, column in zip(names, columns, strict=True)
            ]
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            raise WriteError(f"{self.target}: {self.relation.name}: a value is no text but a blob") from None
        return pa.Table.from_arrays(arrays, names=list(names))

    def write(self, rows: pa.Table) -> None:
        names = ", ".join(f"{self.quoted(name)} = ?" for name in self.columns)
        row = f"(SELECT {self._names()} FROM {self.page} WHERE {NUMBER} = ?)"
        values = zip(*(rows[name].to_pylist() for name in [*self.columns, NUMBER]), strict=True)
        with self._speaking():
            self._connection.executemany(f"UPDATE {self.name} SET {names} WHERE ({self._names()}) = {row}", values)

    def prepare_page(self) -> None:
        keys = ", ".join(map(self.quoted, self.key))
        self.execute(f"CREATE TEMPORARY TABLE pii_guard_page ({NUMBER} {self.number}, {keys})")

    def begin(self) -> None:
        self.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        if self._connection.in_transaction:
            self.execute("COMMIT")

    def abandon(self) -> None:
        if self._connection.in_transaction:
            self.execute("ROLLBACK")

    def failure(self, error: Exception) -> Failure:
        return sqlite_errors.failure(error)

    # --- the table -----------------------------------------------------------------------------------------------

    def lock(self) -> bool:
        try:
            self._stack.enter_context(locked(Path(f"{self._path}.pii-guard.lock"), wait=False))
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise WriteError(f"{self.target}: the lock file beside it cannot be made: {error.strerror}") from None
        return True

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        yield  # BEGIN IMMEDIATE keeps all other writers away

    def begins(self, column: str) -> str:
        return f"substr({self.quoted(column)}, 1, 12) COLLATE BINARY"

    def has_table(self, name: str) -> bool:
        return bool(self.execute(f"SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = {self.literal(name)}"))

    def _triggers(self) -> list[str]:
        return [
            row[0]
            for row in self.execute(
                f"SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = {self._table} COLLATE NOCASE"
            )
        ]

    def _guards(self, column: str) -> tuple[str, str]:
        return f"{self.guard_name(column)}_insert", f"{self.guard_name(column)}_update"

    def constrained(self) -> Sequence[str]:
        there = set(self._triggers())
        return [column for column in self.columns if there.issuperset(self._guards(column))]

    def constrain(self, column: str) -> None:
        new = f"NEW.{self.quoted(column)}"
        what = self.literal(f"{self.relation.name}.{column} takes tokens of pii-guard alone")
        for name, event in zip(self._guards(column), ("INSERT", f"UPDATE OF {self.quoted(column)}"), strict=True):
            self.execute(
                f"CREATE TRIGGER {self.quoted(name)} BEFORE {event} ON {self.name} WHEN {new} IS NOT NULL AND NOT "
                f"(typeof({new}) = 'text' AND length({new}) >= {SHORTEST} AND {new} GLOB 'pgd1*' "
                f"AND {new} NOT GLOB '*[^-A-Za-z0-9_]*') BEGIN SELECT RAISE(ABORT, {what}); END"
            )

    def validate(self) -> None:
        pass  # triggers look at what is written; the verification looks at all rows

    def keep_out_of_logs(self) -> None:
        pass  # SQLite logs no statements

    def release(self, column: str) -> None:
        for name in self._guards(column):
            self.execute(f"DROP TRIGGER IF EXISTS {self.quoted(name)}")

    def widened(self, column: str, characters: int) -> str:
        raise NotImplementedError  # no column of SQLite has a width

    def column_names(self) -> Sequence[str]:
        return [row[1] for row in self._columns]

    def survey(self) -> Survey:
        ours = {name for column in self.column_names() for name in self._guards(column)}  # of finished runs, too
        triggers = [name for name in self._triggers() if name not in ours]
        writable = os.access(self._path, os.W_OK) and os.access(os.path.dirname(self._path), os.W_OK)
        checks = (
            (not writable, "the file, or its directory, is read-only"),
            (not self.key, "has no row id that its columns do not hide; give it an INTEGER PRIMARY KEY"),
            (bool(triggers), f"has triggers, which would see or change each value: {', '.join(triggers)}; drop them"),
        )
        refusals = [reason for wrong, reason in checks if wrong]
        for _, name, type, _, default, key, hidden in self._columns:
            if name not in self.columns:
                continue
            if hidden in (2, 3):
                refusals.append(f"column {name}: is generated from others; protect those")
            if key:
                refusals.append(f"column {name}: is in the primary key")
            if default is not None and default.upper() != "NULL":
                refusals.append(f"column {name}: has a default, which is a plain value; drop it")
            if not re.search("CHAR|CLOB|TEXT", type.upper()) or "INT" in type.upper():
                refusals.append(
                    f"column {name}: is of type {type or 'none'}, and tokens are text; change its type first"
                )
            elif self.execute(
                f"SELECT 1 FROM {self.name} WHERE typeof({self.quoted(name)}) NOT IN ('text', 'null') LIMIT 1"
            ):
                refusals.append(f"column {name}: holds blobs; they would come back as text")
        return Survey(refusals + self._uses(), self._views())

    def _uses(self) -> list[str]:
        """What else of the database stands on the columns."""
        found = []
        for _, index, *_ in self.execute(f"PRAGMA index_list({self._table})"):
            names = {row[2] for row in self.execute(f"PRAGMA index_info({self.literal(index)})")}
            ((sql,),) = self.execute(f"SELECT sql FROM sqlite_schema WHERE name = {self.literal(index)}") or ((None,),)
            found += [
                f"column {column}: is in the index {index}; drop it"
                for column in self.columns
                if column in names or (sql and _mentions(sql, column))
            ]
        for (table,) in self.execute("SELECT name FROM sqlite_schema WHERE type = 'table'"):
            for _, _, parent, child, theirs, *_ in self.execute(f"PRAGMA foreign_key_list({self.literal(table)})"):
                mine = child if table.lower() == self.relation.table.lower() else None
                theirs = theirs if parent.lower() == self.relation.table.lower() else None
                found += [
                    f"column {column}: is in a foreign key of {table}; drop it"
                    for column in self.columns
                    if column in (mine, theirs)
                ]
        if re.search(r"\bCHECK\b|\bAS\s*\(", self._sql, re.IGNORECASE):
            found += [
                f"column {column}: a CHECK or a generated column of the table seems to use it; drop that first"
                for column in self.columns
                if _mentions(self._sql, column) > 1
            ]
        return sorted(set(found))

    def _views(self) -> list[str]:
        views = self.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'view'")
        return [
            f"column {column}: the view {name} seems to read it, and will see tokens"
            for name, sql in views
            for column in self.columns
            if _mentions(sql, self.relation.table) and (_mentions(sql, column) or "*" in sql)
        ]

    def residue(self) -> Sequence[str]:
        return (
            "free pages of the file, until: VACUUM; (those that this run has freed are overwritten)",
            "the write-ahead log beside the file, until: PRAGMA wal_checkpoint(TRUNCATE);",
            "blocks of the disk where the rollback journal was, and snapshots of the file system",
            "backups and copies of the file, until they are deleted",
        )


def _mentions(sql: str, name: str) -> int:
    """How often a name stands in a statement, as a word."""
    return len(re.findall(rf"(?<!\w){re.escape(name)}(?!\w)", sql, re.IGNORECASE))
