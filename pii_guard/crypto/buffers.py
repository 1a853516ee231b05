"""Variable-length Arrow arrays as NumPy arrays and back; the few array steps that both sides share.

A *matrix* is a uint8 array (rows, width): byte strings of one length, one after the other.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TypeAlias, cast

import numpy as np
import pyarrow as pa
import pyarrow.types as pt
from numpy.typing import NDArray

__all__ = [
    "MOST_BYTES",
    "Index",
    "Mask",
    "Matrix",
    "assemble",
    "by_length",
    "consecutive",
    "from_buffers",
    "from_list",
    "mask",
    "not_null",
    "place",
    "to_binary",
    "to_buffers",
    "valid",
    "whole",
]

Mask: TypeAlias = NDArray[np.bool_]
MOST_BYTES = (1 << 31) - 1
"""That an array of text or binary holds which is not large."""
Index: TypeAlias = NDArray[np.int64]
Matrix: TypeAlias = NDArray[np.uint8]


def to_binary(values: pa.Array) -> pa.LargeBinaryArray:
    """Text or binary values, in one of the plain types, as `large_binary`."""
    return values.cast(pa.large_binary())


def to_buffers(values: pa.LargeBinaryArray) -> tuple[Index, NDArray[np.uint8]]:
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


def from_list(values: Sequence[bytes | None], kind: pa.DataType) -> pa.Array:
    """A few values as an array of `kind`, which is text or binary, large or not; `pa.array` takes four times as long.

    Raises OverflowError for more than 2 GiB in a kind that is not large.
    """
    large = pt.is_large_string(kind) or pt.is_large_binary(kind)
    ends = list(accumulate([len(value or b"") for value in values], initial=0))
    if not large and ends[-1] > MOST_BYTES:
        raise OverflowError("more than 2 GiB in one array")
    offsets = struct.pack(f"={len(ends)}{'q' if large else 'i'}", *ends)
    validity = None
    if None in values:
        bits = sum((value is not None) << place for place, value in enumerate(values))
        validity = pa.py_buffer(bits.to_bytes(len(values) // 8 + 1, "little"))
    content = b"".join([value for value in values if value])
    return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(offsets), pa.py_buffer(content)])


def by_length(values: pa.LargeBinaryArray, rows: Index | None = None) -> Iterator[tuple[Index, Matrix]]:
    """The values at `rows` (default: all that are not null) by length: (rows of one length, ascending, their bytes)."""
    offsets, data = to_buffers(values)
    if rows is None:
        rows = not_null(values)
    if not len(rows):
        return
    starts, sizes = offsets[:-1], np.diff(offsets)
    if len(rows) < len(values):
        starts, sizes = starts[rows], sizes[rows]
    if (sizes == sizes[0]).all():
        yield rows, _gathered(data, starts, int(sizes[0]))
        return
    # NumPy sorts 16 bits in linear time
    order = np.argsort(sizes.astype(np.uint16) if sizes.max() <= np.iinfo(np.uint16).max else sizes, kind="stable")
    for alike in np.split(order, np.flatnonzero(np.diff(sizes[order])) + 1):
        yield rows[alike], _gathered(data, starts[alike], int(sizes[alike[0]]))


def _gathered(data: NDArray[np.uint8], starts: Index, size: int) -> Matrix:
    """The `size` bytes from each of `starts` on; the data itself where they stand one behind the other."""
    first, count = int(starts[0]), len(starts)
    if not size:
        return np.zeros((count, 0), np.uint8)
    if int(starts[-1]) - first == (count - 1) * size and (np.diff(starts) == size).all():
        return data[first : first + count * size].reshape(count, size)
    return np.ndarray((len(data) - size + 1,), f"V{size}", data, 0, (1,))[starts].view(np.uint8).reshape(count, size)


def assemble(parts: Sequence[tuple[Index, Matrix]], length: int) -> pa.LargeBinaryArray:
    """An array of `length` with each row of a matrix at its place, and null elsewhere."""
    sizes, filled = np.zeros(length + 1, np.int64), np.zeros(length, np.bool_)
    for rows, matrix in parts:
        sizes[rows + 1] = matrix.shape[1]
        filled[rows] = True
    offsets = np.cumsum(sizes)
    if len(parts) == 1 and len(parts[0][1]) == length:
        return from_buffers(offsets, np.ascontiguousarray(parts[0][1]).reshape(-1))
    out = np.empty(int(offsets[-1]), np.uint8)
    for rows, matrix in parts:
        if not matrix.size:
            continue
        if consecutive(rows):
            out[offsets[rows[0]] : offsets[rows[-1] + 1]].reshape(matrix.shape)[:] = matrix
        else:
            width = matrix.shape[1]
            np.ndarray((len(out) - width + 1,), f"V{width}", out, 0, (1,))[offsets[rows]] = whole(matrix)
    bitmap = None if filled.all() else pa.py_buffer(np.packbits(filled, bitorder="little").data)
    buffers = [bitmap, pa.py_buffer(offsets.data), pa.py_buffer(out.data)]
    return pa.Array.from_buffers(pa.large_binary(), length, buffers)


def whole(matrix: Matrix) -> NDArray[np.void]:
    """The rows of a matrix as one element each, so that they are copied and moved whole; at least one byte wide."""
    view: NDArray[np.void] = matrix.view(f"V{matrix.shape[1]}")[:, 0]
    return view


def mask(flags: pa.Array) -> Mask:
    """A boolean array as NumPy booleans; null is False."""
    return cast("Mask", flags.fill_null(False).to_numpy(zero_copy_only=False))


def valid(values: pa.Array) -> Mask:
    """Which values are not null."""
    return mask(values.is_valid()) if values.null_count else np.ones(len(values), np.bool_)


def not_null(values: pa.Array) -> Index:
    """The rows of the values that are not null."""
    return np.flatnonzero(valid(values)) if values.null_count else np.arange(len(values))


def consecutive(rows: Index) -> bool:
    """Whether ascending rows are one behind the other."""
    return len(rows) > 0 and int(rows[-1]) - int(rows[0]) == len(rows) - 1


def place(values: pa.LargeBinaryArray, rows: NDArray[np.int64], length: int) -> pa.LargeBinaryArray:
    """An array of `length` with `values[i]` at `rows[i]` and null elsewhere."""
    if len(rows) == length and (rows[1:] > rows[:-1]).all():
        return values
    sources = np.zeros(length, np.int64)
    sources[rows] = np.arange(len(rows))
    empty = np.ones(length, np.bool_)
    empty[rows] = False
    return values.take(pa.array(sources, mask=empty))
