"""Private files that survive a crash: owner-only modes, durable replacement, a lock between processes."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pii_guard.errors import KeyringError
from pii_guard.files import replacing

__all__ = ["check_private", "locked", "read_private", "replacing_durably", "write_durably"]

PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700

if sys.platform == "win32":
    import msvcrt

    def _acquire(descriptor: int, wait: bool) -> None:
        msvcrt.locking(
            descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1
        )  # tries for 10 seconds, then raises OSError

else:
    import fcntl

    def _acquire(descriptor: int, wait: bool) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock file `path` (made if missing, never removed) against other processes. Raises OSError; without
    `wait`, EAGAIN or EACCES where another process holds it.

    The system releases the lock when the file is closed, also after kill -9. On POSIX it is `flock`, which some
    network file systems ignore. On Windows it is a lock on the first byte, and waiting for it ends after 10 seconds.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), PRIVATE_FILE)
    try:
        _acquire(descriptor, wait)
        yield
    finally:
        os.close(descriptor)


def write_durably(path: Path, content: bytes) -> None:
    """Replace `path` by `content`, all or nothing, on disk before this returns. Raises OSError.

    One temporary name per file: call it under the lock of that file. What a crash leaves there is overwritten.
    """
    with replacing_durably(path) as file:
        file.write(content)


def replacing_durably(path: Path) -> contextlib.AbstractContextManager[BinaryIO]:
    """A private file that takes the place of `path` when the block ends well. As `write_durably`, and raises alike."""
    return replacing(path, mode=PRIVATE_FILE, temporary=path.with_name(path.name + ".tmp"))


def check_private(path: Path, status: os.stat_result) -> None:
    """Raise KeyringError if anybody but the caller owns or can open `path`. Windows has no such modes: not checked."""
    if sys.platform == "win32":
        return
    if status.st_uid != os.geteuid():
        raise KeyringError(f"{path}: belongs to user {status.st_uid}, not to you; use a key directory of your own")
    if stat.S_IMODE(status.st_mode) & 0o077:
        mode = PRIVATE_DIRECTORY if stat.S_ISDIR(status.st_mode) else PRIVATE_FILE
        raise KeyringError(f"{path}: other users can open it; run `chmod {mode:o} {path}`")


def read_private(path: Path) -> bytes:
    """The content of a file that nobody else can open. Raises OSError, and KeyringError as `check_private`."""
    with path.open("rb") as file:
        check_private(path, os.fstat(file.fileno()))
        return file.read()
