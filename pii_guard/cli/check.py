"""pii-guard check"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from pii_guard.check import check, exit_code, joined
from pii_guard.cli.options import (
    comments_option,
    database_options,
    policy_option,
    reading_options,
    target_arguments,
    threads_option,
)
from pii_guard.cli.output import emit, watching
from pii_guard.cli.settings import place_of, settings
from pii_guard.connectors.base import Reading
from pii_guard.connectors.database_url import shown_target
from pii_guard.connectors.selection import Selection
from pii_guard.errors import UsageError
from pii_guard.render import check as render
from pii_guard.render import console
from pii_guard.scanner import Seen, scan_targets
from pii_guard.tags import load_sidecar, sidecar_path

__all__ = ["command"]


@click.command("check")
@target_arguments
@policy_option
@comments_option
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the result to this file.")
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Leave out files and tables whose name matches; may be repeated.",
)
@database_options
@threads_option
@reading_options
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def command(
    targets: tuple[str, ...],
    policy: Path | None,
    comments: bool,
    form: str,
    output: Path | None,
    exclude: tuple[str, ...],
    schemas: tuple[str, ...],
    tables: tuple[str, ...],
    views: bool,
    query: str | None,
    threads: int,
    reading: Reading,
    quiet: bool,
) -> int:
    """Fail (exit 1) where TARGET... holds unencrypted personal data, or fields without purpose or retention class.

    Reads everything, of databases what the options choose. Shows no samples, not even masked ones.
    """
    results, seen = [], Seen()
    with watching(quiet) as progress:
        for target in dict.fromkeys(targets):  # each by the policy and the tags that are its own
            chosen, tags = settings(policy, place_of(target)), load_sidecar(sidecar_path(place_of(target)))
            report = scan_targets(
                [target],
                detectors=chosen.detectors,
                exclude=exclude,
                comments=comments,
                progress=progress,
                seen=seen,
                threads=threads,
                reading=reading,
                selection=Selection(schemas, tables, views, query),
            )
            results.append(check(report, chosen.policy, tags))
    result = joined(results)
    if not result.report.coverage.sources and result.report.complete:
        shown = ", ".join(map(shown_target, targets))
        raise UsageError(f"nothing was read under {shown}: no file there is in scope, so nothing is clean")
    if form == "json":
        text = render.json(result)
    else:
        text = render.table(result, color=output is None and console.use_color(sys.stdout, os.environ))
    emit(text, output)
    return exit_code(result)
