"""Tokens are what docs/FORMAT.md says, held to a second, plain writing of the format."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from token_oracle import derived, made, opened

from pii_guard.crypto import token as token_module
from pii_guard.crypto.blind_index import index_column
from pii_guard.crypto.decryption import decrypt_column
from pii_guard.crypto.key import ColumnKey, Mode
from pii_guard.crypto.normaliser import Normaliser
from pii_guard.crypto.pseudonym import hmac_column
from pii_guard.crypto.rows import row_keys
from pii_guard.crypto.secret import Secret
from pii_guard.crypto.token import encrypt_column, find_tokens, token_length, verify_column

KNOWN: dict[str, list[dict[str, Any]]] = tomllib.loads(
    (Path(__file__).parent / "frozen_tokens.toml").read_text("utf-8")
)
FROZEN = KNOWN["token"]
DATA_KEY, KEY_ID, FIELD = bytes(range(32)), bytes.fromhex("01020304"), "customers.phone"


@pytest.fixture(scope="module", params=[0, token_module.FEW], ids=["in step", "one by one"], autouse=True)
def few(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every law holds of columns and of few values, which are encrypted one by one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_module, "FEW", request.param)
        yield


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
    row = [value.encode() for value in known.get("row", [])]
    assert made(data_key, key_id, field, known["mode"], nonce, value, *row) == token
    mode = Mode.RANDOMIZED if row else Mode(known["mode"])
    rows = row_keys([pa.array([item]) for item in row], field) if row else None
    key = ColumnKey(key_id, field, Secret(data_key), mode)
    assert key.commitment.hex() == known["commitment"] == derived(data_key, b"commitment", key_id, field, 32).hex()
    column = pa.array([token])
    assert decrypt_column(column, lambda _: key, pa.binary(), field, row_keys=rows).to_pylist() == [value]
    if "text" in known:
        texts = decrypt_column(column, lambda _: key, pa.string(), field, row_keys=rows)
        assert texts.to_pylist() == [known["text"]]
    assert verify_column(column, lambda _: key.marker, field).to_pylist() == [True]
    assert find_tokens(column).to_pylist() == [True]


def test_frozen_indexes_and_pseudonyms_are_made_again() -> None:
    """Values indexed or pseudonymised by an earlier version are found by a later one."""
    for known in KNOWN["index"]:
        key = ColumnKey(bytes.fromhex(known["key_id"]), known["field"], Secret(bytes.fromhex(known["data_key"])))
        made = index_column(pa.array([known["value"]]), key, Normaliser(known["normaliser"]), known["bits"])
        assert made.to_pylist() == [known["text"]]
    for known in KNOWN["pseudonym"]:
        data_key = Secret(bytes.fromhex(known["data_key"]))
        key = ColumnKey(bytes.fromhex(known["key_id"]), known["field"], data_key, Mode.HMAC)
        assert hmac_column(pa.array([known["value"]]), key).to_pylist() == [known["text"]]
