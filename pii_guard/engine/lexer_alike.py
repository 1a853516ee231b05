"""The NumPy lexer on columns whose values are much alike: those that differ in their digits alone are lexed once.

Most columns of numbers are written in one or a few ways: 010-1234-5678, ORD20240115000123. A token depends on where
digits stand and on what else stands there, never on which digits they are (`tests/support/lexer_oracle.py` replaces
every digit by 0 and gives the same tokens). So the values of the most frequent pattern are found by comparing bytes,
one of them is lexed, and its tokens are repeated; likewise for the next pattern; what is left is lexed value by value.
The native lexer does without: it would gain a tenth, on columns that are alike throughout.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pii_guard.engine.lexer_numpy import lex_values
from pii_guard.engine.text import Bytes, Index, Text, scratch
from pii_guard.engine.tokens import Family, Tokens

__all__ = ["lex"]

FEW = 256
"""Fewer values than this are not worth a look for patterns."""
SAMPLE = 64
SHARE = 0.5
"""A pattern must hold this share of the sample."""
MAX_PATTERNS = 2
MANY = 64
"""Values compared with a pattern at a time."""
LONGEST = 64
"""Bytes of a value; longer ones are texts, no two of which are alike."""
DIGITS_TO_0 = bytes(ord("0") if 0x30 <= byte <= 0x39 else byte for byte in range(256))


def lex(text: Text) -> Tokens:
    """All tokens of a text, in no particular order within a family. Time is linear in its bytes."""
    parts = list(_parts(text))
    return parts[0] if len(parts) == 1 else _merged(text, parts)


def _parts(text: Text) -> Iterator[Tokens]:
    rest: Index | None = None  # rows not lexed yet; None: all
    for _ in range(MAX_PATTERNS):
        count = len(text) if rest is None else len(rest)
        if count < FEW:
            break
        pattern = _frequent(text, rest)
        if pattern is None:
            break
        alike, rest = _split(text, rest, pattern)
        yield _repeated(text, alike, lex_values(Text(pattern, np.array([0, len(pattern)]))))
    if rest is None:
        yield lex_values(text)
    elif len(rest):
        part = text.take(rest)
        yield _moved(text, lex_values(part), part, rest)


def _frequent(text: Text, rows: Index | None) -> Bytes | None:
    """The most frequent pattern in a sample of evenly spaced rows, if it is frequent enough."""
    count = len(text) if rows is None else len(rows)
    sample = np.linspace(0, count - 1, SAMPLE).astype(np.int64)
    if rows is not None:
        sample = rows[sample]
    heads, tails = text.offsets[sample].tolist(), text.offsets[sample + 1].tolist()
    patterns = Counter(
        text.data[head:tail].tobytes().translate(DIGITS_TO_0)
        for head, tail in zip(heads, tails, strict=True)
        if tail - head <= LONGEST
    )
    if not patterns:
        return None
    pattern, times = patterns.most_common(1)[0]
    return np.frombuffer(pattern, np.uint8) if times >= SHARE * SAMPLE else None


def _split(text: Text, rows: Index | None, pattern: Bytes) -> tuple[Index, Index]:
    """`rows` that have the pattern, and the others."""
    width = len(pattern)
    lengths = text.offsets[1:] - text.offsets[:-1]
    fits = lengths == width if rows is None else lengths[rows] == width
    if rows is None:
        rows = np.arange(len(text))
    alike, others = rows[fits], rows[~fits]
    if not width or not len(alike):
        return alike, others
    flat = text.data if not len(others) and len(alike) == len(text) else text.take(alike).data
    differs = _differs(flat, pattern)
    if not differs.any():
        return alike, others
    wrong = np.zeros(len(alike), np.bool_)
    wrong[np.flatnonzero(differs) // width] = True
    return alike[~wrong], np.sort(np.concatenate([others, alike[wrong]]))


def _differs(flat: Bytes, pattern: Bytes) -> npt.NDArray[np.bool_]:
    """Where `flat`, values one after the other, is not as the pattern says; many values at a time, as NumPy is slow in
    short rows."""
    (above,) = scratch(1, len(flat))
    differs = above.view(np.uint8)
    least, most = pattern, np.where(pattern == ord("0"), 9, 0).astype(np.uint8)  # how far above it a byte may be
    whole = len(flat) - len(flat) % (MANY * len(pattern))
    for part, times in ((slice(whole), MANY), (slice(whole, None), 1)):
        rows = differs[part].reshape(-1, times * len(pattern))
        np.subtract(flat[part].reshape(rows.shape), np.tile(least, times), out=rows)  # wraps below it
        np.greater(rows, np.tile(most, times), out=rows.view(np.bool_))
    return above


def _repeated(text: Text, rows: Index, one: Tokens) -> Tokens:
    """The tokens of one value for every row in `rows`."""
    base, count = text.offsets[rows], len(rows)
    numbers = one.family(Family.NUMBER)
    mark = base + one.mark[:, None]
    mark[numbers] = np.arange(count) * len(one.group_start) + one.mark[numbers, None]
    mark[one.mark < 0] = -1
    return Tokens(
        text=text,
        start=(base + one.start[:, None]).ravel(),
        end=(base + one.end[:, None]).ravel(),
        before=np.repeat(one.before, count),
        after=np.repeat(one.after, count),
        shape=np.repeat(one.shape, count),
        gaps=np.repeat(one.gaps, count),
        mark=mark.ravel(),
        blocks=tuple(count * block for block in one.blocks),
        shapes={code: (place[:, None] * count + np.arange(count)).ravel() for code, place in one.shapes.items()},
        group_start=(base[:, None] + one.group_start).ravel(),
        rows=np.tile(rows, len(one)),
    )


def _moved(text: Text, tokens: Tokens, part: Text, rows: Index) -> Tokens:
    """Tokens of `part`, the values of `text` at `rows`, with positions in `text`."""

    shift: Index = text.offsets[rows] - part.offsets[:-1]
    row = tokens.row(np.arange(len(tokens)))
    start = tokens.start + shift[row]
    mark = tokens.mark.copy()
    others = slice(tokens.blocks[0], None)
    mark[others] += np.where(mark[others] < 0, 0, start[others] - tokens.start[others])
    return Tokens(
        text=text,
        start=start,
        end=tokens.end + (start - tokens.start),
        before=tokens.before,
        after=tokens.after,
        shape=tokens.shape,
        gaps=tokens.gaps,
        mark=mark,
        blocks=tokens.blocks,
        shapes=tokens.shapes,
        group_start=tokens.group_start + shift[np.searchsorted(part.offsets, tokens.group_start, side="right") - 1],
        rows=rows[row],
    )


def _merged(text: Text, parts: list[Tokens]) -> Tokens:
    """The tokens of all parts, families in blocks."""
    groups = np.cumsum([0, *(len(part.group_start) for part in parts)])
    numbers = np.cumsum([0, *(part.blocks[Family.NUMBER] for part in parts)])

    def joined(name: str) -> npt.NDArray[np.int64]:
        return np.concatenate([getattr(part, name)[part.family(family)] for family in Family for part in parts])

    marks = [
        part.mark[part.family(family)] + (groups[place] if family is Family.NUMBER else 0)
        for family in Family
        for place, part in enumerate(parts)
    ]
    shapes: dict[int, list[Index]] = {}
    for place, part in enumerate(parts):
        for code, index in part.shapes.items():
            shapes.setdefault(code, []).append(index + numbers[place])
    return Tokens(
        text=text,
        start=joined("start"),
        end=joined("end"),
        before=joined("before").astype(np.uint8),
        after=joined("after").astype(np.uint8),
        shape=joined("shape"),
        gaps=joined("gaps"),
        mark=np.concatenate(marks),
        blocks=tuple(sum(part.blocks[family] for part in parts) for family in Family),
        shapes={code: np.concatenate(index) for code, index in shapes.items()},
        group_start=np.concatenate([part.group_start for part in parts]),
        rows=joined("rows"),
    )
