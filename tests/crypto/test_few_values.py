"""A few values, which take a way of their own, give what many give: the same arrays, the same errors."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii_guard.crypto import layout, token, values
from pii_guard.crypto.buffers import from_list
from pii_guard.crypto.decryption import decrypt_column
from pii_guard.crypto.key import ColumnKey, Mode
from pii_guard.crypto.secret import Secret
from pii_guard.crypto.token import encrypt_column
from pii_guard.errors import TokenError

FIELD = "customers.note"
KEY = ColumnKey(b"\x01\x02\x03\x04", FIELD, Secret(bytes(range(32))), Mode.DETERMINISTIC)
KINDS = [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()]
BYTES = st.lists(st.none() | st.binary(max_size=40), max_size=20)
TEXTS = st.lists(st.none() | st.text(max_size=20), max_size=20)


@given(BYTES, st.sampled_from(KINDS[2:]))
def test_lists_become_the_arrays_that_arrow_makes(items: list[bytes | None], kind: pa.DataType) -> None:
    made = from_list(items, kind)
    made.validate(full=True)
    assert made.equals(pa.array(items, kind))


@given(TEXTS, st.sampled_from(KINDS), st.integers(0, 3))
def test_a_few_are_encoded_as_many(texts: list[str | None], kind: pa.DataType, start: int) -> None:
    """Slices and nulls included."""
    column = pa.array(texts, pa.string()).cast(kind)[start:]
    assert values.encode_list(column, FIELD) == values.encode(column, FIELD).to_pylist()


@given(BYTES, st.sampled_from([*KINDS, pa.int64(), pa.date32()]))
def test_a_few_are_decoded_as_many(items: list[bytes | None], kind: pa.DataType) -> None:
    """Bytes that are no UTF-8, and texts that are no numbers, are the same rows."""
    one, bad = values.decode_list(items, kind, FIELD)
    other, also_bad = values.decode(pa.array(items, pa.large_binary()), kind, FIELD)
    assert one.equals(other)
    assert bad.tolist() == also_bad.tolist()


@given(TEXTS, st.integers(0, 3))
def test_tokens_of_a_few_are_those_of_many(texts: list[str | None], start: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        column = pa.array(texts, pa.string())[start:]
        found = []
        for few in (1_000, -1):
            patch.setattr(token, "FEW", few)
            made = encrypt_column(column, KEY)
            made.validate(full=True)
            found.append((made, decrypt_column(made, lambda _: KEY, pa.string(), FIELD)))
    assert found[0][0].equals(found[1][0])
    assert found[0][1].equals(found[1][1])
    assert found[0][1].equals(column)


def test_text_that_is_no_utf_8_is_named_by_its_row() -> None:
    made = encrypt_column(pa.array([b"fine", b"\xff\xfe"], pa.binary()), KEY)
    with pytest.raises(TokenError, match="1 that cannot be read as string") as caught:
        decrypt_column(made, lambda _: KEY, pa.string(), FIELD)
    assert caught.value.rows == (1,)


def test_a_key_is_set_up_once() -> None:
    """To set ciphers up takes longer than to use them, and so does deriving the key of an index."""
    encrypt_column(pa.array(["a"]), KEY)
    header = layout.header(layout.Suite.SIV_DETERMINISTIC, KEY.key_id)
    assert KEY.ciphers(header) is KEY.ciphers(header)
    assert KEY.index() is KEY.index()
    assert KEY.index() is not KEY.hmac()
