"""Which tables of a database are read: names, patterns, views, or one query in place of tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pii_guard.errors import UsageError

__all__ = ["Selection"]


@dataclass(frozen=True, slots=True)
class Selection:
    """What a user chose of a database; patterns are shell wildcards. By default: all tables, no views."""

    schemas: tuple[str, ...] = ()
    """Only tables of schemas whose name matches one of these patterns."""
    tables: tuple[str, ...] = ()
    """Only tables of these names, `NAME` or `SCHEMA.NAME`: each has to be there, and is read if it is a view too."""
    included: tuple[str, ...] = ()
    """Only tables of which `NAME` or `SCHEMA.NAME` matches one of these patterns, beside those of `tables`."""
    excluded: tuple[str, ...] = ()
    """No tables of which either matches one of these patterns."""
    views: bool = False
    """Views too, and tables that stand in another database."""
    query: str | None = None
    """The rows of this query, and no tables."""

    def __post_init__(self) -> None:
        if self.query is not None and (self.schemas or self.tables or self.included or self.excluded or self.views):
            raise UsageError("--query reads its rows and no tables: give it without options that choose tables")

    @property
    def narrows(self) -> bool:
        """Whether it asks for anything but all tables."""
        return self != Selection()

    def takes(self, schema: str, names: Sequence[str]) -> bool:
        """Whether a table that goes by each of `names` is among the chosen ones, were it not for `excludes`."""
        return (not self.schemas or _matches(self.schemas, [schema])) and (
            not (self.tables or self.included) or self.names(names) or _matches(self.included, names)
        )

    def names(self, names: Sequence[str]) -> bool:
        """Whether the table is named, and not only matched by a pattern."""
        return any(name in self.tables for name in names)

    def excludes(self, names: Sequence[str]) -> bool:
        """Whether a pattern leaves the table out."""
        return _matches(self.excluded, names)


def _matches(patterns: Sequence[str], names: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)
