"""Kinds of a user: pattern, keywords, header and function decide as docs/own-rules.md says."""

from __future__ import annotations

import re
from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii_guard.detectors import select
from pii_guard.detectors.custom import Custom
from pii_guard.engine.detection import locate
from pii_guard.engine.text import Text
from pii_guard.model import Kind
from pii_guard.scanner import scan_data

STAFF = Kind("staff", "staff number")
PATTERN = r"EMP-?[0-9]{6}"


def custom(
    pattern: str = PATTERN, keywords: tuple[str, ...] = (), check: Callable[[str], bool] | None = None
) -> Custom:
    return Custom(STAFF, pattern, keywords, frozenset(["empno"]), check)


def found(texts: list[str], detector: Custom) -> list[tuple[int, str, int]]:
    """(row, value, confidence) of each hit."""
    text = Text.of(pa.array(texts, pa.large_string()))
    hits = [
        (int(row), text.data[start:end].tobytes().decode(), int(level))
        for _, part in locate(text, [detector])
        for row, start, end, level in zip(part.row, part.start, part.end, part.confidence, strict=True)
    ]
    return sorted(hits)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("EMP-004217", ["EMP-004217"]),
        ("사번EMP004217입니다", ["EMP004217"]),
        ("EMP-004217,EMP-004218", ["EMP-004217", "EMP-004218"]),
        ("(EMP-004217)", ["EMP-004217"]),
        ("-EMP-004217-", ["EMP-004217"]),
        ("TEMP-004217", []),
        ("EMP-0042171", []),
        ("_EMP-004217", []),
        ("EMP-004217_2", []),
        ("EMP-42", []),
        ("", []),
    ],
)
def test_a_value_is_a_word_of_its_own(text: str, values: list[str]) -> None:
    """A match inside a word or number of letters, digits or underscores is none; Hangul may touch it."""
    assert [value for _, value, _ in found([text], custom())] == values


def test_values_are_hard_boundaries() -> None:
    """What touches in memory does not touch in the column, and nothing is found across two values."""
    assert [row for row, _, _ in found(["xEMP-", "EMP-004217", "4EMP-", "004217"], custom())] == [1]


@pytest.mark.parametrize(
    ("text", "confidence"),
    [
        ("사번 EMP-004217", 2),
        ("EMP-004217 (employee)", 2),
        ("Employee: EMP-004217", 2),
        ("employees EMP-004217", 1),
        ("EMP-004217", 1),
        ("employee " + "." * 48 + "EMP-004217", 1),
    ],
)
def test_keywords_make_it_likely(text: str, confidence: int) -> None:
    """A keyword within 48 bytes on either side; one of ASCII letters is a word of its own, whatever its case."""
    assert [level for _, _, level in found([text], custom(keywords=("사번", "employee")))] == [confidence]


def test_the_function_decides_and_sees_each_text_once() -> None:
    """What it accepts is certain, what it refuses is no value."""
    seen: list[str] = []

    def even(value: str) -> bool:
        seen.append(value)
        return int(value[-1]) % 2 == 0

    hits = found(["EMP-000001 EMP-000002", "EMP-000002"], custom(check=even))
    assert hits == [(0, "EMP-000002", 3), (1, "EMP-000002", 3)]
    assert sorted(seen) == ["EMP-000001", "EMP-000002"]


def test_a_header_and_a_full_column_count() -> None:
    """A header that names the kind makes a column likely, as do values that are nothing else."""
    detectors = select(["staff"], own=[custom(keywords=("사번",))])
    table = pa.table({"emp_no": [f"EMP-{n:06}" for n in range(9)], "memo": ["see EMP-000001"] + ["-"] * 8})
    report = scan_data(table, detectors=detectors)
    assert [(field.field.path, finding.kind, str(finding.confidence)) for field, finding in report.findings] == [
        ("emp_no", "staff", "likely"),
        ("memo", "staff", "possible"),
    ]
    assert all(sample.startswith("E") and "0" not in sample for _, f in report.findings for sample in f.samples)


PIECES = st.lists(st.sampled_from(["ab", "a", "b", "1", "12", " ", "-", "가", "é", "_", "\n", "", "ﬀ"]), max_size=12)


@given(st.lists(PIECES.map("".join), max_size=6), st.sampled_from(["ab|a", "[a-b]+1?", "1.?", "가b?", "a*", "(?i)AB"]))
def test_as_pythons_re_finds_them(texts: list[str], pattern: str) -> None:
    """The hits are the leftmost matches, not empty, that do not begin or end inside a word."""
    wanted = []
    for row, text in enumerate(texts):
        for hit in re.finditer(pattern, text):
            start, end = hit.span()
            around = text[:start][-1:] + hit[0][:1], hit[0][-1:] + text[end:][:1]
            if hit[0] and not any(re.fullmatch(r"[0-9A-Za-z_]{2}", pair) for pair in around):
                wanted.append((row, hit[0], 2))
    assert found(texts, custom(pattern)) == sorted(wanted)


@given(st.lists(st.binary(max_size=8), max_size=6))
def test_bytes_that_are_not_utf8_hide_nothing(values: list[bytes]) -> None:
    """A value beside any bytes is found, each time."""
    text = Text.of(pa.array([value + b" EMP-004217 " + value for value in values], pa.large_binary()))
    assert sum(len(hits) for _, hits in locate(text, [custom()])) == len(values)


def test_what_is_not_personal_hides_nothing() -> None:
    """A kind of a policy that came with the data cannot take a phone number out of a report."""
    note = Custom(Kind("note", "note", personal=False), ".+")
    detectors = select(own=[note])
    report = scan_data(
        pa.table({"memo": ["call 010-1234-5678 please", "bank 110-234-567890 신한은행"]}), detectors=detectors
    )
    found = {finding.kind: finding.hits for _, finding in report.findings}
    assert found == {"note": 2, "kr_phone_mobile": 1, "kr_bank_account": 1}
