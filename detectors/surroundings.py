"""What stands around a candidate: touching letters, labels in front of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from pii_guard.engine.text import Bytes, Index
from pii_guard.engine.tokens import Tokens

__all__ = ["in_letters", "labelled", "touches"]


def in_letters(touching: Bytes) -> npt.NDArray[np.bool_]:
    """Which bytes are ASCII letters or an underscore. Hangul is none: particles are glued to values."""
    lower = touching | 0x20
    letters: npt.NDArray[np.bool_] = ((lower >= ord("a")) & (lower <= ord("z"))) | (touching == ord("_"))
    return letters


def touches(tokens: Tokens, index: Index, letters: bytes) -> npt.NDArray[np.bool_]:
    """Which tokens have one of `letters` directly before or behind them."""
    wanted = np.zeros(256, np.bool_)
    wanted[list(letters)] = True
    return wanted[tokens.before[index]] | wanted[tokens.after[index]]


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
