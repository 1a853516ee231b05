"""The keys of rows, which tokens can be bound to (docs/FORMAT.md, Token: Rows)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from pii_guard.crypto.buffers import Index, Mask, consecutive, mask, valid
from pii_guard.crypto.values import encode

__all__ = ["at", "by_chunk", "each", "names_rows", "row_keys", "unnamed"]


def names_rows(kind: pa.DataType) -> bool:
    """Whether a column of this type can name rows: its values have one spelling in every store, as texts, bytes, whole
    numbers and days have, and as floats, decimals and times have not."""
    if isinstance(kind, pa.BaseExtensionType):
        return names_rows(kind.storage_type)
    if isinstance(kind, pa.DictionaryType | pa.RunEndEncodedType):
        return names_rows(kind.value_type)
    alike = (pt.is_string, pt.is_large_string, pt.is_string_view, pt.is_binary, pt.is_large_binary, pt.is_binary_view)
    return any(is_it(kind) for is_it in (*alike, pt.is_fixed_size_binary, pt.is_integer, pt.is_date))


def row_keys(columns: Sequence[pa.Array], field: str) -> pa.LargeBinaryArray:
    """`canonical` of the values of each row, in the order of `columns` (at least one), as values are encrypted.

    A null is as the empty text: `unnamed` tells such rows, which no token is made for. Raises UsageError as
    `pii_guard.crypto.values.encode`.
    """
    parts: list[pa.Array] = []
    for column in columns:
        value = encode(column, field).fill_null(b"")
        sizes = pc.binary_length(value).to_numpy().astype(">u4")
        parts += [pa.FixedSizeBinaryArray.from_buffers(pa.binary(4), len(value), [None, pa.py_buffer(sizes)]), value]
    binary = [part.cast(pa.large_binary()) for part in parts]
    return pc.binary_join_element_wise(*binary, pa.scalar(b"", pa.large_binary()))


def unnamed(columns: Sequence[pa.Array], field: str) -> Mask:
    """Which rows have no value, or an empty one, in any of `columns`."""
    found = np.zeros(len(columns[0]), np.bool_)
    for column in columns:
        value = encode(column, field)
        found |= ~valid(value) | mask(pc.equal(pc.binary_length(value), 0))
    return found


def by_chunk(row_keys: pa.LargeBinaryArray | None, chunks: list[pa.Array]) -> list[pa.LargeBinaryArray | None]:
    """The row keys of each chunk; no row keys are none for each, here and below."""
    if row_keys is None:
        return [None] * len(chunks)
    ends = np.cumsum([len(chunk) for chunk in chunks])
    return [row_keys.slice(end - len(chunk), len(chunk)) for chunk, end in zip(chunks, ends, strict=True)]


def at(row_keys: pa.LargeBinaryArray | None, rows: Index) -> pa.LargeBinaryArray | None:
    """The row keys of some rows, by their numbers."""
    if row_keys is None or consecutive(rows):
        return row_keys if row_keys is None else row_keys.slice(rows[0], len(rows))
    return row_keys.take(pa.array(rows))


def each(row_keys: pa.LargeBinaryArray | None, count: int) -> list[tuple[bytes, ...]]:
    """What binds each of `count` values: the key of its row, or nothing."""
    return [()] * count if row_keys is None else [(key,) for key in row_keys.to_pylist()]
