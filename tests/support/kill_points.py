"""Run a command once for each step that it does on the disk, and kill it with SIGKILL right before that step.

`python kill_points.py ORIGINAL PLACES ARGUMENT...` copies the folder ORIGINAL to PLACES/1, PLACES/2, ... and in each of
them runs `pii-guard ARGUMENT...` in a process of its own, up to the first one that runs to its end.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

STEPS = ("mkdir", "open", "fsync", "rename", "replace", "unlink", "rmdir", "ftruncate")
"""Functions of os; to open a file is a step because it may make one."""


def _killed_before(number: int) -> None:
    """Let this process die before step `number`, counted from 1."""
    left = number

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        return step

    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))


def _command(number: int, arguments: list[str]) -> NoReturn:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    _killed_before(number)
    from pii_guard.cli import main

    main(arguments)


def main() -> None:
    original, places, arguments = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    import pii_guard.cli.keys  # noqa: F401 - imported once, before the forks

    for number in range(1, 500):
        place = places / str(number)
        shutil.copytree(original, place, symlinks=True)
        child = os.fork()
        if child == 0:
            os.chdir(place)
            _command(number, arguments)
        status = os.waitpid(child, 0)[1]
        if os.WIFEXITED(status):
            sys.exit(os.WEXITSTATUS(status))
    sys.exit("too many steps")


if __name__ == "__main__":
    main()
