"""The nouns of pii-guard: where a field is, what kind of data it holds, what protects it, what is known of it. Frozen.

What a scan counts of them is in `tallies`, what it reports in `reports`.
"""

from __future__ import annotations

import enum
import json
import re
from dataclasses import dataclass
from typing import Self

__all__ = ["BLANK", "INDEX", "Confidence", "FieldPath", "Hit", "Kind", "Protection", "Tag", "TokenState", "path_text"]


class Confidence(enum.IntEnum):
    """How sure a hit or a verdict is (docs/FORMAT.md, confidence)."""

    POSSIBLE = 1
    """The shape alone."""
    LIKELY = 2
    """The shape with a label, header, bank name, honorific or column statistics."""
    CERTAIN = 3
    """A check digit or unmistakable syntax."""

    def __str__(self) -> str:
        return self.name.lower()


class Protection(enum.StrEnum):
    """What protects the values of a field already."""

    PLAIN = "plain"
    MASKED = "masked"
    """Most of every value is starred out."""
    HASHED = "hashed"
    """Password hashes, or digests. A digest without a salt is no protection where the values can all be tried."""
    ENCRYPTED = "encrypted"
    """Ciphertext of something other than pii-guard, by its form."""
    TOKEN = "token"  # noqa: S105 - the name of a state, not a secret
    """Every value has the form of a pii-guard token: it looks encrypted; that it is, only a key proves."""
    MIXED = "mixed"
    """Values in more than one of these states."""


INDEX = "hashed/index"
"""The state of values that are blind indexes (`pii_guard.engine.protection`)."""


class TokenState(enum.StrEnum):
    """What a value that begins like a pii-guard token is, as far as can be told (docs/FORMAT.md, Recognition)."""

    LOOKS = "looks"
    """It has the form; nothing is known of its key."""
    KNOWN = "known"
    """Its key is known and belongs to this field; its marker was not verified."""
    VERIFIED = "verified"
    """Its marker verifies, for this field."""
    OTHER_FIELD = "other-field"
    """Its key belongs to another field."""
    DESTROYED = "destroyed"
    """Its key was destroyed: it is unreadable."""
    UNKNOWN_KEY = "unknown-key"
    """Its key is in no key directory that was given."""
    FORGED = "forged"
    """Its key is known, and its marker does not verify: changed, or made by somebody without the key."""
    TEXT = "text"
    """The head of a token in front of readable text: encoded, not encrypted."""
    BROKEN = "broken"
    """The head of a token in front of what is none: cut off, or something else."""


BLANK = "********"
"""What stands for a value of which nothing may be shown, not even its length."""

_HIDDEN = re.compile(r"[0-9A-Za-z\x80-\U0010ffff]")
"""What a mask replaces by stars: letters and digits, and whatever is not ASCII."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of personal data. `id` is a promise: stable, never reused.

    `keep` says how many characters a mask leaves at the start and at the end, at most two together; (0, 0) shows not
    even the length or the punctuation, None masks nothing. `domain`: how many different values there are at most, where
    they are few; None where they are many.
    """

    id: str
    title: str
    personal: bool = True
    keep: tuple[int, int] | None = (1, 0)
    domain: int | None = None

    def mask(self, value: str) -> str:
        """Star every letter and digit of `value` but the few that `keep` allows; punctuation stays.

        >>> Kind("email", "e-mail address").mask("gildong@example.com")
        'g******@*******.***'
        """
        if self.keep is None:
            return value
        if self.keep == (0, 0):
            return BLANK
        first, last = self.keep
        alnum = [position for position, char in enumerate(value) if char.isalnum()]
        if len(alnum) <= 2 * (first + last):  # too short for a part of it to say nothing
            first = last = 0
        shown = {*alnum[:first], *(alnum[-last:] if last else ())}
        masked = list(_HIDDEN.sub("*", value))
        for position in shown:
            masked[position] = value[position]
        return "".join(masked)


_PLAIN_SEGMENT = re.compile(r"[^\s.\[\]{}\"%:\x00-\x1f\x7f-\x9f]+")


def path_text(segments: tuple[str, ...]) -> str:
    """The canonical text of a path inside a table (docs/FORMAT.md, FieldPath).

    A segment is a field name; `[]` stands for the elements of a list, `{keys}` for the keys of a map, `{}` for
    the values of a map with very many keys. A name that
    holds white space, a control character or one of `. [ ] { } " % :` is written as a JSON string.

    >>> path_text(("user", "emails", "[]"))
    'user.emails[]'
    >>> path_text(("e-mail (work)",))
    '"e-mail (work)"'
    """
    text = ""
    for segment in segments:
        if segment == "[]":
            text += "[]"
            continue
        plain = segment in ("{}", "{keys}") or _PLAIN_SEGMENT.fullmatch(segment)
        text += ("." if text else "") + (segment if plain else json.dumps(segment, ensure_ascii=False))
    return text


@dataclass(frozen=True, slots=True, order=True)
class FieldPath:
    """Where a field is: a source (file or URL without password), a table in it, a path in the table.

    All three are already safe to show: the scanner has replaced any personal value in a name by its kind.

    >>> str(FieldPath("shop/customers.csv", "customers", "phone"))
    'shop/customers.csv::customers::phone'
    >>> FieldPath.parse("shop/customers.csv::customers::phone").table
    'customers'
    """

    source: str
    table: str
    path: str

    def __str__(self) -> str:
        def escape(text: str) -> str:
            return re.sub(r"[%\x00-\x1f\x7f]|:(?=:)|:$|^:", lambda hit: f"%{ord(hit[0]):02X}", text)

        return f"{escape(self.source)}::{escape(self.table)}::{self.path}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of `str`. Raises ValueError for text of another form."""
        parts = text.split("::", 2)
        if len(parts) != 3:
            raise ValueError("a field path has the form SOURCE::TABLE::PATH")
        source, table = (re.sub(r"%([0-9A-F]{2})", lambda hit: chr(int(hit[1], 16)), part) for part in parts[:2])
        return cls(source, table, parts[2])


@dataclass(frozen=True, slots=True)
class Hit:
    """One value found in a text, masked. `line` and `column` count from 1, in characters.

    `start` and `end` count characters from the start of the whole text, from 0; `end` is behind the last.
    """

    kind: str
    confidence: Confidence
    personal: bool
    line: int
    column: int
    start: int
    end: int
    masked: str
    allowed: bool = False
    """Whether a comment in its line allows it (docs/own-rules.md)."""


@dataclass(frozen=True, slots=True)
class Tag:
    """Why a field is kept, how long, and what protects it (docs/FORMAT.md, tag). A statement, not a right."""

    field: str | None = None
    """The logical field: `TABLE.PATH` where the values were first protected. Keys are bound to it; files move."""
    kind: str | None = None
    purposes: tuple[str, ...] = ()
    retention: str | None = None
    basis: str | None = None
    protection: str = "none"
    """One of `pii_guard.tags.PROTECTIONS`."""
    key_id: str | None = None
    type: str | None = None
    """The Arrow type that the values had before they were encrypted."""
    reason: str | None = None
    """Why a personal field is left in the clear, or encrypted so that equal values show."""
    mode: str | None = None
    """`deterministic`: equal values have equal tokens. None: they have not."""
    index: str | None = None
    """The bits of the blind index of the field, in digits; `auto` as long as they are not planned."""
    bind_row: tuple[str, ...] = ()
    """The columns of the same table whose values name the row that each token is bound to."""

    @property
    def exempt(self) -> bool:
        """Whether it states why the field may stay in the clear."""
        return self.protection == "none" and self.reason is not None

    @property
    def keyed(self) -> bool:
        """Whether a key of the key directory protects the field."""
        return self.protection in ("encrypt", "encrypt-spans", "hmac")
