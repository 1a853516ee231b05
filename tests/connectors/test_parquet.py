"""Parquet: its types and tags, and every way in which a file can be no Parquet file."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest

from pii_guard import connectors
from pii_guard.connectors import parquet
from pii_guard.connectors.base import MAX_BATCH_BYTES
from pii_guard.connectors.parquet import ParquetSource, ParquetTable
from pii_guard.connectors.resource import LocalFile
from pii_guard.connectors.style import Style
from pii_guard.errors import ReadError, UsageError

CANARY = "010-9876-5432"


def written(path: Path, rows: int = 1000, **options: object) -> bytes:
    pq.write_table(pa.table({"phone": [CANARY] * rows, "n": list(range(rows))}), path, **options)
    return path.read_bytes()


def read_all(path: Path) -> int:
    return sum(batch.num_rows for batch in ParquetTable(LocalFile(path, path.name)).batches())


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: data[: len(data) // 2], "truncated"),
        (lambda data: data[:-1], "truncated"),
        (lambda data: data[:4], "truncated"),
        (lambda data: data[:4] + data[-8:], "truncated"),
        (lambda data: b"PAR1PAR1", "truncated"),
        (lambda data: b"id,phone\n1,010-9876-5432\n", "not a Parquet file"),
        (lambda data: b"x", "not a Parquet file"),
        (lambda data: b"PARE" + data[4:-4] + b"PARE", "encrypted by Parquet itself"),
        (lambda data: data[: len(data) - 300] + b"\xff" * 200 + data[-100:], "damaged"),
        (lambda data: data[:-8] + b"\x05\0\0\0PAR1", "damaged"),
        (lambda data: data[:4] + b"\xff" * 400 + data[404:], "damaged"),
    ],
)
def test_damage_is_a_read_error(tmp_path: Path, damage: Callable[[bytes], bytes], reason: str) -> None:
    """Every damage is a ReadError that says what is wrong and quotes nothing."""
    path = tmp_path / "t.parquet"
    data = written(path)
    path.write_bytes(damage(data))
    with pytest.raises(ReadError, match=reason) as caught:
        read_all(path)
    assert CANARY not in str(caught.value)


class ToyKms(pe.KmsClient):  # type: ignore[misc]
    """Wraps keys by base64: enough to make an encrypted file."""

    def __init__(self, config: object) -> None:
        super().__init__()

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
        return base64.b64encode(key_bytes)

    def unwrap_key(self, wrapped_key: bytes, master_key_identifier: str) -> bytes:
        return base64.b64decode(wrapped_key)


@pytest.mark.parametrize("plaintext_footer", [False, True])
def test_encrypted_by_parquet(tmp_path: Path, plaintext_footer: bool) -> None:
    """A file under modular encryption is refused for what it is, also where its footer can be read."""
    factory = pe.CryptoFactory(ToyKms)
    properties = factory.file_encryption_properties(
        pe.KmsConnectionConfig(),
        pe.EncryptionConfiguration("footer", column_keys={"key": ["phone"]}, plaintext_footer=plaintext_footer),
    )
    path = tmp_path / "t.parquet"
    written(path, encryption_properties=properties)
    with pytest.raises(ReadError, match="encrypted by Parquet itself"):
        read_all(path)


def test_content_decides(tmp_path: Path) -> None:
    """A Parquet file is one under any name, and a name alone makes none."""
    path = tmp_path / "export.csv"
    written(path, 3)
    source = connectors.open(str(path))
    assert source.format == "parquet"
    (tmp_path / "t.parquet").write_text("not at all")
    with pytest.raises(ReadError, match="not a Parquet file"):
        list(connectors.open(str(tmp_path / "t.parquet")).tables())


def test_batches_are_small_though_a_dictionary_repeats(tmp_path: Path) -> None:
    """A long value that Parquet stores once still does not make a batch larger than the bound."""
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"memo": ["x" * 100_000] * 1000}), path)
    assert path.stat().st_size < 1_000_000
    batches = list(ParquetTable(LocalFile(path, "t")).batches())
    assert sum(batch.num_rows for batch in batches) == 1000
    assert max(batch.num_rows for batch in batches) * 100_000 <= MAX_BATCH_BYTES


def test_position_tells_of_rows(tmp_path: Path) -> None:
    """Progress follows the rows, through row groups and batches."""
    path = tmp_path / "t.parquet"
    written(path, 1000, row_group_size=100)
    table = ParquetTable(LocalFile(path, "t"))
    with mock.patch.object(parquet, "MAX_BATCH_ROWS", 50):
        positions = [table.position() for _ in table.batches()]
    assert len(positions) == 20
    assert positions[9] == path.stat().st_size // 2
    assert positions[-1] == table.size


def test_types_and_metadata_survive(tmp_path: Path) -> None:
    """Types, nested types, dictionaries, names that repeat, and metadata of schema and fields come back as written."""
    tag = {b"pii_guard": b'{"kind": "email"}'}
    schema = pa.schema(
        [
            pa.field("user", pa.struct([pa.field("email", pa.string(), metadata=tag)]), metadata=tag),
            pa.field("grade", pa.dictionary(pa.int32(), pa.string())),
            pa.field("n", pa.decimal128(20, 2)),
            pa.field("n", pa.list_(pa.timestamp("us", "Asia/Seoul"))),
        ],
        metadata={b"pii_guard": b"{}"},
    )
    arrays = [pa.nulls(3, field.type) for field in schema]
    batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
    path = tmp_path / "t.parquet"
    reader = pa.RecordBatchReader.from_batches(schema, [batch, batch])
    assert connectors.write(reader, str(path)) == 6
    read = ParquetTable(LocalFile(path, "t")).reader()
    assert read.schema.names == schema.names
    assert read.schema.types == schema.types
    assert (read.schema.metadata or {})[b"pii_guard"] == b"{}"
    assert (read.schema.field(0).metadata or {})[b"pii_guard"] == tag[b"pii_guard"]
    assert (read.schema.field(0).type.field(0).metadata or {})[b"pii_guard"] == tag[b"pii_guard"]
    assert read.read_all().num_rows == 6


def test_small_batches_share_a_row_group(tmp_path: Path) -> None:
    """Many small batches do not become as many row groups, and the file is compressed with zstd."""
    batch = pa.record_batch({"a": ["x" * 50] * 10})
    path = tmp_path / "t.parquet"
    with path.open("wb") as file:
        reader = pa.RecordBatchReader.from_batches(batch.schema, [batch] * 100)
        assert ParquetSource.write(reader, file, ".parquet", Style()) == 1000
    metadata = pq.read_metadata(path)
    assert metadata.num_row_groups == 1
    assert metadata.row_group(0).column(0).compression == "ZSTD"


def test_type_that_parquet_has_not(tmp_path: Path) -> None:
    """A type that Parquet cannot hold is refused before anything is written."""
    batch = pa.record_batch([pa.array([pa.MonthDayNano([1, 2, 3])])], names=["i"])
    with pytest.raises(UsageError, match="holds a type"):
        connectors.write(pa.RecordBatchReader.from_batches(batch.schema, [batch]), str(tmp_path / "t.parquet"))
    assert list(tmp_path.iterdir()) == []
