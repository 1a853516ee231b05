"""pii-guard scan"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pii_guard.cli.options import (
    comments_option,
    database_options,
    exclude_option,
    kinds_of,
    policy_option,
    quiet_option,
    reading_options,
    sample_option,
    scan_options,
    target_arguments,
    threads_option,
    token_options,
)
from pii_guard.cli.output import emit, say, terminal_width, watching
from pii_guard.cli.settings import by_policy, known_tokens, place_of, settings
from pii_guard.connectors.sampling import LARGE_TABLES
from pii_guard.errors import UsageError
from pii_guard.merging import joined
from pii_guard.model import Confidence, Protection
from pii_guard.render import console, scan
from pii_guard.scanner import ScanOptions, Seen, scan_targets
from pii_guard.sidecar import load_sidecar, sidecar_path

if TYPE_CHECKING:
    from pii_guard.keys.markers import KnownKeys

__all__ = ["command"]

CONFIDENCES = [str(level) for level in Confidence]


@click.command("scan")
@target_arguments
@click.option(
    "--format", "form", type=click.Choice(["table", "json", "jsonl", "csv"]), default="table", show_default=True
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the report to this file.")
@click.option("--only", metavar="KIND,...", help="Look for these kinds alone (pii-guard kinds lists them).")
@click.option("--except", "excluding", metavar="KIND,...", help="Do not look for these kinds.")
@exclude_option
@database_options
@policy_option
@comments_option
@click.option(
    "--fail-on",
    type=click.Choice(CONFIDENCES),
    help="Exit 1 on personal data in the clear of this confidence or a higher one.",
)
@click.option("--show-values", is_flag=True, help="Show values unmasked; on a terminal only.")
@threads_option
@sample_option
@click.option(
    "--full",
    is_flag=True,
    help=f"Read tables of databases in full; else, {LARGE_TABLES.rows:,} rows of each of over {LARGE_TABLES.above:,}.",
)
@reading_options
@token_options
@quiet_option
@scan_options
def command(
    targets: tuple[str, ...],
    form: str,
    output: Path | None,
    only: str | None,
    excluding: str | None,
    policy: Path | None,
    options: ScanOptions,
    fail_on: str | None,
    show_values: bool,
    full: bool,
    keys: KnownKeys | None,
    quiet: bool,
) -> int:
    """Find personal data in TARGET... (files, directories, archives, URLs of databases and stores, or - for stdin).

    Nothing is written and nothing leaves this machine. Samples are masked.

    \b
    pii-guard scan customers.csv
    pii-guard scan exports/ --format json --output report.json
    pii-guard scan exports/ --fail-on likely
    pii-guard scan postgresql://app@db.example/shop --schema 'public'
    """
    if show_values and (form != "table" or output is not None or not sys.stdout.isatty()):
        raise UsageError("--show-values shows values on a terminal only: no other --format, no --output, no pipe")
    if full and options.reading.sample is not None:
        raise UsageError("give one of --sample and --full")
    if not full:
        options = replace(options, reading=replace(options.reading, of_tables=LARGE_TABLES))
    parts, seen = [], Seen()
    with watching(quiet) as progress:
        for group in by_policy(policy, targets):
            chosen = settings(
                policy,
                place_of(group[0]),
                only=kinds_of(only),
                excluding=kinds_of(excluding),
                masked=not show_values,
            )
            part = scan_targets(
                group,
                detectors=chosen.detectors,
                options=options,
                progress=progress,
                seen=seen,
                known=known_tokens(keys, load_sidecar(sidecar_path(place_of(group[0]))) if keys else {}),
            )
            parts.append(chosen.suppressed(part))
    report = joined(parts)
    if form == "table":
        color = output is None and console.use_color(sys.stdout, os.environ)
        text = scan.table(report, width=terminal_width(), color=color)
    else:
        text = {"json": scan.json, "jsonl": scan.jsonl, "csv": scan.csv}[form](report)
    emit(text, output)
    if report.samples and options.reading.sample is None:
        tables = f"{len(report.samples)} table{'' if len(report.samples) == 1 else 's'}"
        say(f"of {tables} of more than {LARGE_TABLES.above:,} rows a sample was read; --full reads all")
    if fail_on and any(
        finding.personal
        and finding.confidence >= Confidence[fail_on.upper()]
        and finding.protection in (Protection.PLAIN, Protection.MIXED)
        for _, finding in report.findings
    ):
        return 1
    return 0 if report.complete else 3
