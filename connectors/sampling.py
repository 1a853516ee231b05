"""A part of a file or a table in place of all of it: row groups of Parquet, blocks of lines of text, rows of databases.

Which parts is drawn at random, by the name of the file or table, so that it is the same in each run. Rows of one block
are often alike, so that a sample says less than as many rows drawn one by one would.
"""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from typing import BinaryIO, cast

from pii_guard.connectors.encoding import wide_encoding
from pii_guard.connectors.resource import HEAD

__all__ = ["BLOCK", "LARGE_TABLES", "Sample", "lines_of"]

BLOCK = 1 << 20
"""Bytes of a block of lines, about."""

LONGEST = 32 << 20
"""Bytes of a line, at most; a longer one is cut."""


@dataclass(frozen=True, slots=True)
class Sample:
    """How much of each file and table is read: a share of it, or so many rows, about."""

    share: float = 1.0
    """Between 0 and 1; not used where `rows` is given."""
    rows: int | None = None
    above: int = 0
    """What has no more rows than this is read whole."""

    def share_of(self, rows: int) -> float:
        """The share to read of what has `rows` rows, about.

        >>> Sample(rows=300_000, above=1_000_000).share_of(3_000_000)
        0.1
        """
        if rows <= self.above:
            return 1.0
        return self.share if self.rows is None else min(self.rows / max(rows, 1), 1.0)

    @staticmethod
    def drawn(share: float, count: int, name: str) -> list[int]:
        """The numbers of the parts to read, of `count` parts of the file `name`, ascending; at least one."""
        wanted = min(count, max(1, round(share * count)))
        return sorted(random.Random(name).sample(range(count), wanted))  # noqa: S311 - to be the same in each run


LARGE_TABLES = Sample(rows=300_000, above=1_000_000)
"""What `pii-guard scan` reads of a table in a database unless told otherwise. A million rows are read in seconds, a
billion not in an hour; and 300,000 rows that are drawn one by one show whatever 0.001 % of all rows hold."""


def lines_of(file: BinaryIO, size: int, name: str, sample: Sample) -> BinaryIO:
    """A file of whole lines of `file`, which can seek and has `size` bytes: the first block, where a header stands, and
    blocks drawn from the rest. `file` itself where it is small, or of an encoding in which a line feed is two bytes."""
    head = file.read(BLOCK)
    if size <= 2 * BLOCK or wide_encoding(head[:HEAD]):
        file.seek(0)
        return file
    share = sample.share_of(size * head.count(b"\n") // max(len(head), 1))
    count = -(-size // BLOCK)
    return cast(BinaryIO, io.BufferedReader(_Lines(file, [0, *Sample.drawn(share, count - 1, name)], size), BLOCK))


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
