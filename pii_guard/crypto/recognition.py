"""What values that begin like tokens are, as far as can be told: by form, by key ids, by markers. Nothing is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.crypto import layout
from pii_guard.crypto.buffers import Index, Mask, Matrix, mask
from pii_guard.crypto.key import MarkerKey
from pii_guard.crypto.layout import HEADER_SIZE, MARKER_SIZE, Suite
from pii_guard.crypto.token import TokenGroup, split
from pii_guard.crypto.values import as_binary
from pii_guard.model import TokenState

__all__ = ["Keys", "Known", "Recognised", "recognise"]

SAMPLE = 1_000
ENOUGH = 2_048
"""Bytes of ciphertext below which nothing is said of how they are spread."""


class Keys(Protocol):
    """What is known of keys (`pii_guard.keys.markers.KnownKeys`)."""

    fields: Mapping[bytes, str]
    """Key id -> logical field, of destroyed keys too."""
    destroyed: frozenset[bytes]

    @property
    def verifies(self) -> bool:
        """Whether there are marker keys."""
        ...

    def marker_key(self, key_id: bytes) -> MarkerKey:
        """The marker key of a key that is not destroyed."""
        ...


@dataclass(frozen=True, slots=True)
class Known:
    """What a scan knows of tokens beforehand."""

    keys: Keys
    renamed: Mapping[str, str] = field(default_factory=dict)
    """`TABLE.PATH` of a field -> the logical field that its tokens are bound to, where that is another."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """What is told of the values of one column."""

    rows: Mapping[str, Index]
    """State -> rows (`TokenState`; of `other-field` with a slash and the field behind it)."""
    spread: tuple[int, ...]
    """How often each of the 256 bytes occurs in a sample of ciphertexts; empty where there are too few."""


def recognise(values: pa.Array, name: str, known: Keys | None) -> Recognised:
    """What the values are that begin like tokens, in a column that should hold tokens of the logical field `name`."""
    texts = as_binary(values)
    if texts is None:
        return Recognised({}, ())
    found: dict[str, list[Index]] = {}
    formed, spread = np.zeros(len(texts), np.bool_), np.zeros(256, np.int64)
    for rows, tokens, numbers in layout.read(texts):
        formed[rows] = True
        sealed = tokens[:, HEADER_SIZE:-MARKER_SIZE]
        readable = _readable(sealed)
        _note(found, TokenState.TEXT, rows[readable])
        random = np.flatnonzero((numbers >> np.uint64(32)) & np.uint64(0xFF) != Suite.SIV_DETERMINISTIC)[:SAMPLE]
        # copies of a token say nothing more
        spread += np.bincount(np.unique(sealed[random], axis=0).reshape(-1), minlength=256)
        if known is None:  # no look at each header: there may be one in every row
            _note(found, TokenState.LOOKS, rows[~readable])
            continue
        ids = (numbers & np.uint64(0xFFFFFFFF)).astype(np.int64)
        strange = ~readable & ~np.isin(ids, [int.from_bytes(key_id, "big") for key_id in known.fields])
        _note(found, TokenState.UNKNOWN_KEY, rows[strange])
        others = np.flatnonzero(~readable & ~strange)
        for group in split(rows[others], tokens[others], numbers[others]):
            for state, told in _judged(group, name, known):
                _note(found, state, group.rows[told])
    begun = np.flatnonzero(mask(pc.starts_with(texts, layout.PREFIX)) & ~formed)
    if len(begun):
        _note(found, TokenState.BROKEN, begun[layout.has_head(texts.take(pa.array(begun)))])
    counts = tuple(spread.tolist()) if spread.sum() >= ENOUGH else ()
    return Recognised({state: np.concatenate(parts) for state, parts in found.items()}, counts)


def _note(found: dict[str, list[Index]], state: str, rows: Index) -> None:
    if len(rows):
        found.setdefault(state, []).append(rows)


def _judged(group: TokenGroup, name: str, known: Keys) -> list[tuple[str, Mask]]:
    every = np.ones(len(group.rows), np.bool_)
    if group.key_id in known.destroyed:
        return [(TokenState.DESTROYED, every)]
    field = known.fields[group.key_id]
    own = field == name
    if not known.verifies:
        return [(TokenState.KNOWN if own else f"{TokenState.OTHER_FIELD}/{field}", every)]
    proven = group.proven(known.marker_key(group.key_id))
    return [
        (TokenState.VERIFIED if own else f"{TokenState.OTHER_FIELD}/{field}", proven),
        (TokenState.FORGED, ~proven),
    ]


def _lead() -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    """How many bytes follow a first byte of UTF-8; -1 where it is none."""
    table = np.full(256, -1, np.int8)
    table[:0x80] = 0
    table[0xC2:0xE0], table[0xE0:0xF0], table[0xF0:0xF5] = 1, 2, 3
    return table


LEAD = _lead()


def _readable(bodies: Matrix) -> Mask:
    """Which bodies are text in UTF-8, as far as they go: of 45 random bytes and more that is so once in 2^40 at most.

    Rows drop out at their first wrong byte, most within the first few.
    """
    alive, needed = np.arange(len(bodies)), np.zeros(len(bodies), np.int8)
    for column in range(bodies.shape[1]):
        byte = bodies[alive, column]
        going, follows = needed > 0, (byte & 0xC0) == 0x80
        right = np.where(going, follows, LEAD[byte] >= 0)
        alive, needed = alive[right], np.where(going, needed - 1, LEAD[byte])[right]
        if not len(alive):
            break
    readable = np.zeros(len(bodies), np.bool_)
    readable[alive] = True
    return readable
