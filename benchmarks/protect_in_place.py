"""Does encryption in place lose, double or leave plain a value when it is killed at random, and what does it cost?

    python benchmarks/protect_in_place.py [--rows 1000000] [--kills 10] [--batch N] [--seed N] [URL ...]

In each database that the URLs name, by default a PostgreSQL and a MariaDB on this machine, a table of so many rows is
made, and dropped afterwards. First `pii-guard protect --in-place` runs alone: its rate and the seconds of its phases
are printed, beside the rate of an UPDATE that writes constants (not with --no-constants). Then two writers insert,
update and delete rows of their own without a pause, and remember what each of their rows must hold, while the command
is started, killed (-9) at a random moment, and started again, at last left to end. The moments are spread over the
time of the phases: the back-fill, the last pass up to the constraint, and the verification. At the end every row is
opened and held against what it must hold; exit 1 if not.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import adbc_driver_manager
import pyarrow as pa
import pymysql
from adbc_driver_postgresql import dbapi

from pii_guard.connectors.database_url import DatabaseUrl
from pii_guard.crypto.decryption import decrypt_column
from pii_guard.keys.keyring import Keyring

NAME = "pii_guard_live"
SERVERS = ["postgresql://127.0.0.1:5432/test", "mysql://root@127.0.0.1:3306/test"]
PHASES = ("back-fill", "last pass", "verification")
LOOKALIKE = "pgd1AQECAwR38TwjwvmlvIUNye4XriqcszQ78C7o2CwOx5XEmYJTyo81y-kZmknCKXbYLJB7MR2coMM6"
"""The token of docs/FORMAT.md: to any other key directory a plain value."""
ERRORS = (adbc_driver_manager.Error, pymysql.MySQLError, sqlite3.Error)
ATTEMPTS = 5
"""How often a run is started that is over before its kill, which then comes sooner each time."""
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


def start(url: str, folder: Path, batch: int | None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pii_guard", "protect", url, "--in-place", "--table", NAME, "--column", "phone"]
    command += [] if batch is None else ["--batch", str(batch)]
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


def phase(state: str | None) -> str:
    """The phase that a journal is in; empty where there is none."""
    return json.loads(state)["phase"] if state else ""


def far(state: str | None, aim: str, rows: int) -> bool:
    """Whether a run has come to a phase, and in the back-fill past so many rows."""
    place = PHASES.index(phase(state)) - PHASES.index(aim) if state else -1
    return place > 0 or (place == 0 and (aim != PHASES[0] or json.loads(state or "")["rows"] >= rows))


def timed(process: subprocess.Popen[bytes], session: Session) -> dict[str, float]:
    """Phase -> its seconds in a run that is left alone; "" is what goes before the first."""
    begun = {"": time.monotonic()}
    while process.poll() is None:
        begun.setdefault(phase(journal(session)), time.monotonic())
        time.sleep(0.005)
    finished(process)
    ends = [*list(begun.values())[1:], time.monotonic()]
    return {name: end - start for (name, start), end in zip(begun.items(), ends, strict=True)}


def aims(kills: int, rows: int, chance: random.Random) -> list[tuple[str, int]]:
    """The phases in which runs are to be killed, half of them or more in the back-fill, there with the rows before."""
    others = (kills + 1) // 4
    counts = zip(PHASES, (kills - 2 * others, others, others), strict=True)
    return [(name, row) for name, count in counts for row in sorted(chance.randrange(rows) for _ in range(count))]


def killed(
    url: str,
    folder: Path,
    session: Session,
    args: argparse.Namespace,
    chance: random.Random,
    writers: list[Writer],
    seconds: dict[str, float],
) -> list[str]:
    """Start and kill runs at random moments of each phase, whose `seconds` are known; where they were killed."""
    phases: list[str] = []
    for aim, rows in aims(args.kills, args.rows, chance):
        span = seconds.get(aim, 0) / (args.rows / (args.batch or 5000) if aim == PHASES[0] else 1)
        for attempt in range(ATTEMPTS):
            before, process = journal(session), start(url, folder, args.batch)
            if far(before, aim, rows):
                with suppress(subprocess.TimeoutExpired):
                    process.wait(seconds[""])  # the journal may stand still: the clock says when the run is at work
            while process.poll() is None and not far(journal(session), aim, rows):
                time.sleep(0.005)
            with suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0, span / 2**attempt))
            for writer in writers:
                writer.lookalikes = False
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                phases.append(phase(journal(session)) or "the end")
                break
            finished(process)
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


def crash(url: str, args: argparse.Namespace, seconds: dict[str, float]) -> bool:
    """Kill and start again, among writers; whether every value came through. `seconds`: of each phase, undisturbed."""
    chance = random.Random(args.seed)  # noqa: S311 - to be the same in each run
    with table(url, args.rows) as session, prepared() as folder:
        writers = [Writer(url, share, args.rows, args.seed) for share in range(2)]
        for writer in writers:
            writer.start()
        begun = time.monotonic()
        phases = killed(url, folder, session, args, chance, writers, seconds)
        finished(start(url, folder, args.batch))
        took = time.monotonic() - begun
        end = time.monotonic() + 10
        while not all(writer.refused for writer in writers) and time.monotonic() < end:
            time.sleep(0.05)
        for writer in writers:
            writer.ended.set()
            writer.join()
            writer.session.close()
        problems = wrong(session, Keyring.open(folder / "pii-guard-keys"), writers[0].expected | writers[1].expected)
        problems += [] if len(phases) == args.kills else [f"{args.kills - len(phases)} kills came too late"]
        problems += [] if all(writer.refused for writer in writers) else ["plain values are taken after the cut-over"]
        print(
            f"{session.kind}: {args.rows:,} rows, killed {len(phases)} times "
            f"({', '.join(f'{times} in {name}' for name, times in Counter(phases).items())}), "
            f"{sum(writer.done for writer in writers):,} writes meanwhile, {took:.1f} s: "
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


def constants(url: str, args: argparse.Namespace) -> float:
    """Seconds of an UPDATE that writes constants."""
    with table(url, args.rows) as session:
        begun = time.monotonic()
        session.run(f"UPDATE {NAME} SET phone = '{LOOKALIKE}' WHERE phone IS NOT NULL")
        return time.monotonic() - begun


def alone(url: str, args: argparse.Namespace) -> dict[str, float]:
    """Phase -> its seconds in a run without kills and writers."""
    with table(url, args.rows) as session, prepared() as folder:
        return timed(start(url, folder, args.batch), session)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("urls", nargs="*", default=SERVERS, metavar="URL")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-constants", action="store_true", help="no UPDATE to compare with")
    args = parser.parse_args(arguments)
    good = True
    for url in args.urls:
        update = None if args.no_constants else constants(url, args)
        seconds = alone(url, args)
        run = sum(seconds.values())
        phases = ", ".join(f"{seconds.get(name, 0):.1f} s {name}" for name in PHASES)
        shown = f"{url.partition(':')[0]}: {args.rows:,} rows, in place {args.rows / run:,.0f} rows/s ({phases})"
        if update is not None:
            shown += f", {run / update:.1f} times as long as an UPDATE of constants ({args.rows / update:,.0f} rows/s)"
        print(shown, flush=True)
        good &= crash(url, args, seconds)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
