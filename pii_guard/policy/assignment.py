"""From what was found and what the policy says to tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pii_guard.engine.verdict import ENCRYPTED
from pii_guard.model import Confidence, Tag
from pii_guard.policy.models import FieldRule, Policy
from pii_guard.reports import FieldReport, Finding, ScanReport
from pii_guard.tags import logical_field

__all__ = ["assign"]


def assign(report: ScanReport, policy: Policy, known: Mapping[str, Tag]) -> dict[str, Tag]:
    """`TABLE.PATH` -> tag, for every field with personal data (at least `likely`), a rule or a tag already.

    `known` are the tags of the sidecar file; the tag that a field carries itself comes next. Both state the kind more
    surely than a finding does. Where no rule matches and no tag said so before, purposes and retention class stay
    empty: a gap is shown, not guessed. The same table in several sources has one tag for each of its fields.
    """
    reports: dict[str, list[FieldReport]] = {}
    for field in report.fields:
        reports.setdefault(logical_field(field.field), []).append(field)
    tags = {}
    for name, same in reports.items():
        governed = policy.rule_for(name) is not None
        carried = next((field.tag for field in same if field.tag and field.is_index), None)
        if carried is not None or all(field.is_index for field in same):  # by form: whatever rule its name falls under
            if carried is not None:
                tags[name] = carried
            continue
        before = _joined(known.get(name), next((_carried(field, governed) for field in same if field.tag), None))
        tag = _decide(name, policy, before, [finding for field in same for finding in field.findings])
        if tag is not None:
            tags[name] = tag
    return tags


def _carried(field: FieldReport, governed: bool) -> Tag | None:
    """What the data may say of itself: which field its tokens belong to, but not that plain values may stay plain.

    Where a rule governs the field by its present name, plain values cannot say that they are another field.
    """
    if field.tag is None or field.tally.tokens:
        return field.tag
    inside = field.tag.key_id if field.tag.protection == "encrypt-spans" else None  # tokens in texts, if they verify
    return replace(field.tag, field=None if governed else field.tag.field, key_id=inside, type=None, reason=None)


def _joined(stated: Tag | None, carried: Tag | None) -> Tag | None:
    """What the sidecar states, with the facts of an encryption, which only the data itself knows."""
    if stated is None or carried is None:
        return stated or carried
    return replace(
        stated,
        field=carried.field or stated.field,
        key_id=carried.key_id or stated.key_id,
        type=carried.type or stated.type,
        bind_row=carried.bind_row or stated.bind_row,
    )


def _decide(name: str, policy: Policy, before: Tag | None, findings: Iterable[Finding]) -> Tag | None:
    """The tag of the field `name`, or None where nothing calls for one."""
    tag = before or Tag()
    found = [finding for finding in findings if finding.personal and finding.confidence >= Confidence.LIKELY]
    rules = [rule for rule in (policy.rule_for(name), policy.rule_for(tag.field or name)) if rule is not None]
    rule = next((rule for rule in rules if rule.protection != "none"), rules[0] if rules else None)
    # values once protected keep the name that their key is bound to
    logical = (rule.joins if rule and not tag.key_id else None) or tag.field or name
    if before is None and rule is None and not found:
        return None
    named = [finding for finding in found if finding.kind != ENCRYPTED]  # that names no kind of data
    best = max(named, key=lambda finding: (finding.confidence, finding.hits, finding.kind), default=None)
    tag = replace(tag, field=logical, kind=tag.kind or (best.kind if best else None))
    if rule is None:
        return tag
    retention = rule.retention or tag.retention
    return replace(
        tag,
        kind=rule.kind or tag.kind,
        purposes=rule.purposes or tag.purposes,
        retention=retention,
        basis=policy.retention[retention].basis if retention in policy.retention else tag.basis,
        protection=policy.protection_of(rule, rule.kind or tag.kind),
        mode=rule.mode if rule.mode == "deterministic" else None,
        index=_bits(rule, tag),
        bind_row=rule.bind_row,
        reason=rule.reason,
    )


def _bits(rule: FieldRule, tag: Tag) -> str | None:
    """The bits of the blind index: as stated, else as before, since values are found by as many as they were given."""
    if rule.index is True:
        return tag.index or "auto"
    return str(rule.index) if rule.index else None
