"""What a policy and a sidecar file hold that the data does not need, or not any more, or that no law allows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from pii_guard.check.results import Violation
from pii_guard.errors import did_you_mean
from pii_guard.model import FieldPath, Tag
from pii_guard.naming import safe_text
from pii_guard.policy.finding import POLICY_NAME
from pii_guard.reports import ScanReport
from pii_guard.tags import logical_field

if TYPE_CHECKING:
    from pii_guard.policy import Policy

__all__ = ["against_law", "idle_rules", "lost_tags", "suppressed"]


def suppressed(
    report: ScanReport, policy: Policy, today: date, declared: Iterable[FieldPath] = ()
) -> tuple[ScanReport, list[Violation]]:
    """The report without what is suppressed, and warnings of suppressions and field rules that match nothing, or no
    longer hold. `declared`: fields that exist beside those of the report."""
    from pii_guard.policy.suppression import expired, suppress, unused

    report = suppress(report, policy, today)
    doubts = [
        Violation(
            "PG011",
            field.field.source,
            field.field,
            f"its suppression has expired on {rule.expires.isoformat()}",
            "see whether its reason still holds; then set a later day, or take it out of pii-guard.toml",
        )
        for field in report.fields
        for rule in expired(field, policy, today)
    ]
    doubts += idle_rules(report, policy, declared)
    for rule in unused(report, policy):
        names = ", ".join(json.dumps(pattern, ensure_ascii=False) for pattern in rule.match)
        message = f"the suppression of {names} matches no finding"
        doubts.append(Violation("PG012", POLICY_NAME, None, message, "correct it, or take it out of the policy"))
    return report, doubts


PERIODS = ("PG102", "PG103", "PG104")


def against_law(policy: Policy) -> Iterator[Violation]:
    """Retention classes that no law keeps, or that end before or after it says. `policy validate` looks for more."""
    from pii_guard.policy.review import review

    for defect in review(policy):
        if defect.rule in PERIODS:
            yield Violation(defect.rule, POLICY_NAME, None, f"{defect.place}: {defect.message}", defect.mend)


def idle_rules(report: ScanReport, policy: Policy, declared: Iterable[FieldPath] = ()) -> Iterator[Violation]:
    """Field rules that decide for no field, and could be of a table which was read, or of one that is nearly called so.

    `declared`: fields of migrations and models, for which rules may decide as well.
    """
    from pii_guard.policy.models import pattern_matches

    read = [field.field for field in report.fields]
    there = [*read, *declared]
    idle = policy.unmatched(map(logical_field, there))
    free = [path for path in there if not _named(path, policy)] if idle else []
    tables, others = {path.table for path in read}, {path.table for path in there}
    for rule in idle:
        names = ", ".join(json.dumps(pattern, ensure_ascii=False) for pattern in rule.match)
        heads = [(pattern[:end], pattern[end:]) for pattern in rule.match for end in _dots(pattern)]
        if any(pattern_matches(head, table) for head, _ in heads for table in tables):
            message = f"the rule of {names} decides for no field of what was read"
            yield Violation("PG037", POLICY_NAME, None, message, "correct its pattern, or take it out of the policy")
        elif any(pattern_matches(head, table) for head, _ in heads for table in others):
            continue
        elif hint := _meant(heads, free):
            message = f"the rule of {names} is of a table that was not read{hint}"
            mend = "correct its pattern; if the table is elsewhere, leave it as it is"
            yield Violation("PG037", POLICY_NAME, None, message, mend)


def _meant(heads: Iterable[tuple[str, str]], free: Sequence[FieldPath]) -> str:
    """The question for the table that a pattern, cut into table and path, probably means. It may be elsewhere, so only
    one with a field of this path that waits for a rule is asked for."""
    from pii_guard.policy.models import pattern_matches

    for head, rest in heads:
        able = {path.table for path in free if pattern_matches(rest, f".{path.path}")}
        if hint := did_you_mean(head, able):
            return hint
    return ""


def _named(path: FieldPath, policy: Policy) -> bool:
    """Whether a rule that calls the table of the field by its name decides for it."""
    rule = policy.rule_for(logical_field(path))
    return rule is not None and any(pattern.startswith(f"{path.table}.") for pattern in rule.match)


def lost_tags(report: ScanReport, tags: Mapping[str, Tag]) -> Iterator[Violation]:
    """Tags of the sidecar whose table was read whole, and has no such field."""
    broken = {item.source for item in report.not_examined}
    parts = {(sample.source, sample.table) for sample in report.samples}
    places = {(field.field.source, field.field.table) for field in report.fields}
    there = {logical_field(field.field) for field in report.fields}
    for source, table in sorted(places):
        if source in broken or (source, table) in parts:
            continue
        for name in sorted(name for name, tag in tags.items() if tag.protection != "drop"):
            inside = name.removeprefix(f"{table}.")
            nested = any(other.startswith((f"{name}.", f"{name}[")) for other in there)
            if inside != name and name not in there and not nested:
                message = "has a tag, and what was read has no such field"
                mend = "take its tag out of pii-guard.tags.toml, or give it to the field's new name"
                yield Violation("PG036", source, FieldPath(source, table, safe_text(inside)), message, mend)


def _dots(pattern: str) -> Iterator[int]:
    return (place for place, char in enumerate(pattern) if char == ".")
