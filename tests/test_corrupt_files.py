"""Broken files of every format: each is read or named in one line; no traceback, no value, no end of the process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli_runner import COMMAND, environment
from corpus import CANARY, SELF_CHECKING, make

MEMORY = 1 << 30
MEASURED = (
    "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:]).returncode; "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr); sys.exit(code)"
)
"""Runs a command and says on the last line of stderr how many KiB it, or a process of its own, had at most."""
SECONDS = 600
"""Far more than the whole corpus takes: what is caught is a scan that never ends."""


@pytest.mark.parametrize("seed", [1, 2])
def test_corpus(tmp_path: Path, seed: int) -> None:
    """One run over all of them exits 3, names what it could not read with one line each, and goes on to the end."""
    paths = make(tmp_path, seed)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *COMMAND, "scan", ".", "--format", "json"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == 3, err[-500:]
    assert "Traceback" not in err
    assert CANARY not in out + err
    report = json.loads(out)
    named = [(item["source"], item["reason"]) for item in report["not_examined"]]
    assert len(named) == len(set(named))
    assert not [text for pair in named for text in pair if "\n" in text]
    assert not [reason for _, reason in named if "internal" in reason]
    cut = {path.relative_to(tmp_path).as_posix() for path in paths if path.parent.name == "cut"}
    cut = {path for path in cut if path.endswith(tuple(SELF_CHECKING))}
    assert cut <= {source.partition("!/")[0] for source, _ in named}
    assert len(cut) > 15
    peak = int(err.splitlines()[-1]) * 1024
    assert peak < MEMORY, f"{peak >> 20} MB"
