"""From tokens to hits: the protocols of detectors, and the loop that runs detectors over a text.

A *span detector* picks `candidates` (by shape), then `confirm`s them (check digit, calendar, ranges, context). Where
the hits of two detectors overlap, the surer one stands, then the longer one, then the one that comes first in the
table; a hit of the very same span is still the shape of its kind, and becomes WEAK.

A *value detector* says of whole values whether they may be of its kind. Such values have no shape of their own (login
ids, names in Latin letters), so it looks at columns whose header names the kind, and elsewhere at values with one of
its `heads` alone. Each value is judged by itself, so that counts do not depend on how a column is cut into batches.

A *pattern detector* has a regular expression for its values: the kinds that a policy defines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol, TypeGuard

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.engine.folding import fold
from pii_guard.engine.lexer import lex
from pii_guard.engine.patterns import flagged, spans
from pii_guard.engine.text import Index, Text
from pii_guard.engine.tokens import Tokens, slices
from pii_guard.engine.whole_values import Heads
from pii_guard.model import Confidence, Kind

__all__ = [
    "REJECTED",
    "WEAK",
    "ColumnRule",
    "Detector",
    "Hits",
    "Judgement",
    "PatternDetector",
    "SpanDetector",
    "ValueDetector",
    "detect",
    "locate",
    "looks_at_values",
]

REJECTED = -1
"""Not even the shape of the kind."""
WEAK = 0
"""A shape that counts only in a column of such values, or under a header that names the kind; never a hit by itself."""


@dataclass(frozen=True, slots=True)
class ColumnRule:
    """When a whole column is of a kind. Shares are of the values examined."""

    hinted: float = 0.6
    """With a header that names the kind: this share must have the shape."""
    unhinted: float | None = 0.8
    """Without a header: this share must be hits that fill their values. None: never without a header."""
    check: float | None = None
    """For kinds with a check digit: the share of a column's shapes that passes it where they are real."""
    unless: frozenset[str] = frozenset()
    """Words in a header that take the hint back: the name of a product is not a person's."""
    sure: float = 0.0
    """With a header: this share must be hits by themselves. Much that has a name is no person: station_name."""
    sparse: bool = True
    """Whether single hits among other values are worth reporting: a name in a column of words is not."""
    alone: frozenset[str] = frozenset()
    """Headers that are a finding by themselves, whatever the values are."""
    hashes: bool = False
    """Whether hashes of such values count as values of this kind: those of passwords do."""
    opaque: bool = False
    """Whether values are often hexadecimal digits: under a header of this kind those are not taken for digests."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a detector says of n candidates. `confidence`: int8, REJECTED, WEAK or a Confidence. `checked`: whether a
    check digit holds. `start`, `end`: byte positions where they differ from the token's."""

    confidence: npt.NDArray[np.int8]
    checked: npt.NDArray[np.bool_] | None = None
    start: Index | None = None
    end: Index | None = None


class Detector(Protocol):
    """A kind of personal data and the columns that hold it; either a span or a value detector. Stateless."""

    @property
    def kind(self) -> Kind: ...

    @property
    def headers(self) -> frozenset[str]:
        """Names of columns that hold this kind, in the form of `pii_guard.engine.headers.normalise`."""

    @property
    def column(self) -> ColumnRule: ...


class SpanDetector(Detector, Protocol):
    """Finds values of its kind inside texts."""

    def candidates(self, tokens: Tokens) -> Index:
        """Tokens that may be of this kind."""

    def confirm(self, tokens: Tokens, index: Index) -> Judgement:
        """A verdict on each candidate."""


class WordDetector(SpanDetector, Protocol):
    """Finds values by the words around them as well, where no shape tells them: names in sentences."""

    @property
    def patterns(self) -> tuple[str, ...]:
        """RE2 patterns whose group `value` is a likely value."""

    @property
    def never(self) -> frozenset[str]:
        """Words that are no value, whatever stands around them."""


class PatternDetector(Detector, Protocol):
    """Finds values by a pattern of RE2. Those of all such detectors are looked for in one pass over a text."""

    @property
    def pattern(self) -> str:
        """What values look like."""

    def search(self, text: Text, rows: Index) -> Hits:
        """The hits in `rows`, the values in which some detector's pattern matches."""


class ValueDetector(Detector, Protocol):
    """Says which values of a column may be of its kind, each as a whole."""

    @property
    def heads(self) -> Heads | None:
        """How values begin that are worth a look without a header; None: no value is."""

    def matches(self, values: pa.Array) -> npt.NDArray[np.bool_]:
        """Which values may be of this kind. `values` is a large_string array without nulls; UTF-8 may be invalid."""


def looks_at_values(detector: Detector) -> TypeGuard[ValueDetector]:
    """Whether this is a value detector."""
    return hasattr(detector, "matches")


def _looks_at_words(detector: Detector) -> TypeGuard[WordDetector]:
    return hasattr(detector, "patterns")


def _looks_for_patterns(detector: Detector) -> TypeGuard[PatternDetector]:
    return hasattr(detector, "pattern")


def _looks_inside(detector: Detector) -> TypeGuard[SpanDetector]:
    return hasattr(detector, "candidates")


@dataclass(frozen=True, slots=True)
class Hits:
    """The hits of one detector in one text; all arrays have one element a hit, positions are bytes in `text.data`."""

    row: Index
    start: Index
    end: Index
    confidence: npt.NDArray[np.int8]
    checked: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.row)

    def where(self, mask: npt.NDArray[np.bool_] | Index) -> Hits:
        return Hits(self.row[mask], self.start[mask], self.end[mask], self.confidence[mask], self.checked[mask])


NOWHERE = np.zeros(0, np.int64)
NO_HITS = Hits(NOWHERE, NOWHERE, NOWHERE, np.zeros(0, np.int8), np.zeros(0, np.bool_))


def detect(text: Text, detectors: Sequence[Detector]) -> Iterator[tuple[int, Text, list[Hits]]]:
    """(first row, part of the text, hits of each detector in it) for consecutive parts of `text`.

    A part is folded (`pii_guard.engine.folding`); positions of hits are in it, and `part.original` leads back. Hits
    with confidence WEAK are among them; of the others no two overlap. A value detector has no hits here.
    """
    words = [
        (place, detector, _in_words(text, detector))
        for place, detector in enumerate(detectors)
        if _looks_at_words(detector)
    ]
    patterns = [(place, detector) for place, detector in enumerate(detectors) if _looks_for_patterns(detector)]
    for first, part in text.chunks():
        folded = fold(part)
        tokens = lex(folded)
        found = [_hits(tokens, detector) for detector in detectors]
        near = flagged(folded, tuple(detector.pattern for _, detector in patterns)) if patterns else NOWHERE
        if len(near):
            for place, searcher in patterns:
                found[place] = searcher.search(folded, near)
        # what a policy says is not personal stands beside other hits: it must not hide one
        aside = {place: found[place] for place, each in patterns if not each.kind.personal and len(found[place])}
        for place in aside:
            found[place] = NO_HITS
        for place, detector, hits in words:
            if folded is part:
                inside = _between(hits, first, first + len(part), int(text.offsets[first]))
            else:
                inside = _in_words(folded, detector)
            found[place] = _both(found[place], inside)
        settled = _disjoint(found)
        for place, beside in aside.items():
            settled[place] = beside
        yield first, folded, settled


SENTENCE = 16
"""Bytes; a shorter value has no room for a word beside a value of words."""
FIRST_HANGUL = 0xEA


def _in_words(text: Text, detector: WordDetector) -> Hits:
    """The hits by a detector's patterns, in Korean values that are long enough for a sentence; ordered by row.

    Over the whole text at once: to build the automaton of such a pattern takes as long as to search a megabyte.
    """
    if not len(text.data) or int(text.data.max()) < FIRST_HANGUL:
        return NO_HITS
    rows = np.flatnonzero(np.diff(text.offsets) >= SENTENCE)
    if not len(rows):
        return NO_HITS
    part = text if len(rows) == len(text) else text.take(rows)
    near = flagged(part, detector.patterns)
    if not len(near):
        return NO_HITS
    row, start, end = (
        np.concatenate(parts)
        for parts in zip(*(spans(part, pattern, near) for pattern in detector.patterns), strict=True)
    )
    words = pc.is_in(slices(part.data, start, end), pa.array(detector.never, pa.large_binary()))
    kept = np.flatnonzero(~words.to_numpy(zero_copy_only=False))
    kept = kept[np.argsort(row[kept], kind="stable")]
    row, start, end = row[kept], start[kept], end[kept]
    shift = text.offsets[rows[row]] - part.offsets[row]
    level = np.full(len(row), Confidence.LIKELY, np.int8)
    return Hits(rows[row], start + shift, end + shift, level, np.zeros(len(row), np.bool_))


def _between(hits: Hits, first: int, last: int, shift: int) -> Hits:
    """The hits in rows from `first` to `last`, counted from there."""
    part = hits.where(np.arange(*np.searchsorted(hits.row, [first, last])))
    return replace(part, row=part.row - first, start=part.start - shift, end=part.end - shift)


def _both(left: Hits, right: Hits) -> Hits:
    if not len(right):
        return left
    return Hits(
        np.concatenate([left.row, right.row]),
        np.concatenate([left.start, right.start]),
        np.concatenate([left.end, right.end]),
        np.concatenate([left.confidence, right.confidence]),
        np.concatenate([left.checked, right.checked]),
    )


def locate(text: Text, detectors: Sequence[Detector]) -> Iterator[tuple[Detector, Hits]]:
    """The hits of each detector in `text` as it is, in parts; those with confidence WEAK are left out."""
    for first, part, found in detect(text, detectors):
        shift = text.offsets[first]
        for detector, hits in zip(detectors, found, strict=True):
            kept = hits.where(hits.confidence > WEAK)
            start, end = part.original(kept.start, kept.end)
            yield detector, Hits(kept.row + first, start + shift, end + shift, kept.confidence, kept.checked)


def _hits(tokens: Tokens, detector: Detector) -> Hits:
    if not _looks_inside(detector):
        return NO_HITS
    index = detector.candidates(tokens)
    if not len(index):  # the cost of asking a dozen detectors about nothing would be the larger part
        return NO_HITS
    verdict = detector.confirm(tokens, index)
    start = tokens.start[index] if verdict.start is None else verdict.start
    end = tokens.end[index] if verdict.end is None else verdict.end
    checked = np.zeros(len(index), np.bool_) if verdict.checked is None else verdict.checked
    keep = np.flatnonzero(verdict.confidence > REJECTED)
    return Hits(tokens.row(index[keep]), start[keep], end[keep], verdict.confidence[keep], checked[keep])


def _in_order(hits: Hits) -> bool:
    """Whether each hit that is not WEAK ends before the next one starts."""
    if int(hits.confidence.min()) == WEAK:
        hits = hits.where(hits.confidence > WEAK)
    return bool((hits.start[1:] >= hits.end[:-1]).all())


def _disjoint(found: list[Hits]) -> list[Hits]:
    """Drop each hit that overlaps a better one; WEAK ones neither drop nor are dropped.

    What a better hit of the same span beats becomes WEAK: the column may still be of its kind.
    """
    standing = [hits for hits in found if len(hits) and int(hits.confidence.max()) > WEAK]
    if not standing or (len(standing) == 1 and _in_order(standing[0])):  # most columns hold one kind, or none
        return found
    sizes = [len(hits) for hits in found]
    start = np.concatenate([hits.start for hits in found])
    end = np.concatenate([hits.end for hits in found])
    level = np.concatenate([hits.confidence for hits in found])
    rank = np.repeat(np.arange(len(found)), sizes)
    keep = np.ones(len(start), np.bool_)
    alive, demoted = np.flatnonzero(level > WEAK), False
    alive = alive[np.argsort(start[alive], kind="stable")]
    while len(alive) > 1:
        reach = np.maximum.accumulate(end[alive])
        apart = start[alive][1:] >= reach[:-1]
        if apart.all():
            break
        crowded = ~(np.r_[True, apart] & np.r_[apart, True])
        alive, cluster = alive[crowded], np.r_[0, np.cumsum(apart)][crowded]
        cluster = np.r_[0, np.cumsum(np.diff(cluster) > 0)]
        order = np.lexsort((rank[alive], start[alive] - end[alive], -level[alive], cluster))
        best = alive[order[np.r_[True, np.diff(cluster[order]) > 0]]][cluster]
        lost = (best != alive) & (start[alive] < end[best]) & (end[alive] > start[best])
        same = lost & (start[alive] == start[best]) & (end[alive] == end[best])
        level[alive[same]] = WEAK
        demoted |= bool(same.any())
        keep[alive[lost & ~same]] = False
        alive = alive[~lost & (best != alive)]  # what touches no winner is weighed again among itself
    if keep.all() and not demoted:
        return found
    edges = np.cumsum([0, *sizes])
    parts = [slice(first, last) for first, last in pairwise(edges)]
    return [replace(hits, confidence=level[part]).where(keep[part]) for hits, part in zip(found, parts, strict=True)]
