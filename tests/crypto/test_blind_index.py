"""A blind index finds every value by any of its spellings, tells as little as was planned, and dies with its key."""

from __future__ import annotations

import base64
import math
import re
from unicodedata import normalize

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given
from hypothesis import strategies as st
from token_oracle import crc8, derived, lengths_and

from pii_guard.crypto.blind_index import MAX_BITS, index_column, labels, planned_bits, tokens
from pii_guard.crypto.key import ColumnKey
from pii_guard.crypto.normaliser import Normaliser, normalised, normaliser_of
from pii_guard.crypto.secret import Secret
from pii_guard.detectors import TABLE
from pii_guard.engine.protection import INDEX, STATES
from pii_guard.errors import UsageError
from pii_guard.model import Protection
from pii_guard.scanner import scan

FIELD, DATA_KEY = "customers.phone", bytes(range(32))
KEY = ColumnKey(b"\x01\x02\x03\x04", FIELD, Secret(DATA_KEY))
OTHER = ColumnKey(b"\x01\x02\x03\x05", FIELD, Secret(DATA_KEY))
NORMALISERS = st.sampled_from(Normaliser)
BITS = st.integers(1, MAX_BITS)
# scripts whose small letters are one character each, whatever the version of Unicode
TEXTS = st.text(
    st.characters(codec="utf-8", min_codepoint=0x20, max_codepoint=0x24F, exclude_characters="İ")
) | st.text(st.sampled_from("가각힣ㄱ홍길동 가한 éÉ０１２-+()@.aB\t\n"))


def plain(value: str, normaliser: Normaliser) -> str:
    """The rules of docs/FORMAT.md, one value at a time."""
    if normaliser in (Normaliser.PHONE, Normaliser.DIGITS):
        value = normalize("NFKC", value)
        digits = re.sub(r"[^0-9]", "", value)
        if normaliser is Normaliser.DIGITS:
            return digits
        if not re.match(r"[^0-9+]*\+", value):
            digits = digits[2:] if digits.startswith("00") else "82" + digits[1:] if digits.startswith("0") else digits
        return re.sub(r"^820+", "82", digits)
    value = normalize("NFC", value)
    if normaliser is Normaliser.EMAIL:
        value = normalize("NFC", "".join(char.lower() for char in value))
    return value.strip(" \t\n\v\f\r")


def made(value: str, key_id: bytes, normaliser: Normaliser, bits: int) -> str:
    """An index with none of our code."""
    mac = CMAC(AES(derived(DATA_KEY, b"index", key_id, FIELD, 32)))
    mac.update(lengths_and(b"index", bytes([normaliser])) + plain(value, normaliser).encode())
    number = int.from_bytes(mac.finalize(), "big") >> 128 - bits
    width = math.ceil(bits / 5)
    number <<= 5 * width - bits
    text = "".join("abcdefghijklmnopqrstuvwxyz234567"[number >> 5 * place & 31] for place in reversed(range(width)))
    head = b"\xa6\x0c\x75" + bytes([normaliser * 32 + bits - 1]) + key_id
    return base64.urlsafe_b64encode(head + bytes([crc8(head)])).decode() + text


@given(st.lists(st.none() | TEXTS, max_size=40), NORMALISERS, BITS)
def test_every_index_is_what_the_format_says(values: list[str | None], normaliser: Normaliser, bits: int) -> None:
    """Normalised, authenticated, cut and written as the format has it; null stays null."""
    column = pa.array(values, pa.string())
    expected = [None if value is None else plain(value, normaliser).encode() for value in values]
    assert normalised(column, normaliser, FIELD).to_pylist() == expected
    found = index_column(column, KEY, normaliser, bits)
    assert found.to_pylist() == [None if v is None else made(v, KEY.key_id, normaliser, bits) for v in values]
    assert labels(found) == ({(KEY.key_id, normaliser, bits)} if any(v is not None for v in values) else set())


@given(st.lists(TEXTS, min_size=1, max_size=20), NORMALISERS, BITS, st.sampled_from([KEY, OTHER]))
def test_nothing_is_missed(values: list[str], normaliser: Normaliser, bits: int, key: ColumnKey) -> None:
    """The index of a value is among the tokens of the value, whichever live key and form it was made with."""
    column = index_column(pa.array(values), key, normaliser, bits)
    forms = {(normaliser, bits), (Normaliser.TEXT, 7)}
    for value, index in zip(values, column.to_pylist(), strict=True):
        assert index in tokens(value, [KEY, OTHER], forms)
        assert len(tokens(value, [KEY, OTHER], forms)) == 2 * len(forms)


@pytest.mark.parametrize(
    ("kind", "spellings"),
    [
        (
            "kr_phone_mobile",
            [
                *("010-1234-5678", "01012345678", "+82 10-1234-5678", "+82 (0)10 1234 5678", "(+82) 10 1234 5678"),
                *("0082 10 1234 5678", "０１０－１２３４－５６７８", " 010.1234.5678 "),
            ],
        ),
        ("email", ["Gildong@Example.com", "gildong@example.com ", "GILDONG@EXAMPLE.COM"]),
        ("email", ["José@example.com", "JOSÉ@example.com"]),
        ("credit_card", ["4111-1111-1111-1111", "4111 1111 1111 1111", "4111111111111111"]),
        ("person_name_ko", ["홍길동", normalize("NFD", "홍길동"), " 홍길동"]),
        (None, ["a", "a\n"]),
    ],
)
def test_spellings_of_one_value_are_one(kind: str | None, spellings: list[str]) -> None:
    """Whoever searches may write the value as he likes."""
    assert len(set(index_column(pa.array(spellings), KEY, normaliser_of(kind), 32).to_pylist())) == 1


def test_different_values_are_apart() -> None:
    """Different numbers, kinds, keys and fields share no index of 32 bits."""
    found = {
        *index_column(pa.array([f"010-1234-{last:04}" for last in range(500)]), KEY, Normaliser.PHONE, 32).to_pylist(),
        *index_column(pa.array(["01012340000"]), KEY, Normaliser.DIGITS, 32).to_pylist(),
        *index_column(pa.array(["010-1234-0000"]), OTHER, Normaliser.PHONE, 32).to_pylist(),
    }
    assert len({text[12:] for text in found if text}) == 502


def test_numbers_and_bytes_are_indexed_as_they_are_encrypted() -> None:
    """Numbers by their text; bytes that are no text as they are; nested values not at all."""
    numbers = index_column(pa.array([4111111111111111]), KEY, Normaliser.DIGITS, 20)
    assert numbers.to_pylist() == list(tokens("4111-1111-1111-1111", [KEY], [(Normaliser.DIGITS, 20)]))
    assert normalised(pa.array([b"\xff A "]), Normaliser.EMAIL, FIELD).to_pylist() == [b"\xff A "]
    with pytest.raises(UsageError, match="fields inside"):
        index_column(pa.array([["a"]]), KEY, Normaliser.TEXT, 8)


@given(st.integers(0, 2**60))
def test_the_plan_keeps_to_its_bounds(values: int) -> None:
    """sqrt(P) < 2^b < P / 2, or no index."""
    bits = planned_bits(values)
    if bits is None:
        fitting = [b for b in range(1, MAX_BITS + 1) if values < 4**b and 2 ** (b + 1) < values]
        assert values <= 16 or not fitting
    else:
        assert math.isqrt(values) < 2**bits
        assert 2 ** (bits + 1) < values


@pytest.mark.parametrize(("values", "bits"), [(0, None), (15, None), (16, None), (17, 3), (1_000, 7), (10**6, 14)])
def test_few_values_have_no_index(values: int, bits: int | None) -> None:
    """Below 17 no number of bits hides anything."""
    assert planned_bits(values) == bits


@pytest.mark.parametrize("text", ["pgx1", "pgx1AAAAAAAAaa", "pgd1AQECAwR3abc", "plain", "pgx1가나다라", ""])
def test_what_is_no_index_has_no_label(text: str) -> None:
    """A label needs its check byte."""
    assert labels(pa.array([text, None])) == set()


def test_every_kind_has_a_normaliser_that_exists() -> None:
    """Kinds that are renamed would fall back to text, and values would be missed."""
    from pii_guard.crypto import normaliser

    assert set(normaliser._OF_KIND) <= set(TABLE)


def test_an_index_is_known_to_the_scanner() -> None:
    """By its form, under any header, as protected and of no kind."""
    column = index_column(pa.array(["010-1234-5678"] * 20), KEY, Normaliser.PHONE, 14)
    (field,) = scan(pa.table({"phone_index": column})).fields
    assert (field.protection, field.is_index, field.findings) == (Protection.HASHED, True, ())
    assert INDEX in STATES


PHONES = st.builds(
    "".join, st.lists(st.sampled_from(["0", "00", "1", "82", "+", "-", " ", "(0)", "8", "2"]), max_size=6)
)


@given(st.lists(st.none() | PHONES, max_size=200), st.integers(0, 3))
def test_numbers_of_all_shapes_side_by_side(values: list[str | None], start: int) -> None:
    """Columns of many rows of one length, of any separators, prefixes and zeros: each is what it is alone."""
    column = pa.array(values, pa.string())[start:]
    for normaliser in (Normaliser.PHONE, Normaliser.DIGITS):
        expected = [None if value is None else plain(value, normaliser).encode() for value in values[start:]]
        found = normalised(column, normaliser, FIELD)
        found.validate(full=True)
        assert found.to_pylist() == expected


@pytest.mark.parametrize("odd", ["010 1234-5678", "010-1234-567a", "+82-10-12-567", "0082101234567", "8201012345678"])
def test_one_of_another_shape_among_many(odd: str) -> None:
    """One value of their length that is separated elsewhere changes nothing of the others."""
    values = [f"010-{number:04}-5678" for number in range(200)]
    values[131] = odd
    found = normalised(pa.array(values), Normaliser.PHONE, FIELD)
    assert found.to_pylist() == [plain(value, Normaliser.PHONE).encode() for value in values]
