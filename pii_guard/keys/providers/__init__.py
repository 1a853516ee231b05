"""Where root keys come from: one file a provider, and their table.

A provider that is named by a URI makes the root key of a new directory, and gives that of an existing one. A key
service can also wrap the key encryption keys of purposes, so that it decides who may open which.
"""

from __future__ import annotations

from importlib import import_module
from typing import cast

from pii_guard.crypto.secret import Secret
from pii_guard.errors import UsageError
from pii_guard.keys.document import RemoteKek
from pii_guard.keys.providers.base import Home, Provider, RemoteKeys
from pii_guard.keys.roots import Root

__all__ = ["PROVIDERS", "Home", "make_root", "open_root", "unwrap_kek", "wrap_kek"]

PROVIDERS = {
    "file:": ("secret", "directory", "root.secret in the key directory (the default)"),
    "passphrase:": ("argon2id", "passphrase", "a passphrase, by Argon2id (the default where one is given)"),
    "env://NAME": ("environment", "environment", "64 hexadecimal digits in an environment variable"),
    "os-keyring:": ("os-keyring", "os_keyring", "the keyring of the operating system"),
    "aws-kms://ARN": ("aws-kms", "aws_kms", "a key of AWS KMS"),
}
"""How a provider is named -> the `kind` of its root in keyring.json, its module here, what it is."""


def _module(name: str) -> Provider:
    return cast(Provider, import_module(f"pii_guard.keys.providers.{name}").PROVIDER)


def _remote(uri: str) -> RemoteKeys:
    if not uri.startswith("aws-kms://"):
        raise UsageError(f"{uri}: is no key of a key service; such a key is named aws-kms://ARN")
    return cast(RemoteKeys, import_module("pii_guard.keys.providers.aws_kms").PROVIDER)


def make_root(home: Home, uri: str) -> tuple[Root, Secret]:
    """The root of a new key directory. Raises UsageError for an unknown provider, KeyringError if it fails."""
    for form, (_, name, _) in PROVIDERS.items():
        scheme = form.partition(":")[0] + ":"
        if uri.startswith(scheme):
            return _module(name).make(home, uri)
    raise UsageError(f"{uri}: no such provider; there are {', '.join(PROVIDERS)}")


def open_root(home: Home, root: Root) -> Secret:
    """The root key. Raises WrongPassphraseError, or KeyringError where the provider does not give it."""
    name = next(name for kind, name, _ in PROVIDERS.values() if kind == root.kind)
    return _module(name).open(home, root)


def wrap_kek(uri: str, kek: Secret, keyring: str, purpose: str) -> RemoteKek:
    """A key encryption key under a key of a key service. Raises UsageError, KeyringError."""
    return _remote(uri).wrap(uri, kek, keyring, purpose)


def unwrap_kek(wrapped: RemoteKek, keyring: str, purpose: str) -> Secret:
    """The inverse of `wrap_kek`. Raises PurposeRefusedError where the service refuses, KeyringError if it fails."""
    return _remote(wrapped.uri).unwrap(wrapped, keyring, purpose)
