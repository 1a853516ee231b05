"""What a connector is: a source of tables, each of which gives Arrow record batches, twice over if asked twice.

A connector is one file with one `FileSource`; `pii_guard.connectors` lists them all. What a connector can and cannot
do stands in its `Capabilities`: callers ask that record, never the class.
"""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, BinaryIO, ClassVar

import pyarrow as pa

from pii_guard.connectors.resource import Resource
from pii_guard.connectors.sampling import Sample
from pii_guard.connectors.style import Style
from pii_guard.errors import ReadError

__all__ = [
    "MAX_BATCH_BYTES",
    "MAX_BATCH_ROWS",
    "UNPARSED",
    "Capabilities",
    "Described",
    "EmptyTable",
    "FileSource",
    "FileTable",
    "OutOfScope",
    "Source",
    "Table",
    "bounded",
    "check_names",
    "empty_batch",
    "os_reason",
    "reading",
]

MAX_BATCH_ROWS = 65_536
"""No batch of any connector has more rows."""

MAX_BATCH_BYTES = 16 << 20
"""What a batch holds at most, about; one value that is larger makes a larger batch."""

UNPARSED = "(unparsed lines)"
"""The name of the one column of a batch that holds lines which do not parse as rows of their file."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a source can do."""

    typed: bool
    """Values come with the type they were written with (else all columns are strings)."""
    nested: bool
    """Columns may be lists and structs."""
    metadata: bool
    """Arrow field metadata, and so tags, survive a round trip."""
    row_count: bool
    """The number of rows is known before reading."""
    writable: bool
    """`pii_guard.connectors.write` writes files of this format, or tables of this database."""
    sampling: bool = False
    """A part of a table can be read in place of all of it (`Reading.sample`)."""
    valid_text: bool = False
    """Columns of text are valid UTF-8: the source has checked them, which need not be done again."""
    comments: bool = False
    """Rows are lines of text or source code, in which a comment can allow personal data (docs/own-rules.md)."""


@dataclass(frozen=True, slots=True)
class OutOfScope:
    """Something that was left out on purpose: a picture, an excluded file. No failure, but counted."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are to be read, where their formats leave it open."""

    encoding: str | None = None
    """Of text files, as Python names it; None: found out (`pii_guard.connectors.encoding`)."""
    header: bool = True
    """Whether the first row of a delimited file holds the names of its columns; else they are `column1` and so on."""
    sample: Sample | None = None
    """What `Table.batches` gives in place of everything, where the source can (`Capabilities.sampling`)."""
    of_tables: Sample | None = None
    """The same of tables in databases, where `sample` is None."""


@dataclass(frozen=True, slots=True)
class Described:
    """What a source says of a column, beside its name and its type."""

    comment: str = ""
    key: str = ""
    """`primary` or `foreign`, if it is a part of such a key."""


class Table(ABC):
    """One table of a source. The counters tell of the latest pass over it."""

    name: str
    size: int | None
    """Bytes of the source, where known."""
    row_count: int | None = None
    """Rows, where known before reading (`Capabilities.row_count`)."""
    bytes_read: int = 0
    reading: Reading = Reading()
    """How it is to be read; set before the first pass."""
    unread: int = 0
    """Bytes that the sample left out."""
    estimated: int | None = None
    """Rows of the whole table, where a sample of it was read and that is known better than by `unread`."""
    drawn: str = ""
    """How a sample of it is drawn, in words."""
    drawn_by_row: bool = False
    """Whether each row is drawn by itself; rows that stand together are often alike, and say less."""
    described: Mapping[str, Described] = MappingProxyType({})
    """What the source says of columns, by their names; known when the first batch is."""
    unparsed: int = 0
    """Lines that do not parse as rows; they are handed out as text all the same."""
    first_line: int | None = None
    """The number, from 1, of the line that is the first row of the batch at hand; None where rows are no lines."""
    replaced: int = 0
    """Byte sequences of no known encoding; U+FFFD stands for each."""
    doubt: str = ""
    """Why the rows that were handed out may not be what the source holds; known when all are read."""

    def position(self) -> int:
        """Bytes read so far, for progress; equal to `size` when all is read."""
        return self.bytes_read

    @abstractmethod
    def batches(self) -> Iterator[pa.RecordBatch]:
        """All content, for scanning: the schema may change from batch to batch.

        A table that has columns but no rows gives one empty batch. Lines that do not parse come as batches of one
        string column named `UNPARSED`. Raises ReadError where the source cannot be read on.
        """

    @abstractmethod
    def reader(self) -> pa.RecordBatchReader:
        """All rows in one schema, for pipelines.

        A row that does not parse raises ReadError, here or while reading; the message names its line.
        """

    def style(self) -> Style:
        """How the table is written, for a file of the same format that takes its place."""
        return Style()


class Source(ABC):
    """Something that holds tables."""

    target: str
    """What the source is called in reports and errors."""
    identity: str
    """Equal for two names of one source: it is scanned once."""
    format: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    lasting: bool = False
    """Whether it can be read at any time, and not only until the walk goes on to the next one."""

    @abstractmethod
    def tables(self) -> Iterator[Table]:
        """The tables, in a fixed order. Raises ReadError if the source cannot be opened."""


class FileTable(Table):
    """The one table of a file, named after the file."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.target = resource.target
        with reading(self.target):
            self.size = resource.size
        self.name = resource.stem


class EmptyTable(FileTable):
    """What a file of no bytes holds, in a format whose files say which tables they have: no columns, no rows."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        yield from ()

    def reader(self) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(pa.schema([]), [])


class FileSource(Source):
    """A file with one table. A subclass names its format and its table, and says how to write if it can."""

    table: ClassVar[type[FileTable]]

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.target = resource.target
        self.identity = resource.identity
        self.lasting = resource.lasting

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.target!r})"

    def tables(self) -> Iterator[Table]:
        yield self.table(self.resource)

    @staticmethod
    def write(reader: pa.RecordBatchReader, file: BinaryIO, suffix: str, style: Style) -> int:
        """Write all rows of `reader` to `file` in the manner of `style`; return their number.

        Raises UsageError for a column whose type the format cannot hold, before anything is written.
        """
        raise NotImplementedError


def bounded(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """`batch` in slices of at most MAX_BATCH_ROWS rows and about MAX_BATCH_BYTES; nothing if it has no rows."""
    step = max(batch.num_rows * MAX_BATCH_BYTES // max(batch.nbytes, MAX_BATCH_BYTES), 1)
    for start in range(0, batch.num_rows, min(step, MAX_BATCH_ROWS)):
        yield batch.slice(start, min(step, MAX_BATCH_ROWS))


def check_names(fields: Iterable[pa.Field[Any]]) -> None:
    """Raises UnicodeDecodeError where the name of a field, however deep, is no UTF-8: damage that pyarrow lets pass."""
    for field in fields:
        _ = field.name
        check_names(field.type.field(number) for number in range(field.type.num_fields))


def empty_batch(schema: pa.Schema) -> pa.RecordBatch:
    """No rows, so that the columns of an empty table are seen all the same."""
    return pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)


_REASONS = {
    errno.ENOENT: "no such file",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EISDIR: "is a directory",
    errno.ENOTDIR: "a part of the path is not a directory",
    errno.ELOOP: "a symbolic link that leads nowhere",
    errno.ENOSPC: "no space left on the device",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than the system allows",
    errno.EROFS: "the file system is read-only",
}


def os_reason(error: OSError) -> str:
    """An operating system error in words of our own: the message of the error may quote data."""
    if error.errno is None:
        return "it could not be read or is damaged"
    return _REASONS.get(error.errno, os.strerror(error.errno).lower())


@contextmanager
def reading(source: str) -> Iterator[None]:
    """Turn every error of the operating system or of pyarrow into a ReadError that holds no data."""
    try:
        yield
    except OSError as error:
        raise ReadError(source, os_reason(error)) from None
    except (pa.ArrowException, MemoryError, UnicodeError) as error:
        raise ReadError(source, f"it could not be read or is damaged ({type(error).__name__})") from None
