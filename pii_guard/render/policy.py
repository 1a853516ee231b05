"""What a policy says, and what is wrong with it, for terminals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pii_guard.render import escape
from pii_guard.render.privacy_policy import classes_in_use
from pii_guard.render.tags import columns

if TYPE_CHECKING:
    from pii_guard.policy import Policy
    from pii_guard.policy.review import Defect

__all__ = ["overview", "review"]


def overview(policy: Policy, *, everything: bool = False) -> str:
    """What the policy says, a line each: purposes, retention classes, rules, duties. Without `everything` the classes
    of packs that nothing names are counted only.
    """
    shown = list(policy.retention.items()) if everything else classes_in_use(policy, {})
    parts = [
        columns(
            [
                ("purpose", "title", "basis"),
                *((name, entry.title, entry.basis or "-") for name, entry in policy.purposes.items()),
            ]
        ),
        columns(
            [
                ("retention", "period", "term", "basis"),
                *(
                    (name, entry.period, entry.term or "-", entry.basis or entry.statute or "-")
                    for name, entry in shown
                ),
            ]
        ),
        columns(
            [
                ("fields", "purposes", "retention", "protection"),
                *(
                    (", ".join(rule.match), ", ".join(rule.purposes) or "-", rule.retention or "-", rule.protection)
                    for rule in policy.fields
                ),
            ]
        ),
        columns(
            [
                ("duty", "demand", "kinds", "basis"),
                *(
                    (
                        name,
                        f"{duty.demand} on {duty.place}s" if duty.place else duty.demand,
                        ", ".join(duty.kinds) or "all",
                        duty.basis,
                    )
                    for name, duty in policy.duties.items()
                ),
            ]
        ),
    ]
    hidden = len(policy.retention) - len(shown)
    more = f"\n{hidden} more retention classes come with what it extends (--all)\n" if hidden else ""
    return "\n".join(part for part in parts if part.count("\n") > 1) + more


def review(defects: Sequence[Defect], names: Mapping[str, str]) -> str:
    """The defects of a policy, and how to mend each; `names` are those of the rules."""
    lines = []
    for defect in defects:
        lines += [
            escape.terminal(f"{defect.place} {defect.rule} {names[defect.rule]}"),
            f"    {escape.terminal(defect.message)}",
            f"    mend: {escape.terminal(defect.mend)}",
        ]
    return "".join(f"{line}\n" for line in lines)
