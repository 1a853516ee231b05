"""What the values of one field in one batch count to, and what the name of the field says before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.crypto.buffers import by_length, to_binary
from pii_guard.crypto.recognition import Keys, Recognised, recognise
from pii_guard.crypto.secret import Secret
from pii_guard.crypto.siv import cmac
from pii_guard.engine.allowances import without_allowed
from pii_guard.engine.counting import tally, tally_values
from pii_guard.engine.detection import WEAK, Detector, detect, looks_at_values
from pii_guard.engine.headers import names_kind
from pii_guard.engine.protection import GUESSABLE, is_hash, protected
from pii_guard.engine.text import Index, Text
from pii_guard.leaves import Leaf
from pii_guard.model import TokenState
from pii_guard.plain_types import is_text
from pii_guard.tallies import MAX_SAMPLES, FieldTally, Frequencies, KindTally

__all__ = ["Header", "tally_field"]

SHORTEST_TOKEN, TOKEN_HEAD = 64, ord("p")
"""What no token is shorter than, and how it begins: a look at these spares most columns the exact one."""
DIGESTS = frozenset("hash hashed digest md5 sha sha1 sha256 sha512 해시 해쉬 해시값".split())
"""Headers under which base64 of a digest's length is a digest."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the name of a field, and what else it is called, say before any value is seen."""

    kinds: frozenset[str]
    """The kinds that it names."""
    hexadecimal: bool
    """Whether hexadecimal digits of a digest's length are a digest here."""
    base64: bool
    """The same for base64."""

    @classmethod
    def of(cls, names: Sequence[str], detectors: Sequence[Detector]) -> Self:
        named = [
            detector
            for detector in detectors
            if any(names_kind(name, detector.headers, detector.column.unless) for name in names)
        ]
        kinds = frozenset(detector.kind.id for detector in named)
        base64 = bool(kinds & GUESSABLE) or any(names_kind(name, DIGESTS) for name in names)
        return cls(kinds, not any(detector.column.opaque for detector in named), base64)


def tally_field(
    leaf: Leaf,
    detectors: Sequence[Detector],
    header: Header,
    *,
    with_comments: bool = False,
    valid_text: bool = False,
    with_frequencies: bool = False,
    first_line: int | None = None,
    name: str = "",
    keys: Keys | None = None,
) -> FieldTally:
    """What the values of one field in one batch count to: tokens, other protection, and kinds in what is plain.

    `with_comments`: the values are lines in which a comment can allow hits (`pii_guard.engine.allowances`).
    `valid_text`: a column of text is known to be valid UTF-8. `with_frequencies`: whether frequent values are counted.
    `first_line`: the number of the line of the first value, where values are lines of a file. `name`, `keys`: the
    logical field that tokens should be of, and what is known of keys.
    """
    counts = leaf.counts()
    values = leaf.values
    if counts is not None:
        values = values.dictionary
        used = np.flatnonzero((counts > 0) & values.is_valid().to_numpy(zero_copy_only=False))
        values, counts = values.take(pa.array(used)), counts[used]
    places = np.arange(len(values)) if counts is None else used
    checked = valid_text and is_text(values.type)
    text = Text.of(values)
    lengths = np.diff(text.offsets)
    weights = np.ones(len(text), np.int64) if counts is None else counts
    examined = int(weights[lengths > 0].sum())
    size = int((lengths * weights).sum())
    frequencies = _frequencies(values, counts) if with_frequencies else None
    begun = recognise(values, name, keys) if _may_hold_tokens(text, lengths) else Recognised({}, ())
    token_states = {state: int(weights[rows].sum()) for state, rows in begun.rows.items()}
    plain = np.ones(len(text), np.bool_)
    for token_state, rows in begun.rows.items():
        if token_state not in (TokenState.TEXT, TokenState.BROKEN):
            plain[rows] = False
    tokens = int(weights[~plain].sum()) if begun.rows else 0
    states: dict[str, int] = {}
    for state, rows in protected(text, hexadecimal=header.hexadecimal, base64=header.base64):
        states[state] = states.get(state, 0) + int(weights[rows].sum())
        plain[rows] = False
    if not plain.all():
        text, weights, places = text.take(np.flatnonzero(plain)), weights[plain], places[plain]
        counts = None if counts is None else weights
    lines = None if first_line is None else _Lines(leaf, places, first_line)
    searched = _searched(text, counts, detectors, header, any(map(is_hash, states)), with_comments, lines)
    return searched + FieldTally(
        rows=leaf.rows,
        examined=examined,
        bytes=size,
        longest=int(lengths.max(initial=0)),
        tokens=tokens,
        protected=states,
        invalid=0 if checked else int(weights[text.invalid()].sum()),
        frequencies=frequencies,
        token_states=token_states,
        token_bytes=begun.spread,
    )


def _may_hold_tokens(text: Text, lengths: Index) -> bool:
    long = np.flatnonzero(lengths >= SHORTEST_TOKEN)
    return bool(len(long)) and bool((text.data[text.offsets[long]] == TOKEN_HEAD).any())


class _Lines:
    """In which lines of a file some of the values of `leaf` are: those at `places`, of its dictionary if it has one."""

    def __init__(self, leaf: Leaf, places: Index, first_line: int) -> None:
        self._leaf, self._places, self._first_line = leaf, places, first_line

    def of(self, rows: Index) -> tuple[int, ...]:
        """The first lines in which one of the values is whose numbers are `rows`."""
        values, places = self._leaf.values, np.unique(self._places[rows])
        if pa.types.is_dictionary(values.type):
            marked = np.zeros(len(values.dictionary) + 1, np.bool_)
            marked[places] = True
            places = np.flatnonzero(marked[values.indices.fill_null(len(values.dictionary)).to_numpy()])
        return tuple((self._first_line + places[:MAX_SAMPLES]).tolist())


FINGERPRINT_KEY = Secret.random()


def _frequencies(values: pa.Array, counts: Index | None) -> Frequencies:
    """The most frequent of `values`, none of them null; `counts` says how often each occurs. The empty one is none."""
    if counts is None:
        counted = pc.value_counts(values)
        values, counts = counted.field("values"), counted.field("counts").to_numpy()
    there = np.flatnonzero(pc.binary_length(values).to_numpy())
    values, counts = values.take(pa.array(there)), counts[there]
    order = np.argsort(-counts, kind="stable")
    surplus = int(counts[order[Frequencies.LIMIT]]) if len(order) > Frequencies.LIMIT else 0
    frequent = order[: Frequencies.LIMIT][counts[order[: Frequencies.LIMIT]] > surplus]
    found = {
        fingerprint.tobytes(): int(count) - surplus
        for rows, same in by_length(to_binary(values.take(pa.array(frequent))))
        for fingerprint, count in zip(cmac(FINGERPRINT_KEY, b"", same), counts[frequent[rows]], strict=True)
    }
    return Frequencies(int(counts.sum()), found, surplus)


def _searched(
    text: Text,
    counts: npt.NDArray[np.int64] | None,
    detectors: Sequence[Detector],
    header: Header,
    hashed: bool,
    with_comments: bool,
    lines: _Lines | None,
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
                counted = tally(part, hit, detector.kind, weights)
                if lines and counted.hits:
                    counted = replace(counted, lines=lines.of(first + hit.row[hit.confidence > WEAK]))
                found[detector.kind.id] = counted
        searched = searched + FieldTally(kinds=found, allowed=allowed, idle=idle)
    return searched


def _times(rows: Sequence[int] | Index, weights: Index | None) -> int:
    """How often the values at `rows` occur in all."""
    return len(rows) if weights is None else int(weights[np.asarray(rows, np.int64)].sum())
