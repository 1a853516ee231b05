"""What pipelines rely on of SQLite and DuckDB alone."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from databases import Made, by_sqlalchemy, duckdb_file, sqlite

import pii_guard
from pii_guard.errors import ReadError, TargetError, UsageError, WriteError

PHONE = "010-9876-5432"


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Made]:
    with sqlite(tmp_path) as database:
        yield database


@pytest.fixture
def duck(tmp_path: Path) -> Iterator[Made]:
    with duckdb_file(tmp_path) as database:
        yield database


def schema_of(made: Made, table: str = "t") -> dict[str, str]:
    schema = pii_guard.read(made.url, table=table).schema
    return dict(zip(schema.names, map(str, schema.types), strict=True))


@pytest.mark.parametrize(
    ("declared", "given"),
    [
        ("INTEGER", "int64"),
        ("unsigned big int", "int64"),
        ("BOOLEAN", "bool"),
        ("varchar(20)", "string"),
        ("NATIVE CHARACTER(70)", "string"),
        ("BLOB", "binary"),
        ("double precision", "double"),
        ("float", "double"),
        ("DECIMAL(10,2)", "decimal128(10, 2)"),
        ("numeric(10)", "decimal128(10, 0)"),
        ("DECIMAL(20,2)", "string"),
        ("DECIMAL_TEXT(50, 3)", "decimal256(50, 3)"),
        ("NUMERIC", "string"),
        ("date", "date32[day]"),
        ("datetime", "timestamp[us]"),
        ("TIMESTAMP WITH TIME ZONE", "timestamp[us, tz=UTC]"),
        ("time", "time64[us]"),
        ("", "string"),
        ("STRING", "string"),
    ],
)
def test_declared_types_of_sqlite(lite: Made, declared: str, given: str) -> None:
    """What a column is declared as is what it gives."""
    lite.execute(f"CREATE TABLE t (a {declared})")
    assert schema_of(lite) == {"a": given}


@pytest.mark.parametrize(
    ("declared", "stored", "value"),
    [
        ("INTEGER", "9223372036854775807", 2**63 - 1),
        ("REAL", "1", 1.0),
        ("BOOLEAN", "1", True),
        ("DECIMAL(10,2)", "'1.5'", Decimal("1.50")),
        ("DATE", "'2024-02-29'", datetime.date(2024, 2, 29)),
        ("DATETIME", "'2024-02-29T12:00:00.5'", datetime.datetime(2024, 2, 29, 12, 0, 0, 500_000)),
        ("TIMESTAMPTZ", "'2024-02-29 12:00:00+09:00'", datetime.datetime(2024, 2, 29, 3, tzinfo=datetime.UTC)),
        ("TIME", "'23:59:59'", datetime.time(23, 59, 59)),
        ("", "5", "5"),
        ("TEXT", "x'ff'", None),
        ("INTEGER", f"'{PHONE}'", None),
        ("INTEGER", "1.5", None),
        ("BOOLEAN", "2", None),
        ("DATE", f"'{PHONE}'", None),
        ("DATE", "1709164800", None),
        ("DECIMAL(10,2)", "1.005", None),
        ("TIME", "'25:00:00'", None),
        ("BLOB", f"'{PHONE}'", PHONE.encode()),
    ],
)
def test_values_of_sqlite(lite: Made, declared: str, stored: str, value: object) -> None:
    """A value of the declared type is read; any other (None here) stops the reading by the name of the column."""
    lite.execute(f"CREATE TABLE t (a {declared})", f"INSERT INTO t VALUES ({stored})")
    if value is not None:
        assert pii_guard.read(lite.url, table="t").read_all().to_pylist() == [{"a": value}]
        return
    with pytest.raises(ReadError, match="column a holds a value that is no ") as caught:
        pii_guard.read(lite.url, table="t").read_all()
    assert PHONE not in str(caught.value)


def test_what_sqlite_would_not_keep(lite: Made) -> None:
    """NaN would become null, a long decimal a floating-point number: both are refused."""
    with pytest.raises(WriteError, match="column a holds NaN, which SQLite would keep as null"):
        pii_guard.write(pa.table({"a": [float("nan")]}), lite.url, table="t")
    lite.execute("CREATE TABLE t (a DECIMAL(20,2))")
    with pytest.raises(UsageError, match="a is decimal128"):
        pii_guard.write(pa.table({"a": [Decimal("123456789012345678.90")]}), lite.url, table="t", mode="append")
    assert pii_guard.write(pa.table({"a": [float("inf")]}), lite.url, table="u") == 1
    assert pii_guard.read(lite.url, table="u").read_all()["a"].to_pylist() == [float("inf")]


def test_sqlite_keeps_only_days_that_are_read_back(lite: Made) -> None:
    """A day of a year that has not four digits is refused, before or behind; the outermost ones are kept."""
    kinds = {"day": pa.date32(), "at": pa.timestamp("us")}
    for name, kind in kinds.items():
        for wrong in (-800_000, 3_000_000):
            days = pa.array([0, None, wrong], pa.int32()).cast(pa.date32())
            with pytest.raises(WriteError, match=f"column {name} holds a day outside of the years 0000 to 9999"):
                pii_guard.write(pa.table({name: days.cast(kind)}), lite.url, table=name)
        kept = pa.table({name: pa.array([datetime.date.min, None, datetime.date.max]).cast(kind)})
        pii_guard.write(kept, lite.url, table=name)
        assert pii_guard.read(lite.url, table=name).read_all().equals(kept)


def test_sqlite_with_a_log(lite: Made) -> None:
    """What waits in a write-ahead log is read; a database that another program writes is waited for, then named."""
    path = lite.url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
        other.execute("INSERT INTO t VALUES (1, 'x')")
        other.commit()
        assert Path(path + "-wal").stat().st_size > 0
        assert pii_guard.read(lite.url, table="t").read_all().to_pylist() == [{"a": 1, "b": "x"}]
    pii_guard.write(pa.table({"b": ["y"]}), lite.url, table="t", mode="append")
    assert lite.execute("SELECT * FROM t") == [(1, "x"), (2, "y")]
    with pytest.raises(UsageError, match="SQLite has no schemas"):
        pii_guard.read(lite.url, table="t", schema="main")


def test_reading_sqlite_makes_and_changes_nothing(lite: Made) -> None:
    """Neither a file that is not there nor one that is."""
    lite.execute("CREATE TABLE t (a)")
    path = Path(lite.url.removeprefix("sqlite:///"))
    before = path.read_bytes(), sorted(path.parent.iterdir())
    pii_guard.read(lite.url, table="t").read_all()
    with pytest.raises(ReadError):
        pii_guard.read(lite.url, table="t", where="1) = 1; DELETE FROM t --").read_all()
    assert (path.read_bytes(), sorted(path.parent.iterdir())) == before
    with pytest.raises(TargetError, match="no such file"):
        pii_guard.read(f"sqlite:///{path.parent}/no.db", table="t")
    assert sorted(path.parent.iterdir()) == before[1]


def test_types_of_duckdb(duck: Made) -> None:
    """Types that Arrow has are kept, nested ones too; the others are text, and go back where they came from."""
    duck.execute(
        "CREATE TABLE t (h hugeint, u uuid, j json, e enum('a', 'b'), i interval, b bit, n timestamp_ns, "
        "s timestamp_s, z timestamptz, d decimal(38, 10), l struct(a int, b varchar[])[], m map(varchar, date), "
        "c decimal(4, 1))",
        "INSERT INTO t VALUES (-170141183460469231731687303715884105727, '6ccd780c-baba-1026-9564-5b8c656024db', "
        "'{\"a\": 1}', 'b', INTERVAL 3 DAYS, '101', '2024-01-01 00:00:00.000000001', '2024-01-01', "
        "'2024-01-01 09:00:00+09', 1.5, [{'a': 1, 'b': ['x']}], MAP {'k': DATE '2024-01-01'}, 1.5)",
        "INSERT INTO t (h) VALUES (NULL)",
        "CREATE TABLE alike AS FROM t LIMIT 0",
    )
    read = pii_guard.read(duck.url, table="t").read_all()
    assert [str(read.schema.field(name).type) for name in "hujeibnszd"] == [
        *("string", "extension<arrow.uuid>", "extension<arrow.json>", "string", "string", "string"),
        *("timestamp[ns]", "timestamp[s]", "timestamp[us, tz=UTC]", "decimal128(38, 10)"),
    ]
    first = read.slice(0, 1).to_pylist()[0]
    assert (first["h"], first["e"], first["i"], first["b"]) == (str(1 - 2**127), "b", "3 days", "101")
    assert (first["l"], first["m"]) == ([{"a": 1, "b": ["x"]}], [("k", datetime.date(2024, 1, 1))])
    assert first["z"] == datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    assert pii_guard.write(read, duck.url, table="alike", mode="append") == 2
    path = duck.url.removeprefix("duckdb:///")
    with closing(duckdb.connect(path, read_only=True)) as connection:
        assert connection.execute("FROM t EXCEPT FROM alike").fetchall() == []
        assert connection.execute("FROM alike EXCEPT FROM t").fetchall() == []


def test_duckdb_refuses_in_our_words(duck: Made) -> None:
    """Infinity, views, schemas that are not there, text that is no value."""
    duck.execute(
        "CREATE TABLE t (d date, s timestamp, j json)",
        "INSERT INTO t VALUES ('infinity', NULL, NULL), (NULL, '-infinity', NULL)",
        "CREATE VIEW v AS FROM t",
    )
    for column in "ds":
        with pytest.raises(ReadError, match=f"column {column} holds infinity"):
            pii_guard.read(duck.url, table="t", where=f"{column} IS NOT NULL").read_all()
    rows = pa.table({"d": [datetime.date(2024, 1, 1)], "s": [datetime.datetime(2024, 1, 1)], "j": ["{"]})
    with pytest.raises(TargetError, match="is a view"):
        pii_guard.write(rows, duck.url, table="v", mode="append")
    with pytest.raises(WriteError, match="DuckDB refuses it"):
        pii_guard.write(rows, duck.url, table="t", mode="append")
    with pytest.raises(WriteError, match="there is no such schema"):
        pii_guard.write(rows, duck.url, table="t", schema="nowhere")
    with pytest.raises(WriteError, match="a table is there whose name differs in case alone"):
        pii_guard.write(rows, duck.url, table="T")
    duck.execute('CREATE SCHEMA "s 1"')
    assert pii_guard.write(rows, duck.url, table="t", schema="s 1") == 1
    assert pii_guard.read(duck.url, table="t", schema="s 1").read_all()["j"].to_pylist() == ["{"]


def test_types_by_sqlalchemy(tmp_path: Path) -> None:
    """A database that only SQLAlchemy knows gives the types that its dialect reflects."""
    with by_sqlalchemy(tmp_path) as made:
        made.execute(
            "CREATE TABLE t (i INTEGER, f FLOAT, d NUMERIC(6, 2), n NUMERIC, b BOOLEAN, t TEXT, x BLOB, day DATE, "
            'at DATETIME, "odd:name %s" TIME)',
            "INSERT INTO t VALUES (1, 1.5, 2.25, 3, 1, 'a', x'00ff', '2024-02-29', '2024-02-29 01:02:03.5', "
            "'01:02:03.5')",
            "INSERT INTO t (i) VALUES (NULL)",
        )
        read = pii_guard.read(made.url, table="t", where="t = 'a' OR ':i' <> ':i' -- :x").read_all()
        assert [str(kind) for kind in read.schema.types] == [
            *("int64", "double", "decimal128(6, 2)", "string", "bool", "string", "binary"),
            *("date32[day]", "timestamp[us]", "time64[us]"),
        ]
        moment = datetime.datetime(2024, 2, 29, 1, 2, 3, 500_000)
        assert list(read.to_pylist()[0].values()) == [
            *(1, 1.5, Decimal("2.25"), "3.0000000000", True, "a", b"\x00\xff", moment.date(), moment, moment.time())
        ]
        assert pii_guard.read(made.url, table="t").read_all().num_rows == 2
        made.execute(f"UPDATE t SET i = '{PHONE}'")
        with pytest.raises(ReadError, match="column i holds a value that is no int64") as caught:
            pii_guard.read(made.url, table="t").read_all()
        assert PHONE not in str(caught.value)
