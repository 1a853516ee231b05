"""DuckDB: COMMENT ON COLUMN, all in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import ClassVar

import duckdb

from pii_guard.connectors.database import Relation, quoted
from pii_guard.connectors.duckdb import CONFIG, DuckdbDatabase
from pii_guard.errors import WriteError
from pii_guard.notes.comments import Comments

__all__ = ["DuckdbComments"]

_OF_TABLE = """
    SELECT column_name, coalesce(comment, '') FROM duckdb_columns()
    WHERE database_name = current_database() AND schema_name = ? AND table_name = ? ORDER BY column_index
"""


class DuckdbComments(Comments):
    at_once: ClassVar = True

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    @classmethod
    @contextmanager
    def opened(cls, source: DuckdbDatabase) -> Iterator[DuckdbComments]:
        try:
            with closing(duckdb.connect(source.path, config=CONFIG)) as connection:
                connection.begin()
                yield cls(connection)
        except duckdb.Error as error:
            reason = f"DuckDB does not write to it ({type(error).__name__}); is it read-only, or open elsewhere?"
            raise WriteError(f"{source.target}: {reason}; no comment was changed") from None

    def of(self, relation: Relation) -> Sequence[tuple[str, str]]:
        return list(self._connection.execute(_OF_TABLE, [relation.schema, relation.table]).fetchall())

    def write(self, relation: Relation, column: str, comment: str) -> str:
        name = ".".join(map(quoted, (relation.schema, relation.table, column)))
        literal = "'" + comment.replace("'", "''") + "'"
        self._connection.execute(f"COMMENT ON COLUMN {name} IS {literal}")
        return ""

    def commit(self) -> None:
        self._connection.commit()
