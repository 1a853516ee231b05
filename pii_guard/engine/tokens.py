"""The contract between lexers and detectors: the shapes in a column of text, as a struct of arrays.

A lexer over-finds and knows no kind. Every lexer (`pii_guard.engine.lexer` chooses one) gives the same tokens as the
plain-Python oracle in `tests/support/lexer_oracle.py`, which is the definition in executable form. Free to a lexer are
the order of the tokens within a family, and whether it gives `rows`.

Number tokens
    A *group* is a maximal run of ASCII digits. Two groups of one value are joined by a *gap*: one of the separators in
    `GAPS`. A hyphen or full stop alone is a *tight* gap: what it joins belongs together. The other gaps contain a
    blank, a bracket or a slash and are *loose*. A token is a window of 1 to 6 joined groups with 6 to 19 digits in all,
    that neither begins nor ends at a tight gap. So `02-123-4567 1588-1234` gives three tokens: either number, and both
    in one (17 digits), which fits no kind. Fewer digits will do in the windows of `SHORT` (addresses of machines, dates
    with 년 and 월) and for a group of two or four digits directly before 년생.
E-mail tokens
    Around an at sign: the maximal run of `[A-Za-z0-9._%+-]` before it and `[A-Za-z0-9.-]` after it; up to three
    trailing full stops or hyphens are cut. Either may be empty where a byte beyond ASCII stands in its place: names and
    domains can be Korean.
Hangul tokens
    A value that is nothing but 2 to 5 Hangul syllables with at most one blank inside, white space around it aside.
Identifier tokens
    An ASCII letter with a group of 8 digits behind it, or with 3 digits, a letter and 4 digits.
Address tokens
    A maximal run of hexadecimal digits, colons and full stops that has two colons in a row, or six with at most four
    bytes between one and the next: addresses of IP version 6, never times or hardware addresses. A full stop at its
    end, then a single colon there, and a single colon at its start are cut.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pii_guard.engine.text import Bytes, Index, Text

__all__ = [
    "GAPS",
    "MAX_DIGITS",
    "MAX_GROUPS",
    "MIN_DIGITS",
    "Family",
    "Gap",
    "Tokens",
    "by_shape",
    "gaps",
    "groups",
    "shape",
    "slices",
]

MIN_DIGITS, MAX_DIGITS, MAX_GROUPS = 6, 19, 6
GROUP_BITS, GAP_BITS = 5, 4
FEW_SHAPES = 8


class Family(enum.IntEnum):
    NUMBER = 0
    EMAIL = 1
    HANGUL = 2
    IDENTIFIER = 3
    ADDRESS = 4


class Gap(enum.IntEnum):
    """What stands between two groups of digits."""

    NONE = 0
    HYPHEN = 1
    DOT = 2
    SPACE = 3
    CLOSE = 4
    SLASH = 5
    SPACED_HYPHEN = 6
    CLOSE_SPACE = 7
    OPEN = 8
    DOT_SPACE = 9
    CLOSE_HYPHEN = 10
    YEAR = 11
    MONTH = 12


GAPS: dict[bytes, Gap] = {
    b"-": Gap.HYPHEN,
    b".": Gap.DOT,
    b" ": Gap.SPACE,
    b")": Gap.CLOSE,
    b"/": Gap.SLASH,
    b"- ": Gap.SPACED_HYPHEN,
    b" -": Gap.SPACED_HYPHEN,
    b" - ": Gap.SPACED_HYPHEN,
    b") ": Gap.CLOSE_SPACE,
    b"(": Gap.OPEN,
    b" (": Gap.OPEN,
    b". ": Gap.DOT_SPACE,
    b")-": Gap.CLOSE_HYPHEN,
    "년".encode(): Gap.YEAR,
    "년 ".encode(): Gap.YEAR,
    "월".encode(): Gap.MONTH,
    "월 ".encode(): Gap.MONTH,
}
TIGHT = (Gap.HYPHEN, Gap.DOT)
BORN_IN = "년생".encode()


def shape(*lengths: int) -> int:
    """The code of the group lengths: 5 bits a group, the first lowest. `shape(3, 4, 4)` is that of 010-1234-5678."""
    return sum(length << (GROUP_BITS * place) for place, length in enumerate(lengths))


def groups(code: int) -> tuple[int, ...]:
    """The inverse of `shape`.

    >>> groups(shape(3, 4, 4))
    (3, 4, 4)
    """
    lengths = []
    while code:
        lengths.append(code & ((1 << GROUP_BITS) - 1))
        code >>= GROUP_BITS
    return tuple(lengths)


def gaps(*kinds: Gap) -> int:
    """The code of the gaps between the groups: 4 bits a gap, the first lowest."""
    return sum(int(kind) << (GAP_BITS * place) for place, kind in enumerate(kinds))


SHORT = {4: gaps(Gap.DOT, Gap.DOT, Gap.DOT), 3: gaps(Gap.YEAR, Gap.MONTH)}
"""Number of groups -> gaps with which fewer than `MIN_DIGITS` digits make a token."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """n tokens of one text, families in blocks (in the order of `Family`); all arrays have length n.

    `start`, `end`: int64 byte positions in `text.data`. `before`, `after`: the byte that touches the token within its
    value, 0 at the edge of the value, `0` for any digit. `shape`, `gaps`: number tokens as above; Hangul tokens have
    the number of syllables as their shape, identifiers the lengths of their groups. `mark`: a number's first group
    (index into `group_start`), an e-mail's at sign (byte position), a Hangul token's blank (byte position, -1 without
    one), an identifier's first digit (byte position).
    """

    text: Text
    start: Index
    end: Index
    before: Bytes
    after: Bytes
    shape: npt.NDArray[np.int64]
    gaps: npt.NDArray[np.int64]
    mark: Index
    blocks: tuple[int, ...]
    """How many tokens each family has."""
    shapes: dict[int, Index]
    """Shape -> the number tokens that have it, ascending."""
    group_start: Index
    """Byte position of every digit group of the text."""
    rows: Index | None = None
    """The row of each token, where the lexer knows it without a search."""

    def __len__(self) -> int:
        return len(self.start)

    def family(self, family: Family) -> slice:
        """Where the tokens of one family stand."""
        first = sum(self.blocks[:family])
        return slice(first, first + self.blocks[family])

    def row(self, index: Index) -> Index:
        """The row of each token at `index`."""
        if self.rows is not None:
            return self.rows[index]
        return np.searchsorted(self.text.offsets, self.start[index], side="right") - 1

    def with_shape(self, codes: frozenset[int]) -> Index:
        """Number tokens whose shape is one of `codes`, those of one shape together."""
        parts = [index for code, index in self.shapes.items() if code in codes]
        return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, np.int64), *parts])

    def by_shape(self, index: Index) -> Iterator[tuple[int, slice]]:
        """The parts of equal shape of an index from `with_shape`: (shape, where in `index`)."""
        shapes = self.shape[index]
        edges = [0, *(np.flatnonzero(shapes[1:] != shapes[:-1]) + 1).tolist(), len(index)]
        for first, last in pairwise(edges):
            if last > first:
                yield int(shapes[first]), slice(first, last)

    def digits(self, index: Index, code: int, count: int | None = None) -> Bytes:
        """The first `count` digits (default: all) of number tokens of one shape: uint8 (digits, tokens), values 0-9."""
        lengths = groups(code)
        total = sum(lengths) if count is None else count
        out = np.empty((total, len(index)), np.uint8)
        place, mark = 0, self.mark[index]
        for number, length in enumerate(lengths):
            position = self.group_start[mark + number]
            for _ in range(min(length, total - place)):
                np.take(self.text.data, position, out=out[place], mode="clip")
                position += 1
                place += 1
            if place == total:
                break
        out -= ord("0")
        return out

    def slices(self, index: Index) -> pa.Array:
        """The text of the tokens at `index`: a large_binary array."""
        return slices(self.text.data, self.start[index], self.end[index])

    def context(self, index: Index, width: int = 48) -> tuple[pa.Array, pa.Array]:
        """What stands before and after the tokens at `index` within their values, at most `width` bytes each.

        Two large_binary arrays. Only as costly as the text is long: a token that is its whole value has no context.
        """
        rows, start, end = self.row(index), self.start[index], self.end[index]
        first = np.maximum(self.text.offsets[rows], start - width)
        last = np.minimum(self.text.offsets[rows + 1], end + width)
        return slices(self.text.data, first, start), slices(self.text.data, end, last)


def by_shape(codes: npt.NDArray[np.int64]) -> dict[int, Index]:
    """Code -> where it stands, ascending. A column has few shapes: up to `FEW_SHAPES` cost one look at all codes each,
    what is left after them is sorted."""
    found: dict[int, Index] = {}
    rest = np.arange(len(codes))
    while len(rest) and len(found) < FEW_SHAPES:
        code = int(codes[rest[0]])
        same = (codes[rest] if found else codes) == code
        if same.all():
            return {**found, code: rest}
        found[code], rest = rest[same], rest[~same]
    if len(rest):
        ordered = rest[np.argsort(codes[rest], kind="stable")]
        edges = np.flatnonzero(np.diff(codes[ordered])) + 1
        parts = np.split(ordered, edges)
        found.update((int(codes[part[0]]), part) for part in parts)
    return found


def slices(data: Bytes, start: Index, end: Index) -> pa.Array:
    """The bytes between each start and end: a large_binary array."""
    if len(start) and (start[1:] >= end[:-1]).all():  # Arrow takes every second piece of the text itself
        edges = np.empty(2 * len(start), np.int64)
        edges[0::2], edges[1::2] = start, end
        pieces = [None, pa.py_buffer(edges), pa.py_buffer(data)]
        return pa.Array.from_buffers(pa.large_binary(), len(edges) - 1, pieces).take(
            pa.array(np.arange(0, len(edges), 2))
        )
    lengths = end - start
    offsets = np.zeros(len(start) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    source = np.repeat(start - offsets[:-1], lengths)
    source += np.arange(offsets[-1])
    return pa.Array.from_buffers(
        pa.large_binary(), len(start), [None, pa.py_buffer(offsets), pa.py_buffer(data[source])]
    )
