"""PostgreSQL: rows by ADBC, which streams COPY into Arrow; tables by the catalog.

Each table is read in a transaction that cannot write and is rolled back. Columns of a type whose text is not its value
(arrays, hstore, inet, enums, ranges, numeric, dates ...) are cast to text by the server: in the driver's own types,
values of many of them would be bytes of the wire protocol. bytea stays bytes; json and jsonb are parsed. Partitions are
read once, by their parent; children that inherit in the old way are tables of their own.
Large objects and system catalogs are not read. Rate: a million rows of 7 columns a second (benchmarks/database.py).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import Any, ClassVar

import adbc_driver_manager
import pyarrow as pa
from adbc_driver_postgresql import dbapi

from pii_guard.connectors.base import MAX_BATCH_BYTES, Capabilities, bounded, empty_batch
from pii_guard.connectors.database import Column, DatabaseSource, DatabaseTable, Relation, quoted
from pii_guard.connectors.postgresql_errors import ERRORS, failure
from pii_guard.connectors.prefetch import apart
from pii_guard.errors import LostConnectionError, ReadError, UnreachableError

__all__ = ["BATCHES", "PostgresqlSource", "PostgresqlTable", "cancel", "speaking"]

_FEWEST_BLOCKS = 256
"""A sample has so many at least, and what has no more is read whole: rows that stand together are often alike."""

_DEFAULTS = {"connect_timeout": "10", "fallback_application_name": "pii-guard"}
"""Parameters of the connection, where neither the URL nor the environment has them."""
_ENVIRONMENT = {"connect_timeout": "PGCONNECT_TIMEOUT"}

# Within the transaction: where there is a pooler in between, settings of the session are someone else's.
_BEGIN = """
    SELECT set_config('statement_timeout', CASE current_setting('statement_timeout') WHEN '0' THEN '1h'
                                           ELSE current_setting('statement_timeout') END, true),
           set_config('lock_timeout', CASE current_setting('lock_timeout') WHEN '0' THEN '10s'
                                      ELSE current_setting('lock_timeout') END, true),
           set_config('datestyle', 'ISO', true),
           set_config('client_encoding', CASE current_setting('server_encoding') WHEN 'SQL_ASCII' THEN 'SQL_ASCII'
                                         ELSE 'UTF8' END, true)
"""

_TABLES = """
    SELECT c.oid::bigint, n.nspname::text, c.relname::text, c.relkind::text, row_security_active(c.oid),
           greatest(c.relpages, 0)::bigint * current_setting('block_size')::bigint
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    ORDER BY 2, 3
"""
_SIZE = """
    SELECT coalesce(sum(pg_table_size(relid)), 0)::bigint,
           coalesce(sum(pg_relation_size(relid)), 0)::bigint / current_setting('block_size')::bigint
    FROM (SELECT {0} UNION SELECT relid FROM pg_partition_tree({0})) AS part (relid)
"""
"""Waits for locks, as the list of tables must not: one table that is locked would hold up all."""
_COLUMNS = """
    SELECT a.attname::text, coalesce(col_description(a.attrelid, a.attnum), ''),
           CASE (SELECT max(k.contype::text) FROM pg_constraint k
                 WHERE k.conrelid = a.attrelid AND a.attnum = ANY (k.conkey) AND k.contype IN ('p', 'f'))
           WHEN 'p' THEN 'primary' WHEN 'f' THEN 'foreign' ELSE '' END,
           has_column_privilege(a.attrelid, a.attnum, 'SELECT')
    FROM pg_attribute a WHERE a.attrelid = {} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_ELSEWHERE = {"v": "a view", "f": "a table of another server"}

_AS_THEY_ARE = frozenset(
    {"text", "varchar", "bpchar", "name", "int2", "int4", "int8", "float4", "float8", "bool", "bytea"}
)
"""Types that Arrow has too."""
_JSON = frozenset({"json", "jsonb"})

_REFUSALS = {
    r"password authentication failed": "the password is wrong",
    r"no password supplied": "it wants a password; set PGPASSWORD, or write one into ~/.pgpass",
    r"database .* does not exist": "the server has no database of this name",
    r"role .* does not exist": "the server has no such account",
    r"Connection refused|No such file or directory": "no server answers there",
    r"could not translate host name": "no host of this name is known",
    r"timeout expired": "no server answers there in time",
    r"response to SSL|closed the connection unexpectedly": "what answers there speaks as no PostgreSQL server does",
    r"no pg_hba\.conf entry": "the server admits no such connection (pg_hba.conf)",
    r"SSL|certificate": "the TLS connection was refused; see sslmode and sslrootcert",
    r"too many (?:clients|connections)": "the server has no connection left",
    r"invalid": "a parameter of the URL is wrong; @ / ? # in a password are written %40 %2F %3F %23",
}


class PostgresqlTable(DatabaseTable):
    """One table, view or query."""

    source: PostgresqlSource
    drawn = "blocks, by TABLESAMPLE SYSTEM"
    reads_ahead = True

    def __init__(self, source: PostgresqlSource, relation: Relation, query: str | None) -> None:
        super().__init__(source, relation)
        self.query = query

    def rows(self) -> Iterator[pa.RecordBatch]:
        with self.source.connected() as connection, speaking(self.target, self._what, connection):
            self.columns = () if self.query else _columns(connection, self.relation.id)
            sql = self.query.rstrip().rstrip(";") if self.query else self._select(connection)
            with closing(connection.cursor(adbc_stmt_kwargs=BATCHES)) as cursor:
                self.cancel = partial(cancel, cursor)
                described = cursor.adbc_execute_schema(sql)
                if not described.names:
                    if self.query:  # it was only prepared
                        raise ReadError(self.target, "the query: it gives no columns")
                    return
                self.json = frozenset(place for place, field in enumerate(described) if _type(field) in _JSON)
                cursor.execute(_as_text(sql, described))
                with closing(cursor.fetch_record_batch()) as reader:
                    seen = False
                    for batch in reader:
                        batch = batch.rename_columns(described.names)
                        for part in bounded(batch if self.source.sound else _sound(batch)):
                            yield part
                            seen = True
                    if not seen:
                        yield empty_batch(pa.schema([pa.field(name, pa.string()) for name in described.names]))

    @property
    def _what(self) -> str:
        return "the query" if self.query else f"table {self.name}"

    def _select(self, connection: Any) -> str:
        blocks = self._sized(connection)
        only = "ONLY " if self.relation.kind == "r" else ""  # without the tables that inherit from it
        sql = f"SELECT {self.selected()} FROM {only}{quoted(self.relation.schema)}.{quoted(self.relation.table)}"  # noqa: S608 - quoted
        if self.sample is None or blocks <= _FEWEST_BLOCKS:
            return sql
        self.share = max(self.sample.share_of(_rows_by_plan(connection, sql)), _FEWEST_BLOCKS / blocks)
        return f"{sql} TABLESAMPLE SYSTEM ({100 * self.share}) REPEATABLE ({self.seed})" if self.share < 1 else sql

    def _sized(self, connection: Any) -> int:
        """Ask how large it is; return its blocks."""
        with closing(connection.cursor()) as cursor:
            self.cancel = partial(cancel, cursor)
            cursor.execute(_SIZE.format(self.relation.id))
            self.size, blocks = cursor.fetchone()
            return int(blocks)


def cancel(cursor: Any) -> None:
    """End what the server is at for `cursor`; from any thread."""
    with suppress(adbc_driver_manager.Error):  # there may be nothing any more to cancel
        cursor.adbc_cancel()


def _columns(connection: Any, table: int) -> list[Column]:
    with closing(connection.cursor()) as cursor:
        cursor.execute(_COLUMNS.format(table))
        return [Column(name, comment, key, readable) for name, comment, key, readable in cursor.fetchall()]


def _rows_by_plan(connection: Any, sql: str) -> int:
    """How many rows the planner expects, which also looks at tables that were never analyzed."""
    with closing(connection.cursor(adbc_stmt_kwargs=_NO_COPY)) as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
        return int(json.loads(cursor.fetchone()[0])[0]["Plan"]["Plan Rows"])


BATCHES = {"adbc.postgresql.batch_size_hint_bytes": str(MAX_BATCH_BYTES * 3 // 4)}
_NO_COPY = {"adbc.postgresql.use_copy": "false"}
"""For statements of which the server copies nothing."""


def _as_text(sql: str, schema: pa.Schema) -> str:
    """`sql` with columns that are counted through, since two may have one name, and cast where need be."""
    numbers = [quoted(str(number)) for number in range(len(schema))]
    casts = [
        number if _type(field) in _AS_THEY_ARE else f"{number}::text"
        for number, field in zip(numbers, schema, strict=True)
    ]
    return f"SELECT {', '.join(casts)} FROM (\n{sql}\n) AS q ({', '.join(numbers)})"  # noqa: S608 - quoted


def _type(field: pa.Field[Any]) -> str:
    """The type of a column as PostgreSQL calls it."""
    return str((field.metadata or {}).get(b"POSTGRESQL:type", b"").decode())


def _sound(batch: pa.RecordBatch) -> pa.RecordBatch:
    """`batch`, in which text that is no UTF-8 is bytes."""
    columns = []
    for column in batch.columns:
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            column = column.cast(pa.binary())
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


class PostgresqlSource(DatabaseSource):
    """A database of a PostgreSQL server."""

    sound = False
    """Whether its text is UTF-8: the server checks what it takes in, but in a database of encoding SQL_ASCII."""
    format = "postgresql"
    capabilities: ClassVar = Capabilities(
        typed=False, nested=False, metadata=False, row_count=False, writable=True, sampling=True, valid_text=True
    )

    def relations(self) -> list[Relation]:
        at = list[Any]()

        def listed() -> list[Any]:
            with (
                self.connected() as connection,
                speaking(self.target, "the catalog", connection),
                closing(connection.cursor()) as cursor,
            ):
                at.append(cursor)
                cursor.execute(_TABLES)
                return list(cursor.fetchall())

        def give_up() -> None:
            for cursor in at:
                cancel(cursor)

        rows = apart(listed, give_up)
        return [
            Relation(
                schema,
                table,
                size,
                _ELSEWHERE.get(kind),
                "row-level security may hide rows from this account" if hides else "",
                kind=kind,
                id=id,
            )
            for id, schema, table, kind, hides, size in rows
        ]

    def table(self, relation: Relation, query: str | None = None) -> PostgresqlTable:
        return PostgresqlTable(self, relation, query)

    @contextmanager
    def connected(self, *, writes: bool = False) -> Iterator[Any]:
        """A connection within a transaction, which cannot write unless it `writes`. Raises UnreachableError where there
        is none."""
        try:
            connection = dbapi.connect(self._uri())
        except adbc_driver_manager.Error as error:
            raise UnreachableError(self.target, _refusal(str(error))) from None
        try:
            with speaking(self.target, "the session", connection), closing(connection.cursor()) as cursor:
                if not writes:
                    cursor.execute("SET TRANSACTION READ ONLY")
                cursor.execute(_BEGIN)
                self.sound = cursor.fetchall()[0][-1] != "SQL_ASCII"
            yield connection
        finally:
            with suppress(adbc_driver_manager.Error, OSError):  # nothing was written that a failure could lose
                connection.close()

    def _uri(self) -> str:
        given = self.url
        missing = [
            f"{name}={value}"
            for name, value in _DEFAULTS.items()
            if name not in given.options and _ENVIRONMENT.get(name, "") not in os.environ
        ]
        return given.text + ("&" if "?" in given.text else "?") + "&".join(missing)


def _refusal(message: str) -> str:
    """Why there is no connection, in words of ours: libpq repeats parts of a URL that it does not understand."""
    return next(
        (reason for pattern, reason in _REFUSALS.items() if re.search(pattern, message)),
        "the connection was refused; try the same URL with psql",
    )


@contextmanager
def speaking(target: str, what: str, connection: Any) -> Iterator[None]:
    """Turn errors of the driver into errors without its message, which quotes values and the query."""
    try:
        yield
    except ERRORS as error:
        failed = failure(error, connection)
        raise (LostConnectionError if failed.lost else ReadError)(target, f"{what}: {failed.reason}") from None
