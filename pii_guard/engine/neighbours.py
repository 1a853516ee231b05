"""What one field of a table says about another: numbers beside the names of banks are accounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pii_guard.engine.detection import Detector
from pii_guard.model import Confidence
from pii_guard.reports import FieldReport, Finding

__all__ = ["with_neighbours"]

BESIDE = {"kr_bank_account": "kr_bank_name"}
"""A kind whose shape needs support -> the kind whose column beside it gives that."""


def with_neighbours(reports: Sequence[FieldReport], detectors: Sequence[Detector]) -> tuple[FieldReport, ...]:
    """The same reports, with findings that the fields beside them support. Pure; a second call changes nothing.

    Fields stand beside each other in one table, under one parent. A column that reads as something surer stays that.
    """
    lifted = list(reports)
    for detector in detectors:
        support = BESIDE.get(detector.kind.id)
        if support is None:
            continue
        beside = {
            _place(report): report.segments[-1]
            for report in reversed(reports)
            if any(finding.kind == support for finding in report.findings)
        }
        for number, report in enumerate(lifted):
            name = beside.get(_place(report))
            if name is not None and _shaped(report, detector):
                lifted[number] = _lifted(report, detector, name)
    return tuple(lifted)


def _place(report: FieldReport) -> tuple[str, str, tuple[str, ...]]:
    return report.field.source, report.field.table, report.segments[:-1]


def _shaped(report: FieldReport, detector: Detector) -> bool:
    """Whether the column has the shape of the kind, and is nothing else as surely."""
    counted = report.tally.kinds.get(detector.kind.id)
    return (
        counted is not None
        and counted.shaped >= max(detector.column.hinted * report.tally.plain, 1)
        and not any(finding.confidence >= Confidence.LIKELY for finding in report.findings)
    )


def _lifted(report: FieldReport, detector: Detector, name: str) -> FieldReport:
    counted, kind = report.tally.kinds[detector.kind.id], detector.kind
    words = (
        f"{counted.shaped:,} of {report.tally.plain:,} values have the shape of a {kind.title}",
        f"the field {name} beside it holds names of banks",
    )
    found = Finding(
        kind.id,
        Confidence.LIKELY,
        kind.personal,
        report.tally.examined,
        counted.shaped,
        report.protection,
        counted.samples,
        words,
    )
    others = tuple(finding for finding in report.findings if finding.kind != kind.id)
    return replace(report, findings=(found, *others))
