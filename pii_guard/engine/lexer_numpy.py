"""The NumPy lexer: one pass over the bytes of all values finds every shape that a detector could want.

Same tokens as `tests/support/lexer_oracle.py`; the contract is in `pii_guard.engine.tokens`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pii_guard.engine.text import WHITE, Bytes, Index, Text, scratch
from pii_guard.engine.tokens import (
    BORN_IN,
    GAP_BITS,
    GAPS,
    GROUP_BITS,
    MAX_DIGITS,
    MAX_GROUPS,
    MIN_DIGITS,
    SHORT,
    TIGHT,
    Family,
    Tokens,
    by_shape,
)
from pii_guard.engine.tokens import shape as shape_of

__all__ = ["HANGUL_FIRST", "code_point", "lex_values", "syllable"]

AT, BLANK, COLON, STOP = ord("@"), ord(" "), ord(":"), ord(".")
LONGEST_TRIM = 3
LONGEST_GAP = max(map(len, GAPS))
HANGUL_FIRST, HANGUL_LAST = 0xAC00, 0xD7A3
HANGUL_SYLLABLES = range(2, 6)


def _separators() -> tuple[Bytes, Bytes]:
    """A class for every byte that occurs in a gap, and the gap for up to four classes in a row (base 16)."""
    letters = sorted({byte for gap in GAPS for byte in gap})
    classes = np.zeros(256, np.uint8)
    classes[letters] = np.arange(1, len(letters) + 1)
    table = np.zeros(16**LONGEST_GAP, np.uint8)
    for text, gap in GAPS.items():
        table[sum(int(classes[byte]) << (4 * place) for place, byte in enumerate(text))] = gap
    return classes, table


SEPARATOR, GAP_OF = _separators()

LETTER = np.zeros(256, np.bool_)
LETTER[[*range(ord("A"), ord("Z") + 1), *range(ord("a"), ord("z") + 1)]] = True
LOCAL, DOMAIN = 1, 2
EMAIL_CLASS = np.zeros(256, np.uint8)
for _char in b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-":
    EMAIL_CLASS[_char] = LOCAL | DOMAIN
for _char in b"_%+":
    EMAIL_CLASS[_char] = LOCAL
ADDRESS_CLASS = np.zeros(256, np.bool_)
ADDRESS_CLASS[list(b"0123456789ABCDEFabcdef:.")] = True
MANY_COLONS, CLOSE = 6, 5
"""Six colons, each at most five bytes behind the one before."""


def lex_values(text: Text) -> Tokens:
    """All tokens of a text. Time and memory are linear in its bytes (at worst 300 of working memory for each)."""
    group_start, group_end = _groups(text)
    number, shapes, gap_codes = _numbers(text, group_start, group_end)
    email, hangul, identifier = _emails(text), _hangul(text), _identifiers(text, group_start, group_end)
    address = _addresses(text)
    families = (number, email, hangul, identifier, address)
    start, end, mark = (np.concatenate([family[place] for family in families]) for place in range(3))
    blocks = tuple(len(family[0]) for family in families)
    shape = np.zeros(len(start), np.int64)
    numbers, named = blocks[Family.NUMBER], sum(blocks[: Family.HANGUL])
    shape[:numbers] = shapes
    shape[named : len(shape) - blocks[Family.ADDRESS]] = np.concatenate([hangul[3], identifier[3]])
    gaps = np.zeros(len(start), np.int64)
    gaps[:numbers] = gap_codes
    before, after = _edges(text, start, end)
    return Tokens(
        text=text,
        start=start,
        end=end,
        before=before,
        after=after,
        shape=shape,
        gaps=gaps,
        mark=mark,
        blocks=blocks,
        shapes=by_shape(shapes),
        group_start=group_start,
    )


def _edges(text: Text, start: Index, end: Index) -> tuple[Bytes, Bytes]:
    """The byte in front of and behind each token, 0 where its value begins or ends."""
    none = np.zeros(len(start), np.uint8)
    if not len(start):
        return none, none
    before, after = text.data[start - 1], text.data[np.minimum(end, len(text.data) - 1)]
    for touching in (before, after):
        touching[touching - 48 < 10] = ord("0")
    begins = text.begins()
    return np.where(begins[start], none, before), np.where(begins[end], none, after)


def _rows(offsets: Index, positions: Index) -> Index:
    """The row of each byte position."""
    return np.searchsorted(offsets, positions, side="right") - 1


def _groups(text: Text) -> tuple[Index, Index]:
    """Start and end of every run of digits, cut at the edges of values."""
    data, begins = text.data, text.begins()
    none = np.zeros(0, np.int64)
    digit, first, last = scratch(3, len(data))
    np.subtract(data, 48, out=digit.view(np.uint8))  # wraps below '0'
    np.less(digit.view(np.uint8), 10, out=digit)
    if not digit.any():
        return none, none
    # a group begins at a digit behind something else or at the start of a value; it ends likewise
    np.greater(digit[1:], digit[:-1], out=first[1:])
    first[0] = digit[0]
    np.logical_and(digit, begins[:-1], out=last)
    np.logical_or(first, last, out=first)
    np.less(digit[1:], digit[:-1], out=last[:-1])
    last[-1] = digit[-1]
    np.logical_and(digit, begins[1:], out=digit)
    np.logical_or(last, digit, out=last)
    return np.flatnonzero(first), np.flatnonzero(last) + 1


def _gap_codes(text: Text, start: Index, end: Index) -> Bytes:
    """For each group, what joins it to the next group of the same value (Gap.NONE: nothing does)."""
    code = np.zeros(len(start), np.uint8)
    if len(start) < 2:
        return code
    begins = text.begins()
    near = np.flatnonzero(SEPARATOR[text.data[end[:-1]]])  # most groups in texts have nothing behind them that joins
    near = near[start[near + 1] - end[near] <= LONGEST_GAP]
    begin = end[near]
    width = start[near + 1] - begin
    key = SEPARATOR[text.data[begin]].astype(np.int64)
    key[begins[begin] | begins[start[near + 1]]] = 0
    for place in range(1, LONGEST_GAP):
        longer = np.flatnonzero(width > place)
        if len(longer):
            position = begin[longer] + place
            letter = SEPARATOR[text.data[position]].astype(np.int64)
            letter[begins[position]] = 0
            key[longer] = np.where((letter > 0) & (key[longer] > 0), key[longer] | (letter << (4 * place)), 0)
    code[near] = GAP_OF[key]
    return code


def _numbers(
    text: Text, start: Index, end: Index
) -> tuple[tuple[Index, Index, Index], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """((start, end, first group) of the number tokens, their shapes, their gaps), from the groups of digits."""
    none = np.zeros(0, np.int64)
    if not len(start):
        return (none, none, none), none, none
    length = end - start
    code = _gap_codes(text, start, end)
    tight = (code == TIGHT[0]) | (code == TIGHT[1])
    free = np.ones(len(start), np.bool_)  # nothing tight in front
    np.logical_not(tight[:-1], out=free[1:])
    group = np.flatnonzero(free & (length <= MAX_DIGITS) & ((length >= MIN_DIGITS) | (code > 0)))
    total = length[group]
    shape, gaps = total.copy(), np.zeros(len(group), np.int64)
    found: list[tuple[Index, Index, npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []
    for count in range(1, MAX_GROUPS + 1):
        last = group + (count - 1)
        enough = total >= MIN_DIGITS
        if count in SHORT:
            enough |= gaps == SHORT[count]
        whole = np.flatnonzero(~tight[last] & enough)
        if len(whole):
            found.append((group[whole], last[whole], shape[whole], gaps[whole]))
        if count == MAX_GROUPS:
            break
        on = np.flatnonzero(code[last] > 0)
        after = last[on] + 1
        total = total[on] + length[after]
        fits = total <= MAX_DIGITS
        on, after, total = on[fits], after[fits], total[fits]
        if not len(on):
            break
        shape = shape[on] | (length[after] << (GROUP_BITS * count))
        gaps = gaps[on] | (code[after - 1].astype(np.int64) << (GAP_BITS * (count - 1)))
        group = group[on]
    born = _birth_years(text, start, end, free & ~tight)
    if len(born):
        found.append((born, born, length[born], np.zeros(len(born), np.int64)))
    if not found:
        return (none, none, none), none, none
    first, last, shape, gaps = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return (start[first], end[last], first), shape, gaps


def _birth_years(text: Text, start: Index, end: Index, alone: npt.NDArray[np.bool_]) -> Index:
    """The groups of two or four digits directly before 년생 (born in)."""
    data, length = text.data, end - start
    group = np.flatnonzero(alone & ((length == 2) | (length == 4)) & (end + len(BORN_IN) <= len(data)))
    for place, byte in enumerate(BORN_IN):
        group = group[(data[end[group] + place] == byte) & ~text.begins()[end[group] + place]]
    return group


def _identifiers(text: Text, start: Index, end: Index) -> tuple[Index, Index, Index, npt.NDArray[np.int64]]:
    """(start, end, first digit, shape) of the identifier tokens, from the groups of digits."""
    none = np.zeros(0, np.int64)
    if not len(start):
        return none, none, none, none
    data, begins, length = text.data, text.begins(), end - start
    eight = _behind_letter(text, start, np.flatnonzero(length == 8))
    three = np.flatnonzero((length[:-1] == 3) & (length[1:] == 4) & (start[1:] - end[:-1] == 1))
    three = _behind_letter(text, start, three)
    between = end[three]
    three = three[LETTER[data[between]] & ~begins[between] & ~begins[between + 1]]
    begin = np.concatenate([start[eight], start[three]])
    finish = np.concatenate([end[eight], end[three + 1]])
    shapes = np.repeat([shape_of(8), shape_of(3, 4)], [len(eight), len(three)])
    return begin - 1, finish, begin, shapes


def _behind_letter(text: Text, start: Index, groups: Index) -> Index:
    """Those of `groups` that an ASCII letter of the same value stands directly in front of."""
    begin = start[groups]
    return groups[(begin > 0) & ~text.begins()[begin] & LETTER[text.data[begin - 1]]]


def _emails(text: Text) -> tuple[Index, Index, Index]:
    """(start, end, at sign) of the e-mail tokens."""
    at = np.flatnonzero(text.data == AT)
    none = np.zeros(0, np.int64)
    if not len(at):
        return none, none, none
    rows = _rows(text.offsets, at)
    with_at = rows[np.r_[True, rows[1:] != rows[:-1]]]
    if 2 * len(with_at) < len(text):  # few values have one: look at those alone
        part = text.take(with_at)
        start, end, at = _emails(part)
        shift = (text.offsets[with_at] - part.offsets[:-1])[_rows(part.offsets, at)]
        return start + shift, end + shift, at + shift
    classes = EMAIL_CLASS[text.data]
    stops = np.flatnonzero(classes & LOCAL == 0)
    place = np.searchsorted(stops, at)  # an at sign stops a run, so it is one of them
    previous = np.where(place > 0, stops[place - 1], -1)
    start = np.maximum(previous + 1, text.offsets[rows])
    stops = np.flatnonzero(classes & DOMAIN == 0)
    place = np.searchsorted(stops, at) + 1
    following = np.where(place < len(stops), stops[np.minimum(place, len(stops) - 1)], len(text.data))
    end = np.minimum(following, text.offsets[rows + 1])
    for _ in range(LONGEST_TRIM):
        tail = text.data[end - 1]
        end = end - ((end - 1 > at) & ((tail == ord(".")) | (tail == ord("-"))))
    begins, last = text.begins(), len(text.data) - 1
    foreign_local = ~begins[at] & (text.data[at - 1] >= 0x80)
    foreign_domain = ~begins[at + 1] & (text.data[np.minimum(at + 1, last)] >= 0x80)
    good = np.flatnonzero(((start < at) | foreign_local) & ((end - 1 > at) | foreign_domain))
    return start[good], end[good], at[good]


def _addresses(text: Text) -> tuple[Index, Index, Index]:
    """(start, end, start) of the address tokens."""
    none = np.zeros(0, np.int64)
    colon = np.flatnonzero(text.data == COLON)
    step = colon[1:] - colon[:-1]
    pair = np.flatnonzero(step == 1)
    many = np.flatnonzero(_all_of(step <= CLOSE, MANY_COLONS - 1))
    if not len(pair) and not len(many):
        return none, none, none
    first = np.concatenate([colon[pair], colon[many]])
    last = np.concatenate([colon[pair + 1], colon[many + MANY_COLONS - 1]])
    rows = _rows(text.offsets, first)
    with_colons = np.unique(rows)
    if 2 * len(with_colons) < len(text):  # few values have one: look at those alone
        part = text.take(with_colons)
        start, end, _ = _addresses(part)
        shift = (text.offsets[with_colons] - part.offsets[:-1])[_rows(part.offsets, start)]
        return start + shift, end + shift, start + shift
    stops = np.flatnonzero(~ADDRESS_CLASS[text.data])
    place = np.searchsorted(stops, first)
    bounds = np.r_[-1, stops, len(text.data)]
    start = np.maximum(bounds[place] + 1, text.offsets[rows])
    end = np.minimum(bounds[place + 1], text.offsets[rows + 1])
    inside = last < end
    start, one_each = np.unique(start[inside], return_index=True)
    end = end[inside][one_each]
    end = end - (text.data[end - 1] == STOP)
    end = end - ((text.data[end - 1] == COLON) & (text.data[end - 2] != COLON))
    start = start + ((text.data[start] == COLON) & (text.data[start + 1] != COLON))
    return start, end, start


def _all_of(flags: npt.NDArray[np.bool_], count: int) -> npt.NDArray[np.bool_]:
    """Where `count` flags in a row begin that are all set."""
    windows = max(len(flags) - count + 1, 0)
    found = np.ones(windows, np.bool_)
    for place in range(count):
        found &= flags[place : place + windows]
    return found


def _hangul(text: Text) -> tuple[Index, Index, Index, npt.NDArray[np.int64]]:
    """(start, end, blank or -1, syllables) of the Hangul tokens."""
    none = np.zeros(0, np.int64)
    if not len(text.data):
        return none, none, none, none
    heads, tails = _trimmed(text)
    lengths = tails - heads
    short = np.flatnonzero((lengths >= 3 * HANGUL_SYLLABLES[0]) & (lengths <= 3 * HANGUL_SYLLABLES[-1] + 1))
    short = short[(text.data[heads[short]] & 0xF0) == 0xE0]  # the first byte of three
    found: list[tuple[Index, Index, npt.NDArray[np.int64]]] = []
    for count in HANGUL_SYLLABLES:
        for blank in range(count):  # 0: none; otherwise behind that many syllables
            rows = short[lengths[short] == 3 * count + (blank > 0)]
            start = heads[rows]
            if blank:
                start = start[text.data[start + 3 * blank] == BLANK]
            for syllable in range(count):
                if not len(start):
                    break
                point = code_point(text.data, start + 3 * syllable + (0 < blank <= syllable))
                start = start[(point >= HANGUL_FIRST) & (point <= HANGUL_LAST)]
            if len(start):
                mark = start + 3 * blank if blank else np.full(len(start), -1, np.int64)
                found.append((start, mark, np.full(len(start), count, np.int64)))
    if not found:
        return none, none, none, none
    start, mark, count_of = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return start, start + 3 * count_of + (mark >= 0), mark, count_of


def _trimmed(text: Text) -> tuple[Index, Index]:
    """Where the values begin and end without the white space around them: columns of type CHAR are padded."""
    heads, tails = text.offsets[:-1], text.offsets[1:]
    full = np.flatnonzero(tails > heads)
    padded = full[WHITE[text.data[heads[full]]] | WHITE[text.data[tails[full] - 1]]]
    if not len(padded):
        return heads, tails
    solid = np.flatnonzero(~WHITE[text.data])
    first, last = np.searchsorted(solid, heads[padded]), np.searchsorted(solid, tails[padded])
    some = first < last  # blank throughout: left as it is
    padded, first, last = padded[some], first[some], last[some]
    heads, tails = heads.copy(), tails.copy()
    heads[padded], tails[padded] = solid[first], solid[last - 1] + 1
    return heads, tails


def code_point(data: Bytes, position: Index) -> npt.NDArray[np.int32]:
    """The code points of the three-byte UTF-8 characters at `position`; 0 where there is none."""
    one, two, three = (data[position + place] for place in range(3))
    good = ((one & 0xF0) == 0xE0) & ((two & 0xC0) == 0x80) & ((three & 0xC0) == 0x80)
    return np.where(good, syllable(data, position), 0)


def syllable(data: Bytes, position: Index) -> npt.NDArray[np.int32]:
    """The same where they are known to be there."""
    found = (data[position] & 0x0F).astype(np.int32) << 12
    found |= (data[position + 1] & 0x3F).astype(np.int32) << 6
    found |= data[position + 2] & 0x3F
    return found


assert len({int(gap) for gap in GAPS.values()}) < 1 << GAP_BITS  # noqa: S101 - a code must fit into its bits
assert tuple(Family) == (0, 1, 2, 3, 4)  # noqa: S101 - the order of the blocks in `lex`
