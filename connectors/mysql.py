"""MySQL and MariaDB, by PyMySQL: rows stream as the server sends them, every value as the text or bytes that it sends.

Each table is read on a connection of its own, in a transaction that cannot write. Values are not converted, so that
zero dates, JSON and numbers of any size come through. Of system-versioned tables the history is read too.
Rate: some 95,000 rows of 7 columns a second (benchmarks/database.py): PyMySQL is Python. Of large tables it is two to
three times that where connectorx is installed (`mysql_bulk`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing
from typing import Any, ClassVar

import pyarrow as pa
import pymysql

from pii_guard.connectors.base import Capabilities
from pii_guard.connectors.database import Column, DatabaseSource, DatabaseTable, Relation, quoted
from pii_guard.connectors.database_url import DatabaseUrl
from pii_guard.connectors.key_ranges import drawn
from pii_guard.connectors.mysql_bulk import Request, rows_in_bulk, wanted
from pii_guard.connectors.mysql_connection import (
    READ_ONLY,
    UnbufferedCursor,
    connected,
    is_mariadb,
    limits,
    options_of,
    speaking,
)
from pii_guard.connectors.mysql_errors import DENIED
from pii_guard.connectors.mysql_keys import MysqlKeys
from pii_guard.connectors.rows import batches_of_rows
from pii_guard.connectors.selection import Selection

__all__ = ["MysqlSource", "MysqlTable"]

_FEWEST_BYTES = 2 << 20
"""Smaller tables are read whole."""

_SYSTEM = ("information_schema", "mysql", "performance_schema", "sys")
_TABLES = """
    SELECT table_schema, table_name, table_type, coalesce(data_length, 0), coalesce(table_rows, 0)
    FROM information_schema.tables
    WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED', 'VIEW') AND table_schema {}
"""

_COLUMNS = """
    SELECT column_name, column_comment, column_key = 'PRI', find_in_set('select', privileges) > 0, data_type = 'json',
        extra LIKE '%%INVISIBLE%%', data_type IN ('tinyint', 'smallint', 'mediumint', 'int', 'bigint')
    FROM information_schema.columns WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position
"""
_KEYS = """
    SELECT column_name, coalesce(referenced_table_name IS NOT NULL, 0) FROM information_schema.key_column_usage
    WHERE table_schema = %s AND table_name = %s AND (referenced_table_name IS NOT NULL OR constraint_name = 'PRIMARY')
    ORDER BY ordinal_position
"""
_JSON = """
    SELECT constraint_name FROM information_schema.check_constraints WHERE constraint_schema = %s AND table_name = %s
    AND check_clause = concat('json_valid(`', replace(constraint_name, '`', '``'), '`)')
"""
"""In MariaDB, where JSON is text of a column that has such a constraint, of its own name."""


class MysqlTable(DatabaseTable):
    """One table, view or query."""

    source: MysqlSource

    def __init__(self, source: MysqlSource, relation: Relation, query: str | None) -> None:
        super().__init__(source, relation)
        self.query = query
        self.invisible: list[str] = []
        self.key: str | None = None
        """The column of integers that is the primary key."""

    def rows(self) -> Iterator[pa.RecordBatch]:
        what = "the query" if self.query else f"table {self.name}"
        with (
            self.source.connected() as connection,
            speaking(self.target, what),
            closing(connection.cursor(UnbufferedCursor)) as cursor,
        ):
            if self.query is None:
                self.columns = self._described(connection)
            statements, bulk = self._execute(connection, cursor)
            names = [column[0] for column in cursor.description]
            json = {column.name for column in self.columns if column.json}
            self.json = frozenset(place for place, name in enumerate(names) if name in json)

            def fetch(count: int) -> Sequence[Sequence[Any]]:
                rows: Sequence[Sequence[Any]] = cursor.fetchmany(count)
                while not rows and statements:
                    cursor.execute(statements.pop(0))
                    rows = cursor.fetchmany(count)
                return rows

            if bulk is not None:
                self.source.broken.add(self.name)
                if (yield from rows_in_bulk(bulk, names, self.target, what)):
                    self.source.broken.remove(self.name)
                    return
                self.source.bulk = False  # it tries for half a minute to log in
            yield from batches_of_rows(fetch, names)

    def _execute(self, connection: Any, cursor: Any) -> tuple[list[str], Request | None]:
        """Begin to read; return the statements that are left, and how connectorx would read them, if it is to."""
        if self.query is not None:
            cursor.execute(self.query)
            return [], None
        chosen = self.selected("`")
        if chosen == "*":  # which leaves invisible columns out
            chosen = ", ".join(["*", *(quoted(name, "`") for name in self.invisible)])
        whole, *others = parts = self._parts(connection)
        request = self._request(connection)
        first, others = (whole, others) if request is None else (f"{whole} LIMIT 0", parts)
        try:
            cursor.execute(f"SELECT {chosen} {first}")
        except pymysql.MySQLError as error:
            readable = ", ".join(quoted(column.name, "`") for column in self.columns if column.readable)
            if error.args[0] not in DENIED or not readable or self.withheld:
                raise
            chosen = readable
            cursor.execute(f"SELECT {chosen} {first}")  # the server lists no columns on which the account has no right
            self.withheld = "permission denied for its other columns, whose names this account may not see"
        statements = [f"SELECT {chosen} {other}" for other in others]
        return statements, request and request.of_columns(cursor.fields, whole.removeprefix("FROM "))

    def _request(self, connection: Any) -> Request | None:
        """For connectorx, if it is to read all rows."""
        source = self.source
        plain = not source.url.options and str(source.options["password"]).isascii()  # PyMySQL takes it for Latin-1
        able = plain and source.bulk and self.name not in source.broken and self.share == 1
        if not (able and wanted(self.relation)):
            return None
        return Request.of(connection, [limits(connection), *READ_ONLY], self.relation)

    def _described(self, connection: Any) -> list[Column]:
        place = self._schema, self.relation.table
        with closing(connection.cursor()) as cursor:
            found = []
            for sql in (_COLUMNS, _KEYS, *([_JSON] if is_mariadb(connection) else [])):
                cursor.execute(sql, place)
                found.append([[_text(value) for value in row] for row in cursor.fetchall()])
        foreign = {name for name, refers in found[1] if refers == "1"}
        json = {name for rows in found[2:] for (name,) in rows}
        self.invisible = [row[0] for row in found[0] if row[5] == "1"]
        keys = [name for name, refers in found[1] if refers == "0"]
        if self.relation.kind == "SYSTEM VERSIONED":
            del keys[-1:]  # when a row ended, which MariaDB adds
        integers = {row[0] for row in found[0] if row[6] == row[3] == "1"}
        self.key = keys[0] if len(keys) == 1 and keys[0] in integers else None
        return [
            Column(
                name,
                comment,
                "primary" if primary == "1" else "foreign" if name in foreign else "",
                readable == "1",
                is_json == "1" or name in json,
            )
            for name, comment, primary, readable, is_json, *_ in found[0]
        ]

    @property
    def _schema(self) -> str:
        return self.relation.schema or self.source.database

    def _parts(self, connection: Any) -> list[str]:
        """The rows to read in one statement after the other, from `FROM` on."""
        name = f"FROM {quoted(self._schema, '`')}.{quoted(self.relation.table, '`')}"
        if self.relation.kind == "SYSTEM VERSIONED":
            name += " FOR SYSTEM_TIME ALL"
        if self.sample is not None and (self.relation.size or 0) >= _FEWEST_BYTES:
            self.share = self.sample.share_of(self.relation.rows)
        if self.share == 1:
            return [name]
        self.drawn_by_row = self.key is None
        if self.key is None:
            self.drawn = "rows, by RAND(); all were read, as it has no primary key of one integer"
            return [f"{name} WHERE RAND({self.seed}) < {self.share}"]
        self.drawn = "ranges of its primary key"
        keys = MysqlKeys(connection, f"{name} FORCE INDEX (PRIMARY)", quoted(self.key, "`"))
        return keys.among(drawn(keys.strata(), self.share, self.seed))


class MysqlSource(DatabaseSource):
    """A database of a MySQL or MariaDB server, or all of them where the URL names none."""

    format = "mysql"
    capabilities: ClassVar = Capabilities(
        typed=False, nested=False, metadata=False, row_count=False, writable=True, sampling=True
    )
    bulk = True
    """Whether connectorx may read its tables: there was none yet that it could not begin with."""

    def __init__(self, url: DatabaseUrl, selection: Selection) -> None:
        super().__init__(url, selection)
        self.options = options_of(url, self.database)
        self.broken = set[str]()
        """Tables that connectorx was not through with: PyMySQL reads them from then on."""
        self.home = self.database

    @property
    def database(self) -> str:
        """The database that the URL names, or nothing."""
        return self.url.path.strip("/")

    def relations(self) -> list[Relation]:
        where = "= DATABASE()" if self.database else f"NOT IN {_SYSTEM}"
        with (
            self.connected() as connection,
            speaking(self.target, "the catalog"),
            closing(connection.cursor()) as cursor,
        ):
            cursor.execute(_TABLES.format(where))
            rows = [[_text(value) for value in row] for row in cursor.fetchall()]
        return [
            Relation(
                "" if self.database else schema,
                table,
                int(size),
                "a view" if kind == "VIEW" else None,
                rows=int(count),
                kind=kind,
            )
            for schema, table, kind, size, count in sorted(rows)  # the server sorts by a collation
        ]

    def table(self, relation: Relation, query: str | None = None) -> MysqlTable:
        return MysqlTable(self, relation, query)

    def connected(self, *, writes: bool = False) -> AbstractContextManager[Any]:
        """A connection within a transaction, which cannot write unless it `writes`. Raises UnreachableError where there
        is none."""
        return connected(self.target, self.options, writes=writes)


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
