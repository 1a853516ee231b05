"""MariaDB and MySQL, tables of InnoDB. Every statement that defines something commits by itself, so each is one step.

Values that are written stand in the text of a statement, in hexadecimal: PyMySQL knows no other way. To encrypt, these
are tokens. To roll back, they are plain values: the general log is kept out of it, or else nothing is rolled back.
The last pass holds the table against writers while the server makes a copy of it, as it does for every CHECK.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any, ClassVar

import pyarrow as pa
import pymysql
from pymysql.cursors import SSCursor

from pii_guard.connectors import mysql_errors
from pii_guard.connectors.database import Relation
from pii_guard.connectors.failures import Failure
from pii_guard.errors import UsageError, WriteError
from pii_guard.inplace.dialect import NUMBER, SHORTEST, Survey
from pii_guard.inplace.server import LOCK_SECONDS, ServerDialect

__all__ = ["MysqlDialect"]

_ROW_LOCK_SECONDS = 10
_STREAM_ROWS = 8192

_SESSION = (
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES'",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    f"SET SESSION innodb_lock_wait_timeout = {_ROW_LOCK_SECONDS}",
)

_TYPES = ("varchar", "tinytext", "text", "mediumtext", "longtext")


class MysqlDialect(ServerDialect):
    errors: ClassVar = mysql_errors.ERRORS
    too_long: ClassVar = mysql_errors.TOO_LONG
    mark: ClassVar = "`"
    octets: ClassVar = "octet_length(CONVERT({} USING utf8mb4))"
    number: ClassVar = "bigint NOT NULL AUTO_INCREMENT PRIMARY KEY"
    engine: ClassVar = " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"

    def __init__(self, target: str, relation: Relation, columns: Sequence[str], connection: Any) -> None:
        super().__init__(target, relation, columns, connection, (connection.db or b"").decode())
        for statement in _SESSION:
            self.execute(statement)
        ((self._maria, self._packet),) = self.execute("SELECT version() LIKE '%MariaDB%', @@max_allowed_packet")
        self.page, self._tokens = self.beside("pii_guard_page"), self.beside("pii_guard_tokens")
        self.key = tuple(
            row[0]
            for row in self.execute(
                "SELECT column_name FROM information_schema.statistics "
                f"WHERE {self._here} AND index_name = 'PRIMARY' ORDER BY seq_in_index"
            )
        )
        self._kept = [
            row[0]
            for row in self.execute(
                f"SELECT column_name FROM information_schema.columns WHERE {self._here} AND extra LIKE '%on update%'"
            )
        ]

    # --- statements ----------------------------------------------------------------------------------------------

    @property
    def _here(self) -> str:
        schema, table = self.literal(self.schema), self.literal(self.relation.table)
        return f"table_schema = {schema} AND table_name = {table}"

    def literal(self, text: str) -> str:
        return f"CONVERT(x'{text.encode().hex()}' USING utf8mb4)"

    def execute(self, sql: str) -> list[Any]:
        with self._speaking(), closing(self._connection.cursor()) as cursor:
            cursor.execute(sql)
            return [[_shown(value) for value in row] for row in cursor.fetchall()]

    def fetch(self, sql: str) -> pa.Table:
        with self._speaking(), closing(self._connection.cursor()) as cursor:
            cursor.execute(sql)
            rows = cursor.fetchall()
        return _table([NUMBER, *self.columns], rows)

    def stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        with self._speaking(), closing(self._connection.cursor(SSCursor)) as cursor:
            cursor.execute(sql)
            while rows := cursor.fetchmany(_STREAM_ROWS):
                yield from _table(self.columns, rows).to_batches()

    def write(self, rows: pa.Table) -> None:
        values = [rows[NUMBER].to_pylist()] + [_literals(rows[name]) for name in self.columns]
        parts = [f"({','.join(map(str, row))})" for row in zip(*values, strict=True)]
        size = max(sum(map(len, parts)) // len(parts), 1)
        step = max(int(self._packet) // 4 // size, 1)
        for start in range(0, len(parts), step):
            self.execute(f"INSERT INTO {self._tokens} VALUES {','.join(parts[start : start + step])}")
        kept = [f"{self.name}.{self.quoted(name)} = {self.name}.{self.quoted(name)}" for name in self._kept]
        new = [f"{self.name}.{self.quoted(name)} = {self._tokens}.{self.quoted(name)}" for name in self.columns]
        self.execute(
            f"UPDATE {self._tokens} JOIN {self.page} ON {self.page}.{NUMBER} = {self._tokens}.{NUMBER} "
            f"JOIN {self.name} ON {self.same_row()} SET {', '.join(new + kept)}"
        )

    def prepare_page(self) -> None:
        super().prepare_page()
        columns = ", ".join(f"{self.quoted(name)} longtext" for name in self.columns)
        self.execute(
            f"CREATE TEMPORARY TABLE {self._tokens} ({NUMBER} bigint PRIMARY KEY, {columns}) DEFAULT CHARSET=utf8mb4"
        )

    def clear_page(self) -> None:
        """By TRUNCATE: behind a DELETE every statement passes over the rows of all pages that the server has not purged
        yet. It commits, so it stands in front of the locks of a page; the locks of `exclusive` outlive it."""
        self.execute(f"TRUNCATE {self.page}")
        self.execute(f"TRUNCATE {self._tokens}")

    def after(self) -> str:
        """In steps: the optimizer finds a range of the key in them, and none in a comparison of rows."""
        aliases = iter(self._aliases())

        def placed(name: str) -> str:
            return f"(SELECT {self.quoted(name)} FROM {self.position} AS {next(aliases)})"

        steps = []
        for place, last in enumerate(self.key):
            equal = [f"{self.quoted(name)} = {placed(name)}" for name in self.key[:place]]
            steps.append(" AND ".join([*equal, f"{self.quoted(last)} > {placed(last)}"]))
        return f"({' OR '.join(steps)})"

    def _aliases(self) -> list[str]:
        """Names of the position, one for each time that `after` reads it: so wants it LOCK TABLES."""
        return [f"at{number}" for number in range(len(self.key) * (len(self.key) + 1) // 2)]

    def abandon(self) -> None:
        with suppress(pymysql.MySQLError, OSError):  # a server that is gone has rolled back
            self._connection.rollback()
            with closing(self._connection.cursor()) as cursor:
                cursor.execute("UNLOCK TABLES")

    def failure(self, error: Exception) -> Failure:
        return mysql_errors.failure(error)

    # --- the table -----------------------------------------------------------------------------------------------

    def lock(self) -> bool:
        return bool(self.execute(f"SELECT GET_LOCK('pii_guard_{self.id}', {LOCK_SECONDS})")[0][0] == "1")

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        mine = [self.name, self.journal, self.position, *(f"{self.position} AS {name}" for name in self._aliases())]
        self.execute(f"LOCK TABLES {', '.join(f'{name} WRITE' for name in mine)}")
        try:
            yield
            self.commit()
        finally:
            self.abandon()

    def begins(self, column: str) -> str:
        return f"CAST(LEFT({self.quoted(column)}, 12) AS BINARY)"

    def has_table(self, name: str) -> bool:
        schema, table = self.literal(self.schema), self.literal(name)
        return bool(
            self.execute(
                f"SELECT 1 FROM information_schema.tables WHERE table_schema = {schema} AND table_name = {table}"
            )
        )

    def _checks(self) -> list[Any]:
        """Name and clause of each CHECK of the table."""
        schema, table = self.literal(self.schema), self.literal(self.relation.table)
        if self._maria == "1":
            return self.execute(
                "SELECT constraint_name, check_clause FROM information_schema.check_constraints "
                f"WHERE constraint_schema = {schema} AND table_name = {table}"
            )
        return self.execute(
            "SELECT c.constraint_name, c.check_clause FROM information_schema.check_constraints c "
            "JOIN information_schema.table_constraints t USING (constraint_schema, constraint_name) "
            f"WHERE t.table_schema = {schema} AND t.table_name = {table}"
        )

    def constrained(self) -> Sequence[str]:
        names = [name for name, _ in self._checks()]
        return [column for column in self.columns if self.guard_name(column) in names]

    def constrain(self, column: str) -> None:
        name = self.quoted(column)
        self.execute(
            f"ALTER TABLE {self.name} ADD CONSTRAINT {self.quoted(self.guard_name(column))} CHECK ({name} IS NULL OR "
            f"(CHAR_LENGTH({name}) >= {SHORTEST} AND LEFT({name}, 4) = BINARY 'pgd1' "
            f"AND {name} NOT REGEXP '[^-A-Za-z0-9_]'))"
        )

    def validate(self) -> None:
        pass  # done when it was made, over all rows

    def release(self, column: str) -> None:
        self.execute(f"ALTER TABLE {self.name} DROP CONSTRAINT {self.quoted(self.guard_name(column))}")

    def widened(self, column: str, characters: int) -> str:
        ((charset, collation, nullable),) = self.execute(
            "SELECT character_set_name, collation_name, is_nullable FROM information_schema.columns "
            f"WHERE {self._here} AND column_name = {self.literal(column)}"
        )
        return (
            f"ALTER TABLE {self.name} MODIFY {self.quoted(column)} varchar({characters}) CHARACTER SET {charset} "
            f"COLLATE {collation}{'' if nullable == 'YES' else ' NOT NULL'}"
        )

    def column_names(self) -> Sequence[str]:
        return [
            name for (name,) in self.execute(f"SELECT column_name FROM information_schema.columns WHERE {self._here}")
        ]

    def survey(self) -> Survey:
        ((engine, kind, partitions),) = self.execute(
            "SELECT coalesce(engine, ''), table_type, coalesce((SELECT group_concat(DISTINCT concat_ws(' ', "
            "partition_expression, subpartition_expression)) FROM information_schema.partitions p "
            "WHERE p.table_schema = t.table_schema AND p.table_name = t.table_name), '') "
            f"FROM information_schema.tables t WHERE {self._here}"
        )
        triggers = self.execute(
            "SELECT trigger_name FROM information_schema.triggers WHERE event_object_schema = "
            f"{self.literal(self.schema)} AND event_object_table = {self.literal(self.relation.table)}"
        )
        shown = ", ".join(name for (name,) in triggers)
        ((read_only,),) = self.execute("SELECT @@global.read_only OR @@innodb_read_only")
        checks = (
            (read_only == "1", "the server is read-only"),
            (kind == "SYSTEM VERSIONED", "is system-versioned: its history would keep the plain values"),
            (engine != "InnoDB", f"is of the engine {engine or 'none'}, which has no transactions; use InnoDB"),
            (not self.key, "has no primary key; add one"),
            (bool(triggers), f"has triggers, which would see or change each value: {shown}; drop them"),
        )
        refusals = [reason for wrong, reason in checks if wrong]
        columns = self.execute(
            "SELECT column_name, data_type, coalesce(character_maximum_length, 0), "
            "coalesce(generation_expression, ''), coalesce(column_default, 'NULL') FROM information_schema.columns "
            f"WHERE {self._here}"
        )
        widths = {}
        for name, type, width, generation, default in columns:
            refusals += [
                f"column {column}: the generated column {name} is made of it; drop that first"
                for column in self.columns
                if self.quoted(column) in generation
            ]
            if name not in self.columns:
                continue
            widths[name] = int(width)
            if generation:
                refusals.append(f"column {name}: is generated from others; protect those")
            if default != "NULL":
                refusals.append(f"column {name}: has a default, which is a plain value; drop it")
            if type not in _TYPES:
                refusals.append(f"column {name}: is of type {type}, and tokens are text; change its type first")
        return Survey(refusals + self._uses(partitions), (), widths)

    def _uses(self, partitions: str) -> list[str]:
        """What else of the table stands on the columns."""
        indexes = self.execute(
            f"SELECT column_name, index_name FROM information_schema.statistics WHERE {self._here} "
            "AND column_name IS NOT NULL"
        )
        keys = self.execute(
            "SELECT column_name, constraint_name FROM information_schema.key_column_usage "
            f"WHERE {self._here} AND referenced_table_name IS NOT NULL UNION ALL "
            "SELECT referenced_column_name, constraint_name FROM information_schema.key_column_usage "
            f"WHERE referenced_table_schema = {self.literal(self.schema)} "
            f"AND referenced_table_name = {self.literal(self.relation.table)}"
        )
        found = [
            f"column {column}: is in the index {name}; drop it" for column, name in indexes if column in self.columns
        ]
        found += [
            f"column {column}: is in the foreign key {name}; drop it" for column, name in keys if column in self.columns
        ]
        for column in self.columns:
            if self.quoted(column) in partitions:
                found.append(f"column {column}: is in the key of the partitions")
            found += [
                f"column {column}: is used by the CHECK {name}; drop it"
                for name, clause in self._checks()
                if self.quoted(column) in clause and name != self.guard_name(column)
            ]
        return sorted(set(found))

    def keep_out_of_logs(self) -> None:
        if self._maria == "1":
            self.execute("SET SESSION slow_query_log = 0")
        ((general,),) = self.execute("SELECT @@global.general_log")
        if general == "0":
            return
        try:
            self.execute("SET SESSION sql_log_off = 1")
        except WriteError:
            raise UsageError(
                f"{self.target}: the general log of the server would hold the plain values; "
                "turn it off for the roll-back (SET GLOBAL general_log = 0)"
            ) from None

    def residue(self) -> Sequence[str]:
        columns = ", ".join(map(self.quoted, self.columns))
        return (
            "undo logs, until the server has purged them (SHOW ENGINE INNODB STATUS: History list length)",
            "the binary log, until it is purged: PURGE BINARY LOGS BEFORE NOW();",
            f"statistics of the columns, if there are any, until: ANALYZE TABLE {self.name} PERSISTENT FOR COLUMNS "
            f"({columns}) INDEXES ();",
            "free blocks of the disk: the last pass made the table anew, and the old file was deleted",
            "replicas, until they have caught up; backups and dumps, until they are deleted",
            "the general and the slow query log, where they were on when plain values were written",
        )


def _shown(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _table(names: Sequence[str], rows: Sequence[Sequence[bytes | None]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    kinds = [pa.int64() if name == NUMBER else pa.string() for name in names]
    arrays = [
        pa.array(column, pa.binary()).cast(pa.string()).cast(kind) for column, kind in zip(columns, kinds, strict=True)
    ]
    return pa.Table.from_arrays(arrays, names=list(names))


def _literals(values: pa.ChunkedArray) -> list[str]:
    """Values as SQL has them, in hexadecimal: nothing in them can end the literal."""
    raw = values.cast(pa.binary()).to_pylist()
    return ["NULL" if value is None else f"_utf8mb4 x'{value.hex()}'" for value in raw]
