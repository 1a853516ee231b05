"""Copies of a key directory, which say of themselves in it where they are; and the way back from one."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pii_guard.errors import KeyringError, UsageError
from pii_guard.files import sync_directory
from pii_guard.keys.creation import FILE, LOCK, now
from pii_guard.keys.document import Copy, Destroyed, Document, KeyRecord, Record
from pii_guard.keys.epochs import FILE as MARK
from pii_guard.keys.epochs import SUFFIX
from pii_guard.keys.files import PRIVATE_DIRECTORY, locked, read_private, write_durably
from pii_guard.keys.keyring import Keyring, load, opener_of
from pii_guard.keys.opening import Opener
from pii_guard.keys.providers.directory import FILE as SECRET

__all__ = ["Restored", "backup", "backup_epochs", "restore"]

REPLACED = f"{FILE}.replaced"
"""What a restored file took the place of."""
UNKNOWN = "0" * 16
"""The receipt of what was destroyed according to epochs.json alone."""


@contextmanager
def _new_directory(target: Path) -> Iterator[None]:
    """A directory that is gone again where it cannot be filled in the block."""
    if os.path.lexists(target):
        raise KeyringError(f"{target}: exists already; nothing was changed")
    target.mkdir(mode=PRIVATE_DIRECTORY)
    try:
        write_durably(target / ".gitignore", b"*\n")
        yield
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _live(document: Document) -> tuple[str, ...]:
    return tuple(epoch.id for epoch in document.epochs if epoch.state == "live")


def backup(keyring: Keyring, target: Path, *, with_secret: bool = False) -> None:
    """Copy keyring.json, and root.secret only if asked, to the new directory `target`, and register the copy.

    Epoch secrets are never in it: what was destroyed stays so. Raises KeyringError, UsageError.
    """
    if with_secret and keyring.document.root.kind != "secret":
        raise UsageError(f"{keyring.directory}: has no root.secret; its root key is elsewhere")

    def change(document: Document, opener: Opener) -> Document:
        entry = Copy(what="keys", path=str(target.resolve()), made=now(), epochs=_live(document))
        written = opener.sealed(document.model_copy(update={"copies": (*document.copies, entry)}))
        content = written.to_bytes()
        with _new_directory(target):
            write_durably(target / FILE, content)
            if with_secret:
                write_durably(target / SECRET, read_private(keyring.directory / SECRET))
            sync_directory(target.parent)
        entry = entry.model_copy(update={"sha256": hashlib.sha256(content).hexdigest()})
        return document.model_copy(update={"copies": (*document.copies, entry)})

    keyring.update(change, f"no backup could be made at {target}")


def backup_epochs(keyring: Keyring, target: Path) -> None:
    """Copy the epoch secrets to the new directory `target`, and register the copy: a destruction reaches for it too.

    Without any copy of them, the loss of their medium loses all data. Raises KeyringError.
    """
    failure = f"no backup could be made at {target}"

    def register(document: Document, opener: Opener) -> Document:
        with _new_directory(target):
            pass
        entry = Copy(what="epochs", path=str(target.resolve()), made=now(), epochs=_live(document))
        return document.model_copy(update={"copies": (*document.copies, entry)})

    def copy(document: Document, opener: Opener) -> Document:
        registered = next(entry.epochs for entry in reversed(document.copies) if entry.path == str(target.resolve()))
        for epoch in document.epochs:  # not those that were destroyed or made meanwhile, unknown to the entry
            if epoch.state == "live" and epoch.id in registered:
                write_durably(target / f"{epoch.id}{SUFFIX}", read_private(opener.store.path(epoch.id)))
        write_durably(target / MARK, read_private(opener.store.directory / MARK))
        return document

    keyring.update(register, failure)  # first, so that no copy of a secret is ever unknown, whatever is cut off
    keyring.update(copy, failure)


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restored keyring.json has, and what it has not."""

    keys: tuple[KeyRecord, ...]
    """Keys that open."""
    lost: tuple[KeyRecord, ...]
    """Keys whose epoch has been destroyed since the copy was made: they were destroyed, or wrapped anew."""


def restore(
    directory: Path,
    passphrase: str | None,
    source: Path | None,
    *,
    epochs: Path | None = None,
    before: Callable[[Restored], None] | None = None,
) -> Restored:
    """Take `source`/keyring.json, or the one that is there, as the newest one, whatever its counter.

    `before` is called before anything is replaced, and may raise. Raises KeyringError, WrongPassphraseError; then
    nothing was changed.
    """
    origin = directory if source is None else source
    document = load(origin)
    try:
        secret = origin / SECRET if (origin / SECRET).exists() else directory / SECRET
        opener = opener_of(directory, document, passphrase, epochs=epochs, home=secret.parent)
        if not directory.exists():
            directory.mkdir(mode=PRIVATE_DIRECTORY)
            write_durably(directory / ".gitignore", b"*\n")
        with locked(directory / LOCK):
            accepted, lost = _accepted(document, opener)
            found = Restored(tuple(record.public() for record in accepted.records), lost)
            if before is not None:
                before(found)
            if secret.parent != directory and document.root.kind == "secret":
                write_durably(directory / SECRET, read_private(secret))
            accepted = opener.sealed(accepted)
            if source is not None and (directory / FILE).exists():
                write_durably(directory / REPLACED, read_private(directory / FILE))
            with opener.marking(accepted):
                write_durably(directory / FILE, accepted.to_bytes())
    except OSError as error:
        raise KeyringError(f"{directory}: cannot be restored: {error.strerror}") from None
    return found


def _accepted(document: Document, opener: Opener) -> tuple[Document, tuple[KeyRecord, ...]]:
    """The document with a counter that is high enough, and with what has been destroyed since as destroyed."""
    mark = opener.mark_of(document)
    there = opener.store.names()
    epochs, ended = [], dict(mark.destroyed)
    for epoch in document.epochs:
        if epoch.state == "live" and epoch.id in ended:
            epoch = epoch.model_copy(update={"state": "destroyed", "ended": ended[epoch.id]})
        elif epoch.state == "live" and epoch.id not in there:
            raise KeyringError(
                f"{opener.store.path(epoch.id)}: is missing, and no destruction is recorded; put the epoch secrets "
                "back from their copy, then restore"
            )
        epochs.append(epoch)
    lost = [record for record in document.records if record.epoch in ended]
    destroyed = (*document.destroyed, *(_destroyed(record, ended[record.epoch]) for record in lost))
    changed = {
        "counter": max(document.counter, mark.counter),
        "epochs": tuple(epochs),
        "records": tuple(record for record in document.records if record not in lost),
        "destroyed": destroyed,
    }
    return document.model_copy(update=changed), tuple(record.public() for record in lost)


def _destroyed(record: Record, ended: str) -> Destroyed:
    kept = record.model_dump(exclude={"state", "marker", "purposes", "withdrawn"})
    return Destroyed(**kept, purposes=tuple(sorted(record.purposes)), ended=ended, receipt=UNKNOWN)
