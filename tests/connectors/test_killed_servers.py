"""A server that dies in the middle of a scan: exit 3, and all that was read is in the report."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from unittest import mock

import pytest
from cli_runner import run
from databases import PHONE
from jsonschema import Draft202012Validator
from own_servers import OwnServer, own_mariadb, own_postgresql

from pii_guard.scanner import Progress

SCHEMA = Path(__file__).parents[2] / "docs" / "report.schema.json"


@pytest.mark.parametrize(
    ("make", "prefix", "rows"),
    [
        (own_postgresql, "public.", "SELECT '{}' AS phone, repeat('x', 300) AS pad FROM generate_series(1, 800000)"),
        (own_mariadb, "", "SELECT '{}' AS phone, repeat('x', 300) AS pad FROM seq_1_to_60000"),
    ],
    ids=["postgresql", "mariadb"],
)
def test_a_server_that_is_killed(make: Callable[[], AbstractContextManager[OwnServer]], prefix: str, rows: str) -> None:
    """The tables that were read whole are whole, the one at hand is there in part, each that is left is named."""
    with make() as server:
        server.execute(
            "CREATE TABLE a AS SELECT 'a@example.com' AS mail",
            f"CREATE TABLE b AS {rows.format(PHONE)}",
            "CREATE TABLE c AS SELECT 1 AS n",
            "CREATE TABLE d AS SELECT 1 AS n",
        )

        @contextmanager
        def watching(quiet: bool) -> Iterator[Callable[[Progress], None]]:
            yield lambda progress: server.kill() if progress.rows > 1 else None

        with mock.patch("pii_guard.cli.scan.watching", watching):
            done = run("scan", server.url, "--format", "json", "--full")
    assert done.code == 3
    report = json.loads(done.stdout)
    Draft202012Validator(json.loads(SCHEMA.read_text("utf-8"))).validate(report)
    assert report["complete"] is False
    tables = [item["reason"].partition(":")[0] for item in report["not_examined"]]
    assert tables == [f"table {prefix}{name}" for name in "bcd"]
    assert {entry["kind"] for entry in report["fields"]} == {"email", "kr_phone_mobile"}
    assert 1 < report["coverage"]["rows"] < 800_000
    assert PHONE not in done.output
