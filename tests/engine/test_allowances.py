"""Comments in lines of text allow the kinds that they name, in their own line, with a reason."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from cli_runner import run

from pii_guard import scan
from pii_guard.tallies import FieldTally

MAIL = "HELP = 'help@example.com'  # "


def tally(folder: Path, text: str) -> FieldTally:
    (folder / "settings.py").write_text(text, encoding="utf-8")
    return scan(folder / "settings.py").fields[0].tally


@pytest.mark.parametrize(
    ("line", "allowed", "idle"),
    [
        (MAIL + "pii-guard: allow[email] the public address", {"email": 1}, 0),
        (MAIL + "pii-guard:allow[email]공개 주소", {"email": 1}, 0),
        (MAIL + "pii-guard: allow[ip_address, email] test bed", {"email": 1}, 1),
        (MAIL + "pii-guard: allow[email]", {}, 1),
        ("/* help@example.com pii-guard: allow[email] */", {}, 1),
        ("<!-- help@example.com pii-guard: allow[email] -->", {}, 1),
        (MAIL + "pii-guard: allow[] the public address", {}, 1),
        (MAIL + "pii-guard: allow[emial] the public address", {}, 1),
        (MAIL + "pii-guard: allow[kr_rrn] the public address", {}, 1),
        (MAIL + "pii-guard: allow email, the public address", {}, 0),
        (MAIL + "pii-guard allow[email] the public address", {}, 0),
        ("# pii-guard: allow[email] for the next line", {}, 1),
    ],
)
def test_what_a_comment_allows(tmp_path: Path, line: str, allowed: dict[str, int], idle: int) -> None:
    """A kind that is in the line, and a reason; everything else allows nothing and is counted."""
    counted = tally(tmp_path, f"{line}\n")
    assert (dict(counted.allowed), counted.idle) == (allowed, idle)
    left = counted.kinds["email"].hits if "email" in counted.kinds else 0
    assert left == int("@" in line and not allowed)


def test_only_its_own_line(tmp_path: Path) -> None:
    """The lines before and after are not allowed, though they touch in memory."""
    counted = tally(tmp_path, f"a@example.com\n{MAIL}pii-guard: allow[email] public\nb@example.com\n")
    assert (counted.kinds["email"].hits, dict(counted.allowed)) == (2, {"email": 1})


def test_lines_that_repeat_count_as_often_as_they_occur(tmp_path: Path) -> None:
    """Equal lines are examined once and counted each."""
    line = f"{MAIL}pii-guard: allow[email] public\n"
    assert dict(tally(tmp_path, line * 5_000).allowed) == {"email": 5_000}


def test_data_does_not_decide_about_itself(tmp_path: Path) -> None:
    """In a table the same words allow nothing."""
    (tmp_path / "rows.csv").write_text("id,memo\n1,a@example.com pii-guard: allow[email] public\n", encoding="utf-8")
    report = scan(tmp_path / "rows.csv")
    assert [finding.kind for _, finding in report.findings] == ["email"]
    assert not report.fields[1].tally.allowed


def test_a_line_that_editors_show_as_several_allows_nothing(tmp_path: Path) -> None:
    """Lines may end with a carriage return alone: the comment of one must not reach the others."""
    counted = tally(tmp_path, "a = 1\rb = 'hong@example.com'\r# pii-guard: allow[email] test\r")
    assert (counted.kinds["email"].hits, dict(counted.allowed), counted.idle) == (1, {}, 1)


def test_a_comment_is_read_as_it_is_written(tmp_path: Path) -> None:
    """What only looks like a comment after folding is none."""
    counted = tally(tmp_path, "hong@example.com # ｐｉｉ-guard: allow[email] public\n")
    assert (counted.kinds["email"].hits, dict(counted.allowed)) == (1, {})


def test_members_of_archives_have_no_comments(tmp_path: Path) -> None:
    """Nor have tables in `find`."""
    line = "hong@example.com # pii-guard: allow[email] public\n"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", line)
    assert [finding.kind for _, finding in scan(tmp_path / "a.zip").findings] == ["email"]
    (tmp_path / "a.csv").write_text(f"memo\n{line}", encoding="utf-8")
    assert "email" in run("find", "a.csv", cwd=tmp_path).stdout


def test_every_form_of_the_report_counts_them(tmp_path: Path) -> None:
    """The CSV, too."""
    (tmp_path / "a.py").write_text(f"{MAIL}pii-guard: allow[email] public\n", encoding="utf-8")
    for form, shown in (
        ("csv", '"allowed","a.py","a","text","email","","",1'),
        ("json", '"values": 1'),
        ("table", "in 1 line"),
    ):
        result = run("scan", "a.py", "--format", form, cwd=tmp_path)
        assert (result.code, shown in result.stdout) == (0, True), form
