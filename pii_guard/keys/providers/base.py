"""What a provider is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pii_guard.crypto.secret import Secret
from pii_guard.errors import WrongPassphraseError
from pii_guard.keys.document import RemoteKek
from pii_guard.keys.roots import Root

__all__ = ["Home", "Provider", "RemoteKeys", "without_passphrase"]


@dataclass(frozen=True, slots=True, repr=False)
class Home:
    """The key directory that a root key is for."""

    directory: Path
    """Where its files are: while it is made, a temporary place."""
    id: str
    shown: Path
    """Its name in messages."""
    passphrase: str | None = None


class Provider(Protocol):
    """Gives root keys. One call of a key service at most for each of these."""

    def make(self, home: Home, uri: str) -> tuple[Root, Secret]:
        """The root of a new key directory, and what keyring.json says of it."""
        ...

    def open(self, home: Home, root: Any) -> Secret:
        """The root key of a key directory. Raises WrongPassphraseError or KeyringError."""
        ...


class RemoteKeys(Protocol):
    """Wraps key encryption keys of purposes by keys that never leave a key service."""

    def wrap(self, uri: str, kek: Secret, keyring: str, purpose: str) -> RemoteKek:
        """`kek` under the key of this URI."""
        ...

    def unwrap(self, wrapped: RemoteKek, keyring: str, purpose: str) -> Secret:
        """The inverse. Raises PurposeRefusedError where the caller may not, KeyringError where it fails."""
        ...


def without_passphrase(home: Home) -> None:
    """Raise WrongPassphraseError where a passphrase was given to a directory that has none."""
    if home.passphrase is not None:
        raise WrongPassphraseError(
            f"{home.shown}: has no passphrase; open it without one (no --passphrase-file, no PII_GUARD_PASSPHRASE)"
        )
