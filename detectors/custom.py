"""Kinds that a policy defines: a pattern, and what makes a match surer (docs/own-rules.md)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.detectors.surroundings import in_letters
from pii_guard.engine.detection import REJECTED, ColumnRule, Hits
from pii_guard.engine.patterns import matches
from pii_guard.engine.text import Bytes, Index, Text
from pii_guard.engine.tokens import slices
from pii_guard.model import Confidence, Kind

__all__ = ["Custom"]

REACH = 48
"""Bytes on either side of a value in which a keyword counts."""


@dataclass(frozen=True)
class Custom:
    """The detector of a kind that a policy defines.

    `pattern` is a regular expression of RE2. `headers` are in the form of `pii_guard.engine.headers.normalise`.
    `check` says of the text of a match whether it is a value of the kind; it is asked once for each different text.
    """

    kind: Kind
    pattern: str
    keywords: tuple[str, ...] = ()
    headers: frozenset[str] = frozenset()
    check: Callable[[str], bool] | None = None
    column: ColumnRule = field(default_factory=ColumnRule)

    @property
    def description(self) -> str:
        """What the policy says of the kind, for people."""
        lines = [f"Finds: what matches the pattern {self.pattern}"]
        if self.keywords:
            lines.append(f"Likely near: {', '.join(self.keywords)}")
        if self.headers:
            lines.append(f"Columns named: {', '.join(sorted(self.headers))}")
        if self.check is not None:
            lines.append("Certain where the function of the policy accepts the value; nothing else is a value.")
        return "\n".join([*lines, "Defined by the policy."])

    def search(self, text: Text, rows: Index) -> Hits:
        """The matches in `rows` that are words of their own, each with its confidence."""
        row, start, end = matches(text, self.pattern, rows)
        before, after = _touching(text, row, start, end)
        inside = (_wordy(before) & _wordy(text.data[start])) | (_wordy(after) & _wordy(text.data[end - 1]))
        row, start, end = row[~inside], start[~inside], end[~inside]
        level = np.full(len(row), Confidence.LIKELY, np.int8)
        checked = np.zeros(len(row), np.bool_)
        if self.keywords:
            level[~self._announced(text, row, start, end)] = Confidence.POSSIBLE
        if self.check is not None:
            checked = _accepted(text, start, end, self.check)
            level = np.where(checked, Confidence.CERTAIN, REJECTED).astype(np.int8)
        return Hits(row, start, end, level, checked).where(level > REJECTED)

    def _announced(self, text: Text, row: Index, start: Index, end: Index) -> npt.NDArray[np.bool_]:
        """Which matches have a keyword near them, in the same value."""
        before = slices(text.data, np.maximum(text.offsets[row], start - REACH), start)
        behind = slices(text.data, end, np.minimum(text.offsets[row + 1], end + REACH))
        found = np.zeros(len(row), np.bool_)
        for around in (before, behind):
            near = pc.match_substring_regex(around, self._keyword, ignore_case=True)
            found |= near.to_numpy(zero_copy_only=False)
        return found

    @cached_property
    def _keyword(self) -> str:
        """Any keyword, as RE2 over bytes; one of ASCII letters must be a word of its own."""
        words = sorted(re.escape(word) for word in self.keywords if word.isascii())
        others = sorted(re.escape(word) for word in self.keywords if not word.isascii())
        alone = [rf"(?:\A|[^0-9A-Za-z])(?:{'|'.join(words)})(?:[^0-9A-Za-z]|\z)"] if words else []
        return "|".join([*alone, *others])


def _touching(text: Text, row: Index, start: Index, end: Index) -> tuple[Bytes, Bytes]:
    """The byte in front of and behind each match within its value, 0 at the edges."""
    last = max(len(text.data) - 1, 0)
    before = np.where(start > text.offsets[row], text.data[start - 1], 0).astype(np.uint8)
    after = np.where(end < text.offsets[row + 1], text.data[np.minimum(end, last)], 0).astype(np.uint8)
    return before, after


def _wordy(touching: Bytes) -> npt.NDArray[np.bool_]:
    """Which bytes are ASCII letters, digits or an underscore."""
    wordy: npt.NDArray[np.bool_] = in_letters(touching) | (touching - 48 < 10)
    return wordy


def _accepted(text: Text, start: Index, end: Index, check: Callable[[str], bool]) -> npt.NDArray[np.bool_]:
    """Which matches `check` accepts."""
    different = slices(text.data, start, end).dictionary_encode()
    texts = (value.decode(errors="replace") for value in different.dictionary.to_pylist())
    verdicts = pa.array([check(value) for value in texts], pa.bool_())
    accepted: npt.NDArray[np.bool_] = verdicts.take(different.indices).to_numpy(zero_copy_only=False)
    return accepted
