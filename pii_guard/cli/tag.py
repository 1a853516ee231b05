"""pii-guard tag"""

from __future__ import annotations

from pathlib import Path

import click

from pii_guard.cli.options import comments_option, existing_targets, policy_option, reading_options
from pii_guard.cli.output import announce, emit, say, watching
from pii_guard.cli.settings import place_of, required
from pii_guard.connectors.base import Reading
from pii_guard.policy import assign
from pii_guard.render import tags as render
from pii_guard.scanner import scan_targets
from pii_guard.tags import load_sidecar, save_sidecar, sidecar_path

__all__ = ["command"]


@click.command("tag")
@click.argument("target", callback=existing_targets)
@policy_option
@comments_option
@reading_options
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def command(target: str, policy: Path | None, comments: bool, reading: Reading, quiet: bool) -> int:
    """Scan TARGET and write what each personal field holds, why it is kept and how long into pii-guard.tags.toml.

    Purposes and retention classes come from the policy's rules. A field that no rule covers is tagged without them and
    named: `pii-guard check` fails on it until the policy says why it is kept.
    """
    rules, chosen = required(policy, place_of(target))
    with watching(quiet) as progress:
        report = chosen.suppressed(
            scan_targets([target], detectors=chosen.detectors, comments=comments, reading=reading, progress=progress)
        )
    path = sidecar_path(place_of(target))
    tags = assign(report, rules, load_sidecar(path))
    save_sidecar(path, tags)
    emit(render.listing(tags))
    announce(f"wrote {path}")
    for name in sorted(name for name, tag in tags.items() if not (tag.purposes and tag.retention)):
        say(f"{name}: no rule of the policy gives it a purpose and a retention class")
    return 0 if report.complete else 3
