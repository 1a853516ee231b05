"""Bytes of a zip archive that belong to none of its members, where something may be kept that no list names.

A zip archive is known by the list at its end: what stands in front of it, between its members or behind it is read by
nobody, and a member that was deleted from the list may still be there. Not meant are zeros (padding), the program in
front of an archive that unpacks itself, and the block in which Android keeps its signature.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

__all__ = ["TAIL", "end_record", "has_gaps"]

TAIL = 22 + 0xFFFF
"""Bytes of the record at the end of an archive, at most."""

_RECORD, _RECORD_64, _LOCATOR_64, _LOCAL, _DESCRIPTOR = b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\3\4", b"PK\7\x08"
_SIGNATURE = b"APK Sig Block 42"
_HAS_DESCRIPTOR = 0x8
_PROGRAM = re.compile(rb"MZ|\x7fELF|#![^\n]{1,256}\n\Z")


def end_record(file: BinaryIO) -> tuple[int, bytes]:
    """Where the record at the end of an archive is, and the bytes from there on; -1 and nothing where there is none."""
    start = max(file.seek(0, os.SEEK_END) - TAIL, 0)
    file.seek(start)
    tail = file.read()
    place = tail.rfind(_RECORD)
    return (-1, b"") if place < 0 else (start + place, tail[place:])


def has_gaps(file: BinaryIO, archive: zipfile.ZipFile) -> bool:
    """Whether there is anything but zeros outside of the members of `archive` and its list."""
    reached = 0
    for start, end in sorted([*_extents(file, archive), (file.seek(0, os.SEEK_END),) * 2]):
        if start > reached and _holds_bytes(file, reached, start):
            return True
        reached = max(reached, end)
    return False


def _extents(file: BinaryIO, archive: zipfile.ZipFile) -> Iterator[tuple[int, int]]:
    for info in archive.infolist():
        yield info.header_offset, _end_of_member(file, info)
    place, record = end_record(file)
    yield place, place + 22 + int.from_bytes(record[20:22], "little")
    file.seek(max(place - 20 - 56, 0))
    before = file.read(place - file.tell())
    size = int.from_bytes(record[12:16], "little")
    if before[-20:].startswith(_LOCATOR_64):
        yield place - 20, place
        if before.startswith(_RECORD_64):
            yield place - 76, place - 20
            size = int.from_bytes(before[40:48], "little")
    yield archive.start_dir, archive.start_dir + size


def _end_of_member(file: BinaryIO, info: zipfile.ZipInfo) -> int:
    file.seek(info.header_offset)
    header = file.read(30)
    if not header.startswith(_LOCAL) or len(header) < 30:
        return info.header_offset  # damaged, as reading it will say
    lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    end = info.header_offset + 30 + lengths + info.compress_size
    if not info.flag_bits & _HAS_DESCRIPTOR:
        return end
    file.seek(end)
    behind = file.read(24)
    marked = 4 if behind.startswith(_DESCRIPTOR) else 0
    for width in (8, 4):  # a checksum and two sizes
        if max(info.compress_size, info.file_size) >> 8 * width:
            continue
        sizes = info.compress_size.to_bytes(width, "little") + info.file_size.to_bytes(width, "little")
        if behind[marked + 4 :].startswith(sizes):
            return end + marked + 4 + 2 * width
    return end


def _holds_bytes(file: BinaryIO, start: int, end: int) -> bool:
    file.seek(max(end - len(_SIGNATURE), start))
    if file.read(len(_SIGNATURE)) == _SIGNATURE:
        return False
    file.seek(start)
    if start == 0 and _PROGRAM.match(file.read(min(end, 512))):
        return False
    file.seek(start)
    while start < end and (data := file.read(min(end - start, 1 << 20))):
        if data.strip(b"\0"):
            return True
        start += len(data)
    return False
