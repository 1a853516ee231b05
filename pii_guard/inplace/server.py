"""What tables of servers have in common: a connection whose driver starts each transaction by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from pii_guard.connectors.database import Relation
from pii_guard.inplace.dialect import Dialect

__all__ = ["LOCK_SECONDS", "ServerDialect"]

LOCK_SECONDS = 5
"""How long another run is waited for: the server may still be at work on the last statement of one that was killed."""


class ServerDialect(Dialect):
    """A table of a server."""

    def __init__(
        self, target: str, relation: Relation, columns: Sequence[str], connection: Any, schema: str = ""
    ) -> None:
        super().__init__(target, relation, columns, schema)
        self._connection = connection

    @classmethod
    @contextmanager
    def connected(cls, source: Any, relation: Relation, columns: Sequence[str]) -> Iterator[Self]:
        with source.connected(writes=True) as connection:
            dialect = cls(source.target, relation, columns, connection)
            try:
                yield dialect
            finally:
                dialect.abandon()

    def begin(self) -> None:
        pass

    def commit(self) -> None:
        with self._speaking():
            self._connection.commit()
