"""Rows past their retention period are counted, and what cannot be counted is said."""

from __future__ import annotations

import sqlite3
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_runner import run

from pii_guard.check.overdue import check_periods, counts_periods
from pii_guard.connectors.base import Reading, Source
from pii_guard.detectors import select
from pii_guard.policy import Policy, parse
from pii_guard.scanner import scan_targets

TODAY = date(2026, 11, 22)
PHONES = [f"010-1234-56{number:02}" for number in range(6)]
DAYS = ["2020-01-01", "2021-11-22", "2021-11-23", "2026-01-01", None, "2019-02-28"]


def policy(column: str = "ended", **members: object) -> Policy:
    return parse(
        {
            "version": 1,
            "purposes": {"delivery": {"title": "Delivery"}},
            "retention": {"contract": {"period": "P5Y", "period_from": column, **members}},
            "fields": [{"match": "*.phone", "purposes": ["delivery"], "retention": "contract"}],
        },
        "policy",
    )


def checked(target: Path | str, rules: Policy) -> tuple[list[tuple[str, str]], ...]:
    """(rule, message) of violations and of warnings."""
    sources: list[tuple[Source, str]] = []
    report = scan_targets([str(target)], detectors=select(), watch=lambda *each: sources.append(each))
    result = check_periods(report, rules, {}, sources, reading=Reading(), today=TODAY)
    violations, warnings = (
        [(item.rule, item.message) for item in part] for part in (result.violations, result.warnings)
    )
    return violations, warnings


@pytest.mark.parametrize(
    "days",
    [
        pa.array(DAYS),
        pa.array(DAYS).cast(pa.date32()),
        pa.array(DAYS).cast(pa.timestamp("us")),
        pa.array([day and day.replace("-", "") for day in DAYS]),
        pa.array([day and f"{day} 12:30:00" for day in DAYS]),
    ],
    ids=["text", "date", "timestamp", "digits", "with a time"],
)
def test_rows_are_counted_by_the_day_they_start(tmp_path: Path, days: pa.Array) -> None:
    """Five years to the day are over, a day less is not; whatever the type of the column."""
    pq.write_table(pa.table({"phone": PHONES, "ended": days}), tmp_path / "t.parquet")
    violations, warnings = checked(tmp_path / "t.parquet", policy())
    assert violations == [("PG035", "3 of 6 rows are past the P5Y of contract: they started by 2021-11-22")]
    assert warnings == []


@pytest.mark.parametrize("time", ["", " 12:30:00"], ids=["days", "times"])
def test_database_gets_the_select(tmp_path: Path, time: str) -> None:
    """It finds what was counted, at all times of the last day too."""
    days = [day and day + time for day in DAYS]
    with sqlite3.connect(tmp_path / "shop.db") as made:
        made.execute('CREATE TABLE "people" (phone TEXT, "ended at" TEXT)')
        made.executemany("INSERT INTO people VALUES (?, ?)", zip(PHONES, days, strict=True))
    made.close()
    sources: list[tuple[Source, str]] = []
    report = scan_targets(
        [f"sqlite:///{tmp_path}/shop.db"], detectors=select(), watch=lambda *each: sources.append(each)
    )
    result = check_periods(report, policy("ended at"), {}, sources, reading=Reading(), today=TODAY)
    (violation,) = result.violations
    select_ = violation.mend.partition("SELECT")[2].partition(";")[0]
    with sqlite3.connect(tmp_path / "shop.db") as made:
        assert len(made.execute(f"SELECT{select_}").fetchall()) == 3
    made.close()


@pytest.mark.parametrize(
    ("rules", "rule"),
    [(policy("signed"), ["PG038"]), (policy(term="floor"), []), (policy(term="minimum"), ["PG035"])],
    ids=["no such column", "a floor is no end", "a minimum is one"],
)
def test_terms_and_columns(tmp_path: Path, rules: Policy, rule: list[str]) -> None:
    pq.write_table(pa.table({"phone": PHONES, "ended": DAYS}), tmp_path / "t.parquet")
    violations, warnings = checked(tmp_path / "t.parquet", rules)
    assert [item[0] for item in (*violations, *warnings)] == rule


def test_values_that_say_no_day_are_said(tmp_path: Path) -> None:
    pq.write_table(pa.table({"phone": PHONES, "ended": ["soon", "", *DAYS[2:]]}), tmp_path / "t.parquet")
    violations, warnings = checked(tmp_path / "t.parquet", policy())
    assert violations == [("PG035", "1 of 6 rows are past the P5Y of contract: they started by 2021-11-22")]
    assert [rule for rule, _ in warnings] == ["PG038"]
    assert "soon" not in warnings[0][1]


@pytest.mark.parametrize(
    "days",
    [
        pa.array([{"a": 1}, None, {"a": 2}, {"a": 3}, {"a": 4}, {"a": 5}]),
        pa.array([[1], None, [2], [3], [4], [5]]),
        pa.array([b"\xff\xfe", None, *[b"2010-01-0\xff"] * 4]),
        pa.array([1, None, 2, 3, 4, 5]).dictionary_encode(),
        pa.array([(1, 2, 3), None, *[(1, 2, 3)] * 4], pa.month_day_nano_interval()),
    ],
    ids=["objects", "lists", "bytes", "a dictionary of numbers", "intervals"],
)
def test_columns_that_hold_no_days_are_said(tmp_path: Path, days: pa.Array) -> None:
    """Whatever the type, it is a warning and no fault."""
    with (
        pa.OSFile(str(tmp_path / "t.arrow"), "wb") as file,
        pa.ipc.new_file(file, pa.schema([("phone", pa.string()), ("ended", days.type)])) as writer,
    ):
        writer.write_table(pa.table({"phone": PHONES, "ended": days}))
    violations, warnings = checked(tmp_path / "t.arrow", policy())
    assert violations == []
    assert warnings == [("PG038", "5 of 6 values say no day, so nobody knows when contract ends for them")]


def test_what_cannot_be_read_again_is_said(tmp_path: Path) -> None:
    """A file that is cut off between the scan and the count: a warning in every format, and exit 3."""
    pq.write_table(pa.table({"phone": PHONES, "ended": DAYS}), tmp_path / "t.parquet")
    sources: list[tuple[Source, str]] = []
    report = scan_targets([str(tmp_path / "t.parquet")], detectors=select(), watch=lambda *each: sources.append(each))
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    result = check_periods(report, policy(), {}, sources, reading=Reading(), today=TODAY)
    assert [item.rule for item in result.warnings] == ["PG010"]
    assert not result.report.complete


def test_archives_are_said_not_to_be_counted(tmp_path: Path) -> None:
    import zipfile

    pq.write_table(pa.table({"phone": PHONES, "ended": DAYS}), tmp_path / "t.parquet")
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.write(tmp_path / "t.parquet", "t.parquet")
    violations, warnings = checked(tmp_path / "t.zip", policy())
    assert (violations, [rule for rule, _ in warnings]) == ([], ["PG038"])


def test_policy_without_such_classes_reads_nothing_twice() -> None:
    assert not counts_periods(None)
    assert not counts_periods(parse({"version": 1, "retention": {"x": {"period": "P1Y"}}}, "policy"))
    assert counts_periods(policy())


def test_command_counts_them(tmp_path: Path) -> None:
    (tmp_path / "pii-guard.toml").write_text(
        'version = 1\n[purposes.p]\ntitle = "P"\n[retention.r]\nperiod = "P1Y"\nperiod_from = "ended"\n'
        '[[fields]]\nmatch = "t.phone"\npurposes = ["p"]\nretention = "r"\n',
        encoding="utf-8",
    )
    rows = "".join(f"{phone},{day or ''}\n" for phone, day in zip(PHONES, DAYS, strict=True))
    (tmp_path / "t.csv").write_text(f"phone,ended\n{rows}", encoding="utf-8")
    result = run("check", "t.csv", cwd=tmp_path)
    assert result.code == 1
    assert "violation PG035 past-retention" in result.stdout
