"""Unusual spellings of ordinary characters, made ordinary before a text is lexed.

Full-width digits, letters and signs become ASCII; the many characters that look like a hyphen become one (`ㅡ`, the
vowel key of a Korean keyboard, among them: neither NFKC nor the category Pd knows them all); no-break and ideographic
spaces become blanks; invisible characters go; decomposed Hangul (macOS) is composed. Only chunks that hold such
characters pay for it, and positions lead back to the text as it was.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pii_guard.engine.text import Bytes, Index, Origin, Text, scratch

__all__ = ["fold"]

LEAVE, REMOVE = -1, 0x100
HYPHENS = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\u30fc\u2043\u02d7\u2500\u3161\u1173"
SPACES = "\u00a0\u2002\u2003\u2007\u2009\u202f\u3000"
INVISIBLE = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
LEADS = (0xC2, 0xE3, 0xEF)
"""The first bytes of these characters in UTF-8: from the first to the second, or the third. Hangul has EA-ED."""

L_BASE, L_COUNT, V_BASE, V_COUNT, T_BASE, T_COUNT = 0x1100, 19, 0x1161, 21, 0x11A7, 28
SYLLABLES = 0xAC00  # Unicode, 3.12: conjoining Jamo


def _table() -> npt.NDArray[np.int16]:
    table = np.full(0x10000, LEAVE, np.int16)
    table[0xFF01:0xFF5F] = np.arange(0x21, 0x7F)
    table[[ord(char) for char in HYPHENS]] = ord("-")
    table[[ord(char) for char in SPACES]] = ord(" ")
    table[[ord(char) for char in INVISIBLE]] = REMOVE
    return table


FOLD = _table()


def fold(text: Text) -> Text:
    """The same values in ordinary characters, with their origin; `text` itself where nothing is unusual."""
    data = text.data
    if not len(data) or int(data.max()) < LEADS[0]:
        return text
    lead, last = scratch(2, len(data))
    above = np.subtract(data, LEADS[0], out=last.view(np.uint8))
    np.less_equal(above, LEADS[1] - LEADS[0], out=lead)
    np.equal(data, LEADS[2], out=last)
    np.logical_or(lead, last, out=lead)
    place = np.flatnonzero(lead)
    if not len(place):
        return text
    point, width = _code_points(text, place)
    target = FOLD[point]
    jamo = (point >= L_BASE) & (point < L_BASE + L_COUNT)
    if not ((target != LEAVE) | jamo).any():
        return text
    folded, keep, tail = data.copy(), np.ones(len(data), np.bool_), np.ones(len(data), np.uint8)
    _compose(text, place[jamo], point[jamo], folded, keep, tail)
    ordinary = (target >= 0) & keep[place]
    place, target, width = place[ordinary], target[ordinary], width[ordinary]
    single = target < REMOVE
    folded[place[single]] = target[single]
    tail[place[single]] = width[single]
    keep[place[~single]] = False
    for step in (1, 2):
        longer = place[width > step]
        keep[longer + step] = False
    source = np.flatnonzero(keep)
    offsets = np.r_[0, np.cumsum(keep)][text.offsets]
    return Text(folded[source], offsets, Origin(source, tail[source]))


def _code_points(text: Text, place: Index) -> tuple[npt.NDArray[np.int32], Index]:
    """Code points of the two- and three-byte characters at `place`, and their widths; 0 where there is none."""
    data, begins, last = text.data, text.begins(), len(text.data) - 1
    one = data[place].astype(np.int32)
    second, third = np.minimum(place + 1, last), np.minimum(place + 2, last)
    two, three = data[second].astype(np.int32), data[third].astype(np.int32)
    inside = ((two & 0xC0) == 0x80) & ~begins[second] & (place + 1 <= last)
    longer = inside & ((three & 0xC0) == 0x80) & ~begins[third] & (place + 2 <= last)
    short = inside & (one < 0xE0)
    point = np.where(short, (one & 0x1F) << 6 | (two & 0x3F), 0)
    point = np.where(longer & (one >= 0xE0), (one & 0x0F) << 12 | (two & 0x3F) << 6 | (three & 0x3F), point)
    return point, np.where(short, 2, 3)


def _compose(
    text: Text,
    place: Index,
    leading: npt.NDArray[np.int32],
    folded: Bytes,
    keep: npt.NDArray[np.bool_],
    tail: npt.NDArray[np.uint8],
) -> None:
    """Write one syllable for each leading consonant at `place` that a vowel follows, with the final consonant."""
    if not len(place):
        return
    begins, last = text.begins(), len(text.data) - 3

    def follower(distance: int, base: int, count: int) -> npt.NDArray[np.int32]:
        """The index of the Jamo `distance` bytes on in its row of the chart; -1 where there is none."""
        position = place + distance
        there = position <= last
        position = np.minimum(position, max(last, 0))
        point, _ = _code_points(text, position)
        index = np.where(there & ~begins[position] & (point >= base) & (point < base + count), point - base, -1)
        return index.astype(np.int32)

    vowel = follower(3, V_BASE, V_COUNT)
    final = np.maximum(follower(6, T_BASE, T_COUNT), 0)
    pairs = vowel >= 0
    place, final, vowel = place[pairs], final[pairs], vowel[pairs]
    syllable = SYLLABLES + ((leading[pairs] - L_BASE) * V_COUNT + vowel) * T_COUNT + final
    folded[place] = 0xE0 | (syllable >> 12)
    folded[place + 1] = 0x80 | ((syllable >> 6) & 0x3F)
    folded[place + 2] = 0x80 | (syllable & 0x3F)
    tail[place + 2] = np.where(final > 0, 7, 4)
    for step in (3, 4, 5):
        keep[place + step] = False
    for step in (6, 7, 8):
        keep[place[final > 0] + step] = False
