"""Text to Arrow arrays of lines, without a loop over lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from dataclasses import replace
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.connectors.base import MAX_BATCH_ROWS, UNPARSED, FileTable, reading
from pii_guard.connectors.encoding import Utf8Blocks, utf8_boundary
from pii_guard.connectors.sampling import lines_of
from pii_guard.connectors.style import Style, text_style

__all__ = [
    "LINE_LIMIT",
    "MAX_ROW",
    "OVERLAP",
    "TextFileTable",
    "has_windows",
    "line_array",
    "line_arrays",
    "string_batches",
    "windows",
]

LINE_LIMIT = 1 << 20
"""A longer line is cut into windows of at most this many bytes."""

MAX_ROW = 32 << 20
"""A row or line of more bytes is not parsed; it comes as text, in windows."""

OVERLAP = 256
"""Bytes that two neighbouring windows have in common, so that no value on a seam is lost."""


class TextFileTable(FileTable):
    """A table of a text file: it reads blocks of UTF-8 and keeps the counters."""

    found: Set[str] | None = None
    """The encodings that were found when the file was last read, none where it is ASCII; None if not to its end yet."""

    def text_style(self) -> Style:
        """The encoding and the line ends of the file; of a mixture of encodings, UTF-8 that is not `faithful`."""
        with reading(self.target):
            style = text_style(self.resource.head(), self.reading.encoding)
            if self.reading.encoding is None and style.encoding in ("utf-8", "cp949"):
                if self.found is None or self.reading.sample is not None:
                    with self.resource.open() as file:
                        for _ in self.blocks(file):
                            pass
                found = self.found or frozenset()
                encoding = next(iter(found)) if len(found) == 1 else "utf-8"
                style = replace(style, encoding=encoding, faithful=len(found) < 2)
        return style

    drawn = "blocks of lines"

    def opened(self) -> BinaryIO:
        """The bytes of the file, or the lines of its sample."""
        sample = self.reading.sample
        if sample is None or not self.size:
            return self.resource.open()
        return lines_of(self.resource.open_seekable(), self.size, self.target, sample)

    def blocks(self, file: BinaryIO) -> Iterator[bytes]:
        """The text of `file` from its start; the counters start anew."""
        self.bytes_read = self.unparsed = self.replaced = 0
        self.found, self.doubt = None, ""
        blocks = Utf8Blocks(file, self.reading.encoding)
        for block in blocks:
            self.bytes_read, self.replaced = blocks.bytes_read, blocks.replaced
            yield block
        self.bytes_read, self.found, self.doubt = blocks.bytes_read, blocks.found, blocks.doubt
        if self.reading.sample is not None:
            self.unread = max((self.size or 0) - self.bytes_read, 0)

    def unparsed_batches(self, lines: pa.StringArray) -> Iterator[pa.RecordBatch]:
        """Lines that do not parse, for the scanner; they are counted."""
        self.unparsed += len(lines)
        return string_batches(UNPARSED, lines)


def string_batches(name: str, values: pa.StringArray) -> Iterator[pa.RecordBatch]:
    """One string column in batches."""
    for start in range(0, len(values), MAX_BATCH_ROWS):
        yield pa.record_batch([values.slice(start, MAX_BATCH_ROWS)], names=[name])


def line_arrays(blocks: Iterable[bytes]) -> Iterator[pa.StringArray]:
    """The lines of a stream of UTF-8, an array for about each block; see `line_array`."""
    pending = b""
    for block in blocks:
        end = pending.rfind(b"\n") + 1
        if end:
            yield line_array(pending[:end])
            pending = pending[end:]
        elif len(pending) > LINE_LIMIT:
            *done, pending = windows(pending)
            yield pa.array(done, pa.string())
        pending += block
    if pending:
        yield line_array(pending)


def line_array(data: bytes) -> pa.StringArray:
    """The lines of `data` (UTF-8, less than 2 GiB) without their ends (LF or CRLF); blank lines are kept.

    A line of more than LINE_LIMIT bytes becomes several values, its windows.
    """
    if not data:
        return pa.array([], pa.string())
    data = data.replace(b"\r\n", b"\n").removesuffix(b"\n")
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    # Where line i ends once all line feeds before it are taken out.
    offsets = np.zeros(len(ends) + 2, np.int32)
    offsets[1:-1] = ends - np.arange(len(ends))
    offsets[-1] = len(data) - len(ends)
    if np.diff(offsets).max() > LINE_LIMIT:
        return pa.array([window for line in data.split(b"\n") for window in windows(line)], pa.string())
    text = data.replace(b"\n", b"")
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets.data), pa.py_buffer(text))


def has_windows(lines: pa.StringArray) -> bool:
    """Whether there may be windows among lines, or a line as long as one."""
    longest: int | None = pc.max(pc.binary_length(lines)).as_py()
    return (longest or 0) > LINE_LIMIT - 4  # a window may end before a character


def windows(line: bytes) -> list[bytes]:
    """`line` in pieces of at most LINE_LIMIT bytes that overlap by about OVERLAP, cut between characters."""
    pieces = []
    start = 0
    while len(line) - start > LINE_LIMIT:
        end = utf8_boundary(line, start + LINE_LIMIT)
        pieces.append(line[start:end])
        start = utf8_boundary(line, end - OVERLAP)
    return [*pieces, line[start:]]
