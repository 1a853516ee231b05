"""Free text with each personal value in it replaced by its token, and back, byte for byte (docs/FORMAT.md, Spans)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from pii_guard.crypto.buffers import Index, Mask, from_buffers, to_buffers, valid
from pii_guard.crypto.decryption import open_tokens
from pii_guard.crypto.key import ColumnKey
from pii_guard.crypto.token import encrypt_column, key_ids
from pii_guard.engine.detection import Detector, locate
from pii_guard.engine.text import Text
from pii_guard.errors import UsageError
from pii_guard.plain_types import is_text

__all__ = ["encrypt_spans", "move_spans", "reveal_spans", "span_key_ids"]

OPEN, CLOSE = b"[", b"]"
"""A token in a text stands between these; no token contains them."""
START = np.frombuffer(OPEN + b"pgd1", np.uint8)
MORE = 3
"""Passes after the first, at most."""
INSIDE = np.array([len(OPEN), -len(CLOSE)], np.int64)
"""What leads from a span to the token between its brackets."""


def encrypt_spans(
    values: pa.Array,
    key: ColumnKey,
    detectors: Sequence[Detector],
    key_for: Callable[[bytes], ColumnKey] | None = None,
) -> pa.LargeStringArray:
    """Each text with `[TOKEN]` in the place of every personal value that `detectors` find in it; null stays null.

    A token that stands in a text already and opens for `field` would be opened by `reveal_spans` as if it had been made
    here: it is encrypted like a value, and comes back as it is. With `key_for`, texts that were made here before are
    taken as such: their tokens, where they open, stay. Raises UsageError for values that are no text.
    """
    made = _encrypted(values, key, detectors, key_for)
    for _ in range(MORE):  # what stood beside a value may be one itself, now that a bracket ends it
        if made.equals(values.cast(made.type)):
            break
        values, made = made, _encrypted(made, key, detectors, key_for or _only(key))
    return made


def _encrypted(
    values: pa.Array,
    key: ColumnKey,
    detectors: Sequence[Detector],
    key_for: Callable[[bytes], ColumnKey] | None,
) -> pa.LargeStringArray:
    text, validity = _text(values, key.field)
    tokens = _tokens(text)
    if len(tokens):
        there = open_tokens(_cut(text, tokens + INSIDE), key_for or _only(key), key.field)[1]
        tokens = tokens[there]
    found = _personal(text, detectors)
    spans = _merged(np.concatenate([found, tokens]) if key_for is None else found[~_touching(found, tokens)])
    made = encrypt_column(_cut(text, spans), key).cast(pa.large_binary())
    return _spliced(text, spans, _bracketed(made), validity)


def _personal(text: Text, detectors: Sequence[Detector]) -> Index:
    """(n, 2): where personal data stands in the data, of whatever confidence."""
    found = [
        np.column_stack([hits.start, hits.end])
        for detector, hits in locate(text, detectors)
        if detector.kind.personal and len(hits)
    ]
    return np.concatenate([np.zeros((0, 2), np.int64), *found])


def reveal_spans(
    values: pa.Array, key_for: Callable[[bytes], ColumnKey], field: str
) -> tuple[pa.LargeStringArray, int]:
    """The texts with each `[TOKEN]` that opens for `field` replaced by its value, and how many of that form do not.

    What does not open is text and stays as it is. Raises UsageError for values that are no text and
    PurposeRefusedError where `key_for` does.
    """
    text, validity = _text(values, field)
    tokens = _tokens(text)
    opened, there = open_tokens(_cut(text, tokens + INSIDE), key_for, field)
    plain = opened.filter(pa.array(there))
    return _spliced(text, tokens[there], plain, validity), int((~there).sum())


def move_spans(values: pa.Array, old: ColumnKey, new: ColumnKey) -> tuple[pa.LargeStringArray, int]:
    """The texts with each `[TOKEN]` that opens under `old` replaced by one of the same value under `new`, and how many.

    All else stays as it is, byte for byte. Raises UsageError for values that are no text.
    """
    text, validity = _text(values, old.field)
    tokens = _tokens(text)
    opened, there = open_tokens(_cut(text, tokens + INSIDE), _only(old), old.field)
    made = encrypt_column(opened.filter(pa.array(there)), new).cast(pa.large_binary())
    return _spliced(text, tokens[there], _bracketed(made), validity), int(there.sum())


def span_key_ids(values: pa.Array) -> dict[bytes, int]:
    """The key ids of what has the form of a token between brackets inside of texts, and how often each occurs."""
    kind = values.type.value_type if isinstance(values, pa.DictionaryArray) else values.type
    if not is_text(kind):
        return {}
    text, _ = _text(values, "")
    return key_ids(_cut(text, _tokens(text) + INSIDE))


def _text(values: pa.Array, field: str) -> tuple[Text, Mask]:
    """The texts, empty where null, and which are not null."""
    if isinstance(values, pa.DictionaryArray):
        values = values.dictionary_decode()
    if not is_text(values.type) and not pt.is_null(values.type):
        raise UsageError(f"{field}: spans are encrypted in text, not in a column of type {values.type}")
    filled = values.cast(pa.large_string()).fill_null("")
    return Text.of(filled), valid(values)


def _only(key: ColumnKey) -> Callable[[bytes], ColumnKey]:
    """One key whatever the id: where the ids differ, nothing verifies."""
    return lambda _: key


def _tokens(text: Text) -> Index:
    """(n, 2): from where to where in the data `[pgd1...]` stands, brackets included, within one text."""
    data = text.data
    starts = np.flatnonzero(data[: max(len(data) - len(START) + 1, 0)] == START[0])
    for place in range(1, len(START)):
        starts = starts[data[starts + place] == START[place]]
    if not len(starts):
        return np.zeros((0, 2), np.int64)
    closing = np.flatnonzero(data == CLOSE[0])
    after = np.searchsorted(closing, starts)
    starts, after = starts[after < len(closing)], after[after < len(closing)]
    ends = closing[after] + 1
    rows = np.searchsorted(text.offsets, starts, side="right")
    inside = ends <= text.offsets[rows]
    apart = np.r_[starts[1:], len(data)] >= ends  # of `[pgd1...[pgd1...]` the last one may be a token
    keep = inside & apart
    return np.column_stack([starts[keep], ends[keep]])


def _merged(spans: Index) -> Index:
    """The spans in order, those that overlap in one; those that only touch may be of two texts."""
    if not len(spans):
        return spans.reshape(0, 2)
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    reach = np.maximum.accumulate(spans[:, 1])
    first = np.flatnonzero(np.r_[True, spans[1:, 0] >= reach[:-1]])
    return np.column_stack([spans[first, 0], reach[np.r_[first[1:], len(spans)] - 1]])


def _touching(spans: Index, others: Index) -> Mask:
    """Which spans overlap one of `others`, which are in order and apart."""
    if not len(others):
        return np.zeros(len(spans), np.bool_)
    behind = np.searchsorted(others[:, 1], spans[:, 0], side="right")
    there = behind < len(others)
    touching: Mask = there & (others[np.minimum(behind, len(others) - 1), 0] < spans[:, 1])
    return touching


def _cut(text: Text, spans: Index) -> pa.LargeBinaryArray:
    """The bytes of each span."""
    edges = np.concatenate([np.zeros(1, np.int64), np.ravel(spans)]).astype(np.int64)
    pieces = from_buffers(np.append(edges, len(text.data)), np.ascontiguousarray(text.data))
    return pieces.take(pa.array(np.arange(1, 2 * len(spans), 2)))


def _bracketed(tokens: pa.LargeBinaryArray) -> pa.LargeBinaryArray:
    head, tail, nothing = (pa.scalar(piece, pa.large_binary()) for piece in (OPEN, CLOSE, b""))
    return pc.binary_join_element_wise(head, tokens, tail, nothing)


def _spliced(text: Text, spans: Index, instead: pa.LargeBinaryArray, validity: Mask) -> pa.LargeStringArray:
    """The texts with each span, in order and apart, replaced."""
    count = len(spans)
    edges = np.concatenate([np.zeros(1, np.int64), np.ravel(spans)]).astype(np.int64)
    pieces = from_buffers(np.append(edges, len(text.data)), np.ascontiguousarray(text.data))
    # what stands between the spans (even pieces) and what replaces them, by turns: one behind the other, their bytes
    # are those of all texts
    turns = np.empty(2 * count + 1, np.int64)
    turns[::2], turns[1::2] = np.arange(0, 2 * count + 1, 2), np.arange(count) + 2 * count + 1
    joined = pa.concat_arrays([pieces, instead]).take(pa.array(turns))
    offsets, data = to_buffers(joined)
    grown = np.zeros(count + 1, np.int64)
    np.cumsum(np.diff(offsets)[1::2] - (spans[:, 1] - spans[:, 0]), out=grown[1:])
    bounds = text.offsets + grown[np.searchsorted(spans[:, 1], text.offsets, side="right")]
    bitmap = None if validity.all() else pa.py_buffer(np.packbits(validity, bitorder="little").data)
    buffers = [bitmap, pa.py_buffer(np.ascontiguousarray(bounds).data), pa.py_buffer(data.data)]
    return pa.Array.from_buffers(pa.large_string(), len(text), buffers)
