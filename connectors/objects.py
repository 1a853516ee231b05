"""JSON objects as rows: what NDJSON and JSON documents have in common.

Objects and arrays become structs and lists where all values of a column agree. Where they do not (a key that changes
its type, an integer beyond 64 bits, a struct of more than MAX_FIELDS keys), the column is text: strings as they are,
anything else as its JSON. The rules:

- a key that an object repeats has a list of all its values;
- a missing key and a null are both null;
- `NaN` and `Infinity` are read as floats, though they are not JSON;
- an object that is nested deeper than MAX_DEPTH does not parse.

Python's own parser reads, value by value: it keeps integers exact. Rate: some 40 MB/s; NDJSON is read faster where it
is of one shape (`ndjson_arrow`).
"""

from __future__ import annotations

import contextlib
import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator
from itertools import repeat
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.connectors.base import MAX_BATCH_ROWS, reading
from pii_guard.connectors.lines import TextFileTable
from pii_guard.errors import ReadError

__all__ = ["MAX_DEPTH", "MAX_FIELDS", "Chunk", "ObjectTable", "infer", "is_deep"]

MAX_DEPTH = 64
"""An object nested deeper does not parse."""

MAX_FIELDS = 256
"""A struct of more keys is a map in disguise: its column is text."""

_CELLS = 2 << 20  # objects times keys of a batch: what bounds its memory when every object has keys of its own
_EXACT_IN_DOUBLE = 2**53
_CHANGED = "the file changed while it was read"
_NOT_OF_ONE_TYPE = (pa.ArrowException, OverflowError, UnicodeEncodeError)


class _Parsed:
    """Counts what a parser makes. Apart from the chunk: a parser that knew its chunk would keep it from being freed."""

    def __init__(self) -> None:
        self.objects = 0
        self.keys: set[str] = set()

    def object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """An object from its keys and values; a key that is repeated gets a list of all its values."""
        record = dict(pairs)
        if len(record) < len(pairs):
            times = Counter(name for name, _ in pairs)
            for name in record:
                if times[name] > 1:
                    record[name] = [value for key, value in pairs if key == name]
        self.objects += 1
        self.keys.update(record)
        return record

    @property
    def cells(self) -> int:
        return self.objects * len(self.keys)


class Chunk:
    """Objects that go into one batch, and the texts between them that are none, with the numbers of their lines."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.bad: list[tuple[int, str]] = []
        self._parsed = _Parsed()
        self.decoder = json.JSONDecoder(object_pairs_hook=self._parsed.object)
        """The parser of what goes into this chunk: it counts objects and keys."""

    @property
    def objects(self) -> int:
        """Objects that were parsed, at every depth; a parser that tries again sets it back."""
        return self._parsed.objects

    @objects.setter
    def objects(self, count: int) -> None:
        self._parsed.objects = count

    @property
    def full(self) -> bool:
        return len(self.rows) == MAX_BATCH_ROWS or self._parsed.cells > _CELLS

    @property
    def crowded(self) -> bool:
        """One line alone has so many objects and keys that structs of them would not fit into memory."""
        return self._parsed.cells > 4 * _CELLS

    def add(self, value: Any, number: int, text: str) -> None:
        """Add what `decoder` made of `text`, which begins in line `number`. What is no object is no row."""
        if isinstance(value, dict) and not is_deep(value, text):
            self.rows.append(value)
        else:
            self.bad.append((number, text))

    def columns(self) -> dict[str, list[Any]]:
        names: dict[str, Any] = {}
        for row in self.rows:
            names.update(row)
        return {name: list(map(dict.get, self.rows, repeat(name))) for name in names}


class ObjectTable(TextFileTable):
    """The objects of a file."""

    @abstractmethod
    def chunks(self, file: BinaryIO) -> Iterator[Chunk]:
        """All that is in `file`, from its start."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        with reading(self.target), self.opened() as file:
            for chunk in self.chunks(file):
                yield from self.chunk_batches(chunk)

    def chunk_batches(self, chunk: Chunk) -> Iterator[pa.RecordBatch]:
        """The rows of a chunk, and then what is none."""
        if chunk.rows:
            columns = chunk.columns()
            arrays = [infer(values, chunk.crowded) for values in columns.values()]
            fields = [(_clean(name), array.type) for name, array in zip(columns, arrays, strict=True)]
            yield _batch(arrays, pa.schema(fields), len(chunk.rows))
        yield from self.unparsed_batches(pa.array([text for _, text in chunk.bad], pa.string()))

    def reader(self) -> pa.RecordBatchReader:
        """Reads the file once to learn the schema, and again for the rows."""
        types: dict[str, pa.DataType] = {}
        large: set[str] = set()
        with reading(self.target), self.opened() as file:
            for chunk in self._strict_chunks(file):
                for name, values in chunk.columns().items():
                    array = infer(values, chunk.crowded)
                    types[name] = _merge(types.get(name, pa.null()), array.type)
                    if pa.types.is_integer(array.type) and not _fits_double(array):
                        large.add(name)
        for name in large:
            if pa.types.is_floating(types[name]):
                types[name] = pa.string()
        schema = pa.schema([(_clean(name), kind) for name, kind in types.items()])
        return pa.RecordBatchReader.from_batches(schema, self._typed(types, schema))

    def _typed(self, types: dict[str, pa.DataType], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        with reading(self.target), self.opened() as file:
            for chunk in self._strict_chunks(file):
                columns = chunk.columns()
                missing = [None] * len(chunk.rows)
                try:
                    arrays = [_convert(columns.pop(name, missing), kind) for name, kind in types.items()]
                except _NOT_OF_ONE_TYPE:
                    raise ReadError(self.target, _CHANGED) from None
                if columns:
                    raise ReadError(self.target, _CHANGED)
                yield _batch(arrays, schema, len(chunk.rows))

    def _strict_chunks(self, file: BinaryIO) -> Iterator[Chunk]:
        for chunk in self.chunks(file):
            if chunk.bad:
                line = chunk.bad[0][0]
                raise ReadError(self.target, f"line {line}: not a JSON object, or nested deeper than {MAX_DEPTH}")
            if chunk.rows:
                yield chunk


def is_deep(value: Any, text: str) -> bool:
    """Whether `value`, which `text` stands for, is nested deeper than MAX_DEPTH."""
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return False
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
        level = [child for child in level if isinstance(child, (dict, list))]
        if not level:
            return False
    return True


def infer(values: list[Any], crowded: bool) -> pa.Array[Any]:
    """A column of values as they were parsed: structs and lists, or text where they do not agree or are `crowded`."""
    kinds = set(map(type, values)) - {type(None)}
    if kinds == {int, float} or (len(kinds) <= 1 and not (crowded and kinds & {dict, list})):
        with contextlib.suppress(*_NOT_OF_ONE_TYPE):
            array: pa.Array[Any] = pa.array(values, pa.string() if kinds == {str} else None)
            if _widest(array.type) <= MAX_FIELDS:
                return array
    return _text(values)


def _batch(arrays: list[pa.Array[Any]], schema: pa.Schema, rows: int) -> pa.RecordBatch:
    if not arrays:  # empty objects are rows too
        empty: Any = pa.array([{}] * rows, pa.struct([]))
        return pa.RecordBatch.from_struct_array(empty)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _convert(values: list[Any], kind: pa.DataType) -> pa.Array[Any]:
    return _text(values) if pa.types.is_string(kind) else pa.array(values, kind)


def _text(values: list[Any]) -> pa.Array[Any]:
    """Strings as they are, anything else as JSON."""
    texts = (value if isinstance(value, str) or value is None else _to_json(value) for value in values)
    return pa.array([text if text is None else _clean(text) for text in texts], pa.string())


_to_json = json.JSONEncoder(ensure_ascii=False).encode


def _clean(text: str) -> str:
    r"""`text` with a question mark for half of a surrogate pair, which JSON can escape and UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode()


def _widest(kind: pa.DataType) -> int:
    """The number of fields of the widest struct in a type."""
    if isinstance(kind, pa.StructType):
        return max([len(kind.fields), *(_widest(field.type) for field in kind.fields)])
    return _widest(kind.value_type) if isinstance(kind, pa.ListType) else 0


def _merge(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """The type of a column that has `one` here and `other` there; `string` (text) if they do not agree."""
    merged = _merged(one, other)
    if merged is None and {one, other} == {pa.int64(), pa.float64()}:
        return pa.float64()
    return pa.string() if merged is None or _widest(merged) > MAX_FIELDS else merged


def _merged(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if isinstance(one, pa.ListType) and isinstance(other, pa.ListType):
        item = _merged(one.value_type, other.value_type)
        return None if item is None else pa.list_(item)
    if isinstance(one, pa.StructType) and isinstance(other, pa.StructType):
        fields = {field.name: field.type for field in one}
        for field in other:
            kind = _merged(fields.get(field.name, pa.null()), field.type)
            if kind is None:
                return None
            fields[field.name] = kind
        return pa.struct(list(fields.items()))
    return None


def _fits_double(integers: pa.Array[Any]) -> bool:
    ends: Any = pc.min_max(integers).as_py()
    return bool(max(-ends["min"], ends["max"]) <= _EXACT_IN_DOUBLE)
