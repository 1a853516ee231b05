"""Is a table the same after PostgreSQL -> Parquet -> PostgreSQL, and what do we cost over the driver alone?

    python benchmarks/round_trip.py [--rows 1000000] [URL]

A table of the types that a new table has again is made on the server, and one of other types beside it. Each goes
through `pii_guard.read`, a Parquet file and `pii_guard.write`: the first into a new table, the second into one of the
same definition, by way of text that the server parses. Then the server compares both ways, row by row (EXCEPT ALL of
the text of whole rows) and type by type (pg_attribute). The driver's times are those of `fetch_record_batch` and
`adbc_ingest` in the same process, of the same columns. The tables `pii_guard_trip...` are dropped afterwards.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from adbc_driver_postgresql import dbapi

import pii_guard
from pii_guard.connectors.database_url import Mode

NAME = "pii_guard_trip"
PLAIN = {
    "n2": ("smallint", "i % 30000 - 15000"),
    "n4": ("integer", "i * 7 - 2000000000"),
    "n8": ("bigint", "i::bigint * 7"),
    "f8": ("double precision", "i * 0.1"),
    "yes": ("boolean", "i % 3 = 0"),
    "bytes": ("bytea", "decode(md5(i::text), 'hex')"),
    "이름": ("text", "'홍길동 ' || i"),
    "day": ("date", "'2024-02-29'::date - i % 20000"),
    "at": ("time", "'00:00'::time + i % 86400 * interval '1 s'"),
    "then": ("timestamp", "'2024-02-29 12:00'::timestamp - i * interval '1.000001 s'"),
    "thenz": ("timestamptz", "'2024-02-29 12:00+09'::timestamptz - i * interval '1.000001 s'"),
    "key": ("uuid", "md5(i::text)::uuid"),
    "doc": ("json", "json_build_object('n', i)"),
    "amount": ("numeric(12,2)", "i * 1.01"),
}
PARSED = {
    "id": ("integer", "i"),
    "word": ("varchar(40)", "'w' || i"),
    "docb": ("jsonb", "jsonb_build_object('a', i)"),
    "any": ("numeric", "i * 1.10"),
    "long": ("interval", "i * interval '1 s'"),
    "many": ("integer[]", "ARRAY[i, 2]"),
    "address": ("inet", "'10.0.0.0'::inet + i"),
}


def run(url: str, *statements: str) -> list[Any]:
    with closing(dbapi.connect(url, autocommit=True)) as connection, closing(connection.cursor()) as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def tables(url: str, rows: int) -> Iterator[None]:
    names = [f"{NAME}{kind}{way}" for kind in ("", "_parsed") for way in ("", "_back", "_driver")]
    drop = [f"DROP TABLE IF EXISTS {name}" for name in names]
    run(url, *drop)
    for name, columns in ((NAME, PLAIN), (f"{NAME}_parsed", PARSED)):
        definition = ", ".join(f'"{column}" {kind}' for column, (kind, _) in columns.items())
        values = ", ".join(f"({value})::{kind}" for kind, value in columns.values())
        run(
            url,
            f"CREATE TABLE {name} ({definition})",
            f"INSERT INTO {name} SELECT {values} FROM generate_series(1, {rows}) AS i",
            f"ANALYZE {name}",
        )
    try:
        yield
    finally:
        run(url, *drop)


def timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def driver_reads(url: str, name: str) -> None:
    with closing(dbapi.connect(url)) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(f"SELECT * FROM {name}")
        with closing(cursor.fetch_record_batch()) as reader:
            for _ in reader:
                continue


def driver_writes(url: str, path: Path) -> None:
    with (
        closing(dbapi.connect(url)) as connection,
        closing(connection.cursor()) as cursor,
        pq.ParquetFile(path) as file,
    ):
        batches = file.iter_batches()
        reader = pa.RecordBatchReader.from_batches(file.schema_arrow, batches)
        cursor.adbc_ingest(f"{NAME}_driver", reader, mode="create")
        connection.commit()


def we_read(url: str, name: str) -> None:
    for _ in pii_guard.read(url, table=name):
        continue


def differing(url: str, one: str, other: str) -> int:
    """Rows that one of two tables has and the other has not, and columns of another type."""
    texts = {name: f"SELECT t::text FROM {name} AS t" for name in (one, other)}
    count = 0
    for a, b in ((one, other), (other, one)):
        count += run(url, f"SELECT count(*) FROM ({texts[a]} EXCEPT ALL {texts[b]}) AS d")[0][0]
        kinds = "SELECT attname, atttypid, atttypmod FROM pg_attribute WHERE attnum > 0 AND attrelid = '{}'::regclass"
        count += len(run(url, f"{kinds.format(a)} EXCEPT {kinds.format(b)}"))
    return int(count)


def trip(url: str, rows: int, name: str, columns: int, mode: Mode, path: Path) -> None:
    back = f"{name}_back"
    if mode == "append":
        run(url, f"CREATE TABLE {back} (LIKE {name})")
    pii_guard.write(pii_guard.read(url, table=name), path)
    written = timed(lambda: pii_guard.write(pii_guard.read(path), url, table=back, mode=mode))
    read, driver = timed(lambda: we_read(url, name)), timed(lambda: driver_reads(url, name))
    print(f"{rows:,} rows x {columns} columns, into a {'new' if mode == 'create' else 'present'} table")
    print(f"  read  {rows / read:>10,.0f} rows/s, {read / driver:.2f}x the time of the driver")
    if mode == "create":
        driver = timed(lambda: driver_writes(url, path))
        print(f"  write {rows / written:>10,.0f} rows/s, {written / driver:.2f}x the time of the driver")
    else:
        print(f"  write {rows / written:>10,.0f} rows/s, by way of text")
    print(f"  rows or types that differ: {differing(url, name, back)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("url", nargs="?", default="postgresql://127.0.0.1:5432/test")
    arguments = parser.parse_args()
    url, rows = arguments.url, arguments.rows
    with tables(url, rows), tempfile.TemporaryDirectory() as folder:
        trip(url, rows, NAME, len(PLAIN), "create", Path(folder) / "plain.parquet")
        trip(url, rows, f"{NAME}_parsed", len(PARSED), "append", Path(folder) / "parsed.parquet")


if __name__ == "__main__":
    main()
