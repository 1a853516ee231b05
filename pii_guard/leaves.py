"""The leaves of a batch: its scalar columns, however deep, each as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.errors import UsageError
from pii_guard.plain_types import decoded, is_binary, is_list, is_text, map_entries, plain

__all__ = ["MAX_MAP_KEYS", "Leaf", "leaves"]

FOLD_ROWS, FOLD_SAMPLE, FEW = 4_096, 256, 32
"""A column of this many rows is looked at for repetition, in a sample of this size; in a few of it first."""
MAX_MAP_KEYS = 256
"""A map with more distinct keys is data, not structure: its keys become a field of their own."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One scalar column of a batch, however deep: its top-level column, its path, its type, its values as text.

    `values` is a string, large_string, binary or large_binary array without nulls, or a dictionary array of text.
    `rows` counts the places that the leaf has in the batch, nulls included; for elements of lists it is their number.
    """

    column: int
    segments: tuple[str, ...]
    type: pa.DataType
    values: pa.Array = field(repr=False)
    rows: int
    metadata: Mapping[bytes, bytes] | None = None

    def folded(self) -> Leaf:
        """The same leaf, as a dictionary where a sample says that few of its values differ: each is examined once."""
        values = self.values
        if len(values) < FOLD_ROWS or not is_text(values.type):
            return self
        places = np.arange(FOLD_SAMPLE) * ((len(values) - 1) // (FOLD_SAMPLE - 1))
        few = values.take(pa.array(places[:: FOLD_SAMPLE // FEW]))
        if pc.count_distinct(few).as_py() > FEW - 2:  # most columns end here
            return self
        sample = values.take(pa.array(places))
        if pc.count_distinct(sample).as_py() > FOLD_SAMPLE // 4:
            return self
        return replace(self, values=values.dictionary_encode())

    def counts(self) -> npt.NDArray[np.int64] | None:
        """For a dictionary: how often each of its entries occurs. None for other columns: each value counts once."""
        if not pa.types.is_dictionary(self.values.type):
            return None
        indices = self.values.indices.drop_null().to_numpy(zero_copy_only=False)
        return np.bincount(indices, minlength=len(self.values.dictionary)).astype(np.int64)


def leaves(batch: pa.RecordBatch) -> Iterator[Leaf]:
    """Every scalar column of a batch, in order; lists, structs and maps are walked down.

    Raises UsageError for a type that Arrow cannot write as text.
    """
    for number, (top, column) in enumerate(zip(batch.schema, batch.columns, strict=True)):
        yield from _descend(number, (top.name,), plain(column), top)


def _descend(column: int, path: tuple[str, ...], array: pa.Array, field: pa.Field) -> Iterator[Leaf]:
    kind = array.type
    if pa.types.is_struct(kind) and kind.num_fields:
        for child, values in zip(kind, array.flatten(), strict=True):
            yield from _descend(column, (*path, child.name), plain(values), child)
    elif is_list(kind):
        yield from _descend(column, (*path, "[]"), plain(array.flatten()), kind.value_field)
    elif pa.types.is_map(kind):
        yield from _descend_map(column, path, array)
    elif pa.types.is_union(kind):
        rows = slice(array.offset, array.offset + len(array))  # pyarrow's `type_codes` and `offsets` ignore slices
        _, codes, *offsets = array.buffers()
        code = np.frombuffer(codes, np.int8)[rows]
        for number, child in enumerate(kind):
            chosen = np.flatnonzero(code == kind.type_codes[number])
            if kind.mode == "dense":
                chosen = np.frombuffer(offsets[0], np.int32)[rows][chosen].astype(np.int64)
            values = decoded(array.field(number)).take(pa.array(chosen, pa.int64()))
            yield from _descend(column, (*path, child.name), values, child)
    else:
        yield Leaf(column, path, field.type, _text(array), len(array), field.metadata)


def _descend_map(column: int, path: tuple[str, ...], array: pa.Array) -> Iterator[Leaf]:
    keys, items, _ = map_entries(array)
    yield from _descend(column, (*path, "{keys}"), keys, array.type.key_field)
    item = array.type.item_field
    names = _names(keys)
    if names is None:
        yield from _descend(column, (*path, "{}"), items, item)
        return
    for name in pc.unique(names):
        yield from _descend(column, (*path, name.as_py()), items.filter(pc.equal(names, name)), item)


def _names(keys: pa.Array) -> pa.Array | None:
    """Keys of maps as names of fields; None where they are no valid text, or very many."""
    if pa.types.is_nested(keys.type):
        return None
    names = _text(keys)
    if len(names) != len(keys) or not is_text(names.type) or pc.count_distinct(names).as_py() > MAX_MAP_KEYS:
        return None
    try:
        names.validate(full=True)
    except pa.ArrowInvalid:  # names are text, and these are not UTF-8
        return None
    return names


def _text(array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_dictionary(kind):
        return array
    if array.null_count:
        array = array.drop_null()
    if is_text(kind) or is_binary(kind):
        return array
    if pa.types.is_fixed_size_binary(kind):
        return array.cast(pa.binary())
    if pa.types.is_null(kind) or pa.types.is_interval(kind) or pa.types.is_struct(kind):
        return pa.array([], pa.string())  # intervals have no text form in Arrow; the struct is one without fields
    try:
        if pa.types.is_floating(kind):
            return _float_text(array.cast(pa.float64()))
        if pa.types.is_timestamp(kind):
            array = array.cast(pa.timestamp(kind.unit))  # the name of a time zone may be unknown here
        text = array.cast(pa.string())
        return pc.replace_substring_regex(text, r"\.0+\z", "") if pa.types.is_decimal(kind) else text
    except pa.ArrowException:
        raise UsageError(f"a column of type {kind} has no text form; cast it to text first") from None


def _float_text(array: pa.Array) -> pa.Array:
    """Whole numbers in digits: a column of integers with nulls is one of floats in pandas, and Arrow writes 4.1e+15."""
    whole = pc.and_(pc.equal(pc.trunc(array), array), pc.less(pc.abs(array), 2.0**63))
    digits = pc.if_else(whole, array, 0.0).cast(pa.int64()).cast(pa.string())
    return pc.if_else(whole, digits, array.cast(pa.string()))
