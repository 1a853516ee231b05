"""The root key from a passphrase, by Argon2id. Nobody can restore it."""

from __future__ import annotations

from pii_guard.crypto.secret import Secret
from pii_guard.errors import UsageError, WrongPassphraseError
from pii_guard.keys.providers.base import Home
from pii_guard.keys.roots import PassphraseRoot
from pii_guard.keys.wrapping import new_passphrase_root, root_from_passphrase

__all__ = ["PROVIDER"]


class _Passphrase:
    def make(self, home: Home, uri: str) -> tuple[PassphraseRoot, Secret]:
        if home.passphrase is None:
            raise UsageError("the provider passphrase: needs --passphrase-file or PII_GUARD_PASSPHRASE")
        if not home.passphrase:
            raise UsageError("the passphrase is empty")
        parameters = new_passphrase_root()
        return parameters, root_from_passphrase(home.passphrase, parameters)

    def open(self, home: Home, root: PassphraseRoot) -> Secret:
        if home.passphrase is None:
            raise WrongPassphraseError(
                f"{home.shown}: needs its passphrase; give it with --passphrase-file or in PII_GUARD_PASSPHRASE"
            )
        return root_from_passphrase(home.passphrase, root)


PROVIDER = _Passphrase()
