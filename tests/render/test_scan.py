"""A scan report says the same in every format, the same every time, and harmlessly."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unicodedata import category

import jsonschema
import pytest
from rich.cells import cell_len

from pii_guard.render import scan
from pii_guard.reports import ScanReport

FORMATS = [scan.table, scan.json, scan.jsonl, scan.csv]
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "report.schema.json").read_text(encoding="utf-8"))


def shuffled(report: ScanReport) -> ScanReport:
    """The same report from a run that met everything in another order."""
    fields = tuple(replace(field, findings=field.findings[::-1]) for field in report.fields[::-1])
    scope = dict(sorted(report.out_of_scope.items(), reverse=True))
    return replace(report, fields=fields, not_examined=report.not_examined[::-1], out_of_scope=scope)


def csv_rows(report: ScanReport) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(scan.csv(report))))


@pytest.mark.parametrize("render", FORMATS)
def test_runs_compare_equal(render: Callable[[ScanReport], str], report: ScanReport) -> None:
    """The same findings give the same bytes, whatever order they were found in."""
    assert render(report) == render(shuffled(report))


@pytest.mark.parametrize("width", [20, 79, 80, 200])
def test_table_depends_on_nothing_but_width(report: ScanReport, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the environment changes the table, and no line of a table is wider than asked."""
    before, coloured = (scan.table(report, width=width, color=color) for color in (False, True))
    for name, value in {
        "COLUMNS": "33",
        "TERM": "dumb",
        "FORCE_COLOR": "1",
        "NO_COLOR": "1",
        "LINES": "3",
        "TTY_COMPATIBLE": "1",
    }.items():
        monkeypatch.setenv(name, value)
    assert scan.table(report, width=width) == before
    assert scan.table(report, width=width, color=True) == coloured
    body = before.split("rows,")[0].splitlines()[:-1]
    if width >= scan.NARROW:
        assert max(map(cell_len, body)) <= width


def test_json_keeps_its_schema(report: ScanReport) -> None:
    """The report JSON validates against docs/report.schema.json, empty or full."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for each in (report, ScanReport()):
        jsonschema.validate(json.loads(scan.json(each)), SCHEMA, cls=jsonschema.Draft202012Validator)


def test_schema_refuses_other_forms(report: ScanReport) -> None:
    """The schema is no rubber stamp: without a member, or with another one, the report is refused."""
    document = json.loads(scan.json(report))
    for name in document:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({key: value for key, value in document.items() if key != name}, SCHEMA)
    for name in document["fields"][0]:
        broken = json.loads(scan.json(report))
        del broken["fields"][0][name]
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "time": "now"}, SCHEMA)


def test_json_says_it_all(report: ScanReport) -> None:
    """One entry a field and kind, sorted, with every count; fields without findings are counted."""
    document = json.loads(scan.json(report))
    assert [(entry["source"], entry["field"], entry["kind"]) for entry in document["fields"]] == [
        ("customers.csv", "phone", "kr_phone_mobile"),
        ("customers.csv", "이름", "person_name"),
        ("orders.parquet", "card", "encrypted_value"),
        ("orders.parquet", "memo", "encrypted_value"),
        ("orders.parquet", "memo", "kr_bank_account"),
    ]
    assert document["fields"][0] == {
        "source": "customers.csv",
        "table": "customers",
        "field": "phone",
        "kind": "kr_phone_mobile",
        "confidence": "certain",
        "examined": 5,
        "hits": 5,
        "protection": "plain",
        "personal": True,
        "samples": ["010-****-5678", "010-****-0001"],
        "evidence": ["5 of 5 values", "header phone"],
    }
    assert (document["version"], document["complete"]) == (1, False)
    assert document["coverage"] == {
        "sources": 2,
        "tables": 2,
        "rows": 1005,
        "bytes": 9130,
        "unparsed": 1,
        "invalid": 2,
        "fields": 5,
        "replaced": 0,
        "sampled": 0,
        "unread": 0,
        "bound": 0.0,
    }
    assert [item["source"] for item in document["not_examined"]] == ["a.csv", "z.parquet"]
    assert document["out_of_scope"] == {"excluded": 1, "picture": 3}
    assert "이름" in scan.json(report)  # readable, not \u escapes


def test_machine_formats_agree(report: ScanReport) -> None:
    """JSON lines and CSV hold what the JSON holds."""
    document = json.loads(scan.json(report))
    *entries, last = (json.loads(line) for line in scan.jsonl(report).splitlines())
    assert entries == document["fields"]
    assert {**last["summary"], "fields": entries} == document

    rows = csv_rows(report)
    assert [row["record"] for row in rows] == [
        *["finding"] * 5,
        *["not_examined"] * 2,
        *["out_of_scope"] * 2,
        "summary",
    ]
    for row, entry in zip(rows, entries, strict=False):
        expected: dict[str, Any] = {
            **entry,
            "personal": str(entry["personal"]).lower(),
            "samples": " | ".join(entry["samples"]),
            "evidence": " | ".join(entry["evidence"]),
            "key": entry.get("key", ""),
            "lines": " | ".join(map(str, entry.get("lines", ()))),
        }
        assert row == {"record": "finding", **{name: str(value) for name, value in expected.items()}}
    assert rows[-1]["evidence"].startswith("complete: false | sources: 2")


@pytest.mark.parametrize("render", FORMATS)
def test_every_format_says_what_was_not_read(render: Callable[[ScanReport], str], report: ScanReport) -> None:
    """No format hides that the scan is incomplete, what was not read and why, and what was left out."""
    text = render(report)
    assert "false" in text.split("complete", 1)[1][:10]
    for words in ("z.parquet", "truncated", "a.csv", "no permission", "picture", "excluded"):
        assert words in text
    whole = replace(report, not_examined=())
    assert "true" in render(whole).split("complete", 1)[1][:10]


@pytest.mark.parametrize("width", [40, 120])
def test_table_shows_findings_and_counts_the_rest(report: ScanReport, width: int) -> None:
    """Both layouts show place, kind, confidence, counts, rate, protection, samples; other fields are counted."""
    text = scan.table(report, width=width)
    shown = ["customers.phone", "kr_phone_mobile", "certain", "5/5 (100 %)", "plain", "010-****-0001"]
    for words in [*shown, "customers.이름", "1/4 (25 %)", "997/1,000 (>99 %)", "3/1,000 (<1 %)", "mixed", "token"]:
        assert words in text
    assert "customers.id" not in text
    assert "1,005 rows, 9,130 bytes, 5 fields (4 with findings), 2 sources" in text
    assert "1 line examined as text, 2 values not UTF-8" in text


def test_nothing_found_is_said_of_what_was_read() -> None:
    """A table without findings says so, with what was read."""
    assert scan.table(ScanReport()) == (
        "nothing was found in what was read\n0 rows, 0 bytes, 0 fields (0 with findings), 0 sources; complete: true\n"
    )


def test_colour_only_when_asked(report: ScanReport) -> None:
    """Colour adds escape sequences and no text."""
    plain, coloured = scan.table(report), scan.table(report, color=True)
    assert "\x1b" not in plain
    assert "\x1b[" in coloured
    stripped = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in stripped.splitlines()] == plain.splitlines()


def acts(text: str) -> set[str]:
    """The characters of `text` that act on a reader's side or are no text at all; line ends aside."""
    return {char for char in text if char != "\n" and category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}


@pytest.mark.parametrize("render", FORMATS)
def test_hostile_names_are_seen_not_obeyed(render: Callable[[ScanReport], str], hostile_report: ScanReport) -> None:
    """No format lets a name control a terminal, start a line of its own, or speak to a build runner."""
    text = render(hostile_report)
    assert not acts(text)
    assert not any(line.lstrip().startswith("::") for line in text.splitlines())
    assert "##[" not in text
    assert "##vso[" not in text


@pytest.mark.parametrize("width", [1, 80, 81, 83, 90, 97, 300])
def test_hostile_names_in_a_folded_table(hostile_report: ScanReport, width: int) -> None:
    """Wherever a table breaks a name over lines, no line becomes a command, and no style is read from a name."""
    text = scan.table(hostile_report, width=width)
    assert not any(line.lstrip().startswith("::") for line in text.splitlines())
    assert not acts(text)


def test_json_gives_hostile_names_back(hostile: str, hostile_report: ScanReport) -> None:
    """JSON and JSON lines escape without loss."""
    assert json.loads(scan.json(hostile_report))["fields"][0]["field"] == hostile
    first, last = scan.jsonl(hostile_report).splitlines()
    assert json.loads(first)["samples"] == [hostile]
    assert json.loads(last)["summary"]["out_of_scope"] == {hostile: 1}


def test_csv_has_no_formula(hostile_report: ScanReport) -> None:
    """No cell of a CSV starts a formula, no name adds a row or a column."""
    text = scan.csv(hostile_report)
    rows = list(csv.reader(io.StringIO(text)))
    assert len(rows) == len(text.splitlines()) == 5
    assert {len(row) for row in rows} == {14}
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "＝")) for row in rows for cell in row)
    quoted = r'("([^"]|"")*"|\d+)'  # a reader that splits at another character finds no cell that it could obey
    assert all(re.fullmatch(f"{quoted}(,{quoted})*", line) for line in text.splitlines())


@pytest.mark.parametrize("name", ["[bold]markup[/bold]", ":smile:", "이름", "<b>x</b>", "a&b"])
def test_markup_is_text(report: ScanReport, name: str) -> None:
    """What can be shown is shown as it is: no markup of the drawing library is read from a name."""
    field = report.fields[0]
    renamed = replace(report, fields=(replace(field, field=replace(field.field, path=name)),))
    assert f"orders.{name}" in scan.table(renamed, width=200)
