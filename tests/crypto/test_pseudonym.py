"""Pseudonyms are HMAC-SHA-256 under a key of their own: equal where values are, and nothing else can be said."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from token_oracle import crc8, derived

from pii_guard.crypto.key import ColumnKey, Mode
from pii_guard.crypto.pseudonym import hmac_column
from pii_guard.crypto.secret import Secret
from pii_guard.errors import UsageError

FIELD, KEY_ID, DATA_KEY = "customers.email", b"\x01\x02\x03\x04", bytes(range(32))
KEY = ColumnKey(KEY_ID, FIELD, Secret(DATA_KEY), Mode.HMAC)


def made(value: bytes) -> str:
    """A pseudonym with none of our code."""
    head = b"\xa6\x08\x75\x01" + KEY_ID
    mac = hmac.digest(derived(DATA_KEY, b"hmac", KEY_ID, FIELD, 32), value, hashlib.sha256)
    text = base64.urlsafe_b64encode(head + bytes([crc8(head)])) + base64.urlsafe_b64encode(mac).rstrip(b"=")
    return text.decode()


@given(st.lists(st.none() | st.text(max_size=30), max_size=20))
def test_every_pseudonym_is_what_the_format_says(values: list[str | None]) -> None:
    """Of the very bytes of each value, null stays null, dictionaries and slices too."""
    expected = [None if value is None else made(value.encode()) for value in values]
    column = pa.array(values, pa.string())
    assert hmac_column(column, KEY).to_pylist() == expected
    assert hmac_column(column.dictionary_encode(), KEY).to_pylist() == expected
    assert hmac_column(column[1:], KEY).to_pylist() == expected[1:]


def test_numbers_are_hashed_by_their_text() -> None:
    """As they would be encrypted."""
    assert hmac_column(pa.array([12, None]), KEY).to_pylist() == [made(b"12"), None]


def test_only_a_key_for_pseudonyms_makes_them() -> None:
    """A key that decrypts is never shared with one that must not."""
    for mode in (Mode.RANDOMIZED, Mode.DETERMINISTIC):
        with pytest.raises(UsageError, match="makes no pseudonyms"):
            hmac_column(pa.array(["a"]), ColumnKey(KEY_ID, FIELD, Secret(DATA_KEY), mode))
