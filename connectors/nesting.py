"""What may come out of one file that holds others: bounds on depth, number and size, and bytes counted against them.

The bounds hold for everything that is unpacked from one file on disk, however it is nested. A member beyond them is not
examined, and is named.
"""

from __future__ import annotations

import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import IO

import pyarrow as pa

from pii_guard.connectors.base import os_reason
from pii_guard.errors import ReadError

__all__ = ["FREE_BYTES", "MAX_DEPTH", "MAX_MEMBERS", "MAX_RATIO", "MAX_UNPACKED", "Nesting", "Unpacking", "unpacking"]

MAX_DEPTH = 6
"""Archives and compressions inside of each other; a `.tar.gz` is two."""
MAX_MEMBERS = 100_000
MAX_RATIO = 200
"""Unpacked bytes for one byte on disk. Text is packed to a tenth, seldom to a fiftieth; zeros to a thousandth."""
FREE_BYTES = 64 << 20
"""What may be unpacked whatever the ratio."""
MAX_UNPACKED = 256 << 30

_ADVICE = "unpack it and scan the files"


@dataclass(slots=True)
class _Spent:
    """What was unpacked so far from one file on disk."""

    size: int | None
    members: int = 0
    bytes: int = 0
    reached: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Nesting:
    """How deep a resource is inside of a file, and what has come out of that file so far."""

    spent: _Spent
    depth: int = 0

    @classmethod
    def of(cls, size: int | None) -> Nesting:
        """For a file of `size` bytes on disk; None where that is unknown (standard input)."""
        return cls(_Spent(size))

    def deeper(self, target: str) -> Nesting:
        """The same, one level further in. Raises ReadError where that is too deep, or too much has come out already."""
        if self.depth == MAX_DEPTH:
            raise ReadError(target, f"nested more than {MAX_DEPTH} deep; {_ADVICE}")
        self.check(target)
        return replace(self, depth=self.depth + 1)

    def enter(self, target: str) -> None:
        """One more member of `target` is about to be read. Raises ReadError where that is one too many."""
        self.spent.members += 1
        self.check(target)

    def check(self, target: str) -> None:
        """Raises ReadError where more has come out than may."""
        if reason := self.exceeded:
            raise ReadError(target, f"{reason}; {_ADVICE}")

    @property
    def exceeded(self) -> str | None:
        """Which bound on number or size has been passed, in words; None if none has."""
        spent = self.spent
        if spent.members > MAX_MEMBERS:
            return f"it holds more than {MAX_MEMBERS:,} files"
        if spent.bytes > MAX_UNPACKED:
            return f"it unpacks to more than {MAX_UNPACKED >> 30} GB"
        if spent.size is not None and spent.bytes > max(FREE_BYTES, MAX_RATIO * spent.size):
            return f"it unpacks to more than {MAX_RATIO} times its size"
        return None

    def count(self, member: str, position: int) -> None:
        """The first `position` bytes of `member` were unpacked; those that were so before are not counted again."""
        grown = position - self.spent.reached.get(member, 0)
        if grown > 0:
            self.spent.reached[member] = position
            self.spent.bytes += grown


class Unpacking(io.RawIOBase):
    """What a decompressor gives: its errors in our words, its bytes counted. Owns `file` and what is `below` it."""

    def __init__(
        self, file: IO[bytes], target: str, what: str, nesting: Nesting, *, below: IO[bytes] | None = None
    ) -> None:
        self._file = file
        self._below = below
        self._target = target
        self._what = what
        self._nesting = nesting
        self._position = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        self._nesting.check(self._target)
        filled = 0
        with unpacking(self._target, self._what):
            while filled < len(buffer) and (data := self._file.read(len(buffer) - filled)):
                buffer[filled : filled + len(data)] = data
                filled += len(data)
        self._position += filled
        self._nesting.count(self._target, self._position)
        return filled

    def close(self) -> None:
        if not self.closed:
            self._file.close()
            if self._below is not None:
                self._below.close()
        super().close()


_DAMAGE = (
    *(OSError, EOFError, MemoryError, pa.ArrowException, zlib.error, lzma.LZMAError),
    *(zipfile.BadZipFile, tarfile.TarError, struct.error, ValueError, OverflowError, IndexError),
)


@contextmanager
def unpacking(target: str, what: str) -> Iterator[None]:
    """Turn every error of a decompressor into a ReadError in words of our own: theirs quote names."""
    try:
        yield
    except NotImplementedError:
        raise ReadError(target, f"packed by a method that pii-guard does not know ({what})") from None
    except OSError as error:
        reason = os_reason(error) if error.errno is not None else f"damaged or cut off ({what})"
        raise ReadError(target, reason) from None
    except _DAMAGE:
        raise ReadError(target, f"damaged or cut off ({what})") from None
