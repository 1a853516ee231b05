"""Writing a file, or a table of a database, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from pii_guard.batches import ArrowData, normalise
from pii_guard.connectors.base import os_reason
from pii_guard.connectors.database_url import Mode, database_of, shown_target
from pii_guard.connectors.formats import FORMATS, Format, format_for_suffix
from pii_guard.connectors.style import Style
from pii_guard.errors import PiiGuardError, TargetError, UsageError, WriteError
from pii_guard.files import replacing

__all__ = ["check_target", "write"]


def write(
    data: ArrowData,
    target: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    private: bool = False,
    style: Style | None = None,
    keep_owner: bool = False,
    before: Callable[[], None] | None = None,
    table: str | None = None,
    schema: str | None = None,
    mode: Mode = "create",
    password: str | None = None,
) -> int:
    """Write all rows of `data` to the file `target`, in the format of its suffix, or into a table of the database that
    the URL `target` names; return their number.

    `data` is anything that `pii_guard.batches.normalise` takes; a RecordBatchReader is written as it is.

    The rows go to a temporary file in the same directory, which takes the place of `target` when it is complete and on
    disk. Whatever happens before that, Ctrl-C and errors of `data` included, leaves what stood there untouched.
    A new file that is `private` can be read by its owner alone. `style` is that of another file of the format
    (`Table.style`). `keep_owner`: the file goes on belonging to whom it belonged. `before` is called right
    before the file appears, and stops it by raising. All of these are for files.

    Into a database, everything is written in one transaction, or nothing (docs/pipelines.md): `mode` makes a `table` in
    `schema` ("create"), adds to one ("append"), deletes its rows and adds the new ones ("replace"), or puts a new table
    of the same definition in its place ("swap"). Columns go by name; each value becomes what the column keeps without
    loss, or is refused. `password` is for a URL of a server without one.
    Raises UsageError for an unknown suffix or a column that the format cannot hold, TargetError if `target` exists (and
    not `overwrite`) or has no directory, WriteError if the file cannot be written.
    """
    target = os.fspath(target)
    if database_of(target) is not None:
        from pii_guard.connectors.streams import write_table  # libraries of databases, for those alone

        if overwrite or private or keep_owner or style is not None or before is not None:
            raise UsageError(f"{shown_target(target)}: is a database; overwrite, private and the like are for files")
        return write_table(data, target, table=table, schema=schema, mode=mode, password=password)
    if table is not None or schema is not None or mode != "create" or password is not None:
        raise UsageError(f"{shown_target(target)}: is a file; table, schema, mode and password are for databases")
    format = check_target(target, overwrite=overwrite)
    path, reader = Path(target), data if isinstance(data, pa.RecordBatchReader) else normalise(data)
    try:
        permissions = 0o600 if private and not path.exists() else None

        def last_look() -> None:
            _still_free(path, target, overwrite)
            if before is not None:
                before()

        with replacing(path, mode=permissions, before=last_look, keep_owner=keep_owner) as file:
            return format.load().write(reader, file, path.suffix.lower(), style or Style())
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
    if "://" in target:
        raise UsageError(f"{shown_target(target)}: is a URL; name a file on this machine")
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


def _still_free(path: Path, target: str, overwrite: bool) -> None:
    if not overwrite and os.path.exists(path):
        raise TargetError(f"{target}: was made by somebody else meanwhile; use --overwrite to replace it")
