"""The one door for Arrow data: anything with `__arrow_c_stream__` becomes a stream of plain record batches.

`normalise` casts the encodings that Arrow's kernels refuse (views, run ends, extensions, dictionaries of anything but
text), cuts large batches and joins small ones. `leaves` walks a batch down to its scalar columns, each as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.errors import PiiGuardError, ReadError, UsageError

__all__ = [
    "MAX_MAP_KEYS",
    "ArrowData",
    "Leaf",
    "from_rows",
    "leaves",
    "normalise",
    "plain",
    "plain_type",
    "read_batches",
    "reader_of",
    "uuid_text",
]

BATCH_ROWS = 65_536
"""Rows of a batch at most: large enough that a call costs nothing, small enough that memory stays flat."""
BATCH_BYTES = 8 << 20
SMALL_ROWS = 16_384
"""Batches below this are joined: at 1,000 rows a batch NumPy's cost per call dominates."""
FOLD_ROWS, FOLD_SAMPLE = 4_096, 256
"""A column of this many rows is looked at for repetition, in a sample of this size."""
MAX_MAP_KEYS = 256
"""A map with more distinct keys is data, not structure: its keys become a field of their own."""


@runtime_checkable
class ArrowStream(Protocol):
    """The Arrow PyCapsule stream interface: pyarrow, pandas, polars and duckdb objects have it."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


ArrowData: TypeAlias = ArrowStream | pa.RecordBatch | Sequence[Mapping[str, Any]]


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type that `normalise` gives a column of type `kind`; the same type where nothing has to change."""
    if isinstance(kind, pa.BaseExtensionType):
        return pa.string() if kind == pa.uuid() else plain_type(kind.storage_type)
    if pa.types.is_dictionary(kind):
        value = plain_type(kind.value_type)
        return pa.dictionary(pa.int32(), value) if _is_text(value) else value
    if pa.types.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if kind == pa.string_view():
        return pa.large_string()
    if kind == pa.binary_view():
        return pa.large_binary()
    if pa.types.is_map(kind):
        return pa.map_(_without_dictionary(kind.key_type), _without_dictionary(kind.item_type))
    if _is_list(kind):
        return pa.large_list(kind.value_field.with_type(_without_dictionary(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([child.with_type(_without_dictionary(child.type)) for child in kind])
    return kind


def _without_dictionary(kind: pa.DataType) -> pa.DataType:
    plain = plain_type(kind)
    return plain.value_type if pa.types.is_dictionary(plain) else plain


def _is_text(kind: pa.DataType) -> bool:
    return kind in (pa.string(), pa.large_string())


def _is_binary(kind: pa.DataType) -> bool:
    return kind in (pa.binary(), pa.large_binary())


def _is_list(kind: pa.DataType) -> bool:
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
        return _plain_child(array.values).take(pa.array(np.searchsorted(array.run_ends, rows, side="right")))
    target = plain_type(kind)
    if target == kind:
        return array
    if pa.types.is_dictionary(kind):
        entries = _plain_child(array.dictionary)
        if pa.types.is_dictionary(target):
            return pa.DictionaryArray.from_arrays(array.indices.cast(pa.int32()), entries)
        return entries.take(array.indices)
    if pa.types.is_struct(target):
        children = [_plain_child(child) for child in array.flatten()]
        return pa.StructArray.from_arrays(children, fields=list(target), mask=array.is_null())
    if _is_list(kind):
        lengths = pc.list_value_length(array).fill_null(0)
        return pa.LargeListArray.from_arrays(
            _offsets(lengths, np.int64), _plain_child(array.flatten()), type=target, mask=array.is_null()
        )
    if pa.types.is_map(kind):
        keys, items, lengths = _entries(array)
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


def _entries(array: pa.Array) -> tuple[pa.Array, pa.Array, npt.NDArray[np.int64]]:
    """Keys and items of the maps that are not null, plain, and how many of them each map has."""
    offsets = array.offsets.to_numpy().astype(np.int64)
    first, last = int(offsets[0]), int(offsets[-1])  # a sliced map hands out the children of the whole array
    keys, items = (_plain_child(child.slice(first, last - first)) for child in (array.keys, array.items))
    lengths, valid = np.diff(offsets), array.is_valid().to_numpy(zero_copy_only=False)
    if not valid.all():
        inside = pa.array(np.flatnonzero(np.repeat(valid, lengths)))
        keys, items, lengths = keys.take(inside), items.take(inside), np.where(valid, lengths, 0)
    return keys, items, lengths


def _plain_child(array: pa.Array) -> pa.Array:
    child = plain(array)
    return child.cast(child.type.value_type) if pa.types.is_dictionary(child.type) else child


def from_rows(rows: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
    """A batch from a list of dicts, keys in order of first appearance.

    A key whose values have no common Arrow type becomes text (text stays as it is), so that nothing is lost to typing.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = []
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            columns.append(pa.array(values))
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            columns.append(pa.array([None if value is None else _unicode(str(value)) for value in values], pa.string()))
    return pa.RecordBatch.from_arrays(columns, names=[_unicode(str(name)) for name in names])


def _unicode(text: str) -> str:
    """Lone surrogates have no UTF-8; a question mark stands for each."""
    return text.encode(errors="replace").decode()


def reader_of(data: object) -> pa.RecordBatchReader:
    """A reader over anything that is Arrow data, with its types and batches as they are. Raises as `normalise` does."""
    if isinstance(data, pa.RecordBatchReader):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.RecordBatchReader.from_batches(data.schema, [data])
    if isinstance(data, ArrowStream):
        name = type(data).__name__
        try:
            return pa.RecordBatchReader.from_stream(data)
        except pa.ArrowException:  # its message may quote a value, and so may those of other libraries
            raise UsageError(
                f"this {name} is no table that Arrow can read: each column needs one type "
                "(for instance frame[name].astype('string')), at most 60 levels deep; "
                "a single column goes into a table first"
            ) from None
        except Exception as error:  # noqa: BLE001 - whatever the library that made the object raises
            raise ReadError("(data)", f"this {name} gives no Arrow stream ({type(error).__name__})") from None
    if (
        isinstance(data, Sequence)
        and not isinstance(data, str | bytes)
        and all(isinstance(row, Mapping) for row in data)
    ):
        batch = from_rows(data)
        return pa.RecordBatchReader.from_batches(batch.schema, [batch])
    hint = "; call .collect() on it first" if type(data).__name__ == "LazyFrame" else ""
    raise UsageError(
        f"{type(data).__name__} is not Arrow data: give a table, batch, reader or data frame with __arrow_c_stream__, "
        f"or a list of dicts{hint}"
    )


def normalise(data: ArrowData) -> pa.RecordBatchReader:
    """A reader over `data` with plain types and batches of at most 65,536 rows; it streams, one batch at a time.

    Field and schema metadata are kept. Raises UsageError for an object that is no Arrow data;
    reading on raises ReadError where the stream breaks.

    >>> import pyarrow as pa
    >>> normalise([{"phone": "010-1234-5678"}, {"phone": None}]).read_all().num_rows
    2
    """
    reader = reader_of(data)
    schema = pa.schema([child.with_type(plain_type(child.type)) for child in reader.schema], reader.schema.metadata)
    return pa.RecordBatchReader.from_batches(schema, _rechunk(_plain_batches(reader, schema), schema))


def read_batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """The batches of a reader, whose errors may come from any library and quote values."""
    rows = 0
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except PiiGuardError:
            raise
        except Exception as error:  # noqa: BLE001
            raise ReadError("(data)", f"the stream broke after {rows:,} rows ({type(error).__name__})") from None
        rows += batch.num_rows
        yield batch


def _plain_batches(reader: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in read_batches(reader):
        if not batch.num_columns:
            yield batch
            continue
        for start in range(0, max(batch.num_rows, 1), BATCH_ROWS):
            part = batch.slice(start, BATCH_ROWS)
            yield pa.RecordBatch.from_arrays([plain(column) for column in part.columns], schema=schema)


def _rechunk(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    pending: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if not batch.num_rows:
            continue
        if batch.num_rows >= SMALL_ROWS or not batch.num_columns:
            yield from _joined(pending, schema)
            pending, rows, size = [], 0, 0
            yield batch
            continue
        if rows + batch.num_rows > BATCH_ROWS or size + batch.nbytes > BATCH_BYTES:
            yield from _joined(pending, schema)
            pending, rows, size = [], 0, 0
        pending.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
    yield from _joined(pending, schema)


def _joined(pending: list[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    if len(pending) < 2:
        yield from pending
        return
    pending = [_without_null_entries(batch) for batch in pending]
    yield from pa.Table.from_batches(pending, schema).unify_dictionaries().combine_chunks().to_batches()


def _without_null_entries(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same with the nulls of its dictionaries in the indices: Arrow unifies no others."""
    columns = list(batch.columns)
    for place, column in enumerate(columns):
        if isinstance(column, pa.DictionaryArray) and column.dictionary.null_count:
            columns[place] = column.dictionary_decode().dictionary_encode().cast(column.type)
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


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
        if len(values) < FOLD_ROWS or not _is_text(values.type):
            return self
        sample = values.take(pa.array(np.linspace(0, len(values) - 1, FOLD_SAMPLE).astype(np.int64)))
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
    elif _is_list(kind):
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
            values = _plain_child(array.field(number)).take(pa.array(chosen, pa.int64()))
            yield from _descend(column, (*path, child.name), values, child)
    else:
        yield Leaf(column, path, field.type, _text(array), len(array), field.metadata)


def _descend_map(column: int, path: tuple[str, ...], array: pa.Array) -> Iterator[Leaf]:
    keys, items, _ = _entries(array)
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
    if len(names) != len(keys) or not _is_text(names.type) or pc.count_distinct(names).as_py() > MAX_MAP_KEYS:
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
    if _is_text(kind) or _is_binary(kind):
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
