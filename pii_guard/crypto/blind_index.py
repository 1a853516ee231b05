"""Blind indexes: short keyed fingerprints of normalised values, to search an encrypted column by (docs/FORMAT.md).

An index is AES-CMAC of the normalised value under a key of its own, cut to so few bits that several values share each.
Whoever searches asks for every fingerprint that the value may have (one a live key), decrypts the rows found and
compares: a value that is there is always found, others that share its bits fall away.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.crypto import siv
from pii_guard.crypto.buffers import Matrix, assemble, whole
from pii_guard.crypto.key import ColumnKey
from pii_guard.crypto.layout import decoded, labelled, to_text
from pii_guard.crypto.normaliser import Normaliser, normalised_parts
from pii_guard.crypto.secret import canonical

__all__ = ["MAX_BITS", "index_column", "labels", "planned_bits", "tokens"]

MAX_BITS = 32
FEWEST = 16
"""Of fewer values even one bit tells too much."""
_MAGIC = bytes.fromhex("a60c75")
"""`pgx1` as text."""
LABEL = 12
"""Characters in front of the fingerprint, constant for a key, normaliser and number of bits."""
_ALPHABET = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz234567", np.uint8)
"""base32 (RFC 4648, section 6) in small letters."""
_PAIRS = np.stack((np.repeat(_ALPHABET, 32), np.tile(_ALPHABET, 32)), axis=1).view("V2")[:, 0]
"""Two characters of ten bits."""
_BITS_A_CHARACTER = 5


def planned_bits(values: int) -> int | None:
    """How many bits to index `values` different values with: sqrt(values) < 2^bits < values / 2, in the middle of that.

    More bits find fewer wrong rows, fewer tell less about which values are equal. None where no number fits.

    >>> planned_bits(1_000_000), planned_bits(15)
    (14, None)
    """
    if values < FEWEST:
        return None
    fitting = [bits for bits in range(1, MAX_BITS + 1) if values < 4**bits and 2 ** (bits + 1) < values]
    middle = 0.75 * math.log2(values) - 0.5
    return min(fitting, key=lambda bits: (abs(bits - middle), bits)) if fitting else None


def index_column(values: pa.Array, key: ColumnKey, normaliser: Normaliser, bits: int) -> pa.StringArray:
    """The index of each value: `label` and `bits` bits in base32; null stays null. Raises as `normalised`."""
    label = _label(key, normaliser, bits)
    prefix, secret = canonical(b"index", bytes([normaliser])), key.index()
    parts = []
    for rows, strings in normalised_parts(values, normaliser, key.field):
        macs = siv.cmac(secret, prefix, strings)
        texts = np.empty((len(rows), len(label) + -(-bits // _BITS_A_CHARACTER)), np.uint8)
        whole(texts[:, : len(label)])[:] = np.frombuffer(label, f"V{len(label)}")
        _write_base32(macs, bits, texts[:, len(label) :])
        parts.append((rows, texts))
    return assemble(parts, len(values)).cast(pa.string())


def _write_base32(macs: Matrix, bits: int, out: Matrix) -> None:
    """The first `bits` bits of each, zeros behind them up to a whole character."""
    width = out.shape[1]
    first = np.ascontiguousarray(macs[:, :4]).view(">u4")[:, 0].astype(np.uint64)
    left = first >> np.uint64(32 - bits) << np.uint64(_BITS_A_CHARACTER * width - bits)
    for place in range(0, width - 1, 2):
        shift = np.uint64(_BITS_A_CHARACTER * (width - 2 - place))
        whole(out[:, place : place + 2])[:] = _PAIRS.take((left >> shift & np.uint64(1023)).view(np.int64))
    if width % 2:
        out[:, -1] = _ALPHABET.take((left & np.uint64(31)).view(np.int64))


def _label(key: ColumnKey, normaliser: Normaliser, bits: int) -> bytes:
    raw = labelled(_MAGIC, normaliser << _BITS_A_CHARACTER | bits - 1, key.key_id)
    return to_text(np.frombuffer(raw, np.uint8)[None]).tobytes()


def labels(indexes: pa.Array) -> set[tuple[bytes, Normaliser, int]]:
    """(key id, normaliser, bits) of the indexes that occur in a column; what is no index is passed over."""
    texts = pc.unique(pc.utf8_slice_codeunits(indexes.cast(pa.large_string()), 0, LABEL)).to_pylist()
    return set(filter(None, map(_read, filter(None, texts))))


def _read(label: str) -> tuple[bytes, Normaliser, int] | None:
    raw = decoded(label.encode()) if len(label.encode()) == LABEL else None
    if raw is None or raw != labelled(_MAGIC, raw[3], raw[4:8]):
        return None
    number = raw[3] >> _BITS_A_CHARACTER
    known = number in set(Normaliser)
    return (raw[4:8], Normaliser(number), (raw[3] & 31) + 1) if known else None


def tokens(value: object, keys: Iterable[ColumnKey], forms: Iterable[tuple[Normaliser, int]]) -> tuple[str, ...]:
    """Every index that a value, or another spelling of it, may have: under each key in each form (normaliser, bits)."""
    values, chosen = pa.array([value]), tuple(forms)
    return tuple(index_column(values, key, *form)[0].as_py() for key in keys for form in chosen)
