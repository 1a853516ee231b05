"""Spans in texts: exact, in characters, the same however the texts are handed in."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pii_guard import find, finder
from pii_guard.detectors import select
from pii_guard.finder import find_in_stream

VALUES = {
    "email": "hong@example.com",
    "kr_phone_mobile": "010-1234-5678",
    "kr_rrn": "900101-1000006",
    "credit_card": "4111-1111-1111-1111",
}
NEUTRAL = st.text("가나다 뷁\U0001f600é!?,\n", max_size=12)


@settings(max_examples=150)
@given(NEUTRAL, st.sampled_from(sorted(VALUES)), NEUTRAL)
def test_a_value_in_neutral_text_is_found_exactly(before: str, kind: str, after: str) -> None:
    """Offsets are characters: whatever stands around, the slice is the value."""
    text = before + VALUES[kind] + after
    hits = [hit for hit in find([text]).to_pylist() if hit["kind"] == kind]
    assert [text[hit["start"] : hit["end"]] for hit in hits] == [VALUES[kind]]


@settings(max_examples=50)
@given(st.lists(st.one_of(st.none(), NEUTRAL, st.sampled_from(list(VALUES.values()))), max_size=12))
def test_texts_together_give_what_each_gives_alone(texts: list[str | None]) -> None:
    """No hit depends on the rows around it."""
    together = find(texts).to_pylist()
    apart = [{**hit, "row": row} for row, text in enumerate(texts) for hit in find([text]).to_pylist()]
    assert together == apart


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_every_kind_of_text_column_is_taken(kind: Any) -> None:
    """Nulls keep their rows."""
    column = pa.array(["x", None, "mail hong@example.com"]).cast(kind)
    assert [(hit["row"], hit["start"], hit["end"]) for hit in find(column).to_pylist()] == [(2, 5, 21)]
    assert find(pa.chunked_array([column[:1], column[1:]])).equals(find(column))


def test_nothing_to_find_is_an_empty_table_of_the_same_schema() -> None:
    """Callers need not ask whether there were hits."""
    assert find([]).schema == find(["hong@example.com"]).schema
    assert find(["x", None, ""]).num_rows == 0


def places(data: bytes) -> list[tuple[str, int, int, int, int]]:
    hits = find_in_stream(io.BytesIO(data), select())
    return [(hit.kind, hit.line, hit.column, hit.start, hit.end) for hit in hits]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp949", "utf-8-sig"])
def test_places_in_a_file_are_lines_columns_and_characters(end: str, encoding: str) -> None:
    """Whatever the encoding and the line ends: `text[start:end]` is the value, line and column say where."""
    lines = ["첫 줄", "연락처 010-1234-5678 끝", "", "메일 hong@example.com, 또 010-1234-5678"]
    text = end.join(lines)
    assert places(text.encode(encoding)) == [
        ("kr_phone_mobile", 2, 5, text.index("010"), text.index("010") + 13),
        ("email", 4, 4, text.index("hong"), text.index("hong") + 16),
        ("kr_phone_mobile", 4, 24, text.rindex("010"), text.rindex("010") + 13),
    ]


def test_places_are_exact_across_blocks_and_pieces_of_long_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file larger than a block, and a line larger than a piece, have the places of the text as a whole."""
    monkeypatch.setattr(finder, "LONGEST_LINE", 4_000)
    monkeypatch.setattr("pii_guard.connectors.encoding.BLOCK", 1_500)
    line = "가나다 " * 3_000
    text = "짧은 줄\n" + line + "hong@example.com" + line + "\n010-1234-5678\n"
    expected = [
        ("email", 2, len(line) + 1, text.index("hong"), text.index("hong") + 16),
        ("kr_phone_mobile", 3, 1, text.index("010"), text.index("010") + 13),
    ]
    assert places(text.encode()) == expected


@pytest.mark.parametrize("shift", range(0, 300, 7))
def test_a_value_at_any_place_of_a_seam_is_found_once(shift: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of a long line overlap: what stands in both is reported once."""
    monkeypatch.setattr(finder, "LONGEST_LINE", 2_000)
    monkeypatch.setattr("pii_guard.connectors.encoding.BLOCK", 1_000)
    text = "x " * (1_300 + shift // 2) + "010-1234-5678" + " y" * 2_000
    assert [place[3:] for place in places(text.encode())] == [(text.index("010"), text.index("010") + 13)]


@pytest.mark.parametrize("data", [b"", b"\n", b"\xff\xfe\x00", b"\x00" * 100, b"\n" * 1_000])
def test_odd_files_are_no_error(data: bytes) -> None:
    """Empty, blank and binary input has no hits."""
    assert places(data) == []


@pytest.mark.parametrize(
    "text", ["1" * 2_000_000, "@" * 2_000_000, "-" * 2_000_000, "1-" * 1_000_000, "a@" * 1_000_000]
)
def test_hostile_text_has_no_hits_and_ends(text: str) -> None:
    """Two million characters of one kind are searched like any others."""
    assert find([text]).num_rows == 0
