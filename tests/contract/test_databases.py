"""One suite over the connectors of all databases. What one cannot do stands in its capabilities."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow.parquet as pq
import pytest
from cli_runner import EXAMPLES, run
from databases import CASES, Case, Made, opened, scanned

from pii_guard import connectors, scan
from pii_guard.connectors import Source, Table, base
from pii_guard.connectors.database_url import DATABASES, database_of
from pii_guard.connectors.selection import Selection
from pii_guard.errors import ReadError, TargetError, UsageError
from pii_guard.leaves import leaves
from pii_guard.plain_types import is_text
from pii_guard.reports import NotExamined, ScanReport

PHONE = "010-9876-5432"
COLUMNS = ("고객 이름", "phone", 'me"mo`')
ROWS = [(f"홍길동{i}", f"010-0000-{i:04d}", ("a'b", "line\nbreak", "", " padded ", "100%")[i % 5]) for i in range(1000)]


@pytest.fixture(params=CASES, ids=lambda case: case.id)
def case(request: pytest.FixtureRequest) -> Case:
    assert isinstance(request.param, Case)
    return request.param


@pytest.fixture
def made(case: Case, tmp_path: Path) -> Iterator[Made]:
    with case.make(tmp_path) as database:
        yield database


def only_table(source: Source) -> Table:
    (table,) = source.tables()
    return table


def rows_of(table: Table) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for batch in table.batches() for row in batch.to_pylist()]


def verdicts(report: ScanReport) -> list[tuple[str, str, str, int, int]]:
    return sorted(
        (field.field.path, found.kind, str(found.confidence), found.examined, found.hits)
        for field, found in report.findings
    )


def test_every_database_has_a_case() -> None:
    """A connector that is added to the table of databases is under this contract."""
    assert {database.id for database in DATABASES} <= {case.id for case in CASES}


def test_rows_and_names(case: Case, made: Made) -> None:
    """Every row and every name, however odd, by both ways of reading, and twice the same."""
    made.fill("고객 2024", COLUMNS, ROWS)
    table = only_table(opened(made.url))
    assert sorted(rows_of(table)) == sorted(rows_of(table)) == sorted(ROWS)
    assert table.bytes_read == table.position() > 0
    read = table.reader().read_all()
    assert read.schema.names == list(COLUMNS)
    assert sorted(tuple(row.values()) for row in read.to_pylist()) == sorted(ROWS)
    assert table.name == f'{case.prefix}"고객 2024"'


def test_verdicts_are_those_of_the_files(made: Made) -> None:
    """Tables give the verdicts that the files of the example data give with the same rows; two runs are equal."""
    expected = []
    for path in [*sorted(EXAMPLES.glob("*.csv")), EXAMPLES / "payments.parquet"]:
        if path.suffix == ".csv":
            with path.open(encoding="cp949" if path.stem == "refunds" else "utf-8", newline="") as file:
                header, *rows = csv.reader(file)
        else:
            table = pq.read_table(path)
            header, rows = table.column_names, [list(map(str, row.values())) for row in table.to_pylist()]
        made.fill(path.stem, header, rows)
        expected += [(path.stem, *verdict) for verdict in verdicts(scan(path))]
    report = scan(made.url)
    assert report.complete
    found = [
        (table, *verdict)
        for table in sorted({field.field.table for field in report.fields})
        for verdict in verdicts(replace(report, fields=tuple(f for f in report.fields if f.field.table == table)))
    ]
    assert [(table.rpartition(".")[2], *rest) for table, *rest in found] == sorted(expected) != []
    assert scan(made.url) == report


def test_batches_are_bounded(made: Made) -> None:
    """No batch has more rows or many more bytes than the bounds."""
    made.fill("t", ("a", "b"), [("x" * 50, str(i)) for i in range(70_000)])
    made.fill("u", ("a",), [("x" * 1_000_000,)] * 40)
    for table, count in zip(opened(made.url).tables(), (70_000, 40), strict=True):
        sizes = [(batch.num_rows, batch.nbytes) for batch in table.batches()]
        assert sum(rows for rows, _ in sizes) == count
        assert max(rows for rows, _ in sizes) <= base.MAX_BATCH_ROWS
        assert max(size for _, size in sizes) <= 2 * base.MAX_BATCH_BYTES


def test_text_is_valid_where_it_is_said_to_be(made: Made) -> None:
    """Such a source gives no column of text that is not UTF-8; others give bytes, or are examined."""
    made.execute(f"CREATE TABLE t (a text, doc {made.json})")
    made.execute("""INSERT INTO t VALUES ('가나 \U0001f600', '{"a": "힣"}'), (NULL, '{"a": "\ue000"}')""")
    source = opened(made.url)
    values = [leaf.values for batch in only_table(source).batches() for leaf in leaves(batch)]
    texts = [column for column in values if is_text(column.type)]
    for text in texts:
        text.validate(full=True)
    assert texts or not source.capabilities.valid_text


def test_a_table_without_rows_and_a_database_without_tables(made: Made) -> None:
    """The columns of an empty table are seen; an empty database is no error."""
    assert list(opened(made.url).tables()) == []
    assert scan(made.url).complete
    made.fill("t", COLUMNS, [])
    (batch,) = only_table(opened(made.url)).batches()
    assert (batch.num_rows, batch.schema.names) == (0, list(COLUMNS))
    assert only_table(opened(made.url)).reader().read_all().num_rows == 0


def test_abandoned_reading(made: Made) -> None:
    """Reading that stops half way leaves nothing open: the table can be dropped at once."""
    made.fill("t", ("a",), [("x" * 100,)] * 20_000)
    batches = only_table(opened(made.url)).batches()
    next(batches)
    del batches
    made.execute("DROP TABLE t")


def test_selection(case: Case, made: Made) -> None:
    """Patterns choose tables; views are left out, counted, and read on request; a pattern for nothing is no success."""
    for name in ("customers", "orders", "order_items"):
        made.fill(name, ("phone",), [(PHONE,)])
    made.execute("CREATE VIEW seen AS SELECT * FROM customers")

    def names(**options: Any) -> list[str]:
        return [table.name.removeprefix(case.prefix) for table in opened(made.url, Selection(**options)).tables()]

    assert names() == ["customers", "order_items", "orders"]
    assert names(included=("order*",)) == ["order_items", "orders"]
    assert names(included=("*s",), views=True) == ["customers", "order_items", "orders"]
    assert names(included=("s*",), views=True) == ["seen"]
    assert names(included=("order*",), excluded=("*_items",)) == ["orders"]
    assert names(tables=("orders", "seen")) == ["orders", "seen"]  # a view that is named is meant
    assert names(tables=(f"{case.prefix}customers",), included=("*items",)) == ["customers", "order_items"]
    home = case.prefix.rstrip(".") or ("main" if case.id == "sqlite" else made.url.rpartition("/")[2])
    assert names(schemas=(home,)) == names(schemas=("[!n]*",)) == names()
    report = scanned(made.url, selection=Selection(excluded=("orders",)))
    assert report.out_of_scope == {"a view": 1, "excluded": 1}
    assert report.coverage.tables == 2
    report = scanned(made.url, selection=Selection(tables=("custmers", "orders", "order*")))
    assert [item.reason for item in report.not_examined] == [
        f"there is no table {name} that this account may see" for name in ("custmers", "order*")
    ]
    assert report.coverage.tables == 1
    for selection in (Selection(included=("custmers",)), Selection(schemas=("nowhere",))):
        (item,) = connectors.discover(made.url, selection=selection)
        assert item == NotExamined(
            opened(made.url).target, "no table that this account may see matches --schema and --include-table"
        )


def test_query(made: Made) -> None:
    """A query in place of tables: its columns, two of one name too; what is wrong with one is said in our words."""
    made.fill("t", ("phone", "n"), [(f"010-9876-{i:04d}", str(i)) for i in range(30)])
    query = "SELECT phone AS a, phone AS a FROM t -- all\n;"
    report = scanned(made.url, selection=Selection(query=query))
    assert report.complete
    assert [str(field.field.path) for field in report.fields] == ["a", "a#2"]
    assert verdicts(report) == [(name, "kr_phone_mobile", "likely", 30, 30) for name in ("a", "a#2")]
    for wrong in (f"SELECT '{PHONE}' FROM nothing", f"SELECT '{PHONE}' FRM t"):
        (item,) = scanned(made.url, selection=Selection(query=wrong)).not_examined
        assert item.reason.startswith("the query: ")
        assert PHONE not in item.reason
        assert "damaged" not in item.reason
    for wrong in (f"SELECT '{PHONE}'; SELECT 2", "WITH a AS (SELECT 1) DELETE FROM t"):
        (item,) = scanned(made.url, selection=Selection(query=wrong)).not_examined
        assert item.reason.startswith("the query: ")
        assert "damaged" not in item.reason
    query = """SELECT phone AS "a into b", 'it''s into' AS c /* into */ FROM t -- into"""
    if made.quote == '"':
        assert scanned(made.url, selection=Selection(query=query)).complete
    for into in ("OUTFILE '/tmp/x'", "@a", "u"):
        with pytest.raises(UsageError, match="a SELECT without INTO"):
            scanned(made.url, selection=Selection(query=f"SELECT 'it''s', '\"' /*! INTO {into} */ FROM t"))
    for wrong in ("DELETE FROM t", "-- SELECT\nDROP TABLE t", ""):
        with pytest.raises(UsageError, match="only a SELECT is read"):
            scanned(made.url, selection=Selection(query=wrong))


def test_a_table_that_vanishes(case: Case, made: Made) -> None:
    """A table that is gone between the list and the reading is named; the others are read."""
    for name in "abc":
        made.fill(name, ("phone",), [(PHONE,)])
    source = opened(made.url)
    first, second, third = source.tables()
    made.execute("DROP TABLE b")
    assert [rows_of(table) for table in (first, third)] == [[(PHONE,)], [(PHONE,)]]
    with pytest.raises(ReadError) as caught:
        list(second.batches())
    assert caught.value.reason.startswith(f"table {case.prefix}b: ")
    assert caught.value.__suppress_context__


def test_selection_is_for_databases(tmp_path: Path) -> None:
    """Options for tables are refused for files."""
    with pytest.raises(UsageError, match="databases alone"):
        connectors.discover(str(tmp_path), selection=Selection(query="SELECT 1"))
    with pytest.raises(UsageError, match="databases alone"):
        connectors.discover(str(tmp_path), password="x")
    with pytest.raises(UsageError, match="no tables"):
        Selection(query="SELECT 1", tables=("t",))


def test_patterns_of_files_are_none_of_tables(made: Made) -> None:
    """`--exclude` is for files: a table that it seems to leave out would be read all the same."""
    with pytest.raises(UsageError, match="--exclude-table leaves out tables"):
        connectors.discover(made.url, exclude=("orders",))


def test_a_database_is_no_file(case: Case, made: Made) -> None:
    """What needs one file says so."""
    with pytest.raises(TargetError, match="is a database"):
        connectors.open(made.url)


def test_a_library_that_is_missing(case: Case, made: Made) -> None:
    """The message names what to install."""
    libraries = ("adbc_driver_postgresql", "adbc_driver_manager", "pymysql", "duckdb", "sqlalchemy")
    kind = database_of(made.url)
    assert kind is not None
    module = kind.entry.partition(":")[0]
    missing = dict.fromkeys(libraries)
    with mock.patch.dict(sys.modules, missing):
        sys.modules.pop(module, None)
        if case.id == "sqlite":
            connectors.discover(made.url)
            return
        with pytest.raises(TargetError, match=r"pip install 'pii-guard-arrow"):
            connectors.discover(made.url)


def test_command(made: Made, tmp_path: Path) -> None:
    """`scan` takes a URL like any other target, with the options for tables, and exits as for files."""
    made.fill("customers", ("phone",), [(f"010-9876-{i:04d}",) for i in range(9)])
    done = run("scan", made.url, "--include-table", "cust*", cwd=tmp_path)
    assert (done.code, done.stderr) == (0, "")
    assert "customers.phone" in done.stdout
    assert run("scan", made.url, "--table", "nothing*", cwd=tmp_path).code == 3
    assert run("check", made.url, cwd=tmp_path).code == 1
