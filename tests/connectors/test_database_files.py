"""SQLite and DuckDB files by URL, and databases that SQLAlchemy reads: paths, types, nothing made or written."""

from __future__ import annotations

import datetime
import signal
import sqlite3
import subprocess
import time
from contextlib import chdir, closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from cli_runner import COMMAND, environment, run
from databases import by_sqlalchemy

from pii_guard import connectors, scan
from pii_guard.connectors import Source
from pii_guard.connectors.database_url import database_of, shown_target
from pii_guard.connectors.selection import Selection
from pii_guard.detectors import select
from pii_guard.errors import TargetError
from pii_guard.scanner import ScanOptions, scan_targets

PHONE = "010-9876-5432"


def rows(url: str, selection: Selection | None = None) -> dict[str, list[dict[str, Any]]]:
    (source,) = (item for item in connectors.discover(url, selection=selection) if isinstance(item, Source))
    return {table.name: [row for batch in table.batches() for row in batch.to_pylist()] for table in source.tables()}


def sqlite_file(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(f"CREATE TABLE t (phone); INSERT INTO t VALUES ('{PHONE}')")


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_scanning_creates_nothing(kind: str, tmp_path: Path) -> None:
    """A mistyped path is an error, not a new database that is clean; so are URLs that name no file."""
    for url in (f"{kind}:///{tmp_path}/missing.db", f"{kind}:///{tmp_path}", f"{kind}:///", f"{kind}://shop.db"):
        done = run("scan", url, cwd=tmp_path)
        assert done.code == 2, done.output
        said = "no such file", "is a directory", f"names no file; three slashes and a path do: {kind}:///shop.db"
        assert any(text in done.stderr for text in said)
    with pytest.raises(TargetError, match="no such file"):
        scan(f"{kind}:///{tmp_path}/missing.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_damage(kind: str, tmp_path: Path) -> None:
    """A file that is no such database is named as not examined."""
    (tmp_path / "x.db").write_bytes(PHONE.encode() * 1000)
    done = run("scan", f"{kind}:///x.db", cwd=tmp_path)
    assert done.code == 3
    assert f"not examined: {kind}:///x.db: no {'SQLite' if kind == 'sqlite' else 'DuckDB'} database" in done.stdout
    assert PHONE not in done.output


def test_paths(tmp_path: Path) -> None:
    """Three slashes are a relative path, four an absolute one; an @ in a path is no account; one file is read once."""
    sqlite_file(tmp_path / "a@b.db")
    with chdir(tmp_path):
        assert rows("sqlite:///a@b.db") == rows(f"sqlite:///{tmp_path}/a%40b.db") == {"t": [{"phone": PHONE}]}
        report = scan_targets(["a@b.db", "sqlite:///a@b.db"], detectors=select())
    assert report.coverage.sources == 1
    assert shown_target("sqlite:///a@b.db?x=1") == "sqlite:///a@b.db"


def test_views_of_sqlite(tmp_path: Path) -> None:
    """Views are read on request; one that breaks is named, and the file is as it was."""
    sqlite_file(tmp_path / "a.db")
    with closing(sqlite3.connect(tmp_path / "a.db")) as database:
        database.executescript("CREATE VIEW v AS SELECT phone AS p FROM t; CREATE VIEW w AS SELECT * FROM gone")
    before = (tmp_path / "a.db").read_bytes()
    report = scan_targets(
        [f"sqlite:///{tmp_path}/a.db"], detectors=select(), options=ScanOptions(selection=Selection(views=True))
    )
    assert [field.field.table for field, _ in report.findings] == ["t", "v"]
    (item,) = report.not_examined
    assert item.reason.startswith("table w: SQLite refuses it")
    assert (tmp_path / "a.db").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.db"]


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_interrupt(kind: str, tmp_path: Path) -> None:
    """Ctrl-C while a query is at work, from which Python hears nothing, ends the command at once."""
    with closing(sqlite3.connect(tmp_path / "x.db") if kind == "sqlite" else duckdb.connect(tmp_path / "x.db")) as made:
        made.execute("CREATE TABLE t (a text)")
    long = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1e9) SELECT count(*) FROM n"
    process = subprocess.Popen(
        [*COMMAND, "scan", f"{kind}:///{tmp_path}/x.db", "--query", long],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    opened_by = Path(f"/proc/{process.pid}/fd")
    while str(tmp_path / "x.db") not in {str(link.resolve()) for link in opened_by.iterdir()}:
        time.sleep(0.1)
    time.sleep(1)  # the file is open; now the query has begun too
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, b"")
    assert err.decode().lstrip() == "pii-guard: interrupted; nothing half-written was left behind\n"


def test_types_of_duckdb(tmp_path: Path) -> None:
    """Types of Arrow's own stay, nested ones too; others are text. All schemas are read, and no other file."""
    (tmp_path / "other.csv").write_text(f"phone\n{PHONE}\n")
    with closing(duckdb.connect(tmp_path / "a.duckdb")) as database:
        database.execute(
            f"CREATE TABLE t AS SELECT 1::BIGINT AS i, 1.5::DECIMAL(9, 2) AS d, DATE '1990-01-02' AS day, "
            f"{{'phones': ['{PHONE}']}} AS user, '12345678901234567890123'::HUGEINT AS large, '101'::BIT AS bits, "
            f"'\\xFF'::BLOB AS bytes, INTERVAL 1 DAY AS span, 'x'::ENUM('x', 'y') AS e"
        )
        database.execute(f'CREATE SCHEMA "s 1"; CREATE VIEW "s 1".v AS SELECT * FROM \'{tmp_path}/other.csv\'')
    url = f"duckdb:///{tmp_path}/a.duckdb"
    assert rows(url) == {
        "main.t": [
            {
                "i": 1,
                "d": Decimal("1.50"),
                "day": datetime.date(1990, 1, 2),
                "user": {"phones": [PHONE]},
                "large": Decimal("12345678901234567890123"),
                "bits": "101",
                "bytes": b"\xff",
                "span": "1 day",
                "e": "x",
            }
        ]
    }
    report = scan_targets([url], detectors=select(), options=ScanOptions(selection=Selection(views=True)))
    (item,) = report.not_examined
    assert item.reason.startswith('table "s 1".v: DuckDB refuses it')
    assert [field.field.path for field, _ in report.findings] == ["user.phones[]"]


def test_a_database_that_is_being_written(tmp_path: Path) -> None:
    """A DuckDB file that another program holds is named."""
    path = tmp_path / "a.duckdb"
    with closing(duckdb.connect(path)) as database:
        database.execute("CREATE TABLE t (n INT)")
        done = run("scan", f"duckdb:///{path}")
        assert done.code == 3
        assert "not examined" in done.stdout


def test_databases_of_sqlalchemy(tmp_path: Path) -> None:
    """A scheme is a database where a dialect of SQLAlchemy is installed for it; what is missing is named."""
    assert database_of("lite:///x") is None
    with by_sqlalchemy(tmp_path) as made:
        made.execute(f"CREATE TABLE t AS SELECT '{PHONE}' AS phone, x'ff' AS b, 1.5 AS n, NULL AS z")
        assert rows(made.url) == {"main.t": [{"phone": PHONE, "b": b"\xff", "n": "1.5", "z": None}]}
        with pytest.raises(TargetError, match="its driver is not installed; pip install oracledb"):
            connectors.discover("oracle+oracledb://someone:s3cret@host/x")
        with pytest.raises(TargetError) as caught:
            connectors.discover("oracle+nonsense://someone:s3cret@host/x")
    assert "s3cret" not in str(caught.value)
