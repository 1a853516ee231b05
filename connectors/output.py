"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from pii_guard.connectors.base import os_reason
from pii_guard.connectors.formats import FORMATS, Format, format_for_suffix
from pii_guard.errors import PiiGuardError, TargetError, UsageError, WriteError

__all__ = ["check_target", "write"]


def write(reader: pa.RecordBatchReader, target: str, *, overwrite: bool = False) -> int:
    """Write all rows of `reader` to the file `target`, in the format of its suffix; return their number.

    The rows go to a temporary file in the same directory, which takes the place of `target` when it is complete and on
    disk. Whatever happens before that, Ctrl-C and errors of `reader` included, leaves what stood there untouched.
    Raises UsageError for an unknown suffix or a column that the format cannot hold, TargetError if `target` exists (and
    not `overwrite`) or has no directory, WriteError if the file cannot be written.
    """
    format = check_target(target, overwrite=overwrite)
    path = Path(target)
    try:
        with _replacing(path.resolve(), target, overwrite) as file:
            return format.load().write(reader, file, path.suffix.lower())
    except OSError as error:
        reason = os_reason(error)
    except PiiGuardError:
        raise
    except (pa.ArrowException, ValueError, MemoryError) as error:
        reason = f"the rows could not be written ({type(error).__name__})"
    raise WriteError(f"{target}: {reason}; nothing was written") from None


def check_target(target: str, *, overwrite: bool = False) -> Format:
    """Whether `write` would take `target`, so that it can be known before any work is done. The format of its suffix.

    Raises UsageError and TargetError as `write` does.
    """
    path = Path(target)
    format = format_for_suffix(path.suffix)
    if format is None:
        known = ", ".join(suffix for each in FORMATS if each.load().capabilities.writable for suffix in each.suffixes)
        raise UsageError(f"{target}: the suffix says no format that can be written; known are {known}")
    if os.path.isdir(path):
        raise TargetError(f"{target}: is a directory; name a file")
    if not os.path.isdir(path.parent):
        raise TargetError(f"{target}: its directory does not exist")
    if os.path.exists(path) and not overwrite:
        raise TargetError(f"{target}: exists already; use --overwrite to replace it")
    return format


@contextmanager
def _replacing(path: Path, target: str, overwrite: bool) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block ends well, with its permissions; else it is removed."""
    temporary = path.with_name(f".pii-guard-{secrets.token_hex(8)}.tmp")
    mode = path.stat().st_mode & 0o777 if os.path.exists(path) else None
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        if not overwrite and os.path.exists(path):
            raise TargetError(f"{target}: was made by somebody else meanwhile; use --overwrite to replace it")
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems cannot; the file itself is complete and in place
            os.fsync(directory)
    finally:
        os.close(directory)
