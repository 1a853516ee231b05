"""What only PostgreSQL has: types whose text is not their value, partitions, rights, timeouts, lost connections."""

from __future__ import annotations

import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from adbc_driver_postgresql import dbapi
from cli_runner import COMMAND, environment, run
from databases import PHONE, POSTGRESQL, Made, postgresql, reasons, rows

from pii_guard import scan
from pii_guard.connectors.base import Reading
from pii_guard.connectors.postgresql import PostgresqlSource
from pii_guard.connectors.sampling import Sample
from pii_guard.connectors.selection import Selection
from pii_guard.detectors import select
from pii_guard.scanner import ScanOptions, scan_targets

SECRET = "s3cr3t-Pa55"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    with postgresql(tmp_path) as database:
        yield database


def with_password(url: str) -> str:
    return url.replace("://", f"://someone:{SECRET}@")


def test_types(made: Made) -> None:
    """Whatever holds text gives its text, bytes are bytes, numbers of Arrow's own types stay numbers."""
    made.execute(
        "CREATE EXTENSION hstore",
        "CREATE EXTENSION citext",
        "CREATE TYPE mood AS ENUM ('happy')",
        "CREATE TYPE person AS (name text, phone text)",
        "CREATE DOMAIN mail AS text CHECK (VALUE LIKE '%@%')",
        f"""CREATE TABLE t AS SELECT
            1::int2 AS int, 2.5::float8 AS float, true AS bool, '{PHONE}'::char(15) AS char, 'x'::"char" AS one,
            'a@example.com'::citext AS citext, 'b@example.com'::mail AS domain, '\\xff30'::bytea AS bytes,
            '{{"p": "{PHONE}"}}'::json AS json, '{{"p": "{PHONE}"}}'::jsonb AS jsonb,
            'p=>{PHONE}'::hstore AS hstore, '8.8.8.8'::inet AS inet, 'happy'::mood AS enum,
            ROW('kim', '{PHONE}')::person AS person, to_tsvector('simple', 'c@example.com') AS words,
            12345678901234567890.5::numeric AS number, '<p>{PHONE}</p>'::xml AS xml,
            ARRAY[['a', NULL], ['{PHONE}', 'b']] AS texts, ARRAY['x=>1'::hstore] AS maps,
            DATE '1990-01-02' AS day, DATE 'infinity' AS never, TIMESTAMP '0044-03-15 10:00 BC' AS ides,
            '00000000-0000-0000-0000-000000000001'::uuid AS uuid, int4range(1, 5) AS range, B'101' AS bits,
            'NaN'::float4 AS nan, INTERVAL '1 day' AS span, NULL::json AS nothing""",
    )
    ((name, (row,)),) = rows(made.url).items()
    assert name == "public.t"
    assert str(row.pop("nan")) == "nan"
    assert row == {
        "int": 1,
        "float": 2.5,
        "bool": True,
        "char": f"{PHONE}  ",
        "one": "x",
        "citext": "a@example.com",
        "domain": "b@example.com",
        "bytes": b"\xff0",
        "json": {"p": PHONE},
        "jsonb": {"p": PHONE},
        "hstore": f'"p"=>"{PHONE}"',
        "inet": "8.8.8.8/32",
        "enum": "happy",
        "person": f"(kim,{PHONE})",
        "words": "'c@example.com':1",
        "number": "12345678901234567890.5",
        "xml": f"<p>{PHONE}</p>",
        "texts": f"{{{{a,NULL}},{{{PHONE},b}}}}",
        "maps": '{"\\"x\\"=>\\"1\\""}',
        "day": "1990-01-02",
        "never": "infinity",
        "ides": "0044-03-15 10:00:00 BC",
        "uuid": "00000000-0000-0000-0000-000000000001",
        "range": "[1,5)",
        "bits": "101",
        "span": "1 day",
        "nothing": None,
    }


def test_dates_do_not_depend_on_settings(made: Made) -> None:
    """Dates are in ISO 8601 whatever the database is set to."""
    made.execute("CREATE TABLE t AS SELECT DATE '1990-12-31' AS born", "ALTER ROLE CURRENT_USER RESET ALL")
    name = made.url.rpartition("/")[2]
    made.execute(f"ALTER DATABASE {name} SET datestyle = 'German'")
    assert rows(made.url) == {"public.t": [{"born": "1990-12-31"}]}


def test_each_row_once(made: Made) -> None:
    """Rows of partitions come by their parent, those of inheriting tables by their own; temporary tables not at all."""
    made.execute(
        "CREATE TABLE p (n int) PARTITION BY RANGE (n)",
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (n)",
        "CREATE TABLE p11 PARTITION OF p1 FOR VALUES FROM (0) TO (5)",
        "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)",
        "INSERT INTO p VALUES (1), (11)",
        "CREATE TABLE old (n int)",
        "CREATE TABLE young () INHERITS (old)",
        "INSERT INTO old VALUES (1)",
        "INSERT INTO young VALUES (2)",
        'CREATE SCHEMA "S.1"',
        'CREATE MATERIALIZED VIEW "S.1".kept AS SELECT 7 AS n',
    )
    assert rows(made.url) == {
        '"S.1".kept': [{"n": 7}],
        "public.old": [{"n": 1}],
        "public.p": [{"n": 1}, {"n": 11}],
        "public.young": [{"n": 2}],
    }
    assert list(rows(made.url, Selection(schemas=("S*",)))) == ['"S.1".kept']
    assert list(rows(made.url, Selection(included=("public.o*",)))) == ["public.old"]


def test_rights(made: Made) -> None:
    """What the account may not read, or sees in part, is named, and the exit code is 3; all else is read."""
    role = f"pii_guard_test_{secrets.token_hex(6)}"
    made.execute(
        f"CREATE ROLE {role} LOGIN",
        f"CREATE TABLE a AS SELECT '{PHONE}' AS phone",
        f'CREATE TABLE b AS SELECT 1 AS n, 2 AS secret, \'{PHONE}\' AS phone, 3 AS "odd ""name"',
        "CREATE TABLE c AS SELECT 1 AS n UNION SELECT 2",
        "CREATE TABLE d AS SELECT 1 AS n",
        f"GRANT SELECT ON a, c TO {role}",
        f"GRANT SELECT (n, phone) ON b TO {role}",
        "ALTER TABLE c ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY p ON c USING (n = 1)",
    )
    try:
        url = made.url.replace("://", f"://{role}@")
        report = scan(url)
        assert reasons(report) == [
            'table public.b: permission denied for its columns secret, odd "name',
            "table public.c: row-level security may hide rows from this account",
            "table public.d: permission denied",
        ]
        assert report.coverage.rows == 3
        assert [str(field.field.table) for field, _ in report.findings] == ["public.a", "public.b"]
        assert {f"{field.field.table}.{field.field.path}" for field in report.fields} == {
            f"public.{path}" for path in ("a.phone", "b.n", "b.phone", "c.n")
        }
        assert run("scan", url).code == 3
    finally:
        made.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_a_view_that_breaks(made: Made) -> None:
    """A view whose query fails on a value is named without it; the rows before it, and other tables, are read."""
    made.execute(
        f"CREATE TABLE a AS SELECT '{PHONE}' AS phone FROM generate_series(1, 50)",
        f"CREATE VIEW early AS SELECT '{PHONE}'::text::int AS n",
        f"CREATE VIEW late AS SELECT CASE WHEN i < 90000 THEN i ELSE (i || '{PHONE}')::int END AS n "
        "FROM generate_series(1, 100000) i",
    )
    report = scan_targets([made.url], detectors=select(), options=ScanOptions(selection=Selection(views=True)))
    assert reasons(report) == [
        "table public.early: a text is no value of the type that it should have",
        "table public.late: the server stopped with an error, such as a value that cannot be cast",
    ]
    assert report.coverage.rows >= 50
    assert [field.field.table for field, _ in report.findings] == ["public.a"]


def test_timeouts(made: Made) -> None:
    """A table that takes longer than the timeout of the session is named, with what to do."""
    made.execute("CREATE VIEW slow AS SELECT 1 AS n, pg_sleep(30)::text AS slept")
    url = made.url + "?options=-c%20statement_timeout%3D200"
    report = scan_targets([url], detectors=select(), options=ScanOptions(selection=Selection(views=True)))
    (reason,) = reasons(report)
    assert reason.startswith("table public.slow: it took longer than the statement timeout")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT pg_sleep(30)::text AS slept",
        "SELECT CASE WHEN i > 9e4 THEN pg_sleep(30)::text END FROM generate_series(1, 1e5) i",
    ],
    ids=["first row", "later"],
)
def test_interrupt(made: Made, query: str) -> None:
    """Ctrl-C while the server is at a row ends the command at once, as an interrupt, and what the server is at."""
    interrupted(made, ["scan", made.url, "--query", query], "%pg_sleep(30)%")


def test_a_table_that_is_locked(made: Made) -> None:
    """It is named, and the others are read; Ctrl-C while it is waited for ends this as it does all else."""
    made.execute(
        f"CREATE TABLE a AS SELECT '{PHONE}' AS phone",
        "CREATE TABLE p (a text) PARTITION BY LIST (a)",
        "CREATE TABLE q PARTITION OF p DEFAULT",
        f"CREATE TABLE z AS SELECT '{PHONE}' AS phone",
    )
    with closing(dbapi.connect(made.url)) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("LOCK TABLE q IN ACCESS EXCLUSIVE MODE")
        interrupted(made, ["scan", made.url], "%pg_partition_tree%")
        report = scan(made.url + "?options=-c%20lock_timeout%3D200")
    assert reasons(report) == ["table public.p: locked by another session"]
    assert [field.field.table for field, _ in report.findings] == ["public.a", "public.z"]


def interrupted(made: Made, arguments: list[str], query: str) -> None:
    """Run a command, send it SIGINT when the server is at a query that is like `query`; hold what comes of it."""
    running = f"SELECT 1 FROM pg_stat_activity WHERE query LIKE '{query}' AND datname = current_database() "
    running += "AND pid <> pg_backend_pid() AND state = 'active'"
    process = subprocess.Popen(
        [*COMMAND, *arguments], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while not made.execute(running):
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, b"")
    assert err.decode().lstrip() == "pii-guard: interrupted; nothing half-written was left behind\n"
    assert not made.execute(running)


class Cut:
    """Cuts the connection of a scan when a batch has come, so many connections."""

    def __init__(self, made: Made, times: int) -> None:
        self.made, self.times = made, times

    def __call__(self, progress: Any) -> None:
        if self.times:
            self.times -= bool(
                self.made.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )


def test_a_lost_connection(made: Made) -> None:
    """A table whose connection is lost is read once more; after a second loss it is named and its part stays."""
    made.execute(
        f"CREATE TABLE a AS SELECT '{PHONE}' AS phone, repeat('x', 300) AS pad FROM generate_series(1, 200000)",
        "CREATE TABLE b AS SELECT 'a@example.com' AS mail",
    )
    report = scan_targets([made.url], detectors=select(), progress=Cut(made, 1))
    assert (report.complete, report.coverage.rows, report.coverage.tables) == (True, 200_001, 2)
    report = scan_targets([made.url], detectors=select(), progress=Cut(made, 2))
    assert reasons(report) == ["table public.a: the connection was lost"]
    assert 0 < report.coverage.rows < 200_001
    assert {finding.kind for _, finding in report.findings} == {"kr_phone_mobile", "email"}


def test_a_server_that_is_gone(made: Made) -> None:
    """Where a lost server is not to be reached again, each table that was not read is named; what was read stays."""
    made.execute(
        f"CREATE TABLE a AS SELECT '{PHONE}' AS phone, repeat('x', 300) AS pad FROM generate_series(1, 200000)",
        "CREATE TABLE b AS SELECT 1 AS n",
        "CREATE TABLE c AS SELECT 1 AS n",
    )
    uris = [made.url, made.url] + ["postgresql://127.0.0.1:1/x"] * 2  # the list, the first table, and then none
    with mock.patch.object(PostgresqlSource, "_uri", side_effect=uris) as asked:
        report = scan_targets([made.url], detectors=select(), progress=Cut(made, 1))
    assert asked.call_count == 3  # not once more for each table
    assert reasons(report) == [f"table public.{table}: no server answers there" for table in "abc"]
    assert 0 < report.coverage.rows < 200_000
    assert {finding.kind for _, finding in report.findings} == {"kr_phone_mobile"}


def test_text_in_no_encoding(made: Made) -> None:
    """In a database that knows no encoding, text that is no UTF-8 is examined as bytes."""
    name = f"{made.url.rpartition('/')[2]}_ascii"
    made.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
    url = f"{made.url}_ascii"
    try:
        query = Selection(
            query=f"SELECT convert_from('\\xc8ab41', 'SQL_ASCII') || chr(200) || '{PHONE}' AS v, 'x' AS w"
        )
        assert rows(url, query) == {"query": [{"v": b"\xc8\xabA\xc8" + PHONE.encode(), "w": "x"}]}
    finally:
        made.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_many_columns_and_none(made: Made) -> None:
    """1,600 columns, the most that there may be, and a table without any."""
    made.execute(f"CREATE TABLE wide ({', '.join(f'c{i} int' for i in range(1600))})", "CREATE TABLE bare ()")
    made.execute("INSERT INTO wide DEFAULT VALUES", "INSERT INTO bare DEFAULT VALUES")
    found = rows(made.url)
    assert (len(found["public.wide"][0]), found["public.bare"]) == (1600, [])


def test_values_at_the_ends(made: Made) -> None:
    """A text of 200 MB is searched to its end; numbers that are none are no error."""
    made.execute(
        f"CREATE TABLE large AS SELECT repeat('lorem ipsum ', 17500000) || '{PHONE}' AS memo",
        "CREATE TABLE odd AS SELECT 'NaN'::float8 AS a, 'Infinity'::float8 AS b, '-Infinity'::float4 AS c, "
        "'NaN'::numeric AS d, 'infinity'::timestamp AS e, 'Infinity'::numeric AS f, ''::text AS g, NULL::text AS h",
    )
    report = scan_targets([made.url], detectors=select())
    assert report.complete
    assert report.coverage.bytes > 210_000_000
    assert [(field.field.table, finding.kind) for field, finding in report.findings] == [
        ("public.large", "kr_phone_mobile")
    ]


def test_sample_draws_blocks(made: Made) -> None:
    """Of partitioned tables and materialized views too, never fewer than say something; small tables are read whole."""
    made.execute(
        "CREATE TABLE p (n int, pad text) PARTITION BY RANGE (n)",
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100000)",
        "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100000) TO (200001)",
        "INSERT INTO p SELECT i, repeat('x', 100) FROM generate_series(1, 200000) i",
        "CREATE MATERIALIZED VIEW kept AS SELECT * FROM p",
        "CREATE TABLE small AS SELECT 1 AS n",
    )
    report = scan_targets([made.url], detectors=select(), options=ScanOptions(reading=Reading(sample=Sample(rows=5))))
    assert [(sample.table, sample.by_row) for sample in report.samples] == [("public.kept", False), ("public.p", False)]
    for sample in report.samples:
        assert 10_000 < sample.rows < 20_000  # 256 blocks of some 59 rows
        assert 140_000 < sample.estimated < 260_000
    assert report.coverage.tables == 3


def test_the_password_shows_nowhere(made: Made, tmp_path: Path) -> None:
    """Neither a report nor an error holds the password or the account of a URL, be it well-formed or not."""
    made.execute(f"CREATE TABLE t AS SELECT '{PHONE}' AS phone")
    url = with_password(made.url)
    urls = [
        url,
        f"postgresql://someone:{SECRET}@127.0.0.1:1/x",
        f"{url}?sslmode=wrong",
        f"{url}_missing",
        made.url.replace("://", f"://someone:x/{SECRET}@"),
        made.url.replace("://", f"://someone:x?{SECRET}@"),
        made.url.replace("://", f"://someone:x@{SECRET}@"),
        f"postgresql://someone:{SECRET}@[::1/x",
    ]
    for target in urls:
        for command in (
            ["scan"],
            ["scan", "--format", "json"],
            ["check"],
            ["tag"],
            ["find"],
            ["explain", "--field", "t.phone"],
        ):
            done = run(*command, target, cwd=tmp_path)
            assert done.code in (1, 2, 3), (command, done.output)
            assert SECRET not in done.output
            assert "someone" not in done.output
            assert "Traceback" not in done.output


def test_passwords_of_the_environment(made: Made) -> None:
    """A variable of the environment fills a place in a URL; one that is not set is named."""
    made.execute(f"CREATE TABLE t AS SELECT '{PHONE}' AS phone")
    database = made.url.rpartition("/")[2]
    url = made.url.rpartition("/")[0] + "/${DATABASE}"
    assert run("scan", url, env={"DATABASE": database}).code == 0
    done = run("scan", url)
    assert (done.code, done.stdout) == (2, "")
    assert "the environment variable DATABASE, which the URL names, is not set" in done.stderr


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://127.0.0.1:1/x", "no server answers there"),
        ("postgresql://no-such-host.invalid/x", "no host of this name is known"),
        (f"{POSTGRESQL.rpartition('/')[0]}/no_such_database", "the server has no database of this name"),
    ],
)
def test_no_server(url: str, reason: str) -> None:
    """A server that is not there is not examined, in one line, and the exit code is 3."""
    done = run("scan", url)
    assert done.code == 3
    assert f"not examined: {url}: {reason}\n" in done.stdout
