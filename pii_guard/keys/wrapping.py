"""Keys that protect keys: the root of a key directory, and wrapping one key under another."""

from __future__ import annotations

import os
import unicodedata

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from pii_guard.crypto.secret import Secret, canonical
from pii_guard.keys.document import PassphraseRoot

__all__ = ["new_passphrase_root", "root_from_passphrase", "root_from_text", "root_to_text", "unwrap", "wrap"]

# The minimum that the OWASP Password Storage Cheat Sheet recommends: 19 MiB, 2 passes, 1 lane.
_MEMORY_KIB, _ITERATIONS, _LANES = 19 * 1024, 2, 1


def new_passphrase_root() -> PassphraseRoot:
    """Fresh parameters for `root_from_passphrase`, to be stored in the open."""
    return PassphraseRoot(
        kind="argon2id", salt=os.urandom(16).hex(), memory_kib=_MEMORY_KIB, iterations=_ITERATIONS, lanes=_LANES
    )


def root_from_passphrase(passphrase: str, root: PassphraseRoot) -> Secret:
    """Argon2id (RFC 9106) of the passphrase, in NFC: a keyboard and a file may spell the same Hangul differently."""
    kdf = Argon2id(
        salt=bytes.fromhex(root.salt),
        length=32,
        iterations=root.iterations,
        lanes=root.lanes,
        memory_cost=root.memory_kib,
    )
    return Secret(kdf.derive(unicodedata.normalize("NFC", passphrase).encode()))


def root_to_text(root: Secret) -> str:
    """The content of the file root.secret."""
    return root.expose().hex() + "\n"


def root_from_text(text: str) -> Secret:
    """The inverse of `root_to_text`. Raises ValueError for anything but 64 hexadecimal digits."""
    raw = bytes.fromhex(text.strip())
    if len(raw) != 32:
        raise ValueError("not 32 bytes")
    return Secret(raw)


def _cipher(key: Secret) -> AESSIV:
    return AESSIV(key.derive(canonical(b"pii-guard/1", b"wrap"), 64).expose())


def wrap(key: Secret, secret: Secret, context: bytes) -> str:
    """`secret` encrypted under `key` and bound to `context`, in hexadecimal. AES-SIV was made for this: no nonce."""
    return _cipher(key).encrypt(secret.expose(), [context]).hex()


def unwrap(key: Secret, wrapped: str, context: bytes) -> Secret | None:
    """The inverse of `wrap`; None if the key, the context or the wrapped bytes are not those of the wrapping."""
    try:
        return Secret(_cipher(key).decrypt(bytes.fromhex(wrapped), [context]))
    except InvalidTag:
        return None
