"""A policy says how much each rule weighs, for a reason and until a day."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from pii_guard.check import RULES, CheckResult, Violation
from pii_guard.check.levels import levelled
from pii_guard.errors import PolicyError, UsageError
from pii_guard.model import FieldPath
from pii_guard.policy import Policy, parse
from pii_guard.reports import ScanReport

TODAY = date(2026, 11, 22)
FIELD = FieldPath("a.csv", "a", "x")
FOUND = CheckResult(
    (Violation("PG001", "a.csv", FIELD, "m", "m"), Violation("PG002", "a.csv", FIELD, "m", "m")),
    (Violation("PG006", "a.csv", FIELD, "m", "m"),),
    ScanReport(),
)


def policy(**checks: dict[str, Any]) -> Policy:
    return parse({"version": 1, "checks": checks}, "policy")


def judged(**checks: dict[str, Any]) -> tuple[list[str], list[str], list[str]]:
    result = levelled(FOUND, policy(**checks), today=TODAY)
    accepted = [item.violation.rule for item in result.accepted]
    return [item.rule for item in result.violations], [item.rule for item in result.warnings], accepted


def less(level: str, expires: date = TODAY) -> dict[str, Any]:
    return {"level": level, "reason": "we know", "expires": expires}


@pytest.mark.parametrize(
    ("checks", "violations", "warnings", "accepted"),
    [
        ({}, ["PG001", "PG002"], ["PG006"], []),
        ({"PG002": less("warning")}, ["PG001"], ["PG002", "PG006"], []),
        ({"PG002": less("ignore")}, ["PG001"], ["PG006"], ["PG002"]),
        ({"PG006": {"level": "violation"}}, ["PG001", "PG002", "PG006"], [], []),
        ({"PG006": less("ignore")}, ["PG001", "PG002"], [], []),
        ({"PG002": less("ignore", date(2026, 11, 21))}, ["PG001", "PG002"], ["PG006", "PG011"], []),
        ({"PG041": less("ignore")}, ["PG001", "PG002"], ["PG006"], []),
    ],
)
def test_levels(checks: dict[str, Any], violations: list[str], warnings: list[str], accepted: list[str]) -> None:
    """Each rule goes where its level says; one whose day is past stays where it was, and that is said."""
    assert judged(**checks) == (violations, warnings, accepted)


def test_reason_comes_with_what_is_ignored() -> None:
    (accepted,) = levelled(FOUND, policy(PG001=less("ignore")), today=TODAY).accepted
    assert (accepted.reason, accepted.expires) == ("we know", TODAY)


@pytest.mark.parametrize("level", ["warning", "ignore"])
@pytest.mark.parametrize("missing", ["reason", "expires"])
def test_to_weigh_less_needs_a_reason_and_a_day(level: str, missing: str) -> None:
    members = less(level)
    del members[missing]
    with pytest.raises(PolicyError, match="needs a reason and its last day"):
        policy(PG001=members)


def test_rules_are_named_by_their_ids() -> None:
    with pytest.raises(PolicyError, match="named by its id"):
        policy(unencrypted={"level": "violation"})
    with pytest.raises(UsageError, match="there is no such rule"):
        levelled(FOUND, policy(PG999={"level": "violation"}))
    assert "PG999" not in RULES


def test_without_a_policy_nothing_changes() -> None:
    assert levelled(FOUND, None) is FOUND
