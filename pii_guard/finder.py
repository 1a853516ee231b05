"""Spans of personal data in texts: where exactly each value stands, not what a column as a whole is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import pyarrow as pa

from pii_guard.batches import normalise
from pii_guard.connectors.encoding import Utf8Blocks, utf8_boundary
from pii_guard.connectors.lines import LINE_LIMIT, OVERLAP
from pii_guard.detectors import select
from pii_guard.engine.allowances import allowances
from pii_guard.engine.detection import Detector, locate
from pii_guard.engine.text import Bytes, Index, Text
from pii_guard.errors import UsageError
from pii_guard.leaves import leaves
from pii_guard.model import Confidence, Hit

if TYPE_CHECKING:
    from pii_guard.policy import Policy

__all__ = ["find", "find_in_stream"]

LONGEST_LINE = LINE_LIMIT
"""Bytes; a longer line is searched in pieces, so that memory stays bounded."""

FIND_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64()),
        pa.field("start", pa.int64()),
        pa.field("end", pa.int64()),
        pa.field("kind", pa.string()),
        pa.field("confidence", pa.string()),
        pa.field("personal", pa.bool_()),
    ]
)


def find(
    texts: pa.Array | pa.ChunkedArray | Sequence[str | None],
    *,
    only: Iterable[str] = (),
    excluding: Iterable[str] = (),
    policy: Policy | str | os.PathLike[str] | None = None,
) -> pa.Table:
    """Spans of personal data in texts: a table (row, start, end, kind, confidence, personal), ordered by row and start.

    `row` counts from 0; `start` and `end` are characters (code points) in the text, end exclusive. Null texts have no
    hits. The table holds no text: `texts[row][start:end]` is the value. `only` and `excluding` name kinds; `policy`, a
    policy or the path of its file, adds the kinds that it defines.

    >>> find(["mail hong@example.com으로"]).to_pylist()[0]["end"]
    21
    """
    own: Sequence[Detector] = ()
    if policy is not None:
        from pii_guard.policy import with_detectors  # pydantic, which nothing else here needs

        own = with_detectors(policy)[1]
    detectors = select(only, excluding, own=own)
    column = texts if isinstance(texts, pa.Array | pa.ChunkedArray) else _column(texts)
    if pa.types.is_nested(column.type):
        raise UsageError(f"find takes texts, not a column of type {column.type}; scan walks down such columns")
    batches = normalise(pa.table({"text": column}))
    rows, found = 0, []
    for batch in batches:
        found += list(_find_in(batch, rows, detectors))
        rows += batch.num_rows
    return pa.Table.from_batches(found, FIND_SCHEMA)


def _column(texts: object) -> pa.Array:
    if not isinstance(texts, Sequence) or isinstance(texts, str | bytes):
        raise UsageError(f"find takes a list of texts or an Arrow column, not {type(texts).__name__}")
    odd = next((type(text).__name__ for text in texts if not (text is None or isinstance(text, str))), None)
    if odd is not None:
        raise UsageError(f"find takes texts, and one of these is of type {odd}")
    clean = (None if text is None else text.encode(errors="replace") for text in texts)  # lone surrogates have no UTF-8
    return pa.array(clean, pa.large_binary())


def _find_in(batch: pa.RecordBatch, shift: int, detectors: Sequence[Detector]) -> Iterator[pa.RecordBatch]:
    column = batch.column(0)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    row_of = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False)) + shift
    (leaf,) = leaves(pa.RecordBatch.from_arrays([column], ["text"]))
    text = Text.of(leaf.values)
    found = [(number, hits) for number, (_, hits) in enumerate(locate(text, detectors)) if len(hits)]
    if not found:
        return
    row, start, end, level = (
        np.concatenate([getattr(hits, name) for _, hits in found]) for name in ("row", "start", "end", "confidence")
    )
    kind = np.repeat([number % len(detectors) for number, _ in found], [len(hits) for _, hits in found])
    order = np.lexsort((start, row))
    row, start, end, level, kind = row[order], start[order], end[order], level[order], kind[order]
    characters = _characters_before(text.data)
    head = characters[text.offsets[row]]
    yield pa.RecordBatch.from_arrays(
        [
            pa.array(row_of[row]),
            pa.array(characters[start] - head),
            pa.array(characters[end] - head),
            pa.array([detector.kind.id for detector in detectors]).take(pa.array(kind)),
            pa.array([str(level) for level in Confidence]).take(pa.array(level - Confidence.POSSIBLE)),
            pa.array([detector.kind.personal for detector in detectors]).take(pa.array(kind)),
        ],
        schema=FIND_SCHEMA,
    )


def _characters_before(data: Bytes) -> Index:
    """How many characters begin before each byte, and before the end."""
    counted: Index = np.r_[0, np.cumsum((data & 0xC0) != 0x80)]
    return counted


def find_in_stream(file: BinaryIO, detectors: Sequence[Detector]) -> Iterator[Hit]:
    """The hits in a text file (UTF-8 or CP949, decided block by block), line by line, masked, in order.

    Hits that a comment in their line allows are marked so (docs/own-rules.md). A line longer than 1 MiB is searched in
    pieces that overlap by 256 bytes: a longer value across a seam is missed.
    """
    line = column = start = 0  # of the first character in `pending`
    pending = b""
    for block in Utf8Blocks(file):
        pending += block
        end = pending.rfind(b"\n") + 1
        if not end and len(pending) > LONGEST_LINE:
            end = utf8_boundary(pending, len(pending) - OVERLAP)
        if end:
            yield from _located(pending, end, (line, column, start), detectors)
            lines = pending.count(b"\n", 0, end)
            characters = int(_characters_before(np.frombuffer(pending, np.uint8)[:end])[-1])
            column = 0 if lines else column + characters
            line, start, pending = line + lines, start + characters, pending[end:]
    yield from _located(pending, len(pending), (line, column, start), detectors)


def _located(data: bytes, end: int, place: tuple[int, int, int], detectors: Sequence[Detector]) -> Iterator[Hit]:
    """Hits in the lines of `data` that begin before byte `end`. `place`: line, column and position of its start."""
    line, column, start = place
    view = np.frombuffer(data, np.uint8)
    breaks = np.flatnonzero(view == ord("\n"))
    offsets = np.r_[0, breaks + 1, len(data)] if not data.endswith(b"\n") else np.r_[0, breaks + 1]
    characters = _characters_before(view)
    text = Text(view, offsets.astype(np.int64))
    allowed, _ = allowances(text)
    found = []
    for detector, hits in locate(text, detectors):
        for row, begin, stop, level in zip(hits.row, hits.start, hits.end, hits.confidence, strict=True):
            if begin < end:
                found.append((int(begin), int(stop), int(row), Confidence(level), detector.kind))
    for begin, stop, row, confidence, kind in sorted(found, key=lambda hit: hit[:2]):
        inside = int(characters[begin] - characters[text.offsets[row]])
        yield Hit(
            kind=kind.id,
            confidence=confidence,
            personal=kind.personal,
            line=line + row + 1,
            column=inside + 1 + (column if row == 0 else 0),
            start=start + int(characters[begin]),
            end=start + int(characters[stop]),
            masked=kind.mask(data[begin:stop].decode(errors="replace")),
            allowed=kind.id in allowed.get(row, ()),
        )
