"""What only MySQL and MariaDB have: values as they are sent, several databases at once, lost connections."""

from __future__ import annotations

import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from cli_runner import COMMAND, environment, run
from databases import PHONE, Made, mariadb, opened, reasons, rows

from pii_guard import connectors, scan
from pii_guard.connectors.base import Reading
from pii_guard.connectors.mysql import MysqlSource
from pii_guard.connectors.sampling import Sample
from pii_guard.connectors.selection import Selection
from pii_guard.detectors import select
from pii_guard.errors import TargetError
from pii_guard.scanner import ScanOptions, scan_targets

SECRET = "s3cr3t-Pa55"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    with mariadb(tmp_path) as database:
        yield database


def test_types(made: Made) -> None:
    """Every value is the text that the server writes, dates that are none too; text of any character set is UTF-8."""
    made.execute(
        "SET sql_mode = ''",
        "CREATE TABLE t (n bigint unsigned, d decimal(30, 5), f double, day date, at datetime, j json, b blob, "
        "e enum('기쁨'), k varchar(20) CHARACTER SET euckr, i inet6, bits bit(9), nothing text)",
    )
    made.execute(
        "SET sql_mode = ''",
        "INSERT INTO t VALUES (18446744073709551615, 1.5, 2.5, '0000-00-00', '1990-01-02 03:04:05', "
        f"""'{{"p": "{PHONE}"}}', x'ff30', '기쁨', '홍길동', '::1', b'100000001', NULL)""",
    )
    assert rows(made.url) == {
        "t": [
            {
                "n": "18446744073709551615",
                "d": "1.50000",
                "f": "2.5",
                "day": "0000-00-00",
                "at": "1990-01-02 03:04:05",
                "j": {"p": PHONE},
                "b": b"\xff0",
                "e": "기쁨",
                "k": "홍길동",
                "i": "::1",
                "bits": "\x01\x01",
                "nothing": None,
            }
        ]
    }


def test_all_databases_of_a_server(made: Made) -> None:
    """A URL without a database means all of them but the server's own, under their names."""
    made.execute("CREATE TABLE t AS SELECT 1 AS n")
    url, name = made.url.rsplit("/", 1)
    assert rows(url, Selection(schemas=(name,))) == {f"{name}.t": [{"n": "1"}]}
    assert not [table for table in rows(url, Selection(schemas=("mysql", name))) if table.startswith("mysql.")]


def test_history_is_read(made: Made) -> None:
    """Rows that a system-versioned table keeps of the past are personal data as well."""
    made.execute(
        "CREATE TABLE t (phone text) WITH SYSTEM VERSIONING",
        f"INSERT INTO t VALUES ('{PHONE}')",
        "DELETE FROM t",
    )
    assert rows(made.url) == {"t": [{"phone": PHONE}]}


def test_invisible_columns_are_read(made: Made) -> None:
    """`SELECT *` leaves them out; they hold data like any other."""
    made.execute(
        "CREATE TABLE t (n int, `ph``one %s` varchar(20) INVISIBLE)",
        f"INSERT INTO t (n, `ph``one %s`) VALUES (1, '{PHONE}')",
    )
    assert rows(made.url) == {"t": [{"n": "1", "ph`one %s": PHONE}]}


def test_rights_and_views_that_break(made: Made) -> None:
    """What the account may not read, and views of what is gone, are named; all else is read."""
    role, name = f"test_{secrets.token_hex(6)}", made.url.rpartition("/")[2]
    made.execute(
        f"CREATE TABLE a AS SELECT '{PHONE}' AS phone",
        "CREATE TABLE b AS SELECT 1 AS n, 2 AS secret",
        "CREATE VIEW v AS SELECT * FROM b",
        f"CREATE USER {role}@'%' IDENTIFIED BY '{SECRET}'",
        f"GRANT SELECT ON {name}.a TO {role}@'%'",
        f"GRANT INSERT ON {name}.b TO {role}@'%'",
        f"CREATE TABLE c AS SELECT '{PHONE}' AS phone, 1 AS secret, 2 AS n",
        f"CREATE TABLE d AS SELECT '{PHONE}' AS phone, 1 AS secret, 2 AS n",
        f"GRANT SELECT (phone, n) ON {name}.c TO {role}@'%'",
        f"GRANT SELECT (phone), INSERT (secret, n) ON {name}.d TO {role}@'%'",
    )
    try:
        url = made.url.replace("root@", f"{role}:{SECRET}@")
        report = scan(url)
        assert reasons(report) == [
            "table b: permission denied",
            "table c: permission denied for its other columns, whose names this account may not see",
            "table d: permission denied for its columns secret, n",
        ]
        assert [field.field.table for field, _ in report.findings] == ["a", "c", "d"]
        assert [f"{field.field.table}.{field.field.path}" for field in report.fields] == [
            "a.phone",
            "c.phone",
            "c.n",
            "d.phone",
        ]
        done = run("scan", made.url.replace("root@", f"{role}@"), env={"MYSQL_PWD": SECRET})
        assert "table b: permission denied" in done.stdout
        for wrong in (f"{role}:{SECRET}x@", f"{role}@", f"{role}:x/{SECRET}@", f"nobody:{SECRET}@"):
            done = run("scan", made.url.replace("root@", wrong), env={"MYSQL_PWD": SECRET * 2})
            assert done.code in (2, 3), done.output
            assert SECRET not in done.output
            assert role not in done.output
    finally:
        made.execute(f"DROP USER {role}@'%'")
    made.execute("ALTER TABLE b DROP COLUMN secret")
    report = scan_targets([made.url], detectors=select(), options=ScanOptions(selection=Selection(views=True)))
    assert reasons(report) == ["table v: a view of something that is gone, or that its owner may not read"]


def test_a_lost_connection(made: Made) -> None:
    """A table whose connection is lost is read once more; after a second loss it is named and its part stays."""
    made.fill("a", ("phone", "pad"), [(PHONE, "x" * 500)] * 40_000)
    made.fill("b", ("mail",), [("a@example.com",)])
    name = made.url.rpartition("/")[2]

    def cutting(times: int) -> Any:
        left = times

        def cut(progress: Any) -> None:
            nonlocal left
            found = made.execute(
                f"SELECT id FROM information_schema.processlist WHERE db = '{name}' AND id <> connection_id()"
            )
            for (number,) in found if left else []:
                made.execute(f"KILL {number}")
                left -= 1

        return cut

    report = scan_targets([made.url], detectors=select(), progress=cutting(1))
    assert (report.complete, report.coverage.rows) == (True, 40_001)
    report = scan_targets([made.url], detectors=select(), progress=cutting(2))
    assert reasons(report) == ["table a: the connection was lost"]
    assert 0 < report.coverage.rows < 40_001
    assert {finding.kind for _, finding in report.findings} == {"kr_phone_mobile", "email"}


def test_interrupt(made: Made) -> None:
    """Ctrl-C while the server is at a query ends the command at once, and what the server is at."""
    running = "SELECT 1 FROM information_schema.processlist WHERE info LIKE 'SELECT sleep%' AND db = database()"
    process = subprocess.Popen(
        [*COMMAND, "scan", made.url, "--query", "SELECT sleep(30) AS slept"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while not made.execute(running):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, b"")
    assert err.decode().lstrip() == "pii-guard: interrupted; nothing half-written was left behind\n"
    deadline = time.monotonic() + 2
    while made.execute(running):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_no_such_database(made: Made) -> None:
    """A name that the server does not know is said in one line."""
    done = run("scan", f"{made.url}_missing")
    assert done.code == 3
    assert "not examined: " in done.stdout
    assert "the server has no database of this name" in done.stdout


def test_options() -> None:
    """Options of TLS reach the driver; one that is unknown, or no number, is refused by name."""
    with pytest.raises(TargetError, match="has an option ssl_mod; known are unix_socket, ssl_ca"):
        connectors.discover("mysql://127.0.0.1/x?ssl_mod=1")
    with pytest.raises(TargetError, match="option connect_timeout of the URL is no number"):
        connectors.discover("mysql://127.0.0.1/x?connect_timeout=soon")
    report = scan("mysql://127.0.0.1:1/x?ssl_ca=/no/such/file.pem")
    assert [item.source for item in report.not_examined] == ["mysql://127.0.0.1:1/x"]


def test_no_server() -> None:
    """A server that is not there is not examined, and the exit code is 3."""
    done = run("scan", "mariadb://someone:s3cret@127.0.0.1:1/x")
    assert done.code == 3
    assert "not examined: mysql://127.0.0.1:1/x: no server answers there\n" in done.stdout
    assert "s3cret" not in done.output


def test_a_sample_reads_its_rows_alone(made: Made) -> None:
    """By ranges of the primary key; a table without one of a single integer is read in full, which is said."""
    made.execute(
        "CREATE TABLE keyed (i bigint PRIMARY KEY, pad varchar(200)) WITH SYSTEM VERSIONING",
        "INSERT INTO keyed SELECT seq * 17, repeat('x', 150) FROM seq_1_to_40000",
        "CREATE TABLE promoted (i bigint NOT NULL UNIQUE, pad varchar(200))",
        "INSERT INTO promoted SELECT seq, repeat('x', 150) FROM seq_1_to_40000",
        "ANALYZE TABLE keyed, promoted",
    )
    for name, drawn, least, most in (
        ("keyed", "ranges of its primary key", 2_000, 20_000),
        ("promoted", "rows, by RAND(); all were read, as it has no primary key of one integer", 40_000, 50_000),
    ):
        (table,) = opened(made.url, Selection(tables=(name,))).tables()
        table.reading = Reading(sample=Sample(0.1))
        with counting() as read:
            number = sum(batch.num_rows for batch in table.batches())
        assert 3_000 < number < 5_000
        assert (table.drawn, table.drawn_by_row) == (drawn, name == "promoted")
        assert least < sum(read) < most


@contextmanager
def counting() -> Iterator[list[int]]:
    """How many rows the server reads from tables and indexes for connections in this block."""
    found, connected = list[int](), MysqlSource.connected

    @contextmanager
    def watched(source: MysqlSource, **options: Any) -> Iterator[Any]:
        with connected(source, **options) as connection:
            yield connection
            with connection.cursor() as cursor:
                cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
                found.append(sum(int(value) for _, value in cursor.fetchall()))

    with mock.patch.object(MysqlSource, "connected", watched):
        yield found
