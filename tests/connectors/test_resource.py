"""Bytes that come from elsewhere than a file: opened once or often, copied where a format has to seek."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_runner import run, spawn

from pii_guard.connectors.resource import HEAD, LocalFile, StreamedResource
from pii_guard.errors import ReadError

PHONE = "010-1234-5678"


def stream(data: bytes, *, once: bool) -> StreamedResource:
    return StreamedResource("a", "a.csv", "a", lambda: io.FileIO(pipe(data), "rb"), once=once)


def pipe(data: bytes) -> int:
    import os

    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    return reading


def test_the_head_is_not_lost() -> None:
    """Looking at the first bytes leaves them to be read."""
    data = bytes(range(256)) * 100
    for once in (True, False):
        found = stream(data, once=once)
        assert found.head() == found.head() == data[:HEAD]
        with found.open() as file:
            assert file.read() == data


def test_once() -> None:
    """What can be opened once says so the second time, and is not taken for empty; a copy can be read often."""
    found = stream(b"abc", once=True)
    with found.open() as file:
        assert file.read() == b"abc"
    with pytest.raises(ReadError, match="a: it can be read only once; write it to a file first"):
        found.open()
    found = stream(b"abc", once=True)
    for _ in range(2):
        with found.open_seekable() as file:
            assert (file.seek(0, 2), file.seek(1), file.read()) == (3, 1, b"bc")
        with found.open() as file:
            assert file.read() == b"abc"
    found.close()


def test_two_readers_of_one_copy() -> None:
    """Each has a position of its own."""
    found = stream(b"abcdef", once=True)
    with found.open_seekable() as one, found.open_seekable() as other:
        one.seek(3)
        assert (other.read(), one.read()) == (b"abcdef", b"def")
    found.close()


def test_one_file_by_two_names(tmp_path: Path) -> None:
    """A link and the file that it leads to are the same."""
    (tmp_path / "a.csv").write_text("a\n")
    (tmp_path / "b.csv").symlink_to("a.csv")
    assert LocalFile(tmp_path / "a.csv").identity == LocalFile(tmp_path / "b.csv").identity


def parquet() -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"phone": [PHONE]}), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "table"),
    [
        (f"phone\n{PHONE}\n".encode(), "stdin"),
        (gzip.compress(f"phone\n{PHONE}\n".encode()), "stdin"),
        (parquet(), "stdin"),
        (f"{'x' * 200_000}\n전화 {PHONE}\n".encode("cp949"), "stdin"),
    ],
    ids=["text", "gz", "parquet", "long"],
)
def test_standard_input(tmp_path: Path, data: bytes, table: str) -> None:
    """`-` is standard input, whatever format it is of, also beside files and in a pipe."""
    result = run("scan", "-", "--format", "json", stdin=data, cwd=tmp_path)
    report = json.loads(result.stdout)
    (entry,) = report["fields"]
    assert (result.code, entry["source"], entry["table"], entry["kind"]) == (0, "-", table, "kr_phone_mobile")
    (tmp_path / "a.csv").write_text(f"phone\n{PHONE}\n")
    piped = spawn("scan", "-", "a.csv", "-", "--format", "json", cwd=tmp_path, stdin=None, input=data)
    assert [entry["source"] for entry in json.loads(piped.stdout)["fields"]] == ["-", "a.csv"]


def test_standard_input_that_cannot_be_read(tmp_path: Path) -> None:
    """What arrives on standard input and is of no known format is named, and a file called `-` is another thing."""
    result = run("scan", "-", stdin=b"\0\1\2", cwd=tmp_path)
    assert (result.code, "not examined: -: binary" in result.stdout) == (3, True)
    (tmp_path / "-").write_text(f"{PHONE}\n")
    result = run("scan", "./-", "-", "--format", "json", stdin=b"", cwd=tmp_path)
    assert [entry["source"] for entry in json.loads(result.stdout)["fields"]] == ["-"]
    assert json.loads(result.stdout)["coverage"]["sources"] == 2


def test_no_space_for_the_copy(tmp_path: Path) -> None:
    """A copy that does not fit is an error of the source, in one line."""
    (tmp_path / "a.parquet.gz").write_bytes(gzip.compress(parquet()))
    full = OSError(28, "No space left on device")
    with mock.patch("tempfile.SpooledTemporaryFile", side_effect=full):
        result = run("scan", "a.parquet.gz", cwd=tmp_path)
    assert (result.code, "a.parquet.gz: no space left on the device" in result.stdout) == (3, True)
