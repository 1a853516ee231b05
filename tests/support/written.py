"""A table in every format, written by other libraries than the one that reads it where there is another."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import xlwt
from pyarrow import feather, orc
from workbooks import ods

__all__ = ["CASES", "Case", "Rows"]

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """A format, how a file of it is made (not with our own writer), and what of the common table it can hold."""

    suffix: str
    make: Callable[[Path, Rows, list[str]], None]
    columns: tuple[str, ...] = ("고객 이름", "phone", "memo")
    most: int = 1 << 62
    """Rows that a file can hold."""

    def rows(self, count: int) -> Rows:
        return [{name: VALUES[name](i) for name in self.columns} for i in range(count)]


VALUES: dict[str, Callable[[int], str]] = {
    "고객 이름": lambda i: f"홍길동{i}",
    "phone": lambda i: f"010-0000-{i % 10000:04d}",
    "memo": lambda i: ('서울, "강남"', "line\nbreak", "", " padded ", "1e5")[i % 5],
    "text": lambda i: f"홍길동{i}, 010-0000-{i % 10000:04d}",
}


def make_csv(path: Path, rows: Rows, columns: list[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def make_tsv(path: Path, rows: Rows, columns: list[str]) -> None:
    with path.open("w", encoding="cp949", newline="") as file:
        writer = csv.DictWriter(file, columns, delimiter="\t", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)


def make_parquet(path: Path, rows: Rows, columns: list[str]) -> None:
    pq.write_table(table_from(rows, columns), path)


def make_ndjson(path: Path, rows: Rows, columns: list[str]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def make_json(path: Path, rows: Rows, columns: list[str]) -> None:
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")


def table_from(rows: Rows, columns: list[str]) -> pa.Table:
    return pa.Table.from_pylist(rows, pa.schema([(name, pa.string()) for name in columns]))


def make_feather(path: Path, rows: Rows, columns: list[str]) -> None:
    feather.write_feather(table_from(rows, columns), str(path), chunksize=1000)


def make_stream(path: Path, rows: Rows, columns: list[str]) -> None:
    table = table_from(rows, columns)
    with path.open("wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


def make_orc(path: Path, rows: Rows, columns: list[str]) -> None:
    orc.write_table(table_from(rows, columns), path)


def make_avro(path: Path, rows: Rows, columns: list[str]) -> None:
    fields = [{"name": name, "type": ["null", "string"]} for name in columns]
    schema = fastavro.parse_schema({"type": "record", "name": "row", "fields": fields})
    with path.open("wb") as file:
        fastavro.writer(file, schema, rows, "deflate", sync_marker=bytes(range(16)))


def make_xlsx(path: Path, rows: Rows, columns: list[str]) -> None:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("고객")
    sheet.append(columns)
    for row in rows:
        sheet.append(list(row.values()))
    book.save(path)


def make_sqlite(path: Path, rows: Rows, columns: list[str]) -> None:
    names = ", ".join(f'"{name}"' for name in columns)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f'CREATE TABLE "고객" ({names})')
        values = ", ".join(f":{number}" for number in range(len(columns)))
        database.executemany(
            f'INSERT INTO "고객" VALUES ({values})',
            ({str(number): row[name] for number, name in enumerate(columns)} for row in rows),
        )


def make_xls(path: Path, rows: Rows, columns: list[str]) -> None:
    book = xlwt.Workbook(encoding="utf-8")
    sheet = book.add_sheet("고객")
    for number, row in enumerate([columns, *([row[name] for name in columns] for row in rows)]):
        for column, value in enumerate(row):
            sheet.write(number, column, value)
    book.save(str(path))


def make_ods(path: Path, rows: Rows, columns: list[str]) -> None:
    path.write_bytes(ods({"고객": [columns, *([row[name] for name in columns] for row in rows)]}))


def make_text(path: Path, rows: Rows, columns: list[str]) -> None:
    path.write_text("".join(row["text"] + "\n" for row in rows), encoding="utf-8")


CASES = [
    Case(".csv", make_csv),
    Case(".tsv", make_tsv),
    Case(".parquet", make_parquet),
    Case(".ndjson", make_ndjson),
    Case(".json", make_json),
    Case(".feather", make_feather),
    Case(".arrows", make_stream),
    Case(".orc", make_orc),
    Case(".avro", make_avro, ("phone", "memo")),
    Case(".xlsx", make_xlsx),
    Case(".sqlite", make_sqlite),
    Case(".xls", make_xls, most=60_000),
    Case(".ods", make_ods),
    Case(".txt", make_text, ("text",)),
]
