"""Databases for the tests, each made for one test and dropped behind it.

Servers are those on this machine, or those that PII_GUARD_TEST_POSTGRESQL and PII_GUARD_TEST_MARIADB name by URL. Where
one is absent its tests are skipped, unless PII_GUARD_REQUIRE asks for it.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, Protocol
from unittest import mock
from urllib.parse import urlsplit

import duckdb
import pymysql
import pytest
from adbc_driver_postgresql import dbapi

from pii_guard import connectors
from pii_guard.connectors import Source
from pii_guard.connectors.selection import Selection
from pii_guard.detectors import select
from pii_guard.reports import ScanReport
from pii_guard.scanner import ScanOptions, scan_targets

__all__ = [
    "CASES",
    "PHONE",
    "POSTGRESQL",
    "Case",
    "Made",
    "absent",
    "mariadb",
    "opened",
    "postgresql",
    "reasons",
    "rows",
    "scanned",
]

POSTGRESQL = os.environ.get("PII_GUARD_TEST_POSTGRESQL", "postgresql://127.0.0.1:5432/postgres")
MARIADB = os.environ.get("PII_GUARD_TEST_MARIADB", "mysql://root@127.0.0.1:3306")
PHONE = "010-9876-5432"
REQUIRED = os.environ.get("PII_GUARD_REQUIRE", "").split(",")


@dataclass(frozen=True)
class Made:
    """A database that was made for one test."""

    url: str
    quote: str
    """What stands around names."""
    execute: Any
    """Runs statements, each a text of its own."""
    analyze: str = ""
    """What makes the server look how large a table is."""
    text: str = "text"
    """The type of any text."""
    json: str = "json"
    """The type of JSON."""

    def name(self, text: str) -> str:
        return self.quote + text.replace(self.quote, self.quote * 2) + self.quote

    def fill(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Make a table of columns of text."""
        names = ", ".join(f"{self.name(column)} {self.text}" for column in columns)
        self.execute(f"CREATE TABLE {self.name(table)} ({names})")
        step = 5000 if len(rows) > 100 else 10  # a server takes so many bytes at once
        for start in range(0, len(rows), step):
            values = ", ".join(
                "(" + ", ".join("'" + value.replace("'", "''") + "'" for value in row) + ")"
                for row in rows[start : start + step]
            )
            self.execute(f"INSERT INTO {self.name(table)} VALUES {values}")
        if self.analyze:
            self.execute(f"{self.analyze} {self.name(table)}")


def rows(url: str, selection: Selection | None = None) -> dict[str, list[dict[str, Any]]]:
    """Table -> its rows."""
    tables = opened(url, selection).tables()
    return {table.name: [row for batch in table.batches() for row in batch.to_pylist()] for table in tables}


def opened(url: str, selection: Selection | None = None) -> Source:
    (source,) = (item for item in connectors.discover(url, selection=selection) if isinstance(item, Source))
    return source


def scanned(url: str, **options: Any) -> ScanReport:
    return scan_targets([url], detectors=select(), options=ScanOptions(**options))


def reasons(report: ScanReport) -> list[str]:
    """Why what was not examined was not."""
    return [item.reason for item in report.not_examined]


class Maker(Protocol):
    def __call__(self, tmp_path: Path) -> AbstractContextManager[Made]: ...


@dataclass(frozen=True)
class Case:
    """A kind of database, what its tables are called in reports in front of their name, how one is made."""

    id: str
    prefix: str
    make: Maker


def absent(name: str, missing: str = "") -> NoReturn:
    """Skip the test for want of a server, or of what is `missing`; or fail it where PII_GUARD_REQUIRE names that."""
    missing = missing or f"{name} server answers"
    if name in REQUIRED:
        pytest.fail(f"no {missing}, and PII_GUARD_REQUIRE names it")
    pytest.skip(f"no {missing}; PII_GUARD_REQUIRE={name} makes this a failure")


@cache
def _postgresql_answers() -> bool:
    try:
        dbapi.connect(POSTGRESQL + "?connect_timeout=3").close()
    except dbapi.Error:
        return False
    return True


@contextmanager
def postgresql(tmp_path: Path) -> Iterator[Made]:
    if not _postgresql_answers():
        absent("postgresql")
    name = f"pii_guard_test_{secrets.token_hex(8)}"
    url = POSTGRESQL.rpartition("/")[0] + "/" + name

    def run(where: str, *statements: str) -> list[Any]:
        with closing(dbapi.connect(where, autocommit=True)) as connection, closing(connection.cursor()) as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    run(POSTGRESQL, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    try:
        yield Made(url, '"', lambda *statements: run(url, *statements))
    finally:
        run(POSTGRESQL, f"DROP DATABASE {name} WITH (FORCE)")


@cache
def _mariadb_answers() -> bool:
    try:
        _mariadb_connection().close()
    except pymysql.MySQLError:
        return False
    return True


def _mariadb_connection(database: str | None = None) -> Any:
    url = urlsplit(MARIADB)
    user, password = url.username or "root", url.password or ""
    return pymysql.connect(
        host=url.hostname, port=url.port or 3306, user=user, password=password, database=database, autocommit=True
    )


@contextmanager
def mariadb(tmp_path: Path) -> Iterator[Made]:
    if not _mariadb_answers():
        absent("mariadb")
    name = f"pii_guard_test_{secrets.token_hex(8)}"

    def run(*statements: str, database: str | None = name) -> list[Any]:
        with closing(_mariadb_connection(database)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    run(f"CREATE DATABASE {name} CHARACTER SET utf8mb4", database=None)
    try:
        yield Made(f"{MARIADB}/{name}", "`", run, "ANALYZE TABLE", "longtext")
    finally:
        run(f"DROP DATABASE {name}", database=None)


@contextmanager
def sqlite(tmp_path: Path) -> Iterator[Made]:
    path = tmp_path / "가 게.db"

    def run(*statements: str) -> list[Any]:
        with closing(sqlite3.connect(path)) as connection, connection:
            return [connection.execute(statement).fetchall() for statement in statements][-1]

    run("PRAGMA user_version = 1")
    yield Made(f"sqlite:///{path}", '"', run)


@contextmanager
def duckdb_file(tmp_path: Path) -> Iterator[Made]:
    path = tmp_path / "가 게.duckdb"

    def run(*statements: str) -> list[Any]:
        with closing(duckdb.connect(path)) as connection:
            return [connection.execute(statement).fetchall() for statement in statements][-1]

    run("SELECT 1")
    yield Made(f"duckdb:///{path}", '"', run)


@contextmanager
def by_sqlalchemy(tmp_path: Path) -> Iterator[Made]:
    """A SQLite file under a scheme that a dialect of its own is installed for, as for databases that we do not know."""
    installed = tmp_path / "installed" / "lite_dialect-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: lite-dialect\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(
        "[sqlalchemy.dialects]\nlite = sqlalchemy.dialects.sqlite.pysqlite:SQLiteDialect_pysqlite\n"
    )
    with sqlite(tmp_path) as made, mock.patch.object(sys, "path", [*sys.path, str(installed.parent)]):
        yield replace(made, url=made.url.replace("sqlite://", "lite://"))


CASES = (
    Case("postgresql", "public.", postgresql),
    Case("mysql", "", mariadb),
    Case("sqlite", "", sqlite),
    Case("duckdb", "main.", duckdb_file),
    Case("sqlalchemy", "main.", by_sqlalchemy),
)
