"""Numbers and identifiers beyond their vectors: check digits, addresses and dates against plain Python; columns."""

from __future__ import annotations

import datetime
import ipaddress
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lexer_oracle import addresses, emails

from pii_guard import find, scan
from pii_guard.detectors import load
from pii_guard.engine.lexer import lex
from pii_guard.engine.text import Text
from pii_guard.engine.tokens import Family, Tokens
from pii_guard.model import Confidence

DIGITS = st.text("0123456789", min_size=12, max_size=12)


def spans(text: str, kind: str) -> list[str]:
    return [text[hit["start"] : hit["end"]] for hit in find([text], only=[kind]).to_pylist()]


def findings(values: Any, header: str) -> dict[str, Confidence]:
    report = scan(pa.table({header: values}))
    return {finding.kind: finding.confidence for _, finding in report.findings}


def closing(digits: str, weights: list[int], modulus: int, base: int) -> int:
    total = sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True))
    return (base - total % modulus) % 10


@settings(max_examples=200, deadline=None)
@given(st.dates(datetime.date(1900, 1, 1), datetime.date(2020, 10, 4)), st.integers(0, 999_999), st.booleans())
def test_resident_and_alien_numbers_close_differently(born: datetime.date, rest: int, alien: bool) -> None:
    """A number is found with the check digit of its own kind and with no other: born before the check was dropped."""
    seventh = (5 if alien else 1) + 2 * (born.year >= 2000)
    first = f"{born:%y%m%d}{seventh}{rest // 10:05}"
    weights = [2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]
    right, wrong = (closing(first, weights, 11, base) for base in ((13, 11) if alien else (11, 13)))
    kind = "kr_alien_registration" if alien else "kr_rrn"
    for digit in range(10):
        value = f"{first[:6]}-{first[6:]}{digit}"
        assert spans(value, kind) == ([value] if digit == right else [])
    assert right != wrong


@settings(max_examples=200, deadline=None)
@given(DIGITS)
def test_business_numbers_are_those_that_pass(digits: str) -> None:
    """Of the ten numbers with the same first nine digits the one that passes is found, if its parts are given out."""
    weights = [1, 3, 7, 1, 3, 7, 1, 3, 5]
    total = sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False)) + int(digits[8]) * 5 // 10
    given_out = int(digits[:3]) >= 101 and int(digits[3:5]) > 0 and int(digits[5:9]) > 0
    for last in range(10):
        value = f"{digits[:3]}-{digits[3:5]}-{digits[5:9]}{last}"
        passes = given_out and (total + last) % 10 == 0
        assert spans(value, "kr_business_registration") == ([value] if passes else [])


@settings(max_examples=200, deadline=None)
@given(DIGITS)
def test_corporate_numbers_are_those_that_pass(digits: str) -> None:
    """Of the ten numbers with the same first twelve digits the one that passes is found, if the form exists."""
    right = closing(digits, [1, 2] * 6, 10, 10)
    for last in range(10):
        value = f"{digits[:6]}-{digits[6:]}{last}"
        passes = last == right and int(digits[4:6]) >= 11
        assert spans(value, "kr_corporate_registration") == ([value] if passes else [])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 300), min_size=4, max_size=4), st.booleans())
def test_addresses_of_version_4_are_those_of_the_standard_library(parts: list[int], padded: bool) -> None:
    """Four parts are an address if Python parses them; loopback, multicast and reserved ones are nobody's."""
    value = ".".join(f"{part:02}" if padded else str(part) for part in parts)
    try:
        address = ipaddress.IPv4Address(value)
    except ipaddress.AddressValueError:
        expected = False
    else:
        expected = 0 < parts[0] < 224 and not address.is_loopback
    assert spans(value, "ip_address") == ([value] if expected else [])


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 2**125 - 1), st.sampled_from(["compressed", "exploded"]), st.sampled_from(["", "접속: ", "[", "at "])
)
@example(0, "compressed", "")
def test_every_global_address_of_version_6_is_found(bits: int, form: str, front: str) -> None:
    """Any address in 2000::/3, shortened or in full, with its exact span."""
    value = getattr(ipaddress.IPv6Address((1 << 125) | bits), form)
    assert spans(f"{front}{value}로 접속", "ip_address") == [value]


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.sampled_from(["2001", "db8", "0", "::", ":", "ffff", "1.2.3.4", "fe80", "12345", "g", "."]), max_size=12
    )
)
def test_what_is_found_of_version_6_is_an_address(parts: list[str]) -> None:
    """A hit with a colon is an address that Python parses."""
    for value in spans("".join(parts), "ip_address"):
        ipaddress.ip_address(value)


PIECES = st.sampled_from(
    ["::", ":", "1:2:", "ab", "face", "2001", ".", "1.2.3.4", "g", "가", "@", "a@", "@b.kr", " ", "12:30:45"]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.lists(PIECES, max_size=14).map("".join), max_size=12))
@example(["a:", ":b", "가@", "@나", "1:2:3:4:5:6", ":7"])  # values that touch
def test_addresses_and_korean_addresses_lex_like_the_oracle(values: list[str]) -> None:
    """Columns full of colons and at signs have the tokens of the plain-Python oracle, value by value."""
    text = Text.of(pa.array(values, pa.string()))
    tokens = lex(text)
    for family, oracle in ((Family.ADDRESS, addresses), (Family.EMAIL, emails)):
        assert lexed(text, tokens, family) == [sorted(oracle(value.encode())) for value in values]


def lexed(text: Text, tokens: Tokens, family: Family) -> list[list[tuple[int, int]]]:
    rows: list[list[tuple[int, int]]] = [[] for _ in range(len(text))]
    block = tokens.family(family)
    for index in range(block.start, block.stop):
        row = int(tokens.row(np.array([index]))[0])
        head = int(text.offsets[row])
        rows[row].append((int(tokens.start[index]) - head, int(tokens.end[index]) - head))
    return [sorted(row) for row in rows]


@pytest.mark.parametrize(
    "text", [":" * 100_000, "1:" * 50_000, "::1 " * 25_000, "가@" * 25_000, "2001:db8::1%" * 8_000]
)
def test_hostile_values_give_a_token_for_a_byte_at_most(text: str) -> None:
    """One long value of colons or at signs gives no more tokens than it has bytes, and is judged without an error."""
    found = lex(Text.of(pa.array([text])))
    assert found.blocks[Family.ADDRESS] + found.blocks[Family.EMAIL] <= len(text)
    find([text], only=["ip_address", "email"])


@pytest.mark.parametrize(
    "form",
    [
        "{:%Y-%m-%d}",
        "{:%Y.%m.%d}",
        "{:%Y/%m/%d}",
        "{:%Y%m%d}",
        "{:%y%m%d}",
        "{:%Y년 %m월 %d일}",
        "{:%Y-%m-%d} 00:00:00",
    ],
)
def test_dates_are_dates_of_birth_under_a_header_only(form: str) -> None:
    """The header makes the difference, for every form of a date."""
    first = datetime.date(1960, 1, 1)
    values = [form.format(first + datetime.timedelta(days=97 * day)) for day in range(200)]
    assert findings(values, "생년월일")["date_of_birth"] == Confidence.LIKELY
    assert "date_of_birth" not in findings(values, "created_at")


def test_times_are_no_dates_of_birth_under_any_header() -> None:
    """A time of day says that it is a time stamp."""
    values = [f"1990-01-{day:02} 12:{day:02}:00" for day in range(1, 29)]
    assert "date_of_birth" not in findings(values, "birth_date")


@pytest.mark.parametrize(
    ("header", "first", "kind"),
    [
        ("hp_no", 1012345678, "kr_phone_mobile"),
        ("phone", 212345678, "kr_phone_fixed"),
        ("tel_no", 3112345678, "kr_phone_fixed"),
        ("건강보험증번호", 80123456789, "kr_health_insurance"),
    ],
)
def test_numbers_need_their_header(header: str, first: int, kind: str) -> None:
    """Integers: phone numbers without their 0, insurance numbers. Under another header they are only numbers."""
    values = [first + 7 * place for place in range(300)]
    assert findings(values, header)[kind] == Confidence.LIKELY
    assert findings(values, "order_total") == {}


def test_companies_are_not_persons() -> None:
    """A column of corporate registration numbers, many of which read as births of 2011, is not one of residents."""
    random = Random(7)  # noqa: S311 - made-up data
    digits = [f"110111{random.randrange(10**6):06}" for _ in range(1000)]
    values = [f"{first[:6]}-{first[6:]}{closing(first, [1, 2] * 6, 10, 10)}" for first in digits]
    for header in ("crno", "code"):
        found = findings(values, header)
        assert found["kr_corporate_registration"] == Confidence.CERTAIN
        assert all(level <= Confidence.POSSIBLE for kind, level in found.items() if kind != "kr_corporate_registration")
    assert not load("kr_corporate_registration").kind.personal


LOOK_ALIKES = {
    "seconds since 1970": lambda random: str(random.randrange(1_600_000_000, 1_800_000_000)),
    "milliseconds since 1970": lambda random: str(random.randrange(1_600_000_000_000, 1_800_000_000_000)),
    "versions": lambda random: ".".join(str(random.randrange(20)) for _ in range(4)),
    "order numbers": lambda random: f"S{random.randrange(10**8):08}",
    "minutes": lambda random: (
        f"2026{random.randrange(1, 13):02}{random.randrange(1, 29):02}{random.randrange(24):02}30"
    ),
    "decimals": lambda random: f"{random.randrange(1500, 1900)}.{random.randrange(10**4):04}",
    "hashes": lambda random: f"{random.getrandbits(36):09x}",
    "hardware addresses": lambda random: ":".join(f"{random.randrange(256):02x}" for _ in range(6)),
    "times": lambda random: f"{random.randrange(24):02}:{random.randrange(60):02}:{random.randrange(60):02}",
    "ratios": lambda random: f"{random.randrange(1, 999)}-{random.randrange(10, 99)}-{random.randrange(1, 9999)}",
}


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_columns_of_look_alikes_are_possible_at_most(name: str) -> None:
    """Without a header no column of such values is likely to hold anything personal."""
    random = Random(11)  # noqa: S311 - made-up data
    found = findings([LOOK_ALIKES[name](random) for _ in range(1000)], "code")
    assert all(level <= Confidence.POSSIBLE for level in found.values()), found
