"""From tokens to hits: the protocol of a detector, and the loop that runs detectors over a text.

A detector picks `candidates` (by shape), then `confirm`s them (check digit, calendar, ranges, context). Where the hits
of two detectors overlap, the surer one stands, then the longer one, then the one that comes first in the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pii_guard.engine.folding import fold
from pii_guard.engine.lexer import lex
from pii_guard.engine.text import Index, Text
from pii_guard.engine.tokens import Tokens
from pii_guard.model import MAX_SAMPLES, Confidence, Kind, KindTally

__all__ = ["REJECTED", "WEAK", "ColumnRule", "Detector", "Hits", "Judgement", "detect", "locate", "tally"]

REJECTED = -1
"""Not even the shape of the kind."""
WEAK = 0
"""A shape that counts only in a column of such values, or under a header that names the kind; never a hit by itself."""

BLANKS = np.zeros(256, np.bool_)
BLANKS[[9, 10, 11, 12, 13, 32]] = True


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
    sparse: bool = True
    """Whether single hits among other values are worth reporting: a name in a column of words is not."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a detector says of n candidates. `confidence`: int8, REJECTED, WEAK or a Confidence. `checked`: whether a
    check digit holds. `start`, `end`: byte positions where they differ from the token's."""

    confidence: npt.NDArray[np.int8]
    checked: npt.NDArray[np.bool_] | None = None
    start: Index | None = None
    end: Index | None = None


class Detector(Protocol):
    """A kind of personal data and how to find it. Stateless."""

    @property
    def kind(self) -> Kind: ...

    @property
    def headers(self) -> frozenset[str]:
        """Names of columns that hold this kind, in the form of `pii_guard.engine.headers.normalise`."""

    @property
    def column(self) -> ColumnRule: ...

    def candidates(self, tokens: Tokens) -> Index:
        """Tokens that may be of this kind."""

    def confirm(self, tokens: Tokens, index: Index) -> Judgement:
        """A verdict on each candidate."""


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


def detect(text: Text, detectors: Sequence[Detector]) -> Iterator[tuple[int, Text, list[Hits]]]:
    """(first row, part of the text, hits of each detector in it) for consecutive parts of `text`.

    A part is folded (`pii_guard.engine.folding`); positions of hits are in it, and `part.original` leads back. Hits
    with confidence WEAK are among them; of the others no two overlap.
    """
    for first, part in text.chunks():
        part = fold(part)
        tokens = lex(part)
        yield first, part, _disjoint([_hits(tokens, detector) for detector in detectors])


def locate(text: Text, detectors: Sequence[Detector]) -> Iterator[tuple[Detector, Hits]]:
    """The hits of each detector in `text` as it is, in parts; those with confidence WEAK are left out."""
    for first, part, found in detect(text, detectors):
        shift = text.offsets[first]
        for detector, hits in zip(detectors, found, strict=True):
            kept = hits.where(hits.confidence > WEAK)
            start, end = part.original(kept.start, kept.end)
            yield detector, Hits(kept.row + first, start + shift, end + shift, kept.confidence, kept.checked)


def _hits(tokens: Tokens, detector: Detector) -> Hits:
    index = detector.candidates(tokens)
    verdict = detector.confirm(tokens, index)
    start = tokens.start[index] if verdict.start is None else verdict.start
    end = tokens.end[index] if verdict.end is None else verdict.end
    checked = np.zeros(len(index), np.bool_) if verdict.checked is None else verdict.checked
    keep = np.flatnonzero(verdict.confidence > REJECTED)
    return Hits(tokens.row(index[keep]), start[keep], end[keep], verdict.confidence[keep], checked[keep])


def _disjoint(found: list[Hits]) -> list[Hits]:
    """Drop each hit that overlaps a better one; WEAK ones neither drop nor are dropped."""
    sizes = [len(hits) for hits in found]
    if sum(size > 0 for size in sizes) == 0:
        return found
    start = np.concatenate([hits.start for hits in found])
    end = np.concatenate([hits.end for hits in found])
    level = np.concatenate([hits.confidence for hits in found])
    rank = np.repeat(np.arange(len(found)), sizes)
    keep = np.ones(len(start), np.bool_)
    alive = np.flatnonzero(level > WEAK)
    alive = alive[np.argsort(start[alive], kind="stable")]
    while len(alive) > 1:
        reach = np.maximum.accumulate(end[alive])
        apart = start[alive][1:] >= reach[:-1]
        if apart.all():
            break
        cluster = np.r_[0, np.cumsum(apart)]
        order = np.lexsort((rank[alive], start[alive] - end[alive], -level[alive], cluster))
        best = alive[order[np.r_[True, np.diff(cluster[order]) > 0]]][cluster]
        lost = (best != alive) & (start[alive] < end[best]) & (end[alive] > start[best])
        keep[alive[lost]] = False
        alive = alive[~lost & (best != alive)]  # what touches no winner is weighed again among itself
    if keep.all():
        return found
    edges = np.cumsum([0, *sizes])
    return [hits.where(keep[edges[place] : edges[place + 1]]) for place, hits in enumerate(found)]


def tally(text: Text, hits: Hits, kind: Kind, counts: npt.NDArray[np.int64] | None) -> KindTally:
    """The hits of one kind in one text as counts of values; `counts` says how often each value occurs."""
    best = np.zeros(len(text), np.int8)
    for level in range(WEAK, Confidence.CERTAIN + 1):
        best[hits.row[hits.confidence == level]] = level + 1
    weights = np.ones(len(text), np.int64) if counts is None else counts
    levels = np.bincount(best, weights=weights, minlength=5).astype(np.int64)
    passed = np.zeros(len(text), np.bool_)
    passed[hits.row[hits.checked]] = True
    filled = np.zeros(len(text), np.bool_)
    filled[hits.row[_fills(text, hits) & (hits.confidence > WEAK)]] = True
    return KindTally(
        possible=int(levels[2]),
        likely=int(levels[3]),
        certain=int(levels[4]),
        whole=int(weights[filled].sum()),
        shaped=int(levels[1:].sum()),
        checked=int(weights[passed].sum()),
        samples=_samples(text, hits, kind),
    )


def _fills(text: Text, hits: Hits) -> npt.NDArray[np.bool_]:
    """Which hits are all of their value, but for white space around."""
    first, last = text.offsets[hits.row], text.offsets[hits.row + 1]
    fills: npt.NDArray[np.bool_] = (hits.start == first) & (hits.end == last)
    data = text.data  # white space at every edge where the hit is not
    blank_front = (hits.start == first) | (BLANKS[data[first]] & BLANKS[data[hits.start - 1]])
    blank_back = (hits.end == last) | (BLANKS[data[last - 1]] & BLANKS[data[np.minimum(hits.end, len(data) - 1)]])
    near = np.flatnonzero(~fills & blank_front & blank_back)
    if not len(near):
        return fills
    solid = np.r_[0, np.cumsum(~BLANKS[text.data])]  # solid[i]: bytes before i that are not white space
    outside = (solid[hits.start[near]] - solid[first[near]]) + (solid[last[near]] - solid[hits.end[near]])
    fills[near[outside == 0]] = True
    return fills


def _samples(text: Text, hits: Hits, kind: Kind) -> tuple[str, ...]:
    order = np.lexsort((hits.start[: 8 * MAX_SAMPLES], -hits.confidence[: 8 * MAX_SAMPLES]))
    masked: dict[str, None] = {}
    for place in order:
        row, head = int(hits.row[place]), int(text.offsets[hits.row[place]])
        masked[kind.mask(text.value(row, int(hits.start[place]) - head, int(hits.end[place]) - head))] = None
        if len(masked) == MAX_SAMPLES:
            break
    return tuple(masked)
