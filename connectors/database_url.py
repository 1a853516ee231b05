"""URLs of databases: what they name, what of them may be shown, and which connector reads them.

A URL may name environment variables, `postgresql://app:${DB_PASSWORD}@host/shop`, so that a secret stands in none.
No library is imported here: every target passes through this module.
"""

from __future__ import annotations

import importlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pii_guard.errors import TargetError

if TYPE_CHECKING:
    from pii_guard.connectors.database import DatabaseSource
    from pii_guard.connectors.streams import Stream

__all__ = [
    "DATABASES",
    "Database",
    "DatabaseUrl",
    "Mode",
    "carries_password",
    "database_of",
    "nearly_url",
    "shown_target",
]

Mode: TypeAlias = Literal["create", "append", "replace", "swap"]
"""How a table is written: made, added to, emptied and filled, or filled anew and put in the place of the old one."""


@dataclass(frozen=True, slots=True)
class Database:
    """A kind of database: its name in URLs that are shown, the schemes it goes by, where its source is."""

    id: str
    schemes: tuple[str, ...]
    entry: str
    requires: str
    """What `pip install` takes for the library that reads it."""
    stream: str
    """Where the `Stream` is that pipelines read and write it by."""

    def load(self) -> type[DatabaseSource]:
        """The connector; its libraries are imported now. Raises TargetError where they are not installed."""
        connector: type[DatabaseSource] = self._load(self.entry)
        return connector

    def load_stream(self) -> type[Stream]:
        """The connector for pipelines. Raises TargetError as `load` does."""
        connector: type[Stream] = self._load(self.stream)
        return connector

    def _load(self, entry: str) -> Any:
        module, name = entry.split(":")
        try:
            return getattr(importlib.import_module(module), name)
        except ImportError as error:
            if (error.name or "").startswith("pii_guard"):
                raise
            raise TargetError(
                f"{self.id}://: needs a library that is not installed; pip install '{self.requires}'"
            ) from None


DATABASES = (
    Database(
        "postgresql",
        ("postgresql", "postgres"),
        "pii_guard.connectors.postgresql:PostgresqlSource",
        "pii-guard-arrow[postgresql]",
        "pii_guard.connectors.postgresql_stream:PostgresqlStream",
    ),
    Database(
        "mysql",
        ("mysql", "mariadb"),
        "pii_guard.connectors.mysql:MysqlSource",
        "pii-guard-arrow[mysql]",
        "pii_guard.connectors.mysql_stream:MysqlStream",
    ),
    Database(
        "sqlite",
        ("sqlite",),
        "pii_guard.connectors.sqlite:SqliteDatabase",
        "pii-guard-arrow",
        "pii_guard.connectors.sqlite_stream:SqliteStream",
    ),
    Database(
        "duckdb",
        ("duckdb",),
        "pii_guard.connectors.duckdb:DuckdbDatabase",
        "pii-guard-arrow[duckdb]",
        "pii_guard.connectors.duckdb_stream:DuckdbStream",
    ),
)
"""Databases with a connector of their own."""

_BY_SCHEME = {scheme: database for database in DATABASES for scheme in database.schemes}

_DIALECTS = ("oracle", "mssql")
"""Dialects that SQLAlchemy brings itself and that no connector of ours is for; others are installed beside it."""

_FILES = ("sqlite", "duckdb")

_SCHEME = re.compile(r"([A-Za-z][\w.-]*)(\+[\w.-]+)?://")
_NEARLY = re.compile(
    rf"^(?:jdbc|(?:{'|'.join((*_BY_SCHEME, *_DIALECTS))})(?:\+[\w.-]+)?):|\b(?:password|pwd)=", re.IGNORECASE
)
_VARIABLE = re.compile(r"\$\{(\w+)\}")


def database_of(target: str) -> Database | None:
    """The kind of database that `target` is a URL of; None for any other target."""
    match = _SCHEME.match(target)
    if match is None:
        return None
    scheme = match[1].lower()
    return _BY_SCHEME.get(scheme) or _by_dialect(scheme)


def _by_dialect(scheme: str) -> Database | None:
    if scheme not in _DIALECTS:
        from importlib.metadata import entry_points  # this and the packages' lists take time; files have no scheme

        if not any(entry.name.partition(".")[0] == scheme for entry in entry_points(group="sqlalchemy.dialects")):
            return None
    return Database(
        scheme,
        (scheme,),
        "pii_guard.connectors.sqlalchemy:SqlalchemySource",
        "pii-guard-arrow",
        "pii_guard.connectors.sqlalchemy_stream:SqlalchemyStream",
    )


def nearly_url(target: str) -> str | None:
    """What shows that `target` names a database as other tools do, where a password may stand in it; else None.

    >>> [nearly_url(target) for target in ("jdbc:mysql://db/shop", "host=db password=x", "orders/mysql:2024.csv")]
    ['jdbc:', 'password=', None]
    """
    match = _NEARLY.search(target)
    return match and match[0]


def shown_target(target: str) -> str:
    """A target as it may be shown: of a URL, neither account nor password nor options.

    >>> shown_target("mysql://app:s3/cr@t@db.example:3306/shop?ssl_ca=ca.pem")
    'mysql://db.example:3306/shop'
    >>> shown_target("mysql://db.example/shop?user=app&password=s3cr@t")
    'mysql://'
    """
    scheme, mark, rest = target.partition("://")
    if scheme in _FILES:  # no account stands in these, but a path may hold an @
        return scheme + mark + rest.partition("?")[0]
    # a password may hold unescaped signs of all kinds, or be an option: nothing that stands before the last @ is shown,
    # and nothing at all where that is behind a ?
    account, _, place = rest.rpartition("@")
    return scheme + mark + ("" if "?" in account else place.partition("?")[0]) if mark else target


def carries_password(target: str) -> bool:
    """Whether a password stands in a URL itself, and not in a variable of the environment that it names.

    >>> [carries_password(f"mysql://app{given}@db/shop") for given in ("", ":secret", ":${DB_PASSWORD}")]
    [False, True, False]
    """
    rest = "" if database_of(target) is None or target.partition("://")[0] in _FILES else target.partition("://")[2]
    account, _, place = rest.rpartition("@")
    given = [account.partition(":")[2], dict(parse_qsl(place.partition("?")[2])).get("password", "")]
    return any(text and not _VARIABLE.fullmatch(text) for text in given)


class DatabaseUrl:
    """A URL with its environment variables filled in, and with `password` if it has none of its own. `text` may hold a
    password; `shown` holds neither password nor account nor options, so that a database has one name whoever reads it.
    Raises TargetError for what is no URL.

    >>> url = DatabaseUrl("postgresql+psycopg://app:secret@db.example/shop?sslmode=require", "postgresql")
    >>> url, url.password
    (postgresql://db.example/shop, 'secret')
    """

    def __init__(self, given: str, kind: str, password: str | None = None) -> None:
        rest = given.partition("://")[2]
        self.kind = kind
        self.shown = shown_target(f"{kind}://{rest}")
        self.text = f"{kind}://{_VARIABLE.sub(self._variable, rest)}"
        self._scheme = given.partition("://")[0]
        try:
            parts = urlsplit(self.text)
            self.host, self.port = parts.hostname, parts.port
            if kind not in _FILES and set(rest.rpartition("@")[0]) & set("@/?#"):
                raise ValueError  # each library takes another part of it for the host
        except ValueError:
            raise TargetError(
                f"{self.shown}: is no URL; signs such as @ / ? # in a password or an option are written %40 %2F %3F "
                "%23, a port is a number"
            ) from None
        self.user = None if parts.username is None else unquote(parts.username)
        self.password = None if parts.password is None else unquote(parts.password)
        self.path = unquote(parts.path)
        self.options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if password is None:
            return
        if kind in _FILES:
            raise TargetError(f"{self.shown}: a password (password=, --password-file) is for servers; a file has none")
        if self.password is not None or "password" in self.options:
            raise TargetError(
                f"{self.shown}: has two passwords, one in the URL and one beside it (password=, --password-file)"
            )
        account, _, hosts = parts.netloc.rpartition("@")
        self.text = parts._replace(netloc=f"{account}:{quote(password, safe='')}@{hosts}").geturl()
        self.password = password

    def __repr__(self) -> str:
        return self.shown

    def with_driver(self) -> str:
        """`text` with the driver that the URL names (`oracle+oracledb://`); our own connectors bring theirs."""
        return self._scheme + self.text[self.text.index("://") :]

    def file(self) -> Path:
        """The file that a URL of a database in a file names. Raises TargetError if there is none."""
        path = Path(self.path[1:])
        if self.host or not path.name:
            raise TargetError(f"{self.shown}: names no file; three slashes and a path do: {self.kind}:///shop.db")
        if not path.is_file():
            raise TargetError(f"{self.shown}: {'is a directory' if path.is_dir() else 'no such file'}")
        return path

    def _variable(self, name: re.Match[str]) -> str:
        value = os.environ.get(name[1])
        if value is None:
            raise TargetError(f"{self.shown}: the environment variable {name[1]}, which the URL names, is not set")
        return quote(value, safe="")
