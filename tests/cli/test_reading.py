"""`--encoding` and `--no-header`: what a user knows better than the file says."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_runner import run

ROWS = "홍길동,010-0000-0001\n김영희,010-0000-0002\n"


@pytest.fixture
def headless(desk: Path) -> Path:
    (desk / "phones.csv").write_text(ROWS, encoding="utf-8")
    policy = (desk / "pii-guard.toml").read_text(encoding="utf-8").replace("*.*phone*", "phones.*")
    (desk / "pii-guard.toml").write_text(policy, encoding="utf-8")
    return desk


def test_rows_without_a_header(headless: Path) -> None:
    """All rows are data, in every command; a file written anew has no header either."""
    shown = run("scan", "phones.csv", "--no-header", "--format", "csv", cwd=headless)
    assert '"column2","kr_phone_mobile","likely",2,2' in shown.stdout
    assert '"column1","person_name_ko","possible"' not in shown.stdout
    refused = run("protect", "phones.csv", "--in-place", cwd=headless)
    assert (refused.code, "use --no-header" in refused.stderr) == (1, True)
    assert run("protect", "phones.csv", "--in-place", "--no-header", cwd=headless).code == 0
    lines = (headless / "phones.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    assert all(line.count('"pgd1') == 2 for line in lines)
    assert run("check", "phones.csv", "--no-header", cwd=headless).code == 0
    assert "2 of 2" in run("explain", "phones.csv", "--no-header", "--field", "column2", cwd=headless).stdout
    assert "phones.column2" in run("tag", "phones.csv", "--no-header", cwd=headless).stdout


@pytest.mark.parametrize("encoding", ["utf-16-le", "johab", "UTF-32-BE", "cp949"])
def test_an_encoding_that_is_not_found_out(tmp_path: Path, encoding: str) -> None:
    """Names are read right where it is said how."""
    (tmp_path / "a.csv").write_bytes(f"이름,번호\n{ROWS * 4}".encode(encoding))
    shown = run("scan", "a.csv", "--encoding", encoding, "--format", "csv", cwd=tmp_path)
    assert shown.code == 0
    assert '"이름","person_name_ko","likely",8,8' in shown.stdout


@pytest.mark.parametrize("encoding", ["nosuch", "base64", "rot13", "idna", ""])
def test_what_is_no_encoding(tmp_path: Path, encoding: str) -> None:
    """Refused before anything is read."""
    (tmp_path / "a.csv").write_text(ROWS, encoding="utf-8")
    refused = run("scan", "a.csv", "--encoding", encoding, cwd=tmp_path)
    assert (refused.code, refused.stdout) == (2, "")
    assert "is no encoding of text that Python knows" in refused.stderr
