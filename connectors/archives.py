"""Archives: zip and tar. Nothing is ever written under a name from inside of one: names are labels.

A member is called `ARCHIVE!/NAME`; a second one of that name is `ARCHIVE!/NAME#2`. A name that is not marked as UTF-8
is UTF-8 if it can be, else CP949, as Korean Windows writes it. Folders and links are no files and are passed over.
A resource that is handed out can be read until the next one is asked for.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO, cast

from pii_guard.connectors.nesting import Nesting, Unpacking, unpacking
from pii_guard.connectors.resource import SEPARATOR, Resource, StreamedResource
from pii_guard.connectors.zip_gaps import TAIL, end_record, has_gaps
from pii_guard.errors import ReadError

__all__ = ["COMMENTS", "tar_members", "zip_members", "zip_names"]

COMMENTS = "(comments)"
"""The name of the text of all comments of a zip archive."""

_MAX_DIRECTORY = 32 << 20  # of a zip archive: Python's reader takes some ten times as much memory for it
_MAX_HEADER = 16 << 20  # of a tar member; Python's reader would take any length that a header claims
_BLOCK = 512
_ENCRYPTED = 0x1
_UTF8 = 0x800


class _Labels:
    """Gives each member of an archive its name in reports."""

    def __init__(self, archive: Resource) -> None:
        self._archive = archive
        self._times: dict[str, int] = {}

    def stream(
        self, name: str, source: Callable[[str], io.RawIOBase], size: int | None = None, once: bool = False
    ) -> StreamedResource:
        times = self._times[name] = self._times.get(name, 0) + 1
        label = SEPARATOR + (name if times == 1 else f"{name}#{times}")
        target = self._archive.target + label
        return StreamedResource(
            target,
            name.rpartition("/")[2],
            self._archive.identity + label,
            lambda: source(target),
            size=size,
            once=once,
        )


def zip_names(resource: Resource) -> frozenset[str]:
    """The names in a zip archive. Raises ReadError if its list is damaged."""
    with _zip(resource) as (archive, _):
        return frozenset(archive.namelist())


def zip_members(resource: Resource, nesting: Nesting) -> Iterator[Resource | ReadError]:
    """The files in a zip archive, its comments as a text `(comments)`, and an error for each file that is encrypted, or
    for bytes that belong to none. Raises ReadError if its list is damaged."""
    labels = _Labels(resource)
    with _zip(resource) as (archive, file):
        comments = b"\n".join(filter(None, [archive.comment, *(info.comment for info in archive.infolist())]))
        if comments:
            yield labels.stream(COMMENTS, lambda target: cast(io.RawIOBase, io.BytesIO(comments)))
        for info in archive.infolist():
            if info.filename.endswith("/") and not info.file_size:
                continue
            stream = labels.stream(_zip_name(info), _zip_source(archive, info, nesting), info.file_size)
            if info.flag_bits & _ENCRYPTED:
                yield ReadError(stream.target, "encrypted by the zip archive, which pii-guard has no password for")
            else:
                yield stream
        if has_gaps(file, archive):
            yield ReadError(resource.target, "holds bytes that belong to none of its members (zip); they are not read")


@contextmanager
def _zip(resource: Resource) -> Iterator[tuple[zipfile.ZipFile, BinaryIO]]:
    with resource.open_seekable() as file:
        with unpacking(resource.target, "zip"):
            _check_directory(file, resource.target)
            archive = zipfile.ZipFile(file)
        with archive:
            yield archive, file


def _zip_source(archive: zipfile.ZipFile, info: zipfile.ZipInfo, nesting: Nesting) -> Callable[[str], io.RawIOBase]:
    def source(target: str) -> io.RawIOBase:
        with unpacking(target, "zip"):
            return Unpacking(archive.open(info), target, "zip", nesting)

    return source


def _zip_name(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & _UTF8:
        return info.filename
    return _decoded(info.filename.encode("cp437"))


def _decoded(name: bytes) -> str:
    for encoding in ("utf-8", "cp949"):
        try:
            return name.decode(encoding)
        except UnicodeDecodeError:
            continue
    return name.decode("utf-8", "backslashreplace")


def _check_directory(file: BinaryIO, target: str) -> None:
    """Refuse a list of members that would not fit into memory."""
    place, record = end_record(file)
    length = int.from_bytes(record[12:16], "little")
    if length == 0xFFFFFFFF:  # as in the record of the 64-bit form
        file.seek(max(place - TAIL, 0))
        before = file.read(TAIL)
        length = int.from_bytes(before[before.rfind(b"PK\x06\x06") :][40:48], "little")
    if length > _MAX_DIRECTORY:
        raise ReadError(target, f"its list of members is larger than {_MAX_DIRECTORY >> 20} MB; unpack it")
    file.seek(0)


def tar_members(resource: Resource, nesting: Nesting) -> Iterator[Resource]:
    """The files in a tar archive, in one pass. Raises ReadError where it is damaged, behind the last sound member."""
    labels = _Labels(resource)
    with resource.open() as file, unpacking(resource.target, "tar"):
        forward = _Forward(file)
        with tarfile.open(
            fileobj=cast(IO[bytes], forward), mode="r:", encoding="utf-8", errors="surrogateescape"
        ) as archive:
            while (info := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # else they are all kept
                if info.isreg():
                    yield labels.stream(_tar_name(info), _tar_source(archive, info, nesting), info.size, once=True)
        if forward.last != bytes(_BLOCK):  # tarfile ends at damage as it does at the end
            raise ReadError(resource.target, "damaged or cut off (tar): members behind the last sound one are not read")
        while rest := file.read(1 << 20):
            if rest.strip(b"\0"):
                raise ReadError(
                    resource.target, "goes on behind the end of the archive (tar): what is there is not read"
                )


def _tar_name(info: tarfile.TarInfo) -> str:
    return _decoded(info.name.encode("utf-8", "surrogateescape"))


def _tar_source(archive: tarfile.TarFile, info: tarfile.TarInfo, nesting: Nesting) -> Callable[[str], io.RawIOBase]:
    def source(target: str) -> io.RawIOBase:
        file = archive.extractfile(info)
        assert file is not None  # noqa: S101 - it is a regular file
        return Unpacking(file, target, "tar", nesting)

    return source


class _Forward:
    """What tarfile needs of a file, of one that cannot go back. `last` is what was read last."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._position = 0
        self.last = b""

    def read(self, size: int) -> bytes:
        if size > _MAX_HEADER:
            raise tarfile.ReadError("a header larger than any name needs")
        self.last = self._file.read(size)
        self._position += len(self.last)
        return self.last

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        if position < self._position:
            raise tarfile.StreamError("going back")
        while self._position < position and self.read(min(position - self._position, 1 << 20)):
            pass
