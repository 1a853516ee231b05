"""A table of PostgreSQL that takes the place of another one of the same definition, for pipelines (mode `swap`).

The server copies the definition (`CREATE TABLE ... LIKE ... INCLUDING ALL`); what it does not copy, and what refers to
the old table by more than its name, is looked up and named. All of it happens in the transaction of the caller.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from pii_guard.connectors.database import quoted

__all__ = ["filled_beside", "put_in_place"]

_LOST = """
WITH t AS (SELECT * FROM pg_class WHERE oid = to_regclass($1))
SELECT what FROM (
    SELECT 1 AS place, 'foreign key ' || conname AS what FROM pg_constraint, t WHERE contype = 'f' AND conrelid = t.oid
    UNION ALL SELECT 2, 'foreign key ' || conname || ' of ' || conrelid::regclass
        FROM pg_constraint, t WHERE contype = 'f' AND confrelid = t.oid AND conrelid <> t.oid
    UNION ALL SELECT 3, 'trigger ' || tgname FROM pg_trigger, t WHERE tgrelid = t.oid AND NOT tgisinternal
    UNION ALL SELECT 4, 'row-level security' FROM t WHERE relrowsecurity OR relforcerowsecurity
    UNION ALL SELECT 5, 'policy ' || polname FROM pg_policy, t WHERE polrelid = t.oid
    UNION ALL SELECT 6, 'rule ' || rulename FROM pg_rewrite, t WHERE ev_class = t.oid
    UNION ALL SELECT DISTINCT 7, 'view ' || r.ev_class::regclass
        FROM t, pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
        WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid AND r.ev_class <> t.oid
    UNION ALL SELECT 8, 'sequence ' || s.oid::regclass
        FROM t, pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
        WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid
          AND d.deptype IN ('a', 'i')
    UNION ALL SELECT 9, 'grants on column ' || attname FROM pg_attribute, t
        WHERE attrelid = t.oid AND attacl IS NOT NULL
    UNION ALL SELECT 10, 'its owner ' || pg_get_userbyid(relowner) FROM t
        WHERE pg_get_userbyid(relowner) <> current_user
    UNION ALL SELECT 11, 'its place in publication ' || pubname
        FROM t, pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE r.prrelid = t.oid
    UNION ALL SELECT 12, 'inheritance: ' || CASE t.oid WHEN inhrelid THEN inhparent ELSE inhrelid END::regclass
        FROM pg_inherits, t WHERE t.oid IN (inhrelid, inhparent)
    UNION ALL SELECT 13, 'its partitions' FROM t WHERE relkind = 'p'
    UNION ALL SELECT 14, 'its comment' FROM t WHERE obj_description(t.oid, 'pg_class') IS NOT NULL
    UNION ALL SELECT 15, 'statistics ' || stxname FROM pg_statistic_ext, t WHERE stxrelid = t.oid
    UNION ALL SELECT 16, 'settings of column ' || attname FROM pg_attribute, t
        WHERE attrelid = t.oid AND attnum > 0 AND NOT attisdropped
          AND (attstattarget >= 0 OR array_to_string(attoptions, ',') LIKE '%n_distinct%')
    UNION ALL SELECT 17, 'security label' FROM pg_seclabel l, t
        WHERE l.classoid = 'pg_class'::regclass AND l.objoid = t.oid
    UNION ALL SELECT 18, 'its place in an extension' FROM pg_depend d, t
        WHERE d.classid = 'pg_class'::regclass AND d.objid = t.oid AND d.deptype = 'e'
    UNION ALL SELECT 19, 'its property of being unlogged' FROM t WHERE relpersistence <> 'p'
    UNION ALL SELECT 20, 'its row type' FROM t WHERE reloftype <> 0
    UNION ALL SELECT 21, 'its tablespace' FROM t WHERE reltablespace <> 0
    UNION ALL SELECT 22, 'its storage parameters' FROM t LEFT JOIN pg_class toast ON toast.oid = t.reltoastrelid
        WHERE t.reloptions IS NOT NULL OR toast.reloptions IS NOT NULL
    UNION ALL SELECT 23, 'its replica identity' FROM t WHERE relreplident <> 'd'
    UNION ALL SELECT 24, 'its access method' FROM t JOIN pg_am a ON a.oid = t.relam
        WHERE amname <> current_setting('default_table_access_method')
) AS everything ORDER BY place, what
"""
"""What the copy has not. Of what else depends on a table (a function's body, a column of its row type) the server
refuses to drop it."""

_GRANTS = """
WITH given AS (
    SELECT c.oid, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END AS grantee,
           a.privilege_type, a.is_grantable
    FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
    WHERE c.oid IN (to_regclass($1), to_regclass($2))
), old AS (SELECT grantee, privilege_type, is_grantable FROM given WHERE oid = to_regclass($1)),
new AS (SELECT grantee, privilege_type, is_grantable FROM given WHERE oid = to_regclass($2))
SELECT DISTINCT 'grants to ' || grantee FROM (SELECT * FROM old EXCEPT SELECT * FROM new) AS gone
UNION SELECT DISTINCT 'the absence of grants to ' || grantee || ' (ALTER DEFAULT PRIVILEGES gives them)'
    FROM (SELECT * FROM new EXCEPT SELECT * FROM old) AS come
ORDER BY 1
"""

_INDEXES = """
SELECT c.relname::text, concat_ws(E'\\n',
    coalesce(pg_get_constraintdef(k.oid), ''), i.indisunique, i.indisclustered, i.indisreplident, i.indisvalid,
    i.indnkeyatts, to_jsonb(i)->>'indnullsnotdistinct', a.amname,
    ARRAY(SELECT pg_get_indexdef(i.indexrelid, n, false) FROM generate_series(1, i.indnatts) n ORDER BY n)::text,
    i.indclass, i.indcollation, i.indoption, coalesce(pg_get_expr(i.indpred, i.indrelid), ''),
    coalesce(c.reloptions::text, ''), c.reltablespace, coalesce(obj_description(c.oid, 'pg_class'), ''))
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
WHERE i.indrelid = to_regclass($1) ORDER BY 2, 1
"""
"""The name of each index, and all that it is but for its name."""


def filled_beside(cursor: Any, schema: str, name: str, check_lost: Callable[[Sequence[str]], None]) -> str:
    """A new table of the definition of `name` in the same schema, empty; its name. From now on nobody else writes into
    the old one, which can still be read. `check_lost` is called with what the new table would not have."""
    cursor.execute(f"LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE")
    check_lost(_texts(cursor, _LOST, name))
    made = f"pii_guard_{secrets.token_hex(8)}"
    new = f"{quoted(schema)}.{quoted(made)}"
    cursor.execute(f"CREATE TABLE {new} (LIKE {name} INCLUDING ALL)")
    uncopied = [old for old, copy in _indexes(cursor, name, new) if copy is None]
    check_lost([*_texts(cursor, _GRANTS, name, new), *(f"index {index}" for index in uncopied)])
    return made


def put_in_place(cursor: Any, schema: str, table: str, made: str) -> None:
    """Drop the old table; the one that `filled_beside` made has its name then, and its indexes have theirs."""
    name, new = (f"{quoted(schema)}.{quoted(one)}" for one in (table, made))
    indexes = _indexes(cursor, name, new)
    cursor.execute(f"DROP TABLE {name}")
    cursor.execute(f"ALTER TABLE {new} RENAME TO {quoted(table)}")
    for old, copy in indexes:
        cursor.execute(f"ALTER INDEX {quoted(schema)}.{quoted(copy or '')} RENAME TO {quoted(old)}")


def _indexes(cursor: Any, name: str, new: str) -> list[tuple[str, str | None]]:
    """The indexes of a table, each with its copy."""
    copies: dict[str, list[str]] = {}
    for copy, what in _rows(cursor, _INDEXES, new):
        copies.setdefault(what, []).append(copy)
    return [
        (old, copies[what].pop() if copies.get(what) else None)  # of two that are alike either is the copy
        for old, what in _rows(cursor, _INDEXES, name)
    ]


def _texts(cursor: Any, sql: str, *names: str) -> list[str]:
    return [row[0] for row in _rows(cursor, sql, *names)]


def _rows(cursor: Any, sql: str, *names: str) -> list[Any]:
    cursor.execute(sql, names)
    rows: list[Any] = cursor.fetchall()
    return rows
