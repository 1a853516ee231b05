"""From CSV to a protected, tagged Parquet file, into PostgreSQL and back; and what was tampered with on the way."""

from __future__ import annotations

import csv
import json
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import databases
import pyarrow.parquet as pq
from cli_runner import EXAMPLES, run

from pii_guard.audit import verify
from pii_guard.crypto.password import verify as is_password
from pii_guard.tags import read_tag, write_tag

ETL = EXAMPLES / "etl" / "etl.py"
HEADER = ["id", "name", "phone", "card", "account", "password"]


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_csv_to_parquet_to_postgresql_and_back(tmp_path: Path) -> None:
    """Names, phones, cards, accounts and passwords come back equal for the declared purpose; passwords as hashes."""
    (tmp_path / "pii-guard.toml").write_bytes((ETL.parent / "pii-guard.toml").read_bytes())
    members = [[str(value or "") for value in member] for member in runpy.run_path(str(ETL))["MEMBERS"]] * 5
    with (tmp_path / "members.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([HEADER, *members])
    assert run("keys", "init", cwd=tmp_path).code == 0
    assert run("tag", "members.csv", cwd=tmp_path).code == 0
    assert run("protect", "members.csv", "--to", "members.parquet", cwd=tmp_path).code == 0
    assert run("check", "members.parquet", cwd=tmp_path).code == 0
    with databases.postgresql(tmp_path) as made:
        into = ("protect", "members.parquet", "--to", made.url, "--to-table", "members")
        assert run(*into, cwd=tmp_path).code == 0
        stored = "".join(map(str, made.execute('SELECT * FROM "members"')))
        assert not any(value in stored for member in members for value in member[1:] if value)
        back = ("reveal", made.url, "--table", "members", "--to", "back.csv", "--purpose", "refund")
        result = run(*back, "--reason", "TICKET-7", cwd=tmp_path)
        assert (result.code, result.stderr) == (0, "")
        assert run(*back[:-1], "marketing", "--overwrite", cwd=tmp_path).code == 2
    header, *found = rows(tmp_path / "back.csv")
    assert header == HEADER
    assert [row[:-1] for row in found] == [member[:-1] for member in members]
    assert all(is_password(member[-1], row[-1]) for row, member in zip(found[:3], members[:3], strict=True))

    table = pq.read_table(tmp_path / "members.parquet")
    field = table.schema.field("phone")
    tag = read_tag(field)
    assert tag is not None
    forged = write_tag(field, replace(tag, purposes=("refund", "marketing")))
    pq.write_table(table.set_column(2, forged, table["phone"]), tmp_path / "forged.parquet")
    pq.write_table(table.set_column(2, table.schema.field("name"), table["phone"]), tmp_path / "copied.parquet")
    for name, said in (("forged.parquet", "its tag states purpose 'marketing'"), ("copied.parquet", "several fields")):
        refused = run("reveal", name, "--to", "again.csv", "--purpose", "refund", cwd=tmp_path)
        assert (refused.code, said in refused.stderr, (tmp_path / "again.csv").exists()) == (2, True, False), name

    log = tmp_path / "pii-guard-keys" / "access.jsonl"
    head = run("audit", "head", cwd=tmp_path).stdout.strip()
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert events == ["opened", "closed", "refused", "refused", "refused"]
    assert run("audit", "verify", "--head", head, cwd=tmp_path).code == 0
    whole = log.read_bytes()
    log.write_bytes(whole.replace(b"TICKET-7", b"TICKET-8"))
    assert verify(log)
    log.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    assert run("audit", "verify", "--head", head, cwd=tmp_path).code == 1


def test_the_etl_example(tmp_path: Path) -> None:
    """The script runs, twice, and gives out what its purpose allows; nothing else leaves in the clear."""
    for _ in range(2):
        done = subprocess.run([sys.executable, ETL, tmp_path], capture_output=True, text=True, timeout=120, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "protected 3 rows\nopened name and account of 3 rows for refund\n"
    header, *found = rows(tmp_path / "refund.csv")
    members = runpy.run_path(str(ETL))["MEMBERS"]
    assert header == HEADER
    assert [(row[1], row[4]) for row in found] == [(name, account or "") for _, name, _, _, account, _ in members]
    assert all(row[2].startswith("pgd1") and row[3].startswith("pgd1") for row in found)
    assert (tmp_path / "refund.csv").stat().st_mode & 0o777 == 0o600
