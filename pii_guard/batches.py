"""The one door for Arrow data: anything with `__arrow_c_stream__` becomes a stream of plain record batches.

`normalise` casts the encodings that Arrow's kernels refuse (views, run ends, extensions, dictionaries of anything but
text), cuts large batches and joins small ones. `leaves` walks a batch down to its scalar columns, each as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.errors import PiiGuardError, ReadError, UsageError

__all__ = ["MAX_MAP_KEYS", "ArrowData", "Leaf", "from_rows", "leaves", "normalise", "plain_type"]

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
        return plain_type(kind.storage_type)
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


def _plain(array: pa.Array) -> pa.Array:
    """One array cast to its plain type. Buffers are shared where nothing has to change."""
    if isinstance(array, pa.ExtensionArray):
        return _plain(array.storage)
    if pa.types.is_run_end_encoded(array.type):
        return _plain(pc.run_end_decode(array))
    target = plain_type(array.type)
    if target == array.type:
        return array
    if pa.types.is_struct(target):
        children = [_plain_child(child) for child in array.flatten()]
        return pa.StructArray.from_arrays(children, fields=list(target), mask=array.is_null())
    return array.cast(target)


def _plain_child(array: pa.Array) -> pa.Array:
    plain = _plain(array)
    return plain.cast(plain.type.value_type) if pa.types.is_dictionary(plain.type) else plain


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


def _reader(data: object) -> pa.RecordBatchReader:
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
                f"a column of this {name} holds values of several types; "
                "give each column one type first, for instance frame[name].astype('string')"
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
    reader = _reader(data)
    schema = pa.schema([child.with_type(plain_type(child.type)) for child in reader.schema], reader.schema.metadata)
    return pa.RecordBatchReader.from_batches(schema, _rechunk(_plain_batches(reader, schema), schema))


def _read(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
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
    for batch in _read(reader):
        if not batch.num_columns:
            yield batch
            continue
        for start in range(0, max(batch.num_rows, 1), BATCH_ROWS):
            part = batch.slice(start, BATCH_ROWS)
            yield pa.RecordBatch.from_arrays([_plain(column) for column in part.columns], schema=schema)


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
    yield from pa.Table.from_batches(pending, schema).unify_dictionaries().combine_chunks().to_batches()


@dataclass(frozen=True, slots=True)
class Leaf:
    """One scalar column of a batch, however deep: its top-level column, its path, its type, its values as text.

    `values` is a string, large_string, binary or large_binary array without nulls, or a dictionary array of text.
    `rows` counts the places that the leaf has in the batch, nulls included; for elements of lists it is their number.
    """

    column: int
    segments: tuple[str, ...]
    type: pa.DataType
    values: pa.Array
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
    for number, (field, column) in enumerate(zip(batch.schema, batch.columns, strict=True)):
        yield from _descend(number, (field.name,), _plain(column), field)


def _descend(column: int, path: tuple[str, ...], array: pa.Array, field: pa.Field) -> Iterator[Leaf]:
    kind = array.type
    if pa.types.is_struct(kind) and kind.num_fields:
        for child, values in zip(kind, array.flatten(), strict=True):
            yield from _descend(column, (*path, child.name), _plain(values), child)
    elif _is_list(kind):
        yield from _descend(column, (*path, "[]"), _plain(array.flatten()), kind.value_field)
    elif pa.types.is_map(kind):
        yield from _descend_map(column, path, array)
    elif pa.types.is_union(kind):
        for number in range(kind.num_fields):
            child = kind.field(number)
            yield from _descend(column, (*path, child.name), _plain(array.field(number)), child)
    else:
        yield Leaf(column, path, field.type, _text(array), len(array), field.metadata)


def _descend_map(column: int, path: tuple[str, ...], array: pa.Array) -> Iterator[Leaf]:
    entries = array.drop_null()
    keys, items = _plain_child(entries.keys), _plain_child(entries.items)
    if len(entries):  # a sliced map hands out the children of the whole array
        first, last = entries.offsets[0].as_py(), entries.offsets[-1].as_py()
        if len(keys) != last - first:
            keys, items = keys.slice(first, last - first), items.slice(first, last - first)
    names = _text(keys)
    yield Leaf(column, (*path, "{keys}"), keys.type, names, len(keys))
    item = array.type.item_field
    distinct = pc.unique(names)
    if len(distinct) > MAX_MAP_KEYS or not _is_text(distinct.type):
        yield from _descend(column, (*path, "{}"), items, item)
        return
    for name in distinct:
        yield from _descend(column, (*path, name.as_py()), items.filter(pc.equal(names, name)), item)


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
        return array.cast(pa.string())
    except pa.ArrowException:
        raise UsageError(f"a column of type {kind} has no text form; cast it to text first") from None
