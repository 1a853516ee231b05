"""A file written anew is like the one whose place it takes."""

from __future__ import annotations

import codecs
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pii_guard import connectors
from pii_guard.connectors.base import Table
from pii_guard.connectors.resource import LocalFile
from pii_guard.connectors.style import Style
from pii_guard.errors import UsageError

ROWS = '"이름"{0}"전화"{1}"홍길동"{0}"010-0000-0001"{1}"김, ""영""\n희"{0}""{1}'


def only(path: Path) -> Table:
    (table,) = connectors.open(str(path)).tables()
    return table


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("eol", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_rows_keep_delimiter_encoding_and_line_ends(tmp_path: Path, encoding: str, eol: str, delimiter: str) -> None:
    """Byte for byte, where the file was written as ours are: every string in quotes."""
    source, target = tmp_path / "a.csv", tmp_path / "b.csv"
    source.write_bytes(ROWS.format(delimiter, eol).encode(encoding))
    table = only(source)
    connectors.write(table.reader(), str(target), style=table.style())
    assert target.read_bytes() == source.read_bytes()


@pytest.mark.parametrize(("encoding", "eol"), [("utf-8", "\r\n"), ("cp949", "\n"), ("utf-8-sig", "\n")])
def test_objects_keep_encoding_and_line_ends(tmp_path: Path, encoding: str, eol: str) -> None:
    """The same for JSON objects."""
    source, target = tmp_path / "a.ndjson", tmp_path / "b.ndjson"
    source.write_bytes((f'{{"이름":"홍길동","n":1}}{eol}' * 3).encode(encoding))
    table = only(source)
    connectors.write(table.reader(), str(target), style=table.style())
    assert target.read_bytes() == source.read_bytes()


def test_a_file_is_not_read_once_more_for_its_encoding(tmp_path: Path) -> None:
    """Objects are read twice for their rows, and that tells it."""
    (tmp_path / "a.ndjson").write_bytes('{"이름":"홍길동"}\n'.encode("cp949"))
    table = only(tmp_path / "a.ndjson")
    rows = table.reader()
    with mock.patch.object(LocalFile, "open", autospec=True, side_effect=LocalFile.open) as opened:
        assert table.style().encoding == "cp949"
    assert opened.call_count == 1  # for its line ends
    assert rows.read_all().num_rows == 1


@pytest.mark.parametrize("codec", ["snappy", "gzip", "zstd", "brotli", "lz4", "none"])
def test_parquet_keeps_the_codec_of_each_column(tmp_path: Path, codec: str) -> None:
    """Nested columns, and the metadata of schema and fields, too."""
    source, target = tmp_path / "a.parquet", tmp_path / "b.parquet"
    schema = pa.schema(
        [pa.field("a", pa.string(), metadata={"x": "y"}), pa.field("b", pa.list_(pa.int64())), ("c", pa.int8())],
        metadata={"made": "by hand"},
    )
    rows = pa.table([["x"] * 9, [[1, 2]] * 9, [1] * 9], schema=schema)
    pq.write_table(rows, source, compression={"a": codec, "b.list.element": codec, "c": "snappy"})
    table = only(source)
    connectors.write(table.reader(), str(target), style=table.style())

    def codecs_of(path: Path) -> list[str]:
        group = pq.ParquetFile(path).metadata.row_group(0)
        return [group.column(number).compression for number in range(group.num_columns)]

    assert codecs_of(target) == codecs_of(source)
    assert pq.read_table(target).equals(pq.read_table(source), check_metadata=True)


@pytest.mark.parametrize("suffix", [".arrow", ".feather", ".arrows"])
@pytest.mark.parametrize("codec", ["lz4", "zstd", None])
def test_arrow_keeps_its_compression(tmp_path: Path, suffix: str, codec: str | None) -> None:
    """That of a file or stream, with dictionaries in front of its batches or not."""
    text = pa.array(["홍길동 010-0000-0001"] * 50_000)
    rows = pa.table({"a": text, "b": text.dictionary_encode()})
    source, target = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    options = pa.ipc.IpcWriteOptions(compression=codec)
    make = pa.ipc.new_stream if suffix == ".arrows" else pa.ipc.new_file
    with make(source, rows.schema, options=options) as writer:
        writer.write_table(rows)
    table = only(source)
    assert table.style().compression == (codec or "none")
    connectors.write(table.reader(), str(target), style=table.style())
    assert only(target).style() == table.style()
    assert target.stat().st_size == pytest.approx(source.stat().st_size, rel=0.1)
    assert only(target).reader().read_all().equals(rows)


def test_arrow_without_batches_has_no_compression_of_its_own(tmp_path: Path) -> None:
    """What has no rows is written like any new file."""
    pa.ipc.new_file(tmp_path / "a.arrow", pa.schema([("a", pa.string())])).close()
    (tmp_path / "b.arrow").write_bytes(b"")
    assert only(tmp_path / "a.arrow").style() == only(tmp_path / "b.arrow").style() == Style()


def test_what_an_encoding_does_not_have_is_refused(tmp_path: Path) -> None:
    """Nothing is replaced by question marks, and what stood there stays."""
    source = tmp_path / "a.csv"
    source.write_bytes("이름\n홍길동\n".encode("cp949"))
    style = only(source).style()
    rows = pa.table({"이름": ["홍길동", "\U0001f600"]}).to_reader()
    with pytest.raises(UsageError, match="the encoding of the file, cp949, does not have"):
        connectors.write(rows, str(source), overwrite=True, style=style)
    assert source.read_bytes() == "이름\n홍길동\n".encode("cp949")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_a_byte_order_mark_alone_is_a_style(tmp_path: Path) -> None:
    """An empty file has one, too."""
    (tmp_path / "a.ndjson").write_bytes(codecs.BOM_UTF8)
    assert only(tmp_path / "a.ndjson").style().encoding == "utf-8-sig"


@pytest.mark.parametrize("suffix", [".arrow", ".feather", ".ipc", ".arrows"])
def test_arrow_keeps_types_metadata_and_dictionaries_that_change(tmp_path: Path, suffix: str) -> None:
    """Batches of a stream may have dictionaries of their own; a file has one that grows."""
    field = pa.field("a", pa.dictionary(pa.int8(), pa.string()), metadata={"x": "y"})
    schema = pa.schema([field, ("b", pa.list_(pa.int64()))], metadata={"made": "by hand"})
    values: list[list[str | None]] = [["x", "y", None, "x"], ["z", "x", "y", "z"], [None, None, "w", "y"]]
    batches = [
        pa.record_batch([pa.array(part, pa.string()).dictionary_encode().cast(field.type), [[1]] * 4], schema=schema)
        for part in values
    ]
    target = tmp_path / f"a{suffix}"
    connectors.write(pa.RecordBatchReader.from_batches(schema, batches), str(target))
    read = only(target).reader().read_all()
    assert read.schema.equals(schema, check_metadata=True)
    assert read["a"].to_pylist() == [value for part in values for value in part]
    assert read["b"].to_pylist() == [[1]] * 12
