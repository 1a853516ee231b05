"""One suite over all connectors. What one cannot do, it declares in its capabilities, and the suite reads that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pytest
from written import CASES, Case, Rows

from pii_guard import connectors
from pii_guard.connectors import FORMATS, OutOfScope, Source, Table
from pii_guard.connectors.base import MAX_BATCH_ROWS
from pii_guard.errors import PiiGuardError, ReadError, TargetError, UsageError
from pii_guard.reports import NotExamined

CANARY = "010-9876-5432"


@pytest.fixture(params=CASES, ids=lambda case: case.suffix)
def case(request: pytest.FixtureRequest) -> Case:
    assert isinstance(request.param, Case)
    return request.param


def opened(path: Path) -> Source:
    return connectors.open(str(path))


def only_table(source: Source) -> Table:
    (table,) = source.tables()
    return table


def made(case: Case, tmp_path: Path, count: int) -> tuple[Path, Rows]:
    path = tmp_path / f"고객{case.suffix}"
    rows = case.rows(count)
    case.make(path, rows, list(case.columns))
    return path, rows


def read_whole(source: Source) -> None:
    for table in source.tables():
        list(table.batches())


def rows_of(batches: Iterator[pa.RecordBatch] | pa.RecordBatchReader) -> Rows:
    return [row for batch in batches for row in batch.to_pylist()]


def test_every_format_has_a_case() -> None:
    """A connector that is added to the table of formats is under this contract."""
    assert {format.id for format in FORMATS} == {opened_format(case) for case in CASES}


def opened_format(case: Case) -> str:
    return next(format.id for format in FORMATS if case.suffix in format.suffixes)


def test_source_declares_what_it_is(case: Case, tmp_path: Path) -> None:
    """The source of a file names its target and format; its one table is named after the file."""
    path, _ = made(case, tmp_path, 1)
    source = opened(path)
    assert source.target == path.as_posix()
    assert source.format == opened_format(case)
    assert only_table(source).name == "고객"
    assert only_table(source).size == path.stat().st_size


def test_batches_and_reader_give_the_rows(case: Case, tmp_path: Path) -> None:
    """Both ways of reading give every row, every name and every value, in order."""
    path, rows = made(case, tmp_path, 23)
    table = only_table(opened(path))
    assert rows_of(table.batches()) == rows
    reader = table.reader()
    assert reader.schema.names == list(case.columns)
    assert rows_of(reader) == rows
    assert table.unparsed == 0
    assert table.replaced == 0


def test_batches_are_bounded_and_can_be_read_again(case: Case, tmp_path: Path) -> None:
    """No batch has more rows than the bound, and a second pass over one table equals the first."""
    path, rows = made(case, tmp_path, min(MAX_BATCH_ROWS + 5, case.most))
    table = only_table(opened(path))
    first = list(table.batches())
    assert max(batch.num_rows for batch in first) <= MAX_BATCH_ROWS
    assert sum(batch.num_rows for batch in first) == len(rows)
    assert list(table.batches()) == first
    assert sum(batch.num_rows for batch in table.reader()) == len(rows)


def test_position_ends_at_size(case: Case, tmp_path: Path) -> None:
    """The position never falls and is the size of the file when all is read."""
    path, _ = made(case, tmp_path, 1000)
    table = only_table(opened(path))
    positions = [table.position() for _ in table.batches()]
    assert positions == sorted(positions)
    assert table.position() == table.bytes_read == path.stat().st_size == table.size


def test_row_count_is_as_declared(case: Case, tmp_path: Path) -> None:
    """A source that says it knows the number of rows knows it; another says None."""
    path, rows = made(case, tmp_path, 7)
    source = opened(path)
    assert only_table(source).row_count == (len(rows) if source.capabilities.row_count else None)


def test_no_rows(case: Case, tmp_path: Path) -> None:
    """A table without rows reads as no rows; its columns are known where the file says them."""
    path, _ = made(case, tmp_path, 0)
    table = only_table(opened(path))
    assert rows_of(table.batches()) == []
    assert rows_of(table.reader()) == []
    says_columns = {
        ".csv",
        ".tsv",
        ".parquet",
        ".feather",
        ".arrows",
        ".orc",
        ".avro",
        ".xlsx",
        ".xls",
        ".ods",
        ".sqlite",
    }
    if case.suffix in says_columns:
        assert [batch.schema.names for batch in table.batches()] == [list(case.columns)]
        assert table.reader().schema.names == list(case.columns)


def test_empty_file(case: Case, tmp_path: Path) -> None:
    """A file of no bytes is no error: nothing was ever written to it."""
    path = tmp_path / f"empty{case.suffix}"
    path.touch()
    (source,) = connectors.discover(str(path))
    assert isinstance(source, Source)
    table = only_table(source)
    assert rows_of(table.batches()) == []
    assert rows_of(table.reader()) == []
    assert table.position() == table.size == 0


def test_abandoned_reading_closes_the_file(case: Case, tmp_path: Path) -> None:
    """Reading that stops half way leaves no open file behind (ResourceWarning is an error here)."""
    path, _ = made(case, tmp_path, 100)
    batches = only_table(opened(path)).batches()
    next(batches)
    del batches


def test_file_that_vanishes(case: Case, tmp_path: Path) -> None:
    """A file that is gone between the walk and the reading is a ReadError, whenever it goes."""
    path, _ = made(case, tmp_path, 3)
    source = opened(path)
    table = only_table(source)
    path.unlink()
    for attempt in (lambda: list(table.batches()), lambda: table.reader().read_all(), lambda: list(source.tables())):
        with pytest.raises(ReadError, match="no such file"):
            attempt()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """`path` cannot be opened. Permission bits would not stop the super-user, under whom tests may run."""
    real = Path.open

    def guarded(self: Path, *args: Any, **options: Any) -> Any:
        if self == path:
            raise PermissionError(13, f"Permission denied {CANARY}")
        return real(self, *args, **options)

    with mock.patch.object(Path, "open", guarded):
        yield


def test_permission_denied(case: Case, tmp_path: Path) -> None:
    """A file that may not be read is a ReadError for the reader and not examined for the walk."""
    path, _ = made(case, tmp_path, 3)
    source = opened(path)
    with locked(path):
        with pytest.raises(ReadError) as caught:
            read_whole(source)
        found = list(connectors.discover(str(tmp_path)))
    assert str(caught.value) == f"{path.as_posix()}: permission denied"
    assert found == [NotExamined(path.as_posix(), "permission denied")]


def test_a_directory_in_place_of_the_file(case: Case, tmp_path: Path) -> None:
    """A path that became a directory is a ReadError."""
    path, _ = made(case, tmp_path, 3)
    source = opened(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(ReadError, match="is a directory"):
        read_whole(source)


def test_errors_hold_no_value(case: Case, tmp_path: Path) -> None:
    """However a file is damaged, the error is ours, one line, and quotes nothing of the data."""
    path = tmp_path / f"broken{case.suffix}"
    rows = [dict.fromkeys(case.columns, CANARY) for _ in range(50)]
    case.make(path, rows, list(case.columns))
    whole = path.read_bytes()
    errors = []
    for damaged in (
        whole[: len(whole) // 2],
        whole[:-9],
        whole[: len(whole) // 2] + b'\xff\x00"{[,' + whole[len(whole) // 2 + 6 :],
        whole + f'\n"{CANARY}'.encode(),
        CANARY.encode() + b'",\n' + whole,
    ):
        path.write_bytes(damaged)
        for strict in (False, True):
            try:
                for table in opened(path).tables():
                    list(table.reader() if strict else table.batches())
            except PiiGuardError as error:
                errors.append(error)
    assert errors or not opened(path).capabilities.writable  # any bytes are text
    for caught in errors:
        shown = f"{caught} {caught!r}"
        assert CANARY not in shown
        assert CANARY.replace("-", "") not in shown
        assert "\n" not in str(caught)
        assert caught.__suppress_context__ or caught.__context__ is None


def test_keyboard_interrupt_passes(case: Case, tmp_path: Path) -> None:
    """Ctrl-C while reading is Ctrl-C, not an error of the file."""
    path, _ = made(case, tmp_path, 3)
    table = only_table(opened(path))
    with mock.patch.object(Path, "open", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        list(table.batches())


def test_write_and_read_back(case: Case, tmp_path: Path) -> None:
    """What a writable format writes, it reads back: the same rows, names and, if it declares so, types and tags."""
    path, rows = made(case, tmp_path, 23)
    source = opened(path)
    target = tmp_path / f"out{case.suffix}"
    if not source.capabilities.writable:
        with pytest.raises(UsageError, match="can be written"):
            connectors.write(only_table(source).reader(), str(target))
        assert not target.exists()
        return
    assert connectors.write(only_table(source).reader(), str(target)) == len(rows)
    assert rows_of(only_table(opened(target)).batches()) == rows


def test_capabilities_hold(case: Case, tmp_path: Path) -> None:
    """Types, nesting and field metadata survive a round trip exactly where a source declares that they do."""
    capabilities = opened(made(case, tmp_path, 1)[0]).capabilities
    if not capabilities.writable:
        return
    tag = {b"pii_guard": b'{"kind": "email"}'}
    schema = pa.schema([pa.field("n", pa.int64(), metadata=tag), pa.field("s", pa.string())])
    batch = pa.record_batch([pa.array([1, None, 2**62]), pa.array(["a", "", "b"])], schema=schema)
    target = tmp_path / f"typed{case.suffix}"
    connectors.write(pa.RecordBatchReader.from_batches(schema, [batch]), str(target))
    read = only_table(opened(target)).reader().read_all()
    assert (read.schema.field("n").type == pa.int64()) == capabilities.typed
    assert ((read.schema.field("n").metadata or {}).get(b"pii_guard") == tag[b"pii_guard"]) == capabilities.metadata
    if capabilities.typed:
        assert read.to_pylist() == batch.to_pylist()

    nested = pa.record_batch({"user": pa.array([{"emails": ["hong@example.com"]}, None])})
    target = tmp_path / f"nested{case.suffix}"
    reader = pa.RecordBatchReader.from_batches(nested.schema, [nested])
    if capabilities.nested:
        connectors.write(reader, str(target))
        assert only_table(opened(target)).reader().read_all().to_pylist() == nested.to_pylist()
    else:
        with pytest.raises(UsageError, match="column 1 holds nested values"):
            connectors.write(reader, str(target))
        assert not target.exists()


def test_missing_target_is_named(case: Case, tmp_path: Path) -> None:
    """A target that does not exist says so, and names the file that was probably meant."""
    path, _ = made(case, tmp_path, 1)
    with pytest.raises(TargetError, match="did you mean") as caught:
        connectors.open(str(path.with_name(f"고객들{case.suffix}")))
    assert path.name in str(caught.value)


def test_walk_finds_it(case: Case, tmp_path: Path) -> None:
    """A directory that holds the file holds its source, and nothing is out of scope."""
    path, rows = made(case, tmp_path, 2)
    found = list(connectors.discover(str(tmp_path)))
    assert not [item for item in found if isinstance(item, NotExamined | OutOfScope)]
    (source,) = found
    assert isinstance(source, Source)
    assert source.target == path.as_posix()
    assert rows_of(only_table(source).batches()) == rows
