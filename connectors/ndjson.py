"""Newline-delimited JSON (NDJSON, JSON Lines): one object a line, its keys the columns (see `objects`).

A line that is no object does not parse. Written are: dates, times and decimals as strings, a map as a list of pairs, a
float that is not finite as the string `NaN`, `Infinity` or `-Infinity`. Binary values are refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import pyarrow as pa

from pii_guard.connectors.base import UNPARSED, Capabilities, FileSource, bounded, reading
from pii_guard.connectors.lines import MAX_ROW, windows
from pii_guard.connectors.ndjson_arrow import read_block, suits
from pii_guard.connectors.objects import Chunk, ObjectTable
from pii_guard.connectors.style import Style, encoded
from pii_guard.connectors.text_types import plain_batch, plain_schema
from pii_guard.errors import UsageError

__all__ = ["NdjsonSource", "NdjsonTable"]

_FIRST = 256  # lines that Python reads before pyarrow is asked: they say what the columns are


class NdjsonTable(ObjectTable):
    """The objects of an NDJSON file."""

    def style(self) -> Style:
        return self.text_style()

    def batches(self) -> Iterator[pa.RecordBatch]:
        schema = pa.schema([])
        with reading(self.target), self.opened() as file:
            for data, whole in _parts(self.blocks(file)):
                start = 0 if suits(schema) or not whole else _after_lines(data, _FIRST)
                for part in (data[:start], data[start:]):
                    fast = read_block(part, schema) if whole and suits(schema) else None
                    if fast is not None:
                        yield from bounded(fast)
                        continue
                    for chunk in _chunks(part, whole, 0) if part else ():
                        for batch in self.chunk_batches(chunk):
                            schema = batch.schema if batch.schema.names != [UNPARSED] else schema
                            yield batch

    def chunks(self, file: BinaryIO) -> Iterator[Chunk]:
        number = 0
        for data, whole in _parts(self.blocks(file)):
            yield from _chunks(data, whole, number)
            number += data.count(b"\n") if whole else 0


def _after_lines(data: bytes, count: int) -> int:
    """Where the first lines of `data` end."""
    end = 0
    for _ in range(count):
        end = data.find(b"\n", end) + 1
        if not end:
            return len(data)
    return end


def _chunks(data: bytes, whole: bool, number: int) -> Iterator[Chunk]:
    """The objects of `data`, lines behind the line `number`; if it is not `whole`, it is a part of one line."""
    text, chunk = data.decode(), Chunk()
    if not whole:
        chunk.bad.append((number + 1, text))
    else:
        for line in text.removesuffix("\n").split("\n"):
            number += 1
            if line and not line.isspace():
                line = line.removesuffix("\r")
                chunk.add(_decoded(chunk, line), number, line)
            if chunk.full:
                yield chunk
                chunk = Chunk()
    yield chunk


def _decoded(chunk: Chunk, line: str) -> Any:
    start = len(line) - len(line.lstrip(" \t\r"))
    try:
        value, end = chunk.decoder.raw_decode(line, start)
    except (ValueError, RecursionError):
        return None
    return value if end == len(line) or not line[end:].strip(" \t\r") else None


def _parts(blocks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """(text, whether it is whole lines): a line larger than MAX_ROW comes in windows."""
    pending = b""
    for block in blocks:
        end = pending.rfind(b"\n") + 1
        if end:
            yield pending[:end], True
            pending = pending[end:]
        elif len(pending) > MAX_ROW:
            *done, pending = windows(pending)
            yield from ((window, False) for window in done)
        pending += block
    if pending:
        yield pending, True


class NdjsonSource(FileSource):
    """A file of JSON objects, one a line."""

    format = "ndjson"
    capabilities = Capabilities(typed=True, nested=True, metadata=False, row_count=False, writable=True, sampling=True)
    table = NdjsonTable

    @staticmethod
    def write(reader: pa.RecordBatchReader, file: BinaryIO, suffix: str, style: Style) -> int:
        plain = plain_schema(reader.schema, f"a {suffix} file", nested=True)
        if len(set(plain.names)) < len(plain):
            raise UsageError(
                f"two columns have the same name, which a {suffix} file cannot hold: write .parquet or .csv"
            )
        encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
        rows, target = 0, encoded(file, style)
        for batch in reader:
            objects = plain_batch(batch, plain).to_pylist()
            try:
                lines = [encode(row) for row in objects]
            except ValueError:
                lines = [encode(_finite(row)) for row in objects]
            target.writelines(f"{line}{style.eol}".encode() for line in lines)
            rows += len(lines)
        target.flush()
        return rows


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value
