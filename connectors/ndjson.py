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

from pii_guard.connectors.base import Capabilities, FileSource
from pii_guard.connectors.lines import MAX_ROW, windows
from pii_guard.connectors.objects import Chunk, ObjectTable
from pii_guard.connectors.plain import plain_batch, plain_schema
from pii_guard.connectors.style import Style, encoded
from pii_guard.errors import UsageError

__all__ = ["NdjsonSource", "NdjsonTable"]


class NdjsonTable(ObjectTable):
    """The objects of an NDJSON file."""

    def style(self) -> Style:
        return self.text_style()

    def chunks(self, file: BinaryIO) -> Iterator[Chunk]:
        number = 0
        for text, whole in _texts(self.blocks(file)):
            chunk = Chunk()
            for line in text.split("\n"):
                number += whole
                if not whole:
                    chunk.bad.append((number + 1, line))
                elif line and not line.isspace():
                    line = line.removesuffix("\r")
                    chunk.add(_decoded(chunk, line), number, line)
                if chunk.full:
                    yield chunk
                    chunk = Chunk()
            yield chunk


def _decoded(chunk: Chunk, line: str) -> Any:
    try:
        return chunk.decoder.decode(line)
    except (ValueError, RecursionError):
        return None


def _texts(blocks: Iterable[bytes]) -> Iterator[tuple[str, bool]]:
    """(text, whether it is whole lines): a line larger than MAX_ROW comes in windows."""
    pending = b""
    for block in blocks:
        end = pending.rfind(b"\n") + 1
        if end:
            yield pending[: end - 1].decode(), True
            pending = pending[end:]
        elif len(pending) > MAX_ROW:
            *done, pending = windows(pending)
            yield from ((window.decode(), False) for window in done)
        pending += block
    if pending:
        yield pending.removesuffix(b"\n").decode(), True


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
