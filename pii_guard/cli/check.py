"""pii-guard check"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from pii_guard.check import check, exit_code
from pii_guard.cli.options import policy_option, target_arguments
from pii_guard.cli.output import emit, watching
from pii_guard.detectors import select
from pii_guard.model import Tag
from pii_guard.policy import find_policy, load
from pii_guard.render import check as render
from pii_guard.render import console
from pii_guard.scanner import scan_targets
from pii_guard.tags import load_sidecar, sidecar_path

__all__ = ["command"]


@click.command("check")
@target_arguments
@policy_option
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the result to this file.")
@click.option(
    "--exclude", multiple=True, metavar="PATTERN", help="Leave out files whose path matches; may be repeated."
)
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def command(
    targets: tuple[str, ...],
    policy: Path | None,
    form: str,
    output: Path | None,
    exclude: tuple[str, ...],
    quiet: bool,
) -> int:
    """Fail (exit 1) where TARGET... holds unencrypted personal data, or fields without purpose or retention class.

    Reads everything. Shows no samples, not even masked ones.
    """
    found = policy or find_policy(Path(targets[0]))
    rules = load(found) if found else None
    tags: dict[str, Tag] = {}
    for target in targets:
        tags |= load_sidecar(sidecar_path(Path(target)))
    with watching(quiet) as progress:
        report = scan_targets(targets, detectors=select(), exclude=exclude, progress=progress)
    result = check(report, rules, tags)
    if form == "json":
        text = render.json(result)
    else:
        text = render.table(result, color=output is None and console.use_color(sys.stdout, os.environ))
    emit(text, output)
    return exit_code(result)
