"""Tokens are what docs/FORMAT.md says, held to a second, plain writing of the format."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from token_oracle import derived, made, opened

from pii_guard.crypto.key import ColumnKey, Mode
from pii_guard.crypto.secret import Secret
from pii_guard.crypto.token import decrypt_column, encrypt_column, find_tokens, token_length, verify_column

FROZEN: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "frozen_tokens.toml").read_text("utf-8"))["token"]
DATA_KEY, KEY_ID, FIELD = bytes(range(32)), bytes.fromhex("01020304"), "customers.phone"


def column_key(mode: Mode = Mode.RANDOMIZED) -> ColumnKey:
    return ColumnKey(KEY_ID, FIELD, Secret(DATA_KEY), mode)


@given(st.lists(st.one_of(st.none(), st.binary(max_size=40), st.binary(min_size=230, max_size=500)), max_size=8))
def test_every_token_is_what_the_format_says(values: list[bytes | None]) -> None:
    """A randomized token equals the reference token of the same nonce; null stays null."""
    tokens = encrypt_column(pa.array(values, pa.binary()), column_key()).to_pylist()
    assert [token is None for token in tokens] == [value is None for value in values]
    for value, token in zip(values, tokens, strict=True):
        if value is not None and token is not None:
            nonce = opened(token, DATA_KEY, KEY_ID, FIELD)[:12]
            assert token == made(DATA_KEY, KEY_ID, FIELD, "randomized", nonce, value)


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_deterministic_tokens_are_what_the_format_says(values: list[bytes]) -> None:
    """A deterministic token is a function of key and value."""
    tokens = encrypt_column(pa.array(values, pa.binary()), column_key(Mode.DETERMINISTIC)).to_pylist()
    assert tokens == [made(DATA_KEY, KEY_ID, FIELD, "deterministic", b"", value) for value in values]


@given(st.integers(0, 3000))
def test_token_length_is_exact(size: int) -> None:
    """`token_length` is the width of the token of a value of that many bytes, and a shorter value needs no more."""
    token = encrypt_column(pa.array([b"x" * size]), column_key())[0].as_py()
    assert len(token) == token_length(size) >= token_length(max(size - 1, 0))
    with pytest.raises(ValueError, match="negative"):
        token_length(-1)


def test_nonces_are_fresh() -> None:
    """Equal values have different tokens, within a column and from call to call, with one constant prefix."""
    column = pa.array(["010-1234-5678"] * 100)
    tokens = [*encrypt_column(column, column_key()).to_pylist(), *encrypt_column(column, column_key()).to_pylist()]
    assert len(set(tokens)) == 200
    assert {token[:12] for token in tokens if token} == {"pgd1AQECAwR3"}


@pytest.mark.parametrize("size", [17, 32, 62, 122, 242, 482, 722])
def test_buckets_hide_lengths(size: int) -> None:
    """A value that leaves one byte free fills its bucket; one byte more needs the next."""
    lengths = [token_length(size - 1), token_length(size)]
    assert lengths[0] == (43 + size) // 3 * 4 < lengths[1]


@pytest.mark.parametrize("known", FROZEN, ids=lambda known: known["name"])
def test_frozen_tokens_open_for_ever(known: dict[str, Any]) -> None:
    """Every token that an earlier version made opens to the same value, and the reference makes the same token."""
    data_key, key_id, value = (bytes.fromhex(known[name]) for name in ("data_key", "key_id", "value_hex"))
    nonce, field, token = bytes.fromhex(known["nonce"]), known["field"], known["token"]
    assert made(data_key, key_id, field, known["mode"], nonce, value) == token
    key = ColumnKey(key_id, field, Secret(data_key), Mode(known["mode"]))
    assert key.commitment.hex() == known["commitment"] == derived(data_key, b"commitment", key_id, field, 32).hex()
    column = pa.array([token])
    assert decrypt_column(column, lambda _: key, pa.binary(), field).to_pylist() == [value]
    if "text" in known:
        assert decrypt_column(column, lambda _: key, pa.string(), field).to_pylist() == [known["text"]]
    assert verify_column(column, lambda _: key.marker, field).to_pylist() == [True]
    assert find_tokens(column).to_pylist() == [True]
