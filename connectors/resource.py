"""Bytes with a name, wherever they are: a file, standard input, what a compressed file or an archive holds.

A connector reads a `Resource` and asks it for no more than it needs: `open` for bytes from the start on,
`open_seekable` where the format is read from its end or in leaps. What cannot seek by itself is copied for that, into
memory or, beyond `SPOOL_MEMORY` bytes, into a temporary file without a name, of which a killed process leaves nothing.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path, PurePath, PurePosixPath
from typing import IO, BinaryIO, cast

from pii_guard.errors import ReadError

__all__ = [
    "HEAD",
    "SEPARATOR",
    "SPOOL_MEMORY",
    "LocalFile",
    "Resource",
    "StreamedResource",
    "shown_path",
    "standard_input",
]

HEAD = 64 << 10
"""Bytes that `Resource.head` gives at most: what formats are told by."""

SPOOL_MEMORY = 8 << 20

SEPARATOR = "!/"
"""Between the name of an archive and that of its member, as in JAR URLs."""


class Resource(ABC):
    """Bytes that can be read from their start, once or as often as `open` is called (see the subclasses)."""

    target: str
    """What it is called in reports and errors."""
    name: str
    """The name of the file, without folders and without the suffix of a compression that was undone."""
    identity: str
    """Equal for two names of the same bytes."""
    path: Path | None = None
    """Where it is, if it is a file of its own on this machine."""
    lasting: bool = False
    """Whether it can be read at any time, and not only until the walk goes on."""

    @property
    def suffix(self) -> str:
        """The last suffix of the name in lower case, with its dot; empty if there is none."""
        return PurePosixPath(self.name).suffix.lower()

    @property
    def stem(self) -> str:
        """The name without its last suffix."""
        return PurePosixPath(self.name).stem

    @property
    @abstractmethod
    def size(self) -> int | None:
        """Bytes, where known before reading. Raises OSError for a file that is gone."""

    @abstractmethod
    def head(self) -> bytes:
        """The first bytes, HEAD at most. Raises OSError or ReadError."""

    @abstractmethod
    def open(self) -> BinaryIO:
        """All bytes from the start. Raises OSError or ReadError, here or while reading."""

    @abstractmethod
    def open_seekable(self) -> BinaryIO:
        """The same as a file that can seek."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what reading took; the bytes may be out of reach after that."""


class LocalFile(Resource):
    """A file on this machine. It can be opened as often as it is there."""

    lasting = True

    def __init__(self, path: Path, target: str | None = None) -> None:
        self.path: Path = path
        self.target = shown_path(path) if target is None else target
        self.name = shown_path(PurePath(path.name))

    @property
    def identity(self) -> str:  # type: ignore[override]
        return os.path.realpath(self.path)

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    def head(self) -> bytes:
        with self.open() as file:
            return file.read(HEAD)

    def open(self) -> BinaryIO:
        return self.path.open("rb")

    def open_seekable(self) -> BinaryIO:
        return self.open()

    def close(self) -> None:
        """Nothing is kept between two readings."""


class StreamedResource(Resource):
    """Bytes that `source` opens. If it can do so only `once`, a second reading is a ReadError."""

    def __init__(
        self,
        target: str,
        name: str,
        identity: str,
        source: Callable[[], io.RawIOBase],
        *,
        size: int | None = None,
        once: bool = False,
    ) -> None:
        self.target = target
        self.name = name
        self.identity = identity
        self._source = source
        self._size = size
        self._once = once
        self._opened = False
        self._begun: io.BufferedReader | None = None
        self._copy: IO[bytes] | None = None
        self._release: Callable[[], object] | None = None

    @property
    def size(self) -> int | None:
        return self._size

    def head(self) -> bytes:
        if self._copy is not None:
            with self.open_seekable() as file:
                return file.read(HEAD)
        if self._begun is None:
            self._begun = self._fresh()
        return self._begun.peek(HEAD)[:HEAD]

    def open(self) -> BinaryIO:
        if self._copy is not None:
            return self.open_seekable()
        file, self._begun = self._begun or self._fresh(), None
        return cast(BinaryIO, file)

    def open_seekable(self) -> BinaryIO:
        if self._copy is None:
            copy = cast(IO[bytes], tempfile.SpooledTemporaryFile(SPOOL_MEMORY))  # noqa: SIM115 - closed with this
            release = weakref.finalize(self, copy.close)  # also when nobody closes this resource
            with self.open() as file:
                shutil.copyfileobj(file, copy, 1 << 20)
            self._copy, self._release = copy, release
        return cast(BinaryIO, io.BufferedReader(_View(self._copy)))

    def close(self) -> None:
        if self._begun is not None:
            self._begun.close()
        if self._release is not None:
            self._release()

    def _fresh(self) -> io.BufferedReader:
        if self._once and self._opened:
            raise ReadError(self.target, "it can be read only once; write it to a file first")
        self._opened = True
        return io.BufferedReader(self._source(), HEAD)


class _View(io.RawIOBase):
    """A file of its own position over a file that several read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._file.seek(self._position)
        self._position = self._file.seek(offset, whence)
        return self._position

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        self._file.seek(self._position)
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


class _Unowned(io.RawIOBase):
    """What `file` gives; closing this leaves `file` open."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._position = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def standard_input() -> StreamedResource:
    """Standard input, as `-`; its table is called `stdin`."""
    return StreamedResource("-", "stdin", "-", lambda: _Unowned(sys.stdin.buffer), once=True)


def shown_path(path: PurePath) -> str:
    """A path for reports; bytes of its name that are not UTF-8 are escaped."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")
