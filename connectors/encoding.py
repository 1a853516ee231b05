"""Text files as blocks of valid UTF-8, whatever Korean encoding their bytes are in.

The encoding is decided block by block, so that a file which is ASCII for a gigabyte and CP949 after that is read
right: strict UTF-8, else strict CP949 (a superset of EUC-KR), else line by line the same two and, for a line that is
neither, the one with fewer replacements. UTF-16 and UTF-32 are known by their byte order mark; UTF-16 without one is
known by the zeros that its ASCII characters have in every other byte, UTF-32 by its text being nothing else.
Valid UTF-8 is passed on as it is, so it costs one check (about 1 GB/s for Korean, far more for ASCII). CP949 costs less
where the native transcoder was built, three times as much where not (`cp949.py`).
"""

from __future__ import annotations

import codecs
import contextlib
import re
from collections.abc import Iterator
from typing import BinaryIO

from pii_guard.connectors.cp949 import to_utf8

__all__ = ["BLOCK", "BYTE_ORDER_MARKS", "Utf8Blocks", "utf8_boundary", "wide_encoding"]

BLOCK = 4 << 20
"""Bytes of a block, about."""

BYTE_ORDER_MARKS = {  # UTF-32 first: its mark begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

_SAMPLED = 8 << 10
_FEWEST = 8  # characters that tell an encoding
_BLANKS = "\t\n\r\f\v\ufeff\u200b\u3000\xa0"
_REPLACEMENT = "\ufffd"
_LONE_ZERO = re.compile(rb"(?<!\0)\0(?!\0)")
# Bytes up to 0x40 are never the second byte of a character, in UTF-8 or in CP949: cutting after one is safe in both.
_UP_TO_SAFE_BYTE = re.compile(rb"(?s:.*)[\x00-\x40]")


class Utf8Blocks:
    """The text of `file` as blocks of valid UTF-8, in order and without a byte order mark.

    A block never ends inside a character, and ends after a line feed where it can. Line ends, NUL bytes and everything
    else are left as they are. With `encoding` nothing is found out. `bytes_read` counts bytes of the file, `replaced`
    the sequences that U+FFFD stands for.
    """

    def __init__(self, file: BinaryIO, encoding: str | None = None) -> None:
        self._file = file
        self._encoding = encoding
        self.bytes_read = 0
        self.replaced = 0
        self._unknown = 0.0  # bytes of lines that are in no known encoding
        self.found: set[str] = set()
        """The encodings of what was read and is not ASCII."""

    @property
    def doubt(self) -> str:
        """Why what was read is not to be taken for the text of the file; empty where it is.

        A line is in no known encoding if more than a tenth of its characters are replaced: rows of which each is cut
        inside of a character, as columns of a fixed width cut them, are read well enough. So is a block of which every
        fourth byte is a zero by itself: it has two bytes a character, of which some were lost or added.
        """
        if self._unknown <= self.bytes_read / 2:
            return ""
        if self._encoding is None:
            return "most of its text is in no known encoding; --encoding says which it is"
        return f"most of its text is not in the encoding {self._encoding}, which --encoding says"

    def __iter__(self) -> Iterator[bytes]:
        head = self._read()
        if self._encoding is not None:
            yield from self._decode(head, _ordered(self._encoding, head))
            return
        if wide := wide_encoding(head):
            yield from self._decode(head, wide)
            return
        pending = head.removeprefix(codecs.BOM_UTF8)
        while data := self._read():
            end = _cut(pending)
            yield self._to_utf8(pending[:end])
            pending = pending[end:] + data
        if pending:
            yield self._to_utf8(pending)

    def _read(self) -> bytes:
        data = self._file.read(BLOCK)
        self.bytes_read += len(data)
        return data

    def _decode(self, data: bytes, name: str) -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder(name)("replace")
        while True:
            text = decoder.decode(data, final=not data)
            replaced = text.count(_REPLACEMENT)
            if replaced:
                self.replaced += replaced
                unknown = sum(len(line) for line in text.split("\n") if _is_unknown(line))
                self._unknown += len(data) * unknown / len(text)
            if text:
                yield text.encode()
            if not data:
                return
            data = self._read()

    def _to_utf8(self, block: bytes) -> bytes:
        before = self._unknown
        text = self._read_as(block)
        if _is_wide(block):
            self._unknown = before + len(block)
        return text

    def _read_as(self, block: bytes) -> bytes:
        if block.isascii():
            return block
        if _decode(block, "utf-8") is not None:
            self.found.add("utf-8")
            return block
        text = to_utf8(block)
        if text is not None:
            self.found.add("cp949")
            return text
        self.found |= {"utf-8", "cp949"}
        return b"".join(map(self._line_to_utf8, block.splitlines(keepends=True)))

    def _line_to_utf8(self, line: bytes) -> bytes:
        """A line of a block that is neither encoding as a whole."""
        utf8, cp949 = _decode(line, "utf-8"), _decode(line, "cp949")
        # A short CP949 line may be UTF-8 by chance, but then of two-byte characters only, and no Hangul is among those.
        if utf8 is not None and (cp949 is None or line.isascii() or max(utf8) >= "\u0800"):
            return line
        if cp949 is not None:
            return cp949.encode()
        attempts = (line.decode(encoding, "replace") for encoding in ("utf-8", "cp949"))
        text = min(attempts, key=lambda attempt: attempt.count(_REPLACEMENT))
        self.replaced += text.count(_REPLACEMENT)
        self._unknown += len(line) * _is_unknown(text)
        return text.encode()


def wide_encoding(head: bytes) -> str | None:
    """The encoding of a text that begins with `head`, if it is one of two or four bytes a character.

    Without a byte order mark: UTF-16 if a twentieth of the first characters is ASCII, hardly any is not printable, and
    the others are no two ASCII letters each, as in ASCII with stray zeros. Korean without one blank or digit is missed.
    UTF-8 with a character of three bytes, as Hangul is, is UTF-8: UTF-16 hardly ever has that form by chance.
    """
    for mark, name in BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            return name
    if b"\0" not in head[:_SAMPLED]:
        return None
    whole = head[: min(_SAMPLED, len(head) // 4 * 4)]
    for name in ("utf-32-le", "utf-32-be"):
        text = _decode(whole, name) or ""
        if len(text) >= _FEWEST and _printable(text) >= 0.99 * len(text):
            return name
    head = head[: min(_SAMPLED, len(head) // 2 * 2)]
    if len(head) < 2 * _FEWEST:
        return None
    with contextlib.suppress(UnicodeDecodeError):  # the head may end inside a character
        if max(codecs.getincrementaldecoder("utf-8")().decode(head)) >= "\u0800":
            return None
    low, high = head[::2], head[1::2]
    for name, narrow, zeros in (("utf-16-le", low, high), ("utf-16-be", high, low)):
        ascii_share = zeros.count(0) / len(zeros)
        if ascii_share < 0.05 or narrow.count(0) / len(narrow) > ascii_share / 10:
            continue
        text = head.decode(name, "ignore")
        pairs = sum(one < 0x7F and 0 < other < 0x7F for one, other in zip(narrow, zeros, strict=True))
        if _printable(text) >= 0.99 * len(zeros) and pairs <= 0.5 * (len(zeros) - zeros.count(0)):
            return name
    return None


def _is_unknown(line: str) -> bool:
    return line.count(_REPLACEMENT) * 10 > len(line)


def _is_wide(block: bytes) -> bool:
    """Zeros in a row are padding; those between other bytes are halves of characters."""
    few = len(block) // 4
    return b"\0" in block and block.count(0) > few and len(_LONE_ZERO.findall(block)) > few


def _printable(text: str) -> int:
    return sum(char.isprintable() or char in _BLANKS for char in text)


def _ordered(encoding: str, head: bytes) -> str:
    """`encoding` with the order of its bytes, where it leaves that to a mark and there is none: little-endian, unless
    the zeros say otherwise."""
    if encoding not in ("utf-16", "utf-32") or any(head.startswith(mark) for mark in BYTE_ORDER_MARKS):
        return encoding
    found = wide_encoding(head)
    return found if found and found.startswith(encoding) else f"{encoding}-le"


def _decode(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _cut(data: bytes) -> int:
    """Where to end a block: after the last line feed, else at a place that is safe in every encoding."""
    end = data.rfind(b"\n") + 1
    if end:
        return end
    safe = _UP_TO_SAFE_BYTE.match(data)
    return safe.end() if safe else utf8_boundary(data, len(data) - 1)


def utf8_boundary(data: bytes, position: int) -> int:
    """The last position up to `position` (less than the length of `data`) that is not inside a UTF-8 character.

    >>> utf8_boundary("가나".encode(), 5)
    3
    """
    start = position
    while start > max(position - 4, 0) and data[start] & 0xC0 == 0x80:
        start -= 1
    return start
