"""Tokens that are bound to their rows open in these rows alone."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from token_oracle import header_of, made, opened

from pii_guard.crypto import token as token_module
from pii_guard.crypto.decryption import decrypt_column
from pii_guard.crypto.key import ColumnKey, Mode
from pii_guard.crypto.rows import names_rows, row_keys, unnamed
from pii_guard.crypto.secret import Secret, canonical
from pii_guard.crypto.token import (
    encrypt_column,
    find_tokens,
    token_length,
    token_prefix,
    verify_column,
)
from pii_guard.errors import TokenError, UsageError

DATA_KEY, KEY_ID, FIELD = bytes(range(32)), bytes.fromhex("01020304"), "customers.phone"
KEY = ColumnKey(KEY_ID, FIELD, Secret(DATA_KEY))


@pytest.fixture(scope="module", params=[0, token_module.FEW], ids=["in step", "one by one"], autouse=True)
def few(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every law holds of columns and of few values, which are encrypted one by one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_module, "FEW", request.param)
        yield


def keys_of(*columns: list[Any]) -> pa.LargeBinaryArray:
    return row_keys([pa.array(column) for column in columns], FIELD)


def values_of(tokens: Any, rows: pa.LargeBinaryArray | None) -> list[Any]:
    found: list[Any] = decrypt_column(tokens, lambda _: KEY, pa.binary(), FIELD, row_keys=rows).to_pylist()
    return found


def refusal(tokens: Any, rows: pa.LargeBinaryArray | None) -> TokenError:
    with pytest.raises(TokenError) as caught:
        values_of(tokens, rows)
    return caught.value


VALUES = st.one_of(st.none(), st.binary(max_size=40), st.binary(min_size=230, max_size=300))


@given(st.lists(st.tuples(VALUES, st.text(max_size=20), st.integers(-(2**63), 2**63 - 1)), max_size=60), st.data())
def test_every_bound_token_is_what_the_format_says(
    table: list[tuple[bytes | None, str, int]], data: st.DataObject
) -> None:
    """Equal to the reference token of the same nonce and row, in slices and chunks too; null stays null."""
    values = pa.array([value for value, _, _ in table], pa.binary())
    names = pa.array([name for _, name, _ in table], pa.string())
    start = data.draw(st.integers(0, len(table)))
    rows = row_keys([names[start:], pa.array([number for _, _, number in table], pa.int64())[start:]], FIELD)
    split = data.draw(st.integers(0, len(table) - start))
    chunks = pa.chunked_array([values[start : start + split], values[start + split :]], pa.binary())
    tokens = encrypt_column(chunks, KEY, rows)
    for (value, name, number), token in zip(table[start:], tokens.to_pylist(), strict=True):
        if value is None or token is None:
            assert value is token
            continue
        row = name.encode(), str(number).encode()
        nonce = opened(token, DATA_KEY, KEY_ID, FIELD, *row)[:12]
        assert token == made(DATA_KEY, KEY_ID, FIELD, "bound", nonce, value, *row)
        assert len(token) == token_length(len(value))
    assert values_of(tokens, rows) == chunks.to_pylist()


@given(st.lists(st.lists(st.binary(max_size=20), min_size=2, max_size=2), max_size=20))
def test_row_keys_are_canonical(rows: list[list[bytes]]) -> None:
    """No two rows of different values share a key, wherever one value ends and the next begins."""
    columns = [pa.array([row[place] for row in rows], pa.binary()) for place in range(2)]
    assert row_keys(columns, FIELD).to_pylist() == [canonical(*row) for row in rows]


def test_a_row_is_named_alike_in_every_type() -> None:
    """Text, whole numbers, days and dictionaries of one spelling are one key."""
    day = dt.date(2026, 11, 22)
    for other in (pa.array([7], pa.int8()), pa.array(["7"]).dictionary_encode(), pa.array(["7"], pa.string_view())):
        assert row_keys([other], FIELD).equals(keys_of(["7"]))
        assert names_rows(other.type)
    assert row_keys([pa.array([day])], FIELD).equals(keys_of(["2026-11-22"]))
    for kind in (pa.float64(), pa.decimal128(5, 2), pa.timestamp("us"), pa.bool_(), pa.list_(pa.int8()), pa.null()):
        assert not names_rows(kind)


def test_rows_without_a_name_are_told() -> None:
    """Null and the empty text name nothing, in any of the columns."""
    columns = [pa.array([1, None, 3, 4]), pa.array(["a", "b", "", "d"])]
    assert unnamed(columns, FIELD).tolist() == [False, True, True, False]


@pytest.mark.parametrize("count", [3, 100])
def test_swapped_tokens_are_refused(count: int) -> None:
    """Tokens of two rows in each other's place are named; without row keys they would open."""
    ids, values = list(range(count)), [f"010-1234-{row:04}".encode() for row in range(count)]
    for rows in (keys_of(ids), None):
        tokens = encrypt_column(pa.array(values), KEY, rows).to_pylist()
        tokens[0], tokens[2] = tokens[2], tokens[0]
        if rows is None:
            assert values_of(pa.array(tokens), None) == [values[2], values[1], values[0], *values[3:]]
            continue
        error = refusal(pa.array(tokens), rows)
        assert error.rows == (0, 2)
        assert "changed since they were made, or moved here from elsewhere" in str(error)
        lost = decrypt_column(pa.array(tokens), lambda _: KEY, pa.binary(), FIELD, "null", rows).to_pylist()
        assert lost == [None, values[1], None, *values[3:]]


def test_bound_and_unbound_tokens_do_not_mix() -> None:
    """Each opens only where it is expected: an unbound token is no way into a bound column, nor the other way round."""
    rows = keys_of([1, 2])
    bound, free = encrypt_column(pa.array(["a", "b"]), KEY, rows), encrypt_column(pa.array(["a", "b"]), KEY)
    assert "2 bound to their rows, and nothing says" in str(refusal(bound, None))
    assert "2 not bound to their rows" in str(refusal(free, rows))
    raw = base64.urlsafe_b64decode(bound[0].as_py())
    relabelled = base64.urlsafe_b64encode(header_of(1, KEY_ID) + raw[9:]).decode()
    assert refusal(pa.array([relabelled]), None).rows == (0,)
    raw = base64.urlsafe_b64decode(free[0].as_py())
    relabelled = base64.urlsafe_b64encode(header_of(3, KEY_ID) + raw[9:]).decode()
    assert refusal(pa.array([relabelled]), rows[:1]).rows == (0,)


def test_every_bit_counts() -> None:
    """A bound token with any one bit flipped is refused, by decryption and by the marker; so is any bit of its row."""
    token: str = encrypt_column(pa.array(["010-1234-5678"]), KEY, keys_of(["row 7"]))[0].as_py()
    raw, flipped = base64.urlsafe_b64decode(token), []
    for bit in range(8 * len(raw)):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        flipped.append(base64.urlsafe_b64encode(changed).decode())
    assert refusal(pa.array(flipped), keys_of(["row 7"] * len(flipped))).rows == tuple(range(len(flipped)))
    assert not any(verify_column(pa.array(flipped), lambda _: KEY.marker, FIELD).to_pylist())
    others = [
        bytes([*b"row 7"[:place], b"row 7"[place] ^ 1 << bit, *b"row 7"[place + 1 :]])
        for place in range(5)
        for bit in range(8)
    ]
    assert len(refusal(pa.array([token] * len(others)), keys_of(others)).rows) == 40
    assert values_of(pa.array([token]), keys_of([b"row 7"])) == [b"010-1234-5678"]


def test_the_marker_needs_no_row() -> None:
    """A bound token is recognised and verified without its row, and begins as all bound tokens of its key."""
    tokens = encrypt_column(pa.array(["a", None]), KEY, keys_of([1, 2]))
    assert find_tokens(tokens).to_pylist() == [True, False]
    assert verify_column(tokens, lambda _: KEY.marker, FIELD).to_pylist() == [True, None]
    assert tokens[0].as_py()[:12] == token_prefix(KEY_ID, Mode.RANDOMIZED, bound=True)


def test_of_a_dictionary_each_row_is_bound() -> None:
    """Equal values of a dictionary have a token for each row."""
    rows = keys_of([1, 2, 3])
    tokens = encrypt_column(pa.array(["a", "b", "a"]).dictionary_encode(), KEY, rows)
    assert values_of(tokens, rows) == [b"a", b"b", b"a"]
    assert refusal(tokens.take(pa.array([2, 1, 0])), rows).rows == (0, 2)


def test_deterministic_tokens_are_not_bound() -> None:
    """Equal tokens for equal values, and tokens of one row alone, exclude each other."""
    key = ColumnKey(KEY_ID, FIELD, Secret(DATA_KEY), Mode.DETERMINISTIC)
    with pytest.raises(UsageError, match="cannot be bound"):
        encrypt_column(pa.array(["a"]), key, keys_of([1]))
