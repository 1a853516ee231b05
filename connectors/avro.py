"""Avro object container files, with their types; read by fastavro, row by row (some 400,000 rows a second), in blocks
that are bounded (`avro_blocks`).

A union of null and one type is that type. Every other union, a type that contains itself, decimals and UUIDs are text:
strings as they are, objects and arrays as JSON, anything else as Python prints it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import pyarrow as pa

from pii_guard.connectors.avro_blocks import AvroBlocks
from pii_guard.connectors.base import MAX_BATCH_ROWS, Capabilities, FileSource, FileTable, bounded, empty_batch, reading
from pii_guard.errors import PiiGuardError, ReadError

__all__ = ["VALUE", "AvroSource", "AvroTable"]

VALUE = "value"
"""The column of values that are no records."""

_DAMAGED = "a damaged or truncated Avro file"
_ROWS = MAX_BATCH_ROWS // 8  # Python objects take much more memory than columns do
_PART = 1 << 20  # bytes of blocks whose objects are in memory at a time, about
_STEP = 512

_PRIMITIVE = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "string": pa.string(),
}
_LOGICAL = {
    "date": pa.date32(),
    "time-millis": pa.time32("ms"),
    "time-micros": pa.time64("us"),
    "timestamp-millis": pa.timestamp("ms", "UTC"),
    "timestamp-micros": pa.timestamp("us", "UTC"),
    "local-timestamp-millis": pa.timestamp("ms"),
    "local-timestamp-micros": pa.timestamp("us"),
}


class AvroTable(FileTable):
    """The records of an Avro file; values that are no records are a column `value`."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        self.bytes_read = 0
        seen = False
        with self._open() as (parts, schema, tell):
            for part in parts:
                self.bytes_read = tell()
                columns = [_column([row.get(field.name) for row in part], field.type) for field in schema]
                yield from bounded(pa.RecordBatch.from_arrays(columns, schema=schema))
                seen = True
            if not seen and len(schema):
                yield empty_batch(schema)
        self.bytes_read = self.size or 0

    def reader(self) -> pa.RecordBatchReader:
        with self._open() as (_, schema, _):
            return pa.RecordBatchReader.from_batches(schema, self.batches())

    @contextmanager
    def _open(self) -> Iterator[tuple[Iterator[list[dict[str, Any]]], pa.Schema, Callable[[], int]]]:
        """(records in parts, their schema, a function that tells how many bytes were read)"""
        with reading(self.target):
            empty = not self.resource.head()
        with reading(self.target), self.resource.open() as file:
            if empty:
                yield iter(()), pa.schema([]), file.tell
                return
            with self._damage():
                blocks = AvroBlocks(file, self.target)
                kind = _type(blocks.schema, {})
            is_record = isinstance(kind, pa.StructType)
            schema = pa.schema(list(kind) if is_record else [(VALUE, kind)])
            yield self._parts(blocks, is_record), schema, file.tell

    def _parts(self, blocks: AvroBlocks, is_record: bool) -> Iterator[list[dict[str, Any]]]:
        """The records, as many at a time as fit well into memory."""
        part: list[dict[str, Any]] = []
        taken = 0
        with self._damage():
            for block in blocks:
                records, start = iter(block), 0
                while read := list(islice(records, _STEP)):
                    part += read if is_record else [{VALUE: record} for record in read]
                    taken, start = taken + block.bytes_.tell() - start, block.bytes_.tell()
                    if len(part) >= _ROWS or taken > _PART:
                        yield part
                        part, taken = [], 0
            if part:
                yield part

    @contextmanager
    def _damage(self) -> Iterator[None]:
        try:
            yield
        except (OSError, PiiGuardError):
            raise
        except RecursionError:
            raise ReadError(self.target, "an Avro file whose schema or records are nested too deep") from None
        except Exception:  # noqa: BLE001 - fastavro raises anything for bytes that are no Avro, and quotes them
            raise ReadError(self.target, _DAMAGED) from None


def _type(schema: Any, known: dict[str, pa.DataType | None]) -> pa.DataType:
    """The Arrow type of an Avro schema. `known` are the named types so far; those that are not finished are None."""
    if isinstance(schema, str):
        return _PRIMITIVE.get(schema) or known.get(schema) or pa.string()
    if isinstance(schema, list):
        others = [each for each in schema if each != "null"]
        return _type(others[0], known) if len(others) == 1 else pa.string() if others else pa.null()
    kind = schema["type"]
    if "logicalType" in schema and isinstance(kind, str):
        return _LOGICAL.get(schema["logicalType"], pa.string())
    if kind in ("record", "error"):
        known[schema["name"]] = None
        fields = [pa.field(field["name"], _type(field["type"], known)) for field in schema["fields"]]
        known[schema["name"]] = pa.struct(fields)
        return pa.struct(fields)
    if kind in ("enum", "fixed"):
        known[schema["name"]] = pa.string() if kind == "enum" else pa.binary()
        return known[schema["name"]]
    if kind == "array":
        return pa.list_(_type(schema["items"], known))
    if kind == "map":
        return pa.map_(pa.string(), _type(schema["values"], known))
    return _type(kind, known)


def _column(values: list[Any], kind: pa.DataType) -> pa.Array[Any]:
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):  # what is text by our rule alone
        return pa.array([_fitted(value, kind) for value in values], kind)


def _fitted(value: Any, kind: pa.DataType) -> Any:
    """`value` with text where its type says text."""
    if value is None:
        return None
    if isinstance(kind, pa.StructType):
        return {field.name: _fitted(value.get(field.name), field.type) for field in kind}
    if isinstance(kind, pa.MapType):
        return {name: _fitted(item, kind.item_type) for name, item in value.items()}
    if isinstance(kind, pa.ListType):
        return [_fitted(item, kind.value_type) for item in value]
    return _text(value) if kind == pa.string() else value


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    text = json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, (dict, list)) else str(value)
    return text.encode(errors="replace").decode()


class AvroSource(FileSource):
    """An Avro object container file."""

    format = "avro"
    capabilities = Capabilities(typed=True, nested=True, metadata=False, row_count=False, writable=False)
    table = AvroTable
