"""Arrow IPC, ORC and Avro: types as they were written, and damage of every kind."""

from __future__ import annotations

import bz2
import datetime
import decimal
import io
import json
import lzma
import random
import uuid
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from pyarrow import feather, orc

from pii_guard import connectors, scan
from pii_guard.connectors.avro_blocks import MAX_BLOCK
from pii_guard.connectors.base import MAX_BATCH_ROWS
from pii_guard.errors import ReadError
from pii_guard.leaves import leaves

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


def avro_of(schema: Any, *blocks: tuple[int, bytes], codec: str = "null") -> bytes:
    """A file of these blocks: how many records one claims, and its bytes as they are packed."""
    buffer, sync = io.BytesIO(), b"0123456789abcdef"
    meta = {"avro.codec": codec.encode(), "avro.schema": json.dumps(schema).encode()}
    fastavro.schemaless_writer(buffer, {"type": "map", "values": "bytes"}, meta)
    data = b"Obj\x01" + buffer.getvalue() + sync
    for count, block in blocks:
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, "long", count)
        fastavro.schemaless_writer(buffer, "bytes", block)
        data += buffer.getvalue() + sync
    return data


def reason(path: Path, data: bytes) -> str:
    """Why the file is not examined, or not to its end."""
    path.write_bytes(data)
    (item,) = scan(path).not_examined
    return item.reason


def text(value: str) -> bytes:
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, "string", value)
    return buffer.getvalue()


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def snappy(data: bytes) -> bytes:
    packed: bytes = pa.Codec("snappy").compress(data, asbytes=True)
    return packed + zlib.crc32(data).to_bytes(4, "big")


CODECS: dict[str, Callable[[bytes], bytes]] = {
    "null": bytes,
    "deflate": deflated,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "snappy": snappy,
    "zstandard": lambda data: pa.Codec("zstd").compress(data, asbytes=True),
}


@pytest.mark.parametrize("codec", CODECS)
def test_avro_codecs(tmp_path: Path, codec: str) -> None:
    """Each of the specification is read, up to the bound of a block; a block that is cut or beyond it is named."""
    path, pack = tmp_path / "a.avro", CODECS[codec]
    value = CANARY + "x" * 1000
    sound = (2, pack(text(value) + text("y")))
    assert read(path, avro_of("string", sound, codec=codec)).to_pylist() == [{"value": value}, {"value": "y"}]
    large = (1, pack(text("x" * (MAX_BLOCK + 1))))
    assert reason(path, avro_of("string", sound, large, codec=codec)).startswith("a block of more than 16 MB; ")
    assert reason(path, avro_of("string", sound, (2, sound[1][:-5]), codec=codec)) == "a damaged or truncated Avro file"


def test_avro_codec_that_is_unknown(tmp_path: Path) -> None:
    """It is named as that, not as damage."""
    data = avro_of("string", (1, b"x"), codec="lz77")
    assert reason(tmp_path / "a.avro", data) == "an Avro file that is packed by a method which pii-guard does not know"


SELF = {
    "type": "record",
    "name": "r",
    "fields": [{"name": "r", "type": ["null", "r"]}, {"name": "s", "type": "string"}],
}


@pytest.mark.parametrize("depth", [1_000, 1_000_000])
def test_avro_record_that_contains_itself(tmp_path: Path, depth: int) -> None:
    """However deep it does: fastavro's compiled reader would end the process."""
    data = avro_of(SELF, (1, b"\x02" * depth + b"\x00" + text("x") * (depth + 1)))
    assert reason(tmp_path / "a.avro", data) == "an Avro file whose schema or records are nested too deep"


def test_avro_schema_that_is_nested_too_deep(tmp_path: Path) -> None:
    """The same of the schema."""
    data = avro_of("string", (1, b"")).replace(b'"string"', b"[" * 30_000 + b"]" * 30_000)
    path = tmp_path / "a.avro"
    assert reason(path, data)  # the length of its entry is wrong now
    schema: Any = "string"
    for _ in range(65):
        schema = {"type": "array", "items": schema}
    assert reason(path, avro_of(schema, (1, b"\0"))) == "an Avro file whose schema or records are nested too deep"


def test_avro_lists_of_objects_have_a_lower_bound(tmp_path: Path) -> None:
    """An object of a byte takes two hundred bytes in Python."""
    item = {"type": "record", "name": "i", "fields": [{"name": "b", "type": "boolean"}]}
    count = 3 << 20
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, "long", count)
    data = avro_of({"type": "array", "items": item}, (1, buffer.getvalue() + bytes(count + 1)))
    assert reason(tmp_path / "a.avro", data).startswith("a block of more than 2 MB; ")


@pytest.mark.parametrize("items", ["null", {"type": "record", "name": "r", "fields": []}])
def test_avro_lists_of_nothing(tmp_path: Path, items: Any) -> None:
    """A list can claim any number of values that take no room."""
    data = avro_of({"type": "array", "items": items}, (1, bytes(9)))
    assert reason(tmp_path / "a.avro", data) == "lists of values that take no bytes, which no writer makes"


def test_avro_records_without_bytes_end(tmp_path: Path) -> None:
    """A block can claim any number of records that take no room."""
    schema = {"type": "record", "name": "r", "fields": []}
    (tmp_path / "b.avro").write_bytes(avro_of(schema, (9, b"")))
    assert scan(tmp_path / "b.avro").complete
    data = avro_of(schema, *[(1 << 62, b"")] * 3)
    assert reason(tmp_path / "a.avro", data).endswith("records without bytes, which no writer makes")
