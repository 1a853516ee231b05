"""JSON objects, one a line: nothing is lost where their types do not agree."""

from __future__ import annotations

import datetime
import decimal
import gc
import json
import math
import weakref
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pii_guard import connectors
from pii_guard.connectors import encoding, ndjson
from pii_guard.connectors import objects as json_objects
from pii_guard.connectors.base import UNPARSED
from pii_guard.connectors.ndjson import NdjsonTable
from pii_guard.connectors.ndjson_arrow import read_block
from pii_guard.connectors.objects import MAX_DEPTH, MAX_FIELDS
from pii_guard.connectors.resource import LocalFile
from pii_guard.errors import ReadError, UsageError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ndjson")


def table_of(folder: Path, *lines: Any) -> NdjsonTable:
    texts = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines]
    path = folder / "t.jsonl"
    path.write_bytes("\n".join(texts).encode("utf-8", "surrogatepass"))
    return NdjsonTable(LocalFile(path, path.name))


def content(table: NdjsonTable) -> tuple[list[dict[str, Any]], list[str]]:
    rows: list[dict[str, Any]] = []
    unparsed: list[str] = []
    for batch in table.batches():
        batch.validate(full=True)
        if batch.schema.names == [UNPARSED]:
            unparsed += batch.column(0).to_pylist()
        else:
            rows += batch.to_pylist()
    return rows, unparsed


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
objects = st.lists(st.dictionaries(st.sampled_from(["a", "b", "이름"]), values, max_size=3), max_size=8)


def as_read(value: Any, kind: pa.DataType) -> Any:
    """What a JSON value is in a column of an Arrow type."""
    if value is None or (pa.types.is_string(kind) and isinstance(value, str)):
        return value
    if pa.types.is_string(kind):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(kind, pa.StructType):
        return {field.name: as_read(value.get(field.name), field.type) for field in kind}
    if isinstance(kind, pa.ListType):
        return [as_read(item, kind.value_type) for item in value]
    return value


@given(objects, st.integers(16, 400))
def test_every_value_is_kept(folder: Path, rows: list[dict[str, Any]], block: int) -> None:
    """Each value is in its column and row, as itself or as its JSON, wherever blocks are cut; so in both readers."""
    table = table_of(folder, *rows)
    with mock.patch.object(encoding, "BLOCK", block):
        batches = list(table.batches())
        read = table.reader().read_all()
    position = 0
    for batch in batches:
        for got in batch.to_pylist():
            wanted = rows[position]
            assert got == {f.name: as_read(wanted.get(f.name), f.type) for f in batch.schema}
            assert set(wanted) <= set(got)
            position += 1
    assert position == len(rows)
    if read.schema.names:
        assert read.to_pylist() == [{f.name: as_read(row.get(f.name), f.type) for f in read.schema} for row in rows]
    assert table.unparsed == 0


def test_types_are_inferred(tmp_path: Path) -> None:
    """Objects and arrays become structs and lists, numbers numbers; columns stand in order of first appearance."""
    table = table_of(tmp_path, {"id": 1, "user": {"emails": ["hong@example.com"]}}, {"ok": True, "id": 2.5})
    assert table.reader().schema == pa.schema(
        {
            "id": pa.float64(),
            "user": pa.struct({"emails": pa.list_(pa.string())}),
            "ok": pa.bool_(),
        }
    )


@pytest.mark.parametrize(
    ("lines", "read"),
    [
        ([{"a": "010"}, {"a": 10}], ["010", "10"]),
        ([{"a": 2**64}, {"a": 1}], [str(2**64), "1"]),
        ([{"a": 2**60 + 1}, {"a": 0.5}], [str(2**60 + 1), "0.5"]),
        ([{"a": True}, {"a": 1.5}], ["true", "1.5"]),
        ([{"a": {"b": 1}}, {"a": {"b": "x"}}], ['{"b": 1}', '{"b": "x"}']),
        ([{"a": {"b": 1}}, {"a": [1]}], ['{"b": 1}', "[1]"]),
        (['{"a": 1, "a": "둘"}'], ['[1, "둘"]']),
        (['{"a": {"b": 1, "b": 2}}'], [{"b": [1, 2]}]),
        (['{"a": "\\ud800x"}'], ["?x"]),
        ([{"a": {str(n): n for n in range(MAX_FIELDS + 1)}}], [json.dumps({str(n): n for n in range(MAX_FIELDS + 1)})]),
    ],
)
@pytest.mark.parametrize("block", [8, 1 << 20])
def test_columns_of_no_one_type_are_text(tmp_path: Path, lines: list[Any], read: list[Any], block: int) -> None:
    """Where values do not agree, in one block or over blocks, strict reading gives text with every value in it."""
    with mock.patch.object(encoding, "BLOCK", block):
        assert [row["a"] for row in table_of(tmp_path, *lines).reader().read_all().to_pylist()] == read


def test_lines_that_do_not_parse(tmp_path: Path) -> None:
    """Broken lines, other JSON values and deep nesting come as text, in their order; strict reading names the first."""
    deep = '{"a": ' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "}"
    bad = [
        '{"a": ',
        "[1]",
        "17",
        "010-0000-0001",
        '{"a": 1} {"a": 2}',
        deep,
        "[" * 100_000,
        '{"a": ' + "9" * 5000 + "}",
    ]
    table = table_of(tmp_path, {"a": 1}, "", "  \r", *bad, {"a": 2})
    assert content(table) == ([{"a": 1}, {"a": 2}], bad)
    assert table.unparsed == len(bad)
    with pytest.raises(ReadError, match=r"^t\.jsonl: line 4: not a JSON object, or nested deeper than 64$"):
        table.reader()


def test_depth_is_bounded_exactly(tmp_path: Path) -> None:
    """An object of the greatest depth is read; wide ones with as many brackets too."""
    deepest = '{"a": ' + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1) + "}"
    wide = json.dumps({"a": [[] for _ in range(200)]})
    assert content(table_of(tmp_path, deepest, wide))[1] == []


def test_not_a_number(tmp_path: Path) -> None:
    """NaN and infinities are read as floats, and written as strings that any JSON parser takes."""
    table = table_of(tmp_path, '{"a": NaN, "b": [1.5, -Infinity]}')
    (row,), _ = content(table)
    assert math.isnan(row["a"])
    assert row["b"] == [1.5, -math.inf]
    target = tmp_path / "out.jsonl"
    connectors.write(table.reader(), str(target))
    assert json.loads(target.read_text(), parse_constant=pytest.fail) == {"a": "NaN", "b": [1.5, "-Infinity"]}


def test_mark_and_line_ends(tmp_path: Path) -> None:
    """A byte order mark, CRLF and CP949 are handled as in any text file."""
    path = tmp_path / "t.ndjson"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": 2}\r\n')
    assert content(NdjsonTable(LocalFile(path, "t"))) == ([{"a": 1}, {"a": 2}], [])
    path.write_bytes('{"이름": "홍길동"}'.encode("cp949"))
    assert content(NdjsonTable(LocalFile(path, "t"))) == ([{"이름": "홍길동"}], [])


def test_empty_objects_are_rows(tmp_path: Path) -> None:
    """An object without keys is a row."""
    assert sum(batch.num_rows for batch in table_of(tmp_path, {}, {}, {}).batches()) == 3


def test_objects_with_keys_of_their_own(tmp_path: Path) -> None:
    """A file whose every line has other keys gives small batches, not one with rows times keys cells."""
    count = 5000
    table = table_of(tmp_path, *({f"user{number}@example.com": number} for number in range(count)))
    batches = list(table.batches())
    assert sum(batch.num_rows for batch in batches) == count
    assert max(batch.num_rows * batch.num_columns for batch in batches) <= 2 * json_objects._CELLS
    nested: dict[str, Any] = {"x": [{} for _ in range(60_000)] + [{str(key): 1 for key in range(MAX_FIELDS)}]}
    (batch,) = table_of(tmp_path, nested).batches()
    assert batch.schema.field("x").type == pa.string()
    assert json.loads(batch.column(0)[0].as_py()) == nested["x"]


def test_line_larger_than_the_limit(tmp_path: Path) -> None:
    """A line too large to be parsed comes in windows; the lines around it are rows."""
    long = json.dumps({"a": " ".join(f"010-0000-{number:04d}" for number in range(2000))})
    table = table_of(tmp_path, {"a": "x"}, long, {"a": "y"})
    with (
        mock.patch.object(ndjson, "MAX_ROW", 4096),
        mock.patch("pii_guard.connectors.lines.LINE_LIMIT", 1024),
        mock.patch.object(encoding, "BLOCK", 512),
    ):
        rows, unparsed = content(table)
    assert rows == [{"a": "x"}, {"a": "y"}]
    assert {f"010-0000-{number:04d}" for number in range(2000)} <= {
        word for line in unparsed for word in line.replace('"', " ").replace("}", " ").split()
    }


def test_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    """Strict reading learns the schema first; a file that has other columns or types by then is an error."""
    for later in ({"a": "x"}, {"b": 1}):
        table = table_of(tmp_path, {"a": 1})
        assert table.resource.path
        reader = table.reader()
        table.resource.path.write_text(json.dumps(later))
        with pytest.raises(ReadError, match="the file changed while it was read"):
            reader.read_all()


def test_written_types(tmp_path: Path) -> None:
    """Dates, times and decimals are written as text, integers exactly, maps as pairs; binary and twins are refused."""
    batch = pa.record_batch(
        {
            "날짜": pa.array([datetime.date(2026, 1, 2), None]),
            "n": pa.array([2**63 - 1, None]),
            "d": pa.array([decimal.Decimal("1.20"), None]),
            "at": pa.array([datetime.datetime(2026, 1, 2, 3, 4), None], pa.timestamp("s")),
            "m": pa.array([[("k", datetime.date(2026, 1, 2))], None], pa.map_(pa.string(), pa.date32())),
            "dict": pa.array(["x", None]).dictionary_encode(),
            "view": pa.array(["한글", None], pa.string_view()),
        }
    )
    target = tmp_path / "out.jsonl"
    connectors.write(pa.RecordBatchReader.from_batches(batch.schema, [batch]), str(target))
    first, second = map(json.loads, target.read_text(encoding="utf-8").splitlines())
    assert first == {
        "날짜": "2026-01-02",
        "n": 2**63 - 1,
        "d": "1.20",
        "at": "2026-01-02 03:04:00",
        "m": [["k", "2026-01-02"]],
        "dict": "x",
        "view": "한글",
    }
    assert set(second.values()) == {None}
    for refused, why in (
        (pa.record_batch({"a": pa.array([b"\xff"])}), "column 1 holds values of type binary"),
        (pa.record_batch({"a": pa.array([[b"\xff"]])}), "column 1 holds values of type binary"),
        (
            pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]),
            "two columns have the same name",
        ),
    ):
        with pytest.raises(UsageError, match=why):
            connectors.write(pa.RecordBatchReader.from_batches(refused.schema, [refused]), str(tmp_path / "no.jsonl"))


def test_what_was_handed_out_is_freed(tmp_path: Path) -> None:
    """No chunk waits for the garbage collector: with one that seldom runs, memory would grow with the file."""
    table = table_of(tmp_path, {"a": {"b": 1}})
    gc.disable()
    try:
        with table.resource.open() as file:
            chunks = [weakref.ref(chunk) for chunk in table.chunks(file)]
        assert chunks
        assert not [chunk for chunk in chunks if chunk() is not None]
    finally:
        gc.enable()


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2**63 - 1, 2**63, -(2**63), 2**70]),
    st.sampled_from(["", "홍길동", "010-0000-0001", "2020-01-01 00:00:00", '"', "\ud83d", "\0", "1"]),
    st.floats(allow_nan=False, width=16),
    st.lists(st.sampled_from(["x", None, 1]), max_size=2),
    st.dictionaries(st.sampled_from("xy"), st.sampled_from(["x", None, 1, "010-0000-0001"]), max_size=2),
)
USUAL = st.fixed_dictionaries(
    {"a": st.sampled_from(["x", "홍길동"]), "n": st.integers(-9, 9), "o": st.just({"x": "y", "l": ["z"]})}
)
LINES = st.one_of(
    st.fixed_dictionaries({}, optional=dict.fromkeys("abno", VALUES)).map(json.dumps),
    USUAL.map(json.dumps),
    USUAL.map(lambda row: json.dumps(row, ensure_ascii=False, separators=(",", ":"))),
    st.sampled_from(
        [
            '{"a":"x"} {"a":"y"}',
            '{"a":',
            '"x"}',
            "{",
            "}",
            "",
            " ",
            "[]",
            "{}",
            '{"a":"1","a":"2"}',
            ' {"a":"x"}',
            '{"a":"x"} ',
            '{"n":1.0}',
            '{"n":-0}',
            '{"o":[{}',
            "{}]}",
            '{"a":"x","n":1,"o":{"x":"y","l":["z"],"l":[]}}',
            '{"a":NaN}',
        ],
    ),
)


def shape(kind: Any) -> Any:
    """A type without the order of the fields in it."""
    if isinstance(kind, pa.StructType):
        return {field.name: shape(field.type) for field in kind}
    return [shape(kind.value_type)] if isinstance(kind, pa.ListType) else str(kind)


@settings(max_examples=300)
@given(st.lists(USUAL.map(json.dumps), max_size=3), st.lists(LINES, max_size=12), st.sampled_from(["\n", "\r\n"]))
def test_pyarrow_and_python_agree(folder: Path, first: list[str], rest: list[str], eol: str) -> None:
    """Where pyarrow does not refuse a block, Python makes the same of it: the same rows, columns and types."""
    path = folder / "either.ndjson"
    path.write_bytes(eol.join([*first, *rest]).encode())
    table = NdjsonTable(LocalFile(path))

    def compared(data: bytes, schema: pa.Schema) -> pa.RecordBatch | None:
        fast = read_block(data, schema)
        if fast is not None:
            fast.validate(full=True)
            (chunk,) = ndjson._chunks(data, True, 0)
            (slow,) = NdjsonTable(LocalFile(path)).chunk_batches(chunk)
            assert fast.to_pylist() == slow.to_pylist()
            assert {field.name: shape(field.type) for field in fast.schema} == {
                field.name: shape(field.type) for field in slow.schema
            }
        return fast

    with (
        mock.patch.object(ndjson, "_FIRST", 2),
        mock.patch.object(encoding, "BLOCK", 200),
        mock.patch.object(ndjson, "read_block", compared),
    ):
        rows = sum(batch.num_rows for batch in table.batches())
    assert rows == sum(bool(line.strip()) for line in [*first, *rest])


def test_pyarrow_reads_what_is_of_one_shape(tmp_path: Path) -> None:
    """That is, it is asked at all, and does not refuse."""
    path = tmp_path / "a.ndjson"
    row = {"name": "홍길동", "at": "2026-01-01T00:00:00Z", "n": 9007199254740993, "ok": True, "tags": ["x"]}
    row["who"] = {"phone": "010-0000-0001"}
    path.write_text((json.dumps(row, ensure_ascii=False) + "\n") * 2000, encoding="utf-8")
    with mock.patch.object(ndjson, "_decoded", side_effect=ndjson._decoded) as decoded:
        rows = [row for batch in NdjsonTable(LocalFile(path)).batches() for row in batch.to_pylist()]
    assert rows == [row] * 2000
    assert decoded.call_count == ndjson._FIRST
