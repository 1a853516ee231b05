"""The pages that hold the rows of a SQLite table, by its B-tree: what a sample is drawn by without reading all of it.

A table is a tree of pages whose inner ones hold rowids: which rowids stand below which page, however many gaps there
are (https://www.sqlite.org/fileformat2.html, 1.6). Only these are read here, and never a row: rows are then asked of
SQLite by ranges of rowids. As the ranges are all rowids, each once, a file that changes meanwhile costs evenness, but
no row its chance.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pii_guard.connectors.key_ranges import KeyRange
from pii_guard.connectors.sampling import Sample

__all__ = ["FEWEST", "TablePages"]

FEWEST = 256
"""A sample has so many parts at least, and what has no more is read whole: rows that stand together are often alike."""

_MOST = 1 << 16
"""Parts, at most, where so many are enough: in larger tables a part is a page and those below it."""

_INNER, _LEAF = 5, 13
"""Kinds of pages of tables that have rowids."""
_DEPTH = 20
"""As SQLite has it."""
_LOOKS = 64
"""Pages that the number of rows is estimated by."""


@dataclass(frozen=True, slots=True)
class _Part:
    page: int
    first: int
    last: int


class TablePages:
    """The tree of one table. All methods raise sqlite3.DatabaseError where the file is damaged."""

    def __init__(self, file: BinaryIO, root: int) -> None:
        file.seek(16)
        size = int.from_bytes(file.read(2), "big")
        self._file, self._size = file, 65536 if size == 1 else size
        self._root = _Part(root, -(1 << 63), (1 << 63) - 1)
        self.has_rowids = self._page(root)[0] in (_INNER, _LEAF)

    def rows(self, seed: int) -> int:
        """How many rows there are, about: by the fan-out of pages on ways down that are drawn at random."""
        choice = random.Random(seed)  # noqa: S311 - to be the same in each run
        parts = self._level(FEWEST)
        looks = choice.choices(parts, k=_LOOKS)
        return round(sum(self._rows_below(part, choice) for part in looks) * len(parts) / _LOOKS)

    def drawn(self, share: float, name: str) -> tuple[float, list[KeyRange]]:
        """Ranges of rowids, ascending, that hold about a share of the pages; the share that they are, which each row
        had as its chance: 1 where there are too few pages."""
        parts = self._level(min(int(FEWEST / share), _MOST))
        share = max(share, FEWEST / len(parts))
        if share >= 1:
            return 1.0, [(self._root.first, self._root.last)]
        numbers = Sample.drawn(share, len(parts), name)
        return len(numbers) / len(parts), [(parts[number].first, parts[number].last) for number in numbers]

    def _level(self, wanted: int) -> list[_Part]:
        """The pages of the highest level that has more than `wanted`, or of the lowest."""
        level = [self._root]
        for _ in range(_DEPTH):
            if len(level) > wanted or self._page(level[0].page)[0] == _LEAF:
                return level
            level = [below for part in level for below in self._below(part)]
        raise sqlite3.DatabaseError

    def _rows_below(self, part: _Part, choice: random.Random) -> int:
        rows = 1
        for _ in range(_DEPTH):
            content = self._page(part.page)
            if content[0] == _LEAF:
                return rows * int.from_bytes(content[3:5], "big")
            below = list(self._below(part))
            rows, part = rows * len(below), choice.choice(below)
        raise sqlite3.DatabaseError

    def _below(self, part: _Part) -> Iterator[_Part]:
        content = self._page(part.page)
        if content[0] != _INNER:
            raise sqlite3.DatabaseError
        first = part.first
        for number in range(int.from_bytes(content[3:5], "big")):
            place = 12 + 2 * number
            cell = int.from_bytes(content[place : place + 2], "big") - (self._size - len(content))
            last = _varint(content[cell + 4 : cell + 13].ljust(9, b"\0"))
            if not first <= last < part.last:
                raise sqlite3.DatabaseError
            yield _Part(int.from_bytes(content[cell : cell + 4], "big"), first, last)
            first = last + 1
        yield _Part(int.from_bytes(content[8:12], "big"), first, part.last)

    def _page(self, number: int) -> bytes:
        """A page from its header on: in the first one the header of the file stands in front."""
        self._file.seek((number - 1) * self._size if number > 0 else 0)
        content = self._file.read(self._size)
        if number <= 0 or len(content) < self._size:
            raise sqlite3.DatabaseError
        return content[100:] if number == 1 else content


def _varint(data: bytes) -> int:
    """A signed number of 64 bits, in up to 9 bytes: 7 bits each, the ninth all 8.

    >>> [_varint(bytes(data)) for data in ([0x7F], [0x81, 0x00], [0xFF] * 9)]
    [127, 128, -1]
    """
    value = 0
    for byte in data[:8]:
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value
    value = value << 8 | data[8]
    return value - (1 << 64) if value >> 63 else value
