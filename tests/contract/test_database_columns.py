"""What databases say of columns: JSON by path, comments, keys."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pytest
import sqlalchemy
from cli_runner import EXAMPLES, run
from databases import CASES, PHONE, Case, Made, opened, scanned, sqlite
from jsonschema import Draft202012Validator

import pii_guard
from pii_guard import scan
from pii_guard.connectors import sqlalchemy as by_sqlalchemy
from pii_guard.connectors.database import Column, Relation
from pii_guard.connectors.json_columns import unfolded
from pii_guard.model import Confidence
from pii_guard.reports import ScanReport

SCHEMA = Path(__file__).parents[2] / "docs" / "report.schema.json"
OBJECTS: list[Any] = [
    {"profile": {"phone": f"010-9876-{i:04d}", "mails": [f"a{i}@example.com"]}, "score": i, "tags": ["x", str(i)]}
    for i in range(20)
]
CHANGING: list[Any] = [
    *OBJECTS,
    {"profile": "010-1111-2222"},
    {"profile": 7, "score": "none", "tags": {"a": 1}},
    ["b@example.com"],
    "c@example.com",
    8,
    None,
    {},
    {"deep": {"deep": {"deep": {"e-mail": "d@example.com", "줄\n바꿈": '"\\u0041 \n'}}}},
    {str(number): number for number in range(300)},
]


@pytest.fixture(params=CASES, ids=lambda case: case.id)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Made]:
    case = request.param
    assert isinstance(case, Case)
    with case.make(tmp_path) as database:
        yield database


def found(report: ScanReport) -> list[tuple[str, str, Confidence, int, int]]:
    return sorted(
        (field.field.path, finding.kind, finding.confidence, finding.examined, finding.hits)
        for field, finding in report.findings
    )


def hits(report: ScanReport) -> Counter[str]:
    counted: Counter[str] = Counter()
    for _, finding in report.findings:
        counted[finding.kind] += finding.hits
    return counted


def fill(made: Made, values: list[Any], spaced: str) -> None:
    made.execute(f"CREATE TABLE t (doc {made.json})")
    for value in values:
        text = json.dumps(value, ensure_ascii=False).replace("{", "{" + spaced)
        text = text.replace("'", "''").replace("\\", "\\\\" if made.quote == "`" else "\\")
        made.execute(f"INSERT INTO t VALUES ('{text}')")


@pytest.mark.parametrize("values", [OBJECTS, CHANGING], ids=["alike", "changing"])
def test_json_is_read_as_ndjson_is(made: Made, values: list[Any], tmp_path: Path) -> None:
    """Fields are paths, and verdicts those of the file with the same objects, changing types included."""
    path = tmp_path / "t.ndjson"
    path.write_text("".join(json.dumps({"doc": value}) + "\n" for value in values), encoding="utf-8")
    fill(made, values, "\n " if values is OBJECTS else "")
    report = scanned(made.url)
    assert report.complete
    assert hits(report) == hits(scan(path)) != {}
    assert report.coverage.rows == len(values)
    if values is OBJECTS:  # else what is text depends on which rows come in one batch
        assert found(report) == found(scan(path))
        assert {"doc.profile.phone", "doc.profile.mails[]"} <= {field.field.path for field in report.fields}


def test_json_of_pipelines_is_text(made: Made) -> None:
    """Only scanning takes documents apart: one schema for all rows is what a pipeline needs."""
    fill(made, OBJECTS[:3], "")
    (table,) = opened(made.url).tables()
    texts = table.reader().read_all().column(0).to_pylist()
    assert [json.loads(text) for text in texts] == OBJECTS[:3]


def test_a_sqlite_file_by_its_name_is_as_by_its_url(tmp_path: Path) -> None:
    """JSON by path and verdicts are the same, and for pipelines documents are text there too."""
    with sqlite(tmp_path) as made:
        fill(made, CHANGING, "")
        path = made.url.removeprefix("sqlite:///")
        assert found(scanned(path)) == found(scanned(made.url)) != []
        assert {field.field.path for field in scanned(path).fields} >= {"doc.profile.phone", "doc.profile.mails[]"}
        texts = pii_guard.read(path, table="t").read_all().column(0).to_pylist()
        assert [json.loads(text) for text in texts] == CHANGING


def test_text_that_is_no_json() -> None:
    """In SQLite whatever stands in such a column may be anything: what does not parse is examined as it is."""
    deep = '{"a":' * 70 + "1" + "}" * 70
    values = ['{"a": 1}', "{", PHONE, "1}{", '{"a": "\\ud800"}', "[" * 5000, deep, "9" * 5000, ""]
    (batch,) = unfolded(pa.record_batch({"doc": pa.array(values)}), {0})
    batch.validate(full=True)
    texts = batch.column(0).to_pylist()
    assert len(texts) == len(values)
    assert [texts[place] for place in (1, 2, 3, 5, 6, 7, 8)] == [values[place] for place in (1, 2, 3, 5, 6, 7, 8)]


def test_comments_are_headers(made: Made) -> None:
    """A column with a comment is judged as if its header said so, and the evidence says that the comment did."""
    statements = {
        '"': ["COMMENT ON COLUMN t.c7 IS '휴대폰번호 (하이픈 없음)'", "COMMENT ON COLUMN t.c8 IS '비밀번호'"],
        "`": ["ALTER TABLE t MODIFY c7 text COMMENT '휴대폰번호 (하이픈 없음)', MODIFY c8 text COMMENT '비밀번호'"],
    }[made.quote]
    made.fill("t", ("c6", "c7", "c8"), [(f"1098{i:04d}", f"1098{i:04d}", f"pw{i}") for i in range(30)])
    before = scanned(made.url)
    if "lite" in made.url:  # SQLite has no comments
        return
    made.execute(*statements)
    report = scanned(made.url)
    header = scan([{"c6": f"1098{i:04d}", "휴대폰번호": f"1098{i:04d}", "비밀번호": f"pw{i}"} for i in range(30)])
    kinds = [(finding.kind, finding.confidence, finding.hits) for _, finding in header.findings]
    assert [(finding.kind, finding.confidence, finding.hits) for _, finding in report.findings] == kinds
    assert kinds != []
    assert found(before) != found(report)
    evidence = " ".join(word for _, finding in report.findings for word in finding.evidence)
    assert "the comment of the field says" in evidence
    assert "name of the field" not in evidence
    assert "휴대폰" not in evidence


def test_keys(made: Made) -> None:
    """Findings in keys say so: encrypting them changes what other tables refer to."""
    made.execute(
        "CREATE TABLE a (phone varchar(20) PRIMARY KEY)",
        "CREATE TABLE b (id int PRIMARY KEY, owner varchar(20), mail varchar(40), "
        "FOREIGN KEY (owner) REFERENCES a (phone))",
        f"INSERT INTO a VALUES ('{PHONE}')",
        f"INSERT INTO b VALUES (1, '{PHONE}', 'a@example.com')",
    )
    done = run("scan", made.url, "--format", "json")
    report = json.loads(done.stdout)
    Draft202012Validator(json.loads(SCHEMA.read_text("utf-8"))).validate(report)
    keys = {entry["field"]: entry.get("key") for entry in report["fields"]}
    assert keys == {"phone": "primary", "owner": "foreign", "mail": None}
    assert "it is a part of a primary key" in run("explain", made.url, "--field", "phone").stdout


def test_what_sqlalchemy_reflects() -> None:
    """Comments, keys of several columns, and documents that a driver has parsed already, which are text again."""
    inspector = mock.Mock()
    inspector.get_columns.return_value = [
        {"name": "a", "type": sqlalchemy.Text(), "comment": "휴대폰번호"},
        {"name": "b", "type": sqlalchemy.JSON()},
    ]
    inspector.get_pk_constraint.return_value = {"constrained_columns": ["a", "b"]}
    inspector.get_foreign_keys.side_effect = NotImplementedError
    with mock.patch("sqlalchemy.inspect", return_value=inspector):
        columns = by_sqlalchemy._described(mock.Mock(), Relation("", "t"))
        for error in (NotImplementedError, sqlalchemy.exc.NoSuchTableError, sqlalchemy.exc.UnreflectableTableError):
            inspector.get_columns.side_effect = error
            assert by_sqlalchemy._described(mock.Mock(), Relation("", "t")) == []
    assert columns == [Column("a", "휴대폰번호", "primary"), Column("b", "", "primary", json=True)]
    rows = by_sqlalchemy._with_text([("x", {"전화": [PHONE]}), (1, '{"a": 1}'), (2, None)], {1})
    assert rows == [["x", f'{{"전화": ["{PHONE}"]}}'], [1, '{"a": 1}'], [2, None]]


def test_the_examples_by_path(made: Made) -> None:
    """A table of the example inquiries, what is nested as JSON, gives the verdicts of the file."""
    path = EXAMPLES / "inquiries.ndjson"
    inquiries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    made.execute(f"CREATE TABLE t (id int, customer {made.json}, message {made.text})")
    for each in inquiries:
        customer = json.dumps(each["customer"], ensure_ascii=False)
        made.execute(f"INSERT INTO t VALUES ({each['id']}, '{customer}', '{each['message']}')")
    assert found(scanned(made.url)) == found(scan(path)) != []
