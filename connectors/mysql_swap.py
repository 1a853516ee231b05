"""A table of MySQL or MariaDB that takes the place of another one of the same definition, for pipelines (mode `swap`).

`RENAME TABLE` gives both tables their new names at once. Until then a second connection holds a lock under which others
read the old table and wait to write into it; they write into the new one when it is there. Grants and views go by name,
so they stay.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pymysql

from pii_guard.connectors.database import Relation, quoted

__all__ = ["lost", "name_of", "renamed", "uncopied"]

_PLACE = "{0}_schema = coalesce(%(schema)s, DATABASE()) AND {0}_name = %(table)s"
_GRANTEE = """grantee = concat('''', replace(current_user(), '@', '''@'''), '''') AND privilege_type = 'TRIGGER'"""
_LOST = f"""
    SELECT concat('foreign key ', constraint_name) FROM information_schema.referential_constraints
    WHERE constraint_schema = coalesce(%(schema)s, DATABASE()) AND table_name = %(table)s
    UNION SELECT concat('foreign key ', constraint_name, ' of ', table_name)
    FROM information_schema.referential_constraints
    WHERE unique_constraint_schema = coalesce(%(schema)s, DATABASE()) AND referenced_table_name = %(table)s
    UNION SELECT concat('trigger ', trigger_name) FROM information_schema.triggers
    WHERE event_object_schema = coalesce(%(schema)s, DATABASE()) AND event_object_table = %(table)s
    UNION SELECT 'the counter of AUTO_INCREMENT' FROM information_schema.columns
    WHERE {_PLACE.format("table")} AND extra LIKE '%%auto_increment%%'
    UNION SELECT concat('what it has as ', table_type) FROM information_schema.tables
    WHERE {_PLACE.format("table")} AND table_type <> 'BASE TABLE'
    UNION SELECT 'triggers, if it has any: the account needs the right TRIGGER to see them' FROM DUAL
    WHERE NOT EXISTS (SELECT 1 FROM information_schema.user_privileges WHERE {_GRANTEE})
      AND NOT EXISTS (SELECT 1 FROM information_schema.schema_privileges
                      WHERE {_GRANTEE} AND coalesce(%(schema)s, DATABASE()) LIKE table_schema)
      AND NOT EXISTS (SELECT 1 FROM information_schema.table_privileges WHERE {_GRANTEE} AND {_PLACE.format("table")})
"""  # noqa: S608 - no text from outside
"""What the copy has not, or what would stay with the old table."""
_WAITS = "SELECT 1 FROM information_schema.processlist WHERE id = %s AND state LIKE 'Waiting for%%lock'"
_POLL = 0.01


def name_of(relation: Relation) -> str:
    return ".".join(quoted(part, "`") for part in (relation.schema, relation.table) if part)


def lost(cursor: Any, relation: Relation) -> list[str]:
    cursor.execute(_LOST, {"schema": relation.schema or None, "table": relation.table})
    return [row[0].decode(errors="replace") for row in cursor.fetchall()]


def uncopied(cursor: Any, old: Relation, new: Relation) -> list[str]:
    """What `CREATE TABLE new LIKE old` did not copy, if there is anything."""
    alike = _definition(cursor, old) == _definition(cursor, new)
    return [] if alike else ["parts of its definition, which CREATE TABLE LIKE does not copy"]


def _definition(cursor: Any, relation: Relation) -> bytes:
    cursor.execute(f"SHOW CREATE TABLE {name_of(relation)}")
    definition: bytes = cursor.fetchone()[1]
    return definition.partition(b" (\n")[2]  # the name stands in front


def renamed(connection: Any, holder: Any, names: str) -> None:
    """Run `RENAME TABLE names` on `connection`, where `holder` holds the lock of the old table: it is let go when the
    server has the renaming in its queue, in which it stands before all who wait to write."""

    def rename() -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"RENAME TABLE {names}")

    with ThreadPoolExecutor(1) as threads, holder.cursor() as cursor:
        renaming = threads.submit(rename)
        try:
            while not renaming.done() and not cursor.execute(_WAITS, (connection.thread_id(),)):
                time.sleep(_POLL)
        finally:
            with suppress(pymysql.MySQLError, OSError):  # a connection that is lost holds no lock
                cursor.execute("UNLOCK TABLES")
        renaming.result()
