"""`protect URL --in-place`: columns of a live table are encrypted where they are, whatever happens on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_runner import Result, run
from databases import CASES, Made
from policies import HEAD

from pii_guard import Keyring
from pii_guard.crypto.decryption import decrypt_column
from pii_guard.errors import ConflictError, WriteError
from pii_guard.inplace import engine
from pii_guard.inplace.dialect import Dialect
from pii_guard.inplace.engine import Engine, Pace, keys_of
from pii_guard.inplace.journal import Journal, Phase
from pii_guard.inplace.opening import opened
from pii_guard.model import Tag

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "protect_in_place.py"
LIVE = [case for case in CASES if case.id in ("postgresql", "mysql", "sqlite")]
LOOKALIKE = "pgd1AQECAwR38TwjwvmlvIUNye4XriqcszQ78C7o2CwOx5XEmYJTyo81y-kZmknCKXbYLJB7MR2coMM6"
POLICY = (
    HEAD
    + """\
[[fields]]
match = ["*.phone", "*.memo"]
purposes = ["delivery"]
retention = "contract"
"""
)
ROLES = """\
[roles.support]
title = "Support"
purposes = ["delivery"]
[roles.desk]
title = "Desk"
purposes = ["delivery"]
row_budget = 10
"""
VALUES = [*(f"010-1234-{number:04}" for number in range(40)), None, "", LOOKALIKE, "홍길동'\\", "pgd1"]
COLUMNS = ("--column", "phone", "--column", "memo")


@dataclass(frozen=True)
class Shop:
    """A database with the table `customers`, and a directory with a policy and keys."""

    kind: str
    made: Made
    folder: Path

    def protect(self, *arguments: str, columns: tuple[str, ...] = COLUMNS) -> Result:
        given = ("--in-place", "--table", "customers", *columns, *arguments)
        return run("protect", self.made.url, *given, cwd=self.folder)

    def run(self, sql: str) -> list[Any]:
        return list(self.made.execute(sql))

    def tokens(self, column: str) -> dict[tuple[int, str], str | None]:
        return {(int(a), b): text for a, b, text in self.run(f"SELECT id, part, {column} FROM customers")}

    def values(self, column: str) -> dict[tuple[int, str], str | None]:
        """Row -> its value; a value that does not open is an error."""
        tokens, keys = self.tokens(column), Keyring.open(self.folder / "pii-guard-keys")
        (field,) = {record.field for record in keys.records() if record.field.endswith(column)}
        texts = pa.array(tokens.values(), pa.string())
        opened = decrypt_column(texts, lambda key_id: keys.decryption_key(key_id, "delivery"), pa.string(), field)
        return dict(zip(tokens, opened.to_pylist(), strict=True))

    def leftovers(self) -> list[str]:
        """Tables that a run has made and not removed."""
        sql = {
            "postgresql": "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relname LIKE '{}'",
            "mysql": "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() "
            "AND table_name LIKE '{}'",
            "sqlite": "SELECT name FROM sqlite_schema WHERE name LIKE '{}'",
        }
        return [row[0] for row in self.run(sql[self.kind].format("pii_guard_in_place_%"))]


PLAIN = {(number % 7, f"p{number}"): value for number, value in enumerate(VALUES)}
MEMOS = {key: f"memo {key[1]}" for key in PLAIN}


@pytest.fixture(params=LIVE, ids=[case.id for case in LIVE])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    with request.param.make(tmp_path) as made:
        made.execute(
            "CREATE TABLE customers (id int NOT NULL, part varchar(20) NOT NULL, phone varchar(300), memo text, "
            "grade varchar(10), PRIMARY KEY (id, part))"
        )
        rows = ", ".join(
            f"({id}, '{part}', {_literal(value, request.param.id)}, 'memo {part}', 'VIP')"
            for (id, part), value in PLAIN.items()
        )
        made.execute(f"INSERT INTO customers VALUES {rows}")
        (tmp_path / "pii-guard.toml").write_text(POLICY)
        Keyring.create(tmp_path / "pii-guard-keys")
        yield Shop(request.param.id, made, tmp_path)


def _literal(value: str | None, kind: str) -> str:
    if value is None:
        return "NULL"
    text = value.replace("'", "''")
    return "'" + (text.replace("\\", "\\\\") if kind == "mysql" else text) + "'"


def test_all_values_are_encrypted_and_nothing_else_changes(shop: Shop) -> None:
    """NULL stays NULL, what looks like a token is encrypted like any other; afterwards only tokens are taken."""
    done = shop.protect("--batch", "7")
    assert done.code == 0, done.output
    assert f"{len(PLAIN)} rows, each value opened once; {len(PLAIN)} now" in done.stdout
    assert "may survive" in done.stderr
    assert shop.values("phone") == PLAIN
    assert shop.values("memo") == MEMOS
    assert shop.tokens("grade") == dict.fromkeys(PLAIN, "VIP")
    assert shop.leftovers() == []
    tags = (shop.folder / "pii-guard.tags.toml").read_text()
    assert tags.count("key_id = ") == 2
    opened = ("--table", "customers", "--to", "out.parquet", "--purpose", "delivery")
    revealed = run("reveal", shop.made.url, *opened, cwd=shop.folder)
    assert revealed.code == 0, revealed.output
    table = pq.read_table(shop.folder / "out.parquet")
    keys = [(int(id), part) for id, part in zip(table["id"].to_pylist(), table["part"].to_pylist(), strict=True)]
    assert dict(zip(keys, table["phone"].to_pylist(), strict=True)) == PLAIN
    assert dict(zip(keys, table["memo"].to_pylist(), strict=True)) == MEMOS
    with pytest.raises(Exception, match=r"pii_guard_token_phone|takes tokens of pii-guard"):
        shop.run("INSERT INTO customers VALUES (100, 'new', '010-9999-9999', NULL, NULL)")
    with pytest.raises(Exception, match=r"pii_guard_token_memo|takes tokens of pii-guard"):
        shop.run("UPDATE customers SET memo = 'plain'")
    shop.run("INSERT INTO customers SELECT 100, 'copy', phone, memo, grade FROM customers WHERE id = 0 AND part = 'p0'")
    shop.run("UPDATE customers SET grade = 'none' WHERE phone IS NULL")
    again = shop.protect()
    assert "46 rows, each value opened once; 0 now" in again.stdout, again.output


def test_a_dry_run_writes_nothing(shop: Shop) -> None:
    done = shop.protect("--dry-run")
    assert done.code == 0, done.output
    assert "phone   encrypt  44" in done.stdout
    assert shop.tokens("phone") == PLAIN
    assert shop.leftovers() == []
    assert Keyring.open(shop.folder / "pii-guard-keys").records() == ()


class _CutOffError(BaseException):
    """What ends a run in place of kill -9: nothing handles it."""


def _cut_after(statements: int, dialect: type[Dialect], patch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Let every run of the dialect end in front of this statement; how many it had is the result."""
    original, count = dialect.execute, 0

    def execute(self: Dialect, sql: str) -> list[Any]:
        nonlocal count
        count += 1
        if count == statements:
            raise _CutOffError
        return original(self, sql)

    patch.setattr(dialect, "execute", execute)
    return lambda: count


def _dialect(shop: Shop) -> type[Dialect]:
    with opened(shop.made.url, "customers", ["phone"]) as dialect:
        return type(dialect)


def test_a_run_that_is_cut_off_anywhere_is_finished_by_the_next(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """In front of each statement in turn: the next run ends it, and no value is lost, changed, or encrypted twice."""
    dialect = _dialect(shop)
    plain = {column: shop.tokens(column) for column in ("phone", "memo")}
    with monkeypatch.context() as patch:
        count = _cut_after(0, dialect, patch)
        assert shop.protect("--batch", "20").code == 0
    total, stride = count(), 7 if shop.kind == "sqlite" else 19
    assert total > 40
    for at in range(total % stride + 1, total + 1, stride):
        _restore(shop, plain)
        with monkeypatch.context() as patch:
            _cut_after(at, dialect, patch)
            with suppress(_CutOffError):
                assert shop.protect("--batch", "20").code in (0, 70)
        done = shop.protect("--batch", "20")
        assert done.code == 0, (at, done.output)
        assert shop.values("phone") == PLAIN, at
        assert shop.values("memo") == MEMOS, at
        assert shop.leftovers() == [], at


def _restore(shop: Shop, plain: dict[str, dict[tuple[int, str], str | None]]) -> None:
    """The table as it was before the first run."""
    with opened(shop.made.url, "customers", ["phone", "memo"]) as dialect:
        for column in dialect.constrained():
            dialect.begin()
            dialect.release(column)
            dialect.commit()
    rows = [
        f"UPDATE customers SET phone = {_literal(plain['phone'][key], shop.kind)}, "
        f"memo = {_literal(plain['memo'][key], shop.kind)} WHERE id = {key[0]} AND part = '{key[1]}'"
        for key in plain["phone"]
    ]
    shop.made.execute(*rows)


def _halfway(shop: Shop, phase: Phase = Phase.FILL) -> None:
    """A run that ended in the first page of a phase."""
    keys = Keyring.open(shop.folder / "pii-guard-keys")

    def cut(progress: engine.Progress) -> None:
        if progress.phase == phase:
            raise _CutOffError

    with opened(shop.made.url, "customers", ["phone", "memo"]) as dialect, suppress(_CutOffError):
        name = dialect.relation.name
        tags = {
            column: Tag(
                field=f"{name}.{column}",
                purposes=("delivery",),
                retention="contract",
                protection="encrypt",
                key_id=keys.encryption_key(f"{name}.{column}", "contract", ["delivery"]).key_id.hex(),
            )
            for column in dialect.columns
        }
        assert dialect.lock()
        run = Engine(dialect, keys_of(tags, keys), Journal(Phase.FILL, tags), pace=Pace(10), watch=cut)
        run.protect(keys, lambda tags: None)


@pytest.mark.parametrize("phase", [Phase.FILL, Phase.VERIFY])
def test_a_run_that_is_not_over_can_be_taken_back(shop: Shop, phase: Phase) -> None:
    """Every value is as it was, plain values are taken again, and an access record says who asked for it and why."""
    _halfway(shop, phase)
    assert shop.leftovers() != []
    refused = shop.protect("--rollback", "--purpose", "payment")
    assert (refused.code, "may not be opened for purpose 'payment'" in refused.stderr) == (2, True), refused.output
    done = shop.protect("--rollback", "--purpose", "delivery", "--actor", "kim")
    assert done.code == 0, done.output
    assert shop.tokens("phone") == PLAIN
    assert shop.tokens("memo") == MEMOS
    assert shop.leftovers() == []
    shop.run("INSERT INTO customers VALUES (100, 'new', '010-9999-9999', NULL, NULL)")
    records = [json.loads(line) for line in (shop.folder / "pii-guard-keys" / "access.jsonl").read_text().splitlines()]
    events = [(record["event"], record["purpose"], record["actor"]) for record in records]
    assert events[-2:] == [("opened", "delivery", "kim"), ("closed", "delivery", "kim")]
    assert events[0][:2] == ("refused", "payment")
    assert records[-1]["rows"] == (10 if phase is Phase.FILL else len(PLAIN))
    nothing = shop.protect("--rollback", "--purpose", "delivery")
    assert (nothing.code, "no run is under way" in nothing.stderr) == (2, True)


def test_a_policy_with_roles_grants_a_roll_back_by_role(shop: Shop) -> None:
    """As it grants every opening: without the role it is refused, and that is recorded."""
    (shop.folder / "pii-guard.toml").write_text(POLICY + ROLES)
    _halfway(shop)
    back = ("--rollback", "--purpose", "delivery")
    for role in ((), ("--role", "desk")):
        done = shop.protect(*back, *role)
        assert done.code == 2, done.output
    assert (shop.folder / "pii-guard-keys" / "access.jsonl").read_text().count('"event":"refused"') == 2
    assert shop.protect(*back, "--role", "support").code == 0
    assert shop.tokens("phone") == PLAIN


def test_rolling_back_can_be_cut_off_too(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a roll-back has begun, only a roll-back goes on."""
    _halfway(shop, Phase.VERIFY)
    with monkeypatch.context() as patch:
        count = _cut_after(0, _dialect(shop), patch)
        assert shop.protect("--dry-run").code == 0
        before = count()
        _cut_after(before + 12, _dialect(shop), patch)
        with suppress(_CutOffError):
            shop.protect("--rollback", "--purpose", "delivery", "--batch", "5")
    if shop.leftovers():
        other = shop.protect()
        assert (other.code, "being rolled back" in other.stderr) == (2, True), other.output
        done = shop.protect("--rollback", "--purpose", "delivery")
        assert done.code == 0, done.output
    assert shop.tokens("phone") == PLAIN
    assert shop.tokens("memo") == MEMOS


def test_other_columns_wait_for_the_run_that_is_under_way(shop: Shop) -> None:
    _halfway(shop)
    done = shop.protect(columns=("--column", "phone"))
    assert done.code == 2
    assert "a run on --column phone --column memo is under way; finish it, or roll it back, first" in done.stderr


def test_a_second_run_on_the_same_table_is_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{_dialect(shop).__module__}.LOCK_SECONDS", 0, raising=False)
    with opened(shop.made.url, "customers", ["memo"]) as other:
        assert other.lock()
        done = shop.protect()
        assert (done.code, "another run is at work on it" in done.stderr) == (2, True), done.output
    assert shop.tokens("phone") == PLAIN
    assert shop.protect().code == 0


def test_no_value_and_no_key_stands_in_a_statement(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statements reach logs. Neither what is encrypted nor the key of a row is in their text."""
    dialect, seen = _dialect(shop), []
    original = dialect.execute

    def execute(self: Dialect, sql: str) -> list[Any]:
        seen.append(sql)
        return original(self, sql)

    monkeypatch.setattr(dialect, "execute", execute)
    assert shop.protect().code == 0
    text = "\n".join(seen)
    assert len(seen) > 30
    for value in ("1234-0001", "memo p1", "'p1'", b"010-1234-0001".hex(), b"memo p1".hex()):
        assert value not in text


def test_rows_that_others_have_locked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is tried again; when the lock lasts, the run ends with a line that says so, and goes on later."""
    monkeypatch.setattr(engine, "ATTEMPTS", 2)
    dialect = _dialect(shop)
    original, failures = dialect.take, 0

    def take(self: Dialect, *arguments: Any) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise ConflictError("locked")
        original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(dialect, "take", take)
        failures = 2
        done = shop.protect()
        assert (done.code, "nothing is lost: run the same command again" in done.stderr) == (3, True), done.output
        assert shop.tokens("phone") == PLAIN
        failures = 1
        assert shop.protect().code == 0
    assert shop.values("phone") == PLAIN


WRONG = [
    (["--in-place"], "needs --table T and --column C"),
    (["--in-place", "--table", "customer", "--column", "phone"], 'did you mean "'),
    (["--in-place", "--table", "customers", "--column", "fone"], 'has no column fone; did you mean "phone"?'),
    (["--in-place", "--table", "customers", "--column", "part"], "is in the primary key"),
    (["--in-place", "--table", "customers", "--column", "grade"], "a column is encrypted in place by a rule"),
    (["--in-place", "--table", "customers", "--column", "phone", "--rollback"], "needs --purpose P"),
    (["--in-place", "--table", "customers", "--column", "phone", "--purpose", "delivery"], "needs --purpose P"),
    (["--to", "x.csv", "--table", "customers", "--column", "phone"], "are for --in-place in a database"),
]


def test_what_is_wrong_is_said_before_anything_is_written(shop: Shop) -> None:
    for arguments, message in WRONG:
        done = run("protect", shop.made.url, *arguments, cwd=shop.folder)
        assert (done.code, message in done.stderr) == (2, True), done.output
        assert shop.leftovers() == []


def test_killed_at_random_among_writers(shop: Shop) -> None:
    """Processes are killed (-9) while two writers change rows: none is lost, doubled or left plain."""
    command = [sys.executable, str(BENCHMARK), "--rows", "20000", "--kills", "3", "--batch", "500", "--no-constants"]
    done = subprocess.run([*command, shop.made.url], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no row lost, doubled or left plain" in done.stdout


def test_rows_of_a_page_are_locked_until_it_is_committed(shop: Shop) -> None:
    """What a writer changes meanwhile cannot be overwritten: it waits for the page, other rows do not."""
    timeout = {
        "postgresql": "SET lock_timeout = '300ms'",
        "mysql": "SET SESSION innodb_lock_wait_timeout = 1",
        "sqlite": "PRAGMA busy_timeout = 300",
    }
    changes = [
        f"UPDATE customers SET phone = 'mine' WHERE part = 'p{number}' AND id = {number % 7}" for number in (0, 6)
    ]
    with opened(shop.made.url, "customers", ["phone"]) as dialect:
        dialect.begin()
        dialect.prepare()
        dialect.prepare_page()
        dialect.commit()
        dialect.begin()
        dialect.take(3, None)
        with pytest.raises(Exception, match=r"lock timeout|Lock wait timeout|database is locked"):
            shop.made.execute(timeout[shop.kind], changes[0])
        if shop.kind != "sqlite":  # which has one writer at a time
            shop.made.execute(timeout[shop.kind], changes[1])
        dialect.abandon()
    shop.made.execute(timeout[shop.kind], *changes)


def test_a_value_that_does_not_read_back_ends_the_run(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a database stores otherwise than it was written, by whatever means, is not committed."""
    dialect = _dialect(shop)
    original = dialect.write

    def write(self: Dialect, rows: pa.Table) -> None:
        place = rows.schema.get_field_index("phone")
        original(self, rows.set_column(place, "phone", pa.array([None] * len(rows), pa.string())))

    with monkeypatch.context() as patch:
        patch.setattr(dialect, "write", write)
        done = shop.protect()
        assert (done.code, "does not read back" in done.stderr) == (3, True), done.output
    assert shop.tokens("phone") == PLAIN


def test_a_journal_of_another_version(shop: Shop) -> None:
    with pytest.raises(WriteError, match="of another version"):
        Journal.from_text('{"version": 2, "tags": {}}', "db")
