"""`protect --in-place`: the protected table takes the place of the plain one, whole or not at all."""

from __future__ import annotations

import gzip
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


@pytest.mark.parametrize("way", ["--in-place", "--to"])
@pytest.mark.parametrize("change", ["append", "replace"])
def test_what_others_write_meanwhile_is_not_lost(
    desk: Path, monkeypatch: pytest.MonkeyPatch, way: str, change: str
) -> None:
    """A file that is not the one that was scanned any more is neither replaced nor copied."""
    path, other = plain(desk), desk / "other.csv"
    real_sync = os.fsync

    def meanwhile(descriptor: int) -> None:
        real_sync(descriptor)
        if change == "append":
            with path.open("a") as file:
                file.write("010-0000-0003,\r\n")
        else:
            other.write_text("phone,grade\n010-0000-0009,\n")
            other.replace(path)

    monkeypatch.setattr(os, "fsync", meanwhile)
    result = run("protect", path.name, *([way] if way == "--in-place" else [way, "out.csv"]), cwd=desk)
    assert (result.code, "was changed by somebody else meanwhile; nothing was written" in result.stderr) == (3, True)
    assert "010-0000-000" in path.read_text()
    assert not (desk / "out.csv").exists()


def test_what_a_new_file_cannot_be_is_refused(desk: Path) -> None:
    """Bytes of no encoding, two encodings, and a compressed file under a plain suffix."""
    path, rows = desk / "customers.csv", "phone,등급\n010-0000-0001,우수\n"
    other = "010-0000-0002,우수\n".encode("cp949")
    contents = {
        rows.encode() + b"010-0000-0002,\xff\xfe\x81\n": (3, "byte sequences of no known encoding"),
        rows.encode() + b"010-0000-0002,x\n" * 300_000 + other: (2, "more than one encoding"),
        gzip.compress(rows.encode()): (2, "is compressed"),
    }
    for content, (code, message) in contents.items():
        path.write_bytes(content)
        result = run("protect", path.name, "--in-place", cwd=desk)
        assert (result.code, message in result.stderr) == (code, True), message
        assert path.read_bytes() == content
    late = "phone,등급\n" + "010-0000-0001,\n" * 10_000 + "010-0000-0002,우수\n"
    path.write_bytes(late.encode("cp949"))
    assert run("protect", path.name, "--in-place", cwd=desk).code == 0
    assert "등급".encode("cp949") in path.read_bytes()
