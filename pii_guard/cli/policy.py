"""pii-guard policy"""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from pii_guard.cli.options import existing_targets, policy_option, quiet_option, reading_options
from pii_guard.cli.output import announce, emit, say, watching
from pii_guard.cli.settings import existing_policy, place_of
from pii_guard.connectors.base import Reading
from pii_guard.connectors.database_url import shown_target
from pii_guard.sidecar import load_sidecar, sidecar_path

__all__ = ["command"]


@click.group("policy")
def command() -> None:
    """Write, check and show the policy: why fields are kept, how long, who may have them."""


@command.command("init")
@click.argument("target", callback=existing_targets)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to this file.  [default: pii-guard.toml beside TARGET]",
)
@reading_options
@quiet_option
def init(target: str, output: Path | None, reading: Reading, quiet: bool) -> int:
    """Scan TARGET and draft a policy for it.

    The draft names the fields with personal data; purposes and retention classes are left for you to state. An existing
    file is never overwritten.
    """
    from pii_guard.policy.draft import draft
    from pii_guard.policy.finding import POLICY_NAME

    place = place_of(target)
    path = output or (place if place.is_dir() else place.parent) / POLICY_NAME
    if os.path.lexists(path):
        raise click.UsageError(f"{path} exists already; nothing was changed. Name another file with --output")
    from pii_guard.detectors import select
    from pii_guard.scanner import ScanOptions, scan_targets

    with watching(quiet) as progress:
        report = scan_targets([target], detectors=select(), options=ScanOptions(reading=reading), progress=progress)
    emit(draft(report), path)
    announce(f"wrote {path}; say in it why each field is kept and how long, then run `pii-guard policy validate`")
    for item in report.not_examined:
        say(f"{item.source}: not examined: {item.reason}")
    return 0 if report.complete else 3


@command.command("validate")
@policy_option
def validate(policy: Path | None) -> int:
    """Hold the policy against the law that it extends, and against itself; exit 1 where it has defects.

    A file that is written wrongly is named with all its mistakes, and the exit code is 2.
    """
    from pii_guard.check.rules import RULES
    from pii_guard.policy.review import review
    from pii_guard.render import policy as render

    defects = review(existing_policy(policy, Path.cwd()))
    emit(render.review(defects, {name: rule.name for name, rule in RULES.items()}))
    announce(f"{len(defects)} defect(s)" if defects else "0 defects")
    return 1 if defects else 0


@command.command("show")
@policy_option
@click.option("--all", "everything", is_flag=True, help="With the retention classes that come with what it extends.")
def show(policy: Path | None, everything: bool) -> int:
    """Show the policy with what it extends, a line an entry."""
    from pii_guard.render import policy as render

    emit(render.overview(existing_policy(policy, Path.cwd()), everything=everything))
    return 0


@command.command("render")
@policy_option
@click.option("--format", "form", type=click.Choice(["markdown", "html"]), default="markdown", show_default=True)
@click.option("--language", type=click.Choice(["en", "ko"]), default="en", show_default=True, help="Of the headings.")
@click.option(
    "--tags",
    "target",
    metavar="TARGET",
    help="Add the record of processing: what the tags of this file or folder say of each field.",
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the result to this file.")
def render_(policy: Path | None, form: str, language: str, target: str | None, output: Path | None) -> int:
    """Write the tables of a privacy policy: purposes, items, retention, third parties, processors, rights, measures."""
    from pii_guard.render import privacy_policy as render

    rules = existing_policy(policy, Path.cwd())
    tags = {}
    if target is not None:
        path = sidecar_path(place_of(target))
        if not path.exists():
            raise click.UsageError(f"{path}: no tags are there; run `pii-guard tag {shown_target(target)}` first")
        tags = load_sidecar(path)
    emit((render.html if form == "html" else render.markdown)(rules, tags, language), output)
    return 0


@command.command("schema")
def schema() -> int:
    """Print the JSON Schema of pii-guard.toml, for editors that complete and check TOML."""
    from pii_guard.policy.json_schema import json_schema

    emit(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n")
    return 0
