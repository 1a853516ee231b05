"""The bytes of a token, version 1 (docs/FORMAT.md, Token): header, padding, lengths, text form. No keys, no ciphers.

Works on whole columns: values are `large_binary` arrays, tokens matrices (`pii_guard.crypto.buffers`), one for each
length that occurs.
"""

from __future__ import annotations

import binascii
import enum
import os
from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pybase64
from numpy.typing import NDArray

from pii_guard.crypto.buffers import (
    Index,
    Mask,
    Matrix,
    by_length,
    from_buffers,
    mask,
    not_null,
    to_buffers,
    whole,
)
from pii_guard.crypto.key import Mode
from pii_guard.crypto.siv import TAG_SIZE

__all__ = [
    "HEADER_SIZE",
    "MARKER_SIZE",
    "PREFIX",
    "SUITES",
    "Suite",
    "decoded",
    "header",
    "header_of",
    "labelled",
    "pad",
    "pad_one",
    "padded_size",
    "read",
    "read_one",
    "text_of_one",
    "to_text",
    "token_size",
    "uniform",
    "unpad",
    "unpad_one",
]

_MAGIC = bytes.fromhex("a60775")
PREFIX = "pgd1"
"""What every token of version 1 starts with: the base64url text of the magic bytes."""
_PREFIX = PREFIX.encode()
HEADER_SIZE = 9
_NONCE_SIZE = 12
MARKER_SIZE = 6

_SMALL = (17, 32, 62, 122, 242)
_BUCKETS = np.array(_SMALL, np.int64)
_STEP = 240
_EXTRA = b"-_"
"""The last two characters of base64url (RFC 4648, section 5)."""
_ALPHABET = np.zeros(256, np.bool_)
_ALPHABET[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")] = True


class Suite(enum.IntEnum):
    """Byte 3 of the header."""

    SIV_RANDOMIZED = 1
    SIV_DETERMINISTIC = 2
    SIV_BOUND = 3
    """Randomized, with the key of its row in the associated data."""

    @property
    def nonce_size(self) -> int:
        """Random bytes in front of the value, inside the encryption."""
        return 0 if self is Suite.SIV_DETERMINISTIC else _NONCE_SIZE

    @property
    def mode(self) -> Mode:
        """The mode of the keys that make its tokens."""
        return Mode.DETERMINISTIC if self is Suite.SIV_DETERMINISTIC else Mode.RANDOMIZED


_NUMBERS = frozenset(map(int, Suite))
SUITES: dict[Mode, Suite] = {Mode.RANDOMIZED: Suite.SIV_RANDOMIZED, Mode.DETERMINISTIC: Suite.SIV_DETERMINISTIC}
"""What a key makes of values that are bound to no row."""


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


@lru_cache(maxsize=256)
def labelled(magic: bytes, number: int, key_id: bytes) -> bytes:
    """What all that a key makes of one kind begins with, 9 bytes: magic, number, key id, check byte."""
    start = magic + bytes([number]) + key_id
    return start + _crc8(np.frombuffer(start, np.uint8)[None]).tobytes()


def header(suite: Suite, key_id: bytes) -> bytes:
    """The first 9 bytes of a token."""
    return labelled(_MAGIC, suite, key_id)


def header_of(number: int) -> bytes:
    """The header whose first 8 bytes are `number`."""
    start = number.to_bytes(8, "big")
    return header(Suite(start[3]), start[4:])


def padded_size(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The size after padding of values of `sizes` bytes: 17, 32, 62, 122, 242, then steps of 240; at least one more."""
    needed = np.asarray(sizes, np.int64) + 1
    bucket = _BUCKETS[np.minimum(np.searchsorted(_BUCKETS, needed), len(_BUCKETS) - 1)]
    return np.where(needed <= _BUCKETS[-1], bucket, 2 + -(-(needed - 2) // _STEP) * _STEP)


def _bucket(size: int) -> int:
    """`padded_size` of one value."""
    needed = size + 1
    return _SMALL[bisect_left(_SMALL, needed)] if needed <= _SMALL[-1] else 2 + -(-(needed - 2) // _STEP) * _STEP


def token_size(padded: int, suite: Suite) -> int:
    """The bytes of a token, before base64, that holds a value of `padded` bytes. Always a multiple of 3."""
    return HEADER_SIZE + TAG_SIZE + suite.nonce_size + padded + MARKER_SIZE


def _fits(size: int, suite: Suite) -> bool:
    """Whether a token of `suite` can have `size` bytes, before base64."""
    padded = size - token_size(0, suite)
    return padded > 0 and _bucket(padded - 1) == padded


def pad(values: pa.LargeBinaryArray, suite: Suite) -> Iterator[tuple[Index, Matrix]]:
    """`nonce | value | 0x80 | 0x00 ...` of each value that is not null, up to the next bucket; a fresh nonce each.

    (rows of one bucket, ascending, their bytes) for each bucket that occurs.
    """
    rows, sizes = not_null(values), np.diff(to_buffers(values)[0])
    if values.null_count:
        sizes = sizes[rows]
    widths = np.repeat(padded_size(sizes[:1]), len(sizes)) if uniform(sizes) else padded_size(sizes)
    alone = uniform(widths)
    for width in [int(widths[0])] if alone else np.unique(widths).tolist():
        mine = rows if alone else rows[widths == width]
        padded = np.zeros((len(mine), suite.nonce_size + width), np.uint8)
        if suite.nonce_size:
            drawn = np.frombuffer(os.urandom(len(mine) * suite.nonce_size), np.uint8)
            whole(padded[:, : suite.nonce_size])[:] = whole(drawn.reshape(-1, suite.nonce_size))
        for alike, plain in by_length(values, mine):
            end = suite.nonce_size + plain.shape[1]
            places = slice(None) if len(alike) == len(mine) else np.searchsorted(mine, alike)
            if plain.shape[1]:
                whole(padded[:, suite.nonce_size : end])[places] = whole(plain)
            padded[places, end] = 0x80
        yield mine, padded


def uniform(numbers: NDArray[np.generic]) -> bool:
    """Whether there are any, and all are the same."""
    return len(numbers) > 0 and bool((numbers == numbers[0]).all())


def unpad(padded: Matrix, suite: Suite) -> tuple[pa.LargeBinaryArray, Mask]:
    """The values without nonce and padding that are padded as `pad` does it, and which these are."""
    body = padded[:, suite.nonce_size :]
    width = body.shape[1]
    # The padding starts at the last byte that is not zero.
    end = width - 1 - int(np.argmax(body[0, ::-1] != 0)) if len(body) else 0
    if end > 0 and _ends_at(body, end) and _bucket(end) == width:  # most columns have one length
        plain = np.empty((len(body), end), np.uint8)
        whole(plain)[:] = whole(body[:, :end])
        return from_buffers(np.arange(len(body) + 1) * end, plain.reshape(-1)), np.ones(len(body), np.bool_)
    ends = width - 1 - np.argmax(body[:, ::-1] != 0, axis=1)
    right = (body[np.arange(len(body)), ends] == 0x80) & (padded_size(ends) == width)
    sizes = ends[right]
    plain = body[right][np.arange(width) < sizes[:, None]]
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return from_buffers(offsets, plain), right


def _ends_at(body: Matrix, end: int) -> bool:
    """Whether the padding of every row starts at byte `end`."""
    # a column at a time: over rows of a few bytes NumPy's loops cost ten times as much
    behind = (np.count_nonzero(body[:, place]) for place in range(end + 1, body.shape[1]))
    return bool((body[:, end] == 0x80).all()) and not any(behind)


def pad_one(value: bytes, suite: Suite) -> bytes:
    """What `pad` makes of one value."""
    return os.urandom(suite.nonce_size) + value + b"\x80" + bytes(_bucket(len(value)) - len(value) - 1)


def unpad_one(padded: bytes, suite: Suite) -> bytes | None:
    """What `unpad` makes of one value; None where it is not padded so."""
    value, mark, rest = padded[suite.nonce_size :].rpartition(b"\x80")
    right = mark and not any(rest) and _bucket(len(value)) == len(padded) - suite.nonce_size
    return value if right else None


def read_one(text: bytes) -> bytes | None:
    """The bytes of a text that has the form of a token, as `read` sees it; None for any other."""
    raw = decoded(text) if text.startswith(_PREFIX) and len(text) % 4 == 0 else None
    if raw is None or len(raw) < HEADER_SIZE or raw[3] not in _NUMBERS:
        return None
    suite = Suite(raw[3])
    return raw if raw.startswith(header(suite, raw[4:8])) and _fits(len(raw), suite) else None


def to_text(tokens: Matrix) -> Matrix:
    """base64url without '=' of each token: one call for all, as every size is a multiple of 3."""
    text = pybase64.b64encode(tokens.reshape(-1).data, _EXTRA)
    return np.frombuffer(text, np.uint8).reshape(len(tokens), -1)


def text_of_one(token: bytes) -> bytes:
    """What `to_text` makes of one token."""
    return pybase64.b64encode(token, _EXTRA)


def _from_text(texts: Matrix) -> tuple[Mask, Matrix]:
    """Which texts, each a multiple of 4 long, are base64url without '=', and the bytes of these."""
    right = np.ones(len(texts), np.bool_)
    raw = decoded(texts.tobytes())
    if raw is None:  # few columns have a text that is not: only they pay for a look at every character
        right = np.asarray(_ALPHABET[texts].all(axis=1))
        raw = pybase64.b64decode(texts[right].tobytes(), _EXTRA)
    return right, np.frombuffer(raw, np.uint8).reshape(int(right.sum()), texts.shape[1] // 4 * 3)


def decoded(text: bytes) -> bytes | None:
    """The bytes of base64url, or None where any character is of another alphabet."""
    if any(other in text for other in (b"+", b"/", b"=")):
        return None
    try:
        return pybase64.b64decode(text, _EXTRA, validate=True)
    except binascii.Error:
        return None


def read(texts: pa.LargeBinaryArray) -> Iterator[tuple[Index, Matrix, NDArray[np.uint64]]]:
    """For each length of token that occurs: the rows that have the form of a token (nulls have not), ascending, their
    bytes, and the first 8 bytes of each as a number.

    These 8 bytes, big-endian, are the header without its check byte: `header_of` turns them back.
    """
    begun = np.flatnonzero(mask(pc.starts_with(texts, PREFIX)))
    for rows, shown in by_length(texts, begun):
        size = shown.shape[1] // 4 * 3
        suites = [suite for suite in Suite if _fits(size, suite)]
        if shown.shape[1] % 4 or not suites:
            continue
        right, tokens = _from_text(shown)
        numbers = np.ndarray((len(tokens),), ">u8", tokens, 0, (size,)).astype(np.uint64)
        formed = tokens[:, HEADER_SIZE - 1] == _check_bytes(numbers, suites)
        if not right.all():
            rows = rows[right]
        if not formed.all():
            rows, tokens, numbers = rows[formed], tokens[formed], numbers[formed]
        if len(rows):
            yield rows, tokens, numbers


def has_head(texts: pa.LargeBinaryArray) -> Mask:
    """Which values begin with a whole header, right to its check byte, whatever follows."""
    right = np.zeros(len(texts), np.bool_)
    heads = pc.binary_slice(texts, 0, HEADER_SIZE // 3 * 4)
    for rows, shown in by_length(heads, np.flatnonzero(mask(pc.equal(pc.binary_length(heads), HEADER_SIZE // 3 * 4)))):
        fit, raw = _from_text(shown)
        numbers = np.ndarray((len(raw),), ">u8", raw, 0, (HEADER_SIZE,)).astype(np.uint64)
        right[rows[fit]] = raw[:, HEADER_SIZE - 1] == _check_bytes(numbers, list(Suite))
    return right


def _check_bytes(numbers: NDArray[np.uint64], suites: list[Suite]) -> NDArray[np.int16]:
    """The check byte that belongs to each start of a header; -1 where it is no such start, or of none of `suites`."""
    if uniform(numbers):
        start = int(numbers[0]).to_bytes(8, "big")
        known = start[:3] == _MAGIC and start[3] in suites
        return np.full(len(numbers), header_of(int(numbers[0]))[-1] if known else -1, np.int16)
    different, places = np.unique(numbers, return_inverse=True)
    return _checked(different, suites)[places]


def _checked(numbers: NDArray[np.uint64], suites: list[Suite]) -> NDArray[np.int16]:
    headers = numbers.astype(">u8").view(np.uint8).reshape(-1, 8)
    known = (headers[:, :3] == np.frombuffer(_MAGIC, np.uint8)).all(axis=1) & np.isin(headers[:, 3], suites)
    return np.where(known, _crc8(headers), np.int16(-1))
