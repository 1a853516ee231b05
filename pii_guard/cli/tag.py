"""pii-guard tag"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pii_guard.cli.options import (
    comments_option,
    database_options,
    existing_targets,
    kinds_of,
    policy_option,
    quiet_option,
    reading_options,
    scan_options,
)
from pii_guard.cli.output import announce, emit, say
from pii_guard.cli.settings import place_of, required
from pii_guard.cli.tag_metadata import files_to_tag
from pii_guard.connectors.database_url import shown_target
from pii_guard.errors import UsageError
from pii_guard.policy import assign
from pii_guard.render import tags as render
from pii_guard.scanner import ScanOptions
from pii_guard.sidecar import load_sidecar, save_sidecar, sidecar_path

if TYPE_CHECKING:  # libraries of databases, for those alone
    from pii_guard.notes import Outcome

__all__ = ["command"]


CARRIERS = ("sidecar", "metadata", "notes")


def _carriers(context: click.Context, parameter: click.Parameter, value: str | None) -> frozenset[str]:
    """The carriers of a comma-separated option; none where it is not given."""
    given = kinds_of(value)
    for name in given:
        if name not in CARRIERS:
            raise click.BadParameter(f"{name!r} is none of {', '.join(CARRIERS)}")
    if value is not None and not given:
        raise click.BadParameter(f"names none of {', '.join(CARRIERS)}")
    return frozenset(given)


@click.command("tag")
@click.argument("target", callback=existing_targets)
@database_options
@policy_option
@comments_option
@reading_options
@click.option(
    "--write",
    "carriers",
    metavar="LIST",
    callback=_carriers,
    help="Where the tags go: sidecar (the default), metadata of Parquet and Arrow files, notes in comments on the "
    "columns of a database; with commas between.",
)
@click.option(
    "--remove-notes", is_flag=True, help="Of a database: take all notes out of its comments, and scan nothing."
)
@quiet_option
@scan_options
def command(
    target: str,
    policy: Path | None,
    options: ScanOptions,
    carriers: frozenset[str],
    remove_notes: bool,
    quiet: bool,
) -> int:
    """Scan TARGET and write what each personal field holds, why it is kept and how long into pii-guard.tags.toml.

    Purposes and retention classes come from the policy's rules. A field that no rule covers is tagged without them and
    named: `pii-guard check` fails on it until the policy says why it is kept.

    That file is the truth. --write metadata copies the tags into Parquet and Arrow files, each replaced when its new
    one is complete; --write notes mirrors them into the comments on columns of PostgreSQL, MariaDB, MySQL and DuckDB,
    behind what people wrote there (docs/tags.md).
    """
    if remove_notes:
        if carriers:
            raise UsageError("give one of --write and --remove-notes")
        return _removed(target, options)
    carriers = carriers or frozenset({"sidecar"})
    if "notes" in carriers:
        from pii_guard.notes import check_notes

        check_notes(target, options.selection)
    files = files_to_tag(target) if "metadata" in carriers else []
    rules, chosen = required(policy, place_of(target))
    report = chosen.scanned(target, options, quiet=quiet)
    path = sidecar_path(place_of(target))
    tags = assign(report, rules, load_sidecar(path))
    if "sidecar" in carriers:
        save_sidecar(path, tags)
    emit(render.listing(tags))
    if "sidecar" in carriers:
        announce(f"wrote {path}")
    for name in sorted(name for name, tag in tags.items() if not (tag.purposes and tag.retention)):
        say(f"{name}: no rule of the policy gives it a purpose and a retention class")
    whole = report.complete
    for file in files:
        left = file.write(report.fields, tags)
        announce(f"{file.path}: {'carries its tags already' if left is None else 'wrote the tags into it'}")
        for name in left or ():
            say(f"{file.path}: {name}: cannot carry its tag")
            whole = False
    if "notes" in carriers:
        from pii_guard.notes import write_notes

        outcome = write_notes(target, tags, report.fields, selection=options.selection, password=options.password)
        whole &= _noted(target, outcome)
    return 0 if whole else 3


def _removed(target: str, options: ScanOptions) -> int:
    from pii_guard.notes import remove_notes

    outcome = remove_notes(target, selection=options.selection, password=options.password)
    return 0 if _noted(target, outcome) else 3


def _noted(target: str, outcome: Outcome) -> bool:
    """Say what became of the notes; whether all of them are as they should be."""
    announce(f"notes in {shown_target(target)}: {outcome.written:,} written, {outcome.removed:,} removed")
    for line in outcome.refused:
        say(line)
    return not outcome.refused
