"""Nested columns in any encoding give the leaves of a plain walk over their rows."""

from __future__ import annotations

import decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pii_guard import find, scan
from pii_guard.batches import normalise
from pii_guard.errors import UsageError
from pii_guard.leaves import FOLD_ROWS, leaves

SCALARS = [pa.string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()), pa.binary(), pa.int64()]
TYPES: st.SearchStrategy[pa.DataType] = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: st.one_of(
        st.builds(pa.list_, inner),
        st.builds(pa.large_list, inner),
        st.builds(pa.list_view, inner),
        st.builds(pa.large_list_view, inner),
        st.builds(lambda kind: pa.list_(kind, 2), inner),
        st.builds(lambda left, right: pa.struct([("a", left), ("b", right)]), inner, inner),
        st.builds(lambda kind: pa.map_(pa.string(), kind), inner),
    ),
    max_leaves=4,
)


def values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    types = pa.types
    if types.is_struct(kind):
        made: st.SearchStrategy[Any] = st.fixed_dictionaries({child.name: values(child.type) for child in kind})
    elif types.is_map(kind):
        made = st.dictionaries(st.sampled_from(["k1", "k2"]), values(kind.item_type), max_size=2).map(
            lambda entries: list(entries.items())
        )
    elif types.is_fixed_size_list(kind):
        made = st.lists(values(kind.value_type), min_size=2, max_size=2)
    elif types.is_nested(kind):
        made = st.lists(values(kind.value_type), max_size=3)
    elif kind == pa.int64():
        made = st.integers(0, 9)
    elif kind == pa.binary():
        made = st.sampled_from([b"p", b"q"])
    else:
        made = st.sampled_from(["x", "y", ""])
    return st.none() | made


def walk(kind: pa.DataType, value: Any, path: tuple[str, ...], found: dict[tuple[str, ...], list[str]]) -> None:
    types = pa.types
    if types.is_struct(kind):
        for child in kind:
            walk(child.type, None if value is None else value[child.name], (*path, child.name), found)
    elif types.is_map(kind):
        for key, item in value or []:
            found.setdefault((*path, "{keys}"), []).append(key)
            walk(kind.item_type, item, (*path, key), found)
    elif types.is_nested(kind):
        for item in value or []:
            walk(kind.value_type, item, (*path, "[]"), found)
    elif value is not None:
        found.setdefault(path, []).append(value.decode() if isinstance(value, bytes) else str(value))


def texts(data: Any) -> dict[tuple[str, ...], list[str]]:
    found: dict[tuple[str, ...], list[str]] = {}
    for batch in normalise(data):
        for leaf in leaves(batch):
            column = leaf.values
            if pa.types.is_dictionary(column.type):
                column = column.dictionary_decode().drop_null()
            found.setdefault(leaf.segments, []).extend(
                value.decode() for value in column.cast(pa.large_binary()).to_pylist()
            )
    return {path: sorted(column) for path, column in found.items() if column}


@settings(max_examples=300)
@given(st.data())
def test_leaves_are_those_of_a_walk(data: st.DataObject) -> None:
    """Lists, views, structs, maps, dictionaries and run ends in each other; slices; nulls at any depth."""
    kind = data.draw(TYPES)
    rows: list[Any] = data.draw(st.lists(values(kind), max_size=6))
    try:
        column = pa.array(rows, kind)
        column.validate(full=True)
    except (pa.ArrowException, TypeError, NotImplementedError):
        assume(False)  # pyarrow itself cannot make it
    encoded: bool = data.draw(st.booleans())
    if rows and encoded:
        column = pa.RunEndEncodedArray.from_arrays(pa.array(range(1, len(rows) + 1), pa.int32()), column)
    first = data.draw(st.integers(0, len(rows)))
    last = data.draw(st.integers(first, len(rows)))
    expected: dict[tuple[str, ...], list[str]] = {}
    for value in rows[first:last]:
        walk(kind, value, ("c",), expected)
    batch = pa.RecordBatch.from_arrays([column[first:last]], ["c"])
    assert texts(batch) == {path: sorted(found) for path, found in expected.items()}


@pytest.mark.parametrize("mode", ["sparse", "dense"])
def test_a_union_gives_each_value_to_its_own_member(mode: str) -> None:
    """What a sparse union holds in the place of other members is no value; slices are honoured."""
    codes = pa.array([0, 1, 0, 1], pa.int8())
    if mode == "sparse":
        members = [pa.array(["a", "-", "b", "-"]), pa.array([9, 1, 9, 2])]
        column = pa.UnionArray.from_sparse(codes, members, ["text", "number"])
    else:
        offsets = pa.array([0, 0, 1, 1], pa.int32())
        column = pa.UnionArray.from_dense(codes, offsets, [pa.array(["a", "b"]), pa.array([1, 2])], ["text", "number"])
    assert texts(pa.RecordBatch.from_arrays([column], ["u"])) == {
        ("u", "text"): ["a", "b"],
        ("u", "number"): ["1", "2"],
    }
    assert texts(pa.RecordBatch.from_arrays([column[2:]], ["u"])) == {("u", "text"): ["b"], ("u", "number"): ["2"]}


def test_integers_that_pandas_made_floats_are_found() -> None:
    """A column of whole numbers with nulls is one of floats in pandas; scaled decimals are numbers as well."""
    frame = pd.DataFrame(
        {
            "card": [4111111111111111, None] * 10,
            "rrn": [9001011000006, None] * 10,
            "acct_no": [110123456789, None] * 10,
            "scaled": [decimal.Decimal("4111111111111111.00")] * 20,
        }
    )
    kinds = {field.field.path: finding.kind for field, finding in scan(frame).findings}
    assert kinds == {"card": "credit_card", "rrn": "kr_rrn", "acct_no": "kr_bank_account", "scaled": "credit_card"}


def test_folding_repeated_values_changes_no_count() -> None:
    """A long column of few values is examined once a value and counted as often as it occurs: hits, bytes, invalid."""
    rows = FOLD_ROWS + 100
    column = pa.array([b"\xff\xfe", b"010-1234-5678", b"", None] * (rows // 4), pa.binary())
    binary = scan(pa.table({"c": column})).fields[0].tally
    text = pa.Array.from_buffers(pa.string(), len(column), column.buffers(), column.null_count)
    folded = scan(pa.table({"c": text})).fields[0].tally
    assert (folded.rows, folded.examined, folded.bytes, folded.invalid) == (
        binary.rows,
        binary.examined,
        binary.bytes,
        binary.invalid,
    )
    assert folded.invalid == rows // 4
    assert folded.kinds == binary.kinds


@pytest.mark.parametrize("column", [pa.array([["a"]]), pa.array([{"a": "b"}]), np.array([1])])
def test_texts_that_are_no_texts_are_refused(column: Any) -> None:
    """`find` takes one column of texts."""
    with pytest.raises(UsageError):
        find(column)
