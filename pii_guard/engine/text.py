"""A column of text as two NumPy arrays: the bytes of all values, and where each value starts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["WHITE", "Bytes", "Index", "Origin", "Text", "scratch"]

Bytes: TypeAlias = npt.NDArray[np.uint8]
Index: TypeAlias = npt.NDArray[np.int64]

WHITE = np.zeros(256, np.bool_)
"""Which bytes are white space: columns of fixed width are padded with it."""
WHITE[[9, 10, 11, 12, 13, 32]] = True
CHUNK_BYTES = 2 << 20
"""Bytes lexed at a time: so many that what a detector costs at all is little, so few that memory stays flat."""


_local = threading.local()


def scratch(count: int, size: int) -> list[npt.NDArray[np.bool_]]:
    """`count` boolean arrays of `size`, reused by the next call of this thread: fresh pages cost ten times the work."""
    pool: npt.NDArray[np.bool_] | None = getattr(_local, "pool", None)
    if pool is None or pool.shape[0] < count or pool.shape[1] < size:
        pool = np.empty((count, max(size, CHUNK_BYTES)), np.bool_)
        if size <= 2 * CHUNK_BYTES:  # one huge value shall not hold its memory for ever
            _local.pool = pool
    return [pool[place, :size] for place in range(count)]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the bytes of a folded text come from (`pii_guard.engine.folding`)."""

    source: Index
    """For each byte, its position in the text as it was."""
    width: npt.NDArray[np.uint8]
    """For each byte, how many bytes there it stands for, counted from that position."""


@dataclass(frozen=True, slots=True)
class Text:
    """`data`: uint8 (n bytes), the values one after the other. `offsets`: int64 (rows + 1), from 0 to n.

    A value is a hard boundary: what touches in `data` does not touch in the column. Bytes need not be valid UTF-8.
    """

    data: Bytes = field(repr=False)
    offsets: Index = field(repr=False)
    origin: Origin | None = field(default=None, repr=False)
    _begins: list[npt.NDArray[np.bool_]] = field(default_factory=list, compare=False, repr=False)
    _first: list[Bytes] = field(default_factory=list, compare=False, repr=False)

    def original(self, start: Index, end: Index) -> tuple[Index, Index]:
        """Spans of this text as spans of the text that it was folded from."""
        if self.origin is None:
            return start, end
        return self.origin.source[start], self.origin.source[end - 1] + self.origin.width[end - 1]

    def begins(self) -> npt.NDArray[np.bool_]:
        """For every byte, and for the end: whether a value begins (or the last one ends) there. Made once."""
        if not self._begins:
            begins = np.zeros(len(self.data) + 1, np.bool_)
            begins[self.offsets] = True
            self._begins.append(begins)
        return self._begins[0]

    def first_bytes(self) -> Bytes:
        """The first byte of every value; any byte for an empty one. Made once."""
        if not self._first:
            empty = np.zeros(len(self), np.uint8)
            self._first.append(self.data.take(self.offsets[:-1], mode="clip") if len(self.data) else empty)
        return self._first[0]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def of(cls, values: pa.Array) -> Text:
        """From a string, large_string, binary or large_binary array without nulls, slices too; nothing is copied."""
        wide = pa.types.is_large_string(values.type) or pa.types.is_large_binary(values.type)
        _, offset_buffer, data_buffer = values.buffers()
        if not len(values) or offset_buffer is None:
            return cls(np.zeros(0, np.uint8), np.zeros(len(values) + 1, np.int64))
        offsets = np.frombuffer(offset_buffer, np.int64 if wide else np.int32)
        offsets = offsets[values.offset : values.offset + len(values) + 1].astype(np.int64)
        data = np.frombuffer(data_buffer, np.uint8) if data_buffer is not None else np.zeros(0, np.uint8)
        return cls(data[offsets[0] : offsets[-1]], offsets - offsets[0])

    def take(self, rows: Index) -> Text:
        """The values at `rows`, copied."""
        pieces = [None, pa.py_buffer(self.offsets), pa.py_buffer(self.data)]
        values = pa.Array.from_buffers(pa.large_binary(), len(self), pieces)
        return Text.of(values.take(pa.array(rows, pa.int64())))

    def chunks(self) -> Iterator[tuple[int, Text]]:
        """(first row, text) pieces of about 2 MiB, cut between values."""
        first, rows = 0, len(self)
        while first < rows:
            goal = self.offsets[first] + CHUNK_BYTES
            last = int(np.searchsorted(self.offsets, goal, side="right")) - 1
            last = min(max(last, first + 1), rows)
            yield first, self.part(first, last)
            first = last

    def part(self, first: int, last: int) -> Text:
        """The values from row `first` to before row `last`; nothing is copied but offsets."""
        begin, end = self.offsets[first], self.offsets[last]
        return Text(self.data[begin:end], self.offsets[first : last + 1] - begin)

    def value(self, row: int, start: int = 0, end: int | None = None) -> str:
        """Bytes `start` to `end` of one value, as text; what is not UTF-8 becomes U+FFFD."""
        begin, stop = int(self.offsets[row]), int(self.offsets[row + 1])
        return self.data[begin + start : stop if end is None else begin + end].tobytes().decode(errors="replace")

    def invalid(self) -> Index:
        """The values that are not valid UTF-8. About 1 GB/s where all are valid, 10 where all are ASCII."""
        none = np.zeros(0, np.int64)
        if not len(self.data) or int(self.data.max()) < 0x80:
            return none
        pieces = [None, pa.py_buffer(self.offsets), pa.py_buffer(self.data)]
        try:
            pa.Array.from_buffers(pa.large_string(), len(self), pieces).validate(full=True)
        except pa.ArrowInvalid:  # says of one value that it is invalid; all are looked for below
            pass
        else:
            return none
        bad, pending = [], [(0, len(self))]
        while pending:  # halves: a handful of bad values in a million costs a handful of look-ups
            first, last = pending.pop()
            if self._valid(first, last):
                continue
            if last - first == 1:
                bad.append(first)
                continue
            middle = (first + last) // 2
            pending += [(first, middle), (middle, last)]
        return np.array(sorted(bad), np.int64)

    def _valid(self, first: int, last: int) -> bool:
        begin, end = int(self.offsets[first]), int(self.offsets[last])
        if begin == end:
            return True
        starts = self.offsets[first:last]
        heads = self.data[starts[starts < end]]
        if bool(((heads & 0xC0) == 0x80).any()):  # a value that starts inside a character
            return False
        try:
            str(self.data[begin:end].data, "utf-8")
        except UnicodeDecodeError:
            return False
        return True
