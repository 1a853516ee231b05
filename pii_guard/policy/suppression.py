"""Findings that the policy says are none, for a reason and until a day."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from pii_guard.policy.models import Policy, Suppression
from pii_guard.reports import FieldReport, Finding, ScanReport, Suppressed
from pii_guard.tags import logical_field

__all__ = ["expired", "suppress", "unused"]


def suppress(report: ScanReport, policy: Policy | None, today: date) -> ScanReport:
    """The same report with the findings apart that a suppression of `policy` covers on the day `today`.

    Nothing else may be done with counts afterwards: reports are merged first.
    """
    if policy is None or not policy.suppressions:
        return report
    holding = [rule for rule in policy.suppressions if rule.expires >= today]
    return replace(report, fields=tuple(_divided(field, holding) for field in report.fields))


def _divided(field: FieldReport, rules: list[Suppression]) -> FieldReport:
    name = logical_field(field.field)
    found: list[Finding] = []
    apart: list[Suppressed] = []
    for finding in field.findings:
        rule = next((rule for rule in rules if rule.covers(name, finding.kind)), None)
        if rule is None:
            found.append(finding)
        else:
            apart.append(Suppressed(finding, rule.reason, rule.expires))
    return replace(field, findings=tuple(found), suppressed=(*field.suppressed, *apart)) if apart else field


def expired(field: FieldReport, policy: Policy, today: date) -> tuple[Suppression, ...]:
    """The suppressions whose day is past and that cover a finding of `field`."""
    name = logical_field(field.field)
    return tuple(
        rule
        for rule in policy.suppressions
        if rule.expires < today and any(rule.covers(name, finding.kind) for finding in field.findings)
    )


def unused(report: ScanReport, policy: Policy) -> tuple[Suppression, ...]:
    """The suppressions that match a field of `report` and cover no finding of any, suppressed or not.

    One that matches no field may belong to data that was not read this time.
    """
    fields = [logical_field(field.field) for field in report.fields]
    found = [
        (name, finding.kind)
        for name, field in zip(fields, report.fields, strict=True)
        for finding in (*field.findings, *(item.finding for item in field.suppressed))
    ]
    return tuple(
        rule
        for rule in policy.suppressions
        if any(map(rule.matches, fields)) and not any(rule.covers(*pair) for pair in found)
    )
