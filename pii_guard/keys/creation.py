"""Making a key directory and its epochs directory: whole, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pii_guard.errors import KeyringError, UsageError
from pii_guard.files import sync_directory
from pii_guard.keys.document import Document
from pii_guard.keys.epochs import EpochStore, Mark
from pii_guard.keys.files import locked, write_durably
from pii_guard.keys.opening import Opener, new_document
from pii_guard.keys.providers import Home, make_root

__all__ = ["FILE", "LOCK", "create", "default_epochs", "now"]

FILE, LOCK = "keyring.json", "keyring.lock"


def now() -> str:
    """The time as keyring.json writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def default_epochs(directory: Path) -> Path:
    """Where the epoch secrets of a key directory are unless somewhere better."""
    return directory.with_name(f"{directory.name}-epochs")


def create(
    directory: Path,
    passphrase: str | None,
    provider: str | None,
    epochs: Path | None,
    purpose_keys: Mapping[str, str],
) -> tuple[Document, Opener]:
    """Make both directories. Raises KeyringError if one exists or cannot be written, UsageError for a wrong option."""
    if os.path.lexists(directory):
        raise KeyringError(f"{directory}: exists already; nothing was changed")
    if passphrase == "":
        raise UsageError("the passphrase is empty")
    if not all(purpose_keys):
        raise UsageError("the name of a purpose is empty")
    store = EpochStore(default_epochs(directory) if epochs is None else epochs)
    if store.directory.resolve().is_relative_to(directory.resolve()):
        raise UsageError(f"{store.directory}: is in the key directory; keep epoch secrets apart from it")
    at = f"../{store.directory.name}" if epochs is None else str(store.directory.resolve())
    id = os.urandom(16).hex()
    uri = provider or ("file:" if passphrase is None else "passphrase:")
    try:
        # Made whole under another name (mode 0700), so that no crash leaves half a key directory behind.
        temporary = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
        try:
            parameters, root = make_root(Home(temporary, id, directory, passphrase), uri)
            opener = Opener(root, store)
            document = opener.sealed(new_document(root, parameters, id, now(), at, purpose_keys.items()))
            write_durably(temporary / ".gitignore", b"*\n")
            write_durably(temporary / FILE, document.to_bytes())
            store.make()
            with locked(store.directory / LOCK):  # two that make one directory would take each other's mark
                if os.path.lexists(directory):
                    raise KeyringError(f"{directory}: exists already; nothing was changed")
                store.prepare(Mark.sealed(root, id, document.counter, {}))
                temporary.rename(directory)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_directory(directory.parent)
    except OSError as error:
        raise KeyringError(f"{directory}: cannot be created: {error.strerror}") from None
    return document, opener
