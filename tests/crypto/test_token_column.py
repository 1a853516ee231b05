"""Columns of any shape become tokens and come back; whatever is wrong with a token, nothing of it comes back."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from token_oracle import crc8

from pii_guard.crypto import token as token_module
from pii_guard.crypto.decryption import decrypt_column
from pii_guard.crypto.key import ColumnKey, Mode
from pii_guard.crypto.secret import Secret
from pii_guard.crypto.token import encrypt_column, verify_column
from pii_guard.errors import KeyringError, PurposeRefusedError, TokenError, UsageError

FIELD = "customers.phone"


def column_key(key_id: bytes = b"\x01\x02\x03\x04", field: str = FIELD, fill: int = 7) -> ColumnKey:
    return ColumnKey(key_id, field, Secret(bytes([fill]) * 32))


KEY = column_key()


@pytest.fixture(scope="module", params=[0, token_module.FEW], ids=["in step", "one by one"], autouse=True)
def few(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every law holds of columns and of few values, which are encrypted one by one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_module, "FEW", request.param)
        yield


def key_for(*keys: ColumnKey) -> Callable[[bytes], ColumnKey]:
    known = {key.key_id: key for key in keys}

    def find(key_id: bytes) -> ColumnKey:
        if key_id not in known:
            raise KeyringError(f"key {key_id.hex()} is not in the key directory keys")
        return known[key_id]

    return find


def decrypted(tokens: pa.Array, kind: pa.DataType, *keys: ColumnKey) -> list[Any]:
    values: list[Any] = decrypt_column(tokens, key_for(*keys or (KEY,)), kind, FIELD).to_pylist()
    return values


def refusal(tokens: Any, *keys: ColumnKey, kind: pa.DataType | None = None) -> TokenError:
    with pytest.raises(TokenError) as caught:
        decrypt_column(tokens, key_for(*keys or (KEY,)), kind or pa.string(), FIELD)
    return caught.value


def run_ends(values: list[Any], kind: pa.DataType) -> pa.Array:
    ends = pa.array([2 * (row + 1) for row in range(len(values))], pa.int32())
    return pa.RunEndEncodedArray.from_arrays(ends, pa.array(values, kind))


MOMENT = dt.datetime(2026, 11, 22, 3, 4, 5, 678901)
SHAPES: dict[str, pa.Array] = {
    "string": pa.array(["010-1234-5678", None, "", "홍길동"]),
    "large_string": pa.array(["a", None], pa.large_string()),
    "string_view": pa.array(["a", None, "longer than the twelve bytes of a view"], pa.string_view()),
    "binary": pa.array([b"\xff\x00\x80", None, b""]),
    "large_binary": pa.array([b"\x80"], pa.large_binary()),
    "binary_view": pa.array([b"\x80", None], pa.binary_view()),
    "fixed_size_binary": pa.array([b"ab", None], pa.binary(2)),
    "dictionary": pa.array(["a", "b", None, "a"]).dictionary_encode(),
    "dictionary of int8": pa.array(["a", None], pa.dictionary(pa.int8(), pa.large_string())),
    "dictionary of views": pa.array(["a", "b", "a"], pa.string_view()).dictionary_encode(),
    "dictionary of integers": pa.array([1, None, 1]).dictionary_encode(),
    "ordered dictionary": pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["a", "b"]), ordered=True),
    "run ends": run_ends(["a", None, "b"], pa.string()),
    "run ends of integers": run_ends([1, 2], pa.int64()),
    "int8": pa.array([-128, 127, None], pa.int8()),
    "int64": pa.array([-(2**63), 2**63 - 1]),
    "uint64": pa.array([0, 2**64 - 1], pa.uint64()),
    "float16": pa.array(np.array([1.5, 65504.0], np.float16)),
    "float32": pa.array([1.1, float("inf"), -0.0], pa.float32()),
    "float64": pa.array([0.1, 5e-324, 1.7976931348623157e308, None]),
    "bool": pa.array([True, None, False]),
    "decimal128": pa.array([decimal.Decimal("1.20"), decimal.Decimal("-0.01")], pa.decimal128(38, 2)),
    "decimal256": pa.array([decimal.Decimal("12345678901234567890123456789012345678901234.5")], pa.decimal256(60, 1)),
    "negative scale": pa.array([decimal.Decimal(1200)], pa.decimal128(5, -2)),
    "date32": pa.array([dt.date(1, 1, 1), dt.date(9999, 12, 31), None]),
    "date64": pa.array([dt.date(2026, 11, 22)], pa.date64()),
    "time32[s]": pa.array([dt.time(1, 2, 3), None], pa.time32("s")),
    "time32[ms]": pa.array([dt.time(1, 2, 3, 4000)], pa.time32("ms")),
    "time64[us]": pa.array([dt.time(23, 59, 59, 999999)], pa.time64("us")),
    "time64[ns]": pa.array([123456789], pa.int64()).view(pa.time64("ns")),
    "timestamp[s]": pa.array([MOMENT.replace(microsecond=0)], pa.timestamp("s")),
    "timestamp[us]": pa.array([MOMENT, None]),
    "timestamp[ns]": pa.array([2**62, -1], pa.int64()).view(pa.timestamp("ns")),
    "timestamp with zone": pa.array([MOMENT], pa.timestamp("ms", "Asia/Seoul")),
    "null": pa.nulls(2),
    "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([uuid.UUID(int=5).bytes], pa.binary(16))),
    "slice": pa.array(["cut off", "a", None, "b", "cut off"])[1:4],
    "slice of booleans": pa.array([True, None, False, True])[1:3],
    "slice of a dictionary": pa.array(["a", "b", None, "a"]).dictionary_encode()[1:],
    "slice of run ends": run_ends(["a", None, "b"], pa.string())[1:5],
    "all null": pa.nulls(3, pa.string()),
    "no rows": pa.array([], pa.string()),
    "no rows of a dictionary": pa.array([], pa.dictionary(pa.int8(), pa.string())),
    "no rows of integers": pa.array([], pa.int32()),
}


@pytest.mark.parametrize("values", SHAPES.values(), ids=SHAPES.keys())
def test_every_type_comes_back(values: pa.Array) -> None:
    """Tokens are one plain string per value, and decrypting to the same type gives the same values."""
    tokens = encrypt_column(values, KEY)
    tokens.validate(full=True)
    assert tokens.type == pa.string()
    assert tokens.is_null().to_pylist() == [value is None for value in values.to_pylist()]
    back = decrypt_column(tokens, key_for(KEY), values.type, FIELD)
    back.validate(full=True)
    assert back.type == values.type
    assert back.to_pylist() == values.to_pylist()
    assert verify_column(tokens, lambda _: KEY.marker, FIELD).to_pylist() == [
        None if value is None else True for value in values.to_pylist()
    ]


@given(st.lists(st.one_of(st.none(), st.text()), max_size=30), st.data())
def test_slices_and_chunks_come_back(values: list[str | None], data: st.DataObject) -> None:
    """Encryption and decryption commute with slicing and chunking."""
    cut = data.draw(st.integers(0, len(values)))
    array = pa.array(values, pa.string())
    chunked = pa.chunked_array([array[:cut], array[cut:]])
    tokens = encrypt_column(chunked, KEY)
    assert [len(chunk) for chunk in tokens.chunks] == [cut, len(values) - cut]
    whole = pa.concat_arrays(tokens.chunks)
    assert decrypted(whole[cut:], pa.string()) == values[cut:]
    back = decrypt_column(tokens, key_for(KEY), pa.string(), FIELD)
    assert isinstance(back, pa.ChunkedArray)
    assert back.to_pylist() == values


def test_empty_chunked_column() -> None:
    """A column without any chunk stays one, with its type."""
    tokens = encrypt_column(pa.chunked_array([], pa.int64()), KEY)
    assert (tokens.type, len(tokens)) == (pa.string(), 0)
    assert decrypt_column(tokens, key_for(KEY), pa.int64(), FIELD).type == pa.int64()


@pytest.mark.parametrize(
    "encoded", [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int32(), pa.string())]
)
def test_tokens_open_in_any_encoding(encoded: pa.DataType) -> None:
    """A store may hand tokens back in another text type than it was given."""
    tokens: pa.Array = encrypt_column(pa.array(["가", None, "나"]), KEY)
    tokens = tokens.dictionary_encode() if isinstance(encoded, pa.DictionaryType) else tokens.cast(encoded)
    assert decrypted(tokens, pa.string()) == ["가", None, "나"]


@pytest.mark.parametrize("inner", [pa.array(["a", "b"], pa.string_view()), pa.array(["a", "b"]).dictionary_encode()])
def test_runs_that_pyarrow_cannot_decode(inner: pa.Array) -> None:
    """Run ends over views and dictionaries, sliced, are encrypted as the values they stand for."""
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 5], pa.int32()), inner)
    assert decrypted(encrypt_column(runs[1:4], KEY), pa.string()) == ["a", "b", "b"]


def test_nan_comes_back() -> None:
    """NaN is a value like any other."""
    tokens = encrypt_column(pa.array([float("nan"), 1.0]), KEY)
    back = decrypted(tokens, pa.float64())
    assert np.isnan(back[0])
    assert back[1] == 1.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pa.array([["a"]]), "fields inside"),
        (pa.array([{"a": 1}]), "fields inside"),
        (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())), "fields inside"),
        (pa.array([dt.timedelta(1)]), "cannot be encrypted"),
        (pa.array([-10_000_000], pa.int32()).view(pa.date32()), "lost in their text form"),
        (pa.array([1], pa.int64()).view(pa.date64()), "lost in their text form"),
    ],
    ids=["list", "struct", "map", "duration", "date before the year 0", "date with a time of day"],
)
def test_what_cannot_come_back_is_refused(values: pa.Array, message: str) -> None:
    """A value that could not be decrypted to itself is not encrypted."""
    with pytest.raises(UsageError, match=message):
        encrypt_column(values, KEY)


@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.struct([]), pa.duration("s")], ids=str)
def test_types_that_hold_no_value_are_refused(kind: pa.DataType) -> None:
    """A wish for a type that `encrypt_column` refuses is a usage error, not a failed row."""
    with pytest.raises(UsageError, match="cannot be decrypted to"):
        decrypted(encrypt_column(pa.array(["1"]), KEY), kind)


def test_an_index_type_too_small_is_refused() -> None:
    """More distinct values than a dictionary can number is an error of the call."""
    tokens = encrypt_column(pa.array(list(range(200))), KEY)
    with pytest.raises(UsageError, match="dictionary"):
        decrypted(tokens, pa.dictionary(pa.int8(), pa.int64()))


def test_every_bit_counts() -> None:
    """A token with any one bit flipped is refused, by decryption and by the marker."""
    raw = base64.urlsafe_b64decode(encrypt_column(pa.array(["010-1234-5678"]), KEY)[0].as_py())
    flipped = []
    for bit in range(8 * len(raw)):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        flipped.append(base64.urlsafe_b64encode(changed).decode())
    error = refusal(pa.array(flipped))
    assert error.rows == tuple(range(len(flipped)))
    assert not any(verify_column(pa.array(flipped), lambda _: KEY.marker, FIELD).to_pylist())


@given(st.integers(0, 79), st.sampled_from(["", "A", "=", "é", " ", "\n"]))
def test_changed_text_is_refused(place: int, replacement: str) -> None:
    """A character taken out, replaced or added anywhere makes a token invalid."""
    token = TOKEN[:place] + replacement + TOKEN[place + 1 :]
    longer = TOKEN[:place] + (replacement or "-") + TOKEN[place:]
    column = pa.array([text for text in (token, longer) if text != TOKEN])
    assert refusal(column).rows == tuple(range(len(column)))


TOKEN: str = encrypt_column(pa.array(["010-1234-5678"]), KEY)[0].as_py()


def test_header_of_another_column_is_refused() -> None:
    """A header moved between two columns, same data key or not, fails; so does the whole token of another field."""
    memo = column_key(b"\x05\x06\x07\x08", "customers.memo", fill=9)
    same_data_key = column_key(b"\x05\x06\x07\x09")
    other: str = encrypt_column(pa.array(["010-1234-5678"]), memo)[0].as_py()
    third: str = encrypt_column(pa.array(["010-1234-5678"]), same_data_key)[0].as_py()
    column = pa.array([TOKEN, other[:12] + TOKEN[12:], TOKEN[:12] + other[12:], third[:12] + TOKEN[12:], other, third])
    error = refusal(column, KEY, memo, same_data_key)
    assert error.rows == (1, 2, 3, 4)
    assert "2 of another field (customers.memo)" in str(error)
    markers = {key.key_id: key.marker for key in (KEY, memo, same_data_key)}
    assert verify_column(column, markers.__getitem__, FIELD).to_pylist() == [True, False, False, False, False, True]


FIELDS_OF_HEADER = {"magic": slice(0, 3), "suite": slice(3, 4), "key id": slice(4, 8), "check byte": slice(8, 9)}


@pytest.mark.parametrize("mended", [False, True], ids=["check byte as it was", "check byte mended"])
@pytest.mark.parametrize("part", FIELDS_OF_HEADER.values(), ids=FIELDS_OF_HEADER.keys())
def test_a_part_of_a_header_of_another_column_is_refused(part: slice, mended: bool) -> None:
    """Each field of the header, swapped between the tokens of two columns of different keys, modes and fields."""
    memo = ColumnKey(b"\x05\x06\x07\x08", "customers.memo", Secret(bytes([9]) * 32), Mode.DETERMINISTIC)
    raw = [
        bytearray(base64.urlsafe_b64decode(encrypt_column(pa.array(["010-1234-5678" * count]), key)[0].as_py()))
        for key, count in ((KEY, 1), (memo, 2))
    ]
    before = [bytes(token) for token in raw]
    markers = {key.key_id: key.marker for key in (KEY, memo)}
    raw[0][part], raw[1][part] = raw[1][part], raw[0][part]
    for token, was in zip(raw, before, strict=True):
        token[8] = crc8(bytes(token[:8])) if mended else token[8]
        if bytes(token) == was:  # both columns have the same magic bytes
            continue
        column = pa.array([base64.urlsafe_b64encode(token).decode()])
        for field in (FIELD, "customers.memo"):
            assert decrypt_column(column, key_for(KEY, memo), pa.string(), field, on_error="null").to_pylist() == [None]
            assert verify_column(column, markers.__getitem__, field).to_pylist() == [False]


def test_of_a_dictionary_each_entry_is_encrypted_once() -> None:
    """Deterministic tokens of a dictionary are those of its values; nulls, unused and doubled entries do no harm."""
    key = ColumnKey(KEY.key_id, FIELD, Secret(bytes([7]) * 32), Mode.DETERMINISTIC)
    entries = pa.array(["a", None, "b", "a", "unused"] + [f"value {number}" for number in range(30)])
    rows = pa.array([0, 2, None, 1, 3, 0, *range(5, 35)], pa.int8())
    column = pa.DictionaryArray.from_arrays(rows, entries)
    tokens = encrypt_column(column, key)
    assert tokens.type == pa.string()
    assert tokens.to_pylist() == encrypt_column(entries.take(rows), key).to_pylist()
    assert encrypt_column(column[1:7], key).to_pylist() == tokens.to_pylist()[1:7]
    assert decrypted(tokens, pa.string(), key) == entries.take(rows).to_pylist()


def test_deterministic_header_is_no_way_in() -> None:
    """The mode comes from the key, never from the token."""
    key = ColumnKey(KEY.key_id, FIELD, Secret(bytes([7]) * 32), Mode.DETERMINISTIC)
    tokens = encrypt_column(pa.array(["a"]), key)
    assert decrypted(tokens, pa.string(), key) == ["a"]
    assert "of another mode than their key" in str(refusal(tokens, KEY))


def test_every_bad_row_is_named() -> None:
    """Plain values, foreign keys and broken tokens are all listed by row over all chunks, and nothing is released."""
    foreign = encrypt_column(pa.array(["x"]), column_key(b"\xff\xff\xff\xff"))[0].as_py()
    chunks = [pa.array([TOKEN, None, "pgd1 plain"]), pa.array([foreign, TOKEN, TOKEN[:-1] + "!", "010-0000-0001", ""])]
    error = refusal(pa.chunked_array(chunks))
    assert error.rows == (2, 3, 5, 6, 7)
    message = str(error)
    assert message.startswith(f"{FIELD}: 5 value(s) not decrypted: ")
    assert "4 not tokens of a version that is known here" in message
    assert "1 without a key (key ffffffff is not in the key directory keys)" in message
    assert "010" not in message
    assert "\n" not in message


def test_null_on_request_only() -> None:
    """`on_error="null"` turns failed rows into nulls; another word is a usage error."""
    column = pa.array([TOKEN, "010-0000-0001", None])
    found = decrypt_column(column, key_for(KEY), pa.string(), FIELD, on_error="null")
    assert found.to_pylist() == ["010-1234-5678", None, None]
    with pytest.raises(UsageError, match="on_error"):
        decrypt_column(column, key_for(KEY), pa.string(), FIELD, on_error="pass")  # type: ignore[arg-type]


def test_a_refused_purpose_ends_the_call() -> None:
    """A purpose that is refused never becomes a column of nulls."""

    def refuse(_: bytes) -> ColumnKey:
        raise PurposeRefusedError("refused")

    with pytest.raises(PurposeRefusedError):
        decrypt_column(pa.array([TOKEN]), refuse, pa.string(), FIELD, on_error="null")


def test_wrong_type_names_rows_but_no_value() -> None:
    """A value that is not of the wanted type fails by row; the message does not quote it."""
    tokens = encrypt_column(pa.array(["12", "canary", None, "홍길동", "5"]), KEY)
    error = refusal(tokens, kind=pa.int64())
    assert error.rows == (1, 3)
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    assert "canary" not in str(error)
    assert "홍길동" not in str(error)
    binary = encrypt_column(pa.array([b"\xff", b"ok"]), KEY)
    assert refusal(binary).rows == (0,)
    found = decrypt_column(tokens, key_for(KEY), pa.int64(), FIELD, on_error="null")
    assert found.to_pylist() == [12, None, None, None, 5]


def test_a_column_without_text_holds_no_tokens() -> None:
    """Decrypting or verifying numbers is an error of the call."""
    with pytest.raises(UsageError, match="tokens are text"):
        decrypted(pa.array([1]), pa.string())
    with pytest.raises(UsageError, match="tokens are text"):
        verify_column(pa.array([1]), lambda _: KEY.marker, FIELD)


def test_a_column_that_lost_its_type() -> None:
    """A store may hand back an all-null column without a type; it decrypts to nulls of the wanted type."""
    back = decrypt_column(pa.nulls(2), key_for(KEY), pa.int64(), FIELD)
    assert (back.type, back.to_pylist()) == (pa.int64(), [None, None])
    assert verify_column(pa.nulls(2), lambda _: KEY.marker, FIELD).to_pylist() == [None, None]


def test_marker_needs_its_own_key() -> None:
    """A marker verifies under the marker key of its column alone; an unknown key proves nothing."""
    tokens = pa.chunked_array([pa.array([TOKEN, None]), pa.array(["plain"])])
    assert verify_column(tokens, lambda _: KEY.marker, FIELD).to_pylist() == [True, None, False]
    assert verify_column(tokens, lambda _: column_key(fill=8).marker, FIELD).to_pylist() == [False, None, False]
    assert verify_column(tokens, lambda _: KEY.marker, "customers.memo").to_pylist() == [False, None, False]

    def unknown(_: bytes) -> Any:
        raise KeyringError("unknown")

    assert verify_column(tokens, unknown, FIELD).to_pylist() == [False, None, False]


def test_many_keys_in_one_column() -> None:
    """Tokens of several keys of one field come back in their places."""
    keys = [column_key(bytes([0, 0, 0, number]), fill=number) for number in range(5)]
    rows = [encrypt_column(pa.array([f"value {row}"]), keys[row % 5])[0].as_py() for row in range(23)]
    assert decrypted(pa.array(rows), pa.string(), *keys) == [f"value {row}" for row in range(23)]


MUTATIONS = st.sampled_from(
    [
        lambda text: text,
        lambda text: text[:-4],
        lambda text: text[:-1],
        lambda text: text + "AAAA",
        lambda text: text[:30] + ("A" if text[30] != "A" else "B") + text[31:],
        lambda text: text[:5] + ("A" if text[5] != "A" else "B") + text[6:],
        lambda text: text[:-2] + "+/",
        lambda text: "pgd1",
        lambda text: text.replace("pgd1AQ", "pgd1Ag"),
        lambda text: "",
    ]
)


@given(st.lists(st.none() | st.tuples(st.text(max_size=40), st.integers(0, 3), MUTATIONS), max_size=12))
def test_few_values_are_judged_like_many(rows: list[tuple[str, int, Callable[[str], str]] | None]) -> None:
    """One by one or in step: the same values, the same failed rows for the same reasons."""
    deterministic = ColumnKey(b"\x00\x00\x00\x01", FIELD, Secret(bytes([1]) * 32), Mode.DETERMINISTIC)
    keys = [KEY, deterministic, column_key(b"\x05\x06\x07\x08", "customers.memo", fill=9), column_key(b"gone", fill=2)]
    tokens = pa.array([row and row[2](encrypt_column(pa.array([row[0]]), keys[row[1]])[0].as_py()) for row in rows])
    tokens = tokens.cast(pa.string())

    def outcome() -> tuple[list[Any], str]:
        values = decrypt_column(tokens, key_for(*keys[:3]), pa.string(), FIELD, on_error="null").to_pylist()
        try:
            decrypt_column(tokens, key_for(*keys[:3]), pa.string(), FIELD)
        except TokenError as error:
            reasons = sorted(str(error).partition("not decrypted: ")[2].partition(" (row")[0].split("; "))
            return values, f"{error.rows} {reasons if len(reasons) < 4 else ''}"
        return values, ""

    with pytest.MonkeyPatch.context() as patch:
        outcomes = []
        for few in (0, 100):
            patch.setattr(token_module, "FEW", few)
            outcomes.append(outcome())
    assert outcomes[0] == outcomes[1]
