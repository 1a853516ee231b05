"""SQLite files: every table and every type of value, and nothing written, not even beside the file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from packing import COMPRESSIONS, zipped

import pii_guard
from pii_guard import connectors
from pii_guard.connectors import Source, sqlite
from pii_guard.errors import ReadError

PHONE = "010-1234-5678"


def database(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as opened, opened:
        opened.executescript(script)


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
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as opened:
        opened.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (phone)")
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        opened.execute("INSERT INTO t VALUES (?)", [PHONE])
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
    with closing(sqlite3.connect(tmp_path / "a.db")) as opened, opened:
        opened.execute("CREATE TABLE t (b BLOB)")
        opened.executemany("INSERT INTO t VALUES (?)", [[b"\xff" * 1_000_000]] * 60)
    (table,) = connectors.open(str(tmp_path / "a.db")).tables()
    sizes = [batch.num_rows for batch in table.batches()]
    assert sum(sizes) == 60
    assert max(sizes) <= 8


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
