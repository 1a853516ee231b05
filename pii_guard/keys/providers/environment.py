"""The root key in a variable of the environment, as containers are handed their secrets."""

from __future__ import annotations

import os

from pii_guard.crypto.secret import Secret
from pii_guard.errors import KeyringError
from pii_guard.keys.providers.base import Home, without_passphrase
from pii_guard.keys.roots import EnvironmentRoot
from pii_guard.keys.wrapping import secret_from_text

__all__ = ["PROVIDER"]

DEFAULT = "PII_GUARD_ROOT"


class _Environment:
    def make(self, home: Home, uri: str) -> tuple[EnvironmentRoot, Secret]:
        name = uri.removeprefix("env:").removeprefix("//") or DEFAULT
        try:
            root = EnvironmentRoot(name=name)
        except ValueError:
            raise KeyringError(f"{uri}: is no name of an environment variable") from None
        return root, self.open(home, root)

    def open(self, home: Home, root: EnvironmentRoot) -> Secret:
        without_passphrase(home)
        text = os.environ.get(root.name)
        if not text:
            raise KeyringError(f"{home.shown}: its root key is in the variable {root.name}, which is not set")
        try:
            return secret_from_text(text)
        except ValueError:
            raise KeyringError(
                f"{root.name}: is not 64 hexadecimal digits; `openssl rand -hex 32` makes a new root key"
            ) from None


PROVIDER = _Environment()
