"""Keys whose data may not be kept any longer are named."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from cli_runner import run
from policies import HEAD

from pii_guard.keys.destruction import destroy
from pii_guard.keys.keyring import Keyring
from pii_guard.keys.selection import Selection
from pii_guard.policy import load
from pii_guard.policy.expiry import expired, last_day

POLICY = (
    HEAD
    + """\
[retention.short]
period = "P90D"
"""
)


@pytest.mark.parametrize(
    ("period", "day"),
    [
        ("2024", date(2024, 12, 31)),
        ("2024-Q1", date(2024, 3, 31)),
        ("2024-Q4", date(2024, 12, 31)),
        ("2024-02", date(2024, 2, 29)),
        ("2025-02", date(2025, 2, 28)),
        ("2024-02-03", date(2024, 2, 3)),
    ],
)
def test_last_day(period: str, day: date) -> None:
    assert last_day(period) == day


def test_what_is_over_is_named_from_the_day_on(tmp_path: Path) -> None:
    """A quarter whose retention ends today is over, one that ends tomorrow is not; destroyed keys are not named, and
    neither are keys without a period or of a class that the policy does not have."""
    (tmp_path / "pii-guard.toml").write_text(POLICY)
    policy, ring = load(tmp_path / "pii-guard.toml"), Keyring.create(tmp_path / "ring")
    for retention, period in (("contract", "2019-Q3"), ("short", "2024-05-01"), ("contract", ""), ("other", "2001")):
        ring.encryption_key("a.b", retention, ["delivery"], period=period)

    def over(today: date) -> list[tuple[str, str]]:
        return [(retention, period) for retention, period, _ in expired(ring.records(), policy, today)]

    assert over(date(2024, 7, 30)) == []
    assert over(date(2024, 7, 31)) == [("short", "2024-05-01")]
    assert over(date(2024, 9, 30)) == [("short", "2024-05-01")]
    assert over(date(2024, 10, 1)) == [("contract", "2019-Q3"), ("short", "2024-05-01")]
    said = run("keys", "doctor", "--keys", "ring", cwd=tmp_path).stdout
    assert "note  period over: contract 2019-Q3, on 2024-10-01; pii-guard keys destroy --retention contract" in said
    destroy(ring, Selection(retention="short"))
    assert over(date(2024, 10, 1)) == [("contract", "2019-Q3")]
