"""Handles for the keys of one column. They carry what the ciphers need and show nothing of it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import NamedTuple

from pii_guard.crypto.secret import Handle, Secret, canonical
from pii_guard.crypto.siv import cmac_of_one, one_by_one

__all__ = ["KEY_ID_SIZE", "ColumnKey", "MarkerKey", "Mode"]

KEY_ID_SIZE = 4
_FORMAT = b"pii-guard/1"


class Mode(enum.StrEnum):
    """How the values of a column are encrypted."""

    RANDOMIZED = "randomized"
    """Equal values give different tokens."""
    DETERMINISTIC = "deterministic"
    """Equal values give equal tokens; whoever reads the column learns which rows are equal."""
    HMAC = "hmac"
    """Equal values give equal pseudonyms, from which nothing leads back."""


class Ciphers(NamedTuple):
    """What seals, opens and marks single values."""

    seal: Callable[..., bytes]
    unseal: Callable[..., bytes | None]
    mac: Callable[[bytes], bytes]


class MarkerKey(Handle):
    """Proves that tokens were made with one column key, without any means to open them.

    It can also forge markers: it convinces its holder, nobody else.
    """

    __slots__ = ("context", "field", "key_id", "secret")

    def __init__(self, key_id: bytes, field: str, secret: Secret) -> None:
        self.key_id = key_id
        self.field = field
        self.secret = secret
        self.context = canonical(b"pii-guard", b"1", field.encode())
        """The first item of associated data of every token: format, version, logical field."""


class ColumnKey(Handle):
    """What encrypts and decrypts one column: a data key bound to its key id, logical field and mode.

    `secret` is the data key, 32 bytes; all working keys are derived from it (docs/FORMAT.md, Keys of a column).
    Raises ValueError for a key id or secret of another size.
    """

    __slots__ = ("_ciphers", "_known", "commitment", "field", "key_id", "marker", "mode", "secret", "siv")

    def __init__(self, key_id: bytes, field: str, secret: Secret, mode: Mode = Mode.RANDOMIZED) -> None:
        if len(key_id) != KEY_ID_SIZE or len(secret.expose()) != 32:
            raise ValueError("a column key has a key id of 4 bytes and a data key of 32 bytes")
        self.key_id = key_id
        self.field = field
        self.mode = mode
        self.secret = secret
        self._known: dict[bytes, Secret] = {}
        self._ciphers: dict[bytes, Ciphers] = {}
        self.siv = self._derived(b"siv", 64)
        self.marker = MarkerKey(key_id, field, self._derived(b"marker", 32))
        self.commitment = self._derived(b"commitment", 32).expose()
        """Says which data key this is without showing it. Public: AES-SIV alone accepts a token under several keys."""

    def _derived(self, label: bytes, size: int) -> Secret:
        return self.secret.derive(canonical(_FORMAT, label, self.key_id, self.field.encode()), size)

    def _once(self, label: bytes) -> Secret:
        """A subkey of 32 bytes that few columns need, derived when it is asked for first."""
        if label not in self._known:
            self._known[label] = self._derived(label, 32)
        return self._known[label]

    def ciphers(self, header: bytes) -> Ciphers:
        """Those of tokens with this header, one of this key's. Made once: that takes longer than to use them."""
        if header not in self._ciphers:
            context = self.marker.context
            seal, unseal = one_by_one(self.siv, [context, header])
            self._ciphers[header] = Ciphers(seal, unseal, cmac_of_one(self.marker.secret, context + header))
        return self._ciphers[header]

    def index(self) -> Secret:
        """The key of the blind index of this column. It needs the data key, so that it is destroyed with it."""
        return self._once(b"index")

    def hmac(self) -> Secret:
        """The key of the pseudonyms of a column in mode `hmac`."""
        return self._once(b"hmac")
