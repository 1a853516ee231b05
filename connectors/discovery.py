"""From what a user names to sources: a file, or all files of a directory."""

from __future__ import annotations

import difflib
import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath, PurePosixPath

from pii_guard.connectors.base import FileSource, OutOfScope, os_reason, reading
from pii_guard.connectors.contents import EXCLUDED, Found, excluded, sources_in
from pii_guard.connectors.database_url import database_of, nearly_url, shown_target
from pii_guard.connectors.formats import Container, Unreadable, identify
from pii_guard.connectors.ignore import IGNORE_FILE, LEFT_OUT, IgnoreFile, ignore_files_above, left_out
from pii_guard.connectors.nesting import Nesting
from pii_guard.connectors.partitions import joined
from pii_guard.connectors.resource import LocalFile, Resource, shown_path, standard_input
from pii_guard.connectors.selection import Selection
from pii_guard.errors import ReadError, TargetError, UsageError
from pii_guard.reports import NotExamined

__all__ = ["STANDARD_INPUT", "discover", "open"]

STANDARD_INPUT = "-"

_URL = re.compile(r"[A-Za-z][\w+.-]+://")

_OWN_FILES = frozenset(
    {"pii-guard.toml", "pii-guard.tags.toml", "access.jsonl", ".pii-guard-baseline.json", IGNORE_FILE}
)
_KEYRING = "keyring.json"
_NOT_REGULAR = "not a regular file"


def discover(
    target: str, *, exclude: Sequence[str] = (), selection: Selection | None = None, password: str | None = None
) -> Iterator[Found]:
    """What `target` holds: the source of a file, those in an archive, those below a directory, in order of their names.

    `-` is standard input; a URL is a database (`pii_guard.connectors.database`), of which `selection` chooses tables
    and for which `password` is, or a place in an object store (`pii_guard.connectors.remote`). Hidden directories,
    links to directories, pictures and programs, the files of pii-guard itself, what a `.pii-guardignore` leaves out
    and whatever matches a pattern of `exclude` (shell wildcards, against the path below `target` or in the archive and
    against the name) are out of scope. A file that cannot be opened, or a document that no connector reads, is not
    examined; the walk goes on.
    A source that does not stand in a file of its own can be read until the next one is asked for.
    Raises TargetError if there is no such file or directory, or for a URL of an unknown scheme; the walk raises
    UsageError for a `.pii-guardignore` that cannot be read.
    """
    database = database_of(target)
    if database is not None:
        from pii_guard.connectors.database import discover_database  # libraries of databases, for those alone

        if exclude:
            raise UsageError("--exclude is for files; --exclude-table leaves out tables of databases")
        return discover_database(target, database, selection or Selection(), password)
    if password is not None:
        raise UsageError("--password-file is for URLs of databases alone")
    if selection is not None and selection.narrows:
        raise UsageError("options that choose tables, and --query, are for URLs of databases alone")
    if target == STANDARD_INPUT:
        return sources_in(standard_input(), exclude)
    if _URL.match(target):
        from pii_guard.connectors.remote import discover_remote  # libraries of object stores, for those alone

        return discover_remote(target, exclude)
    return _walk(_existing(target), tuple(exclude))


def open(target: str) -> FileSource:
    """The source for one file, compressed or not.

    Raises TargetError if it does not exist, is no file or an archive, ReadError if it is unreadable.
    """
    resource = _resource(target)
    with reading(resource.target):
        nesting = Nesting.of(resource.size)
        format = identify(resource)
        while isinstance(format, Container) and format.single:
            nesting = nesting.deeper(resource.target)
            (resource,) = format.load()(resource, nesting)
            format = identify(resource)
    if isinstance(format, Container):
        raise TargetError(f"{resource.target}: is an archive; unpack it and name a file")
    if isinstance(format, Unreadable):
        raise ReadError(resource.target, format.reason)
    return format.load()(resource)


def _resource(target: str) -> Resource:
    if database_of(target) is not None:
        raise TargetError(f"{shown_target(target)}: is a database, which is scanned, checked and tagged; name a file")
    if _URL.match(target):
        from pii_guard.connectors.remote import open_remote

        return open_remote(target)
    path = _existing(target)
    if os.path.isdir(path):
        raise TargetError(f"{target}: is a directory; name a file in it")
    resource = LocalFile(path)
    with reading(resource.target):
        if not stat.S_ISREG(path.stat().st_mode):
            raise ReadError(resource.target, _NOT_REGULAR)
    return resource


def _existing(target: str) -> Path:
    if not target:  # as a variable that is not set gives it; Path would read the working directory
        raise TargetError("a target is empty; . is the working directory")
    path = Path(target)
    try:
        path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            raise TargetError(f"{shown_path(path)}: a symbolic link that leads nowhere") from None
        if begun := nearly_url(target):
            raise TargetError(
                f"{begun} ... is neither a file nor the URL of a database; these are written "
                "postgresql://HOST/DATABASE, mysql://HOST/DATABASE, sqlite:///PATH, duckdb:///PATH"
            ) from None
        raise TargetError(f"{shown_path(path)}: no such file or directory{_similar(path)}") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise TargetError(f"{shown_path(path)}: a symbolic link that leads nowhere") from None
        # else it exists, and opening it says what is wrong
    except ValueError:
        raise TargetError("the target is no path: it has a NUL character") from None
    return path


def _similar(path: Path) -> str:
    try:
        names = os.listdir(path.parent)
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {shown_path(path.parent / close[0])}?" if close else ""


def _file(path: Path, exclude: Sequence[str], *, explicit: bool) -> Iterator[Found]:
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        yield NotExamined(shown_path(path), os_reason(error))
        return
    if regular:
        yield from sources_in(LocalFile(path), exclude, explicit=explicit)
    else:  # opening a pipe would wait for ever
        yield (NotExamined if explicit else OutOfScope)(shown_path(path), _NOT_REGULAR)


def _walk(root: Path, exclude: tuple[str, ...]) -> Iterator[Found]:
    if not os.path.isdir(root):
        yield from _file(root, exclude, explicit=True)
        return
    absolute = root.resolve()
    stack: list[tuple[Path, tuple[IgnoreFile, ...]]] = [(root, ignore_files_above(absolute))]
    while stack:
        path, ignored = stack.pop()
        below = path.relative_to(root)
        reason = None if path == root else _left_out(path, below, exclude)
        if reason:
            yield OutOfScope(shown_path(path), reason)
        elif path != root and left_out(absolute / below, ignored, directory=os.path.isdir(path)):
            yield OutOfScope(shown_path(path), LEFT_OUT)
        elif os.path.isdir(path):  # Path.is_dir would raise where a parent is locked
            try:
                names = sorted(os.listdir(path), reverse=True)
            except OSError as error:
                yield NotExamined(shown_path(path), os_reason(error))
                continue
            if _KEYRING in names:
                yield OutOfScope(shown_path(path), "a key directory of pii-guard")
                continue
            if IGNORE_FILE in names:
                ignored = (*ignored, IgnoreFile(absolute / below))
            stack += [(path / name, ignored) for name in names]
        else:
            yield from joined(_file(path, exclude, explicit=False), shown_path(root), PurePosixPath(below.as_posix()))


def _left_out(path: Path, below: PurePath, exclude: tuple[str, ...]) -> str | None:
    if excluded(below.as_posix(), exclude):
        return EXCLUDED
    if path.name in _OWN_FILES:
        return "a file of pii-guard"
    if os.path.isdir(path):
        if os.path.islink(path):
            return "a link to a directory"
        if path.name.startswith("."):
            return "a hidden directory"
    return None
