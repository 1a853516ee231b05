"""AES-SIV (RFC 5297) and AES-CMAC (RFC 4493) over many byte strings of one length, in lock step.

Round i does the i-th block of every string in one call of AES-ECB. This is the one module that uses ECB, which is
safe as a building block here and nowhere as a mode. Associated data are the same for all strings, so that S2V over
them, the CMAC subkeys and the padding fold into constants; one more item, the last, may be each string's own. The
strings are byte for byte what `AESSIV` and `CMAC` of `cryptography` make of them; known answers are computed at import,
and if one is wrong the import fails.

Strings are matrices (`pii_guard.crypto.buffers`) and have at least one byte; rows may stand apart. Working memory is
that of `CHUNK` strings. On one core of an AMD EPYC (Zen 3): 11 to 16 bytes 30 to 60 M strings/s, some 60 times one
`AESSIV` call a string (`benchmarks/encrypt.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from numpy.typing import NDArray

from pii_guard.crypto.buffers import Mask, Matrix, whole

__all__ = ["BLOCK", "Cmac", "Siv"]

Blocks: TypeAlias = NDArray[np.uint64]
"""(n, 2): one block of 16 bytes a row."""

BLOCK = 16
CHUNK = 8_192
"""Strings at a time, so that their blocks stay in the cache."""
TILE = 64
"""Blocks that a constant is laid out for, since NumPy adds one of 16 bytes ten times slower. Working memory has a
multiple of so many rows; what stands in those behind the last string is worked on and never looked at."""
_TOP = 1 << 127
_LAST_BYTE = BLOCK - 1


def _tile(block: bytes) -> NDArray[np.uint64]:
    """(2 * TILE,): for the blocks of `_lines`."""
    return np.frombuffer(block * TILE, np.uint64)


def _lines(blocks: Blocks) -> NDArray[np.uint64]:
    """Blocks that stand one behind the other, TILE in a row."""
    return blocks.reshape(-1, 2 * TILE)


def _working(rows: int) -> int:
    """How many rows working memory has for so many strings."""
    return -(-rows // TILE) * TILE


_START = _tile(bytes.fromhex("ffffffffffffffff7fffffff7fffffff"))
"""RFC 5297, 2.6: the counter starts at the tag without two of its bits. So its last 32 bits never carry."""


def _double(block: int) -> int:
    """Multiplication by x in GF(2^128), as RFC 4493 and 5297 have it."""
    return (block << 1 & 2 * _TOP - 1) ^ (0x87 if block & _TOP else 0)


def _padded(data: bytes) -> int:
    """`data`, shorter than a block, with a one bit and zeros behind it."""
    return int.from_bytes(data + b"\x80" + bytes(BLOCK - 1 - len(data)), "big")


class _Ecb:
    """AES-ECB under one key over whole buffers."""

    def __init__(self, key: bytes) -> None:
        self._cipher = Cipher(AES(key), ECB()).encryptor()  # noqa: S305 - a building block, see above

    def in_place(self, blocks: Blocks) -> None:
        """Encrypt all blocks but the last, which is room that `cryptography` asks for."""
        self._cipher.update_into(blocks[:-1].data.cast("B"), blocks.data.cast("B"))

    def one(self, block: int) -> int:
        return int.from_bytes(self._cipher.update(block.to_bytes(BLOCK, "big")), "big")


@dataclass(frozen=True, slots=True)
class _Shape:
    """How strings of one length fall into blocks."""

    length: int

    @property
    def count(self) -> int:
        return -(-self.length // BLOCK)

    @property
    def last(self) -> int:
        """Bytes in the last block, 1 to 16."""
        return self.length - BLOCK * (self.count - 1)

    def columns(self, strings: Matrix) -> Iterator[NDArray[np.void]]:
        """A view of each block of the strings."""
        for number in range(self.count):
            width = self.last if number == self.count - 1 else BLOCK
            yield whole(strings[:, BLOCK * number : BLOCK * number + width])

    def load(self, blocks: NDArray[np.uint64], strings: Matrix) -> None:
        """Fill `blocks` (count, n, 2) with those of the strings, zeros behind the last byte."""
        if self.last < BLOCK:
            blocks[-1] = 0
        for block, column in zip(blocks, self.columns(strings), strict=True):
            np.ndarray(column.shape, column.dtype, block, 0, (BLOCK,))[:] = column

    def clear_behind(self, blocks: NDArray[np.uint64]) -> None:
        """Make zeros of what stands behind the last byte of each string."""
        if self.last < BLOCK:
            last = _lines(blocks[-1])
            np.bitwise_and(last, _tile(b"\xff" * self.last + bytes(BLOCK - self.last)), out=last)

    def load_behind(self, blocks: NDArray[np.uint64], head: int, strings: Matrix) -> None:
        """Fill `blocks` with those of strings that follow `head` bytes; these, and zeros at the end, are there."""
        for number, block in enumerate(blocks):
            start, end = max(BLOCK * number - head, 0), min(BLOCK * (number + 1) - head, strings.shape[1])
            if start < end:
                at = max(head - BLOCK * number, 0)
                column = whole(strings[:, start:end])
                np.ndarray(column.shape, column.dtype, block, at, (BLOCK,))[:] = column

    def store(self, blocks: NDArray[np.uint64], strings: Matrix) -> None:
        """The inverse of `load`."""
        for block, column in zip(blocks, self.columns(strings), strict=True):
            column[:] = np.ndarray(column.shape, column.dtype, block, 0, (BLOCK,))


class _Scratch:
    """Working memory for the blocks of `rows` strings, reused from chunk to chunk: fresh pages cost more than AES."""

    def __init__(self, shape: _Shape, rows: int) -> None:
        self._blocks = np.empty((shape.count, _working(rows), 2), np.uint64)
        self._state = np.empty((_working(rows) + 1, 2), np.uint64)
        self._counters = np.empty((shape.count * _working(rows) + 1, 2), np.uint64)

    def blocks(self, rows: int) -> NDArray[np.uint64]:
        """Those of `rows` strings, and of the rows behind them."""
        return self._blocks[:, : _working(rows)]

    def state(self, rows: int) -> Blocks:
        """One block more than `rows`, which are working rows; see `_Ecb`."""
        return self._state[: rows + 1]

    def counters(self, rows: int) -> Blocks:
        """One block more than those of `rows`, which are working rows."""
        return self._counters[: len(self._blocks) * rows + 1]


class _Constants:
    """What is added to the blocks of every string."""

    def __init__(self, constants: Sequence[int]) -> None:
        self._tiles = [_tile(constant.to_bytes(BLOCK, "big")) if constant else None for constant in constants]

    def add(self, number: int, blocks: Blocks) -> None:
        tile = self._tiles[number]
        if tile is not None:
            lines = _lines(blocks)
            np.bitwise_xor(lines, tile, out=lines)


class Cmac:
    """AES-CMAC under one key; all strings begin with `prefix`."""

    def __init__(self, key: bytes, prefix: bytes = b"") -> None:
        self._ecb = _Ecb(key)
        self._first = _double(self._ecb.one(0))
        self._second = _double(self._first)
        whole = (len(prefix) - 1) // BLOCK * BLOCK if prefix else 0  # the last block of a string is never whole here
        self._state = 0
        for place in range(0, whole, BLOCK):
            self._state = self._ecb.one(self._state ^ int.from_bytes(prefix[place : place + BLOCK], "big"))
        self._rest = prefix[whole:]

    def one(self, data: bytes) -> int:
        """The CMAC of one string, block by block. RFC 4493."""
        text, state = self._rest + data, self._state
        whole = max(len(text) - 1, 0) // BLOCK * BLOCK
        for place in range(0, whole, BLOCK):
            state = self._ecb.one(state ^ int.from_bytes(text[place : place + BLOCK], "big"))
        tail = text[whole:]
        closing = int.from_bytes(tail, "big") ^ self._first if len(tail) == BLOCK else _padded(tail) ^ self._second
        return self._ecb.one(state ^ closing)

    def of(self, strings: Matrix) -> Matrix:
        """(n, 16): the CMAC of `prefix` and each string."""
        head, (count, width) = len(self._rest), strings.shape
        shape, step = _Shape(head + width), min(count, CHUNK)
        start = self._state ^ int.from_bytes(self._rest + bytes(BLOCK - head), "big")
        constants, scratch = _Constants(self.constants(shape, start)), _Scratch(shape, step)
        macs = np.empty((count, 2), np.uint64)
        scratch.blocks(step)[[0, -1]] = 0
        for first in range(0, count, CHUNK):
            part = strings[first : first + CHUNK]
            blocks = scratch.blocks(len(part))
            shape.load_behind(blocks, head, part)
            macs[first : first + len(part)] = self.run(blocks, constants, scratch)[: len(part)]
        return macs.view(np.uint8)

    def constants(self, shape: _Shape, start: int = 0, *, end: int = 0) -> list[int]:
        """What is added to each block: `start` to the first; subkey and padding to the last; `end` to the last 16
        bytes of the string, which may lie in two blocks."""
        whole = shape.last == BLOCK
        closing = self._first if whole else _padded(bytes(shape.last)) ^ self._second
        added = [0] * shape.count
        added[0] ^= start
        added[-1] ^= closing
        behind = 8 * (BLOCK - shape.last)
        added[-1] ^= end << behind & 2 * _TOP - 1
        if shape.count > 1:
            added[-2] ^= end << behind >> 8 * BLOCK
        return added

    def run(self, blocks: NDArray[np.uint64], constants: _Constants, scratch: _Scratch) -> Blocks:
        """The CMACs of strings that are loaded as `blocks`, which stay as they are; a part of `scratch`."""
        room = scratch.state(blocks.shape[1])
        state = room[:-1]
        state[:] = blocks[0]
        for number in range(len(blocks)):
            if number:
                np.bitwise_xor(state, blocks[number], out=state)
            constants.add(number, state)
            self._ecb.in_place(room)
        return state


class Siv:
    """AES-SIV under one key of 32, 48 or 64 bytes; the associated data are the same for all strings.

    Strings of a block or more may have one item of their own behind these: `own` (n, 16) are the CMACs of those items
    under the first half of the key, which is all that S2V takes of an item.
    """

    def __init__(self, key: bytes, associated: Sequence[bytes]) -> None:
        half = len(key) // 2
        self._mac, self._ecb = Cmac(key[:half]), _Ecb(key[half:])
        self._s2v = self._mac.one(bytes(BLOCK))
        for item in associated:
            self._s2v = _double(self._s2v) ^ self._mac.one(item)

    def _constants(self, shape: _Shape, own: Matrix | None = None) -> _Constants:
        if own is not None:  # RFC 5297, 2.4: the item's own CMAC is added after this doubling, by `_s2v_of`
            return _Constants(self._mac.constants(shape, end=_double(self._s2v)))
        if shape.length >= BLOCK:
            return _Constants(self._mac.constants(shape, end=self._s2v))
        # RFC 5297, 2.4: a short string is padded and becomes one whole block
        padding = _padded(bytes(shape.length))
        return _Constants([_double(self._s2v) ^ padding ^ self._mac.constants(_Shape(BLOCK))[0]])

    def encrypt(self, strings: Matrix, out: Matrix, own: Matrix | None = None) -> None:
        """Fill `out` (n, 16 + length) with the tag and the ciphertext of each string."""
        count, length = strings.shape
        shape, step = _Shape(length), min(count, CHUNK)
        constants, scratch = self._constants(shape, own), _Scratch(shape, step)
        for first in range(0, count, CHUNK):
            part, sealed = strings[first : first + CHUNK], out[first : first + CHUNK]
            blocks = scratch.blocks(len(part))
            shape.load(blocks, part)
            tags = self._s2v_of(blocks, shape, constants, scratch, None if own is None else own[first : first + CHUNK])
            _Shape(BLOCK).store(tags[None, : len(part)], sealed[:, :BLOCK])
            self._xor_stream(tags, blocks, scratch)
            shape.store(blocks, sealed[:, BLOCK:])

    def decrypt(self, sealed: Matrix, own: Matrix | None = None) -> tuple[Matrix, Mask]:
        """(n, length) strings and which of them verify; those that do not are zeros. `sealed`: as `encrypt` gives."""
        count, length = len(sealed), sealed.shape[1] - BLOCK
        shape, step = _Shape(length), min(count, CHUNK)
        constants, scratch = self._constants(shape, own), _Scratch(shape, step)
        tags = np.empty((1, _working(step), 2), np.uint64)
        out, right = np.empty((count, length), np.uint8), np.empty(count, np.bool_)
        for first in range(0, count, CHUNK):
            part = sealed[first : first + CHUNK]
            blocks = scratch.blocks(len(part))
            given = tags[:, : blocks.shape[1]]
            _Shape(BLOCK).load(given, part[:, :BLOCK])
            shape.load(blocks, part[:, BLOCK:])
            self._xor_stream(given[0], blocks, scratch)
            shape.clear_behind(blocks)  # what the stream left there
            mine = None if own is None else own[first : first + CHUNK]
            made = self._s2v_of(blocks, shape, constants, scratch, mine)
            difference = np.bitwise_xor(made, given[0], out=given[0])[: len(part)]
            verified = (difference[:, 0] | difference[:, 1]) == 0
            if not verified.all():
                blocks[:, : len(part)][:, ~verified] = 0
            right[first : first + CHUNK] = verified
            shape.store(blocks, out[first : first + CHUNK])
        return out, right

    def _s2v_of(
        self,
        blocks: NDArray[np.uint64],
        shape: _Shape,
        constants: _Constants,
        scratch: _Scratch,
        own: Matrix | None,
    ) -> Blocks:
        """The tags of strings that are loaded as `blocks`, which stay as they are; a part of `scratch`."""
        if own is None:
            return self._mac.run(blocks, constants, scratch)
        # the last 16 bytes of a string lie in one block, or in the last two
        ends = np.zeros((1 if shape.last == BLOCK else 2, blocks.shape[1], 2), np.uint64)
        _Shape(BLOCK).load_behind(ends, shape.last % BLOCK, own)
        last = blocks[-len(ends) :]
        np.bitwise_xor(last, ends, out=last)
        tags = self._mac.run(blocks, constants, scratch)
        np.bitwise_xor(last, ends, out=last)
        return tags

    def _xor_stream(self, tags: Blocks, blocks: NDArray[np.uint64], scratch: _Scratch) -> None:
        """Add the key stream that starts at each tag to the blocks of its string."""
        room = scratch.counters(len(tags))
        counters = room[:-1].reshape(blocks.shape)
        np.bitwise_and(_lines(tags), _START, out=_lines(counters[0]))
        counters[1:] = counters[0]
        last = counters[0].view(np.uint8)[:, _LAST_BYTE].copy()
        carrying = np.flatnonzero(last > 256 - len(blocks))  # few: most counters differ in their last byte alone
        low = counters[0].view(">u4")[carrying, 3].astype(np.uint32)
        for number in range(1, len(blocks)):
            counters[number].view(np.uint8)[:, _LAST_BYTE] = last + np.uint8(number & 255)
            counters[number].view(">u4")[carrying, 3] = low + np.uint32(number)
        self._ecb.in_place(room)
        np.bitwise_xor(blocks, counters, out=blocks)


_BOUND = [
    "ffdee7f8ba379ec271d5270bf2209afb7731d0076f5ba6ec67e1677f19a01f74",
    "c41e4140e71249c8ba5a3a1109f876d493bfb57780ae64f5d9ca65d720813bf1a960e6fda4c75255b3d1f0e594",
]
"""What `AESSIV` makes of the bytes 0 to 15 and 0 to 28 with the items `field` and `row 7`, under the key of A.1."""


def _check_known_answers() -> None:
    """RFC 4493, section 4 (examples 2 and 3), RFC 5297, A.1, and `_BOUND`. Raises RuntimeError where one is wrong."""
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    text = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411")
    macs = [Cmac(key).of(np.frombuffer(text[:length], np.uint8)[None]).tobytes().hex() for length in (16, 40)]
    siv_key = bytes.fromhex("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
    siv = Siv(siv_key, [bytes.fromhex("101112131415161718191a1b1c1d1e1f2021222324252627")])
    plain = np.frombuffer(bytes.fromhex("112233445566778899aabbccddee"), np.uint8)[None]
    sealed = np.empty((1, BLOCK + plain.size), np.uint8)
    siv.encrypt(plain, sealed)
    opened, right = siv.decrypt(sealed)
    binding = Siv(siv_key, [b"field"])
    mac = Cmac(siv_key[:BLOCK]).of(np.frombuffer(b"row 7", np.uint8)[None])
    longer = [np.arange(length, dtype=np.uint8)[None] for length in (16, 29)]
    bound = [np.empty((1, BLOCK + text.size), np.uint8) for text in longer]
    for each, room in zip(longer, bound, strict=True):
        binding.encrypt(each, room, mac)
    reopened = [binding.decrypt(room, mac)[0].tobytes() for room in bound]
    if (
        macs != ["070a16b46b4d4144f79bdd9dd04a287c", "dfa66747de9ae63030ca32611497c827"]
        or sealed.tobytes().hex() != "85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c"
        or not right.all()
        or opened.tobytes() != plain.tobytes()
        or [room.tobytes().hex() for room in bound] != _BOUND
        or reopened != [text.tobytes() for text in longer]
    ):
        raise RuntimeError("AES-SIV does not give the known answers of RFC 5297; nothing may be encrypted with it")


_check_known_answers()
