"""Servers that fail in the middle of a run: it ends with one line and exit code 3, and the next run finishes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from cli_runner import Result, run
from own_servers import OwnServer, own_mariadb, own_postgresql
from policies import PHONES_ENCRYPTED

import pii_guard
from pii_guard import Keyring
from pii_guard.crypto.decryption import decrypt_column
from pii_guard.inplace.engine import Progress

ROWS = 20_000
PHONES = [f"010-{number // 10_000:04}-{number % 10_000:04}" for number in range(ROWS)]

Make = Callable[..., AbstractContextManager[OwnServer]]


@dataclass(frozen=True)
class Case:
    """A server with a table of so many rows on a disk that is too small until the table `ballast` is dropped."""

    make: Make
    megabytes: int
    statements: tuple[str, ...]
    end: str
    """What ends the connection of a run."""


POSTGRESQL = Case(
    own_postgresql,
    16,
    (
        "CREATE TABLESPACE small LOCATION '{disk}'",
        "CREATE TABLE customers (id int PRIMARY KEY, phone text) TABLESPACE small",
        "INSERT INTO customers SELECT n, '010-' || lpad((n / 10000)::text, 4, '0') || '-' || "
        "lpad((n % 10000)::text, 4, '0') FROM generate_series(0, 19999) AS s (n)",
        "CREATE TABLE ballast (t text) TABLESPACE small",
        "ALTER TABLE ballast ALTER COLUMN t SET STORAGE PLAIN",
        "INSERT INTO ballast SELECT repeat('x', 7000) FROM generate_series(1, 1750)",
    ),
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pii-guard'",
)
MARIADB = Case(
    own_mariadb,
    24,  # the server makes files larger by 4 to 8 MB at a time
    (
        "CREATE TABLE customers (id int PRIMARY KEY, phone varchar(200)) DATA DIRECTORY = '{disk}'",
        "INSERT INTO customers SELECT seq, concat('010-', lpad(seq DIV 10000, 4, '0'), '-', "
        "lpad(seq MOD 10000, 4, '0')) FROM seq_0_to_19999",
        "CREATE TABLE ballast (id int PRIMARY KEY, t varchar(7000)) CHARSET latin1 DATA DIRECTORY = '{disk}'",
        "INSERT INTO ballast SELECT seq, repeat('x', 7000) FROM seq_1_to_400",
    ),
    "BEGIN NOT ATOMIC DECLARE n bigint; SELECT id INTO n FROM information_schema.processlist "
    "WHERE db = 'shop' AND id <> connection_id(); KILL n; END",
)


def protect(server: OwnServer, folder: Path) -> Result:
    return run(
        *("protect", server.url, "--in-place", "--table", "customers", "--column", "phone", "--batch", "1000"),
        cwd=folder,
    )


def plain(server: OwnServer) -> int:
    """How many values are plain."""
    phones = pii_guard.read(server.url, table="customers").read_all()["phone"].to_pylist()
    assert len(phones) == ROWS
    return sum(not phone.startswith("pgd1") for phone in phones)


def opened(server: OwnServer, folder: Path) -> list[str | None]:
    """All values, in the order of their rows; one that does not open is an error."""
    rows = pii_guard.read(server.url, table="customers").read_all().sort_by("id")
    keys = Keyring.open(folder / "pii-guard-keys")
    (record,) = keys.records()
    phones = rows["phone"].combine_chunks().cast(pa.string())
    values = decrypt_column(phones, lambda key: keys.decryption_key(key, "delivery"), pa.string(), record.field)
    return list(values.to_pylist())


@pytest.fixture(params=[POSTGRESQL, MARIADB], ids=["postgresql", "mariadb"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    (tmp_path / "pii-guard.toml").write_text(PHONES_ENCRYPTED)
    Keyring.create(tmp_path / "pii-guard-keys")
    given: Case = request.param
    return given


def finished(server: OwnServer, folder: Path) -> None:
    """The next run ends the one that failed; every value opens to what it was."""
    done = protect(server, folder)
    assert done.code == 0, done.output
    assert "goes on with a run that is under way" in done.stdout
    assert f"{ROWS:,} rows, each value opened once" in done.stdout
    assert opened(server, folder) == PHONES


def test_a_full_disk(case: Case, tmp_path: Path) -> None:
    """What does not fit is rolled back, the pages before it stay; with room again the run goes on."""
    with case.make(case.megabytes) as server:
        server.execute(*(statement.format(disk=server.disk) for statement in case.statements))
        done = protect(server, tmp_path)
        assert done.code == 3, done.output
        assert re.search(r"customers: the (table, or the )?disk of the server,? is full$", done.stderr.rstrip()), (
            done.output
        )
        assert "the run is not over: the same command goes on with it" in done.stderr
        assert "010-" not in done.output
        assert plain(server) < ROWS
        server.execute("DROP TABLE ballast")
        finished(server, tmp_path)


def test_a_connection_that_is_ended(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by an administrator, or a server that goes down."""
    with case.make() as server:
        server.execute(*(statement.format(disk=server.disk) for statement in case.statements))

        @contextmanager
        def watching(quiet: bool) -> Iterator[Callable[[Progress], None]]:
            yield lambda progress: server.execute(case.end) if progress.rows == 5000 else None

        with monkeypatch.context() as patch:
            patch.setattr("pii_guard.cli.in_place._watching", watching)
            done = protect(server, tmp_path)
        assert done.code == 3, done.output
        assert done.stderr.splitlines()[-1].endswith("customers: the connection was lost"), done.output
        assert plain(server) == ROWS - 5000
        finished(server, tmp_path)
