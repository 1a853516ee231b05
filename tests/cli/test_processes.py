"""What only a process of its own shows: signals, full disks, closed pipes, terminals. POSIX only."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest
from cli_runner import COMMAND, Result, environment, on_terminal, run, spawn

from pii_guard.keys.keyring import Keyring

PHONE = "010-1234-5678"


def phones(path: Path, rows: int) -> None:
    path.write_text("id,phone\n" + "".join(f"{row},010-1234-{row % 10000:04}\n" for row in range(rows)), "utf-8")


def first_on_path(folder: Path) -> dict[str, str]:
    """The environment in which modules in `folder` hide those of the installation."""
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


def interrupted(arguments: list[str], folder: Path, written: int) -> Result:
    """Run a command, send it SIGINT when it has written so many bytes of its target, and wait for its end."""
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while not any(path.stat().st_size >= written for path in folder.glob(".*.tmp")):
        assert process.poll() is None, "the command ended before it could be interrupted"
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return Result(process.returncode, out.decode(), err.decode())


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".ndjson"])
def test_interrupt_of_protect(desk: Path, suffix: str) -> None:
    """Ctrl-C in the middle of writing: exit 130, one line, no target, no temporary file, what stood there stays."""
    phones(desk / "many.csv", 200_000)
    before = sorted(desk.rglob("*"))
    old = desk / f"old{suffix}"
    old.write_bytes(b"old")
    arguments = ["protect", "many.csv", "--to", old.name, "--overwrite", "--quiet"]
    result = interrupted(arguments, desk, written=1)
    assert result.code == 130
    # click ends the line on which a terminal shows ^C
    assert result.stderr.lstrip() == "pii-guard: interrupted; nothing half-written was left behind\n"
    assert old.read_bytes() == b"old"
    old.unlink()
    made = set(desk.rglob("*")) - set(before)
    secrets = set((desk / "pii-guard-keys-epochs").glob("*.secret"))  # of keys that were made before the data was read
    assert made <= {desk / "pii-guard-keys" / "keyring.lock", *secrets}


def test_interrupt_of_reveal(desk: Path) -> None:
    """Ctrl-C in the middle of opening: exit 130, no target, and the access record says that it failed."""
    phones(desk / "many.csv", 200_000)
    assert run("protect", "many.csv", "--to", "many.parquet", "--quiet", cwd=desk).code == 0
    arguments = ["reveal", "many.parquet", "--to", "back.csv", "--purpose", "delivery"]
    result = interrupted(arguments, desk, written=100_000)
    assert result.code == 130
    assert not (desk / "back.csv").exists()
    assert not list(desk.glob(".*.tmp"))
    log = (desk / "pii-guard-keys" / "access.jsonl").read_text(encoding="utf-8")
    opened, closed = map(json.loads, log.splitlines())
    assert (opened["event"], closed["event"], closed["outcome"]) == ("opened", "closed", "failed")
    assert closed["rows"] > 0


def test_interrupt_of_an_import(tmp_path: Path) -> None:
    """Ctrl-C while a library loads: exit 130 and one line, though that library is half there from then on."""
    (tmp_path / "numpy.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)", encoding="utf-8")
    result = spawn("scan", tmp_path, env=first_on_path(tmp_path))
    assert result.code == 130
    assert result.stderr.lstrip() == "pii-guard: interrupted; nothing half-written was left behind\n"


def test_disk_full(desk: Path) -> None:
    """No room for the target: exit 3, one line, no target and no temporary file; the same for a report."""
    phones(desk / "many.csv", 20_000)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    before = {path.name for path in desk.iterdir()}
    for target in ("out.parquet", "out.csv", "out.ndjson"):
        result = spawn("protect", "many.csv", "--to", target, "--quiet", cwd=desk, preexec_fn=limit)
        assert result.code == 3
        assert result.stderr == f"pii-guard: {target}: the file is larger than the system allows; nothing was written\n"
        assert {path.name for path in desk.iterdir()} == before
    (desk / "many.txt").write_text(f"{PHONE}\n" * 5000, encoding="utf-8")
    result = spawn("find", "many.txt", "--output", "hits.txt", cwd=desk, preexec_fn=limit)
    assert result.code == 3
    assert result.stderr.startswith("pii-guard: hits.txt: cannot be written: ")
    assert result.stderr.count("\n") == 1
    assert {path.name for path in desk.iterdir()} == before | {"many.txt"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("lines", [1, 5000])
def test_full_stdout(tmp_path: Path, lines: int) -> None:
    """Output that cannot be written: exit 3 and one line, whatever its length."""
    (tmp_path / "notes.txt").write_text(f"{PHONE}\n" * lines, encoding="utf-8")
    with Path("/dev/full").open("wb") as full:
        result = spawn("find", "notes.txt", cwd=tmp_path, stdout=full)
    assert (result.code, result.stderr.count("\n")) == (3, 1)
    assert result.stderr.startswith("pii-guard: the output could not be written: ")


def test_closed_pipe(tmp_path: Path) -> None:
    """A reader that goes away (`| head -1`) is no error, and the exit code still says what was found."""
    (tmp_path / "notes.txt").write_text(f"{PHONE}\n" * 2000, encoding="utf-8")
    for arguments, code in ((["find", "notes.txt"], 0), (["check", "notes.txt"], 1)):
        reader, writer = os.pipe()
        os.close(reader)
        result = spawn(*arguments, cwd=tmp_path, stdout=writer)
        os.close(writer)
        assert (result.code, result.stderr) == (code, "")


def test_stdout_that_is_closed_from_the_start(tmp_path: Path) -> None:
    """`>&-`: exit 3 and one line."""
    command = [*COMMAND, "kinds"]
    closed = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *command], cwd=tmp_path, capture_output=True, check=False
    )
    assert (closed.returncode, closed.stderr) == (3, b"pii-guard: the output could not be written: stdout is closed\n")


def test_find_shows_hits_before_it_has_read_all(tmp_path: Path) -> None:
    """A reader of the first line need not wait for the last, and no list of all hits is kept."""
    (tmp_path / "notes.txt").write_text(f"{PHONE}\n" * 3_000_000, encoding="utf-8")
    command = [*COMMAND, "find", "notes.txt", "--format", "jsonl"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith(b'{"kind": "kr_phone_mobile"')
        assert running.poll() is None
        running.stdout.close()
        assert running.wait(20) == 0, "three million hits would take minutes"


def test_terminal(tmp_path: Path) -> None:
    """On a terminal there are colours and a progress line, which is gone at the end; --quiet shows no progress."""
    phones(tmp_path / "many.csv", 100_000)
    shown = on_terminal("scan", "many.csv", cwd=tmp_path)
    assert shown.code == 0
    assert "\x1b[3" in shown.stdout
    progress, _, result = shown.stdout.rpartition("\x1b[2K")
    assert "many.csv" in progress
    assert " MB" in progress
    assert " MB" not in result
    quiet = on_terminal("scan", "many.csv", "--quiet", cwd=tmp_path)
    assert " MB" not in quiet.stdout
    assert "many.phone" in quiet.stdout


def test_no_color(tmp_path: Path) -> None:
    """NO_COLOR takes the colours away, and neither a pipe nor a file ever gets any."""
    phones(tmp_path / "few.csv", 5)
    for command in (["scan", "few.csv", "--quiet"], ["check", "few.csv", "--quiet"], ["find", "few.csv"]):
        assert "\x1b" not in on_terminal(*command, env={"NO_COLOR": "1"}, cwd=tmp_path).stdout
        assert "\x1b" not in run(*command, cwd=tmp_path).output
    assert on_terminal("scan", "few.csv", "--output", "report.txt", cwd=tmp_path).code == 0
    assert "\x1b" not in (tmp_path / "report.txt").read_text(encoding="utf-8")


def test_pipe_has_no_progress(tmp_path: Path) -> None:
    """In a pipe stderr stays empty."""
    phones(tmp_path / "many.csv", 100_000)
    assert spawn("scan", "many.csv", cwd=tmp_path).stderr == ""


def test_values_are_shown_on_a_terminal_only(tmp_path: Path) -> None:
    """--show-values shows them on a terminal; in a pipe or for a file it is refused, and nothing is shown."""
    (tmp_path / "a.csv").write_text(f"phone\n{PHONE}\n", encoding="utf-8")
    assert PHONE in on_terminal("scan", "a.csv", "--show-values", cwd=tmp_path).stdout
    assert PHONE not in on_terminal("scan", "a.csv", cwd=tmp_path).stdout
    for more in ([], ["--output", "report.txt"], ["--format", "json"]):
        result = run("scan", "a.csv", "--show-values", *more, cwd=tmp_path)
        assert (result.code, result.stdout) == (2, "")
        assert PHONE not in result.stderr
    shown = on_terminal("scan", "a.csv", "--show-values", "--format", "json", cwd=tmp_path)
    assert (shown.code, PHONE in shown.stdout) == (2, False)


def test_missing_module(tmp_path: Path) -> None:
    """A broken installation is one line too."""
    (tmp_path / "numpy.py").write_text("raise ImportError('broken', name='numpy')", encoding="utf-8")
    result = spawn("scan", tmp_path, env=first_on_path(tmp_path))
    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == "pii-guard: the module numpy is missing or broken; install pii-guard-arrow anew\n"


def test_nobody_confirms_where_there_is_no_input(tmp_path: Path) -> None:
    """Standard input that is closed, as under some schedulers, is no yes and no fault."""
    assert run("keys", "init", "--keys", "ring", cwd=tmp_path).code == 0
    Keyring.open(tmp_path / "ring").encryption_key("t.phone", "contract", ["delivery"])
    command = [*COMMAND, "keys", "destroy", "--field", "t.phone", "--keys", "ring"]
    process = subprocess.run(
        ["/bin/sh", "-c", '"$@" <&-', "sh", *command], cwd=tmp_path, env=environment(), capture_output=True, check=False
    )
    assert process.returncode == 2, process.stderr
    assert b"not confirmed; nothing was changed" in process.stderr
    assert [key.state for key in Keyring.describe(tmp_path / "ring")] == ["active"]
