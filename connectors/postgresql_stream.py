"""PostgreSQL for pipelines: COPY in both directions, by ADBC, with the types of the table.

Types that Arrow has not come as text, cast by the server, and text is what they are written from (docs/pipelines.md).
Whatever is written, the definition of the table included, is written in one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.connectors.base import bounded, empty_batch
from pii_guard.connectors.database import Relation, quoted
from pii_guard.connectors.database_url import DatabaseUrl, Mode
from pii_guard.connectors.fitting import JSON, UUID, Fit, Rows, TypedColumn, new_columns
from pii_guard.connectors.postgresql import BATCHES, PostgresqlSource, cancel, speaking
from pii_guard.connectors.postgresql_errors import ERRORS, failure
from pii_guard.connectors.postgresql_swap import filled_beside, put_in_place
from pii_guard.connectors.prefetch import across, apart
from pii_guard.connectors.selection import Selection
from pii_guard.connectors.streams import Stream
from pii_guard.errors import ReadError, TargetError, UsageError, WriteError

__all__ = ["PostgresqlStream"]

_TEXTS = frozenset({"text", "varchar", "bpchar", "name"})
_DIRECT = _TEXTS | frozenset(
    "int2 int4 int8 float4 float8 bool bytea date time timestamp timestamptz uuid json numeric".split()
)
"""Types that COPY takes from Arrow as they are."""

_DAY_0, _DAY = -2_440_588, 86_400_000_000
"""Julian day 0, before which PostgreSQL has no date: infinity, which the driver counts from 2000, overflows to less."""

_DECLARED = {
    pa.bool_(): "boolean",
    **dict.fromkeys((pa.int8(), pa.int16(), pa.uint8()), "smallint"),
    **dict.fromkeys((pa.int32(), pa.uint16()), "integer"),
    **dict.fromkeys((pa.int64(), pa.uint32()), "bigint"),
    pa.uint64(): "numeric(20,0)",
    pa.float32(): "real",
    pa.float64(): "double precision",
    pa.string(): "text",
    pa.binary(): "bytea",
    pa.date32(): "date",
    pa.time64("us"): "time",
    pa.timestamp("us"): "timestamp",
    pa.timestamp("us", "UTC"): "timestamptz",
    UUID: "uuid",
    JSON: "json",
}
_INSTEAD = {
    **dict.fromkeys((pa.int8(), pa.uint8()), pa.int16()),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
}

_TABLE = """
    SELECT n.nspname::text, c.relname::text, c.relkind::text, a.attname::text, format_type(a.atttypid, a.atttypmod),
           a.atthasdef OR a.attidentity <> '', a.attgenerated <> ''
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.oid = to_regclass($1) AND c.relname::text = $2 AND $3 IN ('', n.nspname::text) ORDER BY a.attnum
"""
"""By its whole name: `to_regclass` cuts longer ones."""
_CUT = """
    SELECT name FROM json_array_elements_text($1::json) AS name
    WHERE octet_length(name) > current_setting('max_identifier_length')::int
"""
_CASCADES = """
    SELECT conrelid::regclass::text FROM pg_constraint
    WHERE confrelid = to_regclass($1) AND contype = 'f' AND confdeltype IN ('c', 'n', 'd') ORDER BY 1
"""
_STAGE = "pii_guard_stage"


@dataclass(frozen=True, slots=True)
class _Found:
    """A table as the catalog has it."""

    name: str
    schema: str
    table: str
    kind: str
    columns: tuple[tuple[str, str, bool, bool], ...]
    """Name, declared type, whether the server fills it itself, whether it is computed."""

    @property
    def rows(self) -> str:
        """What stands behind FROM: without the tables that inherit from it."""
        return ("ONLY " if self.kind == "r" else "") + self.name


class PostgresqlStream(Stream):
    """A database of a PostgreSQL server."""

    def __init__(self, url: DatabaseUrl) -> None:
        super().__init__(url)
        self._source = PostgresqlSource(url, Selection())

    def exists(self, relation: Relation) -> bool:
        with (
            self._source.connected() as connection,
            speaking(self.target, "the catalog", connection),
            closing(connection.cursor()) as cursor,
        ):
            return _found(cursor, relation) is not None

    def rows(self, relation: Relation, columns: Sequence[str] | None, where: str | None) -> Iterator[pa.RecordBatch]:
        with (
            self._source.connected() as connection,
            speaking(self.target, f"table {relation.name}", connection),
            closing(connection.cursor(adbc_stmt_kwargs=BATCHES)) as cursor,
        ):
            found = _found(cursor, relation)
            if found is None:
                raise TargetError(f"{self.named(relation)}: there is no such table")
            names = self.chosen(relation, [column[0] for column in found.columns], columns)
            kinds = _kinds(cursor, found, names)
            schema = pa.schema([(name, kind) for name, (_, _, kind) in zip(names, kinds, strict=True)])
            casts = [quoted(name) + cast for name, (_, cast, _) in zip(names, kinds, strict=True)]
            condition = "" if where is None else f"\nWHERE (\n{where}\n)"
            _run(cursor, f"SELECT {', '.join(casts)} FROM {found.rows}{condition}")  # noqa: S608 - quoted
            with closing(cursor.fetch_record_batch()) as reader:
                yield empty_batch(schema)
                for batch in reader:
                    columns_ = [
                        self._typed(array, field, relation) for array, field in zip(batch.columns, schema, strict=True)
                    ]
                    yield from bounded(pa.RecordBatch.from_arrays(columns_, schema=schema))

    def _typed(self, array: pa.Array, field: Any, relation: Relation) -> pa.Array:
        reason = None
        try:
            if pa.types.is_decimal(field.type):
                array = array.cast(field.type)
            elif field.type == pa.string():
                array.validate(full=True)
            elif pa.types.is_date(field.type) and _before(array.cast(pa.int32()), _DAY_0):
                reason = "infinity, or a day that Arrow has not; leave such rows out by `where`"
            elif pa.types.is_timestamp(field.type) and _before(array.cast(pa.int64()), _DAY_0 * _DAY):
                reason = "infinity, or a time that Arrow has not; leave such rows out by `where`"
        except pa.ArrowInvalid:
            text = field.type == pa.string()
            reason = "bytes that are no UTF-8" if text else f"a value that {field.type} has no room for, such as NaN"
        if reason is not None:
            raise ReadError(self.target, f"table {relation.name}: column {field.name} holds {reason}")
        return array

    def write(self, reader: pa.RecordBatchReader, relation: Relation, mode: Mode) -> int:
        where, name = self.named(relation), _name(relation)
        with self._source.connected(writes=True) as connection, closing(connection.cursor()) as cursor:
            rows: Rows | None = None
            made: str | None = None
            with _storing(where, connection):
                cursor.execute("SET LOCAL row_security = off")  # an error where rows would be hidden
                found = _found(cursor, relation)
                self.check_mode(relation, found is not None, mode)
                if found is None:
                    columns = new_columns(reader.schema, _declared, where, _INSTEAD, folds=False)
                    _check_names(cursor, [relation.table, *reader.schema.names], where)
                    direct = frozenset(reader.schema.names)
                else:
                    columns, direct = _there(cursor, found, where)
                    if mode == "swap":
                        made = filled_beside(
                            cursor, found.schema, found.name, lambda lost: self.check_lost(relation, lost)
                        )
                fit = Fit(
                    reader.schema,
                    columns,
                    where,
                    text_for=lambda column: column.name not in direct or column.type in (UUID, JSON),
                )
            rows = Rows(fit.batches(reader, _refused), fit.schema).started()
            with _storing(where, connection, rows):
                if found is None:
                    cursor.execute(f"CREATE TABLE {name} ({_definition(columns)})")
                elif mode == "replace":
                    self._empty(cursor, relation, found)
                into = _found(cursor, Relation(found.schema, made)) if found and made else found
                into = into or _found(cursor, relation)
                assert into is not None  # noqa: S101 - it was made above
                if all(
                    column.name in direct and column.type == kind
                    for column, kind in zip(fit.columns, fit.types, strict=True)
                ):
                    _ingest(cursor, rows, fit.schema, into.table, db_schema_name=into.schema)
                else:
                    _by_stage(cursor, into, fit, rows)
                if found is not None and made is not None:
                    put_in_place(cursor, found.schema, found.table, made)
            with _storing(where, connection, committing=True):
                connection.commit()
        return rows.count

    def _empty(self, cursor: Any, relation: Relation, found: _Found) -> None:
        cursor.execute(_CASCADES, (found.name,))
        self.check_referring(relation, [row[0] for row in cursor.fetchall()])
        _run(cursor, f"DELETE FROM {found.rows}")  # noqa: S608 - quoted


def _run(cursor: Any, sql: str) -> None:
    """Execute what may take long. Where the driver waits in the thread that gets Ctrl-C, it takes it for itself, and
    says that the statement was cancelled."""
    apart(partial(cursor.execute, sql), partial(cancel, cursor))


def _ingest(cursor: Any, rows: Rows, schema: pa.Schema, table: str, **place: Any) -> None:
    """COPY `rows` into a table; they are made in the thread of the caller, who can be interrupted."""

    def copy(batches: Iterator[pa.RecordBatch]) -> None:
        cursor.adbc_ingest(table, pa.RecordBatchReader.from_batches(schema, batches), mode="append", **place)

    across(rows, copy, partial(cancel, cursor))


def _name(relation: Relation) -> str:
    return ".".join(quoted(part) for part in (relation.schema, relation.table) if part)


def _check_names(cursor: Any, names: Sequence[str], where: str) -> None:
    """Raises UsageError for names that the server would cut, so that nothing is found by them."""
    cursor.execute(_CUT, (json.dumps(names),))
    cut = [row[0] for row in cursor.fetchall()]
    if cut:
        raise UsageError(f"{where}: names of more bytes than PostgreSQL keeps: {', '.join(cut)}; nothing was written")


def _found(cursor: Any, relation: Relation) -> _Found | None:
    cursor.execute(_TABLE, (_name(relation), relation.table, relation.schema))
    rows = cursor.fetchall()
    if not rows:
        return None
    schema, table, kind = rows[0][:3]
    columns = tuple(row[3:] for row in rows if row[3] is not None)
    return _Found(f"{quoted(schema)}.{quoted(table)}", schema, table, kind, columns)


def _kinds(cursor: Any, found: _Found, names: Sequence[str]) -> list[tuple[str, str, pa.DataType]]:
    """Of each column: the server's name of its type, that of a domain's base; the cast to read it by; what it gives."""
    described = cursor.adbc_execute_schema(f"SELECT {', '.join(map(quoted, names))} FROM {found.name}")  # noqa: S608 - quoted
    return [_kind(field) for field in described]


def _kind(field: Any) -> tuple[str, str, pa.DataType]:
    name = (field.metadata or {}).get(b"POSTGRESQL:type", b"").decode()
    if name == "numeric":
        modifier = int(field.metadata.get(b"POSTGRESQL:typmod", b"-1")) - 4
        digits, scale = modifier >> 16 & 0xFFFF, modifier & 0x7FF  # numeric.c, make_numeric_typmod
        if modifier >= 0 and scale <= digits <= 76:
            return name, "::text", (pa.decimal128 if digits <= 38 else pa.decimal256)(digits, scale)
    elif name == "oid":
        return name, "::int8", pa.int64()
    elif name in _DIRECT or name == "jsonb":
        return name, "", field.type
    return name, "::text", pa.string()


def _there(cursor: Any, found: _Found, where: str) -> tuple[list[TypedColumn], frozenset[str]]:
    """The columns of a table that is there, and those of them that COPY takes as they are."""
    if found.kind not in ("r", "p"):
        raise TargetError(f"{where} is no table of its own (a view, or a table of another server)")
    if not found.columns:
        return [], frozenset()
    names = [column[0] for column in found.columns]
    columns, direct = [], set()
    for (name, declared, optional, computed), (kind, _, type_) in zip(
        found.columns, _kinds(cursor, found, names), strict=True
    ):
        width = (
            int(declared.partition("(")[2].rstrip(")")) if kind in ("varchar", "bpchar") and "(" in declared else None
        )
        columns.append(TypedColumn(name, type_, declared, width, optional, computed))
        if kind in _DIRECT and (kind != "numeric" or pa.types.is_decimal(type_)):
            direct.add(name)
    return columns, frozenset(direct)


def _declared(kind: pa.DataType) -> str | None:
    if pa.types.is_list(kind):
        element = (
            None if pa.types.is_list(kind.value_type) or kind.value_type in (UUID, JSON) else _declared(kind.value_type)
        )
        return element and f"{element}[]"
    if pa.types.is_decimal(kind):
        return f"numeric({kind.precision},{kind.scale})" if 0 <= kind.scale <= kind.precision else None
    return _DECLARED.get(kind)


def _definition(columns: Sequence[TypedColumn]) -> str:
    return ", ".join(f"{quoted(column.name)} {column.declared}" for column in columns)


def _by_stage(cursor: Any, found: _Found, fit: Fit, rows: Rows) -> None:
    """Through a table of this session, from which the server parses what Arrow has no type for."""
    stage = [
        TypedColumn(column.name, kind, _declared(kind) or "")
        for column, kind in zip(fit.columns, fit.types, strict=True)
    ]
    cursor.execute(f"CREATE TEMPORARY TABLE {_STAGE} ({_definition(stage)}) ON COMMIT DROP")
    _ingest(cursor, rows, fit.schema, _STAGE, temporary=True)
    names = ", ".join(quoted(column.name) for column in fit.columns)
    # An explicit cast to varchar(n) would cut; there is none where the type is that of the column.
    casts = ", ".join(
        quoted(column.name)
        + ("" if (column.type == kind and kind != pa.string()) or column.width else f"::{column.declared}")
        for column, kind in zip(fit.columns, fit.types, strict=True)
    )
    into = f"INSERT INTO {found.name} ({names}) OVERRIDING SYSTEM VALUE"
    _run(cursor, f"{into} SELECT {casts} FROM pg_temp.{_STAGE}")  # noqa: S608 - quoted


def _before(numbers: pa.Array, bound: int) -> bool:
    return bool(pc.any(pc.less(numbers, bound)).as_py())


def _refused(array: pa.Array) -> str | None:
    text = array.storage if array.type == JSON else array
    if text.type == pa.string() and pc.any(pc.match_substring(text, "\0")).as_py():
        return "holds a NUL character, which PostgreSQL has no text with"
    return None


@contextmanager
def _storing(where: str, connection: Any, rows: Rows | None = None, *, committing: bool = False) -> Iterator[None]:
    """Turn errors of the driver into errors without its message, which quotes values."""
    try:
        yield
    except ERRORS as error:
        if rows is not None:
            rows.check()
        failed = failure(error, connection)
        if failed.lost and committing:
            raise WriteError(f"{where}: {failed.reason} while committing; look whether the rows are there") from None
        details = dict(getattr(error, "details", None) or ())
        named = [
            f"{what} {details[key].decode(errors='replace')}"
            for what, key in (("constraint", b"PG_DIAG_CONSTRAINT_NAME"), ("column", b"PG_DIAG_COLUMN_NAME"))
            if key in details
        ]
        said = f"{failed.reason} ({', '.join(named)})" if named else failed.reason
        raise WriteError(f"{where}: {said}; nothing was written") from None
