"""What commands have in common on the way out: messages on stderr, results on stdout or in a file, progress."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pii_guard.errors import TargetError, WriteError
from pii_guard.files import replacing
from pii_guard.naming import safe_text
from pii_guard.render import escape
from pii_guard.scanner import Progress

__all__ = ["announce", "append", "counting", "emit", "emit_parts", "say", "terminal_width", "watching"]


def say(line: str) -> None:
    """One line on stderr, without personal values and without control characters."""
    print(f"pii-guard: {_shown(line)}", file=sys.stderr)


def announce(line: str) -> None:
    """The same on stdout, for what was done."""
    emit(_shown(line) + "\n")


def _shown(line: str) -> str:
    return escape.terminal(safe_text(line))


def terminal_width() -> int:
    return shutil.get_terminal_size((100, 24)).columns


def emit(text: str, output: Path | None = None) -> None:
    """Write a result to stdout, or to a file that appears whole or not at all. `text` is safe to show."""
    emit_parts([text], output)


def emit_parts(parts: Iterable[str], output: Path | None = None) -> None:
    """The same of a result that comes bit by bit; no more of it is asked for when nobody reads stdout any more."""
    data = (part.encode("utf-8", "backslashreplace") for part in parts)
    if output is None:
        _to_stdout(data)
        return
    if not output.parent.is_dir():
        raise TargetError(f"{output.parent}: no such directory; make it first")
    try:
        if output.exists() and not output.is_file():  # a device or a pipe: /dev/null must stay what it is
            with output.open("wb") as file:
                file.writelines(data)
        else:
            with replacing(output) as file:
                file.writelines(data)
    except OSError as error:
        raise WriteError(f"{output}: cannot be written: {error.strerror}") from None


def append(text: str, output: Path) -> None:
    """Write a result behind what a file holds already, in one go. `text` is safe to show."""
    try:
        with output.open("ab") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise WriteError(f"{output}: cannot be written: {error.strerror}") from None


def _to_stdout(data: Iterable[bytes]) -> None:
    if sys.stdout is None:  # `>&-`
        raise WriteError("the output could not be written: stdout is closed")
    try:
        sys.stdout.buffer.writelines(data)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head`: the reader has seen enough, and the exit code still says what was found
        _discard_stdout()
    except OSError as error:
        _discard_stdout()
        raise WriteError(f"the output could not be written: {error.strerror}") from None


def _discard_stdout() -> None:
    """Send what is left for stdout nowhere: the interpreter would try to write it again on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def counting(what: str, total: int, quiet: bool) -> Iterator[Callable[[int], None] | None]:
    """A progress line that counts up to `total` on a terminal; None in a pipe, with --quiet, or for nothing to do."""
    if quiet or not total or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)


@contextlib.contextmanager
def watching(quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A progress line with rate and time left on a terminal; None in a pipe or with --quiet."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        source = ""

        def show(progress: Progress) -> None:
            nonlocal source
            if progress.source != source:
                source = progress.source
                bar.reset(task, total=progress.size, description=escape.terminal(source)[-40:])
            bar.update(task, completed=progress.position)

        yield show
