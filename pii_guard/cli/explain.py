"""pii-guard explain"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from pii_guard.cli.options import (
    comments_option,
    database_options,
    existing_targets,
    policy_option,
    quiet_option,
    reading_options,
    scan_options,
)
from pii_guard.cli.output import emit
from pii_guard.cli.settings import place_of, settings
from pii_guard.connectors.database_url import shown_target
from pii_guard.engine.detection import Detector
from pii_guard.engine.headers import names_kind
from pii_guard.errors import UsageError, did_you_mean
from pii_guard.render.explain import explain
from pii_guard.reports import FieldReport
from pii_guard.scanner import ScanOptions
from pii_guard.tags import logical_field

__all__ = ["command"]


@click.command("explain")
@click.argument("target", callback=existing_targets)
@click.option("--field", "field", required=True, metavar="FIELD", help="PATH, TABLE.PATH or SOURCE::TABLE::PATH.")
@database_options
@policy_option
@comments_option
@reading_options
@quiet_option
@scan_options
def command(
    target: str,
    field: str,
    policy: Path | None,
    options: ScanOptions,
    quiet: bool,
) -> int:
    """Say why a field of TARGET was judged as it was, with the figures.

    \b
    pii-guard explain customers.csv --field phone
    """
    chosen = settings(policy, place_of(target))
    report = chosen.scanned(target, options, quiet=quiet)
    found = [item for item in report.fields if field in _names(item)]
    if not found:
        known = [name for item in report.fields for name in _names(item)[:2]]
        raise UsageError(f"no field {field} in {shown_target(target)}{did_you_mean(field, known)}")
    emit("\n".join(explain(item, *_named(item, chosen.detectors)) for item in found))
    return 0 if report.complete else 3


def _names(report: FieldReport) -> tuple[str, str, str]:
    return report.field.path, logical_field(report.field), str(report.field)


def _named(report: FieldReport, detectors: Sequence[Detector]) -> tuple[list[str], list[str]]:
    """The kinds that the name of a field names, and those that the comment on it does."""
    names = [segment for segment in report.segments if segment not in ("[]", "{}", "{keys}")]
    named, commented = (
        [
            detector.kind.id
            for detector in detectors
            if text and names_kind(text, detector.headers, detector.column.unless)
        ]
        for text in (names[-1] if names else "", report.comment)
    )
    return named, commented
