"""What makes different spellings of a value one, before it is indexed (docs/FORMAT.md, Blind index).

Values of one length are worked on together, since most of them have their digits and separators at the same places.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pii_guard.crypto.buffers import (
    Index,
    Mask,
    Matrix,
    assemble,
    by_length,
    from_buffers,
    mask,
    to_binary,
    to_buffers,
    whole,
)
from pii_guard.crypto.values import encode

__all__ = ["Normaliser", "normalised", "normalised_parts", "normaliser_of"]

LINES = 64
"""Rows of bytes that are compared at a time."""


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


def normalised(values: pa.Array, normaliser: Normaliser, field: str) -> pa.LargeBinaryArray:
    """The bytes that are indexed for each value; null stays null. Raises UsageError as `encrypt_column` does."""
    return assemble(list(normalised_parts(values, normaliser, field)), len(values))


def normalised_parts(values: pa.Array, normaliser: Normaliser, field: str) -> Iterator[tuple[Index, Matrix]]:
    """`normalised` by length: (rows, their bytes) of all values that are not null."""
    raw = encode(values, field)
    try:
        text = raw.cast(pa.large_string())
    except pa.ArrowInvalid:  # bytes that are no text have one spelling
        return by_length(raw)
    plain = pc.all(pc.string_is_ascii(text)).as_py() is not False  # has one form of normalisation, and small letters
    if normaliser in (Normaliser.PHONE, Normaliser.DIGITS):
        text = text if plain else pc.utf8_normalize(text, "NFKC")
        digits = _digits(to_binary(text))
        return _international(digits, _signed(text)) if normaliser is Normaliser.PHONE else digits
    if normaliser is Normaliser.EMAIL:
        text = pc.ascii_lower(text) if plain else pc.utf8_lower(pc.utf8_normalize(text, "NFC"))
    text = text if plain else pc.utf8_normalize(text, "NFC")
    return by_length(to_binary(pc.ascii_trim_whitespace(text)))


def _digits(text: pa.LargeBinaryArray) -> Iterator[tuple[Index, Matrix]]:
    """The ASCII digits of each value, by length."""
    for rows, strings in by_length(text):
        kept = (strings - np.uint8(ord("0"))) < 10  # no byte of a longer character is one
        if not strings.shape[1] or _alike(kept):
            yield rows, _columns(strings, kept[0])
            continue
        sizes = np.count_nonzero(kept, axis=1)
        found = from_buffers(np.concatenate(([0], np.cumsum(sizes))), strings[kept])
        for some, digits in by_length(found):
            yield rows[some], digits


def _alike(kept: NDArray[np.bool_]) -> bool:
    """Whether all rows have the pattern of the first, as most values of one length have."""
    # many rows at a time: NumPy's loops over a few bytes cost ten times as much
    lines = len(kept) - len(kept) % LINES
    many = kept[:lines].reshape(-1, LINES * kept.shape[1]) == np.tile(kept[0], LINES)
    return bool(many.all() and (kept[lines:] == kept[0]).all())


def _columns(strings: Matrix, chosen: NDArray[np.bool_]) -> Matrix:
    """The chosen bytes of each string."""
    if chosen.all():
        return strings
    places = np.flatnonzero(chosen)
    made, at = np.empty((len(strings), len(places)), np.uint8), 0
    for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1) if len(places) else []:
        whole(made[:, at : at + len(run)])[:] = whole(strings[:, run[0] : run[-1] + 1])
        at += len(run)
    return made


def _signed(text: pa.LargeStringArray) -> Mask | None:
    """Which texts have a `+` in front of their digits; None: none has one anywhere."""
    offsets, data = to_buffers(to_binary(text))
    if not (data[offsets[0] : offsets[-1]] == ord("+")).any():
        return None
    return mask(pc.match_substring_regex(text, r"^[^0-9+]*\+"))


def _international(numbers: Iterable[tuple[Index, Matrix]], signed: Mask | None) -> Iterator[tuple[Index, Matrix]]:
    """The digits of telephone numbers with the code of their country."""
    for rows, digits in numbers:
        national = _starts(digits, b"0")
        if signed is not None:
            national &= ~signed[rows]
        abroad = national & _starts(digits, b"00")
        for chosen, cut, code in ((national & ~abroad, 1, b"82"), (abroad, 2, b""), (~national, 0, b"")):
            if not chosen.any():
                continue
            some, rest = (rows, digits) if chosen.all() else (rows[chosen], _at(digits, np.flatnonzero(chosen)))
            if code:
                yield some, _headed(code, rest[:, cut:])
            else:
                yield from _without_zeros(some, rest[:, cut:])


def _without_zeros(rows: Index, digits: Matrix) -> Iterator[tuple[Index, Matrix]]:
    """The 0 in +82 (0)10 goes."""
    wrong = _starts(digits, b"820")
    if not wrong.any():
        yield rows, digits
        return
    texts = from_buffers(np.arange(wrong.sum() + 1) * digits.shape[1], digits[wrong].reshape(-1))
    right = pc.replace_substring_regex(texts.cast(pa.large_string()), r"^820+", "82")
    yield from ((rows[wrong][some], mended) for some, mended in by_length(to_binary(right)))
    if not wrong.all():
        yield rows[~wrong], digits[~wrong]


def _at(strings: Matrix, rows: Index) -> Matrix:
    if not strings.shape[1]:
        return strings[rows]
    return whole(strings)[rows].view(np.uint8).reshape(len(rows), -1)


def _starts(strings: Matrix, head: bytes) -> Mask:
    """Which strings begin with `head`."""
    if strings.shape[1] < len(head):
        return np.zeros(len(strings), np.bool_)
    begins: Mask = strings[:, 0] == head[0]
    for place in range(1, len(head)):
        begins &= strings[:, place] == head[place]
    return begins


def _headed(head: bytes, strings: Matrix) -> Matrix:
    """The strings behind `head`."""
    made = np.empty((len(strings), len(head) + strings.shape[1]), np.uint8)
    whole(made[:, : len(head)])[:] = np.frombuffer(head, f"V{len(head)}")
    if strings.shape[1]:
        whole(made[:, len(head) :])[:] = whole(strings)
    return made
