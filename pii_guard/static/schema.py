"""Tables and columns as a repository declares them, and how migrations change them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from pii_guard.model import Tag, path_text
from pii_guard.reports import NotExamined

__all__ = ["Column", "Schema", "Spot", "Tables", "Type", "table_name"]


@dataclass(frozen=True, slots=True, order=True)
class Spot:
    """A line of a file, from 1. `file` is safe to show."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Type:
    """What a column is declared as."""

    text: str = ""
    """As its source writes it, about; empty: not said."""
    family: str = ""
    """`text`, `binary`, `number`, `time`, `bool`, `other` (uuid, inet, enum: their own form alone); empty: unknown."""
    width: int | None = None
    """Characters or bytes that it holds at most, of text and binary; None: not bounded, or not said."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, and where it is declared."""

    table: str
    """As policies call it: `NAME` or `SCHEMA.NAME`, parts as in a path."""
    name: str
    type: Type
    spot: Spot
    comment: str | None = None
    tag: Tag | None = None
    """What the declaration itself says of it (dbt)."""


@dataclass(frozen=True, slots=True)
class Schema:
    """All that the files of a repository declare."""

    columns: tuple[Column, ...] = ()
    tables: frozenset[str] = frozenset()
    """All tables that were ever declared and whose columns are known, dropped ones too."""
    not_examined: tuple[NotExamined, ...] = ()


def table_name(*parts: str) -> str:
    """The name of a table from its schema, if it has one, and its name.

    >>> table_name("", "고객"), table_name("shop", "order items")
    ('고객', 'shop."order items"')
    """
    return ".".join(path_text((part,)) for part in parts if part)


@dataclass(slots=True)
class Tables:
    """Tables while migrations are folded into them, in their order. Names are found whatever their case, as most
    databases find them."""

    columns: dict[str, dict[str, Column]] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)
    """Every table that ever was: its name in lower case -> as it was written first."""
    unknown: set[str] = field(default_factory=set)
    """Tables whose columns are made by a query, as far as is known."""

    def create(self, table: str, columns: Iterable[Column], *, only_new: bool = False) -> None:
        key = table.lower()
        if only_new and key in self.columns:
            return
        self.known.setdefault(key, table)
        self.columns[key] = {column.name.lower(): column for column in columns}

    def create_like(self, table: str, other: str, spot: Spot) -> None:
        columns = self.columns.get(other.lower(), {}).values()
        self.create(table, [replace(column, table=table, spot=spot) for column in columns])

    def create_by_query(self, table: str, columns: Iterable[Column], *, complete: bool) -> None:
        """`complete`: no other columns than `columns` are in it."""
        self.create(table, columns)
        (self.unknown.discard if complete else self.unknown.add)(table.lower())

    def drop(self, table: str) -> None:
        self.columns.pop(table.lower(), None)

    def rename(self, table: str, new: str) -> None:
        columns = self.columns.pop(table.lower(), {})
        complete = table.lower() not in self.unknown
        self.create_by_query(new, [replace(column, table=new) for column in columns.values()], complete=complete)

    def add(self, column: Column) -> None:
        self.known.setdefault(column.table.lower(), column.table)
        self.columns.setdefault(column.table.lower(), {})[column.name.lower()] = column

    def drop_column(self, table: str, name: str) -> None:
        self.columns.get(table.lower(), {}).pop(name.lower(), None)

    def change(self, table: str, name: str, *, new_name: str | None = None, type: Type | None = None) -> bool:
        """Rename a column or give it another type; False for one that is not known, which stays so."""
        columns = self.columns.get(table.lower(), {})
        column = columns.get(name.lower())
        if column is None:
            return False
        changed = replace(column, name=new_name or column.name, type=type or column.type)
        self.columns[table.lower()] = {
            (changed if key == name.lower() else known).name.lower(): changed if key == name.lower() else known
            for key, known in columns.items()
        }
        return True

    def comment(self, table: str, name: str, comment: str) -> None:
        columns = self.columns.get(table.lower(), {})
        if name.lower() in columns:
            columns[name.lower()] = replace(columns[name.lower()], comment=comment)

    def schema(self, not_examined: Sequence[NotExamined] = ()) -> Schema:
        """What they are now."""
        columns = [column for table in self.columns.values() for column in table.values()]
        tables = frozenset(name for key, name in self.known.items() if key not in self.unknown)
        return Schema(tuple(columns), tables, tuple(not_examined))
