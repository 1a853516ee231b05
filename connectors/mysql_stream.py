"""MySQL and MariaDB for pipelines, by PyMySQL: rows as the server sends them, cast to the types of the table.

Rows are written as INSERTs of many rows each, whose text Arrow's kernels make: PyMySQL would quote each value in
Python. Statements that make tables end a transaction there, so a new table is filled under a name of its own and takes
the name that was asked for when it is complete.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pymysql

from pii_guard.connectors.base import empty_batch
from pii_guard.connectors.database import Relation, quoted
from pii_guard.connectors.database_url import DatabaseUrl, Mode
from pii_guard.connectors.fitting import JSON, TEXTS, UUID, Fit, Rows, TypedColumn, new_columns
from pii_guard.connectors.mysql import MysqlSource
from pii_guard.connectors.mysql_connection import UnbufferedCursor, speaking
from pii_guard.connectors.mysql_errors import ERRORS, TOO_LONG, failure
from pii_guard.connectors.mysql_swap import lost, name_of, renamed, uncopied
from pii_guard.connectors.rows import batches_made
from pii_guard.connectors.selection import Selection
from pii_guard.connectors.streams import Stream
from pii_guard.errors import ReadError, TargetError, UsageError, WriteError

__all__ = ["MysqlStream"]

_INTEGERS = {
    "tinyint": (pa.int8(), pa.uint8()),
    "smallint": (pa.int16(), pa.uint16()),
    "mediumint": (pa.int32(), pa.uint32()),
    "int": (pa.int32(), pa.uint32()),
    "bigint": (pa.int64(), pa.uint64()),
}
_UTC = pa.timestamp("us", "UTC")
_TYPES = {
    "float": pa.float32(),
    "double": pa.float64(),
    "year": pa.int16(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "datetime": pa.timestamp("us"),
    "timestamp": _UTC,
    **dict.fromkeys(
        "bit binary varbinary tinyblob blob mediumblob longblob geometry point linestring polygon multipoint "
        "multilinestring multipolygon geometrycollection geomcollection".split(),
        pa.binary(),
    ),
}
"""What columns give by their type; all others are text."""

_DECLARED = {
    pa.bool_(): "tinyint(1)",
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.uint8(): "tinyint unsigned",
    pa.uint16(): "smallint unsigned",
    pa.uint32(): "int unsigned",
    pa.uint64(): "bigint unsigned",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.string(): "longtext",
    pa.binary(): "longblob",
    pa.date32(): "date",
    pa.time64("us"): "time(6)",
    pa.timestamp("us"): "datetime(6)",
    _UTC: "timestamp(6) NULL",
    UUID: "char(36)",
    JSON: "longtext",
}
_DIGITS, _SCALE = 65, 30
"""Of a decimal, at most (MySQL; MariaDB allows a scale of 38)."""

_COLUMNS = """
    SELECT column_name, data_type, column_type, numeric_precision, numeric_scale, character_maximum_length, extra,
           column_default IS NOT NULL AND column_default <> 'NULL'
    FROM information_schema.columns WHERE table_schema = coalesce(%s, DATABASE()) AND table_name = %s
    ORDER BY ordinal_position
"""
_TABLE = """
    SELECT t.table_type, coalesce(t.engine, ''), coalesce(e.transactions, '') FROM information_schema.tables t
    LEFT JOIN information_schema.engines e ON e.engine = t.engine
    WHERE table_schema = coalesce(%s, DATABASE()) AND table_name = %s
"""
_CASCADES = """
    SELECT table_name FROM information_schema.referential_constraints
    WHERE unique_constraint_schema = coalesce(%s, DATABASE()) AND referenced_table_name = %s
      AND delete_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT') ORDER BY 1
"""
_STRICT = (
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00'"
)

_MOST_BYTES = 4 << 20
"""Of one INSERT."""

_OF_COLUMNS = frozenset({1048, 1264, TOO_LONG})
"""Codes of errors whose message names the column, and no value."""
_COLUMN = re.compile(r"[Cc]olumn '([^']+)'")
_OF_VALUES = frozenset({1292, 1366})
"""Codes of errors whose message quotes a value, and ends with the column."""
_LAST_COLUMN = re.compile(r"column (?:[^ ]*\.)?['`]([^'`]+)['`] at row \d+$")


class MysqlStream(Stream):
    """A database of a MySQL or MariaDB server."""

    def __init__(self, url: DatabaseUrl) -> None:
        super().__init__(url)
        self._source = MysqlSource(url, Selection())

    def exists(self, relation: Relation) -> bool:
        self._check_schema(relation)
        with (
            self._source.connected() as connection,
            speaking(self.target, "the catalog"),
            closing(connection.cursor()) as cursor,
        ):
            return bool(_columns(cursor, relation))

    def rows(self, relation: Relation, columns: Sequence[str] | None, where: str | None) -> Iterator[pa.RecordBatch]:
        self._check_schema(relation)
        what = f"table {relation.name}"
        with self._source.connected() as connection, speaking(self.target, what):
            with closing(connection.cursor()) as cursor:
                cursor.execute("SET SESSION time_zone = '+00:00'")
                there = _columns(cursor, relation)
            chosen = self.chosen_of(relation, there, columns)
            schema = pa.schema([(column.name, column.type) for column in chosen])
            condition = "" if where is None else f"\nWHERE (\n{where}\n)"
            # the text of a FLOAT has six digits, that of a DOUBLE all
            names = [quoted(column.name, "`") + (" + 0e0" if column.type == pa.float32() else "") for column in chosen]
            with closing(connection.cursor(UnbufferedCursor)) as cursor:
                cursor.execute(f"SELECT {', '.join(names)} FROM {name_of(relation)}{condition}")  # noqa: S608 - quoted
                yield empty_batch(schema)
                yield from batches_made(cursor.fetchmany, lambda rows: self._batch(rows, chosen, schema, what))

    def _batch(
        self, rows: Sequence[Any], columns: Sequence[TypedColumn], schema: pa.Schema, what: str
    ) -> pa.RecordBatch:
        arrays = [self._typed(values, column, what) for values, column in zip(rows, columns, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _typed(self, values: Sequence[bytes | None], column: TypedColumn, what: str) -> pa.Array:
        array = pa.array(values, pa.binary())
        if column.type == pa.binary():
            return array
        try:
            text = array.cast(pa.string())
            if column.type == pa.time64("us"):
                day = pa.scalar("1970-01-01 ")
                return pc.binary_join_element_wise(day, text, "").cast(pa.timestamp("us")).cast(column.type)
            if column.type == _UTC:
                return text.cast(pa.timestamp("us")).cast(_UTC)
            return text.cast(pa.float64()).cast(column.type) if column.type == pa.float32() else text.cast(column.type)
        except pa.ArrowInvalid:
            reason = (
                f"column {column.name} holds a value that {column.type} has no room for, such as the date 0000-00-00"
            )
            raise ReadError(self.target, f"{what}: {reason}") from None

    def write(self, reader: pa.RecordBatchReader, relation: Relation, mode: Mode) -> int:
        self._check_schema(relation)
        where = self.named(relation)
        with self._source.connected(writes=True) as connection, closing(connection.cursor()) as cursor:
            with _storing(where):
                cursor.execute(_STRICT)
                there = self._found(cursor, relation, where)
                self.check_mode(relation, there is not None, mode)
                columns = new_columns(reader.schema, _declared, where, TEXTS) if there is None else there
                fit = Fit(reader.schema, columns, where)
                cursor.execute("SELECT @@max_allowed_packet")
                room = min(int(cursor.fetchone()[0]) // 2, _MOST_BYTES)
            rows = Rows(fit.batches(reader, _refused), fit.schema).started()
            if there is None:
                self._create(connection, cursor, relation, fit, rows, room)
                return rows.count
            if mode == "swap":
                self._swap(connection, cursor, relation, fit, rows, room)
                return rows.count
            with _storing(where):
                if mode == "replace":
                    self._empty(cursor, relation)
                _insert(cursor, name_of(relation), fit, rows, room)
            with _storing(where, committing=True):
                connection.commit()
        return rows.count

    def _create(self, connection: Any, cursor: Any, relation: Relation, fit: Fit, rows: Rows, room: int) -> None:
        where = self.named(relation)
        made = name_of(Relation(relation.schema, f"pii_guard_{secrets.token_hex(8)}"))
        definition = ", ".join(f"{quoted(column.name, '`')} {column.declared}" for column in fit.columns)
        try:
            with _storing(where):
                cursor.execute(f"CREATE TABLE {made} ({definition}) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4")
                _insert(cursor, made, fit, rows, room)
                connection.commit()
            with _storing(where, committing=True):
                cursor.execute(f"RENAME TABLE {made} TO {name_of(relation)}")
        except BaseException:
            with suppress(pymysql.MySQLError, OSError):  # gone with its connection: docs/pipelines.md says what stays
                connection.rollback()
                cursor.execute(f"DROP TABLE IF EXISTS {made}")
            raise

    def _swap(self, connection: Any, cursor: Any, relation: Relation, fit: Fit, rows: Rows, room: int) -> None:
        where, name = self.named(relation), name_of(relation)
        new = Relation(relation.schema, f"pii_guard_{secrets.token_hex(8)}")
        old = Relation(relation.schema, f"{new.table}_old")
        with self._source.connected(writes=True) as holder, closing(holder.cursor()) as holding:
            try:
                with _storing(where):
                    holding.execute(f"LOCK TABLES {name} READ")
                    self.check_lost(relation, lost(cursor, relation))
                    cursor.execute(f"CREATE TABLE {name_of(new)} LIKE {name}")
                    self.check_lost(relation, uncopied(cursor, relation, new))
                    _insert(cursor, name_of(new), fit, rows, room)
                    connection.commit()
                with _storing(where, committing=True):
                    renamed(connection, holder, f"{name} TO {name_of(old)}, {name_of(new)} TO {name}")
            except BaseException:
                with suppress(
                    pymysql.MySQLError, OSError
                ):  # gone with its connection: docs/pipelines.md says what stays
                    connection.rollback()
                    cursor.execute(f"DROP TABLE IF EXISTS {name_of(new)}, {name_of(old)}")
                raise
        try:
            cursor.execute(f"DROP TABLE {name_of(old)}")
        except (pymysql.MySQLError, OSError):
            said = f"the rows are written, but the table of the old ones could not be dropped: drop {old.name}"
            raise WriteError(f"{where}: {said}") from None

    def _empty(self, cursor: Any, relation: Relation) -> None:
        cursor.execute(_CASCADES, (relation.schema or None, relation.table))
        self.check_referring(relation, [row[0].decode(errors="replace") for row in cursor.fetchall()])
        cursor.execute(f"DELETE FROM {name_of(relation)}")  # noqa: S608 - quoted

    def _found(self, cursor: Any, relation: Relation, where: str) -> list[TypedColumn] | None:
        cursor.execute(_TABLE, (relation.schema or None, relation.table))
        rows = [[value.decode() for value in row] for row in cursor.fetchall()]
        if not rows:
            return None
        kind, engine, transactions = rows[0]
        if "VIEW" in kind:
            raise TargetError(f"{where} is a view, no table of its own")
        if transactions != "YES":
            raise TargetError(
                f"{where}: its engine {engine} has no transactions, so a failure would leave a part behind"
            )
        return _columns(cursor, relation)

    def _check_schema(self, relation: Relation) -> None:
        if not relation.schema and not self._source.database:
            raise UsageError(f"{self.target}: names no database; write one into the URL, or give it as schema")


def _columns(cursor: Any, relation: Relation) -> list[TypedColumn]:
    cursor.execute(_COLUMNS, (relation.schema or None, relation.table))
    return [_column(["" if value is None else value.decode() for value in row]) for row in cursor.fetchall()]


def _column(row: Sequence[str]) -> TypedColumn:
    name, kind, declared, digits, scale, width, extra, default = row
    extra = extra.upper()
    if kind in _INTEGERS:
        given = _INTEGERS[kind]["unsigned" in declared]
    elif kind == "decimal":
        given = (pa.decimal128 if int(digits) <= 38 else pa.decimal256)(int(digits), int(scale))
    else:
        given = _TYPES.get(kind, pa.string())
    return TypedColumn(
        name,
        given,
        declared,
        width=int(width) if kind in ("char", "varchar", "binary", "varbinary") else None,
        optional=default == "1" or "AUTO_INCREMENT" in extra or "DEFAULT_GENERATED" in extra,
        computed="VIRTUAL GENERATED" in extra or "STORED GENERATED" in extra,
    )


def _declared(kind: pa.DataType) -> str | None:
    if pa.types.is_decimal(kind):
        fits = 0 <= kind.scale <= min(kind.precision, _SCALE) and kind.precision <= _DIGITS
        return f"decimal({kind.precision},{kind.scale})" if fits else None
    return _DECLARED.get(kind)


def _refused(array: pa.Array) -> str | None:
    if pa.types.is_floating(array.type) and pc.any(pc.invert(pc.is_finite(array))).as_py():
        return "holds NaN or infinity, which MySQL has no number for"
    return None


def _insert(cursor: Any, name: str, fit: Fit, rows: Rows, room: int) -> None:
    names = ", ".join(quoted(column.name, "`") for column in fit.columns)
    head = f"INSERT INTO {name} ({names}) VALUES ".encode()  # noqa: S608 - quoted
    for batch in rows:
        for values in _values(batch, room):
            cursor.execute(head + values)


def _values(batch: pa.RecordBatch, room: int) -> Iterator[bytes]:
    """The rows as `(...),(...)`, in parts of about `room` bytes, one row at least."""
    columns = [_literals(column) for column in batch.columns]
    if not batch.num_rows:
        return
    comma = pa.scalar(b",", pa.large_binary())
    joined = pc.binary_join_element_wise(*columns, comma) if len(columns) > 1 else columns[0]
    nothing = pa.scalar(b"", pa.large_binary())
    rows = pc.binary_join_element_wise(
        pa.scalar(b"(", pa.large_binary()), joined, pa.scalar(b"),", pa.large_binary()), nothing
    )
    data = memoryview(rows.buffers()[2])
    ends = np.frombuffer(rows.buffers()[1], np.int64)[rows.offset : rows.offset + len(rows) + 1]
    start = 0
    while start < len(rows):
        stop = max(int(np.searchsorted(ends, ends[start] + room, side="right")) - 1, start + 1)
        yield bytes(data[ends[start] : ends[stop] - 1])  # without the comma behind the last row
        start = stop


def _literals(array: pa.Array) -> pa.Array:
    """Values as literals of SQL, in the manner of a session whose strings have escapes (no NO_BACKSLASH_ESCAPES)."""
    kind = array.type
    if pa.types.is_boolean(kind):
        text = array.cast(pa.int8()).cast(pa.string()).cast(pa.large_binary())
    elif pa.types.is_binary(array.type) or pa.types.is_string(array.type):
        text = array.cast(pa.large_binary())
        for sign, escaped in ((b"\\", b"\\\\"), (b"'", b"\\'")):
            text = pc.replace_substring(text, sign, escaped)
        text = _around(text, b"_binary'" if pa.types.is_binary(array.type) else b"'")
    else:
        naive = array.cast(pa.timestamp("us")) if kind == _UTC else array
        text = naive.cast(pa.string()).cast(pa.large_binary())
        if pa.types.is_temporal(kind):
            text = _around(text, b"'")
    return pc.fill_null(text, pa.scalar(b"NULL", pa.large_binary()))


def _around(text: pa.Array, mark: bytes) -> pa.Array:
    kind = pa.large_binary()
    return pc.binary_join_element_wise(pa.scalar(mark, kind), text, pa.scalar(b"'", kind), pa.scalar(b"", kind))


@contextmanager
def _storing(where: str, *, committing: bool = False) -> Iterator[None]:
    """Turn errors of the driver into errors without its message, which quotes values."""
    try:
        yield
    except ERRORS as error:
        failed = failure(error)
        if failed.lost and committing:
            raise WriteError(f"{where}: {failed.reason} while committing; look whether the rows are there") from None
        pattern = _LAST_COLUMN if failed.code in _OF_VALUES else _COLUMN if failed.code in _OF_COLUMNS else None
        column = pattern and pattern.search(str(error.args[-1]))
        said = f"{failed.reason} (column {column[1]})" if column else failed.reason
        raise WriteError(f"{where}: {said}; nothing was written") from None
