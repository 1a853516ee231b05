"""From hits to counts of values, which add up over batches, files and threads."""

from __future__ import annotations

from collections.abc import Sequence, Set

import numpy as np
import numpy.typing as npt

from pii_guard.engine.detection import WEAK, Hits, ValueDetector
from pii_guard.engine.patterns import as_strings
from pii_guard.engine.text import WHITE, Index, Text
from pii_guard.engine.whole_values import any_of
from pii_guard.model import Confidence, Kind
from pii_guard.tallies import MAX_SAMPLES, KindTally

__all__ = ["tally", "tally_values"]


def tally(text: Text, hits: Hits, kind: Kind, counts: npt.NDArray[np.int64] | None) -> KindTally:
    """The hits of one kind in one text as counts of values; `counts` says how often each value occurs."""
    row, level, accepted = hits.row, hits.confidence, hits.confidence > WEAK
    filled = _fills(text, hits) & accepted
    checked = hits.checked
    if (row[1:] <= row[:-1]).any():  # several in one value: the best of them counts
        best, whole, passed = np.full(len(text), WEAK - 1, np.int8), *np.zeros((2, len(text)), np.bool_)
        for each in range(WEAK, Confidence.CERTAIN + 1):
            best[row[level == each]] = each
        whole[row[filled]] = passed[row[checked]] = True
        row = np.flatnonzero(best >= WEAK)
        level, filled, checked = best[row], whole[row], passed[row]
    weights = None if counts is None else counts[row]

    def values(which: npt.NDArray[np.bool_]) -> int:
        return int(np.count_nonzero(which) if weights is None else weights[which].sum())

    return KindTally(
        possible=values(level == Confidence.POSSIBLE),
        likely=values(level == Confidence.LIKELY),
        certain=values(level == Confidence.CERTAIN),
        whole=values(filled),
        shaped=len(row) if weights is None else int(weights.sum()),
        checked=values(checked),
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
    if len(hits) == len(text) and (hits.row[1:] > hits.row[:-1]).all():  # one in each value, as in columns of the kind
        first, last = text.offsets[:-1], text.offsets[1:]
    else:
        first, last = text.offsets[hits.row], text.offsets[hits.row + 1]
    fills: npt.NDArray[np.bool_] = (hits.start == first) & (hits.end == last)
    rest = np.flatnonzero(~fills)
    first, last, start, end, data = first[rest], last[rest], hits.start[rest], hits.end[rest], text.data
    # white space at every edge where the hit is not
    blank_front = (start == first) | (WHITE[data[first]] & WHITE[data[start - 1]])
    blank_back = (end == last) | (WHITE[data[last - 1]] & WHITE[data[np.minimum(end, len(data) - 1)]])
    near = np.flatnonzero(blank_front & blank_back)
    if not len(near):
        return fills
    solid = np.r_[0, np.cumsum(~WHITE[text.data])]  # solid[i]: bytes before i that are not white space
    outside = (solid[start[near]] - solid[first[near]]) + (solid[last[near]] - solid[end[near]])
    fills[rest[near[outside == 0]]] = True
    return fills


def _samples(text: Text, hits: Hits, kind: Kind) -> tuple[str, ...]:
    """The first distinct ones of some hits, masked: of those that count, or of the weak ones where none does."""
    accepted = np.flatnonzero(hits.confidence > WEAK)
    first = (accepted if len(accepted) else np.arange(len(hits.row)))[: 8 * MAX_SAMPLES]
    masked: dict[str, None] = {}
    for place in first[np.lexsort((hits.start[first], -hits.confidence[first]))]:
        row, head = int(hits.row[place]), int(text.offsets[hits.row[place]])
        masked[kind.mask(text.value(row, int(hits.start[place]) - head, int(hits.end[place]) - head))] = None
        if len(masked) == MAX_SAMPLES:
            break
    return tuple(masked)
