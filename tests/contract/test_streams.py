"""One suite over all databases for pipelines: tables read with their types, and written whole or not at all."""

from __future__ import annotations

import datetime
import decimal
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from databases import CASES, Case, Made, postgresql

import pii_guard
from pii_guard.connectors import Source, discover
from pii_guard.connectors.database_url import DATABASES as KINDS
from pii_guard.connectors.database_url import Mode, database_of
from pii_guard.errors import PiiGuardError, ReadError, TargetError, UsageError, WriteError

PAGE = (Path(__file__).parents[2] / "docs" / "pipelines.md").read_text(encoding="utf-8")
ROWS = [row.strip("| ").split(" | ") for row in PAGE.splitlines() if row.startswith("| ")]
WRITABLE = {kind.id for kind in KINDS if kind.load().capabilities.writable}
DATABASES = ["postgresql", "mysql", "sqlite", "duckdb"]
MAPPED = next(number for number, row in enumerate(ROWS) if row[1:] == DATABASES)
TYPES = {row[0]: dict(zip(DATABASES, row[1:], strict=True)) for row in ROWS[MAPPED + 1 :]}
PHONE = "010-9876-5432"
ODD = ("고객 2024", "select", 'a"b', "a`b", "a'b", "100%s", "a\\b", "a;b--", "a b", "Grüße", "A.B", "x" * 60)
UTC = datetime.UTC
DAY = datetime.date(2024, 2, 29)
NOON = datetime.datetime(2024, 2, 29, 12, 34, 56, 789012)
D = decimal.Decimal

VALUES: dict[str, list[Any]] = {
    "bool": [True, False],
    **{f"{sign}int{bits}": [0, 100] for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "int64": [-(2**63), 2**63 - 1],
    "uint64": [0, 2**64 - 1],
    "halffloat": [0.5, -2.0],
    "float": [0.1, 1e30],
    "double": [0.1, 1e300],
    "decimal32(7, 2)": [D("1.50"), D("-12345.67")],
    "decimal128(38, 10)": [D("1.50"), D("-1234567890123456789012345678.0123456789")],
    "decimal256(50, 3)": [D("1.500"), D(10**46)],
    "decimal256(76, 40)": [D("1.5"), D(-3)],
    "decimal128(5, -2)": [D(100), D(-300)],
    **{
        key: ["it's \\ 'ㄱ'\n\t\"%s;", ""]
        for key in ("string", "large_string", "string_view", "dictionary<values=string, indices=int8, ordered=0>")
    },
    "run_end_encoded<run_ends: int32, values: string>": ["a", "a"],
    "null": [None, None],
    **{key: [bytes(range(256)), b""] for key in ("binary", "large_binary")},
    "fixed_size_binary[2]": [b"\x00\xff", b"'\\"],
    **{key: [DAY, datetime.date(1970, 1, 1)] for key in ("date32[day]", "date64[ms]")},
    "time32[s]": [datetime.time(0), datetime.time(23, 59, 59)],
    **{key: [datetime.time(0), NOON.time()] for key in ("time64[us]", "time64[ns]")},
    "timestamp[s]": [NOON.replace(microsecond=0), NOON.replace(1972, microsecond=0)],
    **{key: [NOON, NOON.replace(1972)] for key in ("timestamp[us]", "timestamp[ns]")},
    "timestamp[us, tz=Asia/Seoul]": [NOON.replace(tzinfo=UTC), NOON.replace(1972, tzinfo=UTC)],
    "extension<arrow.uuid>": [bytes(range(16)), bytes(16)],
    "extension<arrow.json>": ['{"a": 1}', "[]"],
    "list<item: int32>": [[1, 2], []],
    "struct<a: int32>": [{"a": 1}, {"a": None}],
    "map<string, int32>": [[("a", 1)], []],
    "duration[us]": [1, 2],
    "month_day_nano_interval": [(1, 2, 3), (0, 0, 0)],
}


def arrow(name: str) -> pa.Array:
    """Two values and a null of an Arrow type, by the text of the type."""
    values = [*VALUES[name], None]
    special: dict[str, Callable[[], pa.Array]] = {
        "halffloat": lambda: pa.array(values, pa.float32()).cast(pa.float16()),
        "extension<arrow.uuid>": lambda: pa.ExtensionArray.from_storage(pa.uuid(), pa.array(values, pa.binary(16))),
        "extension<arrow.json>": lambda: pa.ExtensionArray.from_storage(pa.json_(), pa.array(values, pa.string())),
        "dictionary<values=string, indices=int8, ordered=0>": lambda: (
            pa.array(values).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string()))
        ),
        "run_end_encoded<run_ends: int32, values: string>": lambda: pa.RunEndEncodedArray.from_arrays(
            pa.array([2, 3], pa.int32()), pa.array(["a", None])
        ),
        "list<item: int32>": lambda: pa.array(values, pa.list_(pa.int32())),
        "struct<a: int32>": lambda: pa.array(values, pa.struct([("a", pa.int32())])),
        "map<string, int32>": lambda: pa.array(values, pa.map_(pa.string(), pa.int32())),
        "date64[ms]": lambda: pa.array(values, pa.date64()),
        "date32[day]": lambda: pa.array(values, pa.date32()),
    }
    if name in special:
        made = special[name]()
    elif decimals := re.fullmatch(r"decimal(\d+)\((\d+), (-?\d+)\)", name):
        kind = {"32": pa.decimal32, "128": pa.decimal128, "256": pa.decimal256}[decimals[1]]
        made = pa.array(values, kind(int(decimals[2]), int(decimals[3])))
    elif name.startswith("timestamp"):
        unit, zone = re.fullmatch(r"timestamp\[(\w+)(?:, tz=(.+))?\]", name).groups()  # type: ignore[union-attr]
        made = pa.array(values, pa.timestamp(unit, zone))
    elif name.startswith("fixed"):
        made = pa.array(values, pa.binary(2))
    else:
        made = pa.array(values, pa.type_for_alias(name))
    assert str(made.type) == name
    return made


@pytest.fixture(params=CASES, ids=lambda case: case.id)
def case(request: pytest.FixtureRequest) -> Case:
    assert isinstance(request.param, Case)
    return request.param


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """One database of PostgreSQL for all tests: to make one takes the server half a second."""
    with postgresql(tmp_path_factory.mktemp("shared")) as database:
        yield database


@contextmanager
def empty(case: Case, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Made]:
    """A database without tables."""
    if case.id != "postgresql":
        with case.make(tmp_path) as database:
            yield database
        return
    database = request.getfixturevalue("shared")
    try:
        yield database
    finally:
        database.execute("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")


@pytest.fixture
def made(case: Case, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Made]:
    with empty(case, tmp_path, request) as database:
        yield database


@pytest.fixture(params=[case for case in CASES if case.id in WRITABLE], ids=lambda case: case.id)
def writing(request: pytest.FixtureRequest) -> Case:
    """A kind of database that declares that it is written."""
    assert isinstance(request.param, Case)
    return request.param


@pytest.fixture
def writable(writing: Case, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Made]:
    with empty(writing, tmp_path, request) as database:
        yield database


def columns_of(url: str, table: str) -> pa.Table:
    return pii_guard.read(url, table=table).read_all()


def rows(table: pa.Table) -> list[tuple[Any, ...]]:
    return sorted((tuple(row.values()) for row in table.to_pylist()), key=repr)


def broken(schema: pa.Schema, batches: list[pa.RecordBatch], error: BaseException) -> pa.RecordBatchReader:
    """A reader that fails behind `batches`."""

    def read() -> Iterator[pa.RecordBatch]:
        yield from batches
        raise error

    return pa.RecordBatchReader.from_batches(schema, read())


# --- reading ----------------------------------------------------------------------------------------------------------


def test_a_table_is_read(made: Made) -> None:
    """All rows of a table under its odd names, the columns that were asked for, the rows that a condition chooses."""
    made.fill("고객 2024", ("고객 이름", "me\"mo`'%s\\"), [(f"n{i}", str(i % 10)) for i in range(1000)])
    read = columns_of(made.url, "고객 2024")
    assert read.schema == pa.schema([("고객 이름", pa.string()), ("me\"mo`'%s\\", pa.string())])
    assert rows(read) == sorted((f"n{i}", str(i % 10)) for i in range(1000))
    names = ["me\"mo`'%s\\", "고객 이름"]
    assert pii_guard.read(made.url, table="고객 2024", columns=names).schema.names == names
    column = made.name(names[1])
    some = pii_guard.read(
        made.url, table="고객 2024", where=f"{column} LIKE 'n99%' AND '%s:a' = '%s:a' -- all"
    ).read_all()
    assert some.num_rows == 11
    assert pii_guard.read(made.url, table="고객 2024", where="1 = 0").read_all().schema == read.schema


def test_batches_are_bounded_and_let_go(made: Made) -> None:
    """Batches have at most 65,536 rows; a reading that stops half way leaves nothing open behind it."""
    made.fill("t", ("a",), [(str(i),) for i in range(14_000)])
    made.execute("INSERT INTO t SELECT 'x' FROM t AS one, (SELECT * FROM t LIMIT 4) AS other")
    sizes = [batch.num_rows for batch in pii_guard.read(made.url, table="t")]
    assert (sum(sizes), max(sizes) <= 65_536) == (70_000, True)
    reader = pii_guard.read(made.url, table="t")
    reader.read_next_batch()
    del reader
    made.execute("DROP TABLE t")


def test_what_cannot_be_read_is_said(case: Case, made: Made) -> None:
    """No table, no such column, a condition that is no SQL: an error of ours, without the driver's message."""
    made.fill("t", ("a",), [(PHONE,)])
    with pytest.raises(UsageError, match="say which table"):
        pii_guard.read(made.url)
    with pytest.raises(TargetError, match="table nothing: there is no such table"):
        pii_guard.read(made.url, table="nothing")
    with pytest.raises(UsageError, match="table t has no column b; it has a"):
        pii_guard.read(made.url, table="t", columns=["a", "b"])
    with pytest.raises(ReadError) as caught:
        pii_guard.read(made.url, table="t", where=f"a = '{PHONE}' AND missing = 1").read_all()
    assert PHONE not in str(caught.value)
    assert caught.value.__suppress_context__
    if case.id != "sqlalchemy":  # any driver's
        assert "there is no such column" in caught.value.reason
        with pytest.raises(ReadError, match="a mistake in the SQL"):
            pii_guard.read(made.url, table="t", where=f"a = = '{PHONE}'").read_all()
    with pytest.raises(UsageError, match=r"columns is a list of names; write \['a'\]"):
        pii_guard.read(made.url, table="t", columns="a")
    with pytest.raises(UsageError, match="half a character"):
        pii_guard.read(made.url, table="\udc80")


def test_files_are_read_by_the_same_call(tmp_path: Path) -> None:
    """A file gives its table; what is for databases is refused."""
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,x\n2,y\n")
    assert pii_guard.read(path).read_all().to_pylist() == [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]
    assert pii_guard.read(path, table="t", columns=["b"]).read_all().to_pydict() == {"b": ["x", "y"]}
    for wrong in ({"where": "a = 1"}, {"schema": "s"}, {"table": "u"}, {"columns": ["c"]}):
        with pytest.raises(UsageError):
            pii_guard.read(path, **wrong)
    with pytest.raises(UsageError, match="are for databases"):
        pii_guard.write(pa.table({"a": [1]}), tmp_path / "o.csv", table="t")


def test_types_that_come_as_others(case: Case, made: Made) -> None:
    """What the documentation says of the types that Arrow has not."""
    rows = [row for row in ROWS[: ROWS.index(["mode", "what it does"])] if row[0] == case.id]
    assert rows or case.id == "sqlalchemy"
    for number, (_, types, given, *_) in enumerate(rows):
        declared = re.findall(r"`([^`]+)`", types)
        columns = ", ".join(f"c{place} {kind}" for place, kind in enumerate(declared))
        made.execute(f"CREATE TABLE t{number} ({columns})")
        read = pii_guard.read(made.url, table=f"t{number}").schema
        assert [str(kind) for kind in read.types] == [given] * len(declared), types


# --- writing ----------------------------------------------------------------------------------------------------------


def test_every_type(writing: Case, writable: Made) -> None:
    """Of every Arrow type a new table has the column that the documentation says, or refuses it before it is made."""
    homeless = {name: arrow(name) for name, declared in TYPES.items() if declared[writing.id] == "-"}
    with pytest.raises(UsageError, match="no type of the database keeps ") as caught:
        pii_guard.write(pa.table({"a": [1, 2, 3], **homeless}), writable.url, table="refused")
    named = str(caught.value).partition("keeps ")[2].partition("; cast or leave out")[0]
    assert named == ", ".join(f"{name} ({name})" for name in homeless)
    assert names_of(writable) == set()
    data = pa.table({name: arrow(name) for name in TYPES if name not in homeless})
    assert pii_guard.write(data, writable.url, table="t") == 3
    assert declared_in(writing, writable) == [TYPES[name][writing.id] for name in data.schema.names]
    read = pii_guard.read(writable.url, table="t").read_all()
    for name in data.schema.names:
        expected = [shown(value, name) for value in data[name].to_pylist()]
        if writing.id == "postgresql" and name.startswith("list"):
            expected = ["{1,2}", "{}", None]  # arrays come as text, in the manner of the server
        assert [shown(value, name) for value in read[name].to_pylist()] == expected, name


def shown(value: Any, name: str) -> Any:
    """A value without what databases do not keep: the zone of a time, the class of a UUID."""
    if isinstance(value, datetime.datetime) and value.tzinfo:
        return value.astimezone(UTC)
    return str(value) if "uuid" in name and value is not None else value


def declared_in(writing: Case, made: Made) -> list[str]:
    """The types of the columns of the table `t`, in the words of the database."""
    sql = {
        "postgresql": "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 't'::regclass "
        "AND attnum > 0 ORDER BY attnum",
        "mysql": "SELECT column_type FROM information_schema.columns WHERE table_schema = DATABASE() ORDER BY "
        "ordinal_position",
        "sqlite": "SELECT type FROM pragma_table_info('t')",
        "duckdb": "SELECT data_type FROM duckdb_columns() WHERE table_name = 't' ORDER BY column_index",
    }[writing.id]
    width = re.compile(r"\b((?:tiny|small|big)?int)\((?!1\))\d+\)")  # MariaDB shows widths for the eye
    return [width.sub(r"\1", found) for (found,) in made.execute(sql)]


def test_what_is_only_read(made: Made, case: Case) -> None:
    """A database of a kind that declares no writing refuses it; the documentation has all others."""
    assert set(DATABASES) == WRITABLE
    if case.id not in WRITABLE:
        with pytest.raises(UsageError, match="are only read; written are postgresql, mysql, sqlite, duckdb"):
            pii_guard.write(pa.table({"a": [1]}), made.url, table="t")


def test_every_type_is_tried() -> None:
    """The page lists every type that there are values for, and the other way round."""
    assert TYPES.keys() == VALUES.keys()


def test_what_is_written_is_read_back_equal(writable: Made) -> None:
    """What a table gave goes into a new table and into an old one, and comes out again the same, type by type."""
    names = [
        name for name in TYPES if name not in ("null", "duration[us]", "month_day_nano_interval", "decimal128(5, -2)")
    ]
    kept = {name: arrow(name) for name in names if TYPES[name][case_of(writable)] != "-"}
    assert pii_guard.write(pa.table(kept), writable.url, table="first") == 3
    first = columns_of(writable.url, "first")
    pii_guard.write(first, writable.url, table="second")
    assert columns_of(writable.url, "second").equals(first)
    for mode, times in (("append", 2), ("replace", 1), ("swap", 1)):
        # DuckDB does not open a file for reading and for writing in one process
        reader = first if case_of(writable) == "duckdb" else pii_guard.read(writable.url, table="first")
        assert pii_guard.write(reader, writable.url, table="second", mode=mode) == 3  # type: ignore[arg-type]
        assert rows(columns_of(writable.url, "second")) == sorted(rows(first) * times, key=repr)
    assert columns_of(writable.url, "second").schema == first.schema


def case_of(made: Made) -> str:
    kind = database_of(made.url)
    assert kind is not None
    return kind.id


def test_odd_names(writable: Made) -> None:
    """Tables and columns may have any name."""
    data = pa.table([pa.array([number]) for number in range(len(ODD))], names=list(ODD))
    for name in ODD[::2]:
        for mode in ("create", "replace"):
            pii_guard.write(data, writable.url, table=name, mode=mode)
        assert columns_of(writable.url, name).to_pylist() == data.to_pylist()
    assert len(names_of(writable)) == len(ODD[::2])


def test_no_rows(writable: Made) -> None:
    """A table of no rows is made with its columns; replacing by no rows empties."""
    empty = pa.table({"a": pa.array([], pa.int64()), "b": pa.array([], pa.string())})
    assert pii_guard.write(empty, writable.url, table="t") == 0
    assert columns_of(writable.url, "t").schema == empty.schema
    pii_guard.write(pa.table({"a": [1], "b": ["x"]}), writable.url, table="t", mode="append")
    assert pii_guard.write(empty, writable.url, table="t", mode="replace") == 0
    assert columns_of(writable.url, "t").num_rows == 0


def test_modes(writable: Made) -> None:
    """`create` wants no table, the others want one; other words are none."""
    data = pa.table({"a": [1]})
    for mode in ("append", "replace", "swap"):
        with pytest.raises(TargetError, match="there is no such table; mode create makes it"):
            pii_guard.write(data, writable.url, table="t", mode=mode)
    pii_guard.write(data, writable.url, table="t")
    with pytest.raises(TargetError, match="table t exists already"):
        pii_guard.write(data, writable.url, table="t")
    with pytest.raises(UsageError, match="'upsert' is none of"):
        pii_guard.write(data, writable.url, table="t", mode="upsert")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="say which table"):
        pii_guard.write(data, writable.url)
    with pytest.raises(UsageError, match="are for files"):
        pii_guard.write(data, writable.url, table="t", overwrite=True)
    assert columns_of(writable.url, "t").to_pylist() == [{"a": 1}]


def test_columns_go_by_name(writable: Made) -> None:
    """Order means nothing; what is too much, missing or of another type is all said before anything is written."""
    pii_guard.write(pa.table({"a": [1], "b": ["x"], "c": [b"y"]}), writable.url, table="t")
    pii_guard.write(pa.table({"c": [b"z"], "a": [2], "b": ["w"]}), writable.url, table="t", mode="append")
    before = [(1, "x", b"y"), (2, "w", b"z")]
    assert rows(columns_of(writable.url, "t")) == before
    wrong = pa.table({"a": [1.5], "B": ["x"], "b": [[1]]})
    for mode in ("append", "replace", "swap"):
        with pytest.raises(UsageError, match=r"has no column B; the table wants also c; a is double.*; b is list<"):
            pii_guard.write(wrong, writable.url, table="t", mode=mode)
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(UsageError, match="columns of one name: a"):
        pii_guard.write(twice, writable.url, table="t", mode="append")
    with pytest.raises(UsageError, match="there is no column to write"):
        pii_guard.write(pa.table({}), writable.url, table="u")
    assert rows(columns_of(writable.url, "t")) == before


def test_columns_that_fill_themselves(writing: Case, writable: Made) -> None:
    """A default may be left out, a computed column must be."""
    writable.execute(
        "CREATE TABLE t (a int, b int DEFAULT 7, c int GENERATED ALWAYS AS (a + 1) "
        + ("VIRTUAL)" if writing.id == "duckdb" else "STORED)")
    )
    pii_guard.write(pa.table({"a": pa.array([1], pa.int32())}), writable.url, table="t", mode="append")
    assert rows(columns_of(writable.url, "t")) == [(1, 7, 2)]
    with pytest.raises(UsageError, match="the database computes itself c"):
        pii_guard.write(pa.table({"a": [1], "c": [2]}), writable.url, table="t", mode="append")


@pytest.mark.parametrize("error", [ValueError(PHONE), KeyboardInterrupt(), ReadError("x", "it broke")], ids=repr)
def test_a_stream_that_breaks(writable: Made, error: BaseException) -> None:
    """Whatever breaks a stream in its middle, the target is as it was, and what is raised is ours or Ctrl-C."""
    old = pa.table({"a": [1, 2, 3]})
    batches = pa.table({"a": range(6_000)}).to_batches(max_chunksize=2_000)
    for mode in ("create", "append", "replace"):  # swap: test_swap.py
        if mode == "append":
            pii_guard.write(old, writable.url, table="t")
        tables = names_of(writable)
        with pytest.raises((ReadError, KeyboardInterrupt)) as caught:
            pii_guard.write(broken(old.schema, batches, error), writable.url, table="t", mode=mode)
        assert PHONE not in str(caught.value)
        assert names_of(writable) == tables
    assert columns_of(writable.url, "t").equals(old)


def test_a_stream_of_other_columns_than_it_announces(writable: Made) -> None:
    """No value lands in a column of another name: nothing is written."""
    schema = pa.schema([("a", pa.int64()), ("b", pa.int64())])
    first = pa.record_batch({"a": [1], "b": [2]})
    others = (
        pa.record_batch({"b": [3], "a": [4]}),
        pa.record_batch({"b": [3]}),
        pa.record_batch({"a": ["3"], "b": ["4"]}),
    )
    for other in others:
        with pytest.raises(ReadError, match="after 1 rows comes a batch of other columns or types"):
            pii_guard.write(pa.RecordBatchReader.from_batches(schema, iter([first, other])), writable.url, table="t")
        with pytest.raises(TargetError):
            pii_guard.read(writable.url, table="t")


def test_ctrl_c_is_ctrl_c(writable: Made) -> None:
    """Whatever the database is at, the signal is raised as itself, and the target is as it was."""
    old = pa.table({"a": [1, 2, 3]})
    pii_guard.write(old, writable.url, table="t")

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(50):
            yield pa.record_batch({"a": pa.array(range(2_000), pa.int64())})
            if number == 3:
                os.kill(os.getpid(), signal.SIGINT)

    for mode in ("append", "replace", "swap"):
        with pytest.raises(KeyboardInterrupt):
            pii_guard.write(
                pa.RecordBatchReader.from_batches(old.schema, batches()), writable.url, table="t", mode=mode
            )
        assert columns_of(writable.url, "t").equals(old)


def test_a_table_that_is_being_read(writing: Case, writable: Made) -> None:
    """Rows of one table go into another of the same database, and into itself; DuckDB says that it cannot."""
    data = pa.table({"a": range(60_000), "b": ["x" * 100] * 60_000})
    pii_guard.write(data, writable.url, table="t")
    if writing.id == "duckdb":
        with pytest.raises(WriteError, match="is being read; DuckDB opens a file for reading or for writing"):
            pii_guard.write(pii_guard.read(writable.url, table="t"), writable.url, table="u")
        return
    assert pii_guard.write(pii_guard.read(writable.url, table="t"), writable.url, table="u") == 60_000
    assert pii_guard.write(pii_guard.read(writable.url, table="t"), writable.url, table="t", mode="append") == 60_000
    assert columns_of(writable.url, "t").num_rows == 120_000


def test_names_that_differ_in_case_alone(writing: Case, writable: Made) -> None:
    """They are two columns of PostgreSQL, and an error before anything is written elsewhere."""
    data = pa.table({"Name": [1], "name": [2]})
    if writing.id == "postgresql":
        pii_guard.write(data, writable.url, table="t")
        assert columns_of(writable.url, "t").equals(data)
        return
    with pytest.raises(UsageError, match="columns whose names differ in case alone: Name, name; nothing was written"):
        pii_guard.write(data, writable.url, table="t")


def names_of(made: Made) -> set[str]:
    return {table.name for item in discover(made.url) if isinstance(item, Source) for table in item.tables()}


def test_a_constraint_that_breaks_on_the_last_row(writable: Made) -> None:
    """The table is as it was; the error says what is wrong and quotes no row."""
    key = "varchar(20)" if case_of(writable) == "mysql" else "text"
    writable.execute(f"CREATE TABLE t (a {key} PRIMARY KEY)")
    pii_guard.write(pa.table({"a": [PHONE]}), writable.url, table="t", mode="append")
    values = [f"{number}" for number in range(5_000)] + [PHONE, PHONE]
    for mode in ("append", "replace"):
        with pytest.raises(WriteError, match=r"key.*nothing was written") as caught:
            pii_guard.write(pa.table({"a": values}), writable.url, table="t", mode=mode)
        assert PHONE not in str(caught.value)
        assert caught.value.__suppress_context__
    assert rows(columns_of(writable.url, "t")) == [(PHONE,)]
    pii_guard.write(pa.table({"a": [PHONE, "x"]}), writable.url, table="t", mode="replace")
    assert rows(columns_of(writable.url, "t")) == [(PHONE,), ("x",)]


def test_values_that_do_not_fit(writable: Made) -> None:
    """A value that its column would cut, round or refuse stops the writing and is named by its column alone."""
    pii_guard.write(
        pa.table({"n": pa.array([1], pa.int64()), "d": pa.array([D("1.00")], pa.decimal128(10, 2)), "t": [NOON]}),
        writable.url,
        table="t",
    )
    good = {"n": pa.array([2]), "d": pa.array([D("2.00")]), "t": pa.array([NOON])}
    for column, values in (
        ("n", pa.array([2**64 - 1], pa.uint64())),
        ("n", pa.array([PHONE])),
        ("d", pa.array([D("1.005")])),
        ("d", pa.array([10**9])),
        ("d", pa.array(["1.005"])),
        ("t", pa.array([1], pa.timestamp("ns"))),
        ("t", pa.array(["yesterday"])),
    ):
        with pytest.raises(WriteError, match=f"column {column} holds a value that .* nothing was written") as caught:
            pii_guard.write(pa.table({**good, column: values}), writable.url, table="t", mode="append")
        assert PHONE not in str(caught.value)
    fitting = {"n": pa.array(["3"]), "d": pa.array([4]), "t": pa.array(["2024-02-29 12:00:00.5"])}
    pii_guard.write(pa.table(fitting), writable.url, table="t", mode="append")
    assert rows(columns_of(writable.url, "t"))[1] == (
        3,
        D("4.00"),
        NOON.replace(minute=0, second=0, microsecond=500_000),
    )


def test_a_column_too_narrow_for_tokens(writing: Case, writable: Made) -> None:
    """The width that a column declares is looked at before the first row of a batch goes out."""
    writable.execute("CREATE TABLE t (phone varchar(20))")
    token = pa.table({"phone": ["pgd1" + "x" * 76]})
    if writing.id in ("sqlite", "duckdb"):  # widths mean nothing there
        assert pii_guard.write(token, writable.url, table="t", mode="append") == 1
        return
    with pytest.raises(WriteError, match=r"column phone holds a value of 80 characters, and .*\(20\) takes 20"):
        pii_guard.write(token, writable.url, table="t", mode="append")
    pii_guard.write(pa.table({"phone": ["가" * 20]}), writable.url, table="t", mode="append")
    assert rows(columns_of(writable.url, "t")) == [("가" * 20,)]


WRITER = """
import sys, time
import pyarrow as pa
import pii_guard

SCHEMA = pa.schema([("a", pa.int64()), ("b", pa.string())])

def batches():
    for number in range(6):
        yield pa.record_batch({"a": pa.array(range(2_000)), "b": ["x" * 1000] * 2_000})
        if number == 3:
            print("writing", flush=True)
        if number > 3:
            time.sleep(60)

pii_guard.write(pa.RecordBatchReader.from_batches(SCHEMA, batches()), sys.argv[1], table="t", mode=sys.argv[2])
"""


@pytest.mark.parametrize("mode", ["create", "replace", "swap"])
def test_a_process_that_is_killed(writing: Case, writable: Made, mode: Mode) -> None:
    """kill -9 in the middle leaves the table as it was; in MySQL `create` and `swap` leave one whose name tells what it
    is."""
    if mode == "swap" and writing.id in ("sqlite", "duckdb"):  # all modes are one transaction there
        return
    old = pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    if mode != "create":
        pii_guard.write(old, writable.url, table="t")
    with subprocess.Popen([sys.executable, "-c", WRITER, writable.url, mode], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        os.kill(process.pid, signal.SIGKILL)
    if writing.id == "sqlite":  # the next program that may write undoes what the killed one did
        with pytest.raises(ReadError, match="open it once with a program that may write"):
            pii_guard.read(writable.url, table="t")
        writable.execute("SELECT count(*) FROM sqlite_schema")
    if mode != "create":
        for _ in range(500):  # until the server has noticed
            if columns_of(writable.url, "t").equals(old):
                break
            time.sleep(0.02)
        assert columns_of(writable.url, "t").equals(old)
    else:
        with pytest.raises(TargetError):
            pii_guard.read(writable.url, table="t")
    left = {name for name in names_of(writable) if name.rpartition(".")[2] != "t"}
    assert all(writing.id == "mysql" and re.fullmatch(r"pii_guard_[0-9a-f]{16}", name) for name in left)
    pii_guard.write(old, writable.url, table="t", mode=mode)
    assert columns_of(writable.url, "t").equals(old)


def test_a_new_file(tmp_path: Path) -> None:
    """A SQLite or DuckDB file that is not there is made whole or not at all; one that was not asked for never is."""
    data = pa.table({"a": [1]})
    for kind in ("sqlite", "duckdb"):
        url = f"{kind}:///{tmp_path}/가 게.{kind}"
        for mode in ("append", "replace"):
            with pytest.raises(TargetError):
                pii_guard.write(data, url, table="t", mode=mode)
        with pytest.raises(ReadError):
            pii_guard.write(broken(data.schema, data.to_batches(), ValueError()), url, table="t")
        with pytest.raises(TargetError, match="no such file"):
            pii_guard.read(url, table="t")
        assert list(tmp_path.glob(f"*.{kind}*")) == list(tmp_path.glob(".*")) == []
        assert pii_guard.write(data, url, table="t") == 1
        assert [path.name for path in tmp_path.glob(f"*.{kind}*")] == [f"가 게.{kind}"]
        assert columns_of(url, "t").equals(data)
        with pytest.raises(TargetError, match="its directory does not exist"):
            pii_guard.write(data, f"{kind}:///{tmp_path}/nowhere/x.{kind}", table="t")
    (tmp_path / "text.duckdb").write_text("no database")
    (tmp_path / "text.sqlite").write_text("no database, though it is long enough to have been one" * 20)
    for kind in ("sqlite", "duckdb"):
        for act in (pii_guard.read, lambda url, table: pii_guard.write(data, url, table=table)):
            with pytest.raises(PiiGuardError, match=rf"text\.{kind}"):
                act(f"{kind}:///{tmp_path}/text.{kind}", table="t")


def test_many_rows(writable: Made) -> None:
    """Rows of many batches, and values that are large, arrive."""
    count = 70_000
    data = pa.table({"i": range(count), "s": [secrets.token_hex(4)] * count})
    assert pii_guard.write(data, writable.url, table="t") == count
    read = columns_of(writable.url, "t")
    assert read.sort_by("i").equals(data)
    large = pa.table({"s": ["x" * 3_000_000, "y"] * 2})
    assert pii_guard.write(large, writable.url, table="u") == 4
    assert columns_of(writable.url, "u").equals(large)
