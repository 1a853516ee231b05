"""Names of columns as evidence: which kinds does a header name?

A header is split into words (white space, punctuation, camelCase, digits at the end) after NFC, since macOS and some
dictionaries write Hangul decomposed. An English hint must be a run of whole words (`hp` in `hp_no`, not in `php`); a
Korean hint of two syllables or more may also end a longer word (고객휴대폰번호).
"""

from __future__ import annotations

import json
import re
import unicodedata
from functools import cache, lru_cache

__all__ = ["label_of", "names_kind", "normalise", "without_note", "words"]

LONGEST_LABEL = 40
"""Characters of what a comment begins with, at most, to be a label and no sentence."""
LABEL_END = re.compile(r"[\n(\[{:;,./|]| [-\u2013\u2014] ")
NOTE = re.compile(r" ?\[pii-guard (?=\{)")
"""How a note begins: a tag that is mirrored into a comment (docs/FORMAT.md, Note)."""
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+|\d+")


def normalise(name: str) -> str:
    """A hint in its canonical form: NFC, lower case, letters and digits alone.

    >>> normalise("Phone_No")
    'phoneno'
    """
    return "".join(words(name))


def label_of(comment: str) -> str:
    """What a comment on a column calls it: its first words, if they are few. Read like a header; notes are not read.

    >>> label_of("휴대폰번호 (하이픈 포함)"), label_of("Filled in by the nightly import of the old shop")
    ('휴대폰번호', '')
    """
    label = LABEL_END.split(without_note(comment).strip(), maxsplit=1)[0].strip()
    return label if len(label) <= LONGEST_LABEL else ""


def without_note(comment: str) -> str:
    """What people wrote of a comment, character by character: without the notes, wherever they stand in it.

    >>> without_note('Phone, at home [pii-guard {"version":1}]')
    'Phone, at home'
    """
    kept, start = "", 0
    for mark in NOTE.finditer(comment):
        if mark.start() < start:
            continue
        try:
            _, end = json.JSONDecoder().raw_decode(comment, mark.end())
        except (ValueError, RecursionError):  # somebody wrote into it: theirs now
            continue
        if comment[end : end + 1] == "]":
            kept, start = kept + comment[start : mark.start()], end + 1
    return kept + comment[start:]


@lru_cache(maxsize=1 << 12)
def words(name: str) -> tuple[str, ...]:
    """The words of a header, in lower case; a number at the end is dropped.

    >>> words("custPhoneNo2")
    ('cust', 'phone', 'no')
    """
    found = [word.lower() for word in WORD.findall(unicodedata.normalize("NFC", name))]
    while len(found) > 1 and found[-1].isdigit():
        found.pop()
    return tuple(found)


@lru_cache(maxsize=1 << 16)  # a folder of many files has the same headers again and again
def names_kind(name: str, hints: frozenset[str], unless: frozenset[str] = frozenset()) -> bool:
    """Whether a header names the kind that `hints` (normalised) belong to, and has none of the words in `unless`.

    >>> names_kind("product_name", frozenset(["name"]), unless=frozenset(["product"]))
    False
    """
    parts = words(name)
    if any(word in unless or word.startswith(_korean(unless)) for word in parts):
        return False
    for first in range(len(parts)):
        joined = ""
        for part in parts[first:]:
            joined += part
            if joined in hints or joined.removesuffix("s") in hints:
                return True
    return any(part.endswith(_korean(hints, 2)) for part in (*parts, "".join(parts)))


@cache
def _korean(hints: frozenset[str], shortest: int = 1) -> tuple[str, ...]:
    """Those of `hints` that are not ASCII and have so many characters at least."""
    return tuple(hint for hint in hints if len(hint) >= shortest and not hint.isascii())
