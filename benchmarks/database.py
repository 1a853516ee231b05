"""What does a scan of a database cost over its driver alone, and does its memory depend on the table?

    python benchmarks/database.py [--rows 1000000] [--rounds 3] [URL ...]

The first seven columns of the shared table are written to each database that the URLs name, by default a PostgreSQL and
a MariaDB on this machine and files of SQLite and DuckDB, into a table `pii_guard_benchmark`, dropped afterwards. Four
things are timed, each in a process of its own, in turn, and the median of the rounds is printed: a loop over the rows
that SQLAlchemy hands out (of PostgreSQL where psycopg is installed: `pip install 'psycopg[binary]'`), the driver
handing out all rows, our connector handing out all batches, and a whole scan. Peak memory is the most that Linux says
of a process that scans (VmHWM), and of the one that it reads by, if it starts one (connectorx), added up.
`PII_GUARD_LEXER=numpy` in the environment has the scan do without the native lexer.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pymysql
import sqlalchemy
import table as shop
from adbc_driver_postgresql import dbapi

from pii_guard.connectors.database_url import DatabaseUrl, database_of

NAME = "pii_guard_benchmark"
SERVERS = ["postgresql://127.0.0.1:5432/test", "mysql://root@127.0.0.1:3306/test"]
PART = 50_000
DIALECTS = {
    "postgresql": ("postgresql+psycopg", "psycopg"),
    "mysql": ("mysql+pymysql", "pymysql"),
    "sqlite": ("sqlite", "sqlite3"),
}
"""What SQLAlchemy calls each, and the module that it needs for it."""


def connected(url: str) -> Any:
    """The driver's own connection."""
    kind, parts = url.partition("://")[0], DatabaseUrl(url, url.partition("://")[0])
    if kind == "postgresql":
        return dbapi.connect(url, autocommit=True)
    if kind == "mysql":
        return pymysql.connect(
            host=parts.host,
            port=parts.port or 3306,
            user=parts.user,
            password=parts.password or "",
            database=parts.path[1:],
            autocommit=True,
            cursorclass=pymysql.cursors.SSCursor,
        )
    return (sqlite3 if kind == "sqlite" else duckdb).connect(parts.path[1:])


@contextmanager
def written(url: str, rows: int) -> Iterator[None]:
    """The table, for as long as it is measured."""
    part = shop.customers(PART).select(range(7))
    times = max(rows // PART, 1)
    with closing(connected(url)) as connection, closing(connection.cursor()) as cursor:
        for name in (NAME, f"{NAME}_part"):  # a run that was cut off may have left them
            cursor.execute(f"DROP TABLE IF EXISTS {name}")
        cursor.execute(f"CREATE TABLE {NAME} ({', '.join(f'{name} text' for name in part.schema.names)})")
        for start in range(0, PART, 1000):
            values = [tuple(row.values()) for row in part.slice(start, 1000).to_pylist()]
            quoted = ("(" + ", ".join("'" + str(v).replace("'", "''") + "'" for v in row) + ")" for row in values)
            cursor.execute(f"INSERT INTO {NAME} VALUES {', '.join(quoted)}")
        cursor.execute(f"CREATE TABLE {NAME}_part AS SELECT * FROM {NAME}")
        for _ in range(times - 1):
            cursor.execute(f"INSERT INTO {NAME} SELECT * FROM {NAME}_part")
        cursor.execute(f"DROP TABLE {NAME}_part")
        if url.startswith("sqlite"):
            connection.commit()
    try:
        yield
    finally:
        with closing(connected(url)) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(f"DROP TABLE {NAME}")


def row_loop(url: str) -> None:
    engine = sqlalchemy.create_engine(f"{DIALECTS[url.partition(':')[0]][0]}:{url.partition(':')[2]}")
    with engine.connect().execution_options(yield_per=8192) as connection:
        for _ in connection.execute(sqlalchemy.text(f"SELECT * FROM {NAME}")):
            continue


def driver(url: str) -> None:
    with closing(connected(url)) as connection, closing(connection.cursor()) as cursor:
        sql = f"SELECT * FROM {NAME}"
        if url.startswith("duckdb"):
            for _ in connection.sql(sql).to_arrow_reader(8192):
                continue
            return
        cursor.execute(sql)
        if url.startswith("postgresql"):
            for _ in cursor.fetch_record_batch():
                continue
        else:
            while cursor.fetchmany(8192):
                continue


def connector(url: str) -> None:
    from pii_guard.connectors import Source, discover
    from pii_guard.connectors.selection import Selection

    for source in discover(url, selection=Selection(tables=(NAME,))):
        assert isinstance(source, Source)
        for table in source.tables():
            for _ in table.batches():
                continue


def scan(url: str) -> None:
    from pii_guard.connectors.selection import Selection
    from pii_guard.detectors import select
    from pii_guard.scanner import ScanOptions, scan_targets

    report = scan_targets([url], detectors=select(), options=ScanOptions(selection=Selection(tables=(NAME,))))
    assert report.complete
    assert report.findings


TASKS: dict[str, Callable[[str], None]] = {
    "SQLAlchemy": row_loop,
    "driver": driver,
    "connector": connector,
    "scan": scan,
}


def peak(process: int | str = "self") -> int:
    """The most memory that a process had, in bytes; 0 if it is gone."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int((status.partition("VmHWM:")[2].split() or ["0"])[0]) * 1024


class Measured(subprocess.Popen[Any]):
    """A process that is asked what memory it had whenever a signal is sent to it, before it is gone."""

    peak = 0

    def send_signal(self, sig: int) -> None:
        Measured.peak = max(Measured.peak, peak(self.pid))
        super().send_signal(sig)


def child(task: str, url: str) -> None:
    import pii_guard

    subprocess.Popen = Measured  # type: ignore[misc]

    pii_guard.scan([{"warm": "up"}])  # loads the libraries, as the driver is loaded; not what is measured
    if database := database_of(url):
        database.load()
    pa.array(["x"])
    start = time.perf_counter()
    TASKS[task](url)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "peak": peak() + Measured.peak}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("urls", nargs="*")
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child)
        return
    print("rows a second")
    print(f"{'database':<12}{''.join(f' {task:>10}' for task in TASKS)} {'scan/driver':>12} {'peak MB':>8}")
    with tempfile.TemporaryDirectory() as folder:
        files = [f"{kind}:///{folder}/shop.{kind}" for kind in ("sqlite", "duckdb")]
        for url in arguments.urls or SERVERS + files:
            rows = max(arguments.rows // PART, 1) * PART
            with written(url, rows):
                kind = url.partition(":")[0]
                looped = kind in DIALECTS and importlib.util.find_spec(DIALECTS[kind][1]) is not None
                found = {task: list[dict[str, float]]() for task in TASKS if looped or task != "SQLAlchemy"}
                for _ in range(arguments.rounds):
                    for task in found:
                        done = subprocess.run(
                            [sys.executable, __file__, "--child", task, url], check=True, capture_output=True
                        )
                        found[task].append(json.loads(done.stdout))
            seconds = {task: statistics.median(run["seconds"] for run in runs) for task, runs in found.items()}
            rates = "".join(f" {rows / seconds[task]:>10,.0f}" if task in seconds else f" {'-':>10}" for task in TASKS)
            peak = max(run["peak"] for run in found["scan"]) / 1e6
            print(f"{kind:<12}{rates} {seconds['scan'] / seconds['driver']:>12.2f} {peak:>8.0f}", flush=True)


if __name__ == "__main__":
    main()
