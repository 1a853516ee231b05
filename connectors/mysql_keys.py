"""What the key of a MySQL table looks like, asked of its index and of the optimizer, which count no rows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

from pii_guard.connectors.key_ranges import KeyRange, strata

__all__ = ["MysqlKeys"]

_AT_ONCE = 64
"""Ranges that one statement asks the index about."""
_COMPARED = 16
"""Ranges whose rows one statement reads."""


class MysqlKeys:
    """The integer primary key `key` of a table, both as SQL has them: `FROM a FORCE INDEX (PRIMARY)`, quoted."""

    def __init__(self, connection: Any, table: str, key: str) -> None:
        self._connection, self._table, self._key = connection, table, key

    def strata(self) -> list[KeyRange]:
        """Ranges of about equal numbers of rows, that hold all; none if there are no rows."""
        ((first, last),) = self._rows(f"SELECT min({self._key}), max({self._key}) {self._table}")
        return [] if first is None else strata((int(first), int(last)), self._halved, self._weigh)

    def among(self, ranges: Sequence[KeyRange]) -> list[str]:
        """The rows of `ranges`, from `FROM` on: one part at least, of few ranges each, as the server compares a row
        with one after the other."""
        return [
            f"{self._table} WHERE {' OR '.join(map(self._within, some)) or 'FALSE'}"
            for some in _parts(ranges, _COMPARED) or [[]]
        ]

    def _within(self, keys: KeyRange) -> str:
        return f"{self._key} BETWEEN {keys[0]} AND {keys[1]}"

    def _halved(self, ranges: Sequence[KeyRange]) -> list[KeyRange]:
        found = list[KeyRange]()
        for some in _parts(ranges, _AT_ONCE):
            selects = []
            for first, last in some:
                middle = (first + last) // 2
                below, above = self._within((first, middle)), self._within((middle + 1, last))
                selects += [
                    f"SELECT min({self._key}), max({self._key}) {self._table} WHERE {half}" for half in (below, above)
                ]
            rows = self._rows(" UNION ALL ".join(selects))
            found += [(int(first), int(last)) for first, last in rows if first is not None]
        return found

    def _weigh(self, ranges: Sequence[KeyRange]) -> list[int]:
        """By the index: where a range begins and ends in it, and how full the pages between are."""
        weights = list[int]()
        for some in _parts(ranges, _AT_ONCE):
            selects = [f"SELECT {self._key} {self._table} WHERE {self._within(keys)}" for keys in some]
            names, rows = self._described("EXPLAIN FORMAT=TRADITIONAL " + " UNION ALL ".join(selects))
            number, count = names.index("id"), names.index("rows")
            known = {int(row[number]): int(row[count] or 0) for row in rows if row[number] is not None}
            weights += [known.get(place, 0) for place in range(1, len(some) + 1)]
        return weights

    def _rows(self, sql: str) -> Sequence[Sequence[Any]]:
        return self._described(sql)[1]

    def _described(self, sql: str) -> tuple[list[str], Sequence[Sequence[Any]]]:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(sql)
            return [column[0] for column in cursor.description], cursor.fetchall()


def _parts(ranges: Sequence[KeyRange], size: int) -> list[Sequence[KeyRange]]:
    return [ranges[start : start + size] for start in range(0, len(ranges), size)]
