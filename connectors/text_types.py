"""Arrow types as text formats can hold them: numbers, booleans, strings, and lists and structs of these."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.errors import UsageError

__all__ = ["plain_batch", "plain_schema"]


def plain_schema(schema: pa.Schema, format: str, *, nested: bool) -> pa.Schema:
    """`schema` with every type that `format` has no form for as a string: dates and times in ISO 8601, decimals.

    Raises UsageError for binary values and intervals, which have no agreed text, and for nested values unless
    `nested`. It names a column by its position: a name may itself be a personal datum.
    """
    fields = []
    for position, field in enumerate(schema, 1):
        try:
            fields.append(field.with_type(_plain_type(field.type, nested)).with_nullable(True))
        except _RefusedError as refused:
            message = f"column {position} holds {refused}, which {format} cannot hold: write .parquet"
            raise UsageError(message) from None
    return pa.schema(fields)


def plain_batch(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """`batch` in the types of `schema`, which `plain_schema` made for it."""
    columns = [_plain(column, field.type) for column, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


class _RefusedError(Exception):
    """Says what there is no text for."""


def _plain_type(kind: pa.DataType, nested: bool) -> pa.DataType:
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return _plain_type(kind.storage_type, nested)
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return _plain_type(kind.value_type, nested)
    if types.is_nested(kind):
        if not nested:
            raise _RefusedError("nested values")
        return _plain_nested(kind)
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind) or types.is_null(kind):
        return kind
    if types.is_string(kind) or types.is_large_string(kind):
        return kind
    if types.is_string_view(kind) or types.is_decimal(kind):
        return pa.string()
    if types.is_temporal(kind) and not types.is_interval(kind):
        return pa.string()
    raise _RefusedError(f"values of type {kind}")


def _plain_nested(kind: pa.DataType) -> pa.DataType:
    types = pa.types
    if isinstance(kind, pa.StructType):
        if len({field.name for field in kind}) < kind.num_fields:
            raise _RefusedError("a struct with two fields of one name")
        return pa.struct([field.with_type(_plain_type(field.type, True)) for field in kind])
    if isinstance(kind, pa.MapType):
        return pa.map_(_plain_type(kind.key_type, True), _plain_type(kind.item_type, True))
    if types.is_large_list(kind):
        return pa.large_list(_plain_type(kind.value_type, True))
    if types.is_list(kind) or types.is_fixed_size_list(kind):
        return pa.list_(_plain_type(kind.value_type, True))
    raise _RefusedError(f"values of type {kind.id}" if not types.is_union(kind) else "values of union type")


def _plain(column: pa.Array[Any], kind: pa.DataType) -> pa.Array[Any]:
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    return column if column.type == kind else column.cast(kind)
