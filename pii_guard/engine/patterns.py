"""Shapes that are made of words: found by RE2, over all rows at once.

A flag pass of all patterns over the column (some 600 MB/s) leaves few rows; on these the spans are read.

Patterns of detectors have one named group `value`; their spans are read match by match. Long values are searched by
Python's `re`, which keeps the time linear in their length. Patterns of users are whole values, and RE2 alone runs them:
whatever they are, the time is linear.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.engine.text import Bytes, Index, Text

__all__ = ["as_strings", "flagged", "flaw", "matches", "spans"]

LONG = 4_096
"""Bytes; a longer value may have so many matches that reading them one round each would be quadratic."""


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def as_strings(text: Text) -> pa.Array:
    """The values as a large_string array over the same memory. What is not valid UTF-8 matches nothing in RE2."""
    pieces = [None, pa.py_buffer(text.offsets), pa.py_buffer(text.data)]
    return pa.Array.from_buffers(pa.large_string(), len(text), pieces)


def flagged(text: Text, patterns: tuple[str, ...]) -> Index:
    """The rows that match any of `patterns`, in one pass."""
    either = "|".join(f"(?:{pattern.replace('(?P<value>', '(?:')})" for pattern in patterns)
    return np.flatnonzero(pc.match_substring_regex(as_strings(text), either).to_numpy(zero_copy_only=False))


MARK, OTHER = 0xFF, 0xFE
"""Bytes that UTF-8 does not have, so that RE2 finds neither."""


def matches(text: Text, pattern: str, rows: Index) -> tuple[Index, Index, Index]:
    """(row, start, end) of every match of `pattern` that is not empty, in `rows` alone; positions in `text.data`.

    RE2 sets a mark before and behind every match, in one pass over each value.
    """
    part = text.take(rows)
    part.data[part.data == MARK] = OTHER
    marked = pc.replace_substring_regex(as_strings(part), pattern=f"(?:{pattern})", replacement=b"\xff\\0\xff")
    marks = np.flatnonzero(Text.of(marked).data == MARK)
    edges = (marks - np.arange(len(marks))).reshape(-1, 2)
    start, end = edges[edges[:, 0] < edges[:, 1]].T
    row = np.searchsorted(part.offsets, start, side="right") - 1
    shift = text.offsets[rows[row]] - part.offsets[row]
    return rows[row], start + shift, end + shift


def flaw(pattern: str) -> str | None:
    """What is wrong with a pattern of a user, or None."""
    if re.search(r"\(\?P?<", pattern):
        return "has a named group; write (?:...)"
    if r"\C" in pattern:
        return r"has \C, which may end inside a character"
    try:
        empty = pc.match_substring_regex(pa.array([""]), f"(?:{pattern})")[0].as_py()
    except pa.ArrowInvalid as error:
        return f"is no regular expression of RE2: {str(error).removeprefix('Invalid regular expression: ')}"
    return "matches the empty text" if empty else None


def spans(text: Text, pattern: str, rows: Index | None = None) -> tuple[Index, Index, Index]:
    """(row, start, end) of the group `value` in every match of `pattern`, positions in `text.data`.

    `pattern` must mean the same to RE2 and to Python. With `rows` only those are searched.
    """
    if rows is None:
        rows = flagged(text, (pattern,))
    found: list[tuple[Index, Index, Index]] = [(np.zeros(0, np.int64),) * 3]
    lengths = text.offsets[rows + 1] - text.offsets[rows]
    found += [_in_long(text, row, pattern) for row in rows[lengths > LONG].tolist()]
    rows = rows[lengths <= LONG]
    first = text.offsets[rows].copy()  # from where each row is still to be searched
    while len(rows):
        rest = Text(*_rest(text, rows, first))
        match = pc.extract_regex_span(as_strings(rest), pattern)
        hit = match.is_valid().to_numpy(zero_copy_only=False)
        rows, first = rows[hit], first[hit]
        span = match.field("value").flatten().to_numpy(zero_copy_only=False).reshape(-1, 2)[hit].astype(np.int64)
        start, end = first + span[:, 0], first + span[:, 0] + span[:, 1]
        found.append((rows, start, end))
        first = np.maximum(end, first + 1)
        more = first < text.offsets[rows + 1]
        rows, first = rows[more], first[more]
    row, start, end = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return row, start, end


def _rest(text: Text, rows: Index, first: Index) -> tuple[Bytes, Index]:
    lengths = text.offsets[rows + 1] - first
    offsets = np.r_[0, np.cumsum(lengths)]
    source = np.repeat(first - offsets[:-1], lengths) + np.arange(offsets[-1])
    return text.data[source], offsets


def _in_long(text: Text, row: int, pattern: str) -> tuple[Index, Index, Index]:
    """The same in one value, by Python's `re`; positions in characters are counted back to bytes."""
    head = int(text.offsets[row])
    value = text.data[head : int(text.offsets[row + 1])].tobytes()
    decoded = value.decode(errors="surrogateescape")
    places: list[tuple[int, int]] = []
    while hit := _compiled(pattern).search(decoded, places[-1][1] if places else 0):
        places.append(hit.span("value"))
    if not places:
        return (np.zeros(0, np.int64),) * 3
    starts = np.r_[np.flatnonzero((np.frombuffer(value, np.uint8) & 0xC0) != 0x80), len(value)]
    if len(starts) != len(decoded) + 1:  # invalid UTF-8: count the slow way
        starts = np.cumsum([0, *(len(char.encode(errors="surrogateescape")) for char in decoded)])
    start, end = (starts[np.array(edge)] + head for edge in zip(*places, strict=True))
    return np.full(len(places), row), start, end
