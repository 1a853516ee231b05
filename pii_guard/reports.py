"""What a scan reports: its verdicts on fields, what it read, and what it could not read. Frozen, never a raw value.

Verdicts (`Finding`) are computed from tallies, never merged themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from pii_guard.model import INDEX, Confidence, FieldPath, Protection, Tag
from pii_guard.tallies import FieldTally

__all__ = ["Coverage", "FieldReport", "Finding", "NotExamined", "Sampled", "ScanReport", "Suppressed"]


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
    """The result of a scan. `pii_guard.merging.merge` adds two of them."""

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
