"""What does `pii-guard check` cost on a repository, and on a table of a million rows?

    python benchmarks/check.py [--files 2000] [--rows 1000000] [--times 2]

A repository of Python, SQL migrations, YAML, CSV and Markdown is made, with personal values in a few seeds; the same
tree is given to `pii-guard check`, with one thread and with four, to detect-secrets, if it is installed (`pip install
detect-secrets`; it looks for keys and passwords, not for personal data: a yardstick for what a hook may take), and to a
loop that reads every file. Then the shared table, as CSV and as Parquet, is checked and read by pyarrow alone. Each
command runs in a process of its own, starting it included; the best of `--times` runs counts.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import table as shop

CHECK = [sys.executable, "-m", "pii_guard", "check", "--quiet", "--format", "json"]
READ = "import pathlib; [p.read_bytes() for p in pathlib.Path('.').rglob('*') if p.is_file()]"
READ_TABLE = {
    ".csv": "import sys, pyarrow.csv as c\nfor _ in c.open_csv(sys.argv[1]): pass",
    ".parquet": "import sys, pyarrow.parquet as q\nfor _ in q.ParquetFile(sys.argv[1]).iter_batches(): pass",
}


def python_file(number: int) -> str:
    body = "\n\n".join(
        f'def step_{number}_{line}(order, stock):\n    """Move what order {line} needs."""\n'
        f"    moved = [item for item in stock if item.shelf == {line} and order.total > {number * line % 997}]\n"
        f"    return moved or stock[: {line % 7 + 1}]"
        for line in range(24)
    )
    model = f"class Model{number}(Base):\n    __tablename__ = 'part_{number}'\n    id = Column(Integer)\n"
    return f'"""Part {number} of a shop."""\n\n\n{body}\n\n\n{model if number % 10 == 0 else ""}'


def sql_file(number: int) -> str:
    columns = ",\n".join(f"    field_{column} varchar({column + 10})" for column in range(12))
    rows = "\n".join(f"INSERT INTO t{number} VALUES ({row}, 'part {row * number}');" for row in range(40))
    made = f"CREATE TABLE t{number} (\n    id bigint PRIMARY KEY,\n{columns}\n);\n"
    return f"{made}ALTER TABLE t{number} DROP COLUMN field_3;\n{rows}\n"


def yaml_file(number: int) -> str:
    return "".join(f"part_{number}_{line}:\n  image: shop/part:{line}\n  replicas: {line % 5}\n" for line in range(30))


def csv_file(number: int) -> str:
    if number % 20:
        return "sku,price\n" + f"A-{number},{number * 10}\n" * 40
    person = f"{number},010-{2000 + number % 7000}-{1000 + number * 7 % 9000},reader{number}@example.com\n"
    return "id,phone,email\n" + person * 3


def text_file(number: int) -> str:
    return f"# Note {number}\n\n" + "The shelf is counted every week, and what is missing is ordered.\n" * 40


KINDS: tuple[tuple[str, Callable[[int], str], int], ...] = (
    ("py", python_file, 50),
    ("sql", sql_file, 15),
    ("yml", yaml_file, 10),
    ("csv", csv_file, 10),
    ("md", text_file, 15),
)
"""Suffix, content, and how many of 100 files."""


def repository(folder: Path, files: int) -> int:
    """Write the tree; gives its bytes."""
    kinds = [(suffix, content) for suffix, content, share in KINDS for _ in range(share)]
    size = 0
    for number in range(files):
        suffix, content = kinds[number % len(kinds)]
        below = folder / ("migrations" if suffix == "sql" else f"part{number % 40}")
        below.mkdir(exist_ok=True)
        data = content(number).encode()
        size += len(data)
        (below / f"file{number:05}.{suffix}").write_bytes(data)
    return size


def seconds(command: list[str], times: int, folder: Path | None = None) -> tuple[float, str]:
    """The best of `times` runs in `folder`, and the last line on stderr."""
    best, said = float("inf"), ""
    for _ in range(times):
        start = time.perf_counter()
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        best = min(best, time.perf_counter() - start)
        if done.returncode not in (0, 1):
            raise SystemExit(f"{command}: exit {done.returncode}: {done.stderr}")
        said = (done.stderr.splitlines() or [""])[-1]
    return best, said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "repository"
        folder.mkdir()
        on_repository(folder, given.files, given.times)
        on_table(Path(temporary), given.rows, given.times)


def on_repository(folder: Path, files: int, times: int) -> None:
    print(f"{files:,} files, {repository(folder, files) / 1e6:.1f} MB")
    commands = {
        "pii-guard check": [*CHECK, "."],
        "pii-guard check --threads 4": [*CHECK, ".", "--threads", "4"],
        "detect-secrets scan": [sys.executable, "-m", "detect_secrets", "scan", "--all-files", "."],
        "reading every file": [sys.executable, "-c", READ],
    }
    if importlib.util.find_spec("detect_secrets") is None:
        print("detect-secrets is not installed: pip install detect-secrets")
        del commands["detect-secrets scan"]
    for name, command in commands.items():
        best, said = seconds(command, times, folder)
        print(f"{name:<28} {best:7.2f} s  {files / best:7,.0f} files/s")
        if name == "pii-guard check":
            print(f"    {said}")


def on_table(folder: Path, rows: int, times: int) -> None:
    part = shop.customers(min(rows, 50_000))
    table = pa.concat_tables([part] * (rows // part.num_rows))
    print(f"\n{table.num_rows:,} rows, {table.num_columns} columns")
    for suffix, code in READ_TABLE.items():
        path = folder / f"table{suffix}"
        if suffix == ".csv":
            pa.csv.write_csv(table, path)
        else:
            pq.write_table(table, path)
        ours, _ = seconds([*CHECK, str(path)], times)
        alone, _ = seconds([sys.executable, "-c", code, str(path)], times)
        print(
            f"{suffix:<9} {path.stat().st_size / 1e6:5.0f} MB  check {ours:6.2f} s ({rows / ours:9,.0f} rows/s)  "
            f"read alone {alone:5.2f} s  ratio {ours / alone:.1f}"
        )


if __name__ == "__main__":
    main()
