"""Laws of a scan: the report depends on the rows alone, partial scans add up, nothing is lost on the way."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pii_guard import Confidence, ScanReport, scan
from pii_guard.detectors import select
from pii_guard.merging import merge
from pii_guard.model import Tag
from pii_guard.scanner import Progress, ScanOptions, scan_targets
from pii_guard.table_scan import TableScan
from pii_guard.tags import write_tag
from pii_guard.tallies import MAX_SAMPLES

VALUES = st.lists(
    st.one_of(
        st.none(),
        st.sampled_from(
            [
                *("", "010-1234-5678", "hong@example.com으로", "900101-1000006", "홍길동", "4111111111111111", "x"),
                *("12,345", "010-****-5678", "vault:v1:" + "A" * 40, "서울 강남구 테헤란로 9999", "국민은행"),
            ]
        ),
        st.text(max_size=12),
    ),
    min_size=1,
    max_size=30,
)


def same(left: ScanReport, right: ScanReport) -> bool:
    """Equal but for the names of Arrow types, and for which masked samples were kept."""

    def plain(report: ScanReport) -> ScanReport:
        fields = tuple(
            replace(
                field,
                type="",
                tally=replace(
                    field.tally, kinds={kind: replace(tally, samples=()) for kind, tally in field.tally.kinds.items()}
                ),
                findings=tuple(replace(finding, samples=()) for finding in field.findings),
            )
            for field in report.fields
        )
        return replace(report, fields=fields)

    return plain(left) == plain(right)


@settings(max_examples=60)
@given(VALUES)
def test_every_encoding_of_a_column_gives_the_same_report(values: list[str | None]) -> None:
    """large_string, string_view, dictionary, slices: the report is that of the plain column."""
    plain = pa.array(values, pa.string())
    expected = scan(pa.table({"c": plain}))
    padded = pa.concat_arrays([pa.array(["x"]), plain, pa.array(["010-9999-9999"])])
    for column in (
        plain.cast(pa.large_string()),
        plain.cast(pa.string_view()),
        plain.dictionary_encode(),
        padded[1 : 1 + len(plain)],
        padded.dictionary_encode()[1 : 1 + len(plain)],
    ):
        assert same(scan(pa.table({"c": column})), expected), column.type


@settings(max_examples=60)
@given(VALUES, st.data())
def test_partial_scans_add_up(values: list[str | None], data: st.DataObject) -> None:
    """Cut anywhere, scanned apart and merged in order: the report of the whole. In any grouping, under any header."""
    column = pa.array(values, pa.string())
    table = pa.table({"c": column, "주소": column, "password": column, "은행": column, "phone": column})
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), min_size=2, max_size=2)))
    parts = [
        scan(table.slice(start, stop - start)) for start, stop in zip([0, *cuts], [*cuts, len(values)], strict=True)
    ]
    whole = scan(table)
    first, second, third = parts
    left, right = merge(merge(first, second), third), merge(first, merge(second, third))
    assert left == right
    assert same(replace(left, coverage=whole.coverage), whole)
    assert left.coverage.rows == whole.coverage.rows


def test_a_report_counts_what_was_read() -> None:
    """Rows, nulls, empty values, bytes and invalid text are all accounted for."""
    column = pa.array([b"\xff\xfe010-1234-5678", None, b"", "한글".encode()], pa.binary())
    report = scan(pa.table({"c": column}))
    (field,) = report.fields
    assert (field.tally.rows, field.tally.examined, field.tally.bytes, field.tally.invalid) == (4, 2, 21, 1)
    assert (report.coverage.rows, report.coverage.bytes, report.coverage.invalid) == (4, 21, 1)
    assert field.tally.kinds["kr_phone_mobile"].hits == 1, "invalid text is examined all the same"


def test_samples_are_hits_where_there_are_any() -> None:
    """What only looks like a value of the kind is no sample beside a hit, wherever the rows were cut."""
    account, card = "4111-1111-1111-1112", "4111-1111-1111-1111"
    tables = [pa.table({"card": [value]}) for value in (account, card, account)]
    (alone,) = scan(tables[0]).fields
    assert alone.tally.kinds["credit_card"].samples == ("****-****-****-**12",)
    for report in (scan(pa.concat_tables(tables)), merge(merge(*map(scan, tables[:2])), scan(tables[2]))):
        (field,) = report.fields
        assert field.tally.kinds["credit_card"].samples == ("****-****-****-**11",)


def test_samples_are_masked_distinct_and_few() -> None:
    """A report keeps at most three masked samples of a kind."""
    (field,) = scan(pa.table({"phone": [f"010-1234-{n:04d}" for n in range(100)]})).fields
    samples = field.findings[0].samples
    assert len(samples) == len(set(samples)) == MAX_SAMPLES
    assert all("1234" not in sample for sample in samples)


def test_duplicate_and_empty_names_are_fields_of_their_own() -> None:
    """Two columns of one name are two fields."""
    table = pa.Table.from_arrays([pa.array(["hong@example.com"]), pa.array(["x"]), pa.array(["y"])], ["a", "a", ""])
    report = scan(table)
    assert [field.field.path for field in report.fields] == ["a", "a#2", '""']
    assert [len(field.findings) for field in report.fields] == [1, 0, 0]


def test_a_name_that_is_a_value_is_found_and_not_shown() -> None:
    """The header of a headerless table is examined; the report shows its kind and place."""
    report = scan(pa.table({"hong@example.com": ["kim@example.com"], "홍길동": ["김민수"], "010-1234-5678": ["x"]}))
    assert [field.field.path for field in report.fields] == ["<email#1>", "<person_name_ko#2>", "<kr_phone_mobile#3>"]
    assert [field.findings[0].kind for field in report.fields] == ["email", "person_name_ko", "kr_phone_mobile"]
    assert "hong" not in repr(report)
    assert "길동" not in repr(report)


def test_objects_keyed_by_very_many_values_are_one_field() -> None:
    """Beyond 256 keys a struct or map is counted under `{}`, batch after batch."""
    entries = [[(f"user{n}@example.com", "010-1234-5678")] for n in range(300)]
    column = pa.array(entries, pa.map_(pa.string(), pa.string()))
    at_once = scan(pa.table({"m": column}))
    assert [field.field.path for field in at_once.fields] == ["m.{keys}", "m.{}"]
    counted = TableScan("s", "t", select())
    for row in range(300):
        counted.add(pa.RecordBatch.from_arrays([column[row : row + 1]], ["m"]))
    keys, values = counted.reports()
    assert (keys.field.path, values.field.path) == ("m.{keys}", "m.{}")
    assert (keys.findings[0].hits, values.findings[0].hits) == (300, 300)
    assert "user1@" not in repr((at_once, keys, values))


def test_a_tag_on_the_data_is_in_the_report() -> None:
    """Arrow field metadata is read where the scan meets it."""
    tag = Tag(field="customers.phone", purposes=("delivery",), retention="contract", protection="encrypt")
    schema = pa.schema([write_tag(pa.field("p", pa.string()), tag)])
    (field,) = scan(pa.table({"p": ["x"]}, schema=schema)).fields
    assert field.tag == tag


def test_unknown_kinds_are_refused_with_a_suggestion() -> None:
    """Nothing is scanned for a misspelt kind."""
    with pytest.raises(ValueError, match="unknown kind 'emial'; did you mean 'email'"):
        scan([{"a": 1}], only=["emial"])


def test_only_and_excluding_choose_kinds() -> None:
    """A scan for one kind reports no other."""
    rows = [{"a": "hong@example.com 010-1234-5678"}]
    assert {finding.kind for _, finding in scan(rows, only=["email"]).findings} == {"email"}
    assert {finding.kind for _, finding in scan(rows, excluding=["email"]).findings} == {"kr_phone_mobile"}


def test_a_broken_file_keeps_what_was_read_and_is_named(tmp_path: Path) -> None:
    """One truncated Parquet file in a directory: the rest is scanned, the report is incomplete and says why."""
    pq.write_table(pa.table({"email": ["hong@example.com"] * 10}), tmp_path / "good.parquet")
    whole = (tmp_path / "good.parquet").read_bytes()
    (tmp_path / "torn.parquet").write_bytes(whole[: len(whole) // 2])
    report = scan(tmp_path)
    assert not report.complete
    assert [Path(item.source).name for item in report.not_examined] == ["torn.parquet"]
    assert [finding.confidence for _, finding in report.findings] == [Confidence.CERTAIN]


def test_a_file_named_twice_is_counted_once(tmp_path: Path) -> None:
    """A folder and a file in it, or the same file again, give the report of the folder."""
    (tmp_path / "a.csv").write_text("phone\n010-1234-5678\n")
    once = scan_targets([str(tmp_path)], detectors=select())
    again = scan_targets([str(tmp_path), str(tmp_path / "a.csv"), str(tmp_path / "a.csv")], detectors=select())
    assert again == once


def test_progress_ends_at_the_size_of_each_source(tmp_path: Path) -> None:
    """Bytes read reach the size, rows are counted over all sources."""
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("phone\n" + "010-1234-5678\n" * 1_000)
    seen: list[Progress] = []
    scan_targets([str(tmp_path)], detectors=select(), progress=seen.append)
    assert seen[-1].rows == 2_000
    assert seen[-1].position == seen[-1].size == (tmp_path / "b.csv").stat().st_size


def test_threads_change_no_report(tmp_path: Path) -> None:
    """Files, archives and broken files, read one after the other or at the same time."""
    for number in range(12):
        (tmp_path / f"{number:02}.csv").write_text(f"phone\n010-0000-{number:04}\n", encoding="utf-8")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 broken PAR1")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", "email\na@example.com\n")
        archive.writestr("b.csv", "email\nb@example.com\n")
    one = scan_targets([str(tmp_path)], detectors=select())
    assert scan_targets([str(tmp_path)], detectors=select(), options=ScanOptions(threads=5)) == one
    assert (len(one.findings), len(one.not_examined)) == (14, 1)


def test_an_interrupt_stops_all_threads(tmp_path: Path) -> None:
    """Ctrl-C ends the run though other files are still to be read."""
    for number in range(50):
        (tmp_path / f"{number:02}.csv").write_text("phone\n010-0000-0001\n", encoding="utf-8")
    calls = 0

    def interrupt(progress: Progress) -> None:
        nonlocal calls
        calls += 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan_targets([str(tmp_path)], detectors=select(), options=ScanOptions(threads=2), progress=interrupt)
    assert calls < 50


def test_options_do_not_show_their_password() -> None:
    """A repr goes into logs and tracebacks."""
    assert "hunter2" not in repr(ScanOptions(password="hunter2"))
