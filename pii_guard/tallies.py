"""What is counted in a field: of one kind, of its values, of those that are frequent. Frozen, never a raw value.

Counts are associative: the tally of two batches, files or partitions is the sum of their tallies, in the order of the
data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from pii_guard.model import Protection

__all__ = ["MAX_SAMPLES", "FieldTally", "Frequencies", "KindTally"]

MAX_SAMPLES = 3
"""Masked samples kept for a field and kind."""


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
