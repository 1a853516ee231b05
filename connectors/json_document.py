"""JSON documents: an array, whose elements are the rows, or an object, which is one row; also several in a row.

Elements that are no objects are rows of one column, `value`. Types and columns are those of `objects`. An array is read
element by element, so a document may be larger than memory. From the place where a document does not parse, or where
one value is larger than MAX_ROW bytes, the rest comes as lines that do not parse; where that is in the middle of an
array, the document is named as damaged, too.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from pii_guard.connectors.base import Capabilities, FileSource
from pii_guard.connectors.encoding import BLOCK
from pii_guard.connectors.lines import MAX_ROW, line_arrays
from pii_guard.connectors.objects import Chunk, ObjectTable
from pii_guard.errors import ReadError

__all__ = ["VALUE", "JsonSource", "JsonTable"]

VALUE = "value"
"""The column of values that are no objects."""

_BLANK = re.compile(r"[ \t\r\n]*")


class JsonTable(ObjectTable):
    """The elements of a JSON document."""

    def chunks(self, file: BinaryIO) -> Iterator[Chunk]:
        blocks = self.blocks(file)
        values = _Values(blocks)
        chunk = Chunk()
        rows = 0
        while (found := values.next(chunk)) is not None:
            value, line, text = found
            chunk.add(value if isinstance(value, dict) else {VALUE: value}, line, text)
            rows += 1
            if chunk.full:
                yield chunk
                chunk = Chunk()
        yield chunk
        line = values.line
        for lines in line_arrays(itertools.chain(values.rest(), blocks)):
            chunk = Chunk()
            chunk.bad = [(line + number, text) for number, text in enumerate(lines.to_pylist()) if text.strip()]
            line += len(lines)
            yield chunk
        if rows and values.in_array:
            raise ReadError(self.target, f"no JSON from line {values.line} on; the rest was read as lines")


class _Values:
    """Takes one value after the other from a stream of text."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._text = ""
        self._at = 0
        self._ended = False
        self.in_array = False
        """Whether an array was opened and not closed."""
        self.line = 1
        """The line of the value that comes next."""

    def next(self, chunk: Chunk) -> tuple[Any, int, str] | None:
        """(value, its line, its text); None at the end, or where what comes is no value."""
        if not self._to_value():
            return None
        while True:
            objects = chunk.objects
            try:
                value, end = chunk.decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                chunk.objects = objects
            except (ValueError, RecursionError):  # a number of very many digits, or nested too deep for the parser
                return None
            else:
                if end < len(self._text) or self._ended:  # else a number may go on
                    text, line = self._text[self._at : end], self.line
                    self._step(end)
                    return value, line, text
            pending = len(self._text) - self._at
            if self._ended or pending > MAX_ROW:
                return None
            self._grow(min(2 * pending, MAX_ROW))

    def rest(self) -> Iterator[bytes]:
        """What was taken from the blocks and is no value, in pieces that take no more memory than blocks do."""
        for start in range(self._at, len(self._text), BLOCK // 4):
            yield self._text[start : start + BLOCK // 4].encode()
        self._text = ""

    def _to_value(self) -> bool:
        """Go to the start of the next value, over blanks, brackets and commas where they may be."""
        while char := self._char():
            if char == "[" and not self.in_array:
                self.in_array = True
            elif char == "]" and self.in_array:
                self.in_array = False
            elif char != "," or not self.in_array:
                return True
            self._step(self._at + 1)
        return False

    def _char(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            blank = _BLANK.match(self._text, self._at)
            self._step(blank.end() if blank else self._at)
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._grow(0)

    def _step(self, end: int) -> None:
        self.line += self._text.count("\n", self._at, end)
        self._at = end

    def _grow(self, wanted: int) -> None:
        """Drop what was taken, and add text until there is as much as is `wanted`, but at least some."""
        parts = [self._text[self._at :]]
        size = len(parts[0])
        self._at = 0
        while not self._ended and (size <= wanted or len(parts) == 1):
            block = next(self._blocks, b"").decode()
            self._ended = not block
            parts.append(block)
            size += len(block)
        self._text = "".join(parts)


class JsonSource(FileSource):
    """A JSON document."""

    format = "json"
    capabilities = Capabilities(typed=True, nested=True, metadata=False, row_count=False, writable=False)
    table = JsonTable
