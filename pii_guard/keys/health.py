"""What can be said of a key directory without opening a key, and what it is worth against whom."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pii_guard.errors import KeyringError
from pii_guard.keys.document import Document, RemoteKek
from pii_guard.keys.epochs import SUFFIX, EpochStore
from pii_guard.keys.files import check_private
from pii_guard.keys.keyring import Keyring, load

__all__ = ["Check", "examine"]

State = Literal["ok", "note", "bad"]
ROOTS = {
    "secret": ("note", "root.secret in the directory: whoever copies the directory has it; a passphrase would not be"),
    "argon2id": ("ok", "a passphrase, by Argon2id; if it is lost, so is all data"),
    "environment": ("ok", "in an environment variable"),
    "os-keyring": ("ok", "in the keyring of the operating system"),
    "aws-kms": ("ok", "under a key of AWS KMS"),
}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `bad`: the directory does not work as it should; `note`: a weakness to know."""

    name: str
    state: State
    text: str


def examine(directory: Path, opened: Keyring | None, *, epochs: Path | None = None) -> tuple[Check, ...]:
    """Everything that is looked at, in one order. `opened`: the same directory, if it could be opened.

    Raises KeyringError where there is no key directory, or one that is damaged or open to others.
    """
    document = load(directory)
    store = EpochStore(epochs or Path(os.path.normpath(directory / document.epochs_at)))
    return (
        Check("files", "ok", f"{len(document.records)} keys, {len(document.destroyed)} destroyed; owner and modes"),
        _git("git", directory),
        *_epochs(directory, document, store, opened),
        Check("root key", *_root(document)),
        *_purposes(document),
        _counter(document, opened),
        *_copies(document),
    )


def _git(name: str, directory: Path) -> Check:
    tree = next((parent for parent in directory.resolve().parents if (parent / ".git").exists()), None)
    if tree is None:
        return Check(name, "ok", "in no work tree")
    if not (directory / ".gitignore").is_file() or (directory / ".gitignore").read_text().strip() != "*":
        return Check(name, "bad", f"in the work tree {tree}, and its .gitignore is missing; write `*` into it")
    return Check(name, "note", f"in the work tree {tree}: ignored by git, but not by what packs or copies the tree")


def _epochs(directory: Path, document: Document, store: EpochStore, opened: Keyring | None) -> Iterator[Check]:
    try:
        check_private(store.directory, store.directory.stat())
        there = store.names()
    except (OSError, KeyringError) as error:
        reason = f"{store.directory}: {error.strerror}" if isinstance(error, OSError) else str(error)
        yield Check("epochs", "bad", f"{reason}; without it no key opens")
        return
    git = _git("git, epochs", store.directory)
    if git.state != "ok":
        yield git
    if store.directory.stat().st_dev == directory.stat().st_dev:
        yield Check("epochs", "note", f"{store.directory}: on the same medium as the keys: one backup may hold both")
    else:
        yield Check("epochs", "ok", f"{store.directory}: on a medium of its own")
    live = {epoch.id for epoch in document.epochs if epoch.state == "live"}
    doomed = {epoch.id for epoch in document.epochs if epoch.state == "doomed"}
    destroyed = {epoch.id for epoch in document.epochs if epoch.state == "destroyed"}
    if live - there:
        yield Check("epoch secrets", "bad", f"{len(live - there)} of {len(live)} are missing; put them back")
    if opened is not None:
        yield from _unopened(document, live & there, opened)
    if there & destroyed:
        text = (
            f"{len(there & destroyed)} of destroyed epochs were put back, with which old copies of keyring.json open "
            "what was destroyed; `pii-guard keys destroy --finish` removes them; destroy the copy that they came from"
        )
        yield Check("epoch secrets", "bad", text)
    if doomed:
        text = f"a destruction was cut off: {len(doomed)} are still there; `pii-guard keys destroy --finish` ends it"
        yield Check("epoch secrets", "bad", text)
    if there - live - doomed - destroyed:
        text = (
            f"{len(there - live - doomed - destroyed)} belong to no key here: left by a command that was cut off, or "
            "of a newer keyring.json"
        )
        yield Check("epoch secrets", "note", text)


def _unopened(document: Document, there: Collection[str], opened: Keyring) -> Iterator[Check]:
    """Epochs whose secret is not the right one, by one key of each; one line a reason."""
    for epoch in sorted(there):
        record = next((record for record in document.records if record.epoch == epoch), None)
        try:
            if record is not None:
                opened.marker_key(bytes.fromhex(record.key_id))
        except KeyringError as error:
            yield Check("epoch secrets", "bad", f"{epoch}{SUFFIX}: {error}")


def _root(document: Document) -> tuple[State, str]:
    state, text = ROOTS[document.root.kind]
    return ("ok" if state == "ok" else "note"), text


def _purposes(document: Document) -> Iterator[Check]:
    for purpose, kek in sorted(document.keks.purposes.items()):
        if isinstance(kek, RemoteKek):
            yield Check(f"purpose {purpose}", "ok", f"ENFORCED by {kek.uri}")
        else:
            yield Check(f"purpose {purpose}", "note", "ADVISORY: whoever opens the root key can open it")


def _counter(document: Document, opened: Keyring | None) -> Check:
    if opened is None:
        return Check(
            "counter", "note", f"written {document.counter} times; not opened, so neither seal nor age is known"
        )
    return Check("counter", "ok", f"written {document.counter} times, sealed, and no old copy")


def _copies(document: Document) -> Iterator[Check]:
    live = {epoch.id for epoch in document.epochs if epoch.state == "live"}
    destroyed = {epoch.id for epoch in document.epochs if epoch.state == "destroyed"}
    for copy in document.copies:
        lacking = len(live - set(copy.epochs))
        later = sum(record.epoch not in copy.epochs or record.created > copy.made for record in document.records)
        text = f"{copy.path}, made {copy.made}"
        if copy.what == "epochs" and destroyed & set(copy.epochs):
            names = ", ".join(f"{id}{SUFFIX}" for id in sorted(destroyed & set(copy.epochs)))
            text += ": a destruction did not reach it, and with it and an old keyring.json destroyed keys open"
            text += f"; destroy {names} there, or bring it back and run `pii-guard keys destroy --finish`"
            yield Check("copy of epochs", "note", text)
        elif copy.what == "keys" and later:
            text += f": lacks {later} of {len(document.records)} keys, made or wrapped anew since; make a new one"
            yield Check("copy of keys", "note", text)
        elif copy.what == "epochs" and lacking:
            yield Check("copy of epochs", "note", f"{text}: lacks {lacking} of {len(live)} secrets; make a new one")
        else:
            yield Check(f"copy of {copy.what}", "ok", text)
    if live and not any(copy.what == "epochs" for copy in document.copies):
        text = "none is registered: with their medium all data is lost (`pii-guard keys backup DIR --only-epochs`)"
        yield Check("copy of epochs", "note", text)
