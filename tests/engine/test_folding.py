"""Unusual characters become ordinary ones, value by value, and every position leads back."""

from __future__ import annotations

import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pii_guard import find, scan
from pii_guard.engine.folding import HYPHENS, INVISIBLE, SPACES, fold
from pii_guard.engine.text import Text

JAMO = [*map(chr, range(0x1100, 0x1113)), *map(chr, range(0x1161, 0x1176)), *map(chr, range(0x11A8, 0x11C3))]
UNUSUAL = st.sampled_from([*"０９－．＠ａＺ～", *HYPHENS, *SPACES, *INVISIBLE])
ORDINARY = st.sampled_from([*"a0-. @홍길동가힣é日\U0001f600\u3042\u0301ᆧ\u11a7\u1113"])
VALUES = st.lists(
    st.one_of(
        st.lists(st.one_of(UNUSUAL, ORDINARY, st.sampled_from(JAMO)), max_size=8).map("".join),
        st.text("홍길동하늘각힣", max_size=4).map(lambda text: unicodedata.normalize("NFD", text)),
        st.text(max_size=6),
    ),
    min_size=1,
    max_size=6,
)


def ordinary(char: str) -> str:
    if char in HYPHENS:
        return "-"
    if char in SPACES:
        return " "
    if char in INVISIBLE:
        return ""
    return unicodedata.normalize("NFKC", char) if "\uff01" <= char <= "\uff5e" else char


def expected(value: str) -> list[tuple[str, int, int]]:
    """(character, first and last position in the value, in bytes), the plain way."""
    found: list[tuple[str, int, int]] = []
    place = start = 0
    while place < len(value):
        cluster = value[place]
        if cluster in JAMO[:19] and value[place + 1 : place + 2] in JAMO[19:40] and value[place + 1 : place + 2]:
            final = value[place + 2 : place + 3]
            cluster = value[place : place + (3 if final and final in JAMO[40:] else 2)]
        end = start + len(cluster.encode())
        char = unicodedata.normalize("NFC", cluster) if len(cluster) > 1 else ordinary(cluster)
        if char:
            found.append((char, start, end))
        place, start = place + len(cluster), end
    return found


@settings(max_examples=400)
@given(VALUES)
@example(
    ["０１０－１２３４－５６７８", "010ㅡ1234ㅡ5678", "\u200b010\u00ad-1234", unicodedata.normalize("NFD", "홍길동")]
)
@example(["\u1112", "\u1161"])  # halves of a syllable in two values do not meet
def test_folding_is_that_of_the_oracle(values: list[str]) -> None:
    """Characters and their positions are those of a loop over characters."""
    values = [value.encode(errors="replace").decode() for value in values]
    text = Text.of(pa.array(values))
    folded = fold(text)
    for row, value in enumerate(values):
        start, head = int(folded.offsets[row]), int(text.offsets[row])
        assert folded.value(row) == "".join(char for char, _, _ in expected(value))
        for char, first, last in expected(value):
            end = start + len(char.encode())
            begin, stop = folded.original(np.array([start]), np.array([end]))
            assert (int(begin[0]) - head, int(stop[0]) - head) == (first, last)
            start = end


@given(st.lists(st.binary(max_size=8), max_size=8))
def test_any_bytes_can_be_folded(values: list[bytes]) -> None:
    """Invalid UTF-8 stays as it is, and no value reaches into the next."""
    folded = fold(Text.of(pa.array(values, pa.binary())))
    assert len(folded) == len(values)
    for row, value in enumerate(values):
        alone = fold(Text.of(pa.array([value], pa.binary())))
        assert alone.data.tobytes() == folded.data[folded.offsets[row] : folded.offsets[row + 1]].tobytes()


@pytest.mark.parametrize("values", [["ascii"], ["한글 문장입니다"], [""], []])
def test_ordinary_text_is_the_same_object(values: list[str]) -> None:
    """Nothing is copied where there is nothing to do."""
    text = Text.of(pa.array(values, pa.string()))
    assert fold(text) is text


@pytest.mark.parametrize(
    ("text", "value", "kind"),
    [
        ("번호 ０１０－１２３４－５６７８로", "０１０－１２３４－５６７８", "kr_phone_mobile"),
        ("010ㅡ1234ㅡ5678", "010ㅡ1234ㅡ5678", "kr_phone_mobile"),
        ("010–1234—5678", "010–1234—5678", "kr_phone_mobile"),
        ("010\u200b-1234\u00ad-5678", "010\u200b-1234\u00ad-5678", "kr_phone_mobile"),
        ("ｇｉｌｄｏｎｇ＠ｅｘａｍｐｌｅ．ｃｏｍ으로", "ｇｉｌｄｏｎｇ＠ｅｘａｍｐｌｅ．ｃｏｍ", "email"),
        ("카드 4111\u00a01111\u00a01111\u00a01111", "4111\u00a01111\u00a01111\u00a01111", "credit_card"),
    ],
)
def test_values_in_unusual_characters_are_found_where_they_stand(text: str, value: str, kind: str) -> None:
    """The span is in the characters of the text as it was given."""
    (hit,) = find([text]).to_pylist()
    assert (text[hit["start"] : hit["end"]], hit["kind"]) == (value, kind)


def test_decomposed_names_and_headers_are_names() -> None:
    """Names that a Mac wrote (NFD) are names."""
    decomposed = [unicodedata.normalize("NFD", name) for name in ["홍길동", "김민수", "이영희", "박지훈", "남궁민수"]]
    report = scan(pa.table({unicodedata.normalize("NFD", "고객명"): decomposed}))
    assert [finding.kind for _, finding in report.findings] == ["person_name_ko"]
