"""Names that are values are replaced by their kind; other names are left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii_guard.naming import safe_name, safe_text


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("out/hong@example.com.csv", "out/<email>"),
        ("홍길동_이력서.csv", "<person_name_ko>_이력서.csv"),
        ("exports/010-1234-5678/김민수.csv", "exports/<kr_phone_mobile>/<person_name_ko>.csv"),
        ("900101-1000006.json", "<kr_rrn>.json"),
        ("customers.csv: no such file", "customers.csv: no such file"),
        ("고객명, 담당자, 이메일", "고객명, 담당자, 이메일"),
        ("2024-01-15.csv", "2024-01-15.csv"),
        ("", ""),
    ],
)
def test_values_in_a_text_become_kinds(text: str, safe: str) -> None:
    """Paths and messages may be shown."""
    assert safe_text(text) == safe


@pytest.mark.parametrize(
    "header", ["고객명", "성명", "담당자", "전화번호", "이메일", "주소지", "name", "email", "주문일", "이용일"]
)
def test_ordinary_headers_are_shown(header: str) -> None:
    """A header that names a kind is no value of it."""
    assert safe_name(header, 1) == (header, {})


def test_two_names_of_one_kind_are_told_apart_by_their_place() -> None:
    """The place in the table makes the shown name unique."""
    assert safe_name("hong@example.com", 1)[0] != safe_name("kim@example.com", 2)[0]
    assert safe_name("hong@example.com 010-1234-5678", 4) == (
        "<email#4> <kr_phone_mobile#4>",
        {"email": 1, "kr_phone_mobile": 1},
    )


@given(st.text())
def test_any_text_can_be_made_safe(text: str) -> None:
    """Lone surrogates, controls, anything: no error, and a safe text stays as it is."""
    assert safe_text(safe_text(text)) == safe_text(text)


def test_file_names_that_are_no_utf8_can_be_made_safe() -> None:
    """Undecodable bytes arrive as lone surrogates."""
    assert safe_text("\udcff hong@example.com") == "\udcff <email>"
