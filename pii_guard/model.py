"""The nouns of pii-guard: where a field is, what kind of data it holds, what was found. Frozen, never a raw value.

Counts are associative: the tally of two batches, files or partitions is the sum of their tallies, in the order of the
data. Verdicts (`Finding`) are computed from tallies, never merged themselves.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import ClassVar, Self

__all__ = [
    "BLANK",
    "INDEX",
    "Confidence",
    "Coverage",
    "FieldPath",
    "FieldReport",
    "FieldTally",
    "Finding",
    "Frequencies",
    "Hit",
    "Kind",
    "KindTally",
    "NotExamined",
    "Protection",
    "Sampled",
    "ScanReport",
    "Suppressed",
    "Tag",
    "TokenState",
    "path_text",
]

MAX_SAMPLES = 3
"""Masked samples kept for a field and kind."""


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


BLANK = "********"
"""What stands for a value of which nothing may be shown, not even its length."""


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


_HIDDEN = re.compile(r"[0-9A-Za-z\x80-\U0010ffff]")
"""What a mask replaces by stars: letters and digits, and whatever is not ASCII."""


INDEX = "hashed/index"
"""The state of values that are blind indexes (`pii_guard.engine.protection`)."""


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
class KindTally:
    """What was counted of one kind in one field. All counts are values (rows), not hits."""

    possible: int = 0
    """Values whose best hit is `possible`; likewise the next two."""
    likely: int = 0
    certain: int = 0
    whole: int = 0
    """Values that are nothing but one hit, white space aside."""
    shaped: int = 0
    """Values with the shape, whether or not it was a hit: what shares and pass rates are measured against."""
    checked: int = 0
    """Values with a hit whose check digit holds."""
    named: int = 0
    """Hits in the field's own name."""
    samples: tuple[str, ...] = ()
    """Some hits, masked; where no value has one, some of what has the shape. Which ones depends on how a field was cut
    into parts, as nothing else here does."""
    lines: tuple[int, ...] = ()
    """The first lines with a hit, from 1, at most MAX_SAMPLES; of text files alone, whose rows are lines."""

    @property
    def hits(self) -> int:
        """Values with at least one accepted hit."""
        return self.possible + self.likely + self.certain

    def __add__(self, other: KindTally) -> KindTally:
        counted = [part for part in (self, other) if part.hits] or [self, other]
        samples = tuple(dict.fromkeys(sample for part in counted for sample in part.samples))[:MAX_SAMPLES]
        return KindTally(
            possible=self.possible + other.possible,
            likely=self.likely + other.likely,
            certain=self.certain + other.certain,
            whole=self.whole + other.whole,
            shaped=self.shaped + other.shaped,
            checked=self.checked + other.checked,
            named=max(self.named, other.named),
            samples=samples,
            lines=tuple(sorted({*self.lines, *other.lines})[:MAX_SAMPLES]),
        )


@dataclass(frozen=True, slots=True)
class Frequencies:
    """Which values are frequent, by fingerprints under a key that dies with the process; never a value.

    The summary of Misra and Gries: of each value at most `error` occurrences are not counted. With `LIMIT` counters
    `error` is at most 1/1,000 of the values, whatever they are and in whatever order and parts they come.
    """

    LIMIT: ClassVar[int] = 1_000
    values: int = 0
    counts: Mapping[bytes, int] = field(default_factory=dict, repr=False)
    error: int = 0

    @property
    def top(self) -> int:
        """At most so often the most frequent value occurs."""
        return max(self.counts.values(), default=0) + self.error

    def __add__(self, other: Frequencies) -> Frequencies:
        counts = dict(self.counts)
        for print_, count in other.counts.items():
            counts[print_] = counts.get(print_, 0) + count
        surplus = sorted(counts.values(), reverse=True)[self.LIMIT] if len(counts) > self.LIMIT else 0
        kept = {print_: count - surplus for print_, count in counts.items() if count > surplus}
        return Frequencies(self.values + other.values, kept, self.error + other.error + surplus)


@dataclass(frozen=True, slots=True)
class FieldTally:
    """What was counted in one field, whatever its kind."""

    rows: int = 0
    examined: int = 0
    """Values that are neither null nor empty."""
    bytes: int = 0
    longest: int = 0
    """Bytes of the longest value."""
    tokens: int = 0
    """Values of the form of a pii-guard token; they are not searched for personal data."""
    protected: Mapping[str, int] = field(default_factory=dict)
    """What else protects values (`pii_guard.engine.protection.STATES`) -> how many; they are not searched either."""
    invalid: int = 0
    """Values that are not valid UTF-8; they are examined all the same."""
    kinds: Mapping[str, KindTally] = field(default_factory=dict)
    allowed: Mapping[str, int] = field(default_factory=dict)
    """Kind -> lines of text whose hits of it a comment in the line allows; they are counted nowhere else."""
    idle: int = 0
    """Such comments that allow nothing: without reason, of an unknown kind, or beside nothing of the kind."""
    frequencies: Frequencies | None = None
    """Which values are frequent, where the scan was asked for it."""

    token_states: Mapping[str, int] = field(default_factory=dict)
    """What values that begin like tokens are -> how many (`TokenState`; `other-field/FIELD`). Those that are `text` or
    `broken` are none, and count as plain."""
    token_bytes: tuple[int, ...] = ()
    """How often each byte occurs in a sample of ciphertexts of tokens; empty where there are too few."""

    @property
    def chi_square(self) -> float | None:
        """The distance of these bytes from evenly spread ones, over their number: near 0 for ciphertext, above 1 for
        encoded text; None where there are too few."""
        total = sum(self.token_bytes)
        if not total:
            return None
        return sum((count - total / 256) ** 2 for count in self.token_bytes) / (total / 256) / total

    @property
    def plain(self) -> int:
        """Values that nothing protects."""
        return self.examined - self.tokens - sum(self.protected.values())

    @property
    def states(self) -> Mapping[Protection, int]:
        """How many values are in each state; only states that occur."""
        found = {Protection.PLAIN: self.plain, Protection.TOKEN: self.tokens}
        for name, count in self.protected.items():
            state = Protection(name.partition("/")[0])
            found[state] = found.get(state, 0) + count
        return {state: count for state, count in found.items() if count}

    def __add__(self, other: FieldTally) -> FieldTally:
        kinds = dict(self.kinds)
        for kind, tally in other.kinds.items():
            kinds[kind] = kinds[kind] + tally if kind in kinds else tally
        return FieldTally(
            rows=self.rows + other.rows,
            examined=self.examined + other.examined,
            bytes=self.bytes + other.bytes,
            longest=max(self.longest, other.longest),
            tokens=self.tokens + other.tokens,
            protected=_sum(self.protected, other.protected),
            invalid=self.invalid + other.invalid,
            kinds=kinds,
            allowed=_sum(self.allowed, other.allowed),
            idle=self.idle + other.idle,
            frequencies=_either(self.frequencies, other.frequencies),
            token_states=_sum(self.token_states, other.token_states),
            token_bytes=self.token_bytes or other.token_bytes,
        )


def _either(left: Frequencies | None, right: Frequencies | None) -> Frequencies | None:
    return left + right if left is not None and right is not None else left or right


def _sum(left: Mapping[str, int], right: Mapping[str, int]) -> Mapping[str, int]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in sorted({*left, *right})}


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict on one field and one kind, with its evidence in words."""

    kind: str
    confidence: Confidence
    personal: bool
    examined: int
    hits: int
    protection: Protection
    samples: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    lines: tuple[int, ...] = ()
    """As in `KindTally`."""


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A finding that the policy says is none (docs/own-rules.md)."""

    finding: Finding
    reason: str
    expires: date
    """The last day on which it is suppressed."""


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


@dataclass(frozen=True, slots=True)
class FieldReport:
    """One field of a scan: where, of which type, what was counted, what that means."""

    field: FieldPath
    segments: tuple[str, ...]
    """The path, unjoined, safe to show."""
    type: str
    tally: FieldTally
    findings: tuple[Finding, ...] = ()
    tag: Tag | None = None
    """The tag that the source itself carries (Arrow field metadata)."""
    suppressed: tuple[Suppressed, ...] = ()
    """Findings that the policy takes out; they are not among `findings`."""
    in_lines: bool = False
    """Whether the values are lines of text or source code, in which a comment can allow a hit."""
    comment: str = ""
    """What the source calls it in a comment, safe to show."""
    key: str = ""
    """`primary` or `foreign`, where the source says that it is a part of such a key."""

    @property
    def protection(self) -> Protection:
        """The one state of all values, or mixed; a field without values is plain."""
        states = tuple(self.tally.states) or (Protection.PLAIN,)
        return states[0] if len(states) == 1 else Protection.MIXED

    @property
    def is_index(self) -> bool:
        """Whether it is a column of blind indexes, by the form of its values, or by its tag where it has none."""
        stated = self.tag is not None and self.tag.protection == "index"
        return self.tally.protected.get(INDEX, 0) == self.tally.examined and (self.tally.examined > 0 or stated)


@dataclass(frozen=True, slots=True)
class NotExamined:
    """Something that was tried and could not be read, wholly or in part."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was read."""

    sources: int = 0
    tables: int = 0
    rows: int = 0
    bytes: int = 0
    unparsed: int = 0
    """Lines that do not parse as rows of their file; they are examined as text."""
    invalid: int = 0
    """Values that are not valid UTF-8; they are examined all the same."""
    replaced: int = 0
    """Byte sequences of no known encoding in text files; U+FFFD stands for each."""
    sampled: int = 0
    """Tables of which a sample was read."""
    unread: int = 0
    """Bytes of files and tables that samples left out, of tables by an estimate."""
    bound: float = 0.0
    """The largest `Sampled.bound` of all."""

    def __add__(self, other: Coverage) -> Coverage:
        return Coverage(
            self.sources + other.sources,
            self.tables + other.tables,
            self.rows + other.rows,
            self.bytes + other.bytes,
            self.unparsed + other.unparsed,
            self.invalid + other.invalid,
            self.replaced + other.replaced,
            self.sampled + other.sampled,
            self.unread + other.unread,
            max(self.bound, other.bound),
        )


@dataclass(frozen=True, slots=True)
class Sampled:
    """A table of which a sample was read."""

    source: str
    table: str
    rows: int
    estimated: int
    """Rows of the whole table, about."""
    drawn: str
    """How the sample was drawn, in words."""
    by_row: bool
    """Whether each row was drawn by itself; else the bound holds only as far as rows are spread evenly."""

    @property
    def bound(self) -> float:
        """What is in none of the rows is in less than this share of all, with 95 % confidence: 3/n (the rule of three;
        Hanley and Lippman-Hand, JAMA 1983)."""
        return min(3 / max(self.rows, 1), 1.0)

    def __add__(self, other: Sampled) -> Sampled:
        return replace(self, rows=self.rows + other.rows, estimated=self.estimated + other.estimated)


@dataclass(frozen=True, slots=True)
class ScanReport:
    """The result of a scan. `pii_guard.scanner.merge` adds two of them."""

    fields: tuple[FieldReport, ...] = ()
    coverage: Coverage = Coverage()
    not_examined: tuple[NotExamined, ...] = ()
    out_of_scope: Mapping[str, int] = field(default_factory=dict)
    """Reason -> number of files that were left out on purpose."""
    samples: tuple[Sampled, ...] = ()
    """The tables of which a part was read: what is not found in one may be in the rest."""

    @property
    def complete(self) -> bool:
        """Whether all that was tried was read."""
        return not self.not_examined

    @property
    def findings(self) -> tuple[tuple[FieldReport, Finding], ...]:
        """All findings with their fields, in the order of the fields."""
        return tuple((report, finding) for report in self.fields for finding in report.findings)

    def only(self, kinds: frozenset[str]) -> ScanReport:
        """The same report with the findings of `kinds` alone."""
        fields = tuple(
            replace(report, findings=tuple(finding for finding in report.findings if finding.kind in kinds))
            for report in self.fields
        )
        return replace(self, fields=fields)
