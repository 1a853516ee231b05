"""From rows, as drivers of databases hand them out one tuple each, to batches of text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from pii_guard.connectors.base import MAX_BATCH_BYTES, bounded, empty_batch

__all__ = ["as_text", "batches_made", "batches_of_rows", "integers", "text_schema"]

_FIRST, _ROWS = 4, 8192  # rows fetched at once, at first and at most: a value may be large


def batches_of_rows(fetch: Callable[[int], Sequence[Sequence[Any]]], names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Batches of all rows that `fetch(n)` gives, n at most at a time; one without rows if there are none.

    All columns are text, those that hold bytes which are no UTF-8 are bytes.
    """
    seen = False
    for batch in batches_made(
        fetch, lambda columns: pa.RecordBatch.from_arrays(list(map(_column, columns)), list(names))
    ):
        yield batch
        seen = True
    if not seen:
        yield empty_batch(text_schema(names))


def batches_made(
    fetch: Callable[[int], Sequence[Sequence[Any]]], make: Callable[[list[tuple[Any, ...]]], pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Bounded batches of all rows that `fetch(n)` gives, n at most at a time; `make` makes one of columns of values."""
    size = _FIRST
    while rows := fetch(size):
        batch = make(list(zip(*rows, strict=True)))
        yield from bounded(batch)
        size = min(max(size * MAX_BATCH_BYTES // max(batch.nbytes, 1), 1), 2 * size, _ROWS)


def integers(values: Sequence[Any]) -> pa.Array[Any]:
    """Values as integers of 64 bits; `pa.array` with that type would cut 1.5 to 1. Raises an error of Arrow."""
    return pa.array(values).cast(pa.int64())


def text_schema(names: Sequence[str]) -> pa.Schema:
    """The columns `names`, all of them text."""
    return pa.schema([(name, pa.string()) for name in names])


def as_text(array: pa.Array) -> pa.Array:
    """Text or bytes as text; as bytes where not all of them are UTF-8."""
    try:
        return array.cast(pa.string())
    except pa.ArrowInvalid:
        return array.cast(pa.binary())


def _column(values: tuple[Any, ...]) -> pa.Array[Any]:
    """Values of one column: text (as bytes or not), blobs, numbers and nulls, one beside the other."""
    texts = [value if value is None or type(value) is bytes else _bytes(value) for value in values]
    return as_text(pa.array(texts, pa.binary()))


def _bytes(value: Any) -> bytes:
    return bytes(value) if isinstance(value, bytearray | memoryview) else str(value).encode("utf-8", "surrogateescape")
