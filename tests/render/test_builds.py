"""What a build server reads: each format is valid, escaped, complete, and the same for the same result."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from defusedxml import ElementTree
from jsonschema import Draft4Validator

from pii_guard.check import Accepted, CheckResult, Place, Violation, fingerprints, placed
from pii_guard.check import check as run_check
from pii_guard.model import FieldPath
from pii_guard.render import check, escape, github, gitlab, junit, sarif
from pii_guard.reports import ScanReport

SCHEMA = json.loads((Path(__file__).parent / "sarif-2.1.0.schema.json").read_text(encoding="utf-8"))
FORMATS: dict[str, Callable[[CheckResult], str]] = {
    "table": check.table,
    "json": check.json,
    "sarif": sarif.sarif,
    "junit": junit.junit,
    "github": github.commands,
    "summary": github.step_summary,
    "gitlab": gitlab.gitlab,
}


@pytest.fixture
def result(report: ScanReport) -> CheckResult:
    """Violations and warnings with and without a place, and one that a baseline accepts."""
    found = placed(run_check(report, None, {}), {})
    first, *rest = found.violations
    at_line = replace(rest[-1], place=Place("migrations/V1__init.sql", 12))
    of_database = replace(rest[-2], source="postgresql://host/db", place=None)
    return replace(found, violations=(*rest[:-2], of_database, at_line), accepted=(Accepted(first, "old data"),))


def sarif_errors(text: str) -> list[str]:
    return [error.message for error in Draft4Validator(SCHEMA).iter_errors(json.loads(text))]


def test_the_schema_refuses_what_is_no_sarif(result: CheckResult) -> None:
    """The schema in the tests is one that can fail."""
    document = json.loads(sarif.sarif(result))
    del document["runs"][0]["results"][0]["message"]
    assert sarif_errors(json.dumps(document)) == ["'message' is a required property"]


def test_sarif_is_valid_and_says_where(result: CheckResult) -> None:
    """Results hold their level, the line to mend, the field as logical location; what is accepted is suppressed."""
    text = sarif.sarif(result)
    assert sarif_errors(text) == []
    (run,) = json.loads(text)["runs"]
    assert run["invocations"][0]["executionSuccessful"] is False
    assert len(run["invocations"][0]["toolExecutionNotifications"]) == 2
    results = run["results"]
    assert len(results) == len(result.violations) + len(result.warnings) + 1
    assert {entry["ruleId"] for entry in results} == {"PG001", "PG002", "PG003", "PG010"}
    assert all(run["tool"]["driver"]["rules"][entry["ruleIndex"]]["id"] == entry["ruleId"] for entry in results)
    assert [entry["level"] for entry in results] == ["error"] * 7 + ["warning"] * 3 + ["error"]
    assert results[-1]["suppressions"] == [{"kind": "external", "justification": "old data"}]
    database, migration = results[5:7]
    assert "physicalLocation" not in database["locations"][0]
    assert database["locations"][0]["logicalLocations"][0]["fullyQualifiedName"].startswith("orders.parquet::orders::")
    physical = migration["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"] == {"uri": "migrations/V1__init.sql", "uriBaseId": "%SRCROOT%"}
    assert physical["region"] == {"startLine": 12}


def test_fingerprints_are_stable_and_unique(result: CheckResult) -> None:
    """They survive another line, message and advice, tell fields, rules and repetitions apart."""
    violations = result.violations
    keys = fingerprints(violations)
    assert len(set(keys)) == len(keys)
    moved = [replace(item, place=Place("x", 3), message="other", mend="other") for item in violations]
    assert fingerprints(moved) == keys
    twice = fingerprints([violations[0], violations[0]])
    assert twice[0] == keys[0] != twice[1]
    assert fingerprints([replace(violations[0], kinds=("email",))])[0] != keys[0]


def test_junit_counts_and_shows_all(result: CheckResult) -> None:
    """Every violation is a failure, what was not read an error, warnings are skipped, clean fields are passed tests."""
    root = ElementTree.fromstring(junit.junit(result))
    cases = root.findall("testsuite/testcase")
    assert int(root.attrib["tests"]) == len(cases)
    assert int(root.attrib["failures"]) == len(root.findall(".//failure")) == len(result.violations)
    assert int(root.attrib["errors"]) == len(root.findall(".//error")) == 2
    assert int(root.attrib["skipped"]) == len(root.findall(".//skipped")) == 2
    assert [case.attrib["name"] for case in cases if not len(case)] == ["customers.id", "customers.이름"]
    shown = [failure.text or "" for failure in root.findall(".//failure")]
    assert sum("at migrations/V1__init.sql:12\n" in text for text in shown) == 1


def test_github_commands_are_capped(result: CheckResult) -> None:
    """Ten errors and ten warnings, then how many more there are; the outcome stands at the end."""
    lines = github.commands(result).splitlines()
    assert sum(line.startswith("::error ") for line in lines) == 7
    assert sum(line.startswith("::warning ") for line in lines) == 3
    at_line = "::error file=migrations/V1__init.sql,line=12,title=PG003 no-retention-class::orders.memo: "
    assert any(line.startswith(at_line) for line in lines)
    assert any(line.startswith("::error title=PG002 no-purpose::orders.memo: ") for line in lines)
    assert "7 violation(s), 3 warning(s), 1 accepted" in lines
    many = replace(result, violations=result.violations * 3)
    lines = github.commands(many).splitlines()
    assert sum(line.startswith("::error ") for line in lines) == 10
    assert "11 more violation(s) without annotation, as GitHub shows 10 of a step; see the summary" in lines
    assert github.step_summary(many).count("| violation |") == 21


def test_gitlab_form(result: CheckResult) -> None:
    """Issues have all that GitLab needs: description, check, a unique fingerprint, severity, a path and a line."""
    issues = json.loads(gitlab.gitlab(result))
    assert len(issues) == len(result.violations) + len(result.warnings)
    assert len({issue["fingerprint"] for issue in issues}) == len(issues)
    assert issues[6]["location"] == {"path": "migrations/V1__init.sql", "lines": {"begin": 12}}
    assert {issue["severity"] for issue in issues} == {"major", "minor"}
    assert all(issue["location"]["lines"]["begin"] >= 1 and issue["location"]["path"] for issue in issues)


@pytest.mark.parametrize("form", FORMATS)
def test_same_result_same_text(form: str, report: ScanReport) -> None:
    """The order in which fields were found changes no format."""
    other = replace(report, fields=report.fields[::-1], not_examined=report.not_examined[::-1])
    render = FORMATS[form]
    assert render(placed(run_check(report, None, {}), {})) == render(placed(run_check(other, None, {}), {}))


@pytest.mark.parametrize("form", FORMATS)
def test_no_samples(form: str, result: CheckResult) -> None:
    """Not even a masked sample is in any format."""
    assert "010-" not in FORMATS[form](result)
    assert "홍" not in FORMATS[form](result)


@pytest.mark.parametrize("form", FORMATS)
def test_the_outcome_shows(form: str, result: CheckResult) -> None:
    """Each format for people says how it went, and what was not examined; machines get the latter by another name."""
    text = FORMATS[form](result)
    assert "z.parquet" in text
    if form in ("table", "github", "summary"):
        assert "7 violation(s), 3 warning(s)" in text


def test_hostile_names_are_text_in_every_format(hostile: str, hostile_report: ScanReport) -> None:
    """A name is never markup, a command, a link or a broken document."""
    result = placed(run_check(hostile_report, None, {}), {})
    assert len(result.violations) == 3
    assert sarif_errors(sarif.sarif(result)) == []
    assert len(ElementTree.fromstring(junit.junit(result)).findall(".//failure")) == 3
    assert len(json.loads(gitlab.gitlab(result))) == 4
    lines = github.commands(result).splitlines()
    commands = [line for line in lines if line.lstrip().startswith("::")]
    assert len(commands) == 4
    assert all(re.match(r"::(?:error|warning) file=[^:,]*,line=1,title=PG0[0-9 a-z-]+::", line) for line in commands)
    summary = github.step_summary(result)
    assert summary.count("\n| violation |") == 3
    assert "<script" not in summary
    for text in ("\n".join(lines), summary, junit.junit(result), gitlab.gitlab(result)):
        assert all(char.isprintable() or char == "\n" for char in text)


@pytest.mark.parametrize(
    ("source", "uri"),
    [
        ("data/고객 1.csv", "data/%EA%B3%A0%EA%B0%9D%201.csv"),
        ("/srv/a.csv", "file:///srv/a.csv"),
        ("a:b.csv", "a%3Ab.csv"),
        ("100%.csv", "100%25.csv"),
    ],
)
def test_paths_are_uris(source: str, uri: str) -> None:
    """A path becomes a valid URI reference of the same file."""
    assert escape.uri(source) == uri


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("a.csv", Place("a.csv")),
        ("x/b.zip!/c.csv", Place("x/b.zip")),
        ("-", Place("tags.toml", 4)),
        ("mysql://h/other", Place("tags.toml", 4)),
        ("postgresql://h/db", Place("tags.toml", 4)),
        ("s3://bucket/a.csv", Place("tags.toml", 4)),
    ],
)
def test_places(source: str, place: Place) -> None:
    """A file is its own place; a database is mended where a file of the repository declares the field."""
    field = FieldPath(source, "public.customers", "phone")
    violation = Violation("PG001", source, field, "m", "m")
    declared = {"customers.phone": Place("tags.toml", 4)}
    located = placed(CheckResult((violation,), (), ScanReport()), declared)
    assert located.violations[0].place == place
    assert placed(located, {}).violations[0].place == place, "a place that is known stays"
    undeclared = placed(CheckResult((violation,), (), ScanReport()), {}).violations[0].place
    assert undeclared == (place if place.line is None else None)


def test_markdown_and_sarif_text_are_plain() -> None:
    """What both read as links, marks or placeholders is escaped."""
    assert escape.markdown("[a](b) `c`\n") == r"\[a\](b) \`c\`\\x0a"
    assert escape.sarif_text(r"[a](b) {0} \d") == r"\[a\](b) {{0}} \\d"


def test_github_escapes_as_its_runner_unescapes() -> None:
    """`%`, and in properties `:` and `,`, as @actions/core does; line ends can be seen."""
    runner: dict[str, Any] = {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ",", "%25": "%"}
    text = "100 %, a:b %0A"
    shown = escape.github_property(text)
    assert re.sub("%[0-9A-F]{2}", lambda hit: str(runner[hit[0]]), shown) == text
    assert ":" not in shown
    assert "," not in shown
