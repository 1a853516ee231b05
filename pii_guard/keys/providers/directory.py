"""The root key in a file of the key directory: whoever has the directory has everything."""

from __future__ import annotations

from pii_guard.crypto.secret import Secret
from pii_guard.errors import KeyringError, UsageError
from pii_guard.keys.files import read_private, write_durably
from pii_guard.keys.providers.base import Home, without_passphrase
from pii_guard.keys.roots import SecretRoot
from pii_guard.keys.wrapping import secret_from_text, secret_to_text

__all__ = ["FILE", "PROVIDER"]

FILE = "root.secret"


class _Directory:
    def make(self, home: Home, uri: str) -> tuple[SecretRoot, Secret]:
        if home.passphrase is not None:
            raise UsageError("a passphrase was given, and the provider file: has none; use passphrase:")
        root = Secret.random()
        write_durably(home.directory / FILE, secret_to_text(root).encode() + b"\n")
        return SecretRoot(), root

    def open(self, home: Home, root: SecretRoot) -> Secret:
        without_passphrase(home)
        path = home.directory / FILE
        try:
            return secret_from_text(read_private(path).decode("ascii"))
        except FileNotFoundError:
            raise KeyringError(f"{path}: is missing; put it back from where you keep it") from None
        except OSError as error:
            raise KeyringError(f"{path}: cannot be read: {error.strerror}") from None
        except ValueError:
            raise KeyringError(
                f"{path}: damaged, not 64 hexadecimal digits; put it back from where you keep it"
            ) from None


PROVIDER = _Directory()
