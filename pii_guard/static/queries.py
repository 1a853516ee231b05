"""The columns that a query gives, for views and tables that are made by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from sqlglot import exp

from pii_guard.static.schema import Column, Tables, table_name

__all__ = ["Given", "given", "name_of"]


@dataclass(frozen=True, slots=True)
class Given:
    """A column of the result of a query."""

    name: str
    source: Column | None
    """The column whose values it has as they are; None: computed, or of a table that is not known."""
    node: exp.Expr


MOST = 4_096
"""Columns of a result that are looked at: MySQL has no tables of more, and queries can double what they read."""
Known: TypeAlias = Mapping[str, tuple[list[Given], bool]]


def name_of(node: exp.Expr) -> str:
    """Of a table, or the table of a column."""
    schema = node.args["db"].name if node.args.get("db") else ""
    return table_name(schema, node.table if isinstance(node, exp.Column) else node.name)


def given(query: exp.Expr, tables: Tables, named: Known | None = None) -> tuple[list[Given], bool]:
    """The columns of the result of `query`, as far as they can be told, and whether that is all of them.

    `named`: the queries in front (`WITH`), by their names in lower case.
    """
    query = query.unnest()
    named = dict(named or {})
    for part in query.ctes if isinstance(query, exp.Query) else []:
        named[part.alias.lower()] = given(part.this, tables, named)
    if isinstance(query, exp.SetOperation):
        return given(query.left, tables, named)
    if not isinstance(query, exp.Select):
        return [], False
    sources = dict(_sources(query, tables, named))
    columns: list[Given] = []
    complete = True
    for item in query.selects:
        if len(columns) > MOST:
            break
        inner = item.unalias()
        if isinstance(inner, exp.Star) or (isinstance(inner, exp.Column) and isinstance(inner.this, exp.Star)):
            qualifier = "" if isinstance(inner, exp.Star) else inner.table.lower()
            meant = [known for name, known in sources.items() if qualifier in ("", name)]
            complete &= bool(meant) and all(whole for _, whole in meant)
            every = (Given(column.name, column.source, item) for known, _ in meant for column in known)
            columns += islice(every, MOST + 1)
        elif item.output_name:
            columns.append(Given(item.output_name, _source(inner, sources), item.find(exp.Identifier) or item))
        else:
            complete = False
    return columns[:MOST], complete and len(columns) <= MOST


def _sources(query: exp.Select, tables: Tables, named: Known) -> Iterator[tuple[str, tuple[list[Given], bool]]]:
    """What stands in FROM and JOIN: alias in lower case -> its columns, and whether that is all of them."""
    first = query.args.get("from_")
    for part in [*([first] if first is not None else []), *(query.args.get("joins") or [])]:
        node = part.this
        alias = node.alias_or_name.lower()
        if isinstance(node, exp.Table):
            name = name_of(node).lower()
            known = tables.columns.get(name)
            if name in named:
                yield alias, named[name]
            else:
                columns = [Given(column.name, column, node) for column in (known or {}).values()]
                yield alias, (columns, known is not None and name not in tables.unknown)
        elif isinstance(node, exp.Subquery):
            yield alias, given(node.this, tables, named)
        else:
            yield alias, ([], False)


def _source(node: exp.Expr, sources: Known) -> Column | None:
    if not isinstance(node, exp.Column):
        return None
    name, qualifier = node.name.lower(), node.table.lower()
    meant = [known for alias, (known, _) in sources.items() if qualifier in ("", alias)]
    found = [column.source for known in meant for column in known if column.name.lower() == name]
    return found[0] if len(found) == 1 else None
