"""A baseline accepts what it names, for as long as it says, and nothing else."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from pii_guard.check import CheckResult, Violation
from pii_guard.check.baseline import accepted, load_baseline, save_baseline
from pii_guard.errors import UsageError
from pii_guard.model import FieldPath
from pii_guard.reports import Coverage, FieldReport, NotExamined, ScanReport
from pii_guard.tallies import FieldTally

TODAY = date(2026, 6, 1)


def violation(path: str, rule: str = "PG001", *kinds: str, source: str = "a.csv") -> Violation:
    return Violation(rule, source, FieldPath(source, "a", path), "message", "mend", kinds)


def result(*violations: Violation, source: str = "a.csv", unread: str | None = None) -> CheckResult:
    """A check of one source with a field `x`, whatever breaks."""
    field = FieldReport(FieldPath(source, "a", "x"), ("x",), "string", FieldTally())
    not_examined = (NotExamined(unread, "broken"),) if unread else ()
    return CheckResult(violations, (), ScanReport((field,), Coverage(sources=1), not_examined))


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").touch()
    return tmp_path / "baseline.json"


def entries(path: Path) -> list[dict[str, str]]:
    return [entry for entry in json.loads(path.read_text(encoding="utf-8"))[1:] if isinstance(entry, dict)]


def test_what_is_written_is_accepted(path: Path) -> None:
    """All of it, and no warning; line, message and advice do not matter."""
    found = result(violation("x", "PG001", "email", "kr_rrn"), violation("y"), violation("고객 명", "PG002", "email"))
    assert save_baseline(found, path) == 4
    moved = replace(found, violations=tuple(replace(item, message="m", mend="n") for item in found.violations))
    applied = accepted(moved, load_baseline(path))
    assert applied.violations == applied.warnings == ()
    assert {item.violation for item in applied.accepted} == set(moved.violations)


def test_one_sorted_entry_a_line_without_values(path: Path) -> None:
    """The file is the same whatever the order of the violations, and each entry stands on a line of its own."""
    items = [violation("b", "PG002", "email"), violation("a", "PG001", "email"), violation("a", "PG001", "cookie")]
    save_baseline(result(*items), path)
    text = path.read_text(encoding="utf-8")
    save_baseline(result(*items[::-1]), path)
    assert path.read_text(encoding="utf-8") == text
    assert text.splitlines() == [
        '[{"version": 1}',
        ',{"field": "a.csv::a::a", "rule": "PG001", "kind": "cookie"}',
        ',{"field": "a.csv::a::a", "rule": "PG001", "kind": "email"}',
        ',{"field": "a.csv::a::b", "rule": "PG002", "kind": "email"}',
        "]",
    ]


@pytest.mark.parametrize(
    "other",
    [
        violation("x", "PG002", "email"),
        violation("y", "PG001", "email"),
        violation("x", "PG001", "kr_rrn"),
        violation("x", "PG001", "email", "kr_rrn"),
        violation("x", "PG001", "email", source="b.csv"),
        violation("x"),
    ],
)
def test_what_differs_is_new(other: Violation, path: Path) -> None:
    """Another rule, field, source or kind is not accepted."""
    save_baseline(result(violation("x", "PG001", "email")), path)
    assert accepted(result(other), load_baseline(path)).violations == (other,)


@pytest.mark.parametrize(("expires", "holds"), [("2026-06-01", True), ("2026-05-31", False)])
def test_the_last_day(expires: str, holds: bool, path: Path) -> None:
    """An entry holds on its last day; afterwards the violation counts again, and the entry is named with its line."""
    path.write_text(
        f'[{{"version": 1}}\n,{{"field": "a.csv::a::x", "rule": "PG001", "reason": "r", "expires": "{expires}"}}\n]',
        encoding="utf-8",
    )
    applied = accepted(result(violation("x")), load_baseline(path), today=TODAY)
    assert bool(applied.accepted) is holds
    assert [item.rule for item in applied.warnings] == ([] if holds else ["PG051"])
    if holds:
        assert (applied.accepted[0].reason, applied.accepted[0].expires) == ("r", date(2026, 6, 1))
    else:
        assert applied.warnings[0].place is not None
        assert applied.warnings[0].place.line == 2


def test_unused_entries_are_named_where_their_source_was_read(path: Path) -> None:
    """An entry of a source that was not part of the run, or could not be read, says nothing; of a lost file it does."""
    found = [violation("x", source=source) for source in ("a.csv", "gone.csv", "postgresql://h/db", "broken.csv")]
    save_baseline(result(*found), path)
    (path.parent / "broken.csv").touch()
    applied = accepted(result(unread="broken.csv"), load_baseline(path))
    assert [(item.rule, item.message.split()[2]) for item in applied.warnings] == [
        ("PG052", "a.csv::a::x"),
        ("PG052", "gone.csv::a::x"),
    ]


def test_writing_again_keeps_reasons_and_drops_what_is_mended(path: Path) -> None:
    """What people wrote stays; an entry of something that was not read stays too."""
    found = result(violation("x"), violation("y"), violation("z", source="postgresql://h/db"))
    save_baseline(found, path)
    text = path.read_text(encoding="utf-8").replace('::x", "rule": "PG001"', '::x", "rule": "PG001", "reason": "known"')
    path.write_text(text, encoding="utf-8")
    assert save_baseline(result(violation("x")), path) == 2
    assert entries(path) == [
        {"field": "a.csv::a::x", "rule": "PG001", "reason": "known"},
        {"field": "postgresql://h/db::a::z", "rule": "PG001"},
    ]


def test_sources_are_relative_to_the_baseline(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A baseline holds wherever the run starts and however its targets are written."""
    save_baseline(result(violation("x", source="sub/a.csv")), path)
    below = path.parent / "sub"
    below.mkdir()
    monkeypatch.chdir(below)
    for source in ("a.csv", "./a.csv", str(below / "a.csv")):
        assert accepted(result(violation("x", source=source)), load_baseline(path)).violations == ()


def test_branches_merge(path: Path) -> None:
    """Entries added on two branches, at different places, merge without a conflict into a baseline that is right."""
    names = ["b", "d", "f", "h", "j"]
    files = {}
    for name, extra in {"base": (), "ours": ("a",), "theirs": ("z",)}.items():
        files[name] = path.with_name(name)
        save_baseline(result(*(violation(item) for item in (*names, *extra))), files[name])
    merged = subprocess.run(
        ["git", "merge-file", "-p", files["ours"], files["base"], files["theirs"]], capture_output=True, check=True
    )
    path.write_bytes(merged.stdout)
    assert [key.field[-1] for key in load_baseline(path).entries] == ["a", *names, "z"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1 is no JSON"),
        ("{}", "does not begin"),
        ("[]", "does not begin"),
        ('[{"version": 2}]', "newer"),
        ('[{"version": "1"}]', "must be 1"),
        ('[{"version": true}]', "must be 1"),
        ('[{"version": 1, "time": 0}]', "must be 1"),
        ('[{"version": 1}, 3]', "entry 1 is no object"),
        ('[{"version": 1}, {"field": "a", "rule": "PG001"}, {"field": 3, "rule": "PG001"}]', "entry 2: field must"),
        ('[{"version": 1}, {"field": "a"}]', "entry 1: rule must be text"),
        ('[{"version": 1}, {"field": "a", "rule": "r", "kind": null}]', "entry 1: kind must be text"),
        ('[{"version": 1}, {"field": "a", "rule": "r", "expires": "soon"}]', "expires must be a date"),
        ('[{"version": 1}, {"field": "a", "rule": "r", "expires": 3}]', "expires must be a date"),
        ('[{"version": 1}, {"field": "a", "rule": "r", "why": "x"}]', "unknown member"),
        ("[" * 100_000, "nested too deeply"),
        ('[{"version": ' + "9" * 5_000 + "}]", "a number is too long"),
        (b"\xff", "not UTF-8"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_broken_baseline_is_one_line(text: str | bytes, reason: str, path: Path) -> None:
    """What is wrong is said in one line, with the place of the entry."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError, match=reason) as error:
        load_baseline(path)
    assert "\n" not in str(error.value)


def test_an_entry_that_stands_twice_holds_as_long_as_the_longer_one(path: Path) -> None:
    """As a merge may leave it."""
    lines = ['[{"version": 1}']
    lines += [
        f',{{"field": "a.csv::a::x", "rule": "PG001", "expires": "{day}"}}' for day in ("2026-01-01", "2026-12-31")
    ]
    path.write_text("\n".join([*lines, "]"]), encoding="utf-8")
    assert accepted(result(violation("x")), load_baseline(path), today=TODAY).violations == ()
