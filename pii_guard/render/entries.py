"""A scan report as plain records, in the order and with the names of the report JSON (docs/report.schema.json)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pii_guard.engine.verdict import ENCRYPTED
from pii_guard.model import TokenState
from pii_guard.reports import FieldReport, Finding, ScanReport

__all__ = ["REPORT_VERSION", "field_entries", "not_examined", "summary"]

REPORT_VERSION = 1


def field_entries(report: ScanReport) -> list[dict[str, Any]]:
    """One record a field and kind, sorted by source, table, field and kind."""
    ordered = sorted(
        report.findings, key=lambda pair: (pair[0].field.source, pair[0].field.table, pair[0].field.path, pair[1].kind)
    )
    return [_entry(field, finding) for field, finding in ordered]


def _place(field: FieldReport) -> dict[str, Any]:
    return {"source": field.field.source, "table": field.field.table, "field": field.field.path}


def _entry(field: FieldReport, finding: Finding) -> dict[str, Any]:
    return {
        **_place(field),
        "kind": finding.kind,
        "confidence": str(finding.confidence),
        "examined": finding.examined,
        "hits": finding.hits,
        "protection": str(finding.protection),
        "personal": finding.personal,
        "samples": list(finding.samples),
        "evidence": list(finding.evidence),
        **({"lines": list(finding.lines)} if finding.lines else {}),
        **({"key": field.key} if field.key else {}),
        **({"tokens": dict(field.tally.token_states)} if finding.kind == ENCRYPTED and _told(field) else {}),
    }


def _told(field: FieldReport) -> bool:
    """Whether more is known of a field's tokens than that they look like tokens."""
    return bool(set(field.tally.token_states) - {TokenState.LOOKS})


def not_examined(report: ScanReport) -> list[dict[str, str]]:
    """What was tried and could not be read, sorted."""
    return sorted((asdict(item) for item in report.not_examined), key=lambda item: (item["source"], item["reason"]))


def summary(report: ScanReport) -> dict[str, Any]:
    """What belongs to the report as a whole. It stands in every format: nobody may take a part for the whole."""
    return {
        "version": REPORT_VERSION,
        "complete": report.complete,
        "coverage": {**asdict(report.coverage), "fields": len(report.fields)},
        "samples": _samples(report),
        "not_examined": not_examined(report),
        "out_of_scope": dict(sorted(report.out_of_scope.items())),
        "suppressed": _suppressed(report),
        "allowed": _allowed(report),
    }


def _samples(report: ScanReport) -> list[dict[str, Any]]:
    """One record a table of which a sample was read, sorted."""
    entries = ({**asdict(item), "bound": item.bound} for item in report.samples)
    return sorted(entries, key=lambda entry: (entry["source"], entry["table"]))


def _suppressed(report: ScanReport) -> list[dict[str, Any]]:
    """One record a finding that the policy suppresses, sorted as findings are."""
    entries = [
        {**_place(field), "kind": item.finding.kind, "reason": item.reason, "expires": item.expires.isoformat()}
        for field in report.fields
        for item in field.suppressed
    ]
    return sorted(entries, key=_order)


def _allowed(report: ScanReport) -> list[dict[str, Any]]:
    """One record a field and kind that comments allow, sorted likewise."""
    entries = [
        {**_place(field), "kind": kind, "values": count}
        for field in report.fields
        for kind, count in field.tally.allowed.items()
    ]
    return sorted(entries, key=_order)


def _order(entry: dict[str, Any]) -> tuple[str, str, str, str]:
    return entry["source"], entry["table"], entry["field"], entry["kind"]
