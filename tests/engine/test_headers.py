"""A header is evidence when it names a kind in whole words."""

from __future__ import annotations

import unicodedata

import pytest

from pii_guard.detectors import select
from pii_guard.engine.headers import names_kind, normalise, words


def kinds(header: str) -> set[str]:
    return {detector.kind.id for detector in select() if names_kind(header, detector.headers)}


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("phone", "kr_phone_mobile"),
        ("hp_no", "kr_phone_mobile"),
        ("custPhoneNo2", "kr_phone_mobile"),
        ("MBL_TELNO", "kr_phone_mobile"),
        ("고객휴대폰번호", "kr_phone_mobile"),
        ("휴대폰 번호", "kr_phone_mobile"),
        ("휴대폰(필수)", "kr_phone_mobile"),
        (unicodedata.normalize("NFD", "이메일"), "email"),
        ("e-mail", "email"),
        ("emails", "email"),
        ("주민등록번호", "kr_rrn"),
        ("환불계좌", "kr_bank_account"),
        ("card_no", "credit_card"),
        ("고객명", "person_name_ko"),
        ("cust_nm", "person_name_ko"),
        ("담당자이메일", "email"),
    ],
)
def test_a_header_names_its_kind(header: str, kind: str) -> None:
    """Korean and English, abbreviated, in camel case, decomposed, with a number or more words around."""
    assert kind in kinds(header)


@pytest.mark.parametrize(
    "header", ["php", "thp", "telescope", "pandas", "color", "주문번호", "합계", "", "123", "discardno"]
)
def test_part_of_a_word_names_nothing(header: str) -> None:
    """`hp` is not in `php`."""
    assert kinds(header) == set()


def test_words_split_at_case_punctuation_and_digits() -> None:
    """The parts that hints are compared with."""
    assert words("RRN") == ("rrn",)
    assert words("userHPNo") == ("user", "hp", "no")
    assert words("addr2line") == ("addr", "2", "line")
    assert normalise("E-Mail Addr.") == "emailaddr"
