"""`protect --in-place`: the protected table takes the place of the plain one, whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_runner import COMMAND, environment, run

ROWS = "phone,grade\r\n010-0000-0001,VIP\r\n010-0000-0002,\r\n"


def plain(folder: Path) -> Path:
    path = folder / "customers.csv"
    path.write_bytes(ROWS.encode("cp949"))
    return path


def test_the_file_keeps_its_place_mode_and_manner(desk: Path) -> None:
    """Name, mode, line ends and the columns that stay are as before; a second run changes nothing that matters."""
    path = plain(desk)
    path.chmod(0o640)
    result = run("protect", path.name, "--in-place", cwd=desk)
    assert (result.code, "wrote 2 rows to customers.csv" in result.stdout) == (0, True)
    assert "may survive" in result.stderr
    assert path.stat().st_mode & 0o777 == 0o640
    lines = path.read_bytes().split(b"\r\n")
    assert lines[0] == b'"phone","grade"'
    assert lines[1].startswith(b'"pgd1')
    assert lines[1].endswith(b',"VIP"')
    assert run("check", path.name, cwd=desk).code == 0
    assert run("protect", path.name, "--in-place", cwd=desk).code == 0
    assert path.read_bytes().split(b"\r\n") == lines
    revealed = run("reveal", path.name, "--to", "out.csv", "--purpose", "delivery", cwd=desk)
    assert revealed.code == 0
    assert (desk / "out.csv").read_text() == '"phone","grade"\n"010-0000-0001","VIP"\n"010-0000-0002",""\n'


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_file_keeps_its_owner(desk: Path) -> None:
    """A file of another account stays theirs."""
    path = plain(desk)
    os.chown(path, 1234, 2345)
    assert run("protect", path.name, "--in-place", cwd=desk).code == 0
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one of --to TARGET and --in-place"),
        (["--in-place", "--to", "x.csv"], "give one of --to TARGET and --in-place"),
    ],
)
def test_one_target(desk: Path, arguments: list[str], message: str) -> None:
    """Either another file or the same one."""
    path = plain(desk)
    result = run("protect", path.name, *arguments, cwd=desk)
    assert (result.code, result.stdout) == (2, "")
    assert message in result.stderr
    assert path.read_bytes() == ROWS.encode()


def test_what_would_leave_plain_values_is_refused(desk: Path) -> None:
    """A hard link, and a suffix that lies about the format."""
    path = plain(desk)
    (desk / "other.csv").hardlink_to(path)
    result = run("protect", path.name, "--in-place", cwd=desk)
    assert (result.code, "has another name (a hard link)" in result.stderr) == (2, True)
    assert path.read_bytes() == ROWS.encode()
    pq.write_table(pa.table({"phone": ["010-0000-0001"]}), desk / "lie.csv")
    result = run("protect", "lie.csv", "--in-place", cwd=desk)
    assert (result.code, "is of the format parquet under a suffix of csv" in result.stderr) == (2, True)


def test_a_dry_run_changes_nothing(desk: Path) -> None:
    """The plan is shown, the file stays."""
    path = plain(desk)
    result = run("protect", path.name, "--in-place", "--dry-run", cwd=desk)
    assert (result.code, "encrypt" in result.stdout) == (0, True)
    assert path.read_bytes() == ROWS.encode()


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.1, 0.2, 0.4])
def test_a_killed_run_leaves_the_old_file_or_the_new_one(desk: Path, delay: float) -> None:
    """kill -9 at any moment: all plain or all protected, and running it again finishes it."""
    path = desk / "customers.csv"
    path.write_text("phone\n" + "".join(f"010-{n // 10000:04}-{n % 10000:04}\n" for n in range(200_000)))
    before = path.read_bytes()
    process = subprocess.Popen(
        [*COMMAND, "protect", path.name, "--in-place", "--quiet"],
        cwd=desk,
        env=environment(),
        stdout=subprocess.DEVNULL,
    )
    while process.poll() is None and not list(desk.glob(".customers.csv.*.tmp")):
        time.sleep(0.005)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    lines = path.read_bytes().splitlines()
    assert path.read_bytes() == before or (
        len(lines) == 200_001 and all(line.startswith(b'"pgd1') for line in lines[1:])
    )
    for rest in desk.glob(".customers.csv.*.tmp"):
        assert b"010-0000-0001" not in rest.read_bytes()
    assert run("protect", path.name, "--in-place", cwd=desk).code == 0
    assert run("check", path.name, cwd=desk).code == 0
