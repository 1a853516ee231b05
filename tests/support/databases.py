"""Databases for the tests, each made for one test and dropped behind it.

Servers are those on this machine, or those that PII_GUARD_TEST_POSTGRESQL and PII_GUARD_TEST_MARIADB name by URL. Where
one is absent its tests are skipped, unless PII_GUARD_REQUIRE asks for it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import pytest
from adbc_driver_postgresql import dbapi

__all__ = ["CASES", "POSTGRESQL", "Case", "Made", "postgresql"]

POSTGRESQL = os.environ.get("PII_GUARD_TEST_POSTGRESQL", "postgresql://127.0.0.1:5432/postgres")
REQUIRED = os.environ.get("PII_GUARD_REQUIRE", "").split(",")


@dataclass(frozen=True)
class Made:
    """A database that was made for one test."""

    url: str
    quote: str
    """What stands around names."""
    execute: Any
    """Runs statements, each a text of its own."""

    def name(self, text: str) -> str:
        return self.quote + text.replace(self.quote, self.quote * 2) + self.quote

    def fill(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Make a table of columns of text."""
        names = ", ".join(f"{self.name(column)} text" for column in columns)
        self.execute(f"CREATE TABLE {self.name(table)} ({names})")
        for start in range(0, len(rows), 5000):
            values = ", ".join(
                "(" + ", ".join("'" + value.replace("'", "''") + "'" for value in row) + ")"
                for row in rows[start : start + 5000]
            )
            self.execute(f"INSERT INTO {self.name(table)} VALUES {values}")


class Maker(Protocol):
    def __call__(self, tmp_path: Path) -> AbstractContextManager[Made]: ...


@dataclass(frozen=True)
class Case:
    """A kind of database, what its tables are called in reports in front of their name, how one is made."""

    id: str
    prefix: str
    make: Maker
    server: bool = True


def absent(name: str) -> None:
    """Skip the test for want of a server, or fail it where PII_GUARD_REQUIRE names the server."""
    if name in REQUIRED:
        pytest.fail(f"no {name} server answers, and PII_GUARD_REQUIRE names it")
    pytest.skip(f"no {name} server answers; PII_GUARD_REQUIRE={name} makes this a failure")


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


CASES = (Case("postgresql", "public.", postgresql),)
