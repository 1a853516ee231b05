"""AES-SIV (RFC 5297) and AES-CMAC (RFC 4493) over many byte strings of one length.

Many strings go through `pii_guard.crypto.lockstep` together. Few, and long ones, go through `cryptography` one after
the other, which gives the same bytes. A round costs a few microseconds however many strings there are, so that lock
step pays from some 30 short strings on, and from some 300 of 4 KB.

Associated data are the same for all strings. `own`, where it is given, is one more item behind them for each string,
none of them null or empty.

A matrix is a uint8 array (rows, width), one string a row, its bytes side by side; rows may stand apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from pii_guard.crypto.buffers import Mask, Matrix, by_length
from pii_guard.crypto.lockstep import BLOCK, Cmac, Siv
from pii_guard.crypto.secret import Secret

__all__ = ["CMAC_SIZE", "TAG_SIZE", "cmac", "cmac_of_one", "decrypt", "encrypt", "one_by_one"]

TAG_SIZE = CMAC_SIZE = BLOCK
MANY, WIDE = 32, 8
"""Lock step is faster from `MANY` strings on, and one more for every `WIDE` bytes that they have."""
LONG = 4_096
"""Bytes of a string in lock step at most: its working memory grows with them."""


def _in_step(strings: Matrix, width: int) -> bool:
    return len(strings) >= MANY + width // WIDE and 0 < width <= LONG


def _together(strings: Matrix, width: int, own: pa.LargeBinaryArray | None) -> bool:
    return _in_step(strings, width) and (own is None or width >= BLOCK)


def _macs(key: Secret, own: pa.LargeBinaryArray | None) -> Matrix | None:
    """(n, 16): what S2V takes of each item."""
    if own is None:
        return None
    half = Secret(key.expose()[: len(key.expose()) // 2])
    macs = np.empty((len(own), CMAC_SIZE), np.uint8)
    for rows, items in by_length(own):
        macs[rows] = cmac(half, b"", items)
    return macs


def _items(own: pa.LargeBinaryArray | None, count: int) -> list[tuple[bytes, ...]]:
    return [()] * count if own is None else [(item,) for item in own.to_pylist()]


def _rows(results: list[bytes], width: int) -> Matrix:
    return np.frombuffer(b"".join(results), np.uint8).reshape(len(results), width)


def one_by_one(key: Secret, associated: Sequence[bytes]) -> tuple[Callable[..., bytes], Callable[..., bytes | None]]:
    """`encrypt` and `decrypt` of one string, and of what is its own; the latter gives None where it does not verify."""
    cipher, context = AESSIV(key.expose()), list(associated)

    def opened(sealed: bytes, *own: bytes) -> bytes | None:
        try:
            return cipher.decrypt(sealed, [*context, *own])
        except InvalidTag:
            return None

    return lambda value, *own: cipher.encrypt(value, [*context, *own]), opened


def cmac_of_one(key: Secret, prefix: bytes) -> Callable[[bytes], bytes]:
    """`cmac` of one string."""
    start = CMAC(AES(key.expose()))
    start.update(prefix)

    def made(value: bytes) -> bytes:
        state = start.copy()
        state.update(value)
        return state.finalize()

    return made


def encrypt(
    key: Secret,
    associated: Sequence[bytes],
    values: Matrix,
    out: Matrix | None = None,
    own: pa.LargeBinaryArray | None = None,
) -> Matrix:
    """(n, 16 + width): tag and ciphertext of each value under `key` (64 bytes) and the associated data, in order.

    `out`: where to put them, else a new matrix.
    """
    width, context = values.shape[1], list(associated)
    sealed = np.empty((len(values), TAG_SIZE + width), np.uint8) if out is None else out
    if _together(values, width, own):
        Siv(key.expose(), context).encrypt(values, sealed, _macs(key, own))
    else:
        seal, _ = one_by_one(key, context)
        made = [seal(value.tobytes(), *item) for value, item in zip(values, _items(own, len(values)), strict=True)]
        sealed[:] = _rows(made, TAG_SIZE + width)
    return sealed


def decrypt(
    key: Secret, associated: Sequence[bytes], sealed: Matrix, own: pa.LargeBinaryArray | None = None
) -> tuple[Matrix, Mask]:
    """The inverse of `encrypt`, and which rows verify; the others are zeros. Nothing unverified is ever returned."""
    width, context = sealed.shape[1] - TAG_SIZE, list(associated)
    if width <= 0:  # `encrypt` makes no such thing of a value
        return np.zeros((len(sealed), 0), np.uint8), np.zeros(len(sealed), np.bool_)
    if _together(sealed, width, own):
        return Siv(key.expose(), context).decrypt(sealed, _macs(key, own))
    _, unseal = one_by_one(key, context)
    opened = [unseal(row.tobytes(), *item) for row, item in zip(sealed, _items(own, len(sealed)), strict=True)]
    nothing = bytes(width)
    right = np.array([value is not None for value in opened], np.bool_)
    return _rows([nothing if value is None else value for value in opened], width), right


def cmac(key: Secret, prefix: bytes, values: Matrix) -> Matrix:
    """(n, 16): AES-CMAC of `prefix | value` under `key` (32 bytes) for each value."""
    if _in_step(values, values.shape[1]):
        return Cmac(key.expose(), prefix).of(values)
    made = cmac_of_one(key, prefix)
    return _rows([made(value.tobytes()) for value in values], CMAC_SIZE)
