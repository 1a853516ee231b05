"""Arrow IPC, ORC and Avro: types as they were written, and damage of every kind."""

from __future__ import annotations

import datetime
import decimal
import io
import json
import random
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from pyarrow import feather, orc

from pii_guard import connectors, scan
from pii_guard.batches import leaves
from pii_guard.connectors import avro
from pii_guard.connectors.base import MAX_BATCH_ROWS
from pii_guard.errors import ReadError

CANARY = "010-9876-5432"
TABLE = pa.table(
    {
        "phone": [CANARY] * 500,
        "n": list(range(500)),
        "user": [{"emails": ["hong@example.com", None]}] * 500,
        "when": pa.array([0] * 500, pa.timestamp("us")),
    }
)


def arrow_file(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    with pa.ipc.new_file(buffer, table.schema) as writer:
        writer.write_table(table, 100)
    return buffer.getvalue()


def arrow_stream(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, table.schema) as writer:
        writer.write_table(table, 100)
    return buffer.getvalue()


def feather_file(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    feather.write_feather(table, buffer, compression="zstd", chunksize=100)
    return buffer.getvalue()


def orc_file(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    orc.write_table(table, buffer)
    return buffer.getvalue()


def avro_file(records: list[Any], schema: Any, codec: str = "null") -> bytes:
    buffer = io.BytesIO()
    fastavro.writer(buffer, fastavro.parse_schema(schema), records, codec)
    return buffer.getvalue()


def read(path: Path, data: bytes) -> pa.Table:
    path.write_bytes(data)
    (table,) = connectors.open(str(path)).tables()
    batches = list(table.batches())
    assert max(batch.num_rows for batch in batches) <= MAX_BATCH_ROWS
    assert table.reader().read_all() == pa.Table.from_batches(batches)
    return pa.Table.from_batches(batches)


def examined(path: Path) -> str:
    """What is wrong with a file whose every value was looked at; empty if nothing is."""
    try:
        for table in connectors.open(str(path)).tables():
            for batch in table.batches():
                assert list(leaves(batch))
    except ReadError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("write", [arrow_file, arrow_stream, feather_file, orc_file])
def test_types_come_as_they_were_written(tmp_path: Path, write: Callable[[pa.Table], bytes]) -> None:
    """Numbers, times, lists and structs keep their types, under any name."""
    found = read(tmp_path / "a.bin", write(TABLE))
    assert found.to_pylist() == TABLE.to_pylist()
    assert found.schema.field("n").type == pa.int64()


@pytest.mark.parametrize("write", [arrow_file, arrow_stream])
def test_tags_survive(tmp_path: Path, write: Callable[[pa.Table], bytes]) -> None:
    """Field metadata of Arrow files and streams, and so tags, are read."""
    field = pa.field("phone", pa.string(), metadata={b"pii_guard": b"{}"})
    found = read(tmp_path / "a.arrow", write(pa.table([["x"]], pa.schema([field]))))
    assert found.schema.field("phone").metadata == {b"pii_guard": b"{}"}


@pytest.mark.parametrize("write", [arrow_file, arrow_stream, feather_file, orc_file])
@pytest.mark.parametrize("seed", range(3))
def test_damage(tmp_path: Path, write: Callable[[pa.Table], bytes], seed: int) -> None:
    """Whatever happens to the bytes, what is read can be examined, or there is a ReadError that quotes nothing."""
    whole, dice = write(TABLE), random.Random(seed)  # noqa: S311 - damage, not a secret
    errors = []
    for _ in range(60):
        data = bytearray(whole if dice.random() < 0.7 else whole[: dice.randrange(12, len(whole))])
        for _ in range(dice.choice((1, 5, 30))):
            data[dice.randrange(8, len(data))] = dice.randrange(256)
        (tmp_path / "a.orc").write_bytes(data)
        errors.append(examined(tmp_path / "a.orc"))
    assert any(errors)
    assert CANARY not in "".join(errors)
    assert "\n" not in "".join(errors)


def test_a_large_batch_comes_in_parts(tmp_path: Path) -> None:
    """A batch of any size in the file is handed out in bounded ones."""
    table = pa.table({"n": list(range(MAX_BATCH_ROWS * 2 + 3))})
    for name, data in (("a.arrow", arrow_file(table)), ("a.orc", orc_file(table))):
        assert read(tmp_path / name, data).num_rows == table.num_rows


OTHER = {"type": "record", "name": "other", "fields": [{"name": "e", "type": ["string", "int"]}]}
AVRO: dict[str, Any] = {
    "type": "record",
    "name": "row",
    "fields": [
        {"name": "phone", "type": ["null", "string"]},
        {"name": "either", "type": ["null", "long", "string"]},
        {"name": "tags", "type": {"type": "map", "values": "string"}},
        {"name": "kind", "type": {"type": "enum", "name": "kind", "symbols": ["a", "b"]}},
        {"name": "raw", "type": {"type": "fixed", "name": "raw", "size": 2}},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}},
        {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "parent", "type": ["null", "row"]},
        {"name": "others", "type": {"type": "array", "items": OTHER}},
    ],
}


def record(**changes: Any) -> dict[str, Any]:
    plain = {
        "phone": CANARY,
        "either": 1,
        "tags": {"memo": CANARY},
        "kind": "a",
        "raw": b"\xff\x00",
        "price": decimal.Decimal("12.30"),
        "id": uuid.UUID(int=1),
        "day": datetime.date(1990, 1, 2),
        "parent": None,
        "others": [{"e": "x"}, {"e": 2}],
    }
    return {**plain, **changes}


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz"])
def test_avro_types(tmp_path: Path, codec: str) -> None:
    """Types are kept; unions of several, decimals, and types that contain themselves are text."""
    records = [record(), record(phone=None, either="x", parent=record(parent=None))]
    found = read(tmp_path / "a.avro", avro_file(records, AVRO, codec)).to_pylist()
    assert found[0] == {
        "phone": CANARY,
        "either": "1",
        "tags": [("memo", CANARY)],
        "kind": "a",
        "raw": b"\xff\x00",
        "price": "12.30",
        "id": str(uuid.UUID(int=1)),
        "day": datetime.date(1990, 1, 2),
        "parent": None,
        "others": [{"e": "x"}, {"e": "2"}],
    }
    assert found[1]["phone"] is None
    assert json.loads(found[1]["parent"])["phone"] == CANARY


def test_avro_of_no_records(tmp_path: Path) -> None:
    """A file of values that are no records has one column."""
    assert read(tmp_path / "a.avro", avro_file(["x", "y"], "string")).to_pylist() == [{"value": "x"}, {"value": "y"}]


def test_avro_damage(tmp_path: Path) -> None:
    """A file that is cut or changed is a ReadError, in one line of our own words."""
    whole, dice = avro_file([record()] * 200, AVRO, "deflate"), random.Random(5)  # noqa: S311 - damage, not a secret
    for number in range(80):
        data = bytearray(whole[: dice.randrange(8, len(whole))] if number % 2 else whole)
        for _ in range(10):
            data[dice.randrange(4, len(data))] = dice.randrange(256)
        (tmp_path / "a.avro").write_bytes(data)
        assert examined(tmp_path / "a.avro").endswith(": a damaged or truncated Avro file")


def test_avro_records_without_bytes_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block can claim any number of records that take no room."""
    monkeypatch.setattr(avro, "_STILL", 5_000)
    schema = {"type": "record", "name": "r", "fields": []}
    (tmp_path / "a.avro").write_bytes(avro_file([{}] * 20_000, schema))
    (item,) = scan(tmp_path / "a.avro").not_examined
    assert "records in a block, which no writer makes" in item.reason
