"""Does the memory of a scan depend on the number of rows?

    python benchmarks/memory.py [--rows 1000000 10000000]

Each size is scanned in a process of its own, from a Parquet file and from a CSV file of three text columns; peak memory
is what Linux says of that process (VmHWM). The goal is below 1 GB, and flat.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import table as shop

COLUMNS = ["name", "phone", "comment"]
PART = 500_000


def write(folder: Path, rows: int) -> list[Path]:
    """The same rows as Parquet and as CSV, written piece by piece."""
    paths = [folder / f"customers-{rows}.parquet", folder / f"customers-{rows}.csv"]
    part = shop.customers(PART).select(COLUMNS)
    with pq.ParquetWriter(paths[0], part.schema) as parquet, pa.csv.CSVWriter(paths[1], part.schema) as csv:
        for start in range(0, rows, PART):
            piece = part.slice(0, min(PART, rows - start))
            parquet.write_table(piece, row_group_size=100_000)
            csv.write_table(piece)
    return paths


def child(path: str) -> None:
    from pii_guard import scan

    report = scan(path)
    # not getrusage: on Linux its peak includes that of the process which started this one
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
    found = {finding.kind: finding.hits for _, finding in report.findings}
    print(json.dumps({"rows": report.coverage.rows, "peak": peak, "found": found}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child)
        return
    print(f"{'file':<28} {'MB on disk':>10} {'rows':>12} {'peak MB':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for rows in arguments.rows:
            for path in write(Path(folder), rows):
                out = subprocess.run(
                    [sys.executable, __file__, "--child", str(path)], check=True, capture_output=True, text=True
                )
                seen = json.loads(out.stdout)
                assert seen["rows"] == rows
                assert seen["found"]["person_name_ko"] == rows
                size = path.stat().st_size / 1e6
                print(f"{path.name:<28} {size:>10.0f} {rows:>12,} {seen['peak'] / 1e6:>8.0f}")
                path.unlink()


if __name__ == "__main__":
    main()
