"""Hold a scan report against the rules: what breaks one, and how to mend it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from pii_guard.engine.protection import GUESSABLE, is_digest
from pii_guard.engine.verdict import ENCRYPTED
from pii_guard.model import Confidence, FieldPath, FieldReport, Finding, Protection, ScanReport, Tag
from pii_guard.scanner import joined as joined_reports
from pii_guard.tags import did_you_mean, logical_field, place_text

if TYPE_CHECKING:  # a check without a policy needs no pydantic
    from pii_guard.policy import Policy

__all__ = ["CheckResult", "Violation", "check", "exit_code", "joined"]


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule that one field breaks. Never a value, not even a masked one."""

    rule: str
    """A key of `pii_guard.check.RULES`."""
    source: str
    field: FieldPath | None
    """None where it is the source as a whole."""
    message: str
    """What was found, in one line."""
    mend: str
    """What to do, in one line: the command to run or the TOML to add."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check says. Both lists are sorted by source, field and rule; only violations fail a build."""

    violations: tuple[Violation, ...]
    warnings: tuple[Violation, ...]
    report: ScanReport


def check(
    report: ScanReport, policy: Policy | None, tags: Mapping[str, Tag], *, today: date | None = None
) -> CheckResult:
    """Hold every field of `report` against the rules, without the findings that `policy` suppresses `today`.

    `tags` are those of the sidecar file, by `TABLE.PATH`. The tag that a field carries itself comes first, then the one
    in `tags`; what it leaves open is filled from the policy's rule for the field, and where either asks for encryption,
    encryption it is.
    """
    violations, warnings = [], []
    if policy is not None:
        report, doubts = _suppressed(report, policy, today or date.today())
        warnings += doubts
    for field in report.fields:
        tag = _tag(field, policy, tags)
        broken = [*_in_the_clear(field, tag), *_undeclared(field, tag, policy)]
        violations += broken
        if not any(violation.rule == "PG001" for violation in broken):
            warnings += list(_suspected(field, tag))
        if field.tally.idle:
            message = f"comments `pii-guard: allow[...]` that allow nothing: {field.tally.idle}"
            mend = "give each a kind that its line holds, and a reason; or take it out"
            warnings.append(_violation("PG013", field, message, mend))
    for item in report.not_examined:
        mend = "make it readable, or take it out of the targets, and check again"
        warnings.append(Violation("PG010", item.source, None, f"not examined: {item.reason}", mend))
    return CheckResult(tuple(sorted(violations, key=_order)), tuple(sorted(warnings, key=_order)), report)


def _suppressed(report: ScanReport, policy: Policy, today: date) -> tuple[ScanReport, list[Violation]]:
    """The report without what is suppressed, and warnings of suppressions that no longer hold or match nothing."""
    from pii_guard.policy.suppression import expired, suppress, unused

    report = suppress(report, policy, today)
    doubts = [
        _violation(
            "PG011",
            field,
            f"its suppression has expired on {rule.expires.isoformat()}",
            "see whether its reason still holds; then set a later day, or take it out of pii-guard.toml",
        )
        for field in report.fields
        for rule in expired(field, policy, today)
    ]
    for rule in unused(report, policy):
        names = ", ".join(_toml(pattern) for pattern in rule.match)
        message = f"the suppression of {names} matches no finding"
        doubts.append(Violation("PG012", POLICY_FILE, None, message, "correct it, or take it out of the policy"))
    return report, doubts


def exit_code(result: CheckResult) -> int:
    """1 with violations; else 3 where something could not be read; else 0."""
    return 1 if result.violations else 0 if result.report.complete else 3


def _order(violation: Violation) -> tuple[str, ...]:
    field = violation.field
    return (violation.source, *((field.table, field.path) if field else ("", "")), violation.rule, violation.message)


def _tag(field: FieldReport, policy: Policy | None, tags: Mapping[str, Tag]) -> Tag:
    """What is stated about `field`; its member `field` is always set."""
    name = logical_field(field.field)
    carried = field.tag
    if carried is not None and not field.tally.tokens:  # plain data may not say that it may stay plain
        carried = replace(carried, reason=None)
    tag = carried or tags.get(name) or Tag()
    tag = replace(tag, field=tag.field or name)
    rules = [rule for rule in (policy.rule_for(name), policy.rule_for(tag.field or name)) if rule] if policy else []
    rule = next((rule for rule in rules if rule.protection == "encrypt"), rules[0] if rules else None)
    if rule is None:
        return tag
    # Encryption wins: data must not excuse itself by its own tag. `none` without a reason states nothing.
    if tag.protection == "none" and (tag.reason is None or rule.protection == "encrypt"):
        tag = replace(tag, protection=rule.protection, reason=rule.reason)
    return replace(
        tag,
        kind=tag.kind or rule.kind,
        purposes=tag.purposes or rule.purposes,
        retention=tag.retention or rule.retention,
    )


POLICY_FILE = "pii-guard.toml"
SURE = (Confidence.LIKELY, Confidence.CERTAIN)


def _personal(field: FieldReport, confidences: tuple[Confidence, ...]) -> list[Finding]:
    return [finding for finding in field.findings if finding.personal and finding.confidence in confidences]


def _plain(field: FieldReport, confidences: tuple[Confidence, ...]) -> list[Finding]:
    return [
        finding
        for finding in _personal(field, confidences)
        if finding.protection in (Protection.PLAIN, Protection.MIXED) and finding.kind != ENCRYPTED
    ]


def _exempt(tag: Tag) -> bool:
    return tag.protection == "none" and tag.reason is not None


def _in_the_clear(field: FieldReport, tag: Tag) -> Iterator[Violation]:
    found = _plain(field, SURE)
    foreign = field.tally.states.get(Protection.ENCRYPTED, 0)
    encrypted = field.tally.tokens + foreign
    examined, plain = field.tally.examined, field.tally.examined - encrypted
    half_done = encrypted > 0 and plain > 0  # a column with ciphertext in it was meant to be encrypted
    declared = tag.protection == "encrypt" and plain > 0
    if _exempt(tag) or not (found or half_done or declared):
        return
    words = []
    if half_done or (declared and not found):
        words.append(f"{plain} of {examined} values are not {'encrypted' if foreign else 'tokens'}")
    words += [
        f"{finding.kind} in the clear ({finding.confidence}, {finding.hits} of {finding.examined} values)"
        for finding in found
    ]
    if field.in_lines:
        mend = "take the values out, or allow one in its line by a comment `pii-guard: allow[KIND] REASON`"
        yield _violation("PG001", field, "; ".join(words), mend)
        return
    steps = [] if tag.protection == "encrypt" else [_rule_to_add(tag)]
    if len(field.segments) > 1:
        steps.append("flatten the table (fields inside lists or objects are not encrypted in place)")
    steps.append(_protecting(field.field.source))
    mend = ", then ".join(steps)
    yield _violation("PG001", field, "; ".join(words), mend)


def _protecting(source: str) -> str:
    """How the values of a source are encrypted: `protect` copies files."""
    if "://" in source:
        return "encrypt the values where they are written (pii_guard.Guard), or export the table and protect the file"
    if "!/" in source:
        return "unpack the archive and run `pii-guard protect FILE --to TARGET`"
    return f"run `pii-guard protect {shlex.quote(source)} --to TARGET`"


def _undeclared(field: FieldReport, tag: Tag, policy: Policy | None) -> Iterator[Violation]:
    if not (_personal(field, SURE) or tag.protection == "encrypt" or tag.kind):
        return
    if not tag.purposes:
        yield _violation("PG002", field, "nothing says why it is kept (purposes)", _rule_to_add(tag))
    if not tag.retention:
        yield _violation("PG003", field, "nothing says how long it is kept (retention class)", _rule_to_add(tag))
    if policy is None:
        return
    for purpose in tag.purposes:
        if purpose not in policy.purposes:
            yield _unknown("PG004", field, "purpose", purpose, "purposes", 'title = "..."', policy.purposes)
    if tag.retention and tag.retention not in policy.retention:
        yield _unknown(
            "PG005", field, "retention class", tag.retention, "retention", 'period = "..."', policy.retention
        )


def _suspected(field: FieldReport, tag: Tag) -> Iterator[Violation]:
    if _exempt(tag):
        return
    for finding in _personal(field, SURE):
        if finding.protection is Protection.HASHED and finding.kind in GUESSABLE and _digests(field):
            message = (
                f"{finding.kind} as unsalted digests ({_digests(field)} of {finding.examined} values): reversible, all "
                "such values can be tried"
            )
            yield _violation(
                "PG001", field, message, f"encrypt the values instead of hashing them: {_rule_to_add(tag)}"
            )
    for finding in _plain(field, (Confidence.POSSIBLE,)):
        message = f"may hold {finding.kind} (possible, {finding.hits} of {finding.examined} values)"
        yield _violation("PG001", field, message, f"if it does, {_rule_to_add(tag)}")


def _digests(field: FieldReport) -> int:
    return sum(count for state, count in field.tally.protected.items() if is_digest(state))


def _unknown(
    rule: str, field: FieldReport, what: str, name: str, table: str, member: str, known: Mapping[str, object]
) -> Violation:
    message = f"{what} {_toml(name)} is not declared in the policy{did_you_mean(name, known)}"
    mend = f"add to pii-guard.toml: [{place_text([table, name])}] {member}; or correct the rule and run `pii-guard tag`"
    return _violation(rule, field, message, mend)


def _violation(rule: str, field: FieldReport, message: str, mend: str) -> Violation:
    return Violation(rule, field.field.source, field.field, message, mend)


def _rule_to_add(tag: Tag) -> str:
    return (
        f"add to pii-guard.toml a table [[fields]] with the lines match = {_toml(tag.field or '')}, "
        'purposes = ["..."] and retention = "..."'
    )


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def joined(results: Iterable[CheckResult]) -> CheckResult:
    """Several checks in one: of targets that have policies of their own."""
    parts = tuple(results)
    return CheckResult(
        tuple(sorted((item for part in parts for item in part.violations), key=_order)),
        tuple(sorted((item for part in parts for item in part.warnings), key=_order)),
        joined_reports(part.report for part in parts),
    )
