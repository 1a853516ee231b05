"""Compressed files: gzip, bzip2, xz, zstd. Each holds one file, whose name is its own without the suffix."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable, Iterator
from typing import IO, BinaryIO, cast

import pyarrow as pa

from pii_guard.connectors.nesting import Nesting, Unpacking, unpacking
from pii_guard.connectors.resource import Resource, StreamedResource

__all__ = ["bzip2", "gzipped", "xz", "zstd"]

_SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
_CHUNK = 64 << 10
_TAR = {".tgz": ".tar", ".tbz": ".tar", ".tbz2": ".tar", ".txz": ".tar", ".tzst": ".tar"}


def gzipped(resource: Resource, nesting: Nesting) -> Iterator[Resource]:
    """What a gzip file holds; several streams in a row are one."""
    yield _unpacked(resource, nesting, "gzip", _gzip)


def _gzip(file: BinaryIO) -> IO[bytes]:
    return cast(IO[bytes], gzip.GzipFile(fileobj=file))


def bzip2(resource: Resource, nesting: Nesting) -> Iterator[Resource]:
    """What a bzip2 file holds."""
    yield _unpacked(resource, nesting, "bzip2", lambda file: cast(IO[bytes], _Streams(file, bz2.BZ2Decompressor)))


def xz(resource: Resource, nesting: Nesting) -> Iterator[Resource]:
    """What an xz file holds."""
    yield _unpacked(resource, nesting, "xz", lambda file: cast(IO[bytes], _Streams(file, lzma.LZMADecompressor)))


def zstd(resource: Resource, nesting: Nesting) -> Iterator[Resource]:
    """What a zstd file holds."""
    yield _unpacked(resource, nesting, "zstd", lambda file: pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd"))


class _Streams(io.RawIOBase):
    """What one or more compressed streams, one behind the other, hold. The classes of the standard library end at bytes
    that are no stream as if nothing were there."""

    def __init__(self, file: BinaryIO, make: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor]) -> None:
        self._file, self._make = file, make
        self._decoder = make()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data = b""
        while not data:
            given = b""
            if self._decoder.eof:
                given = self._decoder.unused_data.lstrip(b"\0") or self._file.read(_CHUNK).lstrip(b"\0")
                if not given:
                    return 0
                self._decoder = self._make()
            elif self._decoder.needs_input:
                given = self._file.read(_CHUNK)
                if not given:
                    raise EOFError
            data = self._decoder.decompress(given, len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _unpacked(resource: Resource, nesting: Nesting, what: str, decoder: Callable[[BinaryIO], IO[bytes]]) -> Resource:
    def source() -> io.RawIOBase:
        file = resource.open()
        with unpacking(resource.target, what):
            return Unpacking(decoder(file), resource.target, what, nesting, below=file)

    suffix = resource.suffix
    stem = resource.stem if suffix in _SUFFIXES or suffix in _TAR else resource.name
    return StreamedResource(resource.target, stem + _TAR.get(suffix, ""), resource.identity, source)
