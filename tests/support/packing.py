"""Files packed in every way that is unpacked: name of the way -> (suffix, function from (name, bytes) to bytes)."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Iterable

import pyarrow as pa

__all__ = ["ARCHIVES", "COMPRESSIONS", "tarred", "zipped"]


def zipped(members: Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive of (name, content)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return buffer.getvalue()


def tarred(members: Iterable[tuple[str, bytes]], form: int = tarfile.PAX_FORMAT, encoding: str = "utf-8") -> bytes:
    """A tar archive of (name, content); a name that ends in `/` is a folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form, encoding=encoding) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _zstd(content: bytes) -> bytes:
    packed: bytes = pa.Codec("zstd").compress(content, asbytes=True)
    return packed


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda content: gzip.compress(content, mtime=0),
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": _zstd,
}
"""Suffix -> function."""

ARCHIVES: dict[str, Callable[[Iterable[tuple[str, bytes]]], bytes]] = {
    ".zip": zipped,
    ".tar": tarred,
    ".tar.gz": lambda members: gzip.compress(tarred(members), mtime=0),
    ".tgz": lambda members: gzip.compress(tarred(members), mtime=0),
    ".tar.zst": lambda members: _zstd(tarred(members)),
}
