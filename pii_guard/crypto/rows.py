"""The keys of rows, which tokens can be bound to (docs/FORMAT.md, Token: Rows)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from pii_guard.crypto.buffers import Mask, mask, valid
from pii_guard.crypto.values import encode

__all__ = ["names_rows", "row_keys", "unnamed"]


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
