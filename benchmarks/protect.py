"""What does it cost to protect a table on its way from CSV to Parquet, and to reveal it again?

    python benchmarks/protect.py [--rows 1000000]

Ten columns of the shared table, of which four are encrypted (name, phone, card, account). Four ways through the same
reader and writer are timed, in one process, each the best of `--times`: a copy without protection; protection by a plan
that a scan made before (the scan is not counted: it is `benchmarks/files.py`); protection of a stream that is read
once, whose other columns are watched; and the way back in a session, into Parquet. Goal: protection at most 1.5 times
the copy.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import table as shop

import pii_guard
from pii_guard.scanner import scan_data

POLICY = """
version = 1
[purposes.delivery]
title = "Delivery of goods"
[retention.contract]
period = "P5Y"
[[fields]]
match = ["t.name", "t.phone", "t.card", "t.account"]
purposes = ["delivery"]
retention = "contract"
"""
PART = 50_000
LEFT_OUT = ["email", "rrn", "address", "session", "comment"]
"""Columns with personal data that are not encrypted here."""


def source(path: Path, rows: int) -> None:
    """The rows as CSV, the same part over and over."""
    part = shop.customers(PART).drop_columns(LEFT_OUT)
    with pa.csv.CSVWriter(path, part.schema) as writer:
        for start in range(0, rows, PART):
            writer.write_table(part.slice(0, min(PART, rows - start)))


def best(times: int, run: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the wall and of all cores."""
    walls, cores = [], []
    for _ in range(times):
        wall, core = time.perf_counter(), time.process_time()
        run()
        walls.append(time.perf_counter() - wall)
        cores.append(time.process_time() - core)
    return min(walls), min(cores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        plain, protected, back = folder / "t.csv", folder / "protected.parquet", folder / "back.parquet"
        source(plain, arguments.rows)
        (folder / "pii-guard.toml").write_text(POLICY)
        guard = pii_guard.Guard(folder / "pii-guard.toml", pii_guard.Keyring.create(folder / "keys"))
        part = shop.customers(PART).drop_columns(LEFT_OUT)
        report = scan_data(part, table="t", detectors=guard.detectors)

        def copy() -> None:
            pii_guard.write(pii_guard.read(plain), back, overwrite=True)

        def planned() -> None:
            stream = guard.protect(pii_guard.read(plain), table="t", report=report)
            pii_guard.write(stream, protected, overwrite=True)

        def watched() -> None:
            pii_guard.write(guard.protect(pii_guard.read(plain), table="t"), protected, overwrite=True)

        def copy_protected() -> None:
            pii_guard.write(pii_guard.read(protected), back, overwrite=True)

        def revealed() -> None:
            with guard.reveal(purpose="delivery") as session:
                opened = session.decrypt(pii_guard.read(protected), masked=False)
                pii_guard.write(opened, back, overwrite=True)

        ways = [
            ("CSV to Parquet, a copy", copy, "CSV to Parquet, a copy"),
            ("four columns protected, planned before", planned, "CSV to Parquet, a copy"),
            ("four columns protected, a stream", watched, "CSV to Parquet, a copy"),
            ("protected Parquet, a copy", copy_protected, "protected Parquet, a copy"),
            ("revealed to Parquet", revealed, "protected Parquet, a copy"),
        ]
        planned()
        print(f"{arguments.rows:,} rows, {plain.stat().st_size / 1e6:,.0f} MB of CSV")
        print(f"{'way':<40} {'seconds':>8} {'rows/s':>10} {'ratio':>6} {'CPU s':>6} {'ratio':>6}")
        seen: dict[str, tuple[float, float]] = {}
        for name, run, against in ways:
            seen[name] = best(arguments.times, run)
            (wall, core), (other_wall, other_core) = seen[name], seen[against]
            ratios = f"{wall / other_wall:>6.2f} {core:>6.2f} {core / other_core:>6.2f}"
            print(f"{name:<40} {wall:>8.2f} {arguments.rows / wall:>10,.0f} {ratios}", flush=True)


if __name__ == "__main__":
    main()
