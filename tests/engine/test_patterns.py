"""Patterns of words: every match of every row, where Python's `re` finds it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pii_guard
from pii_guard.detectors import select
from pii_guard.engine import patterns
from pii_guard.engine.text import Text

PATTERN = "(?:성명|이름)[ :]*(?P<value>[김이박홍][가-힣]{1,2})(?:[^가-힣]|$)"
PIECES = st.sampled_from(
    ["성명", "이름", " ", ":", "홍길동", "김수", "이", "x", "é", "\U0001f600", "\n", "성명: 홍길동 "]
)
VALUES = st.lists(st.one_of(st.none(), st.lists(PIECES, max_size=10).map("".join)), max_size=8)


@pytest.mark.parametrize("long", [patterns.LONG, 0], ids=["vectorised", "one by one"])
@settings(max_examples=200)
@given(values=VALUES)
def test_spans_are_those_of_re(long: int, values: list[str | None]) -> None:
    """Row by row, match by match, in bytes. A match begins behind the value of the one before."""
    column = pa.array(values, pa.string()).drop_null()
    text = Text.of(column)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patterns, "LONG", long)
        found = sorted(zip(*(part.tolist() for part in patterns.spans(text, PATTERN)), strict=True))
    expected = []
    for row, value in enumerate(column.to_pylist()):
        place = 0
        while match := re.compile(PATTERN).search(value, place):
            start, end = (len(value[:edge].encode()) + int(text.offsets[row]) for edge in match.span("value"))
            expected.append((row, start, end))
            place = match.end("value")
    assert found == expected


def test_invalid_text_is_searched_for_what_is_valid_in_it() -> None:
    """Bytes that are no UTF-8 end no search and shift no position, in short values and in long ones."""
    value = b"\xff\xfe" + "성명 홍길동 ".encode() + b"\xff"
    text = Text.of(pa.array([value, value * 300], pa.binary()))
    row, start, end = patterns.spans(text, PATTERN)
    assert np.bincount(row).tolist() == [1, 300]
    assert {text.data[first:last].tobytes().decode() for first, last in zip(start, end, strict=True)} == {"홍길동"}


@pytest.mark.parametrize(
    "detector", [each for each in select() if hasattr(each, "patterns")], ids=lambda it: it.kind.id
)
@settings(max_examples=100)
@given(st.lists(st.lists(PIECES, min_size=1, max_size=10).map("".join), min_size=1, max_size=4))
def test_the_patterns_of_detectors_mean_the_same_to_re2_and_to_re(detector: Any, values: list[str]) -> None:
    """Long values are searched by the one, short ones by the other."""
    text = Text.of(pa.array(values, pa.string()))
    found = []
    for long in (patterns.LONG, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(patterns, "LONG", long)
            spans = (patterns.spans(text, pattern) for pattern in detector.patterns)
            found.append([sorted(zip(*(part.tolist() for part in each), strict=True)) for each in spans])
    assert found[0] == found[1]


def test_a_name_is_found_in_a_line_of_any_length() -> None:
    """A line longer than what RE2 is given match by match is searched all the same."""
    line = "성명: 홍길동 고객님, " * 1_000
    assert len(pii_guard.find([line], only=["person_name_ko"])) == 1_000
