"""From a URL and the name of a table to a connection that can encrypt columns of it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pii_guard.connectors.database_url import DatabaseUrl, database_of, shown_target
from pii_guard.connectors.selection import Selection
from pii_guard.errors import UsageError, did_you_mean
from pii_guard.inplace.dialect import Dialect

__all__ = ["opened"]

_DIALECTS = {
    "postgresql": "pii_guard.inplace.postgresql:PostgresqlDialect",
    "mysql": "pii_guard.inplace.mysql:MysqlDialect",
    "sqlite": "pii_guard.inplace.sqlite:SqliteDialect",
}


@contextmanager
def opened(url: str, table: str, columns: Sequence[str], password: str | None = None) -> Iterator[Dialect]:
    """A connection for the table that goes by the name `table` (or `SCHEMA.TABLE`).

    Raises UsageError for a table or a column that is not there, a view, a name that several tables go by, or a database
    whose columns cannot be encrypted in place; UnreachableError where there is no connection.
    """
    kind = database_of(url)
    if kind is None or kind.id not in _DIALECTS:
        raise UsageError(f"{shown_target(url)}: columns are encrypted in place in {', '.join(_DIALECTS)}; use --to")
    source = kind.load()(DatabaseUrl(url, kind.id, password), Selection())
    relations = source.relations()
    named = [relation for relation in relations if table in relation.names]
    if len(named) != 1:
        found = " and ".join(relation.name for relation in named)
        near = did_you_mean(table, [relation.name for relation in relations])
        raise UsageError(
            f"{source.target}: {f'{table} is {found}; name one' if named else f'has no table {table}{near}'}"
        )
    if named[0].elsewhere:
        raise UsageError(
            f"{source.target}: {named[0].name} is {named[0].elsewhere}; name the table that holds the values"
        )
    module, name = _DIALECTS[kind.id].split(":")
    connector: type[Dialect] = getattr(importlib.import_module(module), name)
    with connector.connected(source, named[0], list(dict.fromkeys(columns))) as dialect:
        known = dialect.column_names()
        for column in dialect.columns:
            if column not in known:
                raise UsageError(
                    f"{source.target}: {named[0].name} has no column {column}{did_you_mean(column, known)}"
                )
            if column in dialect.key:
                raise UsageError(f"{source.target}: {named[0].name}: column {column} is in the primary key")
        yield dialect
