"""What pipelines rely on of MySQL and MariaDB alone."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pytest
from databases import Made, mariadb
from hypothesis import given
from hypothesis import strategies as st

import pii_guard
from pii_guard.connectors import mysql_stream
from pii_guard.errors import ReadError, TargetError, UsageError, WriteError

PHONE = "010-9876-5432"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    with mariadb(tmp_path) as database:
        yield database


def test_types(made: Made) -> None:
    """Every type of the server comes as the documentation says, exact, and goes back into a table of the same kind."""
    made.execute(
        "CREATE TABLE t (a tinyint(1), b tinyint unsigned, c bigint unsigned zerofill, d decimal(65,10), e float, "
        "f double, g bit(9), h year, i date, j time(3), k datetime(2), l timestamp NULL, m json, n uuid, o inet6, "
        "p enum('a','b'), q set('a','b'), r varchar(20), s varbinary(30), t longtext, u point, v char(5), w mediumint)",
        "INSERT INTO t VALUES (2, 255, 18446744073709551615, -1.5, 16777217.0, 1e300, b'100000001', 2024, "
        "'2024-01-01', '01:02:03.5', '2024-01-01 01:02:03.12', '2024-01-01 01:02:03', '{\"a\": 1}', "
        "'6ccd780c-baba-1026-9564-5b8c656024db', '::1', 'a', 'a,b', 'it''s \\\\', x'00ff275c', 'a\\0b', point(1, 2), "
        "'v', -5)",
        "INSERT INTO t () VALUES ()",
        "CREATE TABLE alike LIKE t",
    )
    read = pii_guard.read(made.url, table="t").read_all()
    assert dict(zip(read.schema.names, map(str, read.schema.types), strict=True)) == {
        "a": "int8",
        "b": "uint8",
        "c": "uint64",
        "d": "decimal256(65, 10)",
        "e": "float",
        "f": "double",
        "h": "int16",
        "i": "date32[day]",
        "j": "time64[us]",
        "k": "timestamp[us]",
        "l": "timestamp[us, tz=UTC]",
        "w": "int32",
        **dict.fromkeys("gsu", "binary"),
        **dict.fromkeys("mnopqrtv", "string"),
    }
    first, empty = read.to_pylist()
    assert set(empty.values()) == {None}
    assert [first[name] for name in "abcdefghjkmnopqrstvw"] == [
        *(2, 255, 2**64 - 1, Decimal("-1.5000000000"), 16777216.0, 1e300, b"\x01\x01", 2024),
        *(datetime.time(1, 2, 3, 500_000), datetime.datetime(2024, 1, 1, 1, 2, 3, 120_000)),
        *('{"a": 1}', "6ccd780c-baba-1026-9564-5b8c656024db", "::1", "a", "a,b", "it's \\", b"\x00\xff'\\", "a\0b"),
        *("v", -5),
    ]
    assert pii_guard.write(read, made.url, table="alike", mode="append") == 2
    assert pii_guard.read(made.url, table="alike").read_all().equals(read)


def test_what_arrow_has_no_value_for(made: Made) -> None:
    """Zero dates and times over a day stop the reading by the name of the column."""
    made.execute(
        "SET sql_mode = ''",
        "CREATE TABLE t (a date, b datetime, c time)",
        "INSERT INTO t VALUES ('0000-00-00', NULL, NULL), (NULL, '2024-00-00', NULL), (NULL, NULL, '25:00:00'), "
        "(NULL, NULL, '-00:00:01'), ('2024-01-01', '2024-01-01', '23:59:59')",
    )
    for column, where in (
        ("a", "a = 0"),
        ("b", "b IS NOT NULL AND a IS NULL"),
        ("c", "c > '24:00:00'"),
        ("c", "c < 0"),
    ):
        with pytest.raises(ReadError, match=f"column {column} holds a value that"):
            pii_guard.read(made.url, table="t", where=where).read_all()
    assert pii_guard.read(made.url, table="t", where="a > 0").read_all().num_rows == 1


def test_tables_that_cannot_be_written(made: Made) -> None:
    """Engines without transactions, views, foreign keys that would delete elsewhere, and no database in the URL."""
    made.execute(
        "CREATE TABLE t (id int PRIMARY KEY)",
        "INSERT INTO t VALUES (1)",
        "CREATE TABLE isam (id int) ENGINE = MyISAM",
        "CREATE VIEW v AS SELECT * FROM t",
        "CREATE TABLE child (id int, FOREIGN KEY (id) REFERENCES t (id) ON DELETE CASCADE)",
    )
    ids = pa.table({"id": pa.array([1], pa.int32())})
    with pytest.raises(TargetError, match="its engine MyISAM has no transactions"):
        pii_guard.write(ids, made.url, table="isam", mode="append")
    with pytest.raises(TargetError, match="is a view"):
        pii_guard.write(ids, made.url, table="v", mode="append")
    with pytest.raises(WriteError, match="to empty it would change child"):
        pii_guard.write(ids, made.url, table="t", mode="replace")
    server, _, database = made.url.rpartition("/")
    with pytest.raises(UsageError, match="names no database"):
        pii_guard.read(server, table="t")
    assert pii_guard.read(server, table="t", schema=database).read_all().equals(ids)
    assert pii_guard.write(ids, server, table="new", schema=database) == 1
    assert made.execute("SELECT * FROM new") == [(1,)]


def test_values_that_the_server_refuses(made: Made) -> None:
    """NaN and infinity are refused by us; what the server refuses is named by its column and not quoted."""
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(WriteError, match="column a holds NaN or infinity"):
            pii_guard.write(pa.table({"a": [1.0, None, wrong]}), made.url, table="t")
    made.execute("CREATE TABLE t (a int NOT NULL, b tinytext, c enum('a'))")
    for row, said in (
        ({"a": None, "b": "x", "c": "a"}, r"has none \(column a\)"),
        ({"a": 1, "b": PHONE * 40, "c": "a"}, r"too long for its column \(column b\)"),
        ({"a": 1, "b": "x", "c": PHONE}, r"none of the type of its column(?: \(column c\))?"),
    ):
        data = pa.table({"a": pa.array([row["a"]], pa.int32()), "b": [row["b"]], "c": [row["c"]]})
        with pytest.raises(WriteError, match=said) as caught:
            pii_guard.write(data, made.url, table="t", mode="append")
        assert PHONE not in str(caught.value)
    assert made.execute("SELECT count(*) FROM t") == [(0,)]


def test_times_mean_the_same_in_every_zone(made: Made) -> None:
    """A moment is the same moment, whatever zone the server is in; a time without a zone stays as it is."""
    made.execute("CREATE TABLE t (l timestamp NULL, k datetime)")
    made.execute("SET time_zone = '+09:00'", "INSERT INTO t VALUES ('2024-01-01 09:00:00', '2024-01-01 09:00:00')")
    row = pii_guard.read(made.url, table="t").read_all()
    assert row["l"].to_pylist() == [datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)]
    assert row["k"].to_pylist() == [datetime.datetime(2024, 1, 1, 9)]
    pii_guard.write(row, made.url, table="t", mode="append")
    assert made.execute("SELECT count(DISTINCT unix_timestamp(l)), count(DISTINCT k) FROM t") == [(1, 1)]


@given(st.lists(st.tuples(st.none() | st.text(), st.none() | st.binary()), min_size=1, max_size=20), st.integers(1, 90))
def test_literals(rows: list[tuple[str | None, bytes | None]], room: int) -> None:
    """The parts of INSERTs are all rows in their order, none over the room that there is unless it is one row, and
    each value is its literal (MySQL manual, 11.1.1: backslash and quote have escapes)."""
    batch = pa.record_batch(
        {"s": pa.array([row[0] for row in rows], pa.string()), "b": pa.array([row[1] for row in rows], pa.binary())}
    )

    def literal(value: str | bytes | None) -> bytes:
        if value is None:
            return b"NULL"
        data = value.encode() if isinstance(value, str) else value
        escaped = data.replace(b"\\", b"\\\\").replace(b"'", b"\\'")
        return (b"" if isinstance(value, str) else b"_binary") + b"'" + escaped + b"'"

    expected = [b"(" + literal(text) + b"," + literal(data) + b")" for text, data in rows]
    for part in (batch, batch.slice(1)):
        parts = list(mysql_stream._values(part, room))
        assert b",".join(parts) == b",".join(expected[-part.num_rows :] if part.num_rows else [])
        for one in parts:
            assert len(one) < room or one in expected


def test_small_packets(made: Made) -> None:
    """Rows go out in as many statements as it takes."""
    data = pa.table({"a": [f"{number}'\\" for number in range(3000)]})
    with mock.patch.object(mysql_stream, "_MOST_BYTES", 100):
        assert pii_guard.write(data, made.url, table="t") == 3000
    assert pii_guard.read(made.url, table="t").read_all().equals(data)
