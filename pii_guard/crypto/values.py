"""Arrow values as bytes to encrypt, and back: text as UTF-8, binary as it is, other scalars as Arrow's text of them."""

from __future__ import annotations

from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from numpy.typing import NDArray

from pii_guard.crypto.buffers import from_list, place, to_binary
from pii_guard.errors import UsageError

__all__ = ["as_binary", "decode", "decode_list", "encode", "encode_list", "listed"]


def _holds_bytes(kind: pa.DataType) -> bool:
    return bool(
        pt.is_string(kind)
        or pt.is_large_string(kind)
        or pt.is_string_view(kind)
        or pt.is_binary(kind)
        or pt.is_large_binary(kind)
        or pt.is_binary_view(kind)
        or pt.is_fixed_size_binary(kind)
    )


def _decoded(values: pa.Array) -> pa.Array:
    """`values` without dictionary, run-end, view and extension encoding."""
    while True:
        if isinstance(values, pa.DictionaryArray):
            values = _decoded(values.dictionary).take(values.indices)
        elif isinstance(values, pa.RunEndEncodedArray):
            rows = np.arange(values.offset, values.offset + len(values))  # pyarrow decodes no runs of views
            runs = np.searchsorted(values.run_ends.to_numpy(), rows, side="right")
            values = _decoded(values.values).take(runs)
        elif isinstance(values, pa.ExtensionArray):
            values = values.storage
        elif pt.is_string_view(values.type) or pt.is_binary_view(values.type):
            return values.cast(pa.large_binary())  # few kernels take views
        else:
            return values


def as_binary(values: pa.Array) -> pa.LargeBinaryArray | None:
    """The bytes of text or binary values of any encoding, or of nothing but nulls; None for another type."""
    plain = _decoded(values)
    return to_binary(plain) if _holds_bytes(plain.type) or pt.is_null(plain.type) else None


def encode(values: pa.Array, field: str) -> pa.LargeBinaryArray:
    """The bytes to encrypt for each value, nulls kept.

    Raises UsageError for a nested type, a type without a text form, text that is not UTF-8, and for values that their
    text does not bring back (such as a date before the year 0): what is encrypted can be decrypted to the same value.
    """
    plain = _decoded(values)
    _must_be_text(plain, field)
    if _holds_bytes(plain.type) or pt.is_null(plain.type):
        return to_binary(plain)
    if pt.is_nested(plain.type):  # not naming the type: the field names in it may be values
        raise UsageError(f"{field}: lists, structs and maps cannot be encrypted; encrypt the fields inside it")
    try:
        text = plain.cast(pa.string())
        restored = _parse(text, plain.type)
    except pa.ArrowNotImplementedError:
        raise UsageError(f"{field}: values of type {plain.type} cannot be encrypted; cast the column first") from None
    except pa.ArrowInvalid:
        restored = None
    if restored is None or not _same(plain, restored):
        raise UsageError(
            f"{field}: some values of type {plain.type} are lost in their text form; cast the column to text first"
        )
    return to_binary(text)


def encode_list(values: pa.Array, field: str) -> list[bytes | None]:
    """`encode` as a list, for a few values: nine tenths of the time of a cast are the call."""
    _must_be_text(values, field)
    found = listed(values)
    return encode(values, field).to_pylist() if found is None else found


def _must_be_text(values: pa.Array, field: str) -> None:
    """That text is valid UTF-8, which pyarrow does not hold: other text would not come back."""
    if pt.is_string(values.type) or pt.is_large_string(values.type):
        try:
            values.validate(full=True)
        except pa.ArrowInvalid:
            raise UsageError(f"{field}: some values are not valid UTF-8; make the column binary first") from None


def listed(values: pa.Array) -> list[bytes | None] | None:
    """The bytes of texts in a plain type; None for other types."""
    if pt.is_string(values.type):
        return cast("list[bytes | None]", values.view(pa.binary()).to_pylist())
    if pt.is_large_string(values.type):
        return cast("list[bytes | None]", values.view(pa.large_binary()).to_pylist())
    return None


def _same(left: pa.Array, right: pa.Array) -> bool:
    if pt.is_floating(left.type):  # NaN is not equal to itself, and half floats have no comparison
        left, right = left.cast(pa.float64()), right.cast(pa.float64())
        both = pc.and_(pc.is_nan(left), pc.is_nan(right))
        return pc.all(pc.or_(pc.equal(left, right), both)).as_py() is not False
    return bool(left.equals(right))


def _parse(text: pa.Array, kind: pa.DataType) -> pa.Array:
    """Cast text to a plain type. Raises pyarrow's own errors, which quote values: for callers in this module."""
    if pt.is_time(kind):  # pyarrow reads no times of day, but timestamps
        moment = pc.binary_join_element_wise("1970-01-01", text, " ")
        return moment.cast(pa.timestamp(kind.unit)).cast(kind)
    if pt.is_null(kind):
        if text.null_count < len(text):
            raise pa.ArrowInvalid("a value where none can be")
        return pa.nulls(len(text))
    return text.cast(kind)


def decode(values: pa.LargeBinaryArray, kind: pa.DataType, field: str) -> tuple[pa.Array, NDArray[np.int64]]:
    """The values of type `kind` that `encode` made these bytes of, and the rows that are of another type, now null.

    Raises UsageError for a type that no value can be decrypted to.
    """
    refusal = f"{field}: tokens cannot be decrypted to {'a nested type' if pt.is_nested(kind) else f'type {kind}'}"
    try:
        if isinstance(kind, pa.BaseExtensionType):
            plain, bad = decode(values, kind.storage_type, field)
            return pa.ExtensionArray.from_storage(kind, plain), bad
        if isinstance(kind, pa.DictionaryType):
            plain, bad = decode(values, kind.value_type, field)
            encoded = plain.dictionary_encode()
            indices = encoded.indices.cast(kind.index_type)
            return pa.DictionaryArray.from_arrays(indices, encoded.dictionary, ordered=kind.ordered), bad
        if isinstance(kind, pa.RunEndEncodedType):
            plain, bad = decode(values, kind.value_type, field)
            return pc.run_end_encode(plain, run_end_type=kind.run_end_type), bad
        if pt.is_nested(kind):
            raise UsageError(refusal)
        try:
            return _from_bytes(values, kind), np.zeros(0, np.int64)
        except pa.ArrowInvalid:
            bad = _bad_rows(values, kind)
        good = np.delete(np.arange(len(values)), bad)
        return _from_bytes(place(values.take(good), good, len(values)), kind), bad
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # the latter: too many distinct values for an index type
        raise UsageError(refusal) from None


def decode_list(values: list[bytes | None], kind: pa.DataType, field: str) -> tuple[pa.Array, NDArray[np.int64]]:
    """`decode` of a few values."""
    if pt.is_string(kind) or pt.is_large_string(kind):
        try:
            for value in values:
                (value or b"").decode()
            return from_list(values, kind), np.zeros(0, np.int64)
        except (UnicodeDecodeError, OverflowError):
            pass  # `decode` says which rows, and why
    return decode(from_list(values, pa.large_binary()), kind, field)


def _from_bytes(values: pa.LargeBinaryArray, kind: pa.DataType) -> pa.Array:
    return values.cast(kind) if _holds_bytes(kind) else _parse(values.cast(pa.string()), kind)


def _bad_rows(values: pa.LargeBinaryArray, kind: pa.DataType, first: int = 0) -> NDArray[np.int64]:
    """The rows that do not parse, by halving: pyarrow names one bad value at most, and only by quoting it."""
    try:
        _from_bytes(values, kind)
    except pa.ArrowInvalid:
        if len(values) == 1:
            return np.array([first])
        half = len(values) // 2
        return np.concatenate((_bad_rows(values[:half], kind, first), _bad_rows(values[half:], kind, first + half)))
    return np.zeros(0, np.int64)
