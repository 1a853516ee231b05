"""The blocks of an Avro file, unpacked here and handed to fastavro one at a time.

fastavro unpacks a block whole, whatever comes out, and its compiled reader ends the process where a record contains
itself too often. So blocks are bounded and unpacked here, and schemas are surveyed before they are used. The layout is
that of the Avro specification 1.12, "Object Container Files".
"""

from __future__ import annotations

import bz2
import io
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

import fastavro
import pyarrow as pa
from fastavro import _read_py

from pii_guard.connectors.objects import MAX_DEPTH
from pii_guard.errors import ReadError

__all__ = ["MAX_BLOCK", "MAX_LISTED", "MAX_STILL", "AvroBlocks"]

MAX_BLOCK = 16 << 20
"""Bytes of a block, packed or not. Writers end a block at 16 or 64 kB, or behind a record that is larger."""

MAX_LISTED = 2 << 20
"""The same where lists hold lists or objects: an empty object takes a byte there, and two hundred in Python."""

MAX_STILL = 1 << 20
"""Records of a file that take no bytes; a block can claim any number of them."""

_MAX_HEADER = 16 << 20
_LZMA_MEMORY = 256 << 20
_HEADER = fastavro.parse_schema(
    {
        "type": "record",
        "name": "header",
        "fields": [
            {"name": "magic", "type": {"type": "fixed", "name": "magic", "size": 4}},
            {"name": "meta", "type": {"type": "map", "values": "bytes"}},
            {"name": "sync", "type": {"type": "fixed", "name": "sync", "size": 16}},
        ],
    }
)
_DAMAGE = (OSError, EOFError, ValueError, MemoryError, zlib.error, lzma.LZMAError, pa.ArrowException)
_WIDTHS = {"null": 0, "float": 4, "double": 8}


class AvroBlocks:
    """The blocks of `file`; each is an iterator over its records, and its `bytes_` tell how far it was read.

    Raises ReadError, here and while reading, for what passes a bound, and any exception for what is no Avro.
    """

    def __init__(self, file: BinaryIO, target: str) -> None:
        self._file, self._target = file, target
        header: Any = fastavro.schemaless_reader(cast(BinaryIO, _Bounded(file, _MAX_HEADER)), _HEADER, None)
        self._meta: dict[str, bytes] = header["meta"]
        self._sync: bytes = header["sync"]
        self._unpack = _CODECS.get(self._meta.get("avro.codec", b"null").decode())
        if self._unpack is None:
            raise ReadError(target, "an Avro file that is packed by a method which pii-guard does not know")
        raw = json.loads(self._meta["avro.schema"])
        survey = _Survey()
        survey.width(raw, MAX_DEPTH)
        self.schema: Any = fastavro.parse_schema(raw)
        """The schema of the records, every name in full."""
        if survey.endless:
            raise ReadError(target, "lists of values that take no bytes, which no writer makes")
        self._limit = MAX_LISTED if survey.listed else MAX_BLOCK
        self._reader = _read_py.block_reader if survey.recursive else fastavro.block_reader

    def __iter__(self) -> Iterator[Any]:
        yield from self._reader(cast(BinaryIO, _Pieces(self._pieces())))

    def _pieces(self) -> Iterator[bytes]:
        buffer = io.BytesIO()
        meta = {**self._meta, "avro.codec": b"null"}
        fastavro.schemaless_writer(buffer, _HEADER, {"magic": b"Obj\x01", "meta": meta, "sync": self._sync})
        yield buffer.getvalue()
        still = 0
        while (count := self._number()) is not None:
            size = self._number()
            if size is None or size < 0 or count < 0:
                raise ValueError
            data = self._unpacked(size)
            still += max(count - len(data), 0)
            if still > MAX_STILL:
                raise ReadError(self._target, f"more than {MAX_STILL:,} records without bytes, which no writer makes")
            yield _zigzag(count) + _zigzag(len(data))
            yield data
            yield self._file.read(len(self._sync))

    def _unpacked(self, size: int) -> bytes:
        if size <= self._limit:
            packed = self._file.read(size)
            if len(packed) < size:
                raise ValueError
            assert self._unpack is not None  # noqa: S101 - looked at when the file was opened
            try:
                data = self._unpack(packed, self._limit + 1)
            except _DAMAGE:
                raise ValueError from None
            if len(data) <= self._limit:
                return data
        raise ReadError(
            self._target,
            f"a block of more than {self._limit >> 20} MB; write it anew with blocks of the usual size (16 to 64 kB)",
        )

    def _number(self) -> int | None:
        """A number as Avro writes it; None at the end of the file."""
        value = 0
        for shift in range(0, 70, 7):
            byte = self._file.read(1)
            if not byte:
                if shift:
                    raise ValueError  # not EOFError: fastavro takes that for the end of the file
                return None
            value |= (byte[0] & 0x7F) << shift
            if byte[0] < 0x80:
                return (value >> 1) ^ -(value & 1)
        raise ValueError


def _zigzag(number: int) -> bytes:
    value, data = number << 1, bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*data, value])


class _Pieces:
    """A file of pieces, of which one is held at a time."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece, self._start, self._before = b"", 0, 0

    def read(self, size: int) -> bytes:
        if self._start == len(self._piece):
            self._before += len(self._piece)
            self._piece, self._start = next(self._pieces, b""), 0
        data = self._piece[self._start : self._start + size]
        self._start += len(data)
        return data

    def tell(self) -> int:
        return self._before + self._start


class _Bounded:
    """A file that ends after `left` bytes."""

    def __init__(self, file: BinaryIO, left: int) -> None:
        self._file, self._left = file, left

    def read(self, size: int) -> bytes:
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data


class _Survey:
    """What a schema lets a block do to its reader."""

    def __init__(self) -> None:
        self.recursive = False
        """A record may contain itself (or a name is not known here)."""
        self.listed = False
        """Lists or maps hold lists, maps or objects."""
        self.endless = False
        """Lists hold values that take no bytes."""
        self._widths: dict[str, int] = {}

    def width(self, schema: Any, depth: int, in_list: bool = False) -> int:
        """The bytes that a value takes at least. Raises RecursionError for what is nested deeper than `depth`."""
        if not depth:
            raise RecursionError
        if isinstance(schema, list):
            for each in schema:
                self.width(each, depth, in_list)
            return 1
        if isinstance(schema, str):
            if schema in ("boolean", "int", "long", "bytes", "string", *_WIDTHS):
                return _WIDTHS.get(schema, 1)
            self.listed |= in_list
            self.recursive |= schema not in self._widths
            return self._widths.get(schema, 0)
        kind = schema["type"]
        if kind in ("record", "error"):
            self.listed |= in_list
            self._widths[schema["name"]] = sum(self.width(field["type"], depth - 1) for field in schema["fields"])
            return self._widths[schema["name"]]
        if kind in ("enum", "fixed"):
            self._widths[schema["name"]] = schema["size"] if kind == "fixed" else 1
            return self._widths[schema["name"]]
        if kind in ("array", "map"):
            self.listed |= in_list
            width = self.width(schema["items" if kind == "array" else "values"], depth - 1, True)
            self.endless |= kind == "array" and not width
            return 1
        return self.width(kind, depth - 1, in_list)


def _stream(make: Callable[[], Any]) -> Callable[[bytes, int], bytes]:
    def unpack(data: bytes, most: int) -> bytes:
        decoder = make()
        unpacked: bytes = decoder.decompress(data, most)
        if len(unpacked) < most and not decoder.eof:
            raise EOFError
        return unpacked

    return unpack


def _snappy(data: bytes, most: int) -> bytes:
    size, shift = 0, 0
    for byte in data[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if size >= most:
        return bytes(most)
    unpacked: bytes = pa.Codec("snappy").decompress(data[:-4], size, asbytes=True)
    if zlib.crc32(unpacked) != int.from_bytes(data[-4:], "big"):
        raise ValueError
    return unpacked


def _zstd(data: bytes, most: int) -> bytes:
    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
        unpacked: bytes = stream.read(most)
    return unpacked


_CODECS: dict[str, Callable[[bytes, int], bytes]] = {
    "null": lambda data, most: data,
    "deflate": _stream(lambda: zlib.decompressobj(-15)),
    "bzip2": _stream(bz2.BZ2Decompressor),
    "xz": _stream(lambda: lzma.LZMADecompressor(memlimit=_LZMA_MEMORY)),
    "snappy": _snappy,
    "zstandard": _zstd,
}
