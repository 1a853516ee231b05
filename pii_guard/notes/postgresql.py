"""PostgreSQL: COMMENT ON COLUMN, all in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, ClassVar

from pii_guard.connectors.database import Relation, quoted
from pii_guard.connectors.postgresql import PostgresqlSource, speaking
from pii_guard.notes.comments import Comments

__all__ = ["PostgresqlComments"]

_OF_TABLE = """
    SELECT attname::text, coalesce(col_description(attrelid, attnum), '') FROM pg_attribute
    WHERE attrelid = {} AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""


class PostgresqlComments(Comments):
    at_once: ClassVar = True

    def __init__(self, target: str, connection: Any) -> None:
        self._target = target
        self._connection = connection

    @classmethod
    @contextmanager
    def opened(cls, source: PostgresqlSource) -> Iterator[PostgresqlComments]:
        with source.connected(writes=True) as connection:
            yield cls(source.target, connection)

    def of(self, relation: Relation) -> Sequence[tuple[str, str]]:
        return [(name, comment) for name, comment in self._execute(relation, _OF_TABLE.format(relation.id))]

    def write(self, relation: Relation, column: str, comment: str) -> str:
        name = ".".join(map(quoted, (relation.schema, relation.table, column)))
        self._execute(relation, f"COMMENT ON COLUMN {name} IS {_literal(comment)}")
        return ""

    def commit(self) -> None:
        with speaking(self._target, "the notes", self._connection):
            self._connection.commit()

    def _execute(self, relation: Relation, sql: str) -> list[Any]:
        with (
            speaking(self._target, f"table {relation.name}", self._connection),
            closing(self._connection.cursor()) as cursor,
        ):
            cursor.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []


def _literal(text: str) -> str:
    """The same whatever `standard_conforming_strings` says."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
