"""Whole values of a text against patterns: RE2 where values look promising, a look at their first bytes elsewhere.

RE2 costs some 100 ns a value and more for long ones. So values are chosen by length and first bytes, all at once, and
only those chosen are matched.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.engine.text import Index, Text

__all__ = ["Heads", "any_of", "beginning", "matching"]


def beginning(values: pa.Array, pattern: str) -> npt.NDArray[np.bool_]:
    """Which values begin with a match of `pattern`, white space aside. Ends as soon as there is one."""
    found: npt.NDArray[np.bool_] = pc.match_substring_regex(values, rf"\A\s*(?:{pattern})").to_numpy(
        zero_copy_only=False
    )
    return found


def matching(values: pa.Array, pattern: str, *but_not: str, first: bytes | None = None) -> npt.NDArray[np.bool_]:
    """Which values match `pattern` from their first to their last character, and none of `but_not` so.

    `first`: the bytes that such values begin with; where others are frequent, knowing them saves most of the time.
    White space around a value is no part of it.
    """
    rows = np.arange(len(values))
    if first is not None:
        text, wanted = Text.of(values), np.zeros(256, np.bool_)
        wanted[list(first)] = True
        rows = np.flatnonzero(np.diff(text.offsets))
        rows = rows[wanted[text.data[text.offsets[rows]]]]
    found = np.zeros(len(values), np.bool_)
    refused = "|".join(f"(?:{other})" for other in but_not)
    for part, keep in ((pattern, True), (refused, False)):
        if part and len(rows):
            left = values if len(rows) == len(values) else values.take(pa.array(rows))
            rows = rows[beginning(left, rf"(?:{part})\s*\z") == keep]
    found[rows] = True
    return found


class Heads:
    """A set of beginnings, 2 to 8 bytes each, looked for in all values at once."""

    def __init__(self, heads: Iterable[bytes]) -> None:
        self.heads = frozenset(heads)
        self.first = np.zeros(256, np.bool_)
        self.first[[head[0] for head in self.heads]] = True
        # three bytes of UTF-8 are 16 bits; other characters collide there, and the keys tell them apart
        self.triples = np.zeros(0x10000, np.bool_)
        lengths: dict[int, list[int]] = {}
        for head in self.heads:
            thirds = np.arange(64) if len(head) == 2 else np.array([head[2] & 63])
            self.triples[(head[0] & 15) << 12 | (head[1] & 63) << 6 | thirds] = True
            lengths.setdefault(len(head), []).append(int.from_bytes(head, "big"))
        self.keys = [(length, np.array(sorted(keys), np.uint64)) for length, keys in lengths.items()]

    def near(self, text: Text, shortest: int = 3) -> Index:
        """The values of at least `shortest` bytes (3 or more) that may begin so, ascending."""
        data, offsets = text.data, text.offsets
        first = text.first_bytes()
        # most columns begin with digits, or with Hangul, throughout: their least and greatest byte say enough
        if not len(data) or not self.first[first.min() : int(first.max()) + 1].any():
            return np.zeros(0, np.int64)
        rows = np.flatnonzero(self.first.take(first))
        rows = rows[offsets[rows + 1] - offsets[rows] >= shortest]
        start = offsets[rows]
        code = (data[start] & 15).astype(np.uint16) << 12 | (data[start + 1] & 63).astype(np.uint16) << 6
        found: Index = rows[self.triples[code | (data[start + 2] & 63)]]
        return found

    def rows(self, text: Text, near: Index) -> Index:
        """Those of the values `near` that do begin so."""
        data, offsets = text.data, text.offsets
        found = np.zeros(len(near), np.bool_)
        for length, keys in self.keys:
            open_ = np.flatnonzero(~found & (offsets[near + 1] - offsets[near] >= length))
            start = offsets[near[open_]]
            key = np.zeros(len(open_), np.uint64)
            for step in range(length):
                key = key << np.uint64(8) | data[start + step]
            found[open_] = keys[np.minimum(np.searchsorted(keys, key), len(keys) - 1)] == key
        begun: Index = near[found]
        return begun


@cache
def any_of(heads: frozenset[Heads]) -> Heads:
    """The heads of several sets in one."""
    return Heads(head for part in heads for head in part.heads)
