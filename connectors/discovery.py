"""From what a user names to sources: a file, or all files of a directory."""

from __future__ import annotations

import difflib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path, PurePath

from pii_guard.connectors.base import OutOfScope, Source, os_reason, shown_path
from pii_guard.connectors.formats import Unreadable, identify
from pii_guard.connectors.ignore import IGNORE_FILE, LEFT_OUT, IgnoreFile, ignore_files_above, left_out
from pii_guard.errors import ReadError, TargetError
from pii_guard.model import NotExamined

__all__ = ["discover", "open"]

_OWN_FILES = frozenset({"pii-guard.toml", "pii-guard.tags.toml", "access.jsonl", IGNORE_FILE})
_KEYRING = "keyring.json"


def discover(target: str, *, exclude: Sequence[str] = ()) -> Iterator[Source | NotExamined | OutOfScope]:
    """What `target` holds: one source for a file, the sources below it for a directory, in the order of their names.

    Hidden directories, links to directories, pictures and programs, the files of pii-guard itself, what a
    `.pii-guardignore` leaves out, and whatever matches a pattern of `exclude` (shell wildcards, against the path below
    `target` and against the name) are out of scope. A file that cannot be opened, or a document that no connector
    reads, is not examined; the walk goes on.
    Raises TargetError if there is no such file or directory, or for a URL of an unknown scheme; the walk raises
    UsageError for a `.pii-guardignore` that cannot be read.
    """
    path = _existing(target)
    return _walk(path, tuple(exclude))


def open(target: str) -> Source:
    """The source for one file. Raises TargetError if it does not exist or is no file, ReadError if it is unreadable."""
    path = _existing(target)
    if os.path.isdir(path):
        raise TargetError(f"{target}: is a directory; name a file in it")
    found = _source(path)
    if isinstance(found, Source):
        return found
    raise ReadError(found.source, found.reason)


def _existing(target: str) -> Path:
    scheme = re.match(r"([A-Za-z][\w+.-]*)://", target)
    if scheme:
        raise TargetError(f"{scheme[1]}://: no connector for this scheme; known are files and directories")
    path = Path(target)
    try:
        path.stat()
    except FileNotFoundError:
        raise TargetError(f"{shown_path(path)}: no such file or directory{_similar(path)}") from None
    except OSError:
        pass  # it exists; opening it says what is wrong
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


def _source(path: Path, explicit: bool = True) -> Source | NotExamined | OutOfScope:
    shown = shown_path(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            return NotExamined(shown, "not a regular file") if explicit else OutOfScope(shown, "not a regular file")
        format = identify(path)
    except OSError as error:
        return NotExamined(shown, os_reason(error))
    if isinstance(format, Unreadable):
        named = explicit or format.in_scope
        return NotExamined(shown, format.reason) if named else OutOfScope(shown, format.reason)
    return format.load()(path, shown)


def _walk(root: Path, exclude: tuple[str, ...]) -> Iterator[Source | NotExamined | OutOfScope]:
    if not os.path.isdir(root):
        yield _source(root)
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
            yield _source(path, explicit=False)


def _left_out(path: Path, below: PurePath, exclude: tuple[str, ...]) -> str | None:
    if any(fnmatch(below.as_posix(), pattern) or fnmatch(path.name, pattern) for pattern in exclude):
        return "excluded"
    if path.name in _OWN_FILES:
        return "a file of pii-guard"
    if os.path.isdir(path):
        if os.path.islink(path):
            return "a link to a directory"
        if path.name.startswith("."):
            return "a hidden directory"
    return None
