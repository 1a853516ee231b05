"""PostgreSQL: rows by COPY in both directions, a CHECK that is made NOT VALID and then validated.

Everything is done on one connection, which also holds an advisory lock for as long as it stands: between the client and
the server there may be no pooler that hands out connections by transaction.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any, ClassVar

import adbc_driver_manager
import pyarrow as pa

from pii_guard.connectors import postgresql_errors
from pii_guard.connectors.database import Relation
from pii_guard.connectors.failures import Failure
from pii_guard.connectors.postgresql import BATCHES
from pii_guard.inplace.dialect import NUMBER, SHORTEST, Survey
from pii_guard.inplace.server import LOCK_SECONDS, ServerDialect

__all__ = ["PostgresqlDialect"]

_SESSION = (
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SELECT set_config('lock_timeout', CASE current_setting('lock_timeout') WHEN '0' THEN '10s' "
    "ELSE current_setting('lock_timeout') END, false)",
    # A page is found by its keys: without statistics on it, the planner would rather read the whole table each time.
    "SELECT set_config('enable_hashjoin', 'off', false), set_config('enable_mergejoin', 'off', false)",
)

_OF_TABLE = """
    SELECT current_setting('transaction_read_only') = 'on', current_setting('server_encoding'),
           pg_has_role(c.relowner, 'USAGE'), has_schema_privilege(c.relnamespace, 'CREATE'),
           has_database_privilege(current_database(), 'TEMP'), c.relkind::text, c.relispartition,
           EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid),
           EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid),
           coalesce((SELECT string_agg(DISTINCT t.tgname::text, ', ') FROM pg_trigger t
                     WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'
                     AND t.tgrelid IN (SELECT c.oid UNION SELECT relid FROM pg_partition_tree(c.oid))), '')
    FROM pg_class c WHERE c.oid = {oid}
"""
_OF_COLUMNS = """
    SELECT a.attname::text, format_type(a.atttypid, NULL), CASE WHEN a.atttypmod > 4 THEN a.atttypmod - 4 END,
           a.attgenerated <> ''
    FROM pg_attribute a WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped
"""
_KEY = """
    SELECT a.attname::text
    FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place), pg_attribute a
    WHERE i.indrelid = {oid} AND i.indisprimary AND place <= i.indnkeyatts AND a.attrelid = {oid} AND a.attnum = number
    ORDER BY place
"""
_USES = """
    SELECT a.attname::text, d.classid::regclass::text, d.objid = {oid}, pg_describe_object(d.classid, d.objid, 0),
           coalesce((SELECT c.conname::text FROM pg_constraint c
                     WHERE d.classid = 'pg_constraint'::regclass AND c.oid = d.objid), ''),
           coalesce((SELECT c.contype::text FROM pg_constraint c
                     WHERE d.classid = 'pg_constraint'::regclass AND c.oid = d.objid), ''),
           coalesce((SELECT x.adnum = a.attnum FROM pg_attrdef x
                     WHERE d.classid = 'pg_attrdef'::regclass AND x.oid = d.objid), false),
           coalesce((SELECT v.oid::regclass::text FROM pg_rewrite r JOIN pg_class v ON v.oid = r.ev_class
                     WHERE d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid), ''),
           coalesce((SELECT v.relkind::text FROM pg_rewrite r JOIN pg_class v ON v.oid = r.ev_class
                     WHERE d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid), '')
    FROM pg_attribute a JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = {oid}
         AND d.refobjsubid = a.attnum
    WHERE a.attrelid = {oid} AND a.attnum > 0
"""


class PostgresqlDialect(ServerDialect):
    errors: ClassVar = postgresql_errors.ERRORS
    too_long: ClassVar = postgresql_errors.TOO_LONG
    octets: ClassVar = "octet_length({})"
    number: ClassVar = "bigserial PRIMARY KEY"
    page = "pg_temp.pii_guard_page"

    def __init__(self, target: str, relation: Relation, columns: Sequence[str], connection: Any) -> None:
        super().__init__(target, relation, columns, connection)
        for statement in _SESSION:
            self.execute(statement)
        name = self.literal(self.name)
        self._oid = self.execute(f"SELECT {name}::regclass::oid::bigint")[0][0]
        self.key = tuple(row[0] for row in self.execute(_KEY.format(oid=self._oid)))
        self._views: list[str] = []
        self.commit()

    # --- statements ----------------------------------------------------------------------------------------------

    def execute(self, sql: str) -> list[Any]:
        with self._speaking(), closing(self._connection.cursor()) as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []

    def fetch(self, sql: str) -> pa.Table:
        with self._speaking(), closing(self._connection.cursor(adbc_stmt_kwargs=BATCHES)) as cursor:
            cursor.execute(sql)
            return _text(cursor.fetch_arrow_table())

    def stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        with self._speaking(), closing(self._connection.cursor(adbc_stmt_kwargs=BATCHES)) as cursor:
            cursor.execute(sql)
            with closing(cursor.fetch_record_batch()) as reader:
                for batch in reader:
                    yield batch.cast(pa.schema([(name, pa.string()) for name in batch.schema.names]))

    def write(self, rows: pa.Table) -> None:
        self.execute("TRUNCATE pg_temp.pii_guard_tokens")
        with self._speaking(), closing(self._connection.cursor()) as cursor:
            cursor.adbc_ingest("pii_guard_tokens", rows, mode="append", temporary=True)
        names = ", ".join(f"{self.quoted(name)} = tokens.{self.quoted(name)}" for name in self.columns)
        self.execute(
            f"UPDATE {self.name} SET {names} FROM {self.page}, pg_temp.pii_guard_tokens AS tokens "
            f"WHERE {self.same_row()} AND {self.page}.{NUMBER} = tokens.{NUMBER}"
        )

    def prepare_page(self) -> None:
        super().prepare_page()
        columns = ", ".join(f"{self.quoted(name)} text" for name in self.columns)
        self.execute(f"CREATE TEMPORARY TABLE pii_guard_tokens ({NUMBER} bigint, {columns})")

    def clear_page(self) -> None:
        self.execute(f"TRUNCATE {self.page}")

    def abandon(self) -> None:
        with suppress(adbc_driver_manager.Error, OSError):  # a server that is gone has rolled back
            self._connection.rollback()

    def failure(self, error: Exception) -> Failure:
        return postgresql_errors.failure(error, self._connection)

    # --- the table -----------------------------------------------------------------------------------------------

    def lock(self) -> bool:
        number = (0x70696967 << 32) | self._oid  # "piig", and the table
        end = time.monotonic() + LOCK_SECONDS
        while not (held := self.execute(f"SELECT pg_try_advisory_lock({number})")[0][0]) and time.monotonic() < end:
            time.sleep(0.1)
        self.commit()
        return bool(held)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        self.execute(f"LOCK TABLE {self.name} IN ACCESS EXCLUSIVE MODE")
        yield

    def begins(self, column: str) -> str:
        return f'left({self.quoted(column)}, 12) COLLATE "C"'

    def has_table(self, name: str) -> bool:
        return bool(self.execute(f"SELECT to_regclass({self.literal(self.beside(name))}) IS NOT NULL")[0][0])

    def constrained(self) -> Sequence[str]:
        names = [
            row[0] for row in self.execute(f"SELECT conname::text FROM pg_constraint WHERE conrelid = {self._oid}")
        ]
        return [column for column in self.columns if self.guard_name(column) in names]

    def constrain(self, column: str) -> None:
        name = self.quoted(column)
        self.execute(
            f"ALTER TABLE {self.name} ADD CONSTRAINT {self.quoted(self.guard_name(column))} CHECK "
            f"(left({name}, 4) = 'pgd1' AND length({name}) >= {SHORTEST} AND {name} !~ '[^A-Za-z0-9_-]') NOT VALID"
        )

    def validate(self) -> None:
        for column in self.constrained():
            self.execute(f"ALTER TABLE {self.name} VALIDATE CONSTRAINT {self.quoted(self.guard_name(column))}")

    def keep_out_of_logs(self) -> None:
        pass  # values are parameters, or go by COPY

    def release(self, column: str) -> None:
        self.execute(f"ALTER TABLE {self.name} DROP CONSTRAINT {self.quoted(self.guard_name(column))}")

    def widened(self, column: str, characters: int) -> str:
        return f"ALTER TABLE {self.name} ALTER COLUMN {self.quoted(column)} TYPE text"

    def column_names(self) -> Sequence[str]:
        return [row[0] for row in self._of_columns()]

    def survey(self) -> Survey:
        ((read_only, encoding, owns, may_create, may_temp, kind, part, parent, rules, triggers),) = self.execute(
            _OF_TABLE.format(oid=self._oid)
        )
        found = {name: (type, width, generated) for name, type, width, generated in self._of_columns()}
        checks = (
            (read_only, "the database is read-only: a standby, or default_transaction_read_only"),
            (encoding == "SQL_ASCII", "the database has no encoding (SQL_ASCII), so its values have none"),
            (not self.key, "has no primary key; add one"),
            (kind not in ("r", "p"), "is no table"),
            (part, "is a partition; name its parent"),
            (parent and kind == "r", "other tables inherit from it; protect a copy with --to"),
            (rules, "has a rule, which may change what is written; drop it"),
            (triggers, f"has triggers, which would see or change each value: {triggers}; disable or drop them"),
            (bool(self.relation.withheld), str(self.relation.withheld)),
            (not owns, "belongs to another role; a constraint is for its owner to make"),
            (not may_create, f"this account may make no tables in the schema {self.relation.schema}"),
            (not may_temp, "this account may make no temporary tables in this database"),
        )
        refusals = [reason for wrong, reason in checks if wrong]
        for column in self.columns:
            type, _, generated = found[column]
            if generated:
                refusals.append(f"column {column}: is generated from others; protect those")
            if type not in ("text", "character varying"):
                refusals.append(f"column {column}: is of type {type}, and tokens are text; change its type first")
        uses, notes = self._uses()
        return Survey(refusals + uses, notes, {name: width for name, (_, width, _) in found.items() if width})

    def _of_columns(self) -> list[Any]:
        return self.execute(_OF_COLUMNS.format(oid=self._oid))

    def _uses(self) -> tuple[list[str], list[str]]:
        """What else of the database stands on the columns."""
        refusals, notes = [], []
        for column, catalog, itself, described, constraint, kind, own, view, view_kind in self.execute(
            _USES.format(oid=self._oid)
        ):
            if column not in self.columns or constraint == self.guard_name(column) or kind == "n":
                continue
            if view:
                self._views += [view] if view_kind == "m" else []
                notes.append(f"column {column}: {view} reads it, and will see tokens")
            elif itself:
                refusals.append(f"column {column}: is in the key of the partitions")
            elif own:
                refusals.append(f"column {column}: has a default, which is a plain value; drop it")
            elif catalog == "pg_attrdef":
                refusals.append(f"column {column}: a generated column is made of it; drop that first")
            else:
                refusals.append(f"column {column}: is used by {described}; drop that first")
        return sorted(set(refusals)), sorted(set(notes))

    def residue(self) -> Sequence[str]:
        return (
            f"dead rows, until: VACUUM FULL {self.name}; (locks the table; pg_repack does not)",
            f"statistics of the planner, until: ANALYZE {self.name};",
            *(f"the materialized view {view}, until: REFRESH MATERIALIZED VIEW {view};" for view in self._views),
            "WAL and its archive, base backups and dumps, until they are deleted",
            "replicas and subscribers, until they have caught up and are vacuumed too",
            "logs of statements, where log_statement was on when plain values were written",
        )


def _text(rows: pa.Table) -> pa.Table:
    kinds = [pa.int64() if name == NUMBER else pa.string() for name in rows.column_names]
    return rows.cast(pa.schema(list(zip(rows.column_names, kinds, strict=True))))
