"""From hits to counts of values, which add up over batches, files and threads."""

from __future__ import annotations

from collections.abc import Sequence, Set

import numpy as np
import numpy.typing as npt

from pii_guard.engine.detection import WEAK, Hits, ValueDetector
from pii_guard.engine.patterns import as_strings
from pii_guard.engine.text import WHITE, Index, Text
from pii_guard.engine.whole_values import any_of
from pii_guard.model import MAX_SAMPLES, Confidence, Kind, KindTally

__all__ = ["tally", "tally_values"]


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


def tally_values(
    text: Text, detectors: Sequence[ValueDetector], named: Set[str], counts: npt.NDArray[np.int64] | None
) -> dict[str, KindTally]:
    """Kind -> the values that may be of it, as counts. All values are looked at for the kinds that the header `named`,
    for others those with one of the detector's heads."""
    found: dict[str, KindTally] = {}
    headed = frozenset(
        detector.heads for detector in detectors if detector.heads is not None and detector.kind.id not in named
    )
    near = any_of(headed).near(text) if headed else np.zeros(0, np.int64)
    filled = None
    for detector in detectors:
        if detector.kind.id in named:
            filled = np.flatnonzero(np.diff(text.offsets)) if filled is None else filled
            rows = filled
        elif detector.heads is not None and len(near):
            rows = detector.heads.rows(text, near)
        else:
            continue
        if len(rows):
            part = text if len(rows) == len(text) else text.take(rows)
            rows = rows[detector.matches(as_strings(part))]
        if len(rows):
            found[detector.kind.id] = _whole(text, rows, detector.kind, counts)
    return found


def _whole(text: Text, rows: Index, kind: Kind, counts: npt.NDArray[np.int64] | None) -> KindTally:
    found = len(rows) if counts is None else int(counts[rows].sum())
    few = rows[: 8 * MAX_SAMPLES]
    hits = Hits(few, text.offsets[few], text.offsets[few + 1], np.ones(len(few), np.int8), np.zeros(len(few), np.bool_))
    return KindTally(possible=found, whole=found, shaped=found, samples=_samples(text, hits, kind))


def _fills(text: Text, hits: Hits) -> npt.NDArray[np.bool_]:
    """Which hits are all of their value, but for white space around."""
    first, last = text.offsets[hits.row], text.offsets[hits.row + 1]
    fills: npt.NDArray[np.bool_] = (hits.start == first) & (hits.end == last)
    data = text.data  # white space at every edge where the hit is not
    blank_front = (hits.start == first) | (WHITE[data[first]] & WHITE[data[hits.start - 1]])
    blank_back = (hits.end == last) | (WHITE[data[last - 1]] & WHITE[data[np.minimum(hits.end, len(data) - 1)]])
    near = np.flatnonzero(~fills & blank_front & blank_back)
    if not len(near):
        return fills
    solid = np.r_[0, np.cumsum(~WHITE[text.data])]  # solid[i]: bytes before i that are not white space
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
