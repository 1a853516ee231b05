"""pii-guard protect"""

from __future__ import annotations

from pathlib import Path

import click

from pii_guard import connectors
from pii_guard.cli.options import keys_option, passphrase, passphrase_option, policy_option
from pii_guard.cli.output import announce, emit, watching
from pii_guard.cli.settings import required
from pii_guard.cli.tables import only_table, refuse_incomplete
from pii_guard.guard import Guard
from pii_guard.keys.keyring import Keyring
from pii_guard.render import tags as render
from pii_guard.revealing import carried_tags
from pii_guard.scanner import scan_targets
from pii_guard.tags import load_sidecar, save_sidecar, sidecar_path

__all__ = ["command"]


@click.command("protect")
@click.argument("source")
@click.option("--to", "target", required=True, help="The file to write: .parquet, .csv, .tsv, .ndjson.")
@policy_option
@keys_option
@passphrase_option
@click.option("--overwrite", is_flag=True, help="Replace the target if it exists.")
@click.option("--dry-run", is_flag=True, help="Show the plan and write nothing.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def command(
    source: str,
    target: str,
    policy: Path | None,
    keys: Path,
    passphrase_file: Path | None,
    overwrite: bool,
    dry_run: bool,
    quiet: bool,
) -> int:
    """Copy SOURCE to a new file with every personal field encrypted and tagged.

    SOURCE is scanned first and is not changed. Each field needs a rule in the policy that gives it a purpose and a
    retention class; what is personal and has none stops the command before anything is written.
    """
    table = only_table(source)
    rules, chosen = required(policy, Path(source))
    format = connectors.check_target(target, overwrite=overwrite)
    ring, tags = Keyring.open(keys, passphrase(passphrase_file)), load_sidecar(sidecar_path(Path(source)))
    guard = Guard(rules, ring, tags=tags, detectors=chosen.detectors)
    with watching(quiet) as progress:
        report = scan_targets([source], detectors=chosen.detectors, progress=progress)
    refuse_incomplete(report, source, table)
    reader = table.reader()
    emit(render.plan(guard.plan(reader.schema, report)))
    if dry_run:
        return 0
    protected = guard.protect(reader, table=table.name, report=report)
    carried = carried_tags(protected.schema, Path(target).stem)
    rows = connectors.write(protected, target, overwrite=overwrite)
    announce(f"wrote {rows:,} row{'' if rows == 1 else 's'} to {target}")
    if not format.load().capabilities.metadata:
        save_sidecar(sidecar_path(Path(target)), carried)
        announce(f"wrote the tags, which {format.id} cannot hold, to {sidecar_path(Path(target))}")
    return 0
