"""The path of a new user: the example table is scanned, tagged, protected, checked and revealed."""

from __future__ import annotations

import csv
import datetime
import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_runner import EXAMPLES, Result, run

PERSONAL = ("고객명", "email", "phone", "rrn")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The examples, and a key directory, which the commands find by their defaults."""
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    assert run("keys", "init", cwd=tmp_path).code == 0
    return tmp_path


@pytest.fixture
def protected(shop: Path) -> Path:
    done(run("tag", "examples/customers.csv", cwd=shop))
    done(run("protect", "examples/customers.csv", "--to", "examples/protected.parquet", cwd=shop))
    return shop


@pytest.fixture
def purpose(shop: Path) -> str:
    """A declared purpose that every personal field of the example is kept for."""
    policy = tomllib.loads((shop / "examples" / "pii-guard.toml").read_text(encoding="utf-8"))
    shared: set[str] = set(policy["purposes"])
    for column in PERSONAL:
        (rule,) = (rule for rule in policy["fields"] if f"customers.{column}" in rule["match"])
        shared &= set(rule["purposes"])
    return min(shared)


def done(result: Result) -> None:
    assert (result.code, result.stderr) == (0, "")


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def records(shop: Path) -> list[dict[str, Any]]:
    log = shop / "pii-guard-keys" / "access.jsonl"
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []


def test_plain_table_fails_the_build(shop: Path) -> None:
    """`check` exits 1 on the plain table, names every personal field and says what to run."""
    result = run("check", "examples/customers.csv", cwd=shop)
    assert result.code == 1
    for column in PERSONAL:
        assert f"customers.{column} violation PG001" in result.stdout
    assert "run `pii-guard protect examples/customers.csv --to TARGET`" in result.stdout


def test_protected_table_passes_the_build(protected: Path) -> None:
    """`check` exits 0 on what `protect` wrote, and no value of a personal field is in it."""
    result = run("check", "examples/protected.parquet", cwd=protected)
    assert (result.code, result.stderr) == (0, "")
    assert "0 violation(s)" in result.stdout
    header, *plain = rows(protected / "examples" / "customers.csv")
    written = (protected / "examples" / "protected.parquet").read_bytes()
    text = json.dumps(pq.read_table(protected / "examples" / "protected.parquet").to_pylist(), ensure_ascii=False)
    for column in PERSONAL:
        for row in plain:
            value = row[header.index(column)]
            assert value not in text
            assert value.encode() not in written


def test_reveal_gives_the_input_back(protected: Path, purpose: str) -> None:
    """For a declared purpose `reveal` gives back the very table, and the access is on record with its counts."""
    done(run("reveal", "examples/protected.parquet", "--to", "back.csv", "--purpose", purpose, cwd=protected))
    assert rows(protected / "back.csv") == rows(protected / "examples" / "customers.csv")
    opened, closed = records(protected)
    assert (opened["event"], closed["event"], closed["outcome"]) == ("opened", "closed", "done")
    assert opened["purpose"] == purpose
    assert opened["fields"] == sorted(f"customers.{column}" for column in PERSONAL)
    assert (closed["rows"], closed["failures"]) == (len(rows(protected / "back.csv")) - 1, 0)


def test_undeclared_purpose_is_refused_and_recorded(protected: Path) -> None:
    """For an undeclared purpose `reveal` exits 2, writes nothing, and the refusal is on record."""
    result = run("reveal", "examples/protected.parquet", "--to", "back.csv", "--purpose", "marketing", cwd=protected)
    assert (result.code, result.stdout) == (2, "")
    assert "the policy declares no purpose 'marketing'" in result.stderr
    assert not (protected / "back.csv").exists()
    (refused,) = records(protected)
    assert (refused["event"], refused["purpose"]) == ("refused", "marketing")
    assert refused["fields"] == sorted(f"customers.{column}" for column in PERSONAL)


def test_actor_and_task_are_recorded(protected: Path, purpose: str) -> None:
    """What the caller states of itself stands in the record beside what the system knows."""
    arguments = ("--purpose", purpose, "--actor", "billing-job", "--task", "monthly report", "--overwrite")
    done(run("reveal", "examples/protected.parquet", "--to", "back.parquet", *arguments, cwd=protected))
    for record in records(protected):
        assert (record["actor"], record["task"]) == ("billing-job", "monthly report")
        assert record["os_account"]


def test_protecting_twice_encrypts_once(protected: Path, purpose: str) -> None:
    """Protecting a protected table leaves its tokens as they are, and it still opens."""
    first = protected / "examples" / "protected.parquet"
    done(run("protect", first, "--to", "examples/again.parquet", cwd=protected))
    assert pq.read_table(protected / "examples" / "again.parquet").to_pylist() == pq.read_table(first).to_pylist()
    done(run("reveal", "examples/again.parquet", "--to", "back.csv", "--purpose", purpose, cwd=protected))
    assert rows(protected / "back.csv") == rows(protected / "examples" / "customers.csv")


def test_dry_run_writes_nothing(shop: Path) -> None:
    """`protect --dry-run` shows the plan and leaves no file, no key and no tag behind."""
    before = {path: path.read_bytes() for path in sorted(shop.rglob("*")) if path.is_file()}
    result = run("protect", "examples/customers.csv", "--to", "out.parquet", "--dry-run", cwd=shop)
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.count("encrypt") == len(PERSONAL)
    assert {path: path.read_bytes() for path in sorted(shop.rglob("*")) if path.is_file()} == before


def test_overwrite_is_asked_for(protected: Path) -> None:
    """A target that exists stays as it is, unless --overwrite is given."""
    target = protected / "examples" / "protected.parquet"
    before = target.read_bytes()
    arguments = ("protect", "examples/customers.csv", "--to", target)
    assert run(*arguments, cwd=protected).code == 2
    assert target.read_bytes() == before
    done(run(*arguments, "--overwrite", cwd=protected))
    assert target.read_bytes() != before


def test_tags_beside_a_file_speak_for_it(shop: Path) -> None:
    """A CSV holds no tags: its sidecar gives types and masks back, and is refused where it says more than the keys."""
    table = pa.table({"phone": ["010-1234-5678"], "born": pa.array([datetime.date(1990, 1, 2)])})
    pq.write_table(table, shop / "people.parquet")
    (shop / "pii-guard.toml").write_text(
        'version = 1\n[purposes.delivery]\ntitle = "Delivery"\n[purposes.ads]\ntitle = "Ads"\n[retention.contract]\n'
        'period = "P5Y"\n[[fields]]\nmatch = "people.*"\npurposes = ["delivery"]\nretention = "contract"\n',
        encoding="utf-8",
    )
    assert run("protect", "people.parquet", "--to", "sealed.csv", cwd=shop).code == 0
    command = ("reveal", "sealed.csv", "--overwrite", "--purpose", "delivery", "--to")
    done(run(*command, "back.parquet", cwd=shop))
    assert pq.read_table(shop / "back.parquet").equals(table)
    done(run(*command, "masked.csv", "--masked", cwd=shop))
    assert rows(shop / "masked.csv")[1][0] == "***-****-**78"
    sidecar = shop / "pii-guard.tags.toml"
    right = sidecar.read_text(encoding="utf-8")
    for wrong, said in (
        (right.replace('"delivery"', '"ads"'), "its tag states purpose 'ads'"),
        (right.replace('"people.phone"', '"people.born"'), "several fields (people.born, people.phone)"),
        (right + "junk", "is not valid TOML"),
    ):
        sidecar.write_text(wrong, encoding="utf-8")
        refused = run(*command, "none.csv", cwd=shop)
        assert (refused.code, said in refused.stderr, (shop / "none.csv").exists()) == (2, True, False), refused.stderr
