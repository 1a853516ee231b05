"""Hold a scan report against the rules: what breaks one, and how to mend it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote

from pii_guard.check.lawful import (
    Breach,
    against_declarations,
    against_duties,
    contradicted,
    holds_passwords,
    one_way,
    receiver_items,
    told_apart,
)
from pii_guard.check.results import CheckResult, Violation, by_place
from pii_guard.check.tokens import against_tokens
from pii_guard.check.upkeep import against_law, lost_tags, suppressed
from pii_guard.connectors.database_url import database_of
from pii_guard.engine.protection import GUESSABLE, HMAC, is_digest, is_hash
from pii_guard.engine.verdict import ENCRYPTED
from pii_guard.errors import UsageError, did_you_mean
from pii_guard.model import Confidence, FieldPath, Kind, Protection, Tag
from pii_guard.reports import FieldReport, Finding, NotExamined, ScanReport
from pii_guard.tags import logical_field
from pii_guard.toml_files import place_text

if TYPE_CHECKING:  # a check without a policy needs no pydantic
    from pii_guard.policy import Policy

__all__ = [
    "advised_rule",
    "check",
    "stated_tag",
    "unexamined",
    "unknown_names",
]


def check(
    report: ScanReport,
    policy: Policy | None,
    tags: Mapping[str, Tag],
    *,
    today: date | None = None,
    fail_on: Confidence = Confidence.LIKELY,
    recipient: str | None = None,
    kinds: Mapping[str, Kind] | None = None,
    declared: Iterable[FieldPath] = (),
) -> CheckResult:
    """Hold every field of `report` against the rules, without the findings that `policy` suppresses `today`.

    `tags` are those of the sidecar file, by `TABLE.PATH`. The tag that a field carries itself comes first, then the one
    in `tags`; what it leaves open is filled from the policy's rule for the field, and where either asks for encryption,
    encryption it is. Findings below `fail_on` are warnings. `recipient`, an id of the policy, is who is to be given the
    data. `kinds`: those that the scan looked for. `declared`: fields of migrations and models, of which the policy may
    speak as well. Raises UsageError for a recipient that the policy does not have.
    """
    violations: list[Violation] = []
    warnings: list[Violation] = []
    if recipient is not None:
        if policy is None:
            raise UsageError("--recipient needs a policy that says what the recipient may be given")
        receiver_items(policy, recipient)
    if policy is not None:
        report, doubts = suppressed(report, policy, today or date.today(), declared)
        warnings += doubts
        violations += against_law(policy)
    for field in report.fields:
        tag = stated_tag(field, policy, tags)
        sure = _personal(field, fail_on)
        broken = [*_unprotected(field, tag, policy, sure), *_undeclared(field, tag, policy, sure)]
        broken += _told(field, against_tokens(field.tally))
        if policy is not None:
            broken += _told(field, against_duties(tag, sure, policy))
            broken += _told(field, against_declarations(tag, sure, policy, recipient))
        warnings += _told(field, told_apart(field, tag, kinds or {}))
        warnings += _told(field, contradicted(tag, sure))
        violations += broken
        if not any(violation.rule in ("PG001", "PG030") for violation in broken):
            warnings += list(_suspected(field, tag, sure))
        if field.tally.idle:
            message = f"comments `pii-guard: allow[...]` that allow nothing: {field.tally.idle}"
            mend = "give each a kind that its line holds, and a reason; or take it out"
            warnings.append(_violation("PG013", field, message, mend))
    warnings += lost_tags(report, tags)
    for item in report.not_examined:
        warnings.append(unexamined(item))
    return CheckResult(tuple(sorted(violations, key=by_place)), tuple(sorted(warnings, key=by_place)), report)


def unexamined(item: NotExamined) -> Violation:
    """The warning of what was tried and could not be read."""
    mend = "make it readable, or take it out of the targets, and check again"
    return Violation("PG010", item.source, None, f"not examined: {item.reason}", mend)


def stated_tag(field: FieldReport, policy: Policy | None, tags: Mapping[str, Tag]) -> Tag:
    """What is stated about `field`; its member `field` is always set."""
    name = logical_field(field.field)
    carried = field.tag
    if carried is not None and not field.tally.tokens:  # plain data may not say that it may stay plain
        carried = replace(carried, reason=None)
    tag = carried or tags.get(name) or Tag()
    tag = replace(tag, field=tag.field or name)
    rules = [rule for rule in (policy.rule_for(name), policy.rule_for(tag.field or name)) if rule] if policy else []
    rule = next((rule for rule in rules if rule.protection != "none"), rules[0] if rules else None)
    if rule is None or field.is_index:
        return tag
    # The rule wins: data must not excuse itself by its own tag. `none` without a reason states nothing.
    protection = policy.protection_of(rule, rule.kind or tag.kind) if policy else rule.protection
    if protection not in ("none", tag.protection) or (tag.protection == "none" and tag.reason is None):
        tag = replace(tag, protection=protection, reason=rule.reason)
    return replace(
        tag,
        kind=tag.kind or rule.kind,
        purposes=tag.purposes or rule.purposes,
        retention=tag.retention or rule.retention,
    )


def _personal(field: FieldReport, least: Confidence) -> list[Finding]:
    return [finding for finding in field.findings if finding.personal and finding.confidence >= least]


def _plain(findings: Iterable[Finding]) -> list[Finding]:
    return [
        finding
        for finding in findings
        if finding.protection in (Protection.PLAIN, Protection.MIXED) and finding.kind != ENCRYPTED
    ]


def _told(field: FieldReport, breaches: Iterable[Breach]) -> Iterator[Violation]:
    for breach in breaches:
        yield _violation(breach.rule, field, breach.message, breach.mend, breach.kinds)


def _unprotected(field: FieldReport, tag: Tag, policy: Policy | None, sure: Sequence[Finding]) -> Iterator[Violation]:
    if holds_passwords(tag, sure):
        return _told(field, one_way(field, tag, policy))
    return _in_the_clear(field, tag, _plain(sure))


def _in_the_clear(field: FieldReport, tag: Tag, found: Sequence[Finding]) -> Iterator[Violation]:
    foreign = field.tally.states.get(Protection.ENCRYPTED, 0)
    encrypted = field.tally.tokens + foreign
    examined, plain = field.tally.examined, field.tally.examined - encrypted
    half_done = encrypted > 0 and plain > 0  # a column with ciphertext in it was meant to be encrypted
    left, wanted = _not_done(field, tag)
    if tag.exempt or not (found or half_done or left):
        return
    words = []
    if half_done:
        words.append(f"{plain} of {examined} values are not {'encrypted' if foreign else 'tokens'}")
    elif left and not found:
        words.append(f"{left} of {examined} values are not {wanted}")
    words += [
        f"{finding.kind} in the clear ({finding.confidence}, {finding.hits} of {finding.examined} values)"
        for finding in found
    ]
    if field.in_lines:
        mend = "take the values out, or allow one in its line by a comment `pii-guard: allow[KIND] REASON`"
        yield _violation("PG001", field, "; ".join(words), mend, _kinds(found))
        return
    steps = [advised_rule(tag)] if tag.protection == "none" else []
    if len(field.segments) > 1:
        steps.append("flatten the table (fields inside lists or objects are not encrypted in place)")
    steps.append(_protecting(field, tag))
    mend = ", then ".join(steps)
    yield _violation("PG001", field, "; ".join(words), mend, _kinds(found))


def _not_done(field: FieldReport, tag: Tag) -> tuple[int, str]:
    """How many values are not in the state that the field is declared to be in, and what that is called."""
    tally = field.tally
    foreign = tally.states.get(Protection.ENCRYPTED, 0)
    done, wanted = {
        "encrypt": (tally.tokens + foreign, "encrypted" if foreign else "tokens"),
        "hmac": (tally.protected.get(HMAC, 0), "pseudonyms"),
        "password": (sum(count for state, count in tally.protected.items() if is_hash(state)), "hashed"),
        "redact": (tally.states.get(Protection.MASKED, 0), "redacted"),
        "drop": (0, "left out"),
    }.get(tag.protection, (tally.examined, ""))
    return tally.examined - done, wanted


DATABASES = (".db", ".sqlite", ".sqlite3")
"""Suffixes of files that hold tables."""
LIVE = ("postgresql", "mysql", "sqlite")
"""Databases in which columns are encrypted where they are (docs/in-place.md)."""


def _protecting(field: FieldReport, tag: Tag) -> str:
    """The command that encrypts the values of a field, or where to begin if there is none."""
    source, table = field.field.source, shlex.quote(field.field.table)
    if "!/" in source:
        return "unpack the archive and run `pii-guard protect FILE --to TARGET`"
    file = PurePosixPath(source).suffix in DATABASES and "://" not in source
    url = f"sqlite:///{quote(source, safe='/')}" if file else source
    database = database_of(url)
    if database is None:
        return f"run `pii-guard protect {shlex.quote(source)} --to TARGET`"
    command = f"pii-guard protect {shlex.quote(url)}"
    plain = tag.protection in ("encrypt", "none") and tag.mode != "deterministic" and tag.index is None
    if database.id in LIVE and plain and len(field.segments) == 1:
        return f"run `{command} --in-place --table {table} --column {shlex.quote(field.segments[0])}`"
    return f"run `{command} --table {table} --to TARGET` and take the plain table away"


def _undeclared(field: FieldReport, tag: Tag, policy: Policy | None, sure: Sequence[Finding]) -> Iterator[Violation]:
    if tag.protection in ("redact", "drop"):  # nothing of it is to be kept
        return
    if not (sure or tag.keyed or tag.kind):
        return
    kinds = _kinds(sure)
    if not tag.purposes:
        yield _violation("PG002", field, "nothing says why it is kept (purposes)", advised_rule(tag, policy), kinds)
    if not tag.retention:
        yield _violation(
            "PG003", field, "nothing says how long it is kept (retention class)", advised_rule(tag, policy), kinds
        )
    if policy is not None:
        yield from unknown_names(field, tag, policy)


def unknown_names(field: FieldReport, tag: Tag, policy: Policy) -> Iterator[Violation]:
    """The purposes and the retention class of `tag` that `policy` does not declare."""
    for purpose in tag.purposes:
        if purpose not in policy.purposes:
            yield _unknown("PG004", field, "purpose", purpose, "purposes", 'title = "..."', policy.purposes)
    if tag.retention and tag.retention not in policy.retention:
        yield _unknown(
            "PG005", field, "retention class", tag.retention, "retention", 'period = "..."', policy.retention
        )


def _suspected(field: FieldReport, tag: Tag, sure: Sequence[Finding]) -> Iterator[Violation]:
    if tag.exempt:
        return
    for finding in sure:
        if finding.protection is Protection.HASHED and finding.kind in GUESSABLE and _digests(field):
            message = (
                f"{finding.kind} as unsalted digests ({_digests(field)} of {finding.examined} values): reversible, all "
                "such values can be tried"
            )
            mend = f"encrypt the values instead of hashing them: {advised_rule(tag)}"
            yield _violation("PG006", field, message, mend, [finding.kind])
    for finding in _plain(finding for finding in _personal(field, Confidence.POSSIBLE) if finding not in sure):
        message = f"may hold {finding.kind} ({finding.confidence}, {finding.hits} of {finding.examined} values)"
        yield _violation("PG001", field, message, f"if it does, {advised_rule(tag)}", [finding.kind])


def _digests(field: FieldReport) -> int:
    return sum(count for state, count in field.tally.protected.items() if is_digest(state))


def _unknown(
    rule: str, field: FieldReport, what: str, name: str, table: str, member: str, known: Mapping[str, object]
) -> Violation:
    message = f"{what} {_toml(name)} is not declared in the policy{did_you_mean(name, known)}"
    mend = f"add to pii-guard.toml: [{place_text([table, name])}] {member}; or correct the rule and run `pii-guard tag`"
    return _violation(rule, field, message, mend)


def _violation(rule: str, field: FieldReport, message: str, mend: str, kinds: Iterable[str] = ()) -> Violation:
    return Violation(rule, field.field.source, field.field, message, mend, tuple(sorted(kinds)))


def _kinds(findings: Iterable[Finding]) -> set[str]:
    return {finding.kind for finding in findings}


def advised_rule(tag: Tag, policy: Policy | None = None) -> str:
    """The TOML to add, in words, for a field of which `tag` says all that is known: to the rule of `policy` that
    decides for it, since one behind that would not."""
    decides = policy.rule_for(tag.field or "") if policy is not None else None
    missing = [
        *(['purposes = ["..."]'] if not tag.purposes else []),
        *(['retention = "..."'] if not tag.retention else []),
    ]
    if decides is not None and missing:
        lines = " and ".join(missing)
        return f"add to the rule in pii-guard.toml with match = {_toml(list(decides.match))}: {lines}"
    return (
        f"add to pii-guard.toml a table [[fields]] with the lines match = {_toml(tag.field or '')}, "
        'purposes = ["..."] and retention = "..."'
    )


def _toml(text: str | list[str]) -> str:
    return json.dumps(text, ensure_ascii=False)
