"""Columns of databases whose text is JSON, as the structs and lists that it stands for.

What is in them is a field by its path, `profile.phone`, by the rules of `pii_guard.connectors.objects`: where the
values of a batch do not agree, and for a value that does not parse, the column is text. Nothing is left out.
Rate: some 40 MB/s, as for NDJSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Any

import pyarrow as pa

from pii_guard.connectors.objects import Chunk, infer, is_deep

__all__ = ["unfolded"]

_ROWS = 8192
"""Rows that are parsed at once: their objects take some ten times the room of the text."""


def unfolded(batch: pa.RecordBatch, places: Set[int]) -> Iterator[pa.RecordBatch]:
    """`batch`, in parts where need be, with the JSON of its columns at `places` parsed."""
    places = {place for place in places if pa.types.is_string(batch.column(place).type)}
    if not places:
        yield batch
        return
    for start in range(0, max(batch.num_rows, 1), _ROWS):
        part = batch.slice(start, _ROWS)
        columns = [_parsed(column) if place in places else column for place, column in enumerate(part.columns)]
        yield pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _parsed(texts: pa.StringArray) -> pa.Array[Any]:
    if texts.null_count == len(texts):
        return texts
    chunk = Chunk()
    return infer([None if text is None else _value(chunk, text) for text in texts.to_pylist()], chunk.crowded)


def _value(chunk: Chunk, text: str) -> Any:
    try:
        value = chunk.decoder.decode(text)
    except (ValueError, RecursionError):
        return text
    return text if isinstance(value, (dict, list)) and is_deep(value, text) else value
