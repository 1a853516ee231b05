"""The verdict on a column: shares, headers, check digits and look-alikes together."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from pii_guard import Confidence, Finding, scan


def finding(values: Sequence[str | None] | pa.Array, header: str = "c", kind: str | None = None) -> Finding | None:
    found = [finding for _, finding in scan(pa.table({header: values})).findings]
    matching = [finding for finding in found if kind in (None, finding.kind)]
    return matching[0] if matching else None


def rrn(birth: str, serial: int) -> str:
    digits = f"{birth}{serial:06d}"
    total = sum(int(digit) * weight for digit, weight in zip(digits, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5), strict=True))
    return f"{digits}{(11 - total % 11) % 10}"


def barcodes(count: int) -> list[str]:
    """EAN-13 numbers of GS1 Korea (prefix 880): 11 % read as birth dates, 1 % pass the resident number's check."""
    random = np.random.default_rng(3)
    found = []
    for number in random.integers(0, 10**9, count):
        digits = f"880{number:09d}"
        total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
        found.append(f"{digits}{(10 - total % 10) % 10}")
    return found


REAL = [rrn("900101", 100_000 + n) for n in range(200)]


def test_bare_resident_numbers_are_certain_by_their_pass_rate() -> None:
    """Thirteen bare digits that pass the check at 100 % are resident numbers, whatever the column is called."""
    found = finding(REAL)
    assert found is not None
    assert (found.kind, found.confidence, found.hits) == ("kr_rrn", Confidence.CERTAIN, 200)


def test_barcodes_are_at_most_possible() -> None:
    """Thirteen bare digits that pass at 1 % are barcodes."""
    found = finding(barcodes(3_000), "code", "kr_rrn")
    assert found is None or found.confidence == Confidence.POSSIBLE


def test_epoch_milliseconds_are_at_most_possible() -> None:
    """Time stamps of early 2024 read as birth dates in 1917 and pass by chance."""
    start = 1_704_000_000_000
    found = finding([str(start + 7_777_777 * n) for n in range(1_000)], "created", "kr_rrn")
    assert found is None or found.confidence == Confidence.POSSIBLE


def test_random_sixteen_digit_numbers_are_at_most_possible() -> None:
    """One in thirty passes for a card; a column of cards passes always."""
    random = np.random.default_rng(5)
    numbers = [str(4 * 10**15 + int(number)) for number in random.integers(0, 10**15, 2_000)]
    found = finding(numbers, "tracking", "credit_card")
    assert found is not None
    assert found.confidence == Confidence.POSSIBLE
    assert any("look like other numbers" in reason for reason in found.evidence)


def test_new_style_resident_numbers_under_their_header_are_likely() -> None:
    """Numbers given out since 2020-10-05 have no check digit: shape and header decide, and the evidence says so."""
    values = [f"2101{1 + n % 28:02d}-3{n:06d}" for n in range(100)]
    found = finding(values, "주민번호", "kr_rrn")
    assert found is not None
    assert found.confidence == Confidence.LIKELY
    assert found.evidence[-2:] == ("the check digit holds for 8 of 100 of that shape", "no more than chance")


def test_accounts_need_their_header() -> None:
    """The same column is bank accounts under 계좌번호 and nothing under another name."""
    values = [f"110-{n:03d}-{n * 7919 % 1_000_000:06d}" for n in range(50)]
    under = finding(values, "계좌번호")
    assert under is not None
    assert (under.kind, under.confidence) == ("kr_bank_account", Confidence.LIKELY)
    assert finding(values, "order_ref") is None


def test_names_by_header_or_by_their_syllables() -> None:
    """Names are found under a header, or by surname and given name where nearly all values have them."""
    names = ["홍길동", "김민수", "이영희", "박지훈", "최서연", "정하윤", "남궁민수", "윤서연", "강지우", "임수아"]
    rare = ["김솔뫼", "이봄", "박새롬", "최한별", "정나비", "홍가온"]
    by_header = finding([*names, *rare], "고객명")
    assert by_header is not None
    assert (by_header.kind, by_header.confidence) == ("person_name_ko", Confidence.LIKELY)
    by_values = finding(names * 3, "c1")
    assert by_values is not None
    assert by_values.kind == "person_name_ko"
    words = ["고구마", "정수기", "한국어", "서울시", "강서구", "신발장", "전화기", "주유소", "이어폰", "조명등"]
    assert finding(words * 3, "c1") is None
    assert finding(words * 3, "product_name") is None


@pytest.mark.parametrize(
    "values",
    [
        [f"2024-01-{1 + n % 28:02d} 10:{n % 60:02d}:00" for n in range(100)],
        [str(1_732_243_200 + n * 86_400) for n in range(100)],
        [f"ORD2024{n:08d}" for n in range(100)],
        [f"{n:08x}-4f89-11d3-9a0c-0305e82c{n:04x}" for n in range(100)],
        [f"{n}.{n % 7}.{n % 13}" for n in range(100)],
        [f"37.{n:06d}, 127.{n:06d}" for n in range(100)],
        ["배송중", "배송완료", "취소", "결제완료"] * 25,
        [f"{n * 1013 % 10_000_000:,}" for n in range(100)],
        [str(datetime.date(2024, 1, 1) + datetime.timedelta(days=n)) for n in range(100)],
    ],
    ids=["timestamps", "epoch", "orders", "uuids", "versions", "coordinates", "statuses", "amounts", "dates"],
)
def test_ordinary_columns_have_no_finding_above_possible(values: list[str]) -> None:
    """What surrounds personal data in real tables is not mistaken for it."""
    found = finding(list(values), "value")
    assert found is None or found.confidence == Confidence.POSSIBLE


def test_a_few_hits_in_texts_are_found_at_their_own_confidence() -> None:
    """One certain hit in a thousand comments is a certain finding of one hit."""
    found = finding(["배송 문의입니다"] * 999 + ["메일은 hong@example.com입니다"], "memo")
    assert found is not None
    assert (found.kind, found.confidence, found.hits, found.examined) == ("email", Confidence.CERTAIN, 1, 1_000)


def test_numbers_in_numeric_columns_are_found() -> None:
    """Everything is text to a detector: integers too."""
    found = finding(pa.array([int(value) for value in REAL]), "v")
    assert found is not None
    assert found.kind == "kr_rrn"


def corporate(count: int) -> list[str]:
    """Corporate registration numbers of registry 1101, type 11: some read as births on 2011-01-11."""
    found = []
    for number in range(count):
        digits = f"110111{1 + number % 4}{number * 7919 % 100_000:05d}"
        total = sum(int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(digits))
        found.append(f"{digits[:6]}-{digits[6:]}{(10 - total % 10) % 10}")
    return found


def test_the_header_settles_which_reading_is_right() -> None:
    """Corporate numbers that pass as resident numbers by chance are corporate numbers under their header."""
    values = corporate(400)
    assert scan(pa.table({"c": values}), only=["kr_rrn"]).fields[0].tally.kinds["kr_rrn"].hits > 20
    under = finding(values, "법인등록번호", "kr_corporate_registration")
    assert under is not None
    assert under.hits == 400
    assert finding(values, "법인등록번호", "kr_rrn") is None
    assert finding(values, "법인등록번호", "kr_alien_registration") is None


def test_phone_numbers_in_a_column_of_accounts_are_accounts() -> None:
    """Some banks let a customer choose a phone number as the account's."""
    values = [f"110-{n:03d}-{n * 7919 % 1_000_000:06d}" for n in range(60)]
    phones = [f"010-1234-{n:04d}" for n in range(10)]
    assert finding([*values, *phones], "ref", "kr_phone_mobile") is not None
    kinds = {
        found.kind
        for _, found in scan(pa.table({"계좌번호": [*values, *[p.replace("-", "") for p in phones]]})).findings
    }
    assert kinds == {"kr_bank_account"}


def test_a_header_does_not_hide_what_shares_its_column() -> None:
    """Addresses of mail among phone numbers are no misreading of phone numbers: the counts add up to the column."""
    values = [f"010-1234-{n:04d}" for n in range(60)] + [f"user{n}@example.com" for n in range(40)]
    assert finding(values, "phone", "kr_phone_mobile") is not None
    mail = finding(values, "phone", "email")
    assert mail is not None
    assert mail.hits == 40


def test_a_wrong_header_does_not_hide_resident_numbers() -> None:
    """Numbers whose check digits hold throughout stand against a header that says something else."""
    found = finding(REAL, "법인등록번호", "kr_rrn")
    assert found is not None
    assert found.confidence == Confidence.CERTAIN


def test_evidence_tells_the_figures() -> None:
    """Every finding says why, in words."""
    found = finding(["010-1234-5678"] * 8 + ["-", "없음"], "휴대폰")
    assert found is not None
    assert found.evidence == (
        "8 of 10 values have the shape of a Korean mobile phone number",
        "the name of the field says so",
    )
