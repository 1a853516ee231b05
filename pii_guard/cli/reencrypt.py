"""pii-guard reencrypt"""

from __future__ import annotations

from pathlib import Path

import click

from pii_guard import connectors
from pii_guard.audit import AccessLog, os_account
from pii_guard.cli.options import keys_option, open_keyring, passphrase_option, reading_options
from pii_guard.cli.output import announce, say
from pii_guard.cli.settings import place_of
from pii_guard.cli.tables import only_name, only_table, unchanged
from pii_guard.connectors.base import Reading
from pii_guard.errors import UsageError
from pii_guard.guard import ACCESS_LOG
from pii_guard.reencryption import reencrypt
from pii_guard.revealing import carried_tags
from pii_guard.sidecar import load_sidecar, save_sidecar, sidecar_path

__all__ = ["command"]


@click.command("reencrypt")
@click.argument("source")
@click.option("--to", "target", help="The file to write: .parquet, .arrow, .csv, .tsv, .ndjson.")
@click.option("--in-place", is_flag=True, help="Put the new table in the place of SOURCE.")
@click.option("--actor", help="Who asks, for the access record; by default the account of the operating system.")
@keys_option
@passphrase_option
@click.option("--overwrite", is_flag=True, help="Replace the target if it exists.")
@reading_options
def command(
    source: str,
    target: str | None,
    in_place: bool,
    actor: str | None,
    keys: Path,
    passphrase_file: Path | None,
    overwrite: bool,
    reading: Reading,
) -> int:
    """Copy a protected SOURCE with every token moved to the newest key of its field, as after `keys rotate`.

    Values are opened and encrypted again in this process and shown to nobody; the access is recorded as task
    `reencrypt`, for the purpose that each old key is opened by. What is under the newest key stays as it is, so that a
    second run changes nothing. A token that does not open stops it, with nothing written.
    """
    if (target is None) is not in_place:
        raise UsageError("give one of --to TARGET and --in-place")
    check = unchanged(source)
    table, like = only_table(source, reading)
    target, overwrite = target or source, overwrite or in_place
    format = connectors.check_target(target, overwrite=overwrite)
    if in_place:
        only_name(source, format, like, table)
    ring = open_keyring(keys, passphrase_file)
    tags, log = load_sidecar(sidecar_path(place_of(source))), AccessLog(keys / ACCESS_LOG)
    renewed, done = reencrypt(table.reader(), ring, log, actor=actor or os_account(), table=table.name, tags=tags)
    style = table.style() if format.id == like else None
    if in_place and style is not None and not style.faithful:
        raise UsageError(f"{source}: is in more than one encoding, which a new file cannot be; use --to")
    carried = carried_tags(renewed.schema, Path(target).stem)
    connectors.write(renewed, target, overwrite=overwrite, style=style, keep_owner=in_place, before=check)
    where = f" of {', '.join(sorted(done.fields))}" if done.fields else ""
    announce(f"{target}: moved {done.moved:,} tokens{where}; {done.current:,} were under their newest key already")
    if done.plain:
        say(f"{done.plain:,} values of encrypted columns are no tokens and stayed as they are; run `pii-guard protect`")
    if done.unopened:
        say(f"{done.unopened:,} tokens inside of texts do not open, so they are text and stayed as they are")
    if carried and not format.load().capabilities.metadata:
        save_sidecar(sidecar_path(place_of(target)), carried)
        announce(f"wrote the tags, which {format.id} cannot hold, to {sidecar_path(place_of(target))}")
    return 0
