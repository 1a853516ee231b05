"""A sample is whole rows of the file, drawn over all of it, and the report says what it leaves open."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_runner import run
from hypothesis import given
from hypothesis import strategies as st

from pii_guard.connectors import sampling
from pii_guard.connectors.base import Reading
from pii_guard.connectors.sampling import Sample, lines_of
from pii_guard.detectors import select
from pii_guard.reports import ScanReport
from pii_guard.scanner import ScanOptions, scan_targets

ROWS = 200_000


def lines(eol: str = "\n") -> bytes:
    return f"id,phone{eol}".encode() + b"".join(f"{n},010-{n % 10_000:04}-0001{eol}".encode() for n in range(ROWS))


def report(path: Path, share: float = 1.0, rows: int | None = None) -> ScanReport:
    return scan_targets(
        [str(path)], detectors=select(), options=ScanOptions(reading=Reading(sample=Sample(share, rows)))
    )


@given(
    st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b"")), max_size=60),
    st.integers(1, 12),
    st.floats(0.01, 1),
)
def test_a_sample_is_lines_of_the_file_in_their_order(content: list[bytes], block: int, share: float) -> None:
    """No line is cut, none comes twice; with all blocks it is the file, but for a line feed at the end."""
    data = b"".join(line + b"\n" for line in content).removesuffix(b"\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "BLOCK", block)
        with lines_of(io.BytesIO(data), len(data), "name", Sample(share)) as file:
            read = file.read()
    rest = iter(data.split(b"\n"))
    assert all(line in rest for line in read.removesuffix(b"\n").split(b"\n"))
    if share == 1:
        assert read.removesuffix(b"\n") == data.removesuffix(b"\n")


@pytest.mark.parametrize("name", ["a.csv", "a.txt"])
def test_blocks_of_text(tmp_path: Path, name: str) -> None:
    """About the share asked for is read, the header stands, and the coverage adds up."""
    path = tmp_path / name
    path.write_bytes(lines())
    found = report(path, 0.25)
    assert [finding.kind for _, finding in found.findings] == ["kr_phone_mobile"]
    assert 0.2 * ROWS < found.coverage.rows < 0.6 * ROWS
    assert found.coverage.sampled == 1
    assert 0.4 < found.coverage.unread / path.stat().st_size < 0.8
    assert found.coverage.bound == pytest.approx(3 / found.coverage.rows)
    assert found.complete
    (sample,) = found.samples
    assert (sample.rows, sample.by_row) == (found.coverage.rows, False)
    assert 0.95 * ROWS < sample.estimated < 1.05 * ROWS
    assert report(path, 0.25) == found
    assert report(path, rows=ROWS // 4).coverage.rows == found.coverage.rows
    assert report(path, 1).coverage.rows == scan_targets([str(path)], detectors=select()).coverage.rows
    assert report(path, 1).coverage.sampled == 0


def test_row_groups(tmp_path: Path) -> None:
    """Whole row groups, as many as the share asks for."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"phone": ["010-0000-0001"] * 1_000}), path, row_group_size=100)
    found = report(path, 0.3)
    assert found.coverage.rows == 300
    assert found.coverage.unread == path.stat().st_size * 700 // 1_000
    assert found.coverage.bound == 0.01
    assert [(sample.rows, sample.estimated, sample.drawn) for sample in found.samples] == [(300, 1_000, "row groups")]
    assert report(path, rows=300) == found


def test_small_files_other_formats_and_archives_are_read_in_full(tmp_path: Path) -> None:
    """What cannot be sampled is no sample."""
    (tmp_path / "a.csv").write_text("phone\n010-0000-0001\n", encoding="utf-8")
    (tmp_path / "b.csv").write_bytes(lines().decode().encode("utf-16"))
    (tmp_path / "c.json").write_text('[{"phone": "010-0000-0001"}]', encoding="utf-8")
    found = report(tmp_path, 0.01)
    assert (found.coverage.sampled, found.coverage.rows, found.coverage.bound) == (0, ROWS + 2, 0.0)


def test_a_large_document_is_read_in_full(tmp_path: Path) -> None:
    """A part of the lines of a JSON document is no document."""
    rows = ",\n".join(f'{{"id": {number}, "phone": "010-{number % 10_000:04}-0001"}}' for number in range(60_000))
    path = tmp_path / "a.json"
    path.write_text(f"[\n{rows}\n]\n", encoding="utf-8")
    assert path.stat().st_size > 2 * sampling.BLOCK
    found = report(path, 0.1)
    assert found.complete
    assert (found.coverage.rows, found.coverage.sampled) == (60_000, 0)


def test_the_command_says_so(tmp_path: Path) -> None:
    """In the last lines of every form; and a share that is none is refused."""
    (tmp_path / "a.csv").write_bytes(lines())
    shown = run("scan", "a.csv", "--sample", "10%", cwd=tmp_path)
    assert shown.code == 0
    assert "a sample: a.csv: a: " in shown.stdout
    assert "(blocks of lines); what was not found may be in up to 0.00" in shown.stdout
    assert "% of them (95 %, if rows are spread evenly)" in shown.stdout
    assert '"sampled": 1' in run("scan", "a.csv", "--sample", "10%", "--format", "json", cwd=tmp_path).stdout
    csv = run("scan", "a.csv", "--sample", "10%", "--format", "csv", cwd=tmp_path).stdout
    assert '"sample","a.csv","a"' in csv
    for wrong in ("0", "-1", "1.5", "0%", "101%", "x%", ""):
        refused = run("scan", "a.csv", "--sample", wrong, cwd=tmp_path)
        assert (refused.code, "is no number of rows and no percentage above 0" in refused.stderr) == (2, True)
    whole = run("scan", "a.csv", "--sample", "1000000", cwd=tmp_path).stdout
    assert ("200,000 rows" in whole, "a sample" in whole) == (True, False)


def test_many_samples(tmp_path: Path) -> None:
    """The last lines name ten; all are in the report."""
    for number in range(12):
        pq.write_table(pa.table({"n": range(100)}), tmp_path / f"{number}.parquet", row_group_size=10)
    shown = run("scan", ".", "--sample", "10", cwd=tmp_path).stdout
    assert shown.count("a sample: ") == 11
    assert "a sample: of 2 other tables a part was read too (--format json names them)" in shown
