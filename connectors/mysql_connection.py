"""How MySQL and MariaDB are reached: options of a URL, sessions that cannot write, and what a refusal means."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any

import pymysql
from pymysql.cursors import SSCursor

from pii_guard.connectors.database_url import DatabaseUrl
from pii_guard.connectors.mysql_errors import ERRORS, failure
from pii_guard.errors import LostConnectionError, ReadError, TargetError, UnreachableError

__all__ = ["READ_ONLY", "UnbufferedCursor", "connected", "is_mariadb", "limits", "options_of", "speaking"]

_OPTIONS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("unix_socket", "ssl_ca", "ssl_cert", "ssl_key", "ssl_key_password"), str),
    **dict.fromkeys(("connect_timeout", "read_timeout"), int),
    **dict.fromkeys(
        ("ssl_verify_cert", "ssl_verify_identity", "ssl_disabled"), lambda text: text.lower() in ("1", "true", "yes")
    ),
}
"""What a URL may say behind its `?`, and how it is read."""

READ_ONLY = ("SET SESSION TRANSACTION READ ONLY", "START TRANSACTION READ ONLY")
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


@contextmanager
def connected(target: str, options: Mapping[str, Any], *, writes: bool = False) -> Iterator[Any]:
    """A connection by `options_of` a URL, within a transaction that cannot write unless it `writes`.

    Raises UnreachableError where there is none.
    """
    try:
        connection = pymysql.connect(**{**options, "read_timeout": options["connect_timeout"]})
    except pymysql.MySQLError as error:
        code = error.args[0] if error.args else 0
        said = f"the connection was refused (code {code})" if isinstance(code, int) else _SILENT
        raise UnreachableError(target, _REFUSALS.get(code, said)) from None
    except (OSError, ValueError, RuntimeError) as error:  # files of certificates, what a way to log in needs
        reason = f"the connection failed ({type(error).__name__}); see the options of the URL"
        raise UnreachableError(target, reason) from None
    connection._read_timeout = options.get("read_timeout")  # PyMySQL knows no other one while it connects
    try:
        with speaking(target, "the session"), closing(connection.cursor()) as cursor:
            for statement in (limits(connection), *(() if writes else READ_ONLY)):
                cursor.execute(statement)
        yield connection
    except BaseException as error:
        if not isinstance(error, Exception | GeneratorExit):  # Ctrl-C
            _end(options, connection.thread_id())
        raise
    finally:
        with suppress(pymysql.MySQLError):  # nothing was written that a failure could lose
            connection.close()


def _end(options: Mapping[str, Any], thread: int) -> None:
    """End what the server is at for a connection: that it is closed shows to the server when it has rows to send.

    Behind a balancer another server may answer, so that the number alone does not say whose it is.
    """
    brief = {**options, "connect_timeout": 2, "read_timeout": 2}
    with (
        suppress(pymysql.MySQLError, OSError),
        closing(pymysql.connect(**brief)) as connection,
        closing(connection.cursor()) as cursor,
    ):
        if cursor.execute(_OWN, (thread,)):
            cursor.execute("KILL %s", (thread,))


def options_of(url: DatabaseUrl, database: str) -> dict[str, Any]:
    """How PyMySQL connects to `database`, or to none. Raises TargetError for an option that it does not have."""
    options = dict[str, Any]()
    for name, text in url.options.items():
        if name not in _OPTIONS:
            raise TargetError(f"{url.shown}: the URL has an option {name}; known are {', '.join(_OPTIONS)}")
        try:
            options[name] = _OPTIONS[name](text)
        except ValueError:
            raise TargetError(f"{url.shown}: the option {name} of the URL is no number") from None
    return {
        "host": url.host or "localhost",
        "port": url.port or 3306,
        "user": url.user,
        "password": os.environ.get("MYSQL_PWD", "") if url.password is None else url.password,
        "database": database or None,
        "charset": "utf8mb4",
        "use_unicode": False,
        "conv": pymysql.converters.encoders,  # and no decoders
        "connect_timeout": 10,
        "program_name": "pii-guard",
        **options,
    }


def limits(connection: Any) -> str:
    """The statement that bounds how long others take: an hour, where the server has no bound of its own."""
    limit, most = ("max_statement_time", 3600) if is_mariadb(connection) else ("max_execution_time", 3_600_000)
    return f"SET SESSION {limit} = IF(@@{limit} = 0, {most}, @@{limit}), lock_wait_timeout = 10"


def is_mariadb(connection: Any) -> bool:
    return "MariaDB" in connection.get_server_info()


@contextmanager
def speaking(target: str, what: str) -> Iterator[None]:
    """Turn errors of the driver into errors without its message, which quotes values and the query."""
    try:
        yield
    except ERRORS as error:
        failed = failure(error)
        raise (LostConnectionError if failed.lost else ReadError)(target, f"{what}: {failed.reason}") from None
