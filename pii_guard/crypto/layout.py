"""The bytes of a token, version 1 (docs/FORMAT.md, Token): header, padding, lengths, text form. No keys, no ciphers.

Works on whole columns: lengths and headers are NumPy arrays, values `large_binary` arrays without nulls.
"""

from __future__ import annotations

import base64
import enum
import os

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pii_guard.crypto.buffers import Mask, from_buffers, join, mask, to_buffers, where
from pii_guard.crypto.key import Mode
from pii_guard.crypto.siv import TAG_SIZE

__all__ = [
    "HEADER_SIZE",
    "MARKER_SIZE",
    "SUITES",
    "Suite",
    "header",
    "header_of",
    "pad",
    "padded_size",
    "read",
    "to_text",
    "token_size",
    "unpad",
]

_MAGIC = bytes.fromhex("a60775")
_PREFIX = "pgd1"
"""What every token of version 1 starts with: the base64url text of the magic bytes."""
HEADER_SIZE = 9
_NONCE_SIZE = 12
MARKER_SIZE = 6

_BUCKETS = np.array([17, 32, 62, 122, 242], np.int64)
_STEP = 240
_BASE64URL = r"\A(?:[0-9A-Za-z_-]{4})+\z"


class Suite(enum.IntEnum):
    """Byte 3 of the header."""

    SIV_RANDOMIZED = 1
    SIV_DETERMINISTIC = 2

    @property
    def nonce_size(self) -> int:
        """Random bytes in front of the value, inside the encryption."""
        return _NONCE_SIZE if self is Suite.SIV_RANDOMIZED else 0


SUITES = {Mode.RANDOMIZED: Suite.SIV_RANDOMIZED, Mode.DETERMINISTIC: Suite.SIV_DETERMINISTIC}


def _crc8_table() -> NDArray[np.uint8]:
    table = np.arange(256, dtype=np.uint8)
    for _ in range(8):
        table = (table << np.uint8(1)) ^ (table >> np.uint8(7)) * np.uint8(0x07)
    return table


_CRC8 = _crc8_table()


def _crc8(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """CRC-8 (polynomial 0x07, start 0, not reflected, no final XOR) of each row of an (n, width) array."""
    crc = np.zeros(len(rows), np.uint8)
    for column in range(rows.shape[1]):
        crc = _CRC8[crc ^ rows[:, column]]
    return crc


def header(suite: Suite, key_id: bytes) -> bytes:
    """The first 9 bytes of a token: magic, suite, key id, check byte."""
    start = _MAGIC + bytes([suite]) + key_id
    return start + _crc8(np.frombuffer(start, np.uint8)[None]).tobytes()


def header_of(number: int) -> bytes:
    """The header whose first 8 bytes are `number`."""
    start = number.to_bytes(8, "big")
    return header(Suite(start[3]), start[4:])


def _has_check(headers: NDArray[np.uint8]) -> Mask:
    """Which rows of an (n, 9) array start with the magic bytes and end with their check byte."""
    magic = (headers[:, :3] == np.frombuffer(_MAGIC, np.uint8)).all(axis=1)
    return np.asarray(magic & (_crc8(headers[:, :8]) == headers[:, 8]))


def padded_size(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The size after padding of values of `sizes` bytes: 17, 32, 62, 122, 242, then steps of 240; at least one more."""
    needed = np.asarray(sizes, np.int64) + 1
    bucket = _BUCKETS[np.minimum(np.searchsorted(_BUCKETS, needed), len(_BUCKETS) - 1)]
    return np.where(needed <= _BUCKETS[-1], bucket, 2 + -(-(needed - 2) // _STEP) * _STEP)


def token_size(padded: int, suite: Suite) -> int:
    """The bytes of a token, before base64, that holds a value of `padded` bytes. Always a multiple of 3."""
    return HEADER_SIZE + TAG_SIZE + suite.nonce_size + padded + MARKER_SIZE


def _is_token_size(sizes: NDArray[np.int64], suites: NDArray[np.uint8]) -> Mask:
    """Which sizes (bytes, before base64) a token of the suite at the same place can have; False for unknown suites."""
    fits = np.zeros(len(sizes), np.bool_)
    for suite in Suite:
        padded = sizes - token_size(0, suite)
        fits |= (suites == suite) & (padded > 0) & (padded_size(padded - 1) == padded)
    return fits


_PADDING = pa.array([b""] + [b"\x80" + bytes(size - 1) for size in range(1, _STEP + 1)], pa.large_binary())


def pad(values: pa.LargeBinaryArray, suite: Suite) -> pa.LargeBinaryArray:
    """`nonce | value | 0x80 | 0x00 ...` for each value, up to the next bucket; a fresh nonce each."""
    offsets, _ = to_buffers(values)
    sizes = np.diff(offsets)
    padding = _PADDING.take(padded_size(sizes) - sizes)
    width = suite.nonce_size
    if not width:
        return join(values, padding)
    nonces = from_buffers(np.arange(len(values) + 1, dtype=np.int64) * width, os.urandom(len(values) * width))
    return join(nonces, values, padding)


def unpad(padded: pa.LargeBinaryArray, suite: Suite) -> tuple[pa.LargeBinaryArray, Mask]:
    """The values without nonce and padding, and which of them are padded as `pad` does it; the others are empty."""
    offsets, data = to_buffers(padded)
    starts, stops = offsets[:-1] + suite.nonce_size, offsets[1:]
    # The padding starts at the last byte that is not zero; position -1 stands before every value.
    filled = np.concatenate((np.array([-1]), np.flatnonzero(data)))
    ends = filled[np.searchsorted(filled, stops) - 1]
    right = ends >= starts
    right[right] = data[ends[right]] == 0x80
    right &= padded_size(np.where(right, ends - starts, 0)) == stops - starts
    starts, ends = starts[right], ends[right]
    # Counting starts and ends along the data marks the bytes between them: one pass, whatever the lengths.
    edges = np.zeros(len(data) + 1, np.int8)
    edges[starts] += 1
    edges[ends] -= 1
    kept = data[np.cumsum(edges[:-1], dtype=np.int8).view(np.bool_)]
    sizes = np.zeros(len(padded) + 1, np.int64)
    sizes[1:][right] = ends - starts
    return from_buffers(np.cumsum(sizes), kept), right


def to_text(tokens: pa.LargeBinaryArray) -> pa.LargeBinaryArray:
    """base64url without '=' of each token: one call for all, as every size is a multiple of 3."""
    offsets, data = to_buffers(tokens)
    text = base64.urlsafe_b64encode(data[offsets[0] : offsets[-1]].data)
    return from_buffers((offsets - offsets[0]) // 3 * 4, text)


def _from_text(texts: pa.LargeBinaryArray) -> pa.LargeBinaryArray:
    """The inverse of `to_text` for texts of base64url characters, each a multiple of 4 long."""
    offsets, data = to_buffers(texts)
    raw = base64.urlsafe_b64decode(data[offsets[0] : offsets[-1]].data)
    return from_buffers((offsets - offsets[0]) // 4 * 3, raw)


def read(texts: pa.LargeBinaryArray) -> tuple[NDArray[np.int64], pa.LargeBinaryArray, NDArray[np.uint64]]:
    """The rows that have the form of a token (nulls have not), their bytes, and the first 8 bytes of each as a number.

    These 8 bytes, big-endian, are the header without its check byte: `header_of` turns them back.
    """
    rows = np.flatnonzero(mask(pc.starts_with(texts, _PREFIX)))
    found = texts.take(rows)
    if len(rows):  # never run the expression over a column without tokens
        shaped = mask(pc.match_substring_regex(found, _BASE64URL))
        rows, found = rows[shaped], where(found, shaped)
    raw = _from_text(found)
    offsets, data = to_buffers(raw)
    sizes = np.diff(offsets)
    # A value shorter than a header shows its last byte again and is then refused for its size.
    headers = data[offsets[:-1, None] + np.minimum(np.arange(HEADER_SIZE), sizes[:, None] - 1)]
    right = _has_check(headers) & _is_token_size(sizes, headers[:, 3])
    numbers = np.ascontiguousarray(headers[right, :8]).view(">u8").astype(np.uint64).reshape(-1)
    return rows[right], where(raw, right), numbers
