"""What does a scan of a file cost over reading it, in each format, and does its memory depend on the file?

    python benchmarks/files.py [--megabytes 1000]

The shared table is written in each format, `--megabytes` of CSV in UTF-8 or the same rows in another format. Three
things are timed, each in a process of its own: pyarrow reading the file alone, our connector handing out all batches,
and a whole scan. Rates are in MB of the file (of the text inside, for a zip) a second; peak memory is what Linux says
of the process that scans (VmHWM). Goals: CP949 costs no more than UTF-8, memory stays flat, NDJSON is handed out at
60 MB/s or more.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq
import table as shop

PART = 50_000


def csv_bytes(part: pa.Table, header: bool) -> bytes:
    buffer = pa.BufferOutputStream()
    pa.csv.write_csv(part, buffer, pa.csv.WriteOptions(include_header=header))
    whole: bytes = buffer.getvalue().to_pybytes()
    return whole


def write(folder: Path, megabytes: int) -> Iterator[Path]:
    """The files, one after the other, each made of the same rows."""
    part = shop.customers(PART)
    first, rest = csv_bytes(part, True), csv_bytes(part, False)
    times = max(megabytes * 1_000_000 // len(rest), 1)

    def repeat(path: Path, head: bytes, body: bytes) -> Path:
        with path.open("wb") as file:
            file.write(head)
            for _ in range(times - 1):
                file.write(body)
        return path

    yield repeat(folder / "utf8.csv", first, rest)
    yield repeat(folder / "cp949.csv", first.decode().encode("cp949"), rest.decode().encode("cp949"))
    with pq.ParquetWriter(folder / "table.parquet", part.schema) as writer:
        for _ in range(times):
            writer.write_table(part)
    yield folder / "table.parquet"
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in part.to_pylist()).encode()
    yield repeat(folder / "table.ndjson", lines, lines)
    with (
        zipfile.ZipFile(folder / "csv.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("table.csv", "w", force_zip64=True) as member,
    ):
        member.write(first)
        for _ in range(times - 1):
            member.write(rest)
    yield folder / "csv.zip"


def content_size(path: Path) -> int:
    """Bytes of the file, or of what is in it."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return sum(info.file_size for info in archive.infolist())
    return path.stat().st_size


def plain(path: Path) -> None:
    """pyarrow alone, every column a string."""
    as_text = pa.csv.ConvertOptions(default_column_type=pa.string())
    if path.suffix == ".parquet":
        for _ in pq.ParquetFile(path).iter_batches():
            continue
    elif path.suffix == ".ndjson":
        for _ in pa.json.open_json(path):
            continue
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive, archive.open("table.csv") as member:
            for _ in pa.csv.open_csv(member, convert_options=as_text):
                continue
    else:
        read = pa.csv.ReadOptions(encoding="cp949" if path.stem == "cp949" else "utf8")
        for _ in pa.csv.open_csv(path, read_options=read, convert_options=as_text):
            continue


def connector(path: Path) -> None:
    from pii_guard.connectors import Source, discover

    for source in discover(str(path)):
        assert isinstance(source, Source)
        for table in source.tables():
            for _ in table.batches():
                continue


def scan(path: Path) -> None:
    from pii_guard import scan

    report = scan(path)
    assert report.complete
    assert len(report.findings) == len(shop.EXPECTED)


TASKS: dict[str, Callable[[Path], None]] = {"plain": plain, "connector": connector, "scan": scan}


def child(task: str, path: str) -> None:
    from pii_guard import scan

    scan([{"warm": "up"}])  # loads the libraries; not what is measured
    start = time.perf_counter()
    TASKS[task](Path(path))
    seconds = time.perf_counter() - start
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print(json.dumps({"seconds": seconds, "peak": int(status.partition("VmHWM:")[2].split()[0]) * 1024}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child)
        return
    print(f"{'file':<14} {'MB':>6} {'pyarrow':>10} {'connector':>10} {'scan':>10} {'scan/pyarrow':>13} {'peak MB':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for path in write(Path(folder), arguments.megabytes):
            size = content_size(path) / 1e6
            seen = {}
            for task in TASKS:
                command = [sys.executable, __file__, "--child", task, str(path)]
                out = subprocess.run(command, check=True, capture_output=True, text=True)
                seen[task] = json.loads(out.stdout)
            rates = [f"{size / seen[task]['seconds']:>5.0f} MB/s" for task in TASKS]
            ratio = seen["scan"]["seconds"] / seen["plain"]["seconds"]
            peak = seen["scan"]["peak"] / 1e6
            print(f"{path.name:<14} {size:>6.0f} {' '.join(rates)} {ratio:>13.1f} {peak:>8.0f}", flush=True)
            path.unlink()


if __name__ == "__main__":
    main()
