"""What looks like a token and what does not, without any key."""

from __future__ import annotations

import base64
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from token_oracle import header_of

from pii_guard.crypto.key import ColumnKey, Mode
from pii_guard.crypto.secret import Secret
from pii_guard.crypto.token import encrypt_column, find_tokens, key_ids

KEY = ColumnKey(b"\x01\x02\x03\x04", "customers.phone", Secret(bytes(32)))
OTHER = ColumnKey(b"\xff\x00\xff\x00", "customers.phone", Secret(bytes(32)), Mode.DETERMINISTIC)
TOKEN: str = encrypt_column(pa.array(["010-1234-5678"]), KEY)[0].as_py()


@given(st.lists(st.one_of(st.none(), st.binary(max_size=300)), max_size=10))
def test_every_token_is_found(values: list[bytes | None]) -> None:
    """A token of any length and mode is found; null is not."""
    there = [value is not None for value in values]
    for key in (KEY, OTHER):
        tokens = encrypt_column(pa.array(values, pa.binary()), key)
        assert find_tokens(tokens).to_pylist() == there
        assert key_ids(tokens) == ({key.key_id: sum(there)} if any(there) else {})


@given(st.lists(st.one_of(st.text(), st.text().map(lambda text: "pgd1" + text)), max_size=10))
def test_other_text_is_not_found(values: list[str]) -> None:
    """Text with or without the prefix is no token."""
    assert find_tokens(pa.array(values, pa.string())).to_pylist() == [False] * len(values)


WRONG = {
    "prefix alone": "pgd1",
    "header alone": TOKEN[:12],
    "cut by a narrow column": TOKEN[:-4],
    "cut by one": TOKEN[:-1],
    "four more": TOKEN + "AAAA",
    "a line end": TOKEN + "\n",
    "padded": TOKEN[:-1] + "=",
    "standard alphabet": TOKEN[:20] + "+" + TOKEN[21:],
    "check byte": TOKEN[:10] + ("A" if TOKEN[10] != "A" else "B") + TOKEN[11:],
    "space before": " " + TOKEN,
    "upper case": TOKEN.upper(),
    "not ASCII": TOKEN[:-1] + "가",
    "empty": "",
}


@pytest.mark.parametrize("value", WRONG.values(), ids=WRONG.keys())
def test_a_changed_form_is_not_found(value: str) -> None:
    """Prefix, alphabet, length and check byte all have to be right."""
    assert find_tokens(pa.array([value, TOKEN])).to_pylist() == [False, True]


def test_unknown_suite_is_not_found() -> None:
    """A suite of a later version is not taken for a token of this one."""
    header = base64.urlsafe_b64encode(header_of(4, KEY.key_id)).decode()
    assert find_tokens(pa.array([header + TOKEN[12:], TOKEN])).to_pylist() == [False, True]


TYPES: list[Any] = [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view()]


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_any_text_type(kind: pa.DataType) -> None:
    """Tokens are found in every text and binary type, in slices and beside nulls."""
    values = pa.array(["cut off", TOKEN, None, "plain", TOKEN], pa.string()).cast(kind)[1:]
    assert find_tokens(values).to_pylist() == [True, False, False, True]
    assert key_ids(values) == {KEY.key_id: 2}


def test_dictionary_and_run_ends() -> None:
    """Encoded columns answer per row."""
    values = pa.array([TOKEN, None, "plain", TOKEN])
    runs: pa.Array = pa.RunEndEncodedArray.from_arrays(pa.array([1, 2, 3, 4], pa.int32()), values)
    for encoded in (values.dictionary_encode(), runs):
        assert find_tokens(encoded).to_pylist() == [True, False, False, True]
        assert key_ids(encoded) == {KEY.key_id: 2}


def test_invalid_utf8() -> None:
    """Bytes that are no text are no tokens and do no harm, whether the type says text or binary."""
    raw = [b"\xff\xfe", b"pgd1\xff" + TOKEN[5:].encode(), TOKEN.encode()]
    binary = pa.array(raw)
    broken = pa.Array.from_buffers(pa.string(), 3, binary.buffers())  # never validated
    columns: tuple[pa.Array, ...] = (binary, broken)
    for values in columns:
        assert find_tokens(values).to_pylist() == [False, False, True]


def test_other_types_hold_no_tokens() -> None:
    """Numbers, lists and nulls are no tokens."""
    for values in (pa.array([1, 2]), pa.array([["pgd1"], None]), pa.nulls(2)):
        assert find_tokens(values).to_pylist() == [False, False]
        assert key_ids(values) == {}


def test_key_ids_are_counted_over_modes() -> None:
    """One count per key id, whatever the suite."""
    same = ColumnKey(OTHER.key_id, "customers.phone", Secret(bytes(32)))
    tokens = [encrypt_column(pa.array(["a", "b"]), key) for key in (KEY, OTHER, same)]
    assert key_ids(pa.concat_arrays(tokens)) == {KEY.key_id: 2, OTHER.key_id: 4}
