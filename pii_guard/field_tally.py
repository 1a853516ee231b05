"""What the values of one field in one batch count to, and what the name of the field says before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pii_guard.batches import Leaf
from pii_guard.crypto.token import find_tokens
from pii_guard.engine.allowances import without_allowed
from pii_guard.engine.counting import tally, tally_values
from pii_guard.engine.detection import Detector, detect, looks_at_values
from pii_guard.engine.headers import names_kind
from pii_guard.engine.protection import GUESSABLE, is_hash, protected
from pii_guard.engine.text import Index, Text
from pii_guard.model import FieldTally, KindTally

__all__ = ["Header", "tally_field"]

SHORTEST_TOKEN, TOKEN_HEAD = 64, ord("p")
"""What no token is shorter than, and how it begins: a look at these spares most columns the exact one."""
DIGESTS = frozenset("hash hashed digest md5 sha sha1 sha256 sha512 해시 해쉬 해시값".split())
"""Headers under which base64 of a digest's length is a digest."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the name of a field says before any value is seen."""

    kinds: frozenset[str]
    """The kinds that it names."""
    hexadecimal: bool
    """Whether hexadecimal digits of a digest's length are a digest here."""
    base64: bool
    """The same for base64."""

    @classmethod
    def of(cls, name: str, detectors: Sequence[Detector]) -> Self:
        named = [detector for detector in detectors if names_kind(name, detector.headers, detector.column.unless)]
        kinds = frozenset(detector.kind.id for detector in named)
        base64 = bool(kinds & GUESSABLE) or names_kind(name, DIGESTS)
        return cls(kinds, not any(detector.column.opaque for detector in named), base64)


def tally_field(
    leaf: Leaf, detectors: Sequence[Detector], header: Header, *, with_comments: bool = False
) -> FieldTally:
    """What the values of one field in one batch count to: tokens, other protection, and kinds in what is plain.

    `with_comments`: the values are lines in which a comment can allow hits (`pii_guard.engine.allowances`).
    """
    counts = leaf.counts()
    values = leaf.values
    if counts is not None:
        values = values.dictionary
        used = np.flatnonzero((counts > 0) & values.is_valid().to_numpy(zero_copy_only=False))
        values, counts = values.take(pa.array(used)), counts[used]
    text = Text.of(values)
    lengths = np.diff(text.offsets)
    weights = np.ones(len(text), np.int64) if counts is None else counts
    examined = int(weights[lengths > 0].sum())
    size = int((lengths * weights).sum())
    tokens = 0
    states: dict[str, int] = {}
    plain = np.ones(len(text), np.bool_)
    long = np.flatnonzero(lengths >= SHORTEST_TOKEN)
    if len(long) and (text.data[text.offsets[long]] == TOKEN_HEAD).any():
        plain = ~find_tokens(values).to_numpy(zero_copy_only=False)
        tokens = int(weights[~plain].sum())
    for state, rows in protected(text, hexadecimal=header.hexadecimal, base64=header.base64):
        states[state] = states.get(state, 0) + int(weights[rows].sum())
        plain[rows] = False
    if not plain.all():
        text, weights = text.take(np.flatnonzero(plain)), weights[plain]
        counts = None if counts is None else weights
    searched = _searched(text, counts, detectors, header, any(map(is_hash, states)), with_comments)
    return searched + FieldTally(
        rows=leaf.rows,
        examined=examined,
        bytes=size,
        tokens=tokens,
        protected=states,
        invalid=int(weights[text.invalid()].sum()),
    )


def _searched(
    text: Text,
    counts: npt.NDArray[np.int64] | None,
    detectors: Sequence[Detector],
    header: Header,
    hashed: bool,
    with_comments: bool,
) -> FieldTally:
    """The tally of each kind in the plain values of a field. A kind that the header names, or whose hashes some values
    may be, has one in any case: the verdict on it needs no hits, but has to know that it was looked for."""
    kinds = {
        detector.kind.id: KindTally()
        for detector in detectors
        if detector.kind.id in header.kinds or (detector.column.hashes and hashed)
    }
    whole = [detector for detector in detectors if looks_at_values(detector)]
    searched = FieldTally(kinds=kinds)
    for first, part, hits in detect(text, detectors):
        weights = None if counts is None else counts[first : first + len(part)]
        allowed: dict[str, int] = {}
        idle = 0
        if with_comments:
            hits, rows_of, idle_rows = without_allowed(text.part(first, first + len(part)), detectors, hits)
            allowed = {kind: _times(rows, weights) for kind, rows in rows_of.items()}
            idle = _times(idle_rows, weights)
        found = tally_values(part, whole, header.kinds, weights)
        for detector, hit in zip(detectors, hits, strict=True):
            if len(hit):
                found[detector.kind.id] = tally(part, hit, detector.kind, weights)
        searched = searched + FieldTally(kinds=found, allowed=allowed, idle=idle)
    return searched


def _times(rows: Sequence[int] | Index, weights: Index | None) -> int:
    """How often the values at `rows` occur in all."""
    return len(rows) if weights is None else int(weights[np.asarray(rows, np.int64)].sum())
