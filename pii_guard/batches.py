"""The one door for Arrow data: anything with `__arrow_c_stream__` becomes a stream of plain record batches.

`normalise` gives columns their plain types (`pii_guard.plain_types`), cuts large batches and joins small ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import pyarrow as pa

from pii_guard.errors import PiiGuardError, ReadError, UsageError
from pii_guard.plain_types import plain, plain_type

__all__ = ["ArrowData", "from_rows", "normalise", "read_batches", "reader_of"]

BATCH_ROWS = 65_536
"""Rows of a batch at most: large enough that a call costs nothing, small enough that memory stays flat."""
BATCH_BYTES = 8 << 20
SMALL_ROWS = 16_384
"""Batches below this are joined: at 1,000 rows a batch NumPy's cost per call dominates."""


@runtime_checkable
class ArrowStream(Protocol):
    """The Arrow PyCapsule stream interface: pyarrow, pandas, polars and duckdb objects have it."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


ArrowData: TypeAlias = ArrowStream | pa.RecordBatch | Sequence[Mapping[str, Any]]


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
    """The batches of a reader, whose errors may come from any library and quote values.

    Each has the columns that the reader announces: nothing holds a stream made in Python to its own schema. Raises
    ReadError where one has others, or where reading raises.
    """
    names, types = reader.schema.names, reader.schema.types
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
        if batch.schema.names != names or batch.schema.types != types:
            reason = f"after {rows:,} rows comes a batch of other columns or types than the stream announces"
            raise ReadError("(data)", reason)
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
