"""Protected data through every place where it may live: tokens always come back, and what becomes of tags is known.

docs/tags.md has the table that these tests hold it to.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import databases
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from guards import guard_of, opened
from policies import HEAD

from pii_guard import Guard, scan, write
from pii_guard.batches import normalise
from pii_guard.connectors import open as open_source
from pii_guard.connectors.selection import Selection
from pii_guard.errors import PolicyError
from pii_guard.notes import write_notes
from pii_guard.tags import EXTENSION, EXTENSION_CONTENT, EXTENSION_NAME, METADATA_KEY, read_tag, to_json, write_tag

POLICY = (
    HEAD
    + """\
[[fields]]
match = ["t.phone", "t.paid"]
purposes = ["delivery"]
retention = "contract"
[[fields]]
match = "t.office"
protection = "none"
reason = "published"
kind = "kr_phone_fixed"
"""
)
TABLE = pa.table(
    {"phone": ["010-1234-5678", None, ""], "paid": pa.array([1, None, 3], pa.int64()), "office": ["02-1234-5678"] * 3}
)
Way = Callable[[pa.Table, Path], Any]


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    return guard_of(tmp_path, POLICY)


@pytest.fixture
def protected(guard: Guard) -> pa.Table:
    return guard.protect(TABLE, table="t").read_all()


def by_parquet(table: pa.Table, folder: Path) -> Any:
    pq.write_table(table, folder / "t.parquet")
    return pq.read_table(folder / "t.parquet")


def by_our_parquet(table: pa.Table, folder: Path) -> Any:
    write(table, folder / "t.parquet")
    (found,) = open_source(str(folder / "t.parquet")).tables()
    return found.reader()


def by_foreign_parquet(table: pa.Table, folder: Path) -> Any:
    pq.write_table(table, folder / "t.parquet", store_schema=False)
    return pq.read_table(folder / "t.parquet")


def by_feather(table: pa.Table, folder: Path) -> Any:
    feather.write_feather(table, str(folder / "t.feather"))
    return feather.read_table(str(folder / "t.feather"))


def by_ipc(table: pa.Table, folder: Path) -> Any:
    with pa.ipc.new_stream(folder / "t.arrows", table.schema) as file:
        file.write_table(table)
    return pa.ipc.open_stream((folder / "t.arrows").read_bytes()).read_all()


def by_polars(table: pa.Table, folder: Path) -> Any:
    return pl.from_arrow(table)


def by_polars_parquet(table: pa.Table, folder: Path) -> Any:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    frame.write_parquet(folder / "t.parquet")
    return pq.read_table(folder / "t.parquet")


def by_polars_reading(table: pa.Table, folder: Path) -> Any:
    pq.write_table(table, folder / "t.parquet")
    return pl.read_parquet(folder / "t.parquet")


def by_pandas(table: pa.Table, folder: Path) -> Any:
    return table.to_pandas()


def by_pandas_parquet(table: pa.Table, folder: Path) -> Any:
    table.to_pandas().to_parquet(folder / "t.parquet")
    return pq.read_table(folder / "t.parquet")


def by_duckdb(table: pa.Table, folder: Path) -> Any:
    import duckdb

    with duckdb.connect() as connection:
        connection.register("t", table)
        return connection.sql("SELECT * FROM t").to_arrow_table()


def by_csv(table: pa.Table, folder: Path) -> Any:
    write(table, folder / "t.csv")
    return pd.read_csv(folder / "t.csv", dtype=str)


def by_sqlite(table: pa.Table, folder: Path) -> Any:
    with sqlite3.connect(folder / "t.db") as connection:
        table.to_pandas().to_sql("t", connection, index=False)
        rows = pd.read_sql("SELECT * FROM t", connection)
    connection.close()
    return rows


KEPT: dict[str, tuple[Way, frozenset[str]]] = {
    "Parquet": (by_parquet, frozenset({"phone", "paid", "office"})),
    "Parquet written and read by pii-guard": (by_our_parquet, frozenset({"phone", "paid", "office"})),
    "Parquet of other writers": (by_foreign_parquet, frozenset()),
    "Feather": (by_feather, frozenset({"phone", "paid", "office"})),
    "Arrow IPC": (by_ipc, frozenset({"phone", "paid", "office"})),
    "Polars": (by_polars, frozenset({"phone", "paid"})),
    "Parquet written by Polars": (by_polars_parquet, frozenset({"phone", "paid"})),
    "Parquet read by Polars": (by_polars_reading, frozenset({"phone", "paid"})),
    "pandas": (by_pandas, frozenset()),
    "Parquet written by pandas": (by_pandas_parquet, frozenset()),
    "DuckDB": (by_duckdb, frozenset()),
    "CSV": (by_csv, frozenset()),
    "SQLite": (by_sqlite, frozenset()),
}
"""Way -> columns that still have their tag afterwards: `office` is left in the clear."""


@pytest.mark.parametrize("name", KEPT)
def test_tokens_open_and_tags_are_kept_as_documented(
    guard: Guard, protected: pa.Table, tmp_path: Path, name: str
) -> None:
    """Every value opens after the journey; a column that kept its tag comes back in its type, others as text."""
    way, kept = KEPT[name]
    table = normalise(way(protected, tmp_path)).read_all()
    tags = {field.name for field in table.schema if read_tag(field) is not None}
    assert tags == kept
    revealed = opened(guard, table, purpose="delivery")
    assert revealed["phone"].to_pylist() == TABLE["phone"].to_pylist()
    paid = revealed["paid"].to_pylist()
    assert paid == (TABLE["paid"].to_pylist() if "paid" in kept else ["1", None, "3"])
    assert read_tag(revealed.schema.field("phone")) == (
        replace(read_tag(protected.schema.field("phone")), key_id=None, type=None) if "phone" in kept else None  # type: ignore[type-var]
    )


SERVERS = {"PostgreSQL": databases.postgresql, "MariaDB": databases.mariadb}


@pytest.mark.parametrize("server", SERVERS)
def test_databases_keep_tokens_and_tags_as_notes(
    guard: Guard, protected: pa.Table, tmp_path: Path, server: str
) -> None:
    """A server keeps the tokens as text, and the tags as notes for people: what is read has no tag of its own."""
    carried = {field.name: read_tag(field) for field in protected.schema}
    with SERVERS[server](tmp_path) as made:
        rows = [[str(value or "") for value in row.values()] for row in protected.to_pylist()]
        made.fill("t", protected.column_names, rows)
        (found,) = databases.opened(made.url).tables()
        tags = {f"{found.name}.{name}": tag for name, tag in carried.items() if tag is not None}
        write_notes(made.url, tags, databases.scanned(made.url).fields, selection=Selection())
        table = found.reader().read_all()
        found.described = {}
        next(iter(found.batches()))
        said = {name: described.comment for name, described in found.described.items()}
    assert said == {name: f"[pii-guard {to_json(tag)}]" for name, tag in carried.items() if tag is not None}
    assert [read_tag(field) for field in table.schema] == [None] * 3
    assert opened(guard, table, purpose="delivery")["phone"].to_pylist() == TABLE["phone"].to_pylist()


def test_the_page_says_what_the_tests_say() -> None:
    """docs/tags.md has a row for each way, with what it keeps."""
    page = (Path(__file__).parents[1] / "docs" / "tags.md").read_text(encoding="utf-8")
    rows = dict(
        re.findall(
            r"^\| ([^|]+?) \| (all tags, as notes|all tags|those of encrypted columns|none) \|", page, re.MULTILINE
        )
    )
    said = {3: "all tags", 2: "those of encrypted columns", 0: "none"}
    assert {name: said[len(kept)] for name, (_, kept) in KEPT.items()} == {
        name: what for name, what in rows.items() if name not in SERVERS
    }
    assert {rows[name] for name in SERVERS} == {"all tags, as notes"}


def test_the_extension_type_is_text_to_pyarrow(protected: pa.Table) -> None:
    """Nothing is registered: kernels, CSV and pandas take the column as the string that it is stored as."""
    field = protected.schema.field("phone")
    assert field.type == pa.string()
    assert field.metadata[EXTENSION_NAME] == EXTENSION.encode()
    assert json.loads(field.metadata[EXTENSION_CONTENT]) == json.loads(field.metadata[METADATA_KEY])
    assert EXTENSION_NAME not in (protected.schema.field("office").metadata or {})


def test_copies_of_a_tag_that_differ_are_an_error(protected: pa.Table) -> None:
    """Whoever edits one of the two does not decide which of them counts."""
    field = protected.schema.field("phone")
    edited = field.with_metadata({**field.metadata, METADATA_KEY: field.metadata[METADATA_KEY] + b" "})
    with pytest.raises(PolicyError, match="differ"):
        read_tag(edited)
    tag = read_tag(field)
    assert tag is not None
    assert read_tag(write_tag(edited, replace(tag, kind="email"))) == replace(tag, kind="email")


def test_other_extension_types_are_left_alone() -> None:
    """A field of somebody else's extension type keeps it, and is not read as a tag."""
    field = pa.field("u", pa.string(), metadata={EXTENSION_NAME: b"arrow.json", EXTENSION_CONTENT: b""})
    assert read_tag(field) is None


def test_tags_of_fields_inside_of_others_are_carried(guard: Guard, tmp_path: Path) -> None:
    """What is left in the clear inside of objects, lists and maps is tagged there, and read back from Parquet."""
    places = '"t.user.phone", "t.calls[].to", "t.met.{}", "t.met.{keys}"'
    rules = f'\n[[fields]]\nmatch = [{places}]\nprotection = "none"\nreason = "published"\n'
    (tmp_path / "nested.toml").write_text(POLICY + rules)
    rows = [{"user": {"phone": "010-1234-5678", "n": 1}, "calls": [{"to": "010-9876-5432"}, {"to": None}]}] * 3
    met = [[(f"010-1234-{number:04}", f"010-9876-{number:04}") for number in range(300)]] * 3  # data, not structure
    table = pa.Table.from_pylist(rows).append_column("met", pa.array(met, pa.map_(pa.string(), pa.string())))
    protected = Guard(tmp_path / "nested.toml", guard.keys).protect(table, table="t")
    write(protected, tmp_path / "t.parquet")
    found = scan(tmp_path / "t.parquet")
    tags = {field.field.path: field.tag for field in found.fields}
    assert {path for path, tag in tags.items() if tag is not None} == {
        "user.phone",
        "calls[].to",
        "met.{}",
        "met.{keys}",
    }
    assert {tag.reason for tag in tags.values() if tag is not None} == {"published"}
    assert pq.read_table(tmp_path / "t.parquet").to_pylist() == table.to_pylist()
