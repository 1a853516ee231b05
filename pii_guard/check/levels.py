"""How much each rule weighs in a check, as the policy says: more than by default, or less for a while."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from pii_guard.check.results import Accepted, CheckResult, Violation, joined
from pii_guard.check.rules import RULES
from pii_guard.errors import UsageError, did_you_mean
from pii_guard.policy.finding import POLICY_NAME

if TYPE_CHECKING:
    from pii_guard.policy import Policy

__all__ = ["levelled"]


def levelled(result: CheckResult, policy: Policy | None, *, today: date | None = None) -> CheckResult:
    """The same result by the `[checks.ID]` tables of `policy`: violations and warnings change places or are ignored.

    An ignored violation is among those accepted, with its reason. A table whose day is past has no effect and is
    said (PG011). What could not be read is said whatever the level of PG010. Raises UsageError for an unknown id.
    """
    if policy is None or not policy.checks:
        return result
    unknown = sorted(set(policy.checks) - set(RULES))
    if unknown:
        raise UsageError(f"{POLICY_NAME}: checks.{unknown[0]}: there is no such rule{did_you_mean(unknown[0], RULES)}")
    day = today or date.today()
    holding = {name: entry for name, entry in policy.checks.items() if entry.expires is None or entry.expires >= day}
    violations, warnings, accepted = [], list(_expired(policy, day)), list(result.accepted)
    for found, default in ((result.violations, "violation"), (result.warnings, "warning")):
        for item in found:
            entry = holding.get(item.rule)
            level = entry.level if entry else default
            if level == "violation":
                violations.append(item)
            elif level == "warning":
                warnings.append(item)
            elif default == "violation":
                accepted.append(Accepted(item, entry.reason if entry else None, entry.expires if entry else None))
    changed = replace(result, violations=tuple(violations), warnings=tuple(warnings), accepted=tuple(accepted))
    return joined([changed])


def _expired(policy: Policy, day: date) -> Iterator[Violation]:
    for name, entry in policy.checks.items():
        if entry.expires is not None and entry.expires < day:
            message = f"[checks.{name}] has expired on {entry.expires.isoformat()}: the rule weighs as much as ever"
            mend = "see whether its reason still holds; then set a later day, or take it out"
            yield Violation("PG011", POLICY_NAME, None, message, mend)
