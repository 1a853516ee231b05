"""`pii-guard audit`: what was done to the access records shows, with its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_runner import run

from pii_guard.audit import AccessLog, AccessRequest, read_heads

ROLES = '\n[roles.courier]\ntitle = "Couriers"\npurposes = ["delivery"]\nfields = ["*.phone"]\nrow_budget = 1000\n'


@pytest.fixture
def log(desk: Path) -> Path:
    """Three records in the key directory of a desk, their heads in `elsewhere`."""
    path = desk / "pii-guard-keys" / "access.jsonl"
    for actor in ("kim", "lee", "park"):
        request = AccessRequest("delivery", actor, "t", reason="TICKET-7")
        AccessLog(path, desk / "elsewhere").refused(request, fields=["a.phone"], key_ids=[])
    return path


def test_a_whole_log(log: Path, desk: Path) -> None:
    """A chain that holds is said to, with what only a head could show."""
    result = run("audit", "verify", cwd=desk)
    assert (result.code, "3 records, a whole chain" in result.stdout) == (0, True)
    assert "only a head kept elsewhere" in result.stderr
    result = run("audit", "verify", log, "--head", "elsewhere", cwd=desk)
    assert (result.code, result.stderr) == (0, "")
    assert "up to line 3" in result.stdout
    head = run("audit", "head", cwd=desk).stdout
    assert head == f"{read_heads(desk / 'elsewhere')[-1]}\n"
    assert run("audit", "verify", "--head", head, cwd=desk).code == 0


def test_an_edited_log(log: Path, desk: Path) -> None:
    """An edit is found by the chain, a cut by the head: exit 1, and the line is named."""
    content = log.read_bytes()
    log.write_bytes(content.replace(b"lee", b"kim"))
    result = run("audit", "verify", cwd=desk)
    assert (result.code, "line 3: does not follow" in result.stdout) == (1, True)
    assert run("audit", "head", cwd=desk).code == 3
    log.write_bytes(b"".join(content.splitlines(keepends=True)[:2]))
    assert run("audit", "verify", cwd=desk).code == 0
    result = run("audit", "verify", "--head", "elsewhere", cwd=desk)
    assert (result.code, "lines were cut off" in result.stdout) == (1, True)


def test_mistakes(desk: Path) -> None:
    """No log, no head, an empty log: one line each and the right exit code."""
    missing = run("audit", "verify", cwd=desk)
    assert (missing.code, missing.stderr.count("\n")) == (3, 1)
    assert run("audit", "show", cwd=desk).code == 3
    (desk / "empty").write_text("")
    assert run("audit", "verify", "empty", cwd=desk).code == 0
    assert run("audit", "head", "empty", cwd=desk).code == 3
    assert run("audit", "verify", "empty", "--head", "1 abc", cwd=desk).code == 2
    assert run("audit", "verify", "empty", "--head", "nowhere", cwd=desk).code == 3


def test_show(log: Path, desk: Path) -> None:
    """A line a record, the latest ones on demand."""
    shown = run("audit", "show", cwd=desk).stdout.splitlines()
    assert [name in line for name, line in zip(("kim", "lee", "park"), shown[1:], strict=True)] == [True] * 3
    assert all("t; TICKET-7" in line and "a.phone" in line for line in shown[1:])
    assert len(run("audit", "show", "--last", "1", cwd=desk).stdout.splitlines()) == 2
    assert log.exists()


def test_roles(log: Path, desk: Path) -> None:
    """What the policy grants is recorded with who and when; granting, changing and withdrawing are told apart."""
    policy = desk / "pii-guard.toml"
    plain = policy.read_text()
    for text in (plain + ROLES, plain + ROLES, plain + ROLES.replace("1000", "10"), plain):
        policy.write_text(text)
        result = run("audit", "roles", "--actor", "officer", "--audit-heads", "elsewhere", cwd=desk)
        assert result.code == 0
    lines = result.stdout.splitlines()[1:]
    assert [line.split()[2] for line in lines] == ["granted", "changed", "withdrawn"]
    assert "*.phone for delivery; 1,000 rows a session" in lines[0]
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert events == ["refused"] * 3 + ["roles"] * 3
    assert run("audit", "verify", "--head", "elsewhere", cwd=desk).code == 0


def test_show_by_data_subject(desk: Path) -> None:
    """The accesses that opened one person's data, and those that do not say whose they opened."""
    (desk / "members.csv").write_text("id,phone\nC-1,010-1234-5678\nC-2,010-9876-5432\n", encoding="utf-8")
    assert run("protect", "members.csv", "--to", "members.parquet", cwd=desk).code == 0
    assert run("audit", "show", "--subject", "C-1", "empty", cwd=desk).code == 2
    reveal = ("reveal", "members.parquet", "--to", "out.csv", "--overwrite", "--purpose", "delivery")
    assert run(*reveal, "--subject", "id", "--reason", "NAMED", cwd=desk).code == 0
    assert run(*reveal, "--reason", "NAMELESS", cwd=desk).code == 0
    assert run(*reveal, "--subject", "idd", cwd=desk).code == 2
    found = run("audit", "show", "--subject", "C-1", cwd=desk).stdout
    assert ("NAMED" in found, "NAMELESS" in found, "2 data subjects" in found) == (True, True, True)
    found = run("audit", "show", "--subject", "C-3", cwd=desk).stdout
    assert ("; NAMED" in found, "NAMELESS" in found) == (False, True)
