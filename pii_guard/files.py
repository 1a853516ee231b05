"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

__all__ = ["replacing", "sync_directory"]


@contextmanager
def replacing(
    path: Path,
    *,
    mode: int | None = None,
    temporary: Path | None = None,
    before: Callable[[], None] | None = None,
    keep_owner: bool = False,
) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block ends well, on disk before this returns; else it is gone.

    A link stays a link. `mode` is that of the present file, or what the umask leaves, unless given. `temporary` is a
    file beside `path`: by default one of a name that nobody else has; give one where a lock makes the name safe, so
    that what a crash left there is overwritten. `before` is called right before the replacement. `keep_owner`: the new
    file belongs to the account and group of the present one. Raises OSError.
    """
    path = path.resolve()
    if mode is None and path.exists():
        mode = path.stat().st_mode & 0o7777
    if temporary is None:
        temporary = path.with_name(f".{path.name[:64]}.{secrets.token_hex(8)}.tmp")
    else:
        temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), mode)
            if keep_owner and hasattr(os, "fchown"):
                present = path.stat()
                if (present.st_uid, present.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(file.fileno(), present.st_uid, present.st_gid)
                    os.fchmod(file.fileno(), present.st_mode & 0o7777)  # to give a file away takes set-id bits off
            yield file
            file.flush()
            os.fsync(file.fileno())
        if before is not None:
            before()
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    with suppress(OSError):  # some network file systems cannot; the file itself is complete and in place
        sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` durable. Nothing to do on Windows, which cannot open a directory."""
    if sys.platform != "win32":
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
