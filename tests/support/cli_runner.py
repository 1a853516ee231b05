"""Run the command line: in this process (`run`), in one of its own (`spawn`), or on a terminal (`on_terminal`)."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from pii_guard.cli import main

COMMAND = [sys.executable, "-m", "pii_guard"]
EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without what would change the output; 100 columns wide."""
    unwanted = ("PII_GUARD_", "NO_COLOR", "FORCE_COLOR", "TTY_", "PYTHONUTF8", "PYTHONIOENCODING")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    return {**kept, "COLUMNS": "100", "TERM": "xterm-256color", **(extra or {})}


def run(
    *arguments: str | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Result:
    """Run `pii-guard ARGUMENTS` in this process. Its output must be valid UTF-8."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="\n", write_through=True) for _ in range(2))
    with (
        mock.patch.dict(os.environ, environment(env), clear=True),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin))),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        contextlib.chdir(cwd or Path.cwd()),
    ):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
    assert isinstance(code, int)
    return Result(code, *(stream.buffer.getvalue().decode() for stream in (out, err)))


def spawn(*arguments: str | Path, env: Mapping[str, str] | None = None, **options: Any) -> Result:
    """Run `pii-guard ARGUMENTS` in a process of its own; `options` are those of `subprocess.run`."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **options}
    done = subprocess.run([*COMMAND, *arguments], env=environment(env), timeout=60, check=False, **options)
    return Result(done.returncode, *((stream or b"").decode() for stream in (done.stdout, done.stderr)))


def on_terminal(*arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Result:
    """The same with stdout and stderr on one terminal; what it shows is `stdout` of the result."""
    outer, inner = pty.openpty()
    process = subprocess.Popen([*COMMAND, *arguments], env=environment(env), cwd=cwd, stdout=inner, stderr=inner)
    os.close(inner)
    shown = b""
    with contextlib.suppress(OSError):  # EIO: the other side was closed
        while part := os.read(outer, 1 << 16):
            shown += part
    os.close(outer)
    return Result(process.wait(60), shown.decode().replace("\r\n", "\n"), "")
