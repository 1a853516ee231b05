"""Pseudonyms: HMAC-SHA-256 of a value under a key of its own (docs/FORMAT.md, Pseudonym). Nothing leads back."""

from __future__ import annotations

import hashlib
import hmac

import numpy as np
import pyarrow as pa

from pii_guard.crypto.buffers import assemble
from pii_guard.crypto.key import ColumnKey, Mode
from pii_guard.crypto.layout import labelled, to_text
from pii_guard.crypto.values import encode
from pii_guard.errors import UsageError

__all__ = ["hmac_column"]

_MAGIC = bytes.fromhex("a60875")
"""`pgh1` as text."""
_SIZE = 32
_TEXT = 43
"""Characters of 32 bytes in base64url without '='."""


def hmac_column(values: pa.Array, key: ColumnKey) -> pa.StringArray:
    """The pseudonym of each value; null stays null. Equal values of one key have equal pseudonyms.

    Each different value is hashed once; there is no SHA-256 of many values at once, so that it takes about 1 us. Raises
    UsageError for a key of another mode, and as `encrypt_column` for values that cannot be encrypted.
    """
    if key.mode is not Mode.HMAC:
        raise UsageError(f"{key.field}: a key in mode {key.mode} makes no pseudonyms")
    plain = encode(values, key.field).dictionary_encode()
    if not len(plain.dictionary):
        return pa.nulls(len(values), pa.string())
    start = hmac.new(key.hmac().expose(), digestmod=hashlib.sha256)

    def one(value: bytes) -> bytes:
        state = start.copy()
        state.update(value)
        return state.digest()

    label = np.frombuffer(labelled(_MAGIC, 1, key.key_id), np.uint8)
    raw = np.zeros((len(plain.dictionary), len(label) + _SIZE + 1), np.uint8)
    raw[:, : len(label)] = label
    digests = b"".join(one(value.as_py()) for value in plain.dictionary)
    raw[:, len(label) : -1] = np.frombuffer(digests, np.uint8).reshape(-1, _SIZE)
    texts = to_text(raw)[:, :-1]
    made = assemble([(np.arange(len(texts)), texts)], len(texts)).cast(pa.string())
    return made.take(plain.indices)
