"""Large tables of MySQL and MariaDB by connectorx: the rows that PyMySQL gives, all or an error, in little memory."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from unittest import mock

import pyarrow as pa
import pymysql
import pytest
from cli_runner import run
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from databases import PHONE, Made, mariadb, opened, reasons
from own_servers import own_mariadb

from pii_guard.connectors import mysql, mysql_bulk
from pii_guard.connectors.base import Reading
from pii_guard.connectors.mysql import MysqlTable
from pii_guard.connectors.mysql_bulk import Request, rows_in_bulk
from pii_guard.connectors.sampling import Sample
from pii_guard.connectors.selection import Selection
from pii_guard.detectors import select
from pii_guard.errors import LostConnectionError
from pii_guard.reports import ScanReport
from pii_guard.scanner import Progress, ScanOptions, scan_targets

SECRET = "s3cr3t/@:%#Pa55"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("connectorx") is None, reason="connectorx is not installed: pip install '.[mysql-fast]'"
)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    with mariadb(tmp_path) as database:
        yield database


@contextmanager
def in_bulk(**settings: Any) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Small tables count as large ones; the processes that are started."""
    started = list[subprocess.Popen[bytes]]()

    class Watched(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)

    with (
        mock.patch.multiple(mysql_bulk, **{"_FEWEST_ROWS": 1, "_WIDEST": 1 << 30, **settings}),
        mock.patch.object(subprocess, "Popen", Watched),
    ):
        yield started


def table_of(url: str, name: str) -> MysqlTable:
    (table,) = opened(url, Selection(tables=(name,))).tables()
    assert isinstance(table, MysqlTable)
    return table


def batches_of(url: str, name: str) -> list[pa.RecordBatch]:
    return list(table_of(url, name).batches())


def rows_of(batches: list[pa.RecordBatch]) -> list[dict[str, Any]]:
    return [row for batch in batches for row in batch.to_pylist()]


def scanned(url: str, progress: Callable[[Progress], None] | None = None) -> ScanReport:
    return scan_targets([url], detectors=select(), options=ScanOptions(reading=Reading()), progress=progress)


ODD_TYPES = {
    "n": ("bigint unsigned", "18446744073709551615"),
    "tiny": ("tinyint(1)", "-128"),
    "i": ("int(1)", "-2147483648"),
    "zero`filled": ("int(6) zerofill", "42"),
    "d": ("decimal(65, 30)", "1.5"),
    "f": ("float", "3.14159265358979"),
    "g": ("double", "-2.2250738585072014e-308"),
    "cut": ("double(5, 2)", "123.456"),
    "one": ("decimal(30, 30)", "-0.999999999999999999999999999999"),
    "day": ("date", "'0000-00-00'"),
    "at": ("datetime(3)", "'1990-02-30'"),
    "ts": ("timestamp NULL", "'1990-01-02 03:04:05'"),
    "length": ("time(2)", "'-838:59:59'"),
    "year": ("year", "0"),
    "json": ("json", """'{"p": ["' '010-9876-5432"]}'"""),
    "blob": ("blob", "x'ff00fe'"),
    "bytes": ("varbinary(9)", "x'00ff'"),
    "fixed": ("binary(4)", "x'fe'"),
    "e": ("enum('기쁨', '')", "'기쁨'"),
    "s": ("set('a', 'b')", "'a,b'"),
    "euckr": ("varchar(20) CHARACTER SET euckr", "'홍길동'"),
    "latin": ("tinytext CHARACTER SET latin1", "'caf\xe9 €'"),
    "utf16": ("char(5) CHARACTER SET utf16", "'가 '"),
    "이름 '\"`?:a %s{}": ("varchar(9) COLLATE utf8mb4_bin", "'😀'"),
    "inet6": ("inet6", "'::1'"),
    "inet4": ("inet4", "'1.2.3.4'"),
    "uuid": ("uuid", "'123e4567-e89b-12d3-a456-426655440000'"),
    "bits": ("bit(9)", "b'100000001'"),
    "bit": ("bit(1)", "1"),
    "point": ("point", "ST_GeomFromText('POINT(1 2)')"),
    "text": ("longtext", "concat('\\0\\n\\\\', repeat('한', 70000))"),
    "unseen": ("varchar(9) INVISIBLE", "'\xff'"),
}


def test_the_same_rows(made: Made) -> None:
    """Each type, with odd values, nulls and empty ones: the very text or bytes that PyMySQL gives."""
    columns = ", ".join(f"{made.name(name)} {kind}" for name, (kind, _) in ODD_TYPES.items())
    names = ", ".join(map(made.name, ODD_TYPES))
    made.execute(
        "SET sql_mode = ''",
        f"CREATE TABLE t (id int PRIMARY KEY, {columns}, made int AS (tiny + 1)) WITH SYSTEM VERSIONING",
        f"INSERT INTO t (id, {names}) VALUES (1, {', '.join(value for _, value in ODD_TYPES.values())})",
        "INSERT INTO t (id) VALUES (2)",
        "INSERT INTO t (id, `blob`, bytes, euckr, text, e) VALUES (3, '', '', '', '', 'none of them')",
        "UPDATE t SET f = 2.5 WHERE id = 1",
    )
    by_pymysql = batches_of(made.url, "t")
    with in_bulk() as started:
        table = table_of(made.url, "t")
        by_connectorx = list(table.batches())
    assert len(started) == 1
    assert (table.source.bulk, table.source.broken) == (True, set())
    assert rows_of(by_connectorx) == rows_of(by_pymysql)
    assert [batch.schema for batch in by_connectorx] == [batch.schema for batch in by_pymysql]
    assert sum(batch.num_rows for batch in by_connectorx) == 4  # with the row as it was before


def test_few_rows(made: Made) -> None:
    """A table that has none any more gives its columns; one of nulls is a row."""
    made.execute("CREATE TABLE t (phone varchar(20), `한 글` int)")
    expected = {"phone": None, "한 글": None}
    for rows in range(4):
        with in_bulk() as started:
            table = table_of(made.url, "t")
            table.relation = replace(table.relation, rows=1)
            batches = list(table.batches())
        assert len(started) == 1
        assert rows_of(batches) == [expected] * rows
        assert {batch.schema for batch in batches} == {pa.schema([(name, pa.string()) for name in expected])}
        made.execute("INSERT INTO t VALUES (NULL, NULL)")


def test_many_columns(made: Made) -> None:
    """More of them than most tables have, most without a value."""
    names = [f"c{number}" for number in range(150)]
    made.execute(
        f"CREATE TABLE wide ({', '.join(f'{name} text' for name in names)})",
        f"INSERT INTO wide ({names[-1]}) SELECT seq FROM seq_1_to_20000",
    )
    with in_bulk() as started:
        wide = rows_of(batches_of(made.url, "wide"))
    assert len(started) == 1
    assert [row.pop(names[-1]) for row in wide] == [str(number) for number in range(1, 20_001)]
    assert {value for row in wide for value in row.values()} == {None}


def test_rights(made: Made) -> None:
    """Columns that the account may not read are named as without connectorx, and the others are read by it."""
    role, name = f"test_{secrets.token_hex(6)}", made.url.rpartition("/")[2]
    columns = f"SELECT '{PHONE}' AS phone, 1 AS secret, 2 AS n FROM seq_1_to_3"
    made.execute(
        *(f"CREATE TABLE {table} AS {columns}" for table in "abc"),
        f"CREATE USER {role}@'%' IDENTIFIED BY '{SECRET}'",
        f"GRANT INSERT ON {name}.a TO {role}@'%'",
        f"GRANT SELECT (phone, n) ON {name}.b TO {role}@'%'",
        f"GRANT SELECT (phone), INSERT (secret, n) ON {name}.c TO {role}@'%'",
    )
    try:
        url = made.url.replace("root@", f"{role}:{SECRET.translate(ESCAPED)}@")
        expected = scanned(url)
        assert len(reasons(expected)) == 3
        with in_bulk() as started:
            assert scanned(url) == expected
        assert len(started) == 2
    finally:
        made.execute(f"DROP USER {role}@'%'")


@pytest.mark.parametrize(
    "why", ["small", "wide", "sampled", "a query", "a view", "no connectorx", "another system", "options", "broke off"]
)
def test_when_pymysql_reads(made: Made, why: str) -> None:
    """No process is started where it would not pay, or could not be what PyMySQL is."""
    made.execute(
        "CREATE TABLE t (id int PRIMARY KEY, pad varchar(200))",
        "INSERT INTO t SELECT seq, repeat('x', 150) FROM seq_1_to_40000",
        "ANALYZE TABLE t",
        "CREATE VIEW v AS SELECT * FROM t",
    )
    query = "SELECT * FROM t" if why == "a query" else None
    settings = {"small": {"_FEWEST_ROWS": 200_000}, "wide": {"_WIDEST": 10}}.get(why, {})
    chosen = Selection(query=query) if query else Selection(tables=("v" if why == "a view" else "t",))
    with in_bulk(**settings) as started:
        (table,) = opened(made.url + ("?connect_timeout=9" if why == "options" else ""), chosen).tables()
        assert isinstance(table, MysqlTable)
        if why == "sampled":
            table.reading = Reading(sample=Sample(0.5))
        table.source.broken = {"t"} if why == "broke off" else set()
        with (
            mock.patch("importlib.util.find_spec", return_value=None if why == "no connectorx" else object()),
            mock.patch.object(sys, "platform", "darwin" if why == "another system" else "linux"),
        ):
            rows = sum(batch.num_rows for batch in table.batches())
    assert started == []
    assert rows == 40_000 or (why == "sampled" and 0 < rows < 40_000)


def test_its_session(made: Made) -> None:
    """It cannot write, and statements end by the same limits as those of PyMySQL."""
    made.execute("CREATE TABLE t AS SELECT 1 AS n")
    with in_bulk(), mock.patch.object(mysql, "rows_in_bulk", wraps=rows_in_bulk) as watched:
        batches_of(made.url, "t")
    request: Request = watched.call_args.args[0]
    assert "root" not in repr(request)
    limits = ", ".join(
        f"CAST(@@{name} + 0 AS BINARY)" for name in ("tx_read_only", "max_statement_time", "lock_wait_timeout")
    )
    asked = replace(request, sql=f"SELECT {limits}, e FROM (SELECT 0 AS e UNION ALL SELECT 0 UNION ALL SELECT 1) AS e")
    (batch,) = rows_in_bulk(asked, ["read_only", "seconds", "lock"], "here", "this")
    assert batch.to_pylist() == [{"read_only": "1", "seconds": "3600.000000", "lock": "10"}] * 2


PAD = "x" * 2000
"""What makes tables longer than what the server sends ahead (32 MB here)."""


@pytest.fixture
def long(made: Made) -> Made:
    """A table `a` of 40,000 rows in 80 MB."""
    made.execute(
        f"CREATE TABLE a AS SELECT '{PHONE}' AS phone, '{PAD}' AS pad, seq FROM seq_1_to_40000", "ANALYZE TABLE a"
    )
    return made


def test_a_lost_connection(long: Made) -> None:
    """The table is read once more, by PyMySQL; after a second loss it is named and its part stays."""
    name = long.url.rpartition("/")[2]

    def cut(progress: Progress) -> None:
        sql = f"SELECT id FROM information_schema.processlist WHERE db = '{name}' AND id <> connection_id()"
        for (number,) in long.execute(sql):
            with suppress(pymysql.MySQLError):  # it is gone
                long.execute(f"KILL {number}")

    cuts = [cut]

    def once(progress: Progress) -> None:
        for each in cuts:
            each(progress)
        cuts.clear()

    with in_bulk() as started:
        report = scanned(long.url, once)
        assert (report.complete, report.coverage.rows) == (True, 40_000)
        assert len(started) == 1
        report = scanned(long.url, cut)
    assert len(started) == 2
    assert reasons(report) == ["table a: the connection was lost"]
    assert 0 < report.coverage.rows < 40_000
    assert {finding.kind for _, finding in report.findings} == {"kr_phone_mobile"}


def test_a_server_that_is_killed() -> None:
    """Exit 3; what was read of the table at hand is there, and it is named."""
    with own_mariadb() as server:
        server.execute(f"CREATE TABLE a AS SELECT '{PHONE}' AS phone, '{PAD}' AS pad FROM seq_1_to_40000")

        @contextmanager
        def watching(quiet: bool) -> Iterator[Callable[[Progress], None]]:
            yield lambda progress: server.kill()

        with in_bulk() as started, mock.patch("pii_guard.cli.scan.watching", watching):
            done = run("scan", server.url, "--format", "json", "--full")
    assert len(started) == 1
    assert done.code == 3
    report = json.loads(done.stdout)
    assert [item["reason"] for item in report["not_examined"]] == ["table a: no server answers there"]
    assert {entry["kind"] for entry in report["fields"]} == {"kr_phone_mobile"}
    assert 0 < report["coverage"]["rows"] < 40_000
    assert PHONE not in done.output


@pytest.fixture
def certificate() -> Iterator[list[str]]:
    """Options of a server that has TLS, with a certificate that it signed itself."""
    key, name = generate_private_key(65537, 2048), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1)).sign(key, SHA256())
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + made.public_bytes(Encoding.PEM)
    with NamedTemporaryFile() as file:
        os.fchmod(file.fileno(), 0o644)  # the server has another account
        file.write(text)
        file.flush()
        yield [f"--ssl-cert={file.name}", f"--ssl-key={file.name}"]


def test_tls(certificate: list[str]) -> None:
    """Where PyMySQL's connection is encrypted, this one is: an account that may use no other is read."""
    with own_mariadb(options=certificate) as server:
        server.execute(
            "CREATE TABLE t AS SELECT seq AS n FROM seq_1_to_1000",
            "CREATE USER reader@'%' IDENTIFIED BY 'x' REQUIRE SSL",
            "GRANT SELECT ON shop.* TO reader@'%'",
        )
        with in_bulk() as started:
            table = table_of(server.url.replace("root@", "reader:x@"), "t")
            assert sum(batch.num_rows for batch in table.batches()) == 1000
        assert len(started) == 1
        assert table.source.bulk


def test_a_statement_that_takes_too_long(long: Made) -> None:
    """The reason is the server's, as PyMySQL has it."""
    role, name = f"test_{secrets.token_hex(6)}", long.url.rpartition("/")[2]
    long.execute(f"CREATE USER {role}@'%' WITH MAX_STATEMENT_TIME 0.2", f"GRANT SELECT ON {name}.* TO {role}@'%'")
    try:
        with in_bulk() as started:
            report = scanned(long.url.replace("root@", f"{role}@"), lambda progress: time.sleep(0.1))
    finally:
        long.execute(f"DROP USER {role}@'%'")
    assert len(started) == 1
    assert reasons(report) == ["table a: it took longer than the statement timeout of the server"]


PROGRAMS = {
    "at once": "",
    "with nothing in it": "pa.ipc.new_stream(out, pa.schema([('n', pa.large_binary()), ('end', pa.int32())])).close()",
    "in the middle": "w = pa.ipc.new_stream(out, batch.schema); w.write_batch(batch); out.write(b'x'); out.flush()",
    "without its last row": "w = pa.ipc.new_stream(out, batch.schema); w.write_batch(batch); w.close()",
}


@pytest.mark.parametrize("end", PROGRAMS)
def test_a_process_that_breaks_off(made: Made, tmp_path: Path, end: str) -> None:
    """PyMySQL reads the table where nothing came; else the connection counts as lost, and the next reading is by it."""
    made.execute("CREATE TABLE t AS SELECT seq AS n FROM seq_1_to_5", "ANALYZE TABLE t")
    program = tmp_path / "program.py"
    batch = "pa.record_batch([pa.array([b'1', b'2'], pa.large_binary()), pa.array([0, 0], pa.int32())], ['n', 'end'])"
    program.write_text(f"import sys\nimport pyarrow as pa\nout = sys.stdout.buffer\nbatch = {batch}\n{PROGRAMS[end]}\n")
    expected = [{"n": str(number)} for number in range(1, 6)]
    with in_bulk(_PROGRAM=program) as started:
        table = table_of(made.url, "t")
        if end in ("at once", "with nothing in it"):
            assert rows_of(list(table.batches())) == expected
        else:
            with pytest.raises(LostConnectionError, match="table t: the connection was lost"):
                list(table.batches())
        (again,) = table.source.tables()
        assert rows_of(list(again.batches())) == expected
    assert len(started) == 1


def test_values_far_from_the_average(made: Made) -> None:
    """A batch that its memory has no room for ends the process, and PyMySQL reads the table."""
    made.execute(
        "CREATE TABLE t (id int PRIMARY KEY, phone varchar(20), pad longtext)",
        f"INSERT INTO t SELECT seq, '{PHONE}', '' FROM seq_1_to_30000",
        f"INSERT INTO t SELECT seq, '{PHONE}', repeat('x', 100000) FROM seq_30001_to_30500",
        "ANALYZE TABLE t",
    )
    with in_bulk(_MEMORY=32 << 20, _BYTES=1 << 30) as started:
        report = scanned(made.url)
    assert len(started) == 1
    assert (report.complete, report.coverage.rows) == (True, 30_500)
    assert report == scanned(made.url)


def test_memory(made: Made) -> None:
    """It reads no further ahead than what it is asked for, however slow the one who asks is."""
    made.execute(
        "CREATE TABLE t (id int PRIMARY KEY, phone varchar(20), pad longtext)",
        f"INSERT INTO t SELECT seq, '{PHONE}', repeat('x', IF(seq % 1000 = 0, 100000, 1000)) FROM seq_1_to_200000",
        "ANALYZE TABLE t",
    )
    with in_bulk() as started:
        seen = most = 0
        for batch in table_of(made.url, "t").batches():
            seen += batch.num_rows
            if seen < 190_000:
                time.sleep(0.05)
                most = max(most, resident(started[0].pid))
    assert seen == 200_000
    assert 0 < most < 180 << 20, f"{most >> 20} MB"


def test_a_reading_that_is_given_up(long: Made) -> None:
    """Its process is gone when the reading is closed."""
    with in_bulk() as started:
        batches = iter(table_of(long.url, "a").batches())
        assert next(batches).num_rows
        assert started[0].poll() is None
        batches.close()  # type: ignore[attr-defined]
        assert started[0].poll() == -signal.SIGKILL


READER = """
import sys, time
from unittest import mock
from pii_guard.connectors import discover, mysql_bulk
mysql_bulk._FEWEST_ROWS = 1
(source,) = discover(sys.argv[1])
(table,) = source.tables()
for batch in table.batches():
    print(batch.num_rows, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_it_does_not_outlive_pii_guard(long: Made, how: signal.Signals) -> None:
    """Though it was stopped when pii-guard ended."""
    with subprocess.Popen(
        [sys.executable, "-c", READER, long.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as reader:
        assert reader.stdout is not None
        assert int(reader.stdout.readline())
        (child,) = children(reader.pid)
        until(lambda: state(child) == "T")
        reader.send_signal(how)
        reader.wait(60)
    until(lambda: state(child) in ("", "Z"))


def test_passwords_do_not_show(long: Made) -> None:
    """Not in the list of processes, nor in the environment."""
    role, name = f"test_{secrets.token_hex(6)}", long.url.rpartition("/")[2]
    long.execute(f"CREATE USER {role}@'%' IDENTIFIED BY '{SECRET}'", f"GRANT SELECT ON {name}.* TO {role}@'%'")
    try:
        with in_bulk() as started:
            batches = iter(table_of(long.url.replace("root@", f"{role}:{SECRET.translate(ESCAPED)}@"), "a").batches())
            assert next(batches).num_rows
            shown = [Path(f"/proc/{started[0].pid}/{file}").read_bytes() for file in ("cmdline", "environ")]
            assert sum(batch.num_rows for batch in batches)
    finally:
        long.execute(f"DROP USER {role}@'%'")
    assert all(shown)
    assert not [text for text in shown for part in ("s3cr3t", "Pa55", role) if part.encode() in text]


ESCAPED = {ord(sign): f"%{ord(sign):02X}" for sign in "/@:%#"}


def resident(process: int) -> int:
    """Bytes of memory that it has."""
    status = Path(f"/proc/{process}/status").read_text("ascii")
    return int(re.findall(r"VmRSS:\s*(\d+)", status)[0]) << 10


def children(process: int) -> list[int]:
    found = [path.read_text("ascii") for path in Path(f"/proc/{process}/task").glob("*/children")]
    return [int(number) for text in found for number in text.split()]


def state(process: int) -> str:
    """`T` of one that is stopped, `Z` of one that ended; nothing of none."""
    try:
        return Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except OSError:
        return ""


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
