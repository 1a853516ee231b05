"""`.pii-guardignore`: what is left out of a walk, in patterns as `.gitignore` has them.

A file holds for its folder and all below; the nearest one that says anything of a path decides. Files above the target
hold too, unless they leave out the target itself: what is named is examined.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

from pathspec import GitIgnoreSpec

from pii_guard.connectors.base import os_reason
from pii_guard.connectors.resource import shown_path
from pii_guard.errors import UsageError

__all__ = ["IGNORE_FILE", "LEFT_OUT", "IgnoreFile", "ignore_files_above", "left_out"]

IGNORE_FILE = ".pii-guardignore"
LEFT_OUT = f"left out by {IGNORE_FILE}"
"""The reason why such a path is out of scope."""


class IgnoreFile:
    """The patterns of `folder` (absolute).

    Raises UsageError where they cannot all be read: a scan that leaves out other things than it was told is wrong.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._spec = _spec(folder / IGNORE_FILE)

    def decides(self, path: Path, *, directory: bool) -> bool | None:
        """Whether `path` (absolute, below the folder) is left out; None if no pattern speaks of it."""
        below = path.relative_to(self.folder).as_posix()
        decision: bool | None = self._spec.check_file(f"{below}/" if directory else below).include
        return decision


def left_out(path: Path, files: Sequence[IgnoreFile], *, directory: bool) -> bool:
    """Whether `path` (absolute) is left out by `files`, the nearest of which comes last."""
    decisions = (file.decides(path, directory=directory) for file in reversed(files))
    return next((decision for decision in decisions if decision is not None), False)


def ignore_files_above(target: Path) -> tuple[IgnoreFile, ...]:
    """The files in the folders above the directory `target` (absolute) that do not leave out `target` itself."""
    folders = [folder for folder in reversed(target.parents) if os.path.lexists(folder / IGNORE_FILE)]
    found = [IgnoreFile(folder) for folder in folders]
    return tuple(file for file in found if not file.decides(target, directory=True))


def _spec(path: Path) -> GitIgnoreSpec:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            raise UsageError(f"{shown_path(path)}: not a regular file; make it a text file of patterns, or remove it")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UsageError(f"{shown_path(path)}: {os_reason(error)}; make it readable, or remove it") from None
    except UnicodeDecodeError:
        raise UsageError(f"{shown_path(path)}: not UTF-8 text; save it as UTF-8") from None
    for number, line in enumerate(lines, 1):
        try:
            GitIgnoreSpec.from_lines([line])
        except (ValueError, re.error):
            raise UsageError(f"{shown_path(path)}: line {number} is no pattern; mend it, or remove it") from None
    return GitIgnoreSpec.from_lines(lines)
