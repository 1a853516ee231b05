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
from pii_guard.connectors.resource import Resource, Stream

__all__ = ["bzip2", "gzipped", "xz", "zstd"]

_SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
_TAR = {".tgz": ".tar", ".tbz": ".tar", ".tbz2": ".tar", ".txz": ".tar", ".tzst": ".tar"}


def gzipped(resource: Resource, nesting: Nesting) -> Iterator[Resource]:
    """What a gzip file holds; several streams in a row are one."""
    yield _unpacked(resource, nesting, "gzip", _gzip)


def _gzip(file: BinaryIO) -> IO[bytes]:
    return cast(IO[bytes], gzip.GzipFile(fileobj=file))


def bzip2(resource: Resource, nesting: Nesting) -> Iterator[Resource]:
    """What a bzip2 file holds."""
    yield _unpacked(resource, nesting, "bzip2", bz2.BZ2File)


def xz(resource: Resource, nesting: Nesting) -> Iterator[Resource]:
    """What an xz file holds."""
    yield _unpacked(resource, nesting, "xz", lzma.LZMAFile)


def zstd(resource: Resource, nesting: Nesting) -> Iterator[Resource]:
    """What a zstd file holds."""
    yield _unpacked(resource, nesting, "zstd", lambda file: pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd"))


def _unpacked(resource: Resource, nesting: Nesting, what: str, decoder: Callable[[BinaryIO], IO[bytes]]) -> Resource:
    def source() -> io.RawIOBase:
        file = resource.open()
        with unpacking(resource.target, what):
            return Unpacking(decoder(file), resource.target, what, nesting, below=file)

    suffix = resource.suffix
    stem = resource.stem if suffix in _SUFFIXES or suffix in _TAR else resource.name
    return Stream(resource.target, stem + _TAR.get(suffix, ""), resource.identity, source)
