"""A part of a file in place of all of it: row groups of Parquet, blocks of lines of text.

Which parts is drawn at random, by the name of the file, so that it is the same in each run. Rows of one block are often
alike, so that a sample says less than as many rows drawn one by one would.
"""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from typing import BinaryIO, cast

from pii_guard.connectors.encoding import BYTE_ORDER_MARKS

__all__ = ["BLOCK", "Sample", "lines_of"]

BLOCK = 1 << 20
"""Bytes of a block of lines, about."""

LONGEST = 32 << 20
"""Bytes of a line, at most; a longer one is cut."""


@dataclass(frozen=True, slots=True)
class Sample:
    """How much is read: a share of each file, between 0 and 1."""

    share: float

    def drawn(self, count: int, name: str) -> list[int]:
        """The numbers of the parts to read, of `count` parts of the file `name`, ascending; at least one."""
        wanted = min(count, max(1, round(self.share * count)))
        return sorted(random.Random(name).sample(range(count), wanted))  # noqa: S311 - to be the same in each run


def lines_of(file: BinaryIO, size: int, name: str, sample: Sample) -> BinaryIO:
    """A file of whole lines of `file`, which can seek and has `size` bytes: the first block, where a header stands, and
    blocks drawn from the rest. `file` itself where it is small, or of an encoding in which a line feed is two bytes."""
    if size <= 2 * BLOCK or file.read(4).startswith(tuple(BYTE_ORDER_MARKS)):
        file.seek(0)
        return file
    count = -(-size // BLOCK)
    return cast(BinaryIO, io.BufferedReader(_Lines(file, [0, *sample.drawn(count - 1, name)], size), BLOCK))


class _Lines(io.RawIOBase):
    """The lines that begin in some blocks of a file. A line begins behind a line feed."""

    def __init__(self, file: BinaryIO, first: list[int], size: int) -> None:
        self._file, self._size = file, size
        self._blocks = sorted({0, *(number + 1 for number in first[1:])})
        self._end = 0  # where the lines of the block at hand stop to begin
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        while not self._left:
            if not self._next():
                return 0
        part, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)

    def _next(self) -> bool:
        """Get the next lines; False at the end."""
        if not self._blocks:
            return False
        number = self._blocks.pop(0)
        begin, end = number * BLOCK, min((number + 1) * BLOCK, self._size)
        self._file.seek(max(begin - 1, 0))
        if begin:
            self._file.readline(LONGEST)  # of the line that began before
        begin = self._file.tell()
        if begin < end:
            self._left = self._file.read(end - begin)
            if not self._left.endswith(b"\n"):
                self._left += self._file.readline(LONGEST)
            if not self._left.endswith(b"\n"):
                self._left += b"\n"
        return True

    def close(self) -> None:
        self._file.close()
        super().close()
