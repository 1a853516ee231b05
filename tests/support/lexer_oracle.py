"""The definition of a token in plain Python, value by value: what every lexer is held to."""

from __future__ import annotations

import re
from itertools import pairwise

from pii_guard.engine.tokens import BORN_IN, GAPS, MAX_DIGITS, MAX_GROUPS, MIN_DIGITS, SHORT, TIGHT, Gap, gaps, shape

GROUP = re.compile(rb"[0-9]+")
LOCAL = re.compile(rb"[A-Za-z0-9._%+-]*\Z")
DOMAIN = re.compile(rb"[A-Za-z0-9.-]*")
ADDRESS = re.compile(rb"[0-9A-Fa-f:.]+")
COLONS = re.compile(rb"::|(?::[^:]{0,4}){5}:")
HANGUL = re.compile("[\uac00-\ud7a3]+(?: [\uac00-\ud7a3]+)?")

Token = tuple[str, int, int, int, int, int, int]
"""(family, start, end, shape, gaps, before, after), positions in the value."""


def tokens(value: bytes) -> list[Token]:
    def edge(start: int, end: int) -> tuple[int, int]:
        before, after = value[start - 1] if start else 0, value[end] if end < len(value) else 0
        return (48 if 48 <= before <= 57 else before, 48 if 48 <= after <= 57 else after)

    return sorted(
        [("number", start, end, code, joint, *edge(start, end)) for start, end, code, joint in numbers(value)]
        + [("email", start, end, 0, 0, *edge(start, end)) for start, end in emails(value)]
        + [("identifier", start, end, code, 0, *edge(start, end)) for start, end, code in identifiers(value)]
        + [("address", start, end, 0, 0, *edge(start, end)) for start, end in addresses(value)]
        + [("hangul", start, end, count, 0, *edge(start, end)) for start, end, count in hangul(value)]
    )


def numbers(value: bytes) -> list[tuple[int, int, int, int]]:
    runs = [hit.span() for hit in GROUP.finditer(value)]
    joints = [GAPS.get(value[left[1] : right[0]], Gap.NONE) for left, right in pairwise(runs)]
    found = []
    for first in range(len(runs)):
        for last in range(first, min(first + MAX_GROUPS, len(runs))):
            inside = joints[first:last]
            lengths = [end - start for start, end in runs[first : last + 1]]
            short = SHORT.get(len(lengths)) == gaps(*inside) or (
                len(lengths) == 1 and lengths[0] in (2, 4) and value.startswith(BORN_IN, runs[first][1])
            )
            if Gap.NONE in inside or sum(lengths) > MAX_DIGITS or (sum(lengths) < MIN_DIGITS and not short):
                continue
            outside = joints[first - 1 : first] if first else []
            outside += joints[last : last + 1]
            if any(joint in TIGHT for joint in outside):
                continue
            found.append((runs[first][0], runs[last][1], shape(*lengths), gaps(*inside)))
    return found


def identifiers(value: bytes) -> list[tuple[int, int, int]]:
    eight = [(*hit.span(), shape(8)) for hit in re.finditer(rb"[A-Za-z][0-9]{8}(?![0-9])", value)]
    mixed = re.finditer(rb"(?=([A-Za-z][0-9]{3}[A-Za-z][0-9]{4})(?![0-9]))", value)
    return eight + [(*hit.span(1), shape(3, 4)) for hit in mixed]


def emails(value: bytes) -> list[tuple[int, int]]:
    found = []
    for at in (place for place, byte in enumerate(value) if byte == ord("@")):
        local, domain = LOCAL.search(value[:at]), DOMAIN.match(value, at + 1)
        assert local is not None
        assert domain is not None
        end = domain.end()
        for _ in range(3):
            if end > at + 1 and value[end - 1] in b".-":
                end -= 1
        named = local.start() < at or (at > 0 and value[at - 1] >= 0x80)
        if named and (end > at + 1 or value[at + 1 : at + 2] >= b"\x80"):
            found.append((local.start(), end))
    return found


def addresses(value: bytes) -> list[tuple[int, int]]:
    found = []
    for run in (hit for hit in ADDRESS.finditer(value) if COLONS.search(hit[0])):
        start, end = run.span()
        if value[end - 1 : end] == b".":
            end -= 1
        if value[end - 1 : end] == b":" != value[end - 2 : end - 1]:
            end -= 1
        if value[start : start + 1] == b":" != value[start + 1 : start + 2]:
            start += 1
        found.append((start, end))
    return found


def hangul(value: bytes) -> list[tuple[int, int, int]]:
    solid = value.strip(b"\t\n\v\f\r ")
    try:
        text = solid.decode()
    except UnicodeDecodeError:
        return []
    count, start = len(text.replace(" ", "")), value.find(solid)
    return [(start, start + len(solid), count)] if HANGUL.fullmatch(text) and 2 <= count <= 5 else []
