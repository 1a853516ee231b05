"""A file is written whole or not at all."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import polars
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import pii_guard
from pii_guard import connectors
from pii_guard.errors import PiiGuardError, ReadError, TargetError, UsageError, WriteError

SUFFIXES = [".csv", ".tsv", ".parquet", ".ndjson", ".jsonl", ".arrow", ".arrows"]
BATCH = pa.record_batch({"phone": ["010-0000-0001", "", None], "memo": ['a"b', "x\r\ny", " "]})
CANARY = "010-9876-5432"


def reader_of(*batches: pa.RecordBatch, then: BaseException | None = None) -> pa.RecordBatchReader:
    """A reader of the batches, that fails after them if `then` is given."""

    def stream() -> Iterator[pa.RecordBatch]:
        yield from batches
        if then is not None:
            raise then

    return pa.RecordBatchReader.from_batches(batches[0].schema, stream())


@pytest.fixture(params=SUFFIXES)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"out{request.param}"


FAILURES = [
    (KeyboardInterrupt(), KeyboardInterrupt),
    (ReadError("in.csv", "line 3: 2 columns where the header has 3"), ReadError),
    (OSError(28, f"No space left on device {CANARY}"), WriteError),
    (pa.ArrowInvalid(f"bad value {CANARY}"), WriteError),
]


@pytest.mark.parametrize(("failure", "raised"), FAILURES, ids=lambda value: getattr(value, "__name__", None))
@pytest.mark.parametrize("before", [None, b"what stood there before"])
def test_failure_leaves_what_was_there(
    target: Path, failure: BaseException, raised: type[BaseException], before: bytes | None
) -> None:
    """Whatever fails in mid-stream, Ctrl-C too, no temporary file remains and the old file is untouched."""
    if before is not None:
        target.write_bytes(before)
    with pytest.raises(raised) as caught:
        connectors.write(reader_of(BATCH, BATCH, then=failure), str(target), overwrite=True)
    assert [path.name for path in target.parent.iterdir()] == ([] if before is None else [target.name])
    assert before is None or target.read_bytes() == before
    if isinstance(caught.value, WriteError):
        assert CANARY not in str(caught.value)
        assert "nothing was written" in str(caught.value)


def test_disk_full(target: Path) -> None:
    """A disk that is full (here: a limit on the size of files) is a WriteError, and the old file is untouched."""
    target.write_bytes(b"before")
    program = textwrap.dedent(
        """
        import os, resource, sys
        import pyarrow as pa
        from pii_guard import connectors
        from pii_guard.errors import WriteError

        batch = pa.record_batch({"a": [os.urandom(500).hex() for _ in range(1000)]})
        reader = pa.RecordBatchReader.from_batches(batch.schema, [batch] * 5)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        try:
            connectors.write(reader, sys.argv[1], overwrite=True)
        except WriteError as error:
            print(error)
        """
    )
    done = subprocess.run([sys.executable, "-c", program, str(target)], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == f"{target}: the file is larger than the system allows; nothing was written\n"
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert target.read_bytes() == b"before"


def test_sync_before_rename(target: Path) -> None:
    """The content is on disk before the name is, and the name is on disk before the call returns."""
    calls: list[str] = []
    real_sync, real_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        calls.append("directory" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        real_sync(descriptor)

    def replace(old: Path, new: Path) -> None:
        assert not target.exists()
        calls.append("replace")
        real_replace(old, new)

    with mock.patch.object(os, "fsync", fsync), mock.patch.object(os, "replace", replace):
        assert connectors.write(reader_of(BATCH), str(target)) == 3
    assert calls == ["file", "replace", "directory"]


def test_existing_target(target: Path) -> None:
    """A target that exists is kept unless overwriting is asked for; its permissions stay with the new content."""
    target.write_bytes(b"before")
    target.chmod(0o640)
    with pytest.raises(TargetError, match="exists already; use --overwrite"):
        connectors.write(reader_of(BATCH), str(target))
    assert target.read_bytes() == b"before"
    connectors.write(reader_of(BATCH), str(target), overwrite=True)
    assert target.read_bytes() != b"before"
    assert target.stat().st_mode & 0o777 == 0o640


def test_target_made_meanwhile(target: Path) -> None:
    """A file that somebody else makes under the same name while we write is not overwritten."""

    def stream() -> Iterator[pa.RecordBatch]:
        yield BATCH
        target.write_bytes(b"theirs")

    with pytest.raises(TargetError, match="meanwhile"):
        connectors.write(pa.RecordBatchReader.from_batches(BATCH.schema, stream()), str(target))
    assert target.read_bytes() == b"theirs"
    assert len(list(target.parent.iterdir())) == 1


def test_link_is_followed(target: Path) -> None:
    """Overwriting through a symbolic link replaces the file, not the link."""
    real = target.with_name(f"real{target.suffix}")
    real.write_bytes(b"before")
    target.symlink_to(real.name)
    connectors.write(reader_of(BATCH), str(target), overwrite=True)
    assert target.is_symlink()
    assert real.read_bytes() != b"before"


def test_targets_that_are_none(tmp_path: Path) -> None:
    """An unknown suffix, a missing directory, a directory: each is one clear line, and nothing is written."""
    for name, error, message in (
        ("out.xlsx", UsageError, r"known are \.csv, \.tsv, .*\.parquet, .*\.ndjson, .*\.ipc$"),
        ("out", UsageError, "known are"),
        ("out.txt", UsageError, "known are"),
        ("none/out.csv", TargetError, "its directory does not exist$"),
    ):
        with pytest.raises(error, match=message):
            connectors.write(reader_of(BATCH), str(tmp_path / name))
        with pytest.raises(error, match=message):
            connectors.check_target(str(tmp_path / name))
    assert connectors.check_target(str(tmp_path / "OUT.CSV")).id == "csv"
    (tmp_path / "dir.csv").mkdir()
    with pytest.raises(TargetError, match="is a directory"):
        connectors.write(reader_of(BATCH), str(tmp_path / "dir.csv"), overwrite=True)
    with (
        mock.patch.object(os, "open", side_effect=PermissionError(13, "x")),
        pytest.raises(WriteError, match="permission"),
    ):
        connectors.write(reader_of(BATCH), str(tmp_path / "out.csv"))
    assert [path.name for path in tmp_path.iterdir()] == ["dir.csv"]


cells = st.none() | st.text(st.sampled_from('가a",;\t\r\n \0'), max_size=6)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=6), st.sampled_from([".csv", ".tsv"]))
@example([("가a가\0a", "가")], ".csv")
def test_delimited_text_reads_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], suffix: str
) -> None:
    """Any strings come back as they were, here and in Python's own reader; a null comes back as an empty string."""
    target = tmp_path_factory.mktemp("write") / f"out{suffix}"
    batch = pa.record_batch([pa.array(column, pa.string()) for column in zip(*rows, strict=True)], names=["a", "a"])
    connectors.write(reader_of(batch), str(target))
    wanted = [tuple(value or "" for value in row) for row in rows]
    (table,) = connectors.open(str(target)).tables()
    read = table.reader().read_all()
    assert list(zip(*(column.to_pylist() for column in read.columns), strict=True)) == wanted
    with target.open(encoding="utf-8", newline="") as file:
        delimiter = "\t" if suffix == ".tsv" else ","
        assert [tuple(row) for row in csv.reader(file, delimiter=delimiter)] == [("a", "a"), *wanted]


def test_null_and_empty_differ_in_the_file(tmp_path: Path) -> None:
    """A null is written as nothing, an empty string as two quotes."""
    target = tmp_path / "out.csv"
    batch = pa.record_batch({"a": ["", None], "n": pa.array([1, None]), "d": pa.array([None, None], pa.date32())})
    connectors.write(reader_of(batch), str(target))
    assert target.read_text() == '"a","n","d"\n"",1,\n,,\n'


def test_nulls_of_one_column_are_rows(tmp_path: Path) -> None:
    """A table of one column keeps its rows, nulls too, through a file."""
    target = tmp_path / "out.csv"
    connectors.write(reader_of(pa.record_batch({"a": ["x", None, None]})), str(target))
    (table,) = connectors.open(str(target)).tables()
    assert table.reader().read_all().to_pydict() == {"a": ["x", "", ""]}


def test_refused_columns_are_named_by_position(tmp_path: Path) -> None:
    """A type that text cannot hold is refused before writing, and by position: the name may be a personal datum."""
    batch = pa.record_batch([pa.array(["x"]), pa.array([b"\xff"])], names=["a", CANARY])
    for suffix in (".csv", ".jsonl"):
        with pytest.raises(UsageError) as caught:
            connectors.write(reader_of(batch), str(tmp_path / f"out{suffix}"))
        assert str(caught.value) == (
            f"column 2 holds values of type binary, which a {suffix} file cannot hold: write .parquet"
        )
    assert list(tmp_path.iterdir()) == []


def test_invalid_text_is_an_error_without_it(tmp_path: Path) -> None:
    """Strings that are not UTF-8 do not leak through the error of whoever notices."""
    raw = pa.py_buffer(CANARY.encode() + b"\xff")
    offsets = pa.array([0, len(raw)], pa.int32()).buffers()[1]
    batch = pa.record_batch([pa.StringArray.from_buffers(1, offsets, raw)], names=["a"])
    with pytest.raises(PiiGuardError) as caught:
        connectors.write(reader_of(batch), str(tmp_path / "out.jsonl"))
    assert CANARY not in repr(caught.value)


def test_what_is_written_is_what_frames_hold(target: Path) -> None:
    """The public function takes tables, frames and lists of dicts, and paths of either kind."""
    for data in (pa.table({"a": ["x", "y"]}), [{"a": "x"}, {"a": "y"}], polars.DataFrame({"a": ["x", "y"]})):
        assert pii_guard.write(data, target, overwrite=True) == 2
        (table,) = connectors.open(str(target)).tables()
        assert table.reader().read_all().to_pydict() == {"a": ["x", "y"]}
