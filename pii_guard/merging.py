"""Several reports in one: of parts of the same tables, or of different sources."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import replace

from pii_guard.detectors import select
from pii_guard.engine.detection import Detector
from pii_guard.engine.neighbours import with_neighbours
from pii_guard.model import FieldPath
from pii_guard.reports import Coverage, FieldReport, NotExamined, Sampled, ScanReport
from pii_guard.table_scan import judged_findings

__all__ = ["joined", "merge"]


def merge(*reports: ScanReport, detectors: Sequence[Detector] | None = None) -> ScanReport:
    """Several reports in one. Fields that occur in more than one are added up and judged anew, so that partial scans of
    a table (partitions, threads, a resumed run) give the report of the whole. Associative; the order is the data's.

    `detectors` are those of the scans, by default all of pii-guard's own.
    """
    fields: dict[FieldPath, FieldReport] = {}
    partial: set[tuple[str, str]] = set()
    coverage = Coverage()
    not_examined: list[NotExamined] = []
    reasons: dict[str, int] = {}
    samples: dict[tuple[str, str], Sampled] = {}
    for part in reports:
        for report in part.fields:
            known = fields.get(report.field)
            if known is not None:
                report = replace(known, tally=known.tally + report.tally, tag=known.tag or report.tag)
                partial.add((report.field.source, report.field.table))
            fields[report.field] = report
        coverage = coverage + part.coverage
        not_examined += part.not_examined
        for sample in part.samples:
            table = sample.source, sample.table
            samples[table] = samples[table] + sample if table in samples else sample
        for reason, count in part.out_of_scope.items():
            reasons[reason] = reasons.get(reason, 0) + count
    judged = _judged(tuple(fields.values()), partial, detectors)
    return ScanReport(judged, coverage, tuple(not_examined), reasons, tuple(samples.values()))


def joined(reports: Iterable[ScanReport]) -> ScanReport:
    """Reports on different sources in one, each as it is: by its own policy, with what that suppresses."""
    parts = tuple(reports)
    whole = merge(*(replace(part, fields=()) for part in parts))
    return replace(whole, fields=tuple(report for part in parts for report in part.fields))


def _judged(
    fields: tuple[FieldReport, ...], tables: Set[tuple[str, str]], detectors: Sequence[Detector] | None
) -> tuple[FieldReport, ...]:
    """The same fields with those of `tables` (source, table) judged anew, neighbours included."""
    if not tables:
        return fields
    detectors = select() if detectors is None else detectors
    anew = {
        report.field: replace(report, findings=judged_findings(report, detectors))
        for report in fields
        if (report.field.source, report.field.table) in tables
    }
    anew = {report.field: report for report in with_neighbours(tuple(anew.values()), detectors)}
    return tuple(anew.get(report.field, report) for report in fields)
