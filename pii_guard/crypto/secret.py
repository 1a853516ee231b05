"""The one holder of raw key bytes.

Whoever wants the bytes has to import this module and call `expose`; a test lists the modules that do. Python cannot
wipe memory, so a key stays in the process until the memory is reused (docs/security.md).
"""

from __future__ import annotations

import os
from typing import Any, NoReturn, Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

__all__ = ["Handle", "Secret", "canonical"]


def canonical(*items: bytes) -> bytes:
    """One byte string for a sequence of byte strings: each with its length before it, 4 bytes big-endian.

    No two sequences have the same encoding, so nothing can be moved from one item into the next.

    >>> canonical(b"ab", b"").hex()
    '00000002616200000000'
    """
    return b"".join(len(item).to_bytes(4, "big") + item for item in items)


class Handle:
    """Base of everything that holds key material: never printed, copied, pickled or compared by value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def _refuse(self, *_: Any) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be copied or pickled")

    __copy__ = __deepcopy__ = __reduce__ = __reduce_ex__ = __getstate__ = _refuse


class Secret(Handle):
    """Key material of any length."""

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        self._raw = bytes(raw)

    @classmethod
    def random(cls, size: int = 32) -> Self:
        """`size` bytes from the random source of the operating system."""
        return cls(os.urandom(size))

    def expose(self) -> bytes:
        """The raw bytes. For ciphers only."""
        return self._raw

    def derive(self, info: bytes, size: int) -> Secret:
        """A subkey of `size` bytes: HKDF-SHA256 (RFC 5869) without salt, as the input is uniformly random already."""
        return Secret(HKDF(algorithm=SHA256(), length=size, salt=None, info=info).derive(self._raw))
