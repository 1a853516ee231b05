"""SQLite files: every table and every type of value, and nothing written, not even beside the file."""

from __future__ import annotations

import random
import sqlite3
import sys
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from databases import opened
from packing import COMPRESSIONS, zipped

import pii_guard
from pii_guard import connectors
from pii_guard.connectors import Source, sqlite
from pii_guard.connectors.base import MAX_BATCH_BYTES, Reading
from pii_guard.connectors.sampling import Sample
from pii_guard.connectors.sqlite_pages import TablePages
from pii_guard.errors import ReadError

PHONE = "010-1234-5678"


def database(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(script)


def rows_of(source: Source) -> dict[str, list[dict[str, Any]]]:
    return {table.name: [row for batch in table.batches() for row in batch.to_pylist()] for table in source.tables()}


def test_tables_and_types(tmp_path: Path) -> None:
    """Every table with its own name; values of any type as text, blobs as bytes; views and virtual tables are none."""
    named = '"고객 ""2024"'
    database(
        tmp_path / "a.db",
        f"CREATE TABLE {named} (id INTEGER PRIMARY KEY, 전화, photo BLOB, 이름 TEXT);"
        f"INSERT INTO {named} VALUES (1, '{PHONE}', x'ff00', '홍길동');"
        f"INSERT INTO {named} VALUES (2, 1012345678, NULL, ''), (3, 1.5, x'41', NULL);"
        "CREATE TABLE empty (phone TEXT) STRICT;"
        "CREATE VIEW v AS SELECT * FROM empty;"
        "CREATE VIRTUAL TABLE words USING fts5(word);"
        "CREATE TABLE counted (n INTEGER PRIMARY KEY AUTOINCREMENT);",
    )
    source = connectors.open(str(tmp_path / "a.db"))
    found = {name: rows for name, rows in rows_of(source).items() if not name.startswith("words_")}
    assert found == {
        '고객 "2024': [
            {"id": "1", "전화": PHONE, "photo": b"\xff\x00", "이름": "홍길동"},
            {"id": "2", "전화": "1012345678", "photo": None, "이름": ""},
            {"id": "3", "전화": "1.5", "photo": b"A", "이름": None},
        ],
        "empty": [],
        "counted": [],
    }
    names = {table.name: table.reader().schema.names for table in source.tables()}
    assert (names['고객 "2024'], names["empty"]) == (["id", "전화", "photo", "이름"], ["phone"])


def test_nothing_is_written(tmp_path: Path) -> None:
    """The file and its folder are as they were, and a database that only reading is allowed of can be read."""
    database(tmp_path / "a.db", f"CREATE TABLE t (phone); INSERT INTO t VALUES ('{PHONE}')")
    (tmp_path / "a.db").chmod(0o400)
    before = (tmp_path / "a.db").read_bytes()
    assert rows_of(connectors.open(str(tmp_path / "a.db"))) == {"t": [{"phone": PHONE}]}
    assert [path.name for path in tmp_path.iterdir()] == ["a.db"]
    assert (tmp_path / "a.db").read_bytes() == before


def test_a_name_with_signs(tmp_path: Path) -> None:
    """A path that means something in a URI is a path."""
    path = tmp_path / "a?mode=rwc#%41.db"
    database(tmp_path / "plain.db", "CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    (tmp_path / "plain.db").rename(path)
    assert rows_of(connectors.open(str(path))) == {"t": [{"a": "1"}]}


def test_in_archives(tmp_path: Path) -> None:
    """A database that is not a file of its own is read in memory, up to a bound."""
    database(tmp_path / "a.db", f"CREATE TABLE t (phone); INSERT INTO t VALUES ('{PHONE}')")
    data = (tmp_path / "a.db").read_bytes()
    (tmp_path / "a.zip").write_bytes(zipped([("x/a.db", data)]))
    for source in connectors.discover(str(tmp_path / "a.zip")):
        assert isinstance(source, Source)
        assert rows_of(source) == {"t": [{"phone": PHONE}]}
    (tmp_path / "a.db.gz").write_bytes(COMPRESSIONS[".gz"](data))
    with mock.patch.object(sqlite, "MAX_IN_MEMORY", 100), pytest.raises(ReadError, match="unpack it"):
        rows_of(connectors.open(str(tmp_path / "a.db.gz")))


def test_changes_that_wait(tmp_path: Path) -> None:
    """What is still in a write-ahead log is not in the file: the tables are read, and the database is named."""
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as connection:
        connection.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (phone)")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("INSERT INTO t VALUES (?)", [PHONE])
        report = pii_guard.scan(tmp_path / "a.db")
        assert report.coverage.tables == 1
        (item,) = report.not_examined
        assert item.reason.startswith("changes that wait in its write-ahead log are not examined; close")
        assert {path.name for path in tmp_path.iterdir()} == {"a.db", "a.db-wal", "a.db-shm"}
    assert pii_guard.scan(tmp_path / "a.db").complete


def test_damage_costs_no_other_table(tmp_path: Path) -> None:
    """A table whose pages are broken is named, and the others are read."""
    values = ", ".join(f"('{PHONE}{'x' * 500}')" for _ in range(200))
    script = f"CREATE TABLE a (v); INSERT INTO a VALUES {values};"
    database(tmp_path / "a.db", f"{script} CREATE TABLE b (phone); INSERT INTO b VALUES ('{PHONE}')")
    data = bytearray((tmp_path / "a.db").read_bytes())
    data[4096 : 4096 + 2000] = b"\xa5" * 2000  # the root page of the first table
    (tmp_path / "a.db").write_bytes(data)
    report = pii_guard.scan(tmp_path / "a.db")
    (item,) = report.not_examined
    assert item.reason == "table a: a damaged or truncated SQLite database"
    assert {(field.field.table, finding.kind) for field, finding in report.findings} == {("b", "kr_phone_mobile")}


def test_large_blobs_come_in_small_batches(tmp_path: Path) -> None:
    """Rows are fetched by their size, so that no batch is much larger than the bound."""
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection, connection:
        connection.execute("CREATE TABLE t (b BLOB)")
        connection.executemany("INSERT INTO t VALUES (?)", [[b"\xff" * 1_000_000]] * 60)
    (table,) = connectors.open(str(tmp_path / "a.db")).tables()
    sizes = [batch.num_rows for batch in table.batches()]
    assert sum(sizes) == 60
    assert max(sizes) <= MAX_BATCH_BYTES // 1_000_000


def test_a_column_that_is_computed_is_bounded(tmp_path: Path) -> None:
    """Its values take no room in the file; a value beyond the limit is named, not made."""
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE t (a TEXT, b GENERATED ALWAYS AS (zeroblob({sqlite.MAX_VALUE + 1})) VIRTUAL)")
        connection.executemany("INSERT INTO t (a) VALUES (?)", [("010-0000-0001",)] * 40)
        connection.execute("CREATE TABLE u (phone TEXT)")
        connection.execute("INSERT INTO u VALUES ('010-0000-0002')")
        connection.commit()
    report = pii_guard.scan(path)
    assert [field.field.table for field, _ in report.findings] == ["u"]
    assert ["a value of more than 32 MB" in item.reason for item in report.not_examined] == [True]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux says how much a process has read")
def test_a_sample_reads_its_pages_alone(tmp_path: Path) -> None:
    """And those that lead to them. A table without a rowid is read in full, which is said, and examined in part."""
    path = tmp_path / "a.db"
    database(
        path,
        "CREATE TABLE t (phone TEXT); CREATE TABLE w (id INTEGER PRIMARY KEY, phone TEXT) WITHOUT ROWID;"
        "CREATE TABLE named (rowid TEXT, oid TEXT, _rowid_ TEXT); CREATE TABLE renamed (rowid TEXT);"
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999)"
        f"INSERT INTO t SELECT '{PHONE}' || printf('%100d', i) FROM n; INSERT INTO w SELECT rowid, phone FROM t;"
        "INSERT INTO named SELECT phone, '', '' FROM t; INSERT INTO renamed SELECT phone FROM t;",
    )
    by_row = ("rows, one by one; all were read, as it has no rowid", True)
    for table in opened(f"sqlite:///{path}").tables():
        table.reading = Reading(sample=Sample(0.2))
        before = bytes_read()
        number = sum(batch.num_rows for batch in table.batches())
        whole = 100_000 * len(PHONE + 100 * "x")
        assert 15_000 < number < 25_000
        if table.name in ("t", "renamed"):
            assert (table.drawn, table.drawn_by_row) == (
                f"pages, by {'oid' if table.name == 'renamed' else 'rowid'}",
                False,
            )
            assert bytes_read() - before < 0.5 * whole
        else:
            assert (table.drawn, table.drawn_by_row) == by_row
            assert bytes_read() - before > 0.9 * whole


def bytes_read() -> int:
    """Bytes that this process has asked the system for, from memory or from disk."""
    return int(Path("/proc/self/io").read_text(encoding="ascii").partition("rchar:")[2].split()[0])


@pytest.mark.parametrize("size", [512, 1024, 65536])
@pytest.mark.parametrize("pad", [5, 3_000])
def test_pages(tmp_path: Path, size: int, pad: int) -> None:
    """The ranges of pages are all rowids, each once, with the rows that SQLite itself tells."""
    path = tmp_path / "a.db"
    database(
        path,
        f"PRAGMA page_size = {size}; PRAGMA auto_vacuum = 1; CREATE TABLE t (i INTEGER PRIMARY KEY, pad TEXT);"
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)"
        f"INSERT INTO t SELECT CASE WHEN i < 5000 THEN -i * i ELSE i * 900719925474099 END, "
        f"substr(hex(zeroblob({pad})), 1, {pad}) FROM n; DELETE FROM t WHERE i BETWEEN -9000000 AND -4000000",
    )
    with closing(sqlite3.connect(path)) as connection, path.open("rb") as file:
        ((root,),) = connection.execute("SELECT rootpage FROM sqlite_schema")
        ((count,),) = connection.execute("SELECT count(*) FROM t")
        pages = TablePages(file, root)
        level = pages._level(1 << 20)
        ends = [(part.first, part.last) for part in level]
        assert ends[0][0] == -(2**63)
        assert ends[-1][1] == 2**63 - 1
        assert all(last + 1 == first for (_, last), (first, _) in pairwise(ends))
        held = [
            connection.execute("SELECT count(*) FROM t WHERE i BETWEEN ? AND ?", each).fetchone()[0] for each in ends
        ]
        assert held == [int.from_bytes(pages._page(part.page)[3:5], "big") for part in level]
        assert 0.8 * count < pages.rows(1) < 1.2 * count
        share, ranges = pages.drawn(0.5, "t")
        if len(level) > 512:
            assert share == pytest.approx(0.5, abs=0.01)
            assert len(ranges) == round(share * len(level))


def test_a_trigger_called_as_its_table(tmp_path: Path) -> None:
    """SQLite allows it, and a sample is of the table."""
    path = tmp_path / "a.db"
    database(
        path,
        "CREATE TABLE t (pad TEXT); CREATE TRIGGER t AFTER DELETE ON t BEGIN SELECT 1; END;"
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 29999)"
        "INSERT INTO t SELECT printf('%100d', i) FROM n",
    )
    (table,) = opened(f"sqlite:///{path}").tables()
    table.reading = Reading(sample=Sample(0.5))
    assert 10_000 < sum(batch.num_rows for batch in table.batches()) < 20_000


def test_samples_of_damaged_files(tmp_path: Path) -> None:
    """Whatever byte of the pages that lead to rows is wrong, there are rows or the one error, and it ends."""
    path = tmp_path / "a.db"
    database(
        path,
        "CREATE TABLE t (pad TEXT);"
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 29999)"
        "INSERT INTO t SELECT printf('%100d', i) FROM n",
    )
    sound = path.read_bytes()
    choice = random.Random(5)  # noqa: S311 - to be the same in each run
    for _ in range(60):
        place = choice.choice([choice.randrange(4096, 4096 + 64), choice.randrange(4096, 8192), 8192, 16, 17])
        path.write_bytes(sound[:place] + bytes([choice.randrange(256)]) + sound[place + 1 :])
        with suppress(ReadError):
            for source in connectors.discover(f"sqlite:///{path}"):
                for table in source.tables() if isinstance(source, Source) else ():
                    table.reading = Reading(sample=Sample(0.2))
                    assert sum(batch.num_rows for batch in table.batches()) <= 30_000
