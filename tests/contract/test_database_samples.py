"""Samples of tables: drawn from all over, the same in each run, and never called more than they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import pytest
from cli_runner import run
from databases import CASES, Case, Made, opened, scanned

from pii_guard.connectors.base import Reading
from pii_guard.connectors.sampling import Sample
from pii_guard.connectors.selection import Selection


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.id)
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A table `t` of 60,000 rows and a view `v` of it."""
    case = request.param
    assert isinstance(case, Case)
    with case.make(tmp_path_factory.mktemp("large")) as made:
        made.fill("t", ("i", "pad"), [(str(i), "x" * 100) for i in range(60_000)])
        made.execute("CREATE VIEW v AS SELECT i FROM t")
        yield made


@pytest.mark.parametrize(
    "sample", [Sample(0.2), Sample(rows=12_000), Sample(rows=12_000, above=40_000)], ids=["share", "rows", "large"]
)
def test_sample(large: Made, sample: Sample) -> None:
    """A sample of a large table is a part of it from all over, the same in each run, and says what it leaves open."""
    source = opened(large.url)
    if not source.capabilities.sampling:
        assert not scanned(large.url, reading=Reading(sample=sample)).samples
        return
    reading = Reading(of_tables=sample) if sample.above else Reading(sample=sample)
    report = scanned(large.url, reading=reading)
    assert 0.1 < report.coverage.rows / 60_000 < 0.4
    (sampled,) = report.samples
    assert sampled.rows == report.coverage.rows
    assert 45_000 < sampled.estimated < 75_000
    assert sampled.bound == report.coverage.bound == 3 / report.coverage.rows
    assert (report.coverage.sampled, report.coverage.unread > 0) == (1, True)
    assert scanned(large.url, reading=reading) == report
    (table,) = source.tables()
    table.reading = reading
    numbers = [int(value) for batch in table.batches() for value in batch.column(0).to_pylist()]
    assert len(numbers) == len(set(numbers)) == sampled.rows
    assert {number // 12_000 for number in numbers} == set(range(5))  # not the first rows alone


@pytest.mark.parametrize("sample", [Sample(1.0), Sample(rows=10**9), Sample(rows=10, above=10**6)])
def test_no_sample(large: Made, sample: Sample) -> None:
    """What is to be read in full, for it is no larger than the sample or than what is large, is no sample."""
    report = scanned(large.url, reading=Reading(sample=sample))
    assert (report.coverage.rows, report.coverage.sampled, report.coverage.unread) == (60_000, 0, 0)
    assert not report.samples


def test_views_and_queries_are_read_in_full(large: Made) -> None:
    """How many rows they have nobody knows before."""
    for selection in (Selection(tables=("v",)), Selection(query="SELECT i FROM t")):
        report = scanned(large.url, reading=Reading(sample=Sample(0.1)), selection=selection)
        assert (report.coverage.rows, report.samples) == (60_000, ())


def test_the_commands_and_samples(large: Made, tmp_path: Path) -> None:
    """`scan` says that of large tables a part was read, and how to read all; `check` reads all: no part is clean."""
    if not opened(large.url).capabilities.sampling:
        return
    with mock.patch("pii_guard.cli.scan.LARGE_TABLES", Sample(rows=9_000, above=10_000)):
        done = run("scan", large.url, cwd=tmp_path)
        assert re.search(
            r"a sample: .*t: [\d,]+ rows of about [\d,]+ \(.*\); what was not found may be in up to 0\.0", done.stdout
        )
        assert done.stderr == "pii-guard: of 1 table of more than 10,000 rows a sample was read; --full reads all\n"
        assert "60,000 rows" in run("scan", large.url, "--full", cwd=tmp_path).stdout
    assert run("scan", large.url, "--full", "--sample", "5%", cwd=tmp_path).code == 2
    done = run("check", large.url, cwd=tmp_path)
    assert (done.code, "; clean\n" in done.stdout, "60,000 rows" in done.stdout) == (0, True, True)
    done = run("check", large.url, "--sample", "9000", cwd=tmp_path)
    assert (done.code, "clean" in done.stdout) == (3, False)
    assert "only a sample was read" in done.stdout


KEYS = {
    "dense": range(1, 20_001),
    "negative": range(-30_000, -10_000),
    "sparse": range(0, 20_000 * 1_000_003, 1_000_003),
    "far": [*range(1, 20_001), 2**62],
    "apart": [-(2**62), *range(20_000), *range(2**61, 2**61 + 10_000)],
    "holes": [*range(5_000), *range(900_000, 915_000)],
}


@pytest.fixture(scope="module")
def keyed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A database with a table for each of `KEYS`, and others that are hardly any."""
    case = request.param
    assert isinstance(case, Case)
    with case.make(tmp_path_factory.mktemp("keyed")) as made:
        kind = "integer" if case.id == "sqlite" else "bigint"
        for name, keys in KEYS.items():
            _make(made, name, f"i {kind} PRIMARY KEY, pad varchar(200)", list(keys))
        _make(made, "deleted", f"i {kind} PRIMARY KEY, pad varchar(200)", list(range(30_000)))
        made.execute("DELETE FROM deleted WHERE i BETWEEN 3000 AND 12999")
        _make(made, "one", f"i {kind} PRIMARY KEY, pad varchar(200)", [7])
        _make(made, "none", f"i {kind} PRIMARY KEY, pad varchar(200)", [])
        _make(made, "texts", "i varchar(20) PRIMARY KEY, pad varchar(200)", list(range(20_000)))
        _make(made, "pairs", f"i {kind}, pad varchar(200), PRIMARY KEY (i, pad)", list(range(20_000)))
        yield made


def _make(made: Made, name: str, columns: str, keys: Sequence[int]) -> None:
    made.execute(f"CREATE TABLE {made.name(name)} ({columns})")
    for start in range(0, len(keys), 5_000):
        rows = ", ".join(f"('{key}', '{'x' * 150}')" for key in keys[start : start + 5_000])
        made.execute(f"INSERT INTO {made.name(name)} VALUES {rows}")
    if made.analyze:
        made.execute(f"{made.analyze} {made.name(name)}")


SAMPLING = [case for case in CASES if case.id != "sqlalchemy"]


@pytest.mark.parametrize("keyed", SAMPLING, ids=lambda case: case.id, indirect=True)
@pytest.mark.parametrize("name", [*KEYS, "deleted", "texts", "pairs", "one", "none"])
def test_keys(keyed: Made, name: str) -> None:
    """Whatever gaps keys have, about as many rows are drawn as were asked for, none twice, from all over the table."""
    keys = sorted({"one": [7], "none": []}.get(name) or KEYS.get(name, range(20_000)))
    if name == "deleted":
        keys = [*range(3_000), *range(13_000, 30_000)]
    (table,) = (each for each in opened(keyed.url).tables() if each.name.rpartition(".")[2] == name)
    table.reading = Reading(sample=Sample(0.3))
    numbers = [int(value) for batch in table.batches() for value in batch.column(0).to_pylist()]
    if name in ("one", "none"):
        wanted = {"one": {7}, "none": set[int]()}[name]
        assert set(numbers) <= wanted  # a share of one row is one row, or none
        assert table.estimated is not None or set(numbers) == wanted
        return
    assert len(numbers) == len(set(numbers))
    assert set(numbers) <= set(keys)
    assert 0.15 < len(numbers) / len(keys) < 0.95
    assert table.estimated is not None
    assert 0.7 < table.estimated / len(keys) < 1.3
    assert [int(value) for batch in table.batches() for value in batch.column(0).to_pylist()] == numbers
    places = {key: place for place, key in enumerate(keys)}
    assert {places[number] * 10 // len(keys) for number in numbers} == set(range(10))
