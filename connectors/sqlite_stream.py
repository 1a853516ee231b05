"""SQLite for pipelines, by the standard library: columns have the types that the table declares for them.

SQLite keeps any value in any column; one that is not of the declared type stops the reading (scans read it as text).
What a write-ahead log holds is read too, as every program that opens the database would.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.connectors.base import empty_batch, os_reason
from pii_guard.connectors.database import Relation, quoted
from pii_guard.connectors.database_url import Mode
from pii_guard.connectors.fitting import JSON, TEXTS, UUID, Fit, Rows, TypedColumn, new_columns
from pii_guard.connectors.rows import batches_made, integers
from pii_guard.connectors.sqlite_errors import ERRORS, failure
from pii_guard.connectors.streams import FileStream
from pii_guard.errors import PiiGuardError, ReadError, UsageError, WriteError

__all__ = ["SqliteStream"]

_SECONDS = 10
"""To wait for others who write, and at the end for those who read."""
_UTC = pa.timestamp("us", "UTC")
_DECIMAL = re.compile(r"(?:DEC|DECIMAL|NUMERIC|DECIMAL_TEXT)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")
_TYPES: tuple[tuple[str, pa.DataType], ...] = (
    (r"BOOL(EAN)?", pa.bool_()),
    (r"DATE", pa.date32()),
    (r"TIME", pa.time64("us")),
    (r"DATETIME|TIMESTAMP", pa.timestamp("us")),
    (r"TIMESTAMPTZ|TIMESTAMP WITH TIME ZONE", _UTC),
    (r".*INT.*", pa.int64()),
    (r".*(CHAR|CLOB|TEXT).*", pa.string()),
    (r".*BLOB.*", pa.binary()),
    (r".*(REAL|FLOA|DOUB).*", pa.float64()),
)
"""What a declared type gives, the first that matches: names of SQL, then the rules of SQLite for affinity
(https://www.sqlite.org/datatype3.html, 3.1). All others give text."""

_DECLARED = {
    pa.bool_(): "BOOLEAN",
    **dict.fromkeys((pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32()), "INTEGER"),
    **dict.fromkeys((pa.float32(), pa.float64()), "REAL"),
    **dict.fromkeys((pa.string(), UUID, JSON), "TEXT"),
    pa.binary(): "BLOB",
    pa.date32(): "DATE",
    pa.time64("us"): "TIME",
    pa.timestamp("us"): "TIMESTAMP",
    _UTC: "TIMESTAMPTZ",
}
_LAST_YEAR = 9999
_EXACT_DIGITS = 15
"""Of a decimal in a column whose affinity makes a floating-point number of it."""

_TRIGGERS = """
    SELECT type, name FROM sqlite_schema
    WHERE (type = 'trigger' AND tbl_name = ? COLLATE NOCASE) OR (type = 'view' AND name = ? COLLATE NOCASE) ORDER BY 2
"""
_STATEMENTS = """
    SELECT type, sql FROM sqlite_schema
    WHERE tbl_name = ? COLLATE NOCASE AND type IN ('table', 'index') AND sql IS NOT NULL ORDER BY rowid
"""


class SqliteStream(FileStream):
    """A SQLite file."""

    def exists(self, relation: Relation) -> bool:
        self._no_schema(relation)
        if not self.path.exists():
            return False
        with self._reading("the list of tables") as connection:
            return bool(_columns(connection, relation.table))

    def rows(self, relation: Relation, columns: Sequence[str] | None, where: str | None) -> Iterator[pa.RecordBatch]:
        self._no_schema(relation)
        what = f"table {relation.name}"
        with self._reading(what) as connection:
            chosen = self.chosen_of(relation, _columns(connection, relation.table), columns)
            schema = pa.schema([(column.name, column.type) for column in chosen])
            condition = "" if where is None else f"\nWHERE (\n{where}\n)"
            names = ", ".join(quoted(column.name) for column in chosen)
            cursor = connection.execute(f"SELECT {names} FROM {quoted(relation.table)}{condition}")  # noqa: S608 - quoted
            yield empty_batch(schema)
            yield from batches_made(cursor.fetchmany, lambda rows: self._batch(rows, schema, what))

    @contextmanager
    def _reading(self, what: str) -> Iterator[sqlite3.Connection]:
        """A connection that cannot write. Turns errors into errors without SQLite's message, which may quote values."""
        path = self.url.file()
        try:
            with path.open("rb"), closing(_connected(path, "ro")) as connection:
                connection.execute("PRAGMA query_only = ON")
                connection.execute("PRAGMA trusted_schema = OFF")
                connection.execute("BEGIN")
                yield connection
        except OSError as error:
            raise ReadError(self.target, os_reason(error)) from None
        except ERRORS as error:
            raise ReadError(self.target, f"{what}: {failure(error).reason}") from None

    def _batch(self, rows: Sequence[tuple[Any, ...]], schema: pa.Schema, what: str) -> pa.RecordBatch:
        arrays = []
        for values, field in zip(rows, schema, strict=True):
            try:
                arrays.append(_typed(values, field.type))
            except (pa.ArrowException, TypeError, ValueError, OverflowError):
                reason = (
                    f"column {field.name} holds a value that is no {field.type}, which its declared type stands for"
                )
                raise ReadError(self.target, f"{what}: {reason}") from None
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def write_into(self, path: Path, reader: pa.RecordBatchReader, relation: Relation, mode: Mode) -> int:
        self._no_schema(relation)
        where, name = self.named(relation), quoted(relation.table)
        with _storing(where):
            connection = _connected(path, "rw" if path == self.path else "rwc")
        with closing(connection):
            with _storing(where):
                connection.execute("BEGIN IMMEDIATE")
                there = _columns(connection, relation.table)
                # SQLite would write pages before the end where its cache is full, for which nobody may be reading, and
                # wait anew for each: so it tries, and keeps them in memory as long as somebody reads
                connection.execute("PRAGMA busy_timeout = 0")
            self.check_mode(relation, bool(there), mode)
            columns = there or new_columns(reader.schema, _declared, where, TEXTS)
            fit = Fit(reader.schema, columns, where)
            rows = Rows(fit.batches(reader, _refused), fit.schema).started()
            with _storing(where):
                _, indexes = self.make_room(connection, relation, name, bool(there), columns, mode)
                names = ", ".join(quoted(column.name) for column in fit.columns)
                marks = ", ".join("?" * len(fit.columns))
                for batch in rows:
                    values = [_stored(array).to_pylist() for array in batch.columns]
                    connection.executemany(
                        f"INSERT INTO {name} ({names}) VALUES ({marks})",  # noqa: S608 - quoted
                        zip(*values, strict=True),
                    )
                for index in indexes:
                    connection.execute(index)
                connection.execute(f"PRAGMA busy_timeout = {1000 * _SECONDS}")
                connection.execute("COMMIT")
        return rows.count

    def definition(self, connection: sqlite3.Connection, relation: Relation) -> tuple[str, list[str]]:
        lost = [
            f"{what} {name}" if what != "view" else "what it is as a view"
            for what, name in connection.execute(_TRIGGERS, (relation.table, relation.table))
        ]
        for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1").fetchall():
            keys = connection.execute(f"PRAGMA foreign_key_list({quoted(table)})").fetchall()
            own = table.lower() == relation.table.lower()
            lost += [
                f"foreign key of {table} to {key[2]}"
                for key in keys
                if key[1] == 0 and (own or key[2].lower() == relation.table.lower())
            ]
        found = connection.execute(_STATEMENTS, (relation.table,)).fetchall()
        table = next((sql for kind, sql in found if kind == "table"), "")
        if re.match(r"CREATE\s+VIRTUAL\b", table, re.IGNORECASE):
            lost.append("what it is as a virtual table")
        if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'").fetchone():
            counted = "SELECT 'the counter of AUTOINCREMENT' FROM sqlite_sequence WHERE name = ? COLLATE NOCASE"
            lost += [row[0] for row in connection.execute(counted, (relation.table,))]
        self.check_lost(relation, lost)
        return table, [sql for kind, sql in found if kind == "index"]

    def _no_schema(self, relation: Relation) -> None:
        if relation.schema:
            raise UsageError(f"{self.target}: SQLite has no schemas; leave schema out")


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    """A connection without transactions that the library begins by itself."""
    return sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode={mode}", uri=True, isolation_level=None, timeout=_SECONDS
    )


def _columns(connection: sqlite3.Connection, table: str) -> list[TypedColumn]:
    rows = connection.execute(f"PRAGMA table_xinfo({quoted(table)})").fetchall()
    keys = sum(1 for row in rows if row[5])
    return [
        TypedColumn(
            name,
            _type(declared),
            declared,
            optional=default is not None or (keys == 1 and bool(key) and declared.upper() == "INTEGER"),  # the rowid
            computed=hidden in (2, 3),
        )
        for _, name, declared, _, default, key, hidden in rows
        if hidden != 1
    ]


def _type(declared: str) -> pa.DataType:
    declared = declared.upper().strip()
    decimal = _DECIMAL.fullmatch(declared)
    if decimal and 0 < int(decimal[1]) <= 76 and int(decimal[2] or 0) <= int(decimal[1]):
        digits = int(decimal[1])
        if digits <= _EXACT_DIGITS or declared.startswith("DECIMAL_TEXT"):
            return (pa.decimal128 if digits <= 38 else pa.decimal256)(digits, int(decimal[2] or 0))
    return next((kind for pattern, kind in _TYPES if re.fullmatch(pattern, declared)), pa.string())


def _declared(kind: pa.DataType) -> str | None:
    if pa.types.is_decimal(kind):
        # by the rules of SQLite a name with TEXT in it keeps digits as they are, where DECIMAL makes a floating-point
        # number of them
        return f"DECIMAL_TEXT({kind.precision},{kind.scale})" if 0 <= kind.scale <= kind.precision else None
    return _DECLARED.get(kind)


def _typed(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Raises an error of Arrow, or TypeError, for a value that is not of this type."""
    types = pa.types
    if types.is_boolean(kind):
        numbers = integers(values)
        if pc.any(pc.or_(pc.less(numbers, 0), pc.greater(numbers, 1))).as_py():
            raise TypeError
        return numbers.cast(kind)
    if types.is_integer(kind):
        return integers(values)
    if types.is_floating(kind) or types.is_binary(kind):
        return pa.array(values, kind)
    if types.is_string(kind):
        return pa.array([str(value) if isinstance(value, int | float) else value for value in values], kind)
    if types.is_decimal(kind):
        return pa.array([None if value is None else str(value) for value in values], pa.string()).cast(kind)
    text = pa.array(values, pa.string())
    if types.is_time(kind):
        return pc.binary_join_element_wise("1970-01-01 ", text, "").cast(pa.timestamp("us")).cast(kind)
    return text.cast(kind)


def _stored(array: pa.Array) -> pa.Array:
    """Values as SQLite keeps them: numbers, text, bytes."""
    if array.type == _UTC:
        array = pc.binary_join_element_wise(array.cast(pa.timestamp("us")).cast(pa.string()), "+00:00", "")
    if pa.types.is_temporal(array.type) or pa.types.is_decimal(array.type):
        return array.cast(pa.string())
    return array.cast(pa.int8()) if pa.types.is_boolean(array.type) else array


def _refused(array: pa.Array) -> str | None:
    if pa.types.is_floating(array.type) and pc.any(pc.is_nan(array)).as_py():
        return "holds NaN, which SQLite would keep as null"
    if pa.types.is_date(array.type) or pa.types.is_timestamp(array.type):
        years = pc.min_max(pc.year(array))
        if array.null_count < len(array) and not 0 <= years["min"].as_py() <= years["max"].as_py() <= _LAST_YEAR:
            return "holds a day outside of the years 0000 to 9999, for which SQLite has no text"
    return None


@contextmanager
def _storing(where: str) -> Iterator[None]:
    """Turn errors of SQLite into errors without its message, which may quote values."""
    try:
        yield
    except PiiGuardError:
        raise
    except ERRORS as error:
        raise WriteError(f"{where}: {failure(error).reason}; nothing was written") from None
