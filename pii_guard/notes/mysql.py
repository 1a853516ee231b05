"""MariaDB and MySQL: a comment is changed by restating the column, as SHOW CREATE TABLE has it, in one ALTER TABLE.

ALGORITHM=INSTANT makes the server refuse what would change more of a column than its description; what it lets pass
is compared with what stood there. A column that cannot be restated exactly is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, ClassVar

import pymysql

from pii_guard.connectors.database import Relation, quoted
from pii_guard.connectors.mysql import MysqlSource
from pii_guard.connectors.mysql_connection import speaking
from pii_guard.errors import WriteError
from pii_guard.notes.comments import Comments
from pii_guard.notes.definition import Part, parts

__all__ = ["LONGEST", "MysqlComments"]

LONGEST = 1024
"""Characters of a comment on a column (MariaDB and MySQL, CREATE TABLE)."""

_OF_TABLE = """
    SELECT column_name, column_comment FROM information_schema.columns
    WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position
"""
_NOT_INSTANT = frozenset({1845, 1846})


class MysqlComments(Comments):
    at_once: ClassVar = False

    def __init__(self, source: MysqlSource, connection: Any) -> None:
        self._target, self._database = source.target, source.database
        self._connection = connection

    @classmethod
    @contextmanager
    def opened(cls, source: MysqlSource) -> Iterator[MysqlComments]:
        with source.connected(writes=True) as connection:
            with speaking(source.target, "the session"), closing(connection.cursor()) as cursor:
                cursor.execute("SET SESSION sql_mode = '', sql_quote_show_create = 1")
            yield cls(source, connection)

    def of(self, relation: Relation) -> Sequence[tuple[str, str]]:
        with speaking(self._target, f"table {relation.name}"), closing(self._connection.cursor()) as cursor:
            cursor.execute(_OF_TABLE, (relation.schema or self._database, relation.table))
            return [(name.decode(), comment.decode()) for name, comment in cursor.fetchall()]

    def write(self, relation: Relation, column: str, comment: str) -> str:
        if relation.elsewhere:
            return f"it is of {relation.elsewhere}, whose columns have no comments"
        if relation.kind == "SYSTEM VERSIONED":
            return "its table is system-versioned, and such a table is not altered"
        if len(comment) > LONGEST:
            more = f"has {len(comment):,} characters with its note, and {LONGEST:,} fit; shorten it"
            return f"its comment {more}"
        before = self._parts(relation)
        (part,) = (part for part in before if part.name == column)
        if part.generated:
            return "is generated, and cannot be restated as it is"
        if part.lossy:
            return "its default or its list of values holds letters that the server does not show as they are"
        literal = "'" + comment.replace("\\", "\\\\").replace("'", "''") + "'" if comment else ""
        try:
            self._alter(relation, part.with_comment(literal))
        except _NotInstantError:
            return "the server would change more than its comment (no ALGORITHM=INSTANT)"
        place = f"{self._target}: {relation.name}: column {column}"
        if _bare(before, column) != _bare(self._parts(relation), column):
            raise WriteError(f"{place}: its definition is another one now; compare SHOW CREATE TABLE with a backup")
        if dict(self.of(relation))[column] != comment:
            raise WriteError(f"{place}: the server keeps another comment than it was given; run it again")
        return ""

    def commit(self) -> None:
        pass  # each ALTER TABLE did

    def _parts(self, relation: Relation) -> list[Part]:
        with speaking(self._target, f"table {relation.name}"), closing(self._connection.cursor()) as cursor:
            cursor.execute(f"SHOW CREATE TABLE {self._name(relation)}")
            return list(parts(cursor.fetchone()[1].decode(errors="surrogateescape")))

    def _alter(self, relation: Relation, definition: str) -> None:
        with speaking(self._target, f"table {relation.name}"), closing(self._connection.cursor()) as cursor:
            try:
                cursor.execute(f"ALTER TABLE {self._name(relation)} MODIFY {definition}, ALGORITHM=INSTANT")
            except pymysql.MySQLError as error:
                if error.args and error.args[0] in _NOT_INSTANT:
                    raise _NotInstantError from None
                raise

    def _name(self, relation: Relation) -> str:
        return f"{quoted(relation.schema or self._database, '`')}.{quoted(relation.table, '`')}"


class _NotInstantError(Exception):
    pass


def _bare(table: list[Part], column: str) -> list[Part | str]:
    """The table but for the comment of one column."""
    return [part.bare if part.name == column else part for part in table]
