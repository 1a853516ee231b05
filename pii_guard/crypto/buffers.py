"""Variable-length Arrow arrays as NumPy arrays and back, without a copy; the few array steps that both sides share."""

from __future__ import annotations

from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["Mask", "from_buffers", "join", "mask", "place", "to_binary", "to_buffers", "valid", "where"]

Mask = NDArray[np.bool_]
_NOTHING = pa.scalar(b"", pa.large_binary())


def to_binary(values: pa.Array) -> pa.LargeBinaryArray:
    """Text or binary values, in one of the plain types, as `large_binary`."""
    return values.cast(pa.large_binary())


def to_buffers(values: pa.LargeBinaryArray) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """The offsets (n + 1, counted in the data) and the data of `values`, which may be a slice; validity is ignored."""
    _, offsets, data = values.buffers()
    if not len(values) or offsets is None:
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    bounds = np.frombuffer(memoryview(offsets), np.int64)[values.offset : values.offset + len(values) + 1]
    return bounds, np.frombuffer(memoryview(data or b""), np.uint8)


def from_buffers(offsets: NDArray[np.int64], data: NDArray[np.uint8] | bytes) -> pa.LargeBinaryArray:
    """An array without nulls of `len(offsets) - 1` values over `data`."""
    content = data if isinstance(data, bytes) else data.data
    buffers = [None, pa.py_buffer(offsets.data), pa.py_buffer(content)]
    return pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)


def join(*columns: pa.LargeBinaryArray | bytes) -> pa.LargeBinaryArray:
    """The columns side by side, value by value; bytes stand for a constant column."""
    parts = [pa.scalar(part, pa.large_binary()) if isinstance(part, bytes) else part for part in columns]
    return pc.binary_join_element_wise(*parts, _NOTHING)


def mask(flags: pa.Array) -> Mask:
    """A boolean array as NumPy booleans; null is False."""
    return cast("Mask", flags.fill_null(False).to_numpy(zero_copy_only=False))


def valid(values: pa.Array) -> Mask:
    """Which values are not null."""
    return mask(values.is_valid())


def where(values: pa.LargeBinaryArray, rows: Mask) -> pa.LargeBinaryArray:
    """The values at the marked rows."""
    return values.filter(pa.array(rows))


def place(values: pa.LargeBinaryArray, rows: NDArray[np.int64], length: int) -> pa.LargeBinaryArray:
    """An array of `length` with `values[i]` at `rows[i]` and null elsewhere."""
    sources = np.zeros(length, np.int64)
    sources[rows] = np.arange(len(rows))
    empty = np.ones(length, np.bool_)
    empty[rows] = False
    return values.take(pa.array(sources, mask=empty))
