"""pii-guard protect"""

from __future__ import annotations

from pathlib import Path

import click

from pii_guard import connectors
from pii_guard.cli.options import keys_option, passphrase, passphrase_option, policy_option, reading_options
from pii_guard.cli.output import announce, emit, say, watching
from pii_guard.cli.settings import place_of, required
from pii_guard.cli.tables import only_name, only_table, refuse_incomplete, unchanged
from pii_guard.connectors.base import Reading
from pii_guard.errors import UsageError
from pii_guard.guard import Guard
from pii_guard.keys.keyring import Keyring
from pii_guard.render import tags as render
from pii_guard.revealing import carried_tags
from pii_guard.scanner import scan_targets
from pii_guard.tags import load_sidecar, save_sidecar, sidecar_path

__all__ = ["command"]


@click.command("protect")
@click.argument("source")
@click.option("--to", "target", help="The file to write: .parquet, .arrow, .csv, .tsv, .ndjson.")
@click.option("--in-place", is_flag=True, help="Put the protected table in the place of SOURCE.")
@policy_option
@keys_option
@passphrase_option
@click.option("--overwrite", is_flag=True, help="Replace the target if it exists.")
@click.option("--dry-run", is_flag=True, help="Show the plan and write nothing.")
@reading_options
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def command(
    source: str,
    target: str | None,
    in_place: bool,
    policy: Path | None,
    keys: Path,
    passphrase_file: Path | None,
    overwrite: bool,
    dry_run: bool,
    reading: Reading,
    quiet: bool,
) -> int:
    """Copy SOURCE to a new file with every personal field encrypted and tagged.

    SOURCE is scanned first and, without --in-place, not changed. Each field needs a rule in the policy that gives it a
    purpose and a retention class; what is personal and has none stops the command before anything is written.

    A file of the format of SOURCE keeps its delimiter, encoding, line ends and compression. With --in-place the new
    file takes the place of SOURCE when it is complete and on disk, with its mode and owner.
    """
    if (target is None) is not in_place:
        raise UsageError("give one of --to TARGET and --in-place")
    check = unchanged(source)
    table, like = only_table(source, reading)
    rules, chosen = required(policy, place_of(source))
    target, overwrite = target or source, overwrite or in_place
    format = connectors.check_target(target, overwrite=overwrite)
    if in_place:
        only_name(Path(source), format, like, table)
    ring, tags = Keyring.open(keys, passphrase(passphrase_file)), load_sidecar(sidecar_path(place_of(source)))
    guard = Guard(rules, ring, tags=tags, detectors=chosen.detectors)
    with watching(quiet) as progress:
        report = scan_targets([source], detectors=chosen.detectors, reading=reading, progress=progress)
    refuse_incomplete(report, source, table)
    reader = table.reader()
    emit(render.plan(guard.plan(reader.schema, report)))
    if dry_run:
        return 0
    protected = guard.protect(reader, table=table.name, report=report)
    carried = carried_tags(protected.schema, Path(target).stem)
    style = table.style() if format.id == like else None
    if in_place and style is not None and not style.faithful:
        raise UsageError(f"{source}: is in more than one encoding, which a new file cannot be; use --to")
    rows = connectors.write(protected, target, overwrite=overwrite, style=style, keep_owner=in_place, before=check)
    announce(f"wrote {rows:,} row{'' if rows == 1 else 's'} to {target}")
    if in_place:
        say("the plain values may survive where the file was: in backups, snapshots and blocks that are free now")
    if not format.load().capabilities.metadata:
        save_sidecar(sidecar_path(place_of(target)), carried)
        announce(f"wrote the tags, which {format.id} cannot hold, to {sidecar_path(place_of(target))}")
    return 0
