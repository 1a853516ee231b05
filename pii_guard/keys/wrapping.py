"""Keys that protect keys: the text form of a secret, one key wrapped under another, seals of files."""

from __future__ import annotations

import hmac
import os
import unicodedata

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from pii_guard.crypto.secret import Secret, canonical
from pii_guard.keys.roots import PassphraseRoot

__all__ = [
    "epoch_key",
    "new_passphrase_root",
    "root_from_passphrase",
    "seal",
    "secret_from_text",
    "secret_to_text",
    "unwrap",
    "wrap",
]

# The minimum that the OWASP Password Storage Cheat Sheet recommends: 19 MiB, 2 passes, 1 lane.
_MEMORY_KIB, _ITERATIONS, _LANES = 19 * 1024, 2, 1
_FORMAT = b"pii-guard/1"


def new_passphrase_root() -> PassphraseRoot:
    """Fresh parameters for `root_from_passphrase`, to be stored in the open."""
    return PassphraseRoot(salt=os.urandom(16).hex(), memory_kib=_MEMORY_KIB, iterations=_ITERATIONS, lanes=_LANES)


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


def secret_to_text(secret: Secret) -> str:
    """The text form of a secret: hexadecimal digits."""
    return secret.expose().hex()


def secret_from_text(text: str) -> Secret:
    """The inverse of `secret_to_text`. Raises ValueError for anything but 64 hexadecimal digits."""
    raw = bytes.fromhex(text.strip())
    if len(raw) != 32:
        raise ValueError("not 32 bytes")
    return Secret(raw)


def epoch_key(kek: Secret, epoch: Secret, epoch_id: str) -> Secret:
    """What wraps the keys of an epoch: without either of the two secrets there is no way to it."""
    return Secret(kek.expose() + epoch.expose()).derive(canonical(_FORMAT, b"epoch", epoch_id.encode()), 32)


def seal(root: Secret, label: bytes, content: bytes) -> str:
    """HMAC-SHA256 of `content` under a key of its own for `label`, in hexadecimal."""
    return hmac.digest(root.derive(canonical(_FORMAT, label), 32).expose(), content, "sha256").hex()


def _cipher(key: Secret) -> AESSIV:
    return AESSIV(key.derive(canonical(_FORMAT, b"wrap"), 64).expose())


def wrap(key: Secret, secret: Secret, context: bytes) -> str:
    """`secret` encrypted under `key` and bound to `context`, in hexadecimal. AES-SIV was made for this: no nonce."""
    return _cipher(key).encrypt(secret.expose(), [context]).hex()


def unwrap(key: Secret, wrapped: str, context: bytes) -> Secret | None:
    """The inverse of `wrap`; None if the key, the context or the wrapped bytes are not those of the wrapping."""
    try:
        return Secret(_cipher(key).decrypt(bytes.fromhex(wrapped), [context]))
    except InvalidTag:
        return None
