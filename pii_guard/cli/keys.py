"""pii-guard keys"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import click

from pii_guard.cli.options import (
    epochs_place,
    keys_option,
    open_keyring,
    passphrase,
    passphrase_option,
    policy_option,
)
from pii_guard.cli.output import announce, emit, say
from pii_guard.cli.settings import found_policy
from pii_guard.errors import KeyringError, UsageError, WrongPassphraseError
from pii_guard.keys.backup import Restored, backup, backup_epochs, restore
from pii_guard.keys.destruction import destroy, plan
from pii_guard.keys.health import examine
from pii_guard.keys.keyring import Keyring, load
from pii_guard.keys.markers import export_markers
from pii_guard.keys.providers import PROVIDERS
from pii_guard.keys.rotation import rotate, withdraw
from pii_guard.keys.selection import Selection
from pii_guard.policy.expiry import expired
from pii_guard.render import keys as render

__all__ = ["command"]

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group("keys")
def command() -> None:
    """Make, show, renew and destroy keys."""


def _selection_options(function: Command) -> Command:
    for option in (
        click.option("--period", help="Only keys of this period, such as 2026-Q3."),
        click.option("--retention", metavar="CLASS", help="The keys of this retention class."),
        click.option("--field", help="The keys of this logical field."),
        click.argument("key_id", metavar="[KEYID]", required=False),
    ):
        function = option(function)
    return function


yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def _confirmed(name: str, what: str, yes: bool) -> None:
    """Raises UsageError unless the user types `name`. On the terminal or from a pipe: whoever pipes it, means it."""
    if yes:
        return
    say(f"to {what}, type: {name}")
    if sys.stdin is None or sys.stdin.readline().strip() != name:  # None: closed, as under some schedulers
        raise UsageError("not confirmed; nothing was changed")


@command.command("init")
@keys_option
@passphrase_option
@click.option(
    "--epochs",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the epoch secrets in this directory, best on another medium; by default beside the key directory.",
)
@click.option("--provider", metavar="URI", help=f"Where the root key comes from: {', '.join(PROVIDERS)}.")
@click.option(
    "--purpose-key",
    "purpose_keys",
    metavar="PURPOSE=URI",
    multiple=True,
    help="Let a key of a key service (aws-kms://ARN) guard this purpose; may be repeated.",
)
def init(
    keys: Path, passphrase_file: Path | None, epochs: Path | None, provider: str | None, purpose_keys: tuple[str, ...]
) -> int:
    """Make a key directory, and beside it a directory of epoch secrets.

    With a passphrase, nobody can open the keys without it, and nobody can restore it: if it is lost, all data encrypted
    with these keys is lost. Without one, the file root.secret in the directory opens everything: keep it apart from
    backups of the data. Without the epoch secrets nothing opens either; destroying them is what makes data unreadable
    at the end of its time.
    """
    secret = passphrase(passphrase_file)
    pairs = [pair.partition("=") for pair in purpose_keys]
    if not all(purpose and uri for purpose, _, uri in pairs):
        raise UsageError("--purpose-key is PURPOSE=URI, such as delivery=aws-kms://ARN")
    if secret is not None:
        say("without this passphrase the data can never be read again, by anybody: write it down before you go on")
    ring = Keyring.create(
        keys, secret, provider=provider, epochs=epochs, purpose_keys={purpose: uri for purpose, _, uri in pairs}
    )
    announce(f"made the key directory {keys}, and {ring.epochs} for its epoch secrets")
    return 0


@command.command("list")
@keys_option
def list_(keys: Path) -> int:
    """List the keys: id, logical field, retention class, period, state, purposes. No key is opened."""
    records = Keyring.describe(keys)
    if not records:
        announce(f"{keys}: no keys yet; `pii-guard protect` makes them")
    emit(render.listed(records))
    return 0


@command.command("show")
@click.argument("key_id", metavar="KEYID")
@keys_option
def show(key_id: str, keys: Path) -> int:
    """Show all that is public about one key. No key is opened."""
    records = [record for record in Keyring.describe(keys) if record.key_id.hex() == key_id]
    if not records:
        raise UsageError(f"key {key_id} is not in the key directory {keys}")
    emit(render.shown(records[0]))
    return 0


@command.command("rotate")
@_selection_options
@keys_option
@passphrase_option
def rotate_(
    key_id: str | None,
    field: str | None,
    retention: str | None,
    period: str | None,
    keys: Path,
    passphrase_file: Path | None,
) -> int:
    """Make new keys in place of active ones. The old ones still decrypt; `pii-guard reencrypt` moves data over."""
    for old, new in rotate(open_keyring(keys, passphrase_file), Selection(key_id, field, retention, period)):
        emit(render.listed([old, new]))
    return 0


@command.command("withdraw")
@click.argument("purpose")
@yes_option
@keys_option
@passphrase_option
def withdraw_(purpose: str, yes: bool, keys: Path, passphrase_file: Path | None) -> int:
    """Let PURPOSE open nothing any more; other purposes still do.

    Its wrapped keys are removed. Older copies of keyring.json still hold them: destroy those, and do not put them back.
    """
    ring = open_keyring(keys, passphrase_file)
    _confirmed(purpose, f"withdraw the purpose {purpose}", yes)
    changed = withdraw(ring, purpose)
    announce(f"{purpose} opens nothing any more; {len(changed)} key(s) still open for other purposes")
    for copy in ring.document.copies:
        if copy.what == "keys":
            say(f"{copy.path}, made {copy.made}, still holds its keys; destroy it and make a new backup")
    return 0


@command.command("destroy")
@_selection_options
@yes_option
@click.option("--finish", is_flag=True, help="End a destruction that was cut off, and destroy nothing else.")
@keys_option
@passphrase_option
def destroy_(
    key_id: str | None,
    field: str | None,
    retention: str | None,
    period: str | None,
    yes: bool,
    finish: bool,
    keys: Path,
    passphrase_file: Path | None,
) -> int:
    """Destroy keys: what they encrypted is unreadable from then on, for everybody, and stays so.

    Shows what that is, asks for its name, and writes a receipt. With copies of keyring.json from before nothing of it
    opens, as the secret of its epoch is destroyed; other keys of that epoch are wrapped anew, and need a new backup.
    """
    ring = open_keyring(keys, passphrase_file)
    if finish:
        ring.update(lambda document, _: document)
        announce(f"{keys}: nothing is left to finish")
        return 0
    selection = Selection(key_id, field, retention, period)
    planned = plan(ring.document, selection)
    emit(render.plan(planned))
    _confirmed(selection.name, f"destroy {len(planned.keys)} key(s)", yes)
    receipt = destroy(ring, selection, planned)
    announce(f"destroyed {len(planned.keys)} key(s); receipt: {receipt}")
    for line in render.remaining(receipt):
        say(line)
    return 0


@command.command("backup")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--with-secret", is_flag=True, help="Copy root.secret too: then the copy needs only epoch secrets.")
@click.option("--only-epochs", is_flag=True, help="Copy the epoch secrets and nothing else; keep that copy apart.")
@keys_option
@passphrase_option
def backup_(target: Path, with_secret: bool, only_epochs: bool, keys: Path, passphrase_file: Path | None) -> int:
    """Copy the key directory to the new directory TARGET, without epoch secrets, and remember where the copy is."""
    if with_secret and only_epochs:
        raise UsageError("give one of --with-secret and --only-epochs: together the copies open everything")
    ring = open_keyring(keys, passphrase_file)
    if only_epochs:
        backup_epochs(ring, target)
        announce(f"copied the epoch secrets to {target}; a destruction will reach for them there")
    else:
        backup(ring, target, with_secret=with_secret)
        announce(f"copied keyring.json{' and root.secret' if with_secret else ''} to {target}")
    return 0


@command.command("restore")
@click.argument("source", required=False, type=click.Path(path_type=Path, file_okay=False))
@yes_option
@keys_option
@passphrase_option
def restore_(source: Path | None, yes: bool, keys: Path, passphrase_file: Path | None) -> int:
    """Take keyring.json of the backup SOURCE, or the old one that is there, as the newest one.

    Keys that were made since the copy are lost with it, and purposes that were withdrawn since open again. What was
    destroyed since stays destroyed, and keys that were wrapped anew then do not open.
    """

    def asked(restored: Restored) -> None:
        emit(render.restored(restored))
        _confirmed("restore", f"take {source or keys} as it is", yes)

    restore(keys, passphrase(passphrase_file), source, epochs=epochs_place(), before=asked)
    announce(f"{keys}: is the newest one now; make a new backup")
    return 0


@command.command("export-marker")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@keys_option
@passphrase_option
def export_marker(file: Path, keys: Path, passphrase_file: Path | None) -> int:
    """Write the marker keys to FILE: with it `check --markers FILE` verifies tokens and can open none.

    Whoever has it can also forge markers that convince others who have it.
    """
    count = export_markers(open_keyring(keys, passphrase_file), file)
    announce(f"wrote {count} marker keys to {file}")
    return 0


@command.command("doctor")
@policy_option
@keys_option
@passphrase_option
def doctor(policy: Path | None, keys: Path, passphrase_file: Path | None) -> int:
    """Say what state a key directory is in and what it is worth. Exit 1 where something is wrong with it.

    Opened with the passphrase, if that is given, it also tells whether keyring.json was changed or is an old copy.
    """
    document, why, opened = load(keys), "", None
    try:
        opened = open_keyring(keys, passphrase_file)
    except WrongPassphraseError as error:
        if passphrase(passphrase_file) is not None or document.root.kind != "argon2id":
            why = str(error)
    except KeyringError as error:
        why = str(error)
    checks = examine(keys, opened, epochs=epochs_place())
    rules = found_policy(policy, Path.cwd())
    over = expired(Keyring.describe(keys), rules, date.today()) if rules is not None else []
    emit(render.health(checks, over, why))
    return 1 if why or any(check.state == "bad" for check in checks) else 0
