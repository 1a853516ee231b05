"""Hits and their counts: overlaps are settled, values are counted once, weights are honoured."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii_guard.detectors import select
from pii_guard.detectors.arithmetic import luhn
from pii_guard.engine.counting import tally
from pii_guard.engine.detection import WEAK, Hits, _disjoint, detect
from pii_guard.engine.text import CHUNK_BYTES, Text
from pii_guard.model import Confidence, Kind

SPANS = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 8), st.integers(WEAK, Confidence.CERTAIN)), max_size=12)


def hits_of(spans: list[tuple[int, int, int]]) -> Hits:
    start = np.array([start for start, _, _ in spans], np.int64)
    length = np.array([length for _, length, _ in spans], np.int64)
    level = np.array([level for _, _, level in spans], np.int8)
    return Hits(np.zeros(len(spans), np.int64), start, start + length, level, np.zeros(len(spans), np.bool_))


@given(st.lists(SPANS, min_size=1, max_size=3))
def test_overlaps_are_settled_as_one_by_one(found: list[list[tuple[int, int, int]]]) -> None:
    """The same hits survive as by taking the best hit, dropping what it overlaps, and so on; its equals become WEAK."""
    kept = _disjoint([hits_of(spans) for spans in found])
    left = sorted(
        (int(start), int(end), int(level))
        for hits in kept
        for start, end, level in zip(hits.start, hits.end, hits.confidence, strict=True)
    )
    ranked = sorted(
        (-level, -length, rank, start)
        for rank, spans in enumerate(found)
        for start, length, level in spans
        if level > WEAK
    )
    expected: list[tuple[int, int, int]] = []
    weak = [(start, start + length, WEAK) for spans in found for start, length, level in spans if level == WEAK]
    for level, length, _, start in ranked:
        if not any(begin < start - length and start < end for begin, end, _ in expected):
            expected.append((start, start - length, -level))
        elif any((begin, end) == (start, start - length) for begin, end, _ in expected):
            weak.append((start, start - length, WEAK))
    assert left == sorted([*expected, *weak])


def test_a_value_is_counted_once_whatever_it_holds() -> None:
    """Two hits in one value are one value; its best hit counts."""
    text = Text.of(pa.array(["010-1234-5678, +82-10-9876-5432", "nothing"]))
    detectors = select(["kr_phone_mobile"])
    ((_, part, (hits,)),) = detect(text, detectors)
    counted = tally(part, hits, detectors[0].kind, None)
    assert (counted.likely, counted.certain, counted.whole, counted.hits) == (0, 1, 0, 1)


def test_counts_weigh_the_entries_of_a_dictionary() -> None:
    """An entry that occurs a thousand times counts a thousand times."""
    text = Text.of(pa.array(["010-1234-5678", "x"]))
    detectors = select(["kr_phone_mobile"])
    ((_, part, (hits,)),) = detect(text, detectors)
    assert tally(part, hits, detectors[0].kind, np.array([1_000, 5])).likely == 1_000


@pytest.mark.parametrize("value", [" 010-1234-5678", "010-1234-5678   ", "\t010-1234-5678\r\n"])
def test_white_space_around_a_hit_does_not_make_it_part_of_a_text(value: str) -> None:
    """Padded columns (CHAR) are columns of values."""
    detectors = select(["kr_phone_mobile"])
    ((_, part, (hits,)),) = detect(Text.of(pa.array([value])), detectors)
    assert tally(part, hits, detectors[0].kind, None).whole == 1


def test_chunks_are_cut_between_values() -> None:
    """A text larger than a chunk gives the hits of its values, the value larger than a chunk included."""
    values = ["x" * CHUNK_BYTES + " 010-1234-5678", *["02-123-4567", ""] * 60_000, "hong@example.com"]
    detectors = select()
    rows = [
        first + int(row)
        for first, _, found in detect(Text.of(pa.array(values, pa.large_string())), detectors)
        for hits in found
        for row, level in zip(hits.row, hits.confidence, strict=True)
        if level > WEAK
    ]
    assert sorted(rows) == [0, *range(1, 120_001, 2), 120_001]


@given(st.lists(st.integers(0, 9), min_size=12, max_size=19), st.integers(0, 18), st.integers(1, 9))
def test_luhn_sees_every_wrong_digit(digits: list[int], place: int, by: int) -> None:
    """One digit changed breaks the check (ISO/IEC 7812-1 promises that)."""
    number = np.array(digits, np.uint8)[:, None]
    check = next(digit for digit in range(10) if luhn(np.concatenate([number, np.array([[digit]], np.uint8)]))[0])
    whole = np.concatenate([number, np.array([[check]], np.uint8)])
    wrong = whole.copy()
    wrong[place % len(whole)] = (wrong[place % len(whole)] + by) % 10
    assert luhn(whole)[0]
    assert not luhn(wrong)[0]


@pytest.mark.parametrize(
    ("value", "keep", "masked"),
    [
        ("010-1234-5678", (0, 2), "***-****-**78"),
        ("홍길동", (1, 0), "홍**"),
        ("홍길", (1, 0), "**"),
        ("a@b.c", (1, 0), "a@*.*"),
        ("é日本ñ", (0, 1), "***ñ"),
        ("", (1, 1), ""),
    ],
)
def test_a_mask_keeps_what_it_says(value: str, keep: tuple[int, int], masked: str) -> None:
    """Punctuation stays, letters and digits do not but for the few that the kind keeps; short values keep none."""
    assert Kind("k", "t", keep=keep).mask(value) == masked
