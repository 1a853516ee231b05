"""`protect` and `reveal` from and into databases, on each kind that is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow.parquet as pq
import pytest
from cli_runner import on_terminal, run
from databases import CASES, Case, Made, postgresql

import pii_guard
from pii_guard.reports import ScanReport
from pii_guard.scanner import scan_targets

ROWS = [(f"010-9876-{number:04d}", ("VIP", "일반")[number % 2]) for number in range(30)]


@pytest.fixture(params=[case for case in CASES if case.id != "sqlalchemy"], ids=lambda case: case.id)
def case(request: pytest.FixtureRequest) -> Case:
    assert isinstance(request.param, Case)
    return request.param


@pytest.fixture
def made(case: Case, tmp_path: Path) -> Iterator[Made]:
    with case.make(tmp_path) as database:
        database.fill("customers", ("phone", "grade"), ROWS)
        yield database


def test_from_a_database_into_another_table_and_back(case: Case, made: Made, desk: Path) -> None:
    """Tokens go into a table, its tags into the sidecar file; `check` and `reveal` find both there."""
    source = made.url
    if case.id == "duckdb":  # which does not open a file for reading and for writing at once
        result = run("protect", source, "--table", "customers", "--to", source, "--to-table", "copy", cwd=desk)
        assert (result.code, "is being read" in result.stderr) == (3, True)
        (path := Path(made.url.removeprefix("duckdb:///"))).rename(path.with_name("source.duckdb"))
        source = f"duckdb:///{path.with_name('source.duckdb')}"
    into = ("--to", made.url, "--to-table", "copy")
    result = run("protect", source, "--table", "customers", *into, cwd=desk)
    assert (result.code, result.stderr) == (0, "")
    assert f"wrote 30 rows to {case.prefix}copy of {made.url.partition(':')[0]}://" in result.stdout
    assert "wrote the tags, which a database cannot hold" in result.stdout
    tokens = pii_guard.read(made.url, table="copy").read_all()
    assert {value[:4] for value in tokens["phone"].to_pylist()} == {"pgd1"}
    assert sorted(set(tokens["grade"].to_pylist())) == ["VIP", "일반"]
    assert run("check", made.url, "--table", "copy", cwd=desk).code == 0
    assert run("check", source, "--table", "customers", cwd=desk).code == 1
    again = run("protect", source, "--table", "customers", *into, cwd=desk)
    assert (again.code, "exists already" in again.stderr) == (2, True)
    assert "column" not in again.stdout  # known before any work was done
    for mode in ("append", "replace", "swap"):
        result = run("protect", source, "--table", "customers", *into, "--mode", mode, cwd=desk)
        assert (result.code, result.stderr) == (0, "")
    assert pii_guard.read(made.url, table="copy").read_all().num_rows == 30
    result = run("reveal", made.url, "--table", "copy", "--to", "out.parquet", "--purpose", "delivery", cwd=desk)
    assert (result.code, result.stderr) == (0, "")
    revealed = pq.read_table(desk / "out.parquet")
    assert sorted(zip(*(revealed[name].to_pylist() for name in ("phone", "grade")), strict=True)) == sorted(ROWS)


def test_rows_that_come_between_the_scan_and_the_copy(case: Case, made: Made, desk: Path) -> None:
    """What others write then is copied too, under the plan; if that would leave it in the clear, nothing is written."""

    def between(statement: str) -> Any:
        def scanned(*targets: Any, **options: Any) -> ScanReport:
            report = scan_targets(*targets, **options)
            made.execute(statement)
            return report

        return mock.patch("pii_guard.cli.protect.scan_targets", scanned)

    arguments = ("protect", made.url, "--table", "customers", "--to", "out.parquet")
    with between("INSERT INTO customers VALUES ('010-1111-2222', 'VIP')"):
        result = run(*arguments, cwd=desk)
    assert (result.code, "wrote 31 rows" in result.stdout) == (0, True)
    (desk / "out.parquet").unlink()
    with between("UPDATE customers SET grade = phone"):
        result = run(*arguments, cwd=desk)
    assert (result.code, result.stdout.count("wrote")) == (1, 0)
    assert "customers.grade: kr_phone_mobile appeared between the scan and the copy" in result.stderr
    assert not list(desk.glob("*out.parquet*"))


def test_mistakes(made: Made, desk: Path) -> None:
    """What is missing or does not belong together is one line, exit 2 or 3, and nothing is written."""
    (desk / "a.csv").write_text("phone\n010-0000-0001\n")
    table = ("--table", "customers")
    for code, said, *arguments in (
        (2, "say which table", made.url, "--to", "out.parquet"),
        (3, "no table", made.url, "--table", "nothing", "--to", "out.parquet"),
        (2, "say which table", made.url, *table, "--to", made.url),
        (2, "needs --table T and --column C", made.url, *table, "--in-place"),
        (2, "--in-place writes no target", made.url, *table, "--in-place", "--column", "phone", "--overwrite"),
        (2, "--overwrite is for files", "a.csv", "--to", made.url, "--to-table", "t", "--overwrite"),
        (2, "for URLs of databases alone", "a.csv", *table, "--to", "out.parquet"),
        (2, "for URLs of databases alone", "a.csv", "--to", "out.parquet", "--to-table", "t"),
        (2, "no such table; mode create makes it", "a.csv", "--to", made.url, "--to-table", "t", "--mode", "append"),
    ):
        result = run("protect", *map(str, arguments), cwd=desk)
        assert (result.code, result.stdout) == (code, ""), arguments
        assert said in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert not (desk / "out.parquet").exists()


def test_progress_while_rows_are_written(desk: Path) -> None:
    """On a terminal a line counts the rows that are written; in a pipe, and with --quiet, there is none."""
    (desk / "a.csv").write_text("phone\n" + "".join(f"010-9876-{number:04d}\n" for number in range(2000)))
    target = f"duckdb:///{desk}/a.duckdb"
    for number, quiet in enumerate(((), ("--quiet",))):
        shown = on_terminal("protect", "a.csv", "--to", target, "--to-table", f"t{number}", *quiet, cwd=desk)
        assert (shown.code, "writing rows" in shown.stdout) == (0, not quiet)
        assert "wrote 2,000 rows" in shown.stdout
    piped = run("protect", "a.csv", "--to", target, "--to-table", "t2", cwd=desk)
    assert (piped.code, piped.stderr) == (0, "")
    assert pii_guard.read(target, table="t0").read_all().num_rows == 2000


def test_a_name_that_two_schemas_have(desk: Path, tmp_path: Path) -> None:
    """Which table was written could not be said, nor its tags be kept: known before anything is written."""
    with postgresql(tmp_path) as made:
        made.execute("CREATE SCHEMA older", "CREATE TABLE older.copy (phone text, grade text)")
        made.fill("customers", ("phone", "grade"), ROWS)
        into = ("protect", made.url, "--table", "customers", "--to", made.url, "--to-table", "copy")
        result = run(*into, cwd=desk)
        assert (result.code, result.stdout) == (2, "")
        assert "tables go by that name already (older.copy); say which schema" in result.stderr
        result = run(*into, "--to-schema", "public", cwd=desk)
        assert (result.code, result.stderr) == (0, "")
        again = run(*into, "--mode", "append", cwd=desk)
        assert (again.code, "say which schema" in again.stderr) == (2, True)


def test_urls_that_cannot_be_written_show_no_secret(desk: Path) -> None:
    (desk / "a.csv").write_text("phone\n010-0000-0001\n")
    for command, target in (
        (("protect", "a.csv"), "s3://KEYID:s3cret@bucket/out.csv"),
        (("protect", "a.csv"), "s3://bucket/out.parquet?secret_key=s3cret"),
        (("reveal", "a.csv", "--purpose", "delivery"), "postgresql://app:s3cret@db.example/shop"),
    ):
        result = run(*command, "--to", target, cwd=desk)
        assert (result.code, "is a URL; name a file on this machine" in result.stderr) == (2, True)
        assert "s3cret" not in result.output
