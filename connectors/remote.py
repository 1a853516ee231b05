"""Object stores and other places that a URL names: `s3://`, `gs://`, `abfs://` by pyarrow, others by fsspec.

Credentials come from where the libraries of each store look for them: the environment, profiles, the machine's role.
Those in a URL work too and are never shown. pyarrow's own options go into the query: `s3://bucket/folder?region=...`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import PurePosixPath
from typing import BinaryIO, cast
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs

from pii_guard.connectors.base import OutOfScope, os_reason
from pii_guard.connectors.contents import EXCLUDED, Found, excluded, sources_in
from pii_guard.connectors.database_url import DATABASES
from pii_guard.connectors.partitions import joined
from pii_guard.connectors.resource import HEAD, Resource
from pii_guard.errors import PiiGuardError, ReadError, TargetError

__all__ = ["RemoteFile", "discover_remote", "open_remote", "shown_url"]

_NATIVE = ("s3", "gs", "gcs", "abfs", "abfss")
"""Schemes of pyarrow's own file systems."""
_GOOGLE = ("gs", "gcs")
_RETRY_SECONDS = 20
_AZURE = ("abfs", "abfss")
"""Schemes in which the name of a container stands before the at sign."""
_CODE = re.compile(r"\b(?:AWS Error |code: ?)([A-Z_]{3,40})\b")
_HIDDEN = "a hidden directory"


class RemoteFile(Resource):
    """A file on a file system of pyarrow. It can be opened as often as it is there."""

    lasting = True

    def __init__(self, files: fs.FileSystem, path: str, target: str, size: int | None, origin: str) -> None:
        self._files = files
        self._path = path
        self._size = size
        self.target = target
        # what is shown leaves out what may tell two stores apart
        self.identity = f"{target}#{sha256(repr((path, origin)).encode()).hexdigest()}"
        self.name = PurePosixPath(path).name

    @property
    def size(self) -> int | None:
        return self._size

    def head(self) -> bytes:
        with self.open() as file:
            return file.read(HEAD)

    def open(self) -> BinaryIO:
        with _speaking(self.target):  # "detect", the default, would undo a compression by its suffix
            file = self._files.open_input_stream(self._path, compression=None)
        return cast(BinaryIO, io.BufferedReader(_Speaking(file, self.target), HEAD))

    def open_seekable(self) -> BinaryIO:
        with _speaking(self.target):
            file = self._files.open_input_file(self._path)
        return cast(BinaryIO, io.BufferedReader(_Speaking(file, self.target), HEAD))

    def close(self) -> None:
        """Nothing is kept between two readings."""


class _Speaking(io.RawIOBase):
    """A file whose errors while reading are those of `_speaking`."""

    def __init__(self, file: pa.NativeFile, target: str) -> None:
        self._file, self._target = file, target

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _speaking(self._target):
            return int(self._file.seek(offset, whence))

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        with _speaking(self._target):
            return int(self._file.readinto(buffer))

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def shown_url(url: str) -> str:
    """A URL without what may be secret: account, password and options. Where these cannot be told, little is left.

    >>> shown_url("s3://key:sec/ret@bucket/a.csv?region=x")
    's3://bucket/a.csv'
    >>> shown_url("abfss://container@account/a.csv")
    'abfss://container@account/a.csv'
    """
    scheme, _, rest = url.partition("://")
    plain = re.split("[?#]", rest, maxsplit=1)[0]
    if "@" in rest.removeprefix(plain):  # of the password, or of an option?
        return f"{scheme}://..."
    before, at, behind = plain.rpartition("@")
    named = scheme.lower() in _AZURE and re.fullmatch(r"[a-z0-9$-]+", before)
    return f"{scheme}://{before if named else ''}{at if named else ''}{behind}"


def open_remote(url: str) -> RemoteFile:
    """The one file that `url` names. Raises TargetError where it names none, ReadError where the store refuses."""
    files, path, info = _found(url)
    if info.type is not fs.FileType.File:
        raise TargetError(f"{shown_url(url)}: is a directory; name a file in it")
    return RemoteFile(files, path, shown_url(url), info.size, _origin(url))


def discover_remote(url: str, exclude: Sequence[str]) -> Iterator[Found]:
    """The sources that `url` holds, as `pii_guard.connectors.discover` gives them, in the order of their names.

    There are no links and no `.pii-guardignore` here. Raises TargetError as `open_remote` does.
    """
    files, path, info = _found(url)
    return _walk(files, path, info, shown_url(url).rstrip("/"), _origin(url), exclude)


def _walk(
    files: fs.FileSystem, path: str, info: fs.FileInfo, shown: str, origin: str, exclude: Sequence[str]
) -> Iterator[Found]:
    if info.type is fs.FileType.File:
        yield from sources_in(RemoteFile(files, path, shown, info.size, origin), exclude)
        return
    with _speaking(shown):
        found = files.get_file_info(fs.FileSelector(path, recursive=True))
    for each in sorted(found, key=lambda each: each.path):
        if each.type is not fs.FileType.File:
            continue
        below = each.path.removeprefix(path).lstrip("/")
        target = f"{shown}/{below}"
        if any(part.startswith(".") for part in PurePosixPath(below).parts[:-1]):
            yield OutOfScope(target, _HIDDEN)
        elif excluded(below, exclude):
            yield OutOfScope(target, EXCLUDED)
        else:
            file = RemoteFile(files, each.path, target, each.size, origin)
            yield from joined(sources_in(file, exclude, explicit=False), shown, PurePosixPath(below))


def _origin(url: str) -> str:
    """What a URL says of its store: all but the path."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}?{parts.query}"


def _found(url: str) -> tuple[fs.FileSystem, str, fs.FileInfo]:
    shown = shown_url(url)
    with _speaking(shown):
        files, path = _file_system(url, shown)
        info = files.get_file_info(path)
    if info.type is fs.FileType.NotFound:
        raise TargetError(f"{shown}: no such file or directory")
    return files, path, info


def _patient(url: str) -> str:
    """A URL of Google Cloud Storage with an end to waiting: the library's own is 15 minutes, without hearing Ctrl-C."""
    plain, mark, query = url.partition("?")
    if "retry_limit_seconds=" in query:
        return url
    return f"{plain}?{query}{'&' if mark and query else ''}retry_limit_seconds={_RETRY_SECONDS}"


def _file_system(url: str, shown: str) -> tuple[fs.FileSystem, str]:
    scheme = url.partition("://")[0].lower()
    try:
        if scheme in _NATIVE:
            files, path = fs.FileSystem.from_uri(_patient(url) if scheme in _GOOGLE else url)
            return files, path.rstrip("/")
    except (ValueError, pa.ArrowException):
        raise TargetError(f"{shown}: is no URL of a file or directory that pyarrow reads") from None
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise TargetError(
            f"{scheme}://: no scheme of {_known()}; others are read by fsspec, which is not installed; "
            "pip install 'pii-guard-arrow[fsspec]'"
        ) from None
    try:
        there, path = url_to_fs(url)
    except ImportError:
        raise TargetError(f"{scheme}://: fsspec needs another package for it; see its list of file systems") from None
    except ValueError:
        raise TargetError(
            f"{scheme}://: no connector for this scheme; known are {_known()}, those of fsspec and those "
            "of dialects of SQLAlchemy that are installed"
        ) from None
    return fs.PyFileSystem(fs.FSSpecHandler(there)), path.rstrip("/") or "/"


@contextmanager
def _speaking(shown: str) -> Iterator[None]:
    """Turn the errors of a store into a ReadError that names the code of the store, not its message."""
    try:
        yield
    except OSError as error:
        code = _CODE.search(str(error))
        silent = "the store did not answer, or refused" if error.errno is None else os_reason(error)
        reason = f"the store said {code[1]}" if code else silent
        raise ReadError(shown, reason) from None
    except PiiGuardError:
        raise
    except Exception as error:  # noqa: BLE001 - libraries of stores have errors of their own
        raise ReadError(shown, f"it could not be read ({type(error).__name__})") from None


def _known() -> str:
    return ", ".join([*(scheme for database in DATABASES for scheme in database.schemes), *sorted(_NATIVE)])
