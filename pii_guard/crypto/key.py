"""Handles for the keys of one column. They carry what the ciphers need and show nothing of it."""

from __future__ import annotations

import enum

from pii_guard.crypto.secret import Handle, Secret, canonical

__all__ = ["KEY_ID_SIZE", "ColumnKey", "MarkerKey", "Mode"]

KEY_ID_SIZE = 4
_FORMAT = b"pii-guard/1"


class Mode(enum.StrEnum):
    """How the values of a column are encrypted."""

    RANDOMIZED = "randomized"
    """Equal values give different tokens."""
    DETERMINISTIC = "deterministic"
    """Equal values give equal tokens; whoever reads the column learns which rows are equal."""


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

    __slots__ = ("commitment", "field", "key_id", "marker", "mode", "secret", "siv")

    def __init__(self, key_id: bytes, field: str, secret: Secret, mode: Mode = Mode.RANDOMIZED) -> None:
        if len(key_id) != KEY_ID_SIZE or len(secret.expose()) != 32:
            raise ValueError("a column key has a key id of 4 bytes and a data key of 32 bytes")

        def derive(label: bytes, size: int) -> Secret:
            return secret.derive(canonical(_FORMAT, label, key_id, field.encode()), size)

        self.key_id = key_id
        self.field = field
        self.mode = mode
        self.secret = secret
        self.siv = derive(b"siv", 64)
        self.marker = MarkerKey(key_id, field, derive(b"marker", 32))
        self.commitment = derive(b"commitment", 32).expose()
        """Says which data key this is without showing it. Public: AES-SIV alone accepts a token under several keys."""
