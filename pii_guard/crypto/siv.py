"""AES-SIV (RFC 5297) and AES-CMAC (RFC 4493) over many byte strings of one length.

Many strings go through `pii_guard.crypto.lockstep` together. Few, and long ones, go through `cryptography` one after
the other, which gives the same bytes. A round costs a few microseconds however many strings there are, so that lock
step pays from some 30 short strings on, and from some 300 of 4 KB.

A matrix is a uint8 array (rows, width), one string a row, its bytes side by side; rows may stand apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from pii_guard.crypto.buffers import Mask, Matrix
from pii_guard.crypto.lockstep import BLOCK, Cmac, Siv
from pii_guard.crypto.secret import Secret

__all__ = ["CMAC_SIZE", "TAG_SIZE", "cmac", "decrypt", "encrypt"]

TAG_SIZE = CMAC_SIZE = BLOCK
MANY, WIDE = 32, 8
"""Lock step is faster from `MANY` strings on, and one more for every `WIDE` bytes that they have."""
LONG = 4_096
"""Bytes of a string in lock step at most: its working memory grows with them."""


def _in_step(strings: Matrix, width: int) -> bool:
    return len(strings) >= MANY + width // WIDE and 0 < width <= LONG


def _rows(results: list[bytes], width: int) -> Matrix:
    return np.frombuffer(b"".join(results), np.uint8).reshape(len(results), width)


def encrypt(key: Secret, associated: Sequence[bytes], values: Matrix, out: Matrix | None = None) -> Matrix:
    """(n, 16 + width): tag and ciphertext of each value under `key` (64 bytes) and the associated data, in order.

    `out`: where to put them, else a new matrix.
    """
    width, context = values.shape[1], list(associated)
    sealed = np.empty((len(values), TAG_SIZE + width), np.uint8) if out is None else out
    if _in_step(values, width):
        Siv(key.expose(), context).encrypt(values, sealed)
    else:
        cipher = AESSIV(key.expose())
        sealed[:] = _rows([cipher.encrypt(value.tobytes(), context) for value in values], TAG_SIZE + width)
    return sealed


def decrypt(key: Secret, associated: Sequence[bytes], sealed: Matrix) -> tuple[Matrix, Mask]:
    """The inverse of `encrypt`, and which rows verify; the others are zeros. Nothing unverified is ever returned."""
    width, context = sealed.shape[1] - TAG_SIZE, list(associated)
    if width <= 0:  # `encrypt` makes no such thing of a value
        return np.zeros((len(sealed), 0), np.uint8), np.zeros(len(sealed), np.bool_)
    if _in_step(sealed, width):
        return Siv(key.expose(), context).decrypt(sealed)
    cipher, nothing = AESSIV(key.expose()), bytes(width)

    def one(row: bytes) -> tuple[bytes, bool]:
        try:
            return cipher.decrypt(row, context), True
        except InvalidTag:
            return nothing, False

    opened = [one(row.tobytes()) for row in sealed]
    return _rows([value for value, _ in opened], width), np.array([right for _, right in opened], np.bool_)


def cmac(key: Secret, prefix: bytes, values: Matrix) -> Matrix:
    """(n, 16): AES-CMAC of `prefix | value` under `key` (32 bytes) for each value."""
    if _in_step(values, values.shape[1]):
        return Cmac(key.expose(), prefix).of(values)
    start = CMAC(AES(key.expose()))
    start.update(prefix)

    def one(value: bytes) -> bytes:
        state = start.copy()
        state.update(value)
        return state.finalize()

    return _rows([one(value.tobytes()) for value in values], CMAC_SIZE)
