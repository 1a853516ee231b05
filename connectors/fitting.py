"""How a stream fits into a table: columns by name, each value cast to the type of its column without loss.

What can be known from the types alone is one error before the first write; what only values show stops the stream
before the batch that holds them, with the name of the column and never a value.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.batches import read_batches
from pii_guard.connectors.base import bounded, empty_batch
from pii_guard.errors import UsageError, WriteError
from pii_guard.plain_types import plain, plain_type, uuid_text

__all__ = ["JSON", "TEXTS", "UUID", "Fit", "Rows", "TypedColumn", "kept_type", "new_columns"]

UUID, JSON = pa.uuid(), pa.json_()
TEXTS = MappingProxyType({UUID: pa.string(), JSON: pa.string()})
"""Where a database has text for them."""
_US = pa.timestamp("us")
_PARSED = frozenset({pa.bool_(), pa.date32(), _US, pa.timestamp("us", "UTC"), JSON, pa.binary()})
"""What text can be besides numbers."""
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
"""What all databases that fold case do; some do more."""
_WIDEST = 76
"""Digits of decimal256."""


@dataclass(frozen=True, slots=True)
class TypedColumn:
    """A column of a table of a database."""

    name: str
    type: pa.DataType
    """What `pii_guard.read` gives of it."""
    declared: str = ""
    """Its type in the words of the database."""
    width: int | None = None
    """Characters, or bytes, of a value at most."""
    optional: bool = False
    """The database gives it a value where none is given: a default, an identity."""
    computed: bool = False
    """It can be given no value at all."""


def kept_type(kind: pa.DataType) -> pa.DataType:
    """The type as which a database is to keep a column of type `kind`: encodings of Arrow mean nothing there."""
    if kind in (UUID, JSON):
        return kind
    if isinstance(kind, pa.JsonType):  # with another storage
        return JSON
    kind = plain_type(kind)
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_decimal32(kind) or pa.types.is_decimal64(kind):
        return pa.decimal128(kind.precision, kind.scale)
    if pa.types.is_date(kind):
        return pa.date32()
    if pa.types.is_time(kind):
        return pa.time64("us")
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if pa.types.is_large_list(kind):
        return pa.list_(kept_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, kept_type(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(kept_type(kind.key_type), kept_type(kind.item_type))
    return kind


def new_columns(
    schema: pa.Schema,
    declared: Callable[[pa.DataType], str | None],
    where: str,
    instead: Mapping[pa.DataType, pa.DataType] = MappingProxyType({}),
    *,
    folds: bool = True,
) -> list[TypedColumn]:
    """The columns of a table made for `schema`; `declared` says how the database declares a type, `instead` which types
    it has not, and which hold the same values; whether it `folds` names that differ in case alone into one.

    Raises UsageError naming every column whose type, or name, has no home there.
    """
    if not schema.names:
        raise UsageError(f"{where}: there is no column to write")
    distinct = dict.fromkeys(schema.names)
    times = Counter(name.translate(_LOWER) for name in distinct)
    alike = ", ".join(name for name in distinct if folds and times[name.translate(_LOWER)] > 1)
    if alike:
        raise UsageError(f"{where}: columns whose names differ in case alone: {alike}; nothing was written")
    columns, homeless = [], []
    for field in schema:
        kind = kept_type(field.type)
        found = declared(kind)
        if found is None:
            homeless.append(f"{field.name} ({field.type})")
            continue
        if pa.types.is_list(kind):
            kind = pa.list_(instead.get(kind.value_type, kind.value_type))
        columns.append(TypedColumn(field.name, instead.get(kind, kind), found))
    if homeless:
        names = ", ".join(homeless)
        raise UsageError(f"{where}: no type of the database keeps {names}; cast or leave out; nothing was written")
    return columns


class Fit:
    """The columns of `schema` as those of a table. Raises UsageError, naming all columns that do not go together."""

    def __init__(
        self,
        schema: pa.Schema,
        columns: Sequence[TypedColumn],
        where: str,
        *,
        text_for: Callable[[TypedColumn], bool] | None = None,
    ) -> None:
        """`text_for`: columns for which the database takes text as well, and parses it as it does its own literals."""
        self._where = where
        twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
        if twice:
            raise UsageError(f"{where}: columns of one name: {', '.join(twice)}; nothing was written")
        known = {column.name: column for column in columns}
        problems = _problems(schema, known)
        self.columns: list[TypedColumn] = []
        self.types: list[pa.DataType] = []
        """What each column is cast to."""
        for column in columns:
            if column.name not in schema.names or column.computed:
                continue
            source = schema.field(column.name).type
            kept = kept_type(source)
            as_text = kept != column.type and _is_text(kept) and text_for is not None and text_for(column)
            target = pa.string() if as_text else column.type
            if not _goes(source, target):
                problems.append(f"{column.name} is {source}, and {column.declared or column.type} there")
            self.columns.append(column)
            self.types.append(target)
        if problems:
            raise UsageError(f"{where}: {'; '.join(problems)}; nothing was written")
        if not self.columns:
            raise UsageError(f"{where}: there is no column to write")
        self.schema = pa.schema([(c.name, kind) for c, kind in zip(self.columns, self.types, strict=True)])

    def batches(
        self, reader: pa.RecordBatchReader, refused: Callable[[pa.Array], str | None]
    ) -> Iterator[pa.RecordBatch]:
        """All rows of `reader` as `schema`, in bounded batches. `refused` says why the database takes no such values.

        Raises WriteError for a value that its column does not take.
        """
        for batch in read_batches(reader):
            for part in bounded(batch):
                arrays = [
                    self._fitted(part.column(part.schema.get_field_index(column.name)), column, kind, refused)
                    for column, kind in zip(self.columns, self.types, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _fitted(
        self, array: pa.Array, column: TypedColumn, kind: pa.DataType, refused: Callable[[pa.Array], str | None]
    ) -> pa.Array:
        try:
            array = _cast(array, kind)
        except pa.ArrowException:
            said = f"holds a value that {column.declared or kind} does not keep as it is"
            raise WriteError(f"{self._where}: column {column.name} {said}; nothing was written") from None
        reason = refused(array)
        if reason is None and column.width is not None:
            longest = _longest(array)
            if longest > column.width:
                reason = f"holds a value of {longest} characters, and {column.declared} takes {column.width}"
        if reason is not None:
            raise WriteError(f"{self._where}: column {column.name} {reason}; nothing was written")
        return array


def _problems(schema: pa.Schema, known: dict[str, TypedColumn]) -> list[str]:
    extra = [name for name in schema.names if name not in known]
    computed = [name for name in schema.names if name in known and known[name].computed]
    missing = [
        name
        for name, column in known.items()
        if name not in schema.names and not column.optional and not column.computed
    ]
    return [
        text + ", ".join(names)
        for text, names in (
            ("the table has no column ", extra),
            ("the table wants also ", missing),
            ("the database computes itself ", computed),
        )
        if names
    ]


def _is_text(kind: pa.DataType) -> bool:
    return kind in (pa.string(), JSON, UUID)


def _goes(source: pa.DataType, target: pa.DataType) -> bool:
    """Whether values of one type can be those of another, none rounded or guessed: each is kept or refused."""
    types = pa.types
    if types.is_null(source):
        return True
    source = kept_type(source)
    if types.is_timestamp(source) and types.is_timestamp(target):
        return (source.tz is None) is (target.tz is None)
    number = types.is_integer(target) or types.is_decimal(target) or types.is_floating(target)
    return bool(
        source == target
        or kept_type(target) == source
        or (target == pa.string() and (_is_text(source) or types.is_integer(source)))
        or (types.is_integer(source) and number)
        or (types.is_boolean(source) and types.is_integer(target))
        or (types.is_decimal(source) and types.is_decimal(target))
        or (source == pa.float32() and target == pa.float64())
        or (source == pa.date32() and target == _US)
        or (types.is_time(source) and types.is_time(target))
        or (source == pa.string() and (number or target in _PARSED))
    )


def _cast(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if array.type == kind:
        return array
    if array.type == UUID:
        return uuid_text(array)
    array = plain(array)
    if kind == JSON:
        return pa.ExtensionArray.from_storage(JSON, array.cast(pa.string()))
    if pa.types.is_integer(array.type) and pa.types.is_decimal(kind):  # Arrow asks for room for the widest integer
        array = array.cast(pa.decimal256(_WIDEST, 0)).cast(pa.decimal256(_WIDEST, kind.scale))
    if pa.types.is_fixed_size_binary(array.type) or pa.types.is_date64(array.type):
        array = array.cast(pa.binary() if pa.types.is_fixed_size_binary(array.type) else pa.date32())
    return array.cast(kind)


def _longest(array: pa.Array) -> int:
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    lengths = pc.utf8_length(array) if pa.types.is_string(array.type) else pc.binary_length(array)
    return pc.max(lengths).as_py() or 0


class Rows:
    """Batches on their way into a driver, which hides the errors of what it reads: the first one is kept here."""

    def __init__(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
        self._batches, self._schema = batches, schema
        self.count = 0
        self.error: BaseException | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._batches:
                yield batch
                self.count += batch.num_rows
        except GeneratorExit:
            raise
        except BaseException as error:
            self.error = error
            raise

    def reader(self) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(self._schema, iter(self))

    def started(self) -> Rows:
        """These rows with their first batch at hand: what is wrong with it is known before anything is written."""
        batches = iter(self._batches)
        first = next(batches, None)
        return Rows(_with_first(first, batches, self._schema), self._schema)

    def check(self) -> None:
        """Raise what reading the rows raised, if it did."""
        if self.error is not None:
            raise self.error


def _with_first(first: Any, batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    yield empty_batch(schema) if first is None else first
    yield from batches
