"""The root key in the keyring of the operating system: Keychain, Credential Locker, Secret Service, by `keyring`."""

from __future__ import annotations

from types import ModuleType

from pii_guard.crypto.secret import Secret
from pii_guard.errors import KeyringError
from pii_guard.keys.providers.base import Home, without_passphrase
from pii_guard.keys.roots import OsKeyringRoot
from pii_guard.keys.wrapping import secret_from_text, secret_to_text

__all__ = ["PROVIDER"]

SERVICE = "pii-guard"


def _library() -> ModuleType:
    try:
        import keyring
    except ImportError:
        raise KeyringError(
            "os-keyring: needs a library that is not installed; pip install 'pii-guard-arrow[os-keyring]'"
        ) from None
    return keyring


class _OsKeyring:
    def make(self, home: Home, uri: str) -> tuple[OsKeyringRoot, Secret]:
        library, account, root = _library(), uri.removeprefix("os-keyring:").removeprefix("//"), Secret.random()
        parameters = OsKeyringRoot(account=account or home.id)
        without_passphrase(home)
        try:
            if library.get_password(SERVICE, parameters.account) is not None:
                raise KeyringError(f"os-keyring: the account {parameters.account} has a root key already; name another")
            library.set_password(SERVICE, parameters.account, secret_to_text(root))
        except library.errors.KeyringError as error:
            raise KeyringError(f"os-keyring: cannot be written ({type(error).__name__})") from None
        return parameters, root

    def open(self, home: Home, root: OsKeyringRoot) -> Secret:
        library = _library()
        without_passphrase(home)
        try:
            text = library.get_password(SERVICE, root.account)
        except library.errors.KeyringError as error:
            raise KeyringError(f"os-keyring: cannot be read ({type(error).__name__}); is it unlocked?") from None
        try:
            return secret_from_text(text or "")
        except ValueError:
            raise KeyringError(
                f"os-keyring: has no root key of {home.shown} (service {SERVICE}, account {root.account})"
            ) from None


PROVIDER = _OsKeyring()
