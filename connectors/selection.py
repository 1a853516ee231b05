"""Which tables of a database are read: patterns, views, or one query in place of tables."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

__all__ = ["Selection"]


@dataclass(frozen=True, slots=True)
class Selection:
    """What a user chose of a database; patterns are shell wildcards. By default: all tables, no views."""

    schemas: tuple[str, ...] = ()
    """Only tables of schemas whose name matches one of these."""
    tables: tuple[str, ...] = ()
    """Only tables of which `NAME` or `SCHEMA.NAME` matches one of these."""
    views: bool = False
    """Views too, and tables that stand in another database."""
    query: str | None = None
    """The rows of this query, and no tables."""

    @property
    def narrows(self) -> bool:
        """Whether it asks for anything but all tables."""
        return self != Selection()

    def takes(self, schema: str, table: str) -> bool:
        """Whether the patterns choose this table."""
        return (not self.schemas or _matches(self.schemas, schema)) and (
            not self.tables or _matches(self.tables, table, f"{schema}.{table}")
        )


def _matches(patterns: tuple[str, ...], *names: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)
