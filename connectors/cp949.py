"""CP949 as UTF-8: natively where `connectors/_cp949.c` was built, else by Python's codec, which defines the result.

Python decodes CP949 at some 300 MB/s and encodes UTF-8 after that; the extension does both in one pass, by a table that
is made of what the codec says of each pair of bytes.
"""

from __future__ import annotations

from array import array
from functools import cache

try:
    from pii_guard.connectors import _cp949
except ImportError:
    native = False
else:
    native = True

__all__ = ["by_codec", "native", "to_utf8"]

LEAST_SECOND = 0x41
"""What the second byte of a character is at least: no line feed, by which characters can be told apart."""


def to_utf8(data: bytes) -> bytes | None:
    """`data` in UTF-8, or None where it is not valid CP949.

    >>> to_utf8("홍길동".encode("cp949")).decode()
    '홍길동'
    """
    return _cp949.to_utf8(data, _table()) if native else by_codec(data)


def by_codec(data: bytes) -> bytes | None:
    """The same by Python's codec."""
    try:
        return data.decode("cp949").encode()
    except UnicodeDecodeError:
        return None


@cache
def _table() -> array[int]:
    """The code point of each pair of bytes, by the first less 0x80, then the second; 0 where it stands for nothing."""
    table = array("H", bytes(2 * 0x80 * 0x100))
    pairs = [(first, second) for first in range(0x80, 0x100) for second in range(LEAST_SECOND, 0x100)]
    lines = b"".join(b"%c%c\n" % pair for pair in pairs).decode("cp949", "replace").split("\n")[:-1]
    for (first, second), text in zip(pairs, lines, strict=True):
        if len(text) == 1 and text != "\ufffd":
            table[(first - 0x80) << 8 | second] = ord(text)
    return table
