"""MySQL and MariaDB, by PyMySQL: rows stream as the server sends them, every value as the text or bytes that it sends.

Each table is read on a connection of its own, in a transaction that cannot write. Values are not converted, so that
zero dates, JSON and numbers of any size come through. Of system-versioned tables the history is read too.
Rate: some 95,000 rows of 7 columns a second (benchmarks/database.py): PyMySQL is Python. Of large tables it is two to
three times that where connectorx is installed (`mysql_bulk`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any, ClassVar

import pyarrow as pa
import pymysql
from pymysql.cursors import SSCursor

from pii_guard.connectors.base import Capabilities
from pii_guard.connectors.database import Column, DatabaseSource, DatabaseTable, Relation, quoted
from pii_guard.connectors.database_url import DatabaseUrl
from pii_guard.connectors.key_ranges import drawn
from pii_guard.connectors.mysql_bulk import Request, rows_in_bulk, wanted
from pii_guard.connectors.mysql_errors import DENIED, ERRORS, failure
from pii_guard.connectors.mysql_keys import MysqlKeys
from pii_guard.connectors.rows import batches_of_rows
from pii_guard.connectors.selection import Selection
from pii_guard.errors import LostConnectionError, ReadError, TargetError, UnreachableError

__all__ = ["MysqlSource", "MysqlTable", "UnbufferedCursor", "speaking"]

_FEWEST_BYTES = 2 << 20
"""Smaller tables are read whole."""

_OPTIONS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("unix_socket", "ssl_ca", "ssl_cert", "ssl_key", "ssl_key_password"), str),
    **dict.fromkeys(("connect_timeout", "read_timeout"), int),
    **dict.fromkeys(
        ("ssl_verify_cert", "ssl_verify_identity", "ssl_disabled"), lambda text: text.lower() in ("1", "true", "yes")
    ),
}
"""What a URL may say behind its `?`, and how it is read."""

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

_READ_ONLY = ("SET SESSION TRANSACTION READ ONLY", "START TRANSACTION READ ONLY")
_OWN = """
    SELECT that.id FROM information_schema.processlist that JOIN information_schema.processlist this
    ON that.user = this.user AND that.db <=> this.db
    AND substring_index(that.host, ':', 1) = substring_index(this.host, ':', 1)
    WHERE this.id = connection_id() AND that.id = %s
"""
"""A connection of the same account, database and machine as the one that asks."""

_SILENT = "what answers there speaks as no MySQL or MariaDB server does, or not in time"
_REFUSALS: dict[Any, str] = {
    1040: "the server has no connection left",
    1044: "the account may not use this database",
    1045: "the account or its password is wrong; set MYSQL_PWD, or name a variable in the URL",
    1049: "the server has no database of this name",
    1698: "the account or its password is wrong; set MYSQL_PWD, or name a variable in the URL",
    2002: "no server answers there",
    2003: "no server answers there",
    2006: _SILENT,
    2013: _SILENT,
    2026: "the TLS connection was refused; see ssl_ca and ssl_verify_identity",
}


class UnbufferedCursor(SSCursor):  # type: ignore[misc]
    def close(self) -> None:
        """Let go of the result; PyMySQL would read all rows that are left, or try to on a connection that is lost."""
        if self._result is not None:
            self._result.unbuffered_active = False
        super().close()

    @property
    def fields(self) -> Sequence[Any]:
        """The columns of the result: `name`, `type_code`, `charsetnr`."""
        fields: Sequence[Any] = self._result.fields
        return fields


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
        return Request.of(connection, [_limits(connection), *_READ_ONLY], self.relation)

    def _described(self, connection: Any) -> list[Column]:
        place = self._schema, self.relation.table
        with closing(connection.cursor()) as cursor:
            found = []
            for sql in (_COLUMNS, _KEYS, *([_JSON] if _is_mariadb(connection) else [])):
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
        self.options = self._options()
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

    @contextmanager
    def connected(self, *, writes: bool = False) -> Iterator[Any]:
        """A connection within a transaction, which cannot write unless it `writes`. Raises UnreachableError where there
        is none."""
        try:
            connection = pymysql.connect(**{**self.options, "read_timeout": self.options["connect_timeout"]})
        except pymysql.MySQLError as error:
            code = error.args[0] if error.args else 0
            said = f"the connection was refused (code {code})" if isinstance(code, int) else _SILENT
            raise UnreachableError(self.target, _REFUSALS.get(code, said)) from None
        except (OSError, ValueError, RuntimeError) as error:  # files of certificates, what a way to log in needs
            reason = f"the connection failed ({type(error).__name__}); see the options of the URL"
            raise UnreachableError(self.target, reason) from None
        connection._read_timeout = self.options.get("read_timeout")  # PyMySQL knows no other one while it connects
        try:
            with speaking(self.target, "the session"), closing(connection.cursor()) as cursor:
                for statement in (_limits(connection), *(() if writes else _READ_ONLY)):
                    cursor.execute(statement)
            yield connection
        except BaseException as error:
            if not isinstance(error, Exception | GeneratorExit):  # Ctrl-C
                self._end(connection.thread_id())
            raise
        finally:
            with suppress(pymysql.MySQLError):  # nothing was written that a failure could lose
                connection.close()

    def _end(self, thread: int) -> None:
        """End what the server is at for a connection: that it is closed shows to the server when it has rows to send.

        Behind a balancer another server may answer, so that the number alone does not say whose it is.
        """
        options = {**self.options, "connect_timeout": 2, "read_timeout": 2}
        with (
            suppress(pymysql.MySQLError, OSError),
            closing(pymysql.connect(**options)) as connection,
            closing(connection.cursor()) as cursor,
        ):
            if cursor.execute(_OWN, thread):
                cursor.execute("KILL %s", thread)

    def _options(self) -> dict[str, Any]:
        url, options = self.url, dict[str, Any]()
        for name, text in url.options.items():
            if name not in _OPTIONS:
                raise TargetError(f"{self.target}: the URL has an option {name}; known are {', '.join(_OPTIONS)}")
            try:
                options[name] = _OPTIONS[name](text)
            except ValueError:
                raise TargetError(f"{self.target}: the option {name} of the URL is no number") from None
        return {
            "host": url.host or "localhost",
            "port": url.port or 3306,
            "user": url.user,
            "password": os.environ.get("MYSQL_PWD", "") if url.password is None else url.password,
            "database": self.database or None,
            "charset": "utf8mb4",
            "use_unicode": False,
            "conv": pymysql.converters.encoders,  # and no decoders
            "connect_timeout": 10,
            "program_name": "pii-guard",
            **options,
        }


def _limits(connection: Any) -> str:
    limit, most = ("max_statement_time", 3600) if _is_mariadb(connection) else ("max_execution_time", 3_600_000)
    return f"SET SESSION {limit} = IF(@@{limit} = 0, {most}, @@{limit}), lock_wait_timeout = 10"


def _is_mariadb(connection: Any) -> bool:
    return "MariaDB" in connection.get_server_info()


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


@contextmanager
def speaking(target: str, what: str) -> Iterator[None]:
    """Turn errors of the driver into errors without its message, which quotes values and the query."""
    try:
        yield
    except ERRORS as error:
        failed = failure(error)
        raise (LostConnectionError if failed.lost else ReadError)(target, f"{what}: {failed.reason}") from None
