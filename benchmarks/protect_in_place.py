"""Does encryption in place lose, double or leave plain a value when it is killed at random, and what does it cost?

    python benchmarks/protect_in_place.py [--rows 1000000] [--kills 10] [--batch N] [--seed N] [URL ...]

In each database that the URLs name, by default a PostgreSQL and a MariaDB on this machine, a table of so many rows is
made, and dropped afterwards. Two writers insert, update and delete rows of their own without a pause, and remember what
each of their rows must hold, while `pii-guard protect --in-place` is started, killed (-9) at a random moment, and
started again, at last left to end. Then every row is opened and held against what it must hold; exit 1 if not.
The rate of a run without kills and writers is printed beside that of an UPDATE that writes constants (not with
--no-constants).
"""

from __future__ import annotations

import argparse
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import adbc_driver_manager
import pyarrow as pa
import pymysql
from adbc_driver_postgresql import dbapi

from pii_guard.connectors.database_url import DatabaseUrl
from pii_guard.crypto.token import decrypt_column
from pii_guard.keys.keyring import Keyring

NAME = "pii_guard_live"
SERVERS = ["postgresql://127.0.0.1:5432/test", "mysql://root@127.0.0.1:3306/test"]
LOOKALIKE = "pgd1AQECAwR38TwjwvmlvIUNye4XriqcszQ78C7o2CwOx5XEmYJTyo81y-kZmknCKXbYLJB7MR2coMM6"
"""The token of docs/FORMAT.md: to any other key directory a plain value."""
ERRORS = (adbc_driver_manager.Error, pymysql.MySQLError, sqlite3.Error)
POLICY = f"""\
version = 1
[purposes.delivery]
title = "Delivery"
[retention.contract]
period = "P5Y"
starts = "end of the contract"
[[fields]]
match = ["{NAME}.phone", "*.{NAME}.phone"]
kind = "kr_phone_mobile"
purposes = ["delivery"]
retention = "contract"
"""
MADE = {
    "postgresql": "'010-' || lpad((n / 10000 % 10000)::text, 4, '0') || '-' || lpad((n % 10000)::text, 4, '0')",
    "mysql": "concat('010-', lpad(n DIV 10000 % 10000, 4, '0'), '-', lpad(n % 10000, 4, '0'))",
    "sqlite": "printf('010-%04d-%04d', n / 10000 % 10000, n % 10000)",
}
NUMBERS = {
    "postgresql": "generate_series(1, {}) AS s (n)",
    "mysql": "(SELECT seq AS n FROM seq_1_to_{}) AS s",
    "sqlite": "(WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {}) SELECT n FROM s) AS s",
}


def phone(number: int) -> str | None:
    """What the row `number` holds at first."""
    return f"010-{number // 10000 % 10000:04}-{number % 10000:04}" if number % 11 else None


class Session:
    """A connection that commits each statement."""

    def __init__(self, url: str) -> None:
        self.kind = {"mariadb": "mysql"}.get(url.partition("://")[0], url.partition("://")[0])
        parts = DatabaseUrl(url, self.kind)
        self._connection: Any
        if self.kind == "postgresql":
            self._connection = dbapi.connect(url, autocommit=True)
        elif self.kind == "mysql":
            self._connection = pymysql.connect(
                host=parts.host, port=parts.port or 3306, user=parts.user, database=parts.path[1:], autocommit=True
            )
        else:
            self._connection = sqlite3.connect(
                parts.path[1:], isolation_level=None, timeout=30, check_same_thread=False
            )

    def run(self, sql: str) -> list[Any]:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []

    def close(self) -> None:
        self._connection.close()


class Writer(threading.Thread):
    """Changes the rows of its own share, until plain values are refused, and knows what they must hold."""

    def __init__(self, url: str, share: int, rows: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.session = Session(url)
        self.random = random.Random(seed + share)  # noqa: S311 - to be the same in each run
        self.expected = {number: phone(number) for number in range(1, rows + 1) if number % 2 == share}
        self.mine = list(self.expected)
        self.next = rows + 1 + (rows + 1 + share) % 2
        self.refused = self.done = 0
        self.ended = threading.Event()
        self.lookalikes = True
        """Whether to write what has the form of a token: the database goes on to take that when the run is over."""

    def run(self) -> None:
        while not self.ended.is_set():
            if self.session.kind == "sqlite":  # there is one writer at a time, and nobody queues
                time.sleep(0.005)
            number, value, sql = self.act()
            try:
                self.session.run(sql)
            except ERRORS as error:
                if "pii_guard" not in str(error) and "pii-guard" not in str(error):
                    continue  # a lock that was not to be had: the statement did nothing
                self.refused += 1
                time.sleep(0.05)
                continue
            self.done += 1
            if number is not None:
                self.expected[number] = value
                if value == "gone":
                    del self.expected[number]
                    self.mine.remove(number)
                elif sql.startswith("INSERT"):
                    self.mine.append(number)
                    self.next += 2

    def act(self) -> tuple[int | None, str | None, str]:
        draw, number = self.random.random(), self.mine[self.random.randrange(min(len(self.mine), 20_000))]
        value = self.random.choice([phone(self.random.randrange(10**8)), None, "", "홍길동 010-1111-2222", LOOKALIKE])
        if value == LOOKALIKE and not self.lookalikes:
            value = "010"
        shown = "NULL" if value is None else f"'{value}'"
        if draw < 0.5:
            return number, value, f"UPDATE {NAME} SET phone = {shown} WHERE id = {number}"
        if draw < 0.7:
            return self.next, value, f"INSERT INTO {NAME} (id, phone, note) VALUES ({self.next}, {shown}, 'new')"
        if draw < 0.8:
            return number, "gone", f"DELETE FROM {NAME} WHERE id = {number}"
        return None, None, f"UPDATE {NAME} SET note = 'seen' WHERE id = {number}"


@contextmanager
def table(url: str, rows: int) -> Iterator[Session]:
    """The table, plain, and gone afterwards."""
    with closing(Session(url)) as session:
        made, numbers = MADE[session.kind], NUMBERS[session.kind].format(rows)
        for name in [NAME, *journals(session)]:
            session.run(f"DROP TABLE IF EXISTS {name}")
        session.run(f"CREATE TABLE {NAME} (id bigint PRIMARY KEY, phone varchar(600), note varchar(40))")
        session.run(
            f"INSERT INTO {NAME} SELECT n, CASE WHEN n % 11 = 0 THEN NULL ELSE {made} END, 'first' FROM {numbers}"
        )
        if session.kind == "postgresql":
            session.run(f"VACUUM ANALYZE {NAME}")
        try:
            yield session
        finally:
            session.run(f"DROP TABLE {NAME}")


def start(url: str, folder: Path, batch: int | None, throttle: int | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pii_guard", "protect", url, "--in-place", "--table", NAME, "--column", "phone"]
    command += [] if batch is None else ["--batch", str(batch)]
    command += [] if throttle is None else ["--throttle", str(throttle)]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finished(process: subprocess.Popen[bytes]) -> None:
    out, err = process.communicate()
    if process.returncode:
        sys.exit(f"protect ended with {process.returncode}:\n{out.decode()}{err.decode()}")


def journals(session: Session) -> list[str]:
    """The tables that a run makes and its end removes."""
    sql = {
        "postgresql": "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relname LIKE 'pii_guard_in_place_%'",
        "mysql": "SELECT table_name FROM information_schema.tables "
        "WHERE table_schema = DATABASE() AND table_name LIKE 'pii_guard_in_place_%'",
        "sqlite": "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'pii_guard_in_place_%'",
    }
    return [row[0] for row in session.run(sql[session.kind])]


def journal(session: Session) -> str | None:
    """What the journal of the run says, as anybody who may read it sees it."""
    with suppress(*ERRORS):  # it goes away when the run is over
        for name in journals(session):
            if not name.endswith("_at"):
                return "".join(row[0] for row in session.run(f"SELECT state FROM {name}"))
    return None


def killed(
    url: str, folder: Path, session: Session, args: argparse.Namespace, chance: random.Random, writers: list[Writer]
) -> list[str]:
    """Start and kill runs; the phases in which they were killed."""
    phases: list[str] = []
    span = args.rows / args.rate / max(args.kills, 1)
    while len(phases) < args.kills:
        before, process = journal(session), start(url, folder, args.batch, args.rate)
        while journal(session) == before and process.poll() is None:
            time.sleep(0.005)
        with suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0, 1.6 * span))
        if process.poll() is not None:
            finished(process)
            break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        for writer in writers:
            writer.lookalikes = False
        state = journal(session)
        phases.append("before the first page" if not state else state.partition('"phase": "')[2].partition('"')[0])
    return phases


def wrong(session: Session, keys: Keyring, expected: dict[int, str | None]) -> list[str]:
    """What differs from what the rows must hold."""
    rows = session.run(f"SELECT id, phone FROM {NAME}")
    tokens = pa.array([row[1] for row in rows], pa.string())
    record = keys.records()[0]
    opened = decrypt_column(
        tokens, lambda key_id: keys.decryption_key(key_id, "delivery"), pa.string(), record.field, on_error="null"
    )
    found = dict(zip([int(row[0]) for row in rows], opened.to_pylist(), strict=True))
    checks = {
        "rows are lost": len(expected.keys() - found.keys()),
        "rows came from nowhere": len(found.keys() - expected.keys()) + len(rows) - len(found),
        "values do not open": opened.null_count - tokens.null_count,
        "values are not those that were written": sum(expected[key] != found[key] for key in expected.keys() & found),
    }
    return [f"{count} {what}" for what, count in checks.items() if count]


def crash(url: str, args: argparse.Namespace) -> bool:
    """Kill and start again, among writers; whether every value came through."""
    chance = random.Random(args.seed)  # noqa: S311 - to be the same in each run
    with table(url, args.rows) as session, prepared() as folder:
        writers = [Writer(url, share, args.rows, args.seed) for share in range(2)]
        for writer in writers:
            writer.start()
        begun = time.monotonic()
        phases = killed(url, folder, session, args, chance, writers)
        finished(start(url, folder, args.batch))
        seconds = time.monotonic() - begun
        end = time.monotonic() + 10
        while not all(writer.refused for writer in writers) and time.monotonic() < end:
            time.sleep(0.05)
        for writer in writers:
            writer.ended.set()
            writer.join()
            writer.session.close()
        problems = wrong(session, Keyring.open(folder / "pii-guard-keys"), writers[0].expected | writers[1].expected)
        problems += [] if phases or not args.kills else ["no run was killed"]
        problems += [] if all(writer.refused for writer in writers) else ["plain values are taken after the cut-over"]
        print(
            f"{session.kind}: {args.rows:,} rows, killed {len(phases)} times ({', '.join(phases)}), "
            f"{sum(writer.done for writer in writers):,} writes meanwhile, {seconds:.1f} s: "
            f"{'; '.join(problems) or 'no row lost, doubled or left plain'}"
        )
    return not problems


@contextmanager
def prepared() -> Iterator[Path]:
    """A directory with a policy and keys, where the command runs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pii-guard.toml").write_text(POLICY)
        Keyring.create(folder / "pii-guard-keys")
        yield folder


def constants(url: str, args: argparse.Namespace) -> None:
    """Print what a run alone costs, and an UPDATE that writes constants."""
    with table(url, args.rows) as session:
        begun = time.monotonic()
        session.run(f"UPDATE {NAME} SET phone = '{LOOKALIKE}' WHERE phone IS NOT NULL")
        update = time.monotonic() - begun
    with table(url, args.rows) as session, prepared() as folder:
        begun = time.monotonic()
        finished(start(url, folder, args.batch))
        run = time.monotonic() - begun
    print(
        f"{session.kind}: {args.rows:,} rows: UPDATE of constants {args.rows / update:,.0f} rows/s, "
        f"in place {args.rows / run:,.0f} rows/s, {run / update:.1f} times as long"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("urls", nargs="*", default=SERVERS, metavar="URL")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rate", type=int, default=20_000, help="rows a second of runs that are to be killed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-constants", action="store_true", help="only the kills")
    args = parser.parse_args(arguments)
    good = True
    for url in args.urls:
        if not args.no_constants:
            constants(url, args)
        good &= crash(url, args)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
