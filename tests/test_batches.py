"""The one door for Arrow data: whatever comes in, the same rows come out, in plain types."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii_guard import scan
from pii_guard.batches import from_rows, normalise
from pii_guard.errors import UsageError
from pii_guard.leaves import leaves

PHONE = "010-1234-5678"


def texts(data: Any) -> dict[str, list[str]]:
    """Path -> the values of that leaf, as text, dictionaries decoded."""
    found: dict[str, list[str]] = {}
    for batch in normalise(data):
        for leaf in leaves(batch):
            values = leaf.values
            if pa.types.is_dictionary(values.type):
                values = values.dictionary_decode().drop_null()
            binary = values.cast(pa.large_binary()).to_pylist()
            found.setdefault("/".join(leaf.segments), []).extend(value.decode(errors="replace") for value in binary)
    return found


STRINGS = ["a", None, "", PHONE, "홍길동"]
PRESENT = ["a", "", PHONE, "홍길동"]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(STRINGS),
        pa.array(STRINGS, pa.large_string()),
        pa.array(STRINGS, pa.string_view()),
        pa.array(STRINGS).dictionary_encode(),
        pa.array(STRINGS, pa.large_string()).dictionary_encode(),
        pc.run_end_encode(pa.array(STRINGS)),
        pa.array([None if value is None else value.encode() for value in STRINGS], pa.binary()),
        pa.array([None if value is None else value.encode() for value in STRINGS], pa.binary_view()),
        pa.array(STRINGS, pa.json_()) if hasattr(pa, "json_") else pa.array(STRINGS),
        pa.array(["x", *STRINGS, "y"])[1:6],
        pa.array(["x", *STRINGS, "y"]).dictionary_encode()[1:6],
    ],
    ids=lambda column: str(column.type),
)
def test_every_encoding_of_text_gives_the_same_values(column: Any) -> None:
    """Views, dictionaries, run ends, extensions and slices are the same text; nulls are left out, empty is not."""
    assert texts(pa.RecordBatch.from_arrays([column], ["t"]))["t"] == PRESENT


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1012345678, None], pa.int64()), ["1012345678"]),
        (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
        (pa.array([1012345678.0, 1.5]), ["1012345678", "1.5"]),
        (pa.array([decimal.Decimal("1.10")]), ["1.10"]),
        (pa.array([datetime.date(1990, 1, 1)]), ["1990-01-01"]),
        (pa.array([True, None, False]), ["true", "false"]),
        (pa.array([None, None]), []),
        (pa.array([uuid.UUID(int=2**127 + 1)], pa.uuid()), [str(uuid.UUID(int=2**127 + 1))]),
        (pa.array([b"0101"], pa.binary(4)), ["0101"]),
        (pa.array([(1, 2, 3)], pa.month_day_nano_interval()), []),
        (pa.array([1, 1, 2]).dictionary_encode(), ["1", "1", "2"]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_every_scalar_type_has_its_text(column: Any, expected: list[str]) -> None:
    """Everything is text to a detector."""
    assert texts(pa.RecordBatch.from_arrays([column], ["t"]))["t"] == expected


def test_nested_columns_are_walked_to_their_leaves() -> None:
    """Lists, structs and maps give a path for each leaf, nulls at any depth included."""
    rows = [
        {"user": {"name": "홍길동", "emails": ["a@example.com", None]}, "tags": [["x"], []]},
        {"user": None, "tags": None},
        {"user": {"name": None, "emails": None}, "tags": [None, ["y", "z"]]},
    ]
    assert texts(rows) == {
        "user/name": ["홍길동"],
        "user/emails/[]": ["a@example.com"],
        "tags/[]/[]": ["x", "y", "z"],
    }


def test_a_small_map_is_structure_and_a_large_one_is_data() -> None:
    """Up to 256 keys are paths; beyond, the values stand under `{}`. The keys are examined in either case."""
    few = pa.array([[("phone", PHONE), ("memo", None)], None, [("phone", "1")]], pa.map_(pa.string(), pa.string()))
    assert texts(pa.table({"m": few})) == {
        "m/{keys}": ["phone", "memo", "phone"],
        "m/phone": [PHONE, "1"],
        "m/memo": [],
    }
    many = pa.array([[(f"k{n}", str(n)) for n in range(300)]], pa.map_(pa.string(), pa.string()))
    found = texts(pa.table({"m": many}))
    assert set(found) == {"m/{keys}", "m/{}"}
    assert found["m/{}"] == [str(n) for n in range(300)]


def test_a_sliced_map_has_the_entries_of_its_rows() -> None:
    """Entries of other rows do not leak into a slice."""
    column = pa.array([[("a", "1")], [("b", "2")], [("c", "3")]], pa.map_(pa.string(), pa.string()))[1:2]
    assert texts(pa.RecordBatch.from_arrays([column], ["m"])) == {"m/{keys}": ["b"], "m/b": ["2"]}


@pytest.mark.parametrize(
    "make",
    [
        pa.table,
        pa.record_batch,
        pd.DataFrame,
        pl.DataFrame,
        lambda columns: pa.table(columns).to_reader(),
        lambda columns: duckdb.sql("select * from source", connection=_duck(columns)),
        lambda columns: [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
    ],
    ids=["table", "batch", "pandas", "polars", "reader", "duckdb", "dicts"],
)
def test_every_kind_of_data_is_taken(make: Any) -> None:
    """Tables, batches, readers, data frames of pandas and polars, duckdb relations, lists of dicts."""
    assert texts(make({"phone": [PHONE, None], "n": [1, 2]})) == {"phone": [PHONE], "n": ["1", "2"]}


def _duck(columns: dict[str, list[Any]]) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.register("source", pa.table(columns))
    return connection


def test_a_chunked_dictionary_column_keeps_its_values() -> None:
    """Small batches with dictionaries of their own are joined without mixing them up."""
    chunks = pa.chunked_array([pa.array([f"v{n}", "same"]).dictionary_encode() for n in range(50)])
    table = pa.table({"d": chunks})
    assert texts(table)["d"] == [value for n in range(50) for value in (f"v{n}", "same")]


def test_large_batches_are_cut_and_small_ones_joined() -> None:
    """No batch has more than 65,536 rows, and a thousand batches of ten rows become one."""
    assert [batch.num_rows for batch in normalise(pa.table({"n": range(150_000)}))] == [65_536, 65_536, 18_928]
    small = pa.Table.from_batches([pa.record_batch({"n": range(10)})] * 1_000)
    assert [batch.num_rows for batch in normalise(small)] == [10_000]


def test_metadata_and_names_survive() -> None:
    """Field metadata (tags), schema metadata, duplicate and empty names come through."""
    schema = pa.schema([pa.field("", pa.string_view(), metadata={"k": "v"}), pa.field("", pa.string())], {"s": "m"})
    reader = normalise(pa.RecordBatch.from_arrays([pa.array(["x"], pa.string_view()), pa.array(["y"])], schema=schema))
    assert reader.schema.names == ["", ""]
    assert reader.schema.field(0).metadata == {b"k": b"v"}
    assert reader.schema.metadata == {b"s": b"m"}


@pytest.mark.parametrize("data", [pa.table({}), pa.table({"a": pa.array([], pa.string())}), [], [{}]])
def test_no_rows_and_no_columns_are_no_error(data: Any) -> None:
    """Empty data is data."""
    assert sum(batch.num_rows * batch.num_columns for batch in normalise(data)) == 0


def test_rows_whose_values_have_no_common_type_become_text() -> None:
    """A key with numbers and text is text; nothing is lost."""
    batch = from_rows([{"a": 1}, {"a": PHONE, "b": 2**70}, {"b": None}])
    assert batch.to_pydict() == {"a": ["1", PHONE, None], "b": [None, str(2**70), None]}


@pytest.mark.parametrize("data", [42, "text", b"bytes", ["a"], pl.LazyFrame({"a": [1]})])
def test_what_is_no_arrow_data_is_refused_by_name(data: Any) -> None:
    """The error names the type and says what to give instead."""
    with pytest.raises(UsageError, match=rf"{type(data).__name__} is not Arrow data"):
        normalise(data)


def test_a_frame_of_mixed_values_is_refused_without_quoting_one() -> None:
    """pandas object columns with several types cannot be read; the values stay out of the message."""
    with pytest.raises(UsageError) as caught:
        normalise(pd.DataFrame({"a": [PHONE, 1]}, dtype=object))
    assert "astype" in str(caught.value)
    assert PHONE not in str(caught.value)


@given(st.lists(st.lists(st.one_of(st.none(), st.text(max_size=6)), max_size=4), min_size=1, max_size=8), st.data())
def test_slices_and_chunks_change_no_value(rows: list[list[str | None]], data: st.DataObject) -> None:
    """However a nested column is cut into batches, its leaves are the same."""
    column = pa.array(rows, pa.list_(pa.string()))
    cut = data.draw(st.integers(0, len(rows)))
    cut_up = pa.Table.from_batches([pa.RecordBatch.from_arrays([part], ["c"]) for part in (column[:cut], column[cut:])])
    assert texts(cut_up).get("c/[]", []) == texts(pa.table({"c": column}))["c/[]"]


@given(st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "", "c"])), max_size=20))
def test_dictionary_counts_are_those_of_the_decoded_column(values: list[str | None]) -> None:
    """`counts` says how often each entry occurs, so that an entry is examined once."""
    column = pa.array(values, pa.string()).dictionary_encode()
    (leaf,) = leaves(pa.RecordBatch.from_arrays([column], ["d"]))
    counts = leaf.counts()
    assert counts is not None
    named = dict(zip(leaf.values.dictionary.to_pylist(), counts.tolist(), strict=True))
    assert named == {value: values.count(value) for value in set(values) - {None}}


def test_dictionaries_that_hold_a_null() -> None:
    """In one batch and in several, whose dictionaries are joined."""
    entries = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0]), pa.array(["hong@example.com", None]))
    batch = pa.record_batch([entries], names=["mail"])
    for table in (pa.Table.from_batches([batch]), pa.Table.from_batches([batch, batch])):
        ((_, finding),) = scan(table).findings
        assert (finding.hits, finding.examined) == (2 * len(table) // 4, 2 * len(table) // 4)
