"""The plain types: those of columns without the encodings that Arrow's kernels refuse.

Views, run ends, extensions, and dictionaries of anything but text are written out; dictionaries of text stay.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["decoded", "is_binary", "is_list", "is_text", "map_entries", "plain", "plain_type", "uuid_text"]


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type that `normalise` gives a column of type `kind`; the same type where nothing has to change."""
    if isinstance(kind, pa.BaseExtensionType):
        return pa.string() if kind == pa.uuid() else plain_type(kind.storage_type)
    if pa.types.is_dictionary(kind):
        value = plain_type(kind.value_type)
        return pa.dictionary(pa.int32(), value) if is_text(value) else value
    if pa.types.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if kind == pa.string_view():
        return pa.large_string()
    if kind == pa.binary_view():
        return pa.large_binary()
    if pa.types.is_map(kind):
        return pa.map_(_without_dictionary(kind.key_type), _without_dictionary(kind.item_type))
    if is_list(kind):
        return pa.large_list(kind.value_field.with_type(_without_dictionary(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([child.with_type(_without_dictionary(child.type)) for child in kind])
    return kind


def _without_dictionary(kind: pa.DataType) -> pa.DataType:
    plain = plain_type(kind)
    return plain.value_type if pa.types.is_dictionary(plain) else plain


def is_text(kind: pa.DataType) -> bool:
    """Whether it is the type of a column of text; a dictionary of text has another."""
    return kind in (pa.string(), pa.large_string())


def is_binary(kind: pa.DataType) -> bool:
    """Whether it is the type of a column of bytes of any length."""
    return kind in (pa.binary(), pa.large_binary())


def is_list(kind: pa.DataType) -> bool:
    """Whether it is one of Arrow's types of lists; maps are none."""
    types = pa.types
    tests = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view, types.is_large_list_view)
    return any(test(kind) for test in tests)


def plain(array: pa.Array) -> pa.Array:
    """One array in its plain type (`plain_type`). Buffers are shared where nothing has to change.

    From the inside out: Arrow's casts refuse many encodings inside of lists and maps, and give list views the elements
    of other rows or none (pyarrow 26).
    """
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return uuid_text(array) if kind == pa.uuid() else plain(array.storage)
    if pa.types.is_run_end_encoded(kind):
        rows = np.arange(array.offset, array.offset + len(array))
        return decoded(array.values).take(pa.array(np.searchsorted(array.run_ends, rows, side="right")))
    target = plain_type(kind)
    if target == kind:
        return array
    if pa.types.is_dictionary(kind):
        entries = decoded(array.dictionary)
        if pa.types.is_dictionary(target):
            return pa.DictionaryArray.from_arrays(array.indices.cast(pa.int32()), entries)
        return entries.take(array.indices)
    if pa.types.is_struct(target):
        children = [decoded(child) for child in array.flatten()]
        return pa.StructArray.from_arrays(children, fields=list(target), mask=array.is_null())
    if is_list(kind):
        lengths = pc.list_value_length(array).fill_null(0)
        return pa.LargeListArray.from_arrays(
            _offsets(lengths, np.int64), decoded(array.flatten()), type=target, mask=array.is_null()
        )
    if pa.types.is_map(kind):
        keys, items, lengths = map_entries(array)
        return pa.MapArray.from_arrays(_offsets(lengths, np.int32), keys, items, type=target, mask=array.is_null())
    return array.cast(target)


_HEX = np.frombuffer(bytes(range(256)).hex().encode(), np.uint8).reshape(256, 2)
_DASHES = 8, 13, 18, 23


def uuid_text(array: pa.Array) -> pa.Array:
    """UUIDs as text, 8-4-4-4-12 (RFC 9562, section 4): their 16 bytes are no value that anybody knows them by."""
    data = np.frombuffer(array.storage.buffers()[1] or b"", np.uint8)
    data = data[16 * array.offset : 16 * (array.offset + len(array))].reshape(-1, 16)
    text = np.full((len(data), 36), ord("-"), np.uint8)
    text[:, [place for place in range(36) if place not in _DASHES]] = _HEX[data].reshape(-1, 32)
    texts = (
        pa.Array.from_buffers(pa.binary(36), len(data), [None, pa.py_buffer(text)]).cast(pa.binary()).cast(pa.string())
    )
    return pc.if_else(array.is_valid(), texts, pa.scalar(None, pa.string()))


def _offsets(lengths: npt.ArrayLike, kind: type[np.integer[Any]]) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(kind))


def map_entries(array: pa.Array) -> tuple[pa.Array, pa.Array, npt.NDArray[np.int64]]:
    """Keys and items of the maps that are not null, plain, and how many of them each map has."""
    offsets = array.offsets.to_numpy().astype(np.int64)
    first, last = int(offsets[0]), int(offsets[-1])  # a sliced map hands out the children of the whole array
    keys, items = (decoded(child.slice(first, last - first)) for child in (array.keys, array.items))
    lengths, valid = np.diff(offsets), array.is_valid().to_numpy(zero_copy_only=False)
    if not valid.all():
        inside = pa.array(np.flatnonzero(np.repeat(valid, lengths)))
        keys, items, lengths = keys.take(inside), items.take(inside), np.where(valid, lengths, 0)
    return keys, items, lengths


def decoded(array: pa.Array) -> pa.Array:
    """One array in its plain type, a dictionary of text as its text: what stands inside of lists and maps."""
    child = plain(array)
    return child.cast(child.type.value_type) if pa.types.is_dictionary(child.type) else child
