"""A value in a line is reported with its line, unless the line is not known."""

from __future__ import annotations

from pathlib import Path

import pytest

from pii_guard.check import CheckResult, Place, check
from pii_guard.check.lines import with_lines
from pii_guard.detectors import select
from pii_guard.scanner import scan_targets


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def checked(target: str) -> CheckResult:
    return with_lines(check(scan_targets([target], detectors=select()), None, {}), select())


def places(result: CheckResult) -> set[Place | None]:
    return {violation.place for violation in result.violations}


def test_the_first_line_of_a_value(folder: Path) -> None:
    """Of source code and text, whatever their line ends."""
    for ends in ("\n", "\r\n"):
        text = ends.join(["# nothing", "SUPPORT = 1", "MAIL = 'gildong@example.com'", "OTHER = 'younghee@example.com'"])
        (folder / "settings.py").write_bytes(text.encode())
        assert places(checked("settings.py")) == {Place("settings.py", 3)}


def test_a_line_that_a_comment_allows_is_passed_over(folder: Path) -> None:
    """The line shown is that of a value which counts."""
    lines = ["A = 'a@example.com'  # pii-guard: allow[email] public", "B = 'b@example.com'", ""]
    (folder / "a.py").write_text("\n".join(lines), encoding="utf-8")
    assert places(checked("a.py")) == {Place("a.py", 2)}


def test_tables_and_lost_files_have_no_line(folder: Path) -> None:
    """A column is no line; a file that is gone by now says nothing."""
    (folder / "a.csv").write_text("email\na@example.com\n", encoding="utf-8")
    assert places(checked("a.csv")) == {None}
    (folder / "a.txt").write_text("mail a@example.com\n", encoding="utf-8")
    result = check(scan_targets(["a.txt"], detectors=select()), None, {})
    (folder / "a.txt").unlink()
    assert places(with_lines(result, select())) == {None}
