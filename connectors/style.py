"""How a file is written beyond its format, so that a file written anew is like the one it stands for."""

from __future__ import annotations

import codecs
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, cast

from pii_guard.connectors.encoding import wide_encoding
from pii_guard.errors import UsageError

__all__ = ["Style", "encoded", "text_style"]


@dataclass(frozen=True, slots=True)
class Style:
    """What a format leaves open. The defaults are those of a new file."""

    delimiter: str | None = None
    """Between the cells of a row; None: that of the suffix."""
    eol: str = "\n"
    """Behind each row of a text file."""
    encoding: str = "utf-8"
    """Of a text file, as Python names it; `utf-8-sig` and `utf-16` begin with a byte order mark."""
    header: bool = True
    """Whether the first row holds the names of the columns."""
    faithful: bool = True
    """Whether a new file can have it: none can be in two encodings."""
    compression: str | Mapping[str, str] = "zstd"
    """Of a binary file: one codec (`none` is one), or one for each column."""


def text_style(head: bytes, encoding: str | None = None) -> Style:
    """The encoding, unless it is known, and the line end of a text file that begins with `head`."""
    if encoding is None:
        encoding = wide_encoding(head)
        encoding = "utf-8-sig" if head.startswith(codecs.BOM_UTF8) else encoding
    if encoding is None:
        encoding = "utf-8" if _is(head, "utf-8") or not _is(head, "cp949") else "cp949"
    text = head.decode(encoding, "replace")
    return Style(eol="\r\n" if text.partition("\n")[0].endswith("\r") else "\n", encoding=encoding)


def _is(head: bytes, encoding: str) -> bool:
    """Whether `head`, which may end inside a character, is of `encoding`."""
    try:
        codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def encoded(file: BinaryIO, style: Style) -> BinaryIO:
    """A file that takes UTF-8 and writes it to `file` in the encoding of `style`."""
    return file if style.encoding == "utf-8" else cast(BinaryIO, _Encoder(file, style.encoding))


class _Encoder(io.RawIOBase):
    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file, self._encoding = file, encoding
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._encoder = codecs.getincrementalencoder(encoding)()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        text = self._decoder.decode(bytes(data))
        try:
            self._file.write(self._encoder.encode(text))
        except UnicodeEncodeError:
            raise UsageError(
                f"a value has a character that the encoding of the file, {self._encoding}, does not have; write "
                "another file with --to, which is UTF-8"
            ) from None
        return len(data)
