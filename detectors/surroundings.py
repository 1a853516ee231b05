"""What stands around a candidate: touching letters, labels in front of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from pii_guard.engine.text import Bytes, Index
from pii_guard.engine.tokens import Tokens

__all__ = [
    "SYLLABLE",
    "among",
    "beside_letters",
    "in_letters",
    "labelled",
    "misplaced",
    "reach",
    "starting",
    "touches",
]

SYLLABLE = r"(?:[\xea-\xed][\x80-\xbf][\x80-\xbf])"
"""A Hangul syllable (U+AC00-D7A3, and a few unused code points around) in patterns over bytes."""


def among(codes: npt.NDArray[np.int64], wanted: frozenset[int]) -> npt.NDArray[np.bool_]:
    """Which shape or gap codes are among `wanted`. Columns have one code throughout, texts a handful."""
    if len(codes) and (codes == codes[0]).all():
        return np.full(len(codes), int(codes[0]) in wanted)
    return np.isin(codes, list(wanted))


def in_letters(touching: Bytes) -> npt.NDArray[np.bool_]:
    """Which bytes are ASCII letters or an underscore. Hangul is none: particles are glued to values."""
    lower = touching | 0x20
    letters: npt.NDArray[np.bool_] = ((lower >= ord("a")) & (lower <= ord("z"))) | (touching == ord("_"))
    return letters


def starting(tokens: Tokens, index: Index, prefixes: npt.NDArray[np.bool_]) -> Index:
    """The tokens at `index` whose first two digits are among `prefixes` (a table of 100); they must be in one group."""
    if not len(index):
        return index
    start, data = tokens.start[index], tokens.text.data
    first, second = data.take(start) - 48, data.take(start + 1) - 48
    found: Index = index[prefixes.take(first * 10 + second)]
    return found


def touches(tokens: Tokens, index: Index, letters: bytes) -> npt.NDArray[np.bool_]:
    """Which tokens have one of `letters` directly before or behind them."""
    before, after = tokens.before[index], tokens.after[index]
    found = np.zeros(len(index), np.bool_)
    for letter in letters:  # a few comparisons are faster than looking each byte up
        found |= (before == letter) | (after == letter)
    return found


def beside_letters(tokens: Tokens, index: Index) -> npt.NDArray[np.bool_]:
    """Which tokens have an ASCII letter or an underscore directly before or behind them."""
    return in_letters(tokens.before[index]) | in_letters(tokens.after[index])


def misplaced(
    tokens: Tokens, index: Index, separators: frozenset[int], touching: bytes = b"*@"
) -> npt.NDArray[np.bool_]:
    """Which numbers have gaps not among `separators`, touch a byte of `touching`, or are bare digits beside letters."""
    joint = tokens.gaps[index]
    glued = beside_letters(tokens, index) & (joint == 0)
    found: npt.NDArray[np.bool_] = ~among(joint, separators) | touches(tokens, index, touching) | glued
    return found


def labelled(
    tokens: Tokens, index: Index, before: str, behind: str | None = None, width: int = 48
) -> npt.NDArray[np.bool_]:
    """Which tokens have text matching `before` in front of them (`behind`: after them), within `width` bytes.

    RE2 over bytes: case is ignored for ASCII. Tokens that are all of their value cost nothing.
    """
    found = np.zeros(len(index), np.bool_)
    surrounded = np.flatnonzero((tokens.before[index] != 0) | (tokens.after[index] != 0))
    if len(surrounded):
        front, back = tokens.context(index[surrounded], width)
        match = pc.match_substring_regex(front, before, ignore_case=True).to_numpy(zero_copy_only=False)
        if behind is not None:
            match = match | pc.match_substring_regex(back, behind, ignore_case=True).to_numpy(zero_copy_only=False)
        found[surrounded] = match
    return found


def reach(
    tokens: Tokens, index: Index, *, before: str | None = None, behind: str | None = None, width: int = 48
) -> Index:
    """How many bytes of a pattern touch each token: `before` must match up to its start, `behind` from its end on.

    0 where it does not match. Give one of the two; RE2 over bytes, case is ignored for ASCII. For values that go on
    beyond what the lexer knows: the region in front of a licence number, the zone behind an address.
    """
    if not len(index):
        return np.zeros(0, np.int64)
    front, back = tokens.context(index, width)
    around, pattern = (front, rf"(?i)(?P<part>{before})\z") if before else (back, rf"(?i)\A(?P<part>{behind})")
    part = pc.struct_field(pc.extract_regex(around, pattern), "part")
    length: Index = pc.fill_null(pc.binary_length(part), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return length
