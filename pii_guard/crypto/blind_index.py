"""Blind indexes: short keyed fingerprints of normalised values, to search an encrypted column by (docs/FORMAT.md).

An index is AES-CMAC of the normalised value under a key of its own, cut to so few bits that several values share each.
Whoever searches asks for every fingerprint that the value may have (one a live key), decrypts the rows found and
compares: a value that is there is always found, others that share its bits fall away.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.crypto import siv
from pii_guard.crypto.buffers import Matrix, assemble, by_length, from_buffers, to_buffers, whole
from pii_guard.crypto.key import ColumnKey
from pii_guard.crypto.layout import decoded, labelled, to_text
from pii_guard.crypto.secret import canonical
from pii_guard.crypto.values import encode

__all__ = ["MAX_BITS", "Normaliser", "index_column", "labels", "normalised", "normaliser_of", "planned_bits", "tokens"]

MAX_BITS = 32
FEWEST = 16
"""Of fewer values even one bit tells too much."""
_MAGIC = bytes.fromhex("a60c75")
"""`pgx1` as text."""
LABEL = 12
"""Characters in front of the fingerprint, constant for a key, normaliser and number of bits."""
_ALPHABET = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz234567", np.uint8)
"""base32 (RFC 4648, section 6) in small letters."""
_BITS_A_CHARACTER = 5


class Normaliser(enum.IntEnum):
    """What makes different spellings of a value one. The number stands in every index; what it means never changes."""

    TEXT = 0
    """NFC, without white space around."""
    EMAIL = 1
    """NFC, small letters, without white space around."""
    PHONE = 2
    """The digits of E.164, with the country code 82 where a number begins with 0."""
    DIGITS = 3
    """Digits alone."""


_OF_KIND = {
    "email": Normaliser.EMAIL,
    **dict.fromkeys(("kr_phone_mobile", "kr_phone_fixed", "kr_phone_service"), Normaliser.PHONE),
    **dict.fromkeys(
        (
            *("credit_card", "kr_bank_account", "kr_rrn", "kr_alien_registration", "kr_driver_license"),
            *("kr_health_insurance", "kr_business_registration", "kr_corporate_registration", "date_of_birth"),
        ),
        Normaliser.DIGITS,
    ),
}


def normaliser_of(kind: str | None) -> Normaliser:
    """How values of a kind are normalised before they are indexed."""
    return _OF_KIND.get(kind or "", Normaliser.TEXT)


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


def normalised(values: pa.Array, normaliser: Normaliser, field: str) -> pa.LargeBinaryArray:
    """The bytes that are indexed for each value; null stays null. Raises UsageError as `encrypt_column` does."""
    raw = encode(values, field)
    try:
        text = raw.cast(pa.large_string())
    except pa.ArrowInvalid:  # bytes that are no text have one spelling
        return raw
    plain = pc.all(pc.string_is_ascii(text)).as_py() is not False  # has one form of normalisation, and small letters
    if normaliser in (Normaliser.PHONE, Normaliser.DIGITS):
        text = text if plain else pc.utf8_normalize(text, "NFKC")
        digits = _digits(text)
        return (_international(text, digits) if normaliser is Normaliser.PHONE else digits).cast(pa.large_binary())
    if normaliser is Normaliser.EMAIL:
        text = pc.ascii_lower(text) if plain else pc.utf8_lower(pc.utf8_normalize(text, "NFC"))
    text = text if plain else pc.utf8_normalize(text, "NFC")
    return pc.ascii_trim_whitespace(text).cast(pa.large_binary())


def _digits(text: pa.LargeStringArray) -> pa.LargeStringArray:
    """The ASCII digits of each value."""
    offsets, data = to_buffers(text)
    offsets, data = offsets - offsets[0], data[offsets[0] : offsets[-1]]
    kept = (data - np.uint8(ord("0"))) < 10  # no byte of a longer character is one
    if kept.all():
        return text
    before = np.zeros(len(data) + 1, np.int64)
    np.cumsum(kept, out=before[1:])
    found = from_buffers(before[offsets], data[kept]).cast(pa.large_string())
    return pc.if_else(text.is_valid(), found, pa.scalar(None, found.type)) if text.null_count else found


def _international(text: pa.LargeStringArray, digits: pa.LargeStringArray) -> pa.LargeStringArray:
    """The digits of telephone numbers with the code of their country."""
    national = pc.invert(_begin(text, "+", r"^[^0-9+]*\+"))
    abroad, here = pc.and_(national, pc.starts_with(digits, "00")), pc.and_(national, pc.starts_with(digits, "0"))
    coded = digits
    if pc.any(here).as_py():
        head, nothing = pa.scalar("82", digits.type), pa.scalar("", digits.type)
        coded = pc.binary_join_element_wise(head, pc.utf8_slice_codeunits(digits, 1), nothing)
        coded = coded if pc.all(here).as_py() else pc.if_else(here, coded, digits)
    if pc.any(abroad).as_py():
        coded = pc.if_else(abroad, pc.utf8_slice_codeunits(digits, 2), coded)
    digits = coded
    if pc.any(pc.starts_with(digits, "820")).as_py():  # the 0 in +82 (0)10
        digits = pc.replace_substring_regex(digits, r"^820+", "82")
    return digits


def _begin(text: pa.LargeStringArray, sign: str, pattern: str) -> pa.BooleanArray:
    """Which texts match `pattern`; few columns have the `sign` that such texts have."""
    signs = pc.match_substring(text, sign)
    return pc.match_substring_regex(text, pattern) if pc.any(signs).as_py() else signs


def index_column(values: pa.Array, key: ColumnKey, normaliser: Normaliser, bits: int) -> pa.StringArray:
    """The index of each value: `label` and `bits` bits in base32; null stays null. Raises as `normalised`."""
    plain, label = normalised(values, normaliser, key.field), _label(key, normaliser, bits)
    prefix, secret = canonical(b"index", bytes([normaliser])), key.index()
    parts = []
    for rows, strings in by_length(plain):
        macs = siv.cmac(secret, prefix, strings)
        texts = np.empty((len(rows), len(label) + -(-bits // _BITS_A_CHARACTER)), np.uint8)
        whole(texts[:, : len(label)])[:] = np.frombuffer(label, f"V{len(label)}")
        _write_base32(macs, bits, texts[:, len(label) :])
        parts.append((rows, texts))
    return assemble(parts, len(plain)).cast(pa.string())


def _write_base32(macs: Matrix, bits: int, out: Matrix) -> None:
    """The first `bits` bits of each, zeros behind them up to a whole character."""
    width = out.shape[1]
    first = np.ascontiguousarray(macs[:, :4]).view(">u4")[:, 0].astype(np.uint64)
    left = first >> np.uint64(32 - bits) << np.uint64(_BITS_A_CHARACTER * width - bits)
    for place in range(width):
        shift = np.uint64(_BITS_A_CHARACTER * (width - 1 - place))
        out[:, place] = _ALPHABET.take((left >> shift & np.uint64(31)).view(np.int64))


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
