"""pii-guard keys"""

from __future__ import annotations

from pathlib import Path

import click

from pii_guard.cli.options import keys_option, passphrase, passphrase_option
from pii_guard.cli.output import announce, say
from pii_guard.keys.keyring import Keyring

__all__ = ["command"]


@click.group("keys")
def command() -> None:
    """Make and show a key directory."""


@command.command("init")
@keys_option
@passphrase_option
def init(keys: Path, passphrase_file: Path | None) -> int:
    """Make a key directory.

    With a passphrase, nobody can open the keys without it, and nobody can restore it: if it is lost, all data encrypted
    with these keys is lost. Without one, the file root.secret in the directory opens everything: keep it apart from
    backups of the data.
    """
    secret = passphrase(passphrase_file)
    Keyring.create(keys, secret)
    announce(f"made the key directory {keys}")
    if secret is not None:
        say("remember: without this passphrase the data can never be read again, by anybody")
    return 0


@command.command("list")
@keys_option
def list_(keys: Path) -> int:
    """List the keys: id, logical field, retention class, purposes. No key is opened."""
    records = Keyring.describe(keys)
    if not records:
        announce(f"{keys}: no keys yet; `pii-guard protect` makes them")
    for record in records:
        announce(f"{record.key_id.hex()}  {record.field}  {record.retention}  {', '.join(record.purposes)}")
    return 0
