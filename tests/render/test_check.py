"""The result of a check is readable, stable, and free of samples."""

from __future__ import annotations

import json
from dataclasses import replace

from pii_guard.check import check as run_check
from pii_guard.render import check
from pii_guard.reports import ScanReport


def test_json_form(report: ScanReport) -> None:
    """Every violation has rule, name, place, message and mend; the exit code and what was not read stand beside."""
    result = run_check(report, None, {})
    document = json.loads(check.json(result))
    assert list(document) == [
        "version",
        "complete",
        "coverage",
        "samples",
        "not_examined",
        "out_of_scope",
        "suppressed",
        "allowed",
        "declared_columns",
        "exit_code",
        "violations",
        "warnings",
        "accepted",
    ]
    assert (document["complete"], document["exit_code"]) == (False, 1)
    assert len(document["violations"]) == len(result.violations) == 8
    assert document["violations"][0] | {"mend": ""} == {
        "rule": "PG001",
        "name": "unencrypted-personal-data",
        "source": "customers.csv",
        "table": "customers",
        "field": "phone",
        "kinds": ["kr_phone_mobile"],
        "file": None,
        "line": None,
        "message": "kr_phone_mobile in the clear (certain, 5 of 5 values)",
        "mend": "",
    }
    unread = [warning for warning in document["warnings"] if warning["rule"] == "PG010"]
    assert [(warning["source"], warning["field"]) for warning in unread] == [("a.csv", None), ("z.parquet", None)]


def test_text_says_how_to_mend(report: ScanReport) -> None:
    """Each violation is one block with its rule and a line that can be copied whole."""
    result = run_check(report, None, {})
    lines = check.table(result).splitlines()
    for violation in (*result.violations, *result.warnings):
        assert f"    mend: {violation.mend}" in lines
        assert f"    {violation.message}" in lines
    assert "  customers.phone violation PG001 unencrypted-personal-data" in lines
    assert "  customers.이름 warning PG001 unencrypted-personal-data" in lines
    assert "8 violation(s), 3 warning(s)" in lines
    assert any("complete: false" in line for line in lines)


def test_clean_is_said_only_of_what_was_read(report: ScanReport) -> None:
    """`clean` stands without a limit only where all was read, and never beside a violation."""
    empty = replace(report, fields=())
    assert "; clean as far as it could be read\n" in check.table(run_check(empty, None, {}))
    assert "; clean\n" in check.table(run_check(replace(empty, not_examined=()), None, {}))
    assert "clean" not in check.table(run_check(report, None, {}))


def test_no_samples(report: ScanReport) -> None:
    """Not even a masked sample is in the result of a check."""
    result = run_check(report, None, {})
    for text in (check.table(result), check.json(result)):
        assert "*" not in text


def test_same_data_same_text(report: ScanReport) -> None:
    """The order in which fields were found changes nothing."""
    other = replace(report, fields=report.fields[::-1], not_examined=report.not_examined[::-1])
    for render in (check.table, check.json):
        assert render(run_check(report, None, {})) == render(run_check(other, None, {}))


def test_hostile_names_are_seen_not_obeyed(hostile: str, hostile_report: ScanReport) -> None:
    """A name can neither control the terminal nor speak to the build runner that shows the check."""
    result = run_check(hostile_report, None, {})
    text = check.table(result)
    assert all(char.isprintable() or char == "\n" for char in text)
    assert not any(line.lstrip().startswith("::") for line in text.splitlines())
    assert "##[" not in text
    assert "##vso[" not in text
    assert json.loads(check.json(result))["violations"][0]["field"] == hostile
