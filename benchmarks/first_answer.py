"""How long until `pii-guard scan customers.csv` has answered? The whole process, from the shell's point of view.

    python benchmarks/first_answer.py [--rows 1000]

Compared with starting presidio's analyzer, without scanning anything: what its users wait for first. Wall time, median
of seven runs each, in turn. The goal is an answer within a second.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.csv
import table as shop

RUNS = 7


def seconds(*command: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "customers.csv"
        pyarrow.csv.write_csv(shop.customers(arguments.rows), path)
        commands = {
            "pii-guard scan customers.csv": ("-m", "pii_guard", "scan", str(path)),
            "pii-guard --help": ("-m", "pii_guard", "--help"),
            "import presidio_analyzer": ("-c", "import presidio_analyzer"),
            "python -c pass": ("-c", "pass"),
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(RUNS):
            for name, command in commands.items():
                times[name].append(seconds(*command))
        print(f"{arguments.rows:,} rows, {path.stat().st_size / 1e6:.1f} MB of CSV; wall seconds, median of {RUNS}")
        for name, measured in times.items():
            print(f"{name:<30} {statistics.median(measured):.2f}")


if __name__ == "__main__":
    main()
