"""pii-guard reveal"""

from __future__ import annotations

from pathlib import Path

import click

from pii_guard import connectors
from pii_guard.cli.options import keys_option, passphrase, passphrase_option, policy_option
from pii_guard.cli.output import announce
from pii_guard.cli.settings import existing_policy, place_of
from pii_guard.cli.tables import only_table
from pii_guard.guard import Guard
from pii_guard.keys.keyring import Keyring

__all__ = ["command"]


@click.command("reveal")
@click.argument("source")
@click.option("--to", "target", required=True, help="The file to write: .parquet, .arrow, .csv, .tsv, .ndjson.")
@click.option("--purpose", required=True, help="What the data is needed for; the policy must declare it.")
@click.option("--actor", help="Who asks, for the access record; by default the account of the operating system.")
@click.option("--task", default="reveal", show_default=True, help="What is being done, for the access record.")
@policy_option
@keys_option
@passphrase_option
@click.option("--overwrite", is_flag=True, help="Replace the target if it exists.")
def command(
    source: str,
    target: str,
    purpose: str,
    actor: str | None,
    task: str,
    policy: Path | None,
    keys: Path,
    passphrase_file: Path | None,
    overwrite: bool,
) -> int:
    """Copy a protected SOURCE to a new file with its fields opened for one purpose.

    Each access, and each refusal, is recorded in access.jsonl of the key directory before anything is opened. A purpose
    that the policy does not declare, or that a field was not protected for, is refused. The new file can be read by you
    alone.
    """
    table, _ = only_table(source)
    rules = existing_policy(policy, place_of(source))
    connectors.check_target(target, overwrite=overwrite)
    guard = Guard(rules, Keyring.open(keys, passphrase(passphrase_file)))
    revealed = guard.reveal(table.reader(), purpose=purpose, actor=actor, task=task)
    rows = connectors.write(revealed, target, overwrite=overwrite, private=True)
    announce(f"wrote {rows:,} row{'' if rows == 1 else 's'} to {target}, opened for {purpose}")
    return 0
