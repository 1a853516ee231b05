"""Directories named `name=value` are one table, whose columns they are."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from pii_guard import connectors, scan
from pii_guard.reports import ScanReport

PHONES = [f"010-0000-{number:04}" for number in range(40)]


def found(report: ScanReport) -> dict[str, tuple[str, int]]:
    """Path -> (kind, hits), all of one source and table."""
    assert len({(field.field.source, field.field.table) for field in report.fields}) == 1
    return {field.field.path: (finding.kind, finding.hits) for field, finding in report.findings}


@pytest.mark.parametrize("format", ["parquet", "csv", "ipc"])
def test_a_dataset_is_one_table(tmp_path: Path, format: str) -> None:
    """As pyarrow writes it: the same fields and counts as of one file, the columns of the directories included."""
    mails = [f"user{number % 4}@example.com" for number in range(40)]
    table = pa.table({"phone": PHONES, "mail": mails, "year": [str(2020 + number % 3) for number in range(40)]})
    ds.write_dataset(
        table,
        tmp_path / "orders",
        format=format,
        partitioning=ds.partitioning(pa.schema([("year", pa.string()), ("mail", pa.string())]), flavor="hive"),
    )
    report = scan(tmp_path)
    assert found(report) == {"phone": ("kr_phone_mobile", 40), "mail": ("email", 40)}
    assert {field.field.table for field in report.fields} == {"orders"}
    assert {field.field.source for field in report.fields} == {(tmp_path / "orders").as_posix()}
    assert report.coverage.rows == 40
    assert "user0" not in str(report)


def test_names_are_decoded_and_the_default_is_null(tmp_path: Path) -> None:
    """`%40` is an at sign; the directory of nulls is not searched for a value."""
    for name in ("mail=a%40example.com", "mail=__HIVE_DEFAULT_PARTITION__"):
        (tmp_path / "t" / name).mkdir(parents=True)
        (tmp_path / "t" / name / "0.csv").write_text("phone\n010-0000-0001\n", encoding="utf-8")
    assert found(scan(tmp_path / "t")) == {"phone": ("kr_phone_mobile", 2), "mail": ("email", 1)}


def test_a_part_that_breaks_is_named(tmp_path: Path) -> None:
    """The other parts are read; the line says which file it was."""
    for year in (2020, 2021):
        (tmp_path / f"year={year}").mkdir()
        pq.write_table(pa.table({"phone": PHONES}), tmp_path / f"year={year}" / "a.parquet")
    broken = tmp_path / "year=2021" / "a.parquet"
    data = bytearray(broken.read_bytes())
    data[20:60] = b"\xff" * 40
    broken.write_bytes(bytes(data))
    report = scan(tmp_path)
    assert found(report)["phone"] == ("kr_phone_mobile", 40)
    assert [item.reason.partition(":")[0] for item in report.not_examined] == ["year=2021/a.parquet"]


def test_rows_for_a_pipeline(tmp_path: Path) -> None:
    """A reader has the columns of the directories, too; a column of the file itself comes first."""
    (tmp_path / "year=2020" / "n=1").mkdir(parents=True)
    (tmp_path / "year=2020" / "n=1" / "a.csv").write_text("n,m\n7,8\n", encoding="utf-8")
    (source,) = connectors.discover(str(tmp_path))
    assert isinstance(source, connectors.Source)
    (table,) = source.tables()
    assert table.reader().read_all().to_pydict() == {"n": ["7"], "m": ["8"], "year": ["2020"]}
