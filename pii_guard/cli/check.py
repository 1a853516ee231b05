"""pii-guard check"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click

from pii_guard.check import CheckResult, check, exit_code, joined, placed
from pii_guard.check.baseline import BASELINE_NAME, accepted, load_baseline, save_baseline
from pii_guard.check.columns import check_columns, column_places, declared_fields
from pii_guard.check.levels import levelled
from pii_guard.check.lines import with_lines
from pii_guard.check.overdue import check_periods, counts_periods
from pii_guard.check.places import sidecar_places
from pii_guard.cli.options import (
    comments_option,
    database_options,
    exclude_option,
    policy_option,
    quiet_option,
    reading_options,
    sample_option,
    scan_options,
    target_arguments,
    threads_option,
    token_options,
)
from pii_guard.cli.output import announce, append, emit, say, watching
from pii_guard.cli.settings import Settings, known_tokens, place_of, settings
from pii_guard.connectors.base import Source
from pii_guard.connectors.database_url import shown_target
from pii_guard.errors import UsageError
from pii_guard.model import Confidence
from pii_guard.render import check as render
from pii_guard.render import console, github, gitlab, junit, sarif
from pii_guard.scanner import Progress, ScanOptions, Seen, scan_targets
from pii_guard.sidecar import load_sidecar, sidecar_path
from pii_guard.static import Repository

if TYPE_CHECKING:
    from pii_guard.keys.markers import KnownKeys

__all__ = ["command"]

Watch: TypeAlias = Callable[[Source, str], None]
FORMATS = ("table", "json", "sarif", "junit", "github", "gitlab")


@click.command("check")
@target_arguments
@policy_option
@comments_option
@click.option(
    "--fail-on",
    type=click.Choice(["possible", "likely", "certain"]),
    default="likely",
    show_default=True,
    help="Findings below this confidence are warnings.",
)
@click.option(
    "--recipient",
    metavar="ID",
    help="Fail on what this recipient or processor of the policy may not be given.",
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the result to this file.")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Fail only on what this file does not accept.",
)
@click.option(
    "--write-baseline",
    "writing",
    is_flag=True,
    help=f"Write what is found to --baseline (by default {BASELINE_NAME}), to be accepted from now on.",
)
@exclude_option
@database_options
@threads_option
@sample_option
@reading_options
@token_options
@quiet_option
@scan_options
def command(
    targets: tuple[str, ...],
    policy: Path | None,
    options: ScanOptions,
    fail_on: str,
    recipient: str | None,
    form: str,
    output: Path | None,
    baseline: Path | None,
    writing: bool,
    keys: KnownKeys | None,
    quiet: bool,
) -> int:
    """Fail (exit 1) where TARGET... holds unencrypted personal data, or fields without purpose or retention class.

    Reads everything, of databases what the options choose. With --sample nothing is ever clean: the exit code is 1 or
    3. Shows no samples of values, not even masked ones. `--format github` writes the summary of the step, too, where
    GITHUB_STEP_SUMMARY names its file.
    """
    if writing and (output is not None or form != "table"):
        raise UsageError("--write-baseline writes the baseline alone: leave out --format and --output")
    known = load_baseline(baseline) if baseline and not writing else None
    results, seen = [], Seen()
    with watching(quiet) as progress:
        for target in dict.fromkeys(targets):  # each by the policy and the tags that are its own
            chosen = settings(policy, place_of(target))
            results.append(
                _checked(
                    target,
                    chosen,
                    options,
                    fail_on=Confidence[fail_on.upper()],
                    recipient=recipient,
                    keys=keys,
                    seen=seen,
                    progress=progress,
                )
            )
    result = joined(results)
    if not result.report.coverage.sources and result.report.complete:
        shown = ", ".join(map(shown_target, targets))
        raise UsageError(f"nothing was read under {shown}: no file there is in scope, so nothing is clean")
    if writing:
        path = baseline or Path(BASELINE_NAME)
        announce(f"wrote {path}: {save_baseline(result, path)} entries")
        return 0 if result.report.complete else 3
    if known is not None:
        result = accepted(result, known)
    emit(_rendered(result, form, color=output is None and console.use_color(sys.stdout, os.environ)), output)
    if form == "github" and (summary := os.environ.get("GITHUB_STEP_SUMMARY")):
        append(github.step_summary(result), Path(summary))
    if output is not None or form not in ("table", "github"):
        say(render.summary_line(result))
    return exit_code(result)


def _checked(
    target: str,
    chosen: Settings,
    options: ScanOptions,
    *,
    fail_on: Confidence,
    recipient: str | None,
    keys: KnownKeys | None,
    seen: Seen,
    progress: Callable[[Progress], None] | None,
) -> CheckResult:
    """What is in `target`, and what is declared there, held against the rules."""
    sidecar = sidecar_path(place_of(target))
    tags, tagged = load_sidecar(sidecar), sidecar_places(sidecar)
    repository, sources = Repository(), list[tuple[Source, str]]()
    report = scan_targets(
        [target],
        detectors=chosen.detectors,
        options=options,
        progress=progress,
        seen=seen,
        watch=_watching(repository.see, sources if counts_periods(chosen.policy) else None),
        known=known_tokens(keys, tags),
    )
    declared = repository.schema()
    report = replace(report, not_examined=(*report.not_examined, *declared.not_examined))
    kinds = {detector.kind.id: detector.kind for detector in chosen.detectors}
    judged = check(
        report,
        chosen.policy,
        tags,
        fail_on=fail_on,
        recipient=recipient,
        kinds=kinds,
        declared=tuple(declared_fields(declared)),
    )
    found = [
        with_lines(judged, chosen.detectors),
        check_columns(declared, report, chosen.policy, tags, chosen.detectors, tagged=tagged),
    ]
    if chosen.policy is not None and sources:
        found.append(check_periods(report, chosen.policy, tags, sources, reading=options.reading))
    return placed(levelled(joined(found), chosen.policy), {**column_places(declared), **tagged})


def _watching(see: Watch, sources: list[tuple[Source, str]] | None) -> Watch:
    """What sees each source of the walk, and keeps it where there is a list."""

    def watch(source: Source, shown: str) -> None:
        see(source, shown)
        if sources is not None:
            sources.append((source, shown))

    return watch


def _rendered(result: CheckResult, form: str, *, color: bool) -> str:
    if form == "table":
        return render.table(result, color=color)
    forms: dict[str, Callable[[CheckResult], str]] = {
        "json": render.json,
        "sarif": sarif.sarif,
        "junit": junit.junit,
        "github": github.commands,
        "gitlab": gitlab.gitlab,
    }
    return forms[form](result)
