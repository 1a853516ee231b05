"""JSON documents: arrays and objects, whatever they hold and however they are cut or broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii_guard import connectors
from pii_guard.connectors import encoding, json_document
from pii_guard.connectors.base import UNPARSED
from pii_guard.connectors.json_document import JsonTable
from pii_guard.connectors.resource import LocalFile
from pii_guard.errors import ReadError

CANARY = "010-9876-5432"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("json")


def table_of(folder: Path, text: str | bytes) -> JsonTable:
    (folder / "t.json").write_bytes(text.encode() if isinstance(text, str) else text)
    return JsonTable(LocalFile(folder / "t.json", "t.json"))


def content(table: JsonTable) -> tuple[list[dict[str, Any]], list[str], str | None]:
    """(rows, lines that do not parse, what is wrong)"""
    rows: list[dict[str, Any]] = []
    bad: list[str] = []
    try:
        for batch in table.batches():
            if batch.schema.names == [UNPARSED]:
                bad += batch.column(0).to_pylist()
            else:
                rows += batch.to_pylist()
    except ReadError as error:
        return rows, bad, error.reason
    return rows, bad, None


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('[{"a": 1}, {"a": 2, "b": "x"}]', [{"a": 1, "b": None}, {"a": 2, "b": "x"}]),
        ('{\n "user": {"emails": ["a@example.com"]}\n}\n', [{"user": {"emails": ["a@example.com"]}}]),
        ('{"a": 1}\n\n{\n"a": 2}', [{"a": 1}, {"a": 2}]),
        ('[{"a": 1}]\n[{"a": 2}]', [{"a": 1}, {"a": 2}]),
        ('["x", "y"]', [{"value": "x"}, {"value": "y"}]),
        ("[[1, 2], [3]]", [{"value": [1, 2]}, {"value": [3]}]),
        ('"x"', [{"value": "x"}]),
        ("[]", []),
        ("", []),
        (" \n\t ", []),
        ('\ufeff[{"가": "나"}]', [{"가": "나"}]),
        ('[{"n": 900101123456789012345678901234567890}]', [{"n": "900101123456789012345678901234567890"}]),
        ('[{"n": 9007199254740993}]', [{"n": 9007199254740993}]),
        ('[{"a": 1}, {"a": "x"}, {"a": [1, {"b": 2}]}]', [{"a": "1"}, {"a": "x"}, {"a": '[1, {"b": 2}]'}]),
        ('[{"a": 1, "a": 2}]', [{"a": [1, 2]}]),
    ],
)
def test_documents(folder: Path, text: str, rows: list[dict[str, Any]]) -> None:
    """Elements of arrays are rows, an object is one; types are kept where they agree, big numbers to the digit."""
    assert content(table_of(folder, text)) == (rows, [], None)


@pytest.mark.parametrize("block", [16, 100])
@given(values=st.lists(st.dictionaries(st.text(max_size=3), st.integers() | st.text() | st.none(), max_size=3)))
def test_blocks_may_end_anywhere(folder: Path, block: int, values: list[dict[str, Any]]) -> None:
    """What is read does not depend on where the file is cut into blocks; the same as json.loads says."""
    text = json.dumps(values, indent=1, ensure_ascii=False).encode(errors="replace")
    table = table_of(folder, text)
    with mock.patch.object(encoding, "BLOCK", block):
        in_blocks = content(table)
    assert in_blocks == content(table)
    assert in_blocks[1:] == ([], None)
    assert len(in_blocks[0]) == len(values)


def test_numbers_on_the_seam(folder: Path) -> None:
    """A number is read whole though a block ends in it."""
    with mock.patch.object(encoding, "BLOCK", 5):
        assert content(table_of(folder, "[1234567890123, -1.5e10, true]"))[0] == [
            {"value": "1234567890123"},
            {"value": "-15000000000.0"},
            {"value": "true"},
        ]


@pytest.mark.parametrize(
    ("text", "rows", "line"),
    [
        (f'[{{"a": 1}},\n{{"a": "{CANARY}', 1, 2),
        (f'[{{"a": 1}},\n{{"a": 2}},\n{{"a": {CANARY}}},\n{{"a": 4}}]', 2, 3),
        ('[{"a": 1},\n', 1, 2),
        ('[{"a": 1}', 1, 1),
    ],
)
def test_a_broken_array(folder: Path, text: str, rows: int, line: int) -> None:
    """Where an array does not go on, the rest is read as lines, and the document is named with the line."""
    table = table_of(folder, text)
    found, bad, reason = content(table)
    assert len(found) == rows
    assert "".join(bad).count(CANARY) == text.count(CANARY)
    assert reason == f"no JSON from line {line} on; the rest was read as lines"
    assert table.unparsed == len(bad)
    with pytest.raises(ReadError, match="line") as caught:
        table.reader().read_all()
    assert CANARY not in str(caught.value)


BROKEN = ["{\n  // a comment\n}", f"call {CANARY}\n", '{"a": ', "[" * 100_000, f'{{"{CANARY}": 1]']


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_what_is_no_json(folder: Path, text: str) -> None:
    """A file that is no JSON from its start is read as lines that do not parse, all of it."""
    rows, bad, reason = content(table_of(folder, text))
    assert (rows, reason) == ([], None)
    assert "".join(bad) == text.replace("\n", "").removeprefix("[")


def test_nested_too_deep(folder: Path) -> None:
    """An element that is nested too deep is a line that does not parse; the others are rows."""
    deep = '{"a": ' + "[" * 70 + "]" * 70 + "}"
    assert content(table_of(folder, f'[{{"b": 1}}, {deep}, {{"b": 2}}]')) == ([{"b": 1}, {"b": 2}], [deep], None)


def test_one_large_value(folder: Path) -> None:
    """A value that is larger than a row may be is read as lines, in bounded memory."""
    values = json.dumps({"users": [{"phone": CANARY}] * 1000}, indent=1)
    with mock.patch.object(json_document, "MAX_ROW", 1000), mock.patch.object(encoding, "BLOCK", 500):
        rows, bad, _ = content(table_of(folder, values))
    assert rows == []
    assert "".join(bad).count(CANARY) == 1000


def test_as_a_pipeline_reads_it(folder: Path) -> None:
    """All rows in one schema, though the keys of the first differ from those of the last; position ends at the size."""
    rows = [{"a": number} for number in range(70_000)] + [{"b": "x"}]
    table = table_of(folder, json.dumps(rows))
    read = table.reader().read_all()
    assert read.schema.names == ["a", "b"]
    assert read.num_rows == len(rows)
    assert [batch.num_rows for batch in table.batches()] == [65_536, 4_465]
    assert table.position() == table.size


def test_korean_encodings(folder: Path) -> None:
    """CP949 and UTF-16 are read like UTF-8."""
    for coding in ("cp949", "utf-16"):
        assert content(table_of(folder, '[{"이름": "홍길동"}]'.encode(coding)))[0] == [{"이름": "홍길동"}]
    assert connectors.open(str(folder / "t.json")).format == "json"
