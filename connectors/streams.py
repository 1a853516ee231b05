"""Tables of databases for pipelines: read with their types, written in one transaction (docs/pipelines.md).

Scans read values as text, so that no type hides one; what a pipeline reads here goes on with the type that it has.
"""

from __future__ import annotations

import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, get_args

import pyarrow as pa

from pii_guard.batches import ArrowData, reader_of
from pii_guard.connectors.base import Table, os_reason
from pii_guard.connectors.database import DatabaseSource, DatabaseTable, Relation, discover_database, quoted
from pii_guard.connectors.database_url import DATABASES, Database, DatabaseUrl, Mode, database_of, shown_target
from pii_guard.connectors.discovery import open
from pii_guard.connectors.fitting import TypedColumn
from pii_guard.connectors.selection import Selection
from pii_guard.errors import ReadError, TargetError, UsageError, WriteError
from pii_guard.files import sync_directory
from pii_guard.reports import NotExamined

__all__ = [
    "FileStream",
    "Stream",
    "StreamedTable",
    "check_table",
    "new_file",
    "open_table",
    "read",
    "stream_of",
    "write_table",
]

_MOST_LOST = 10
"""Things that an error names."""


class Stream(ABC):
    """One database, for pipelines. A subclass reads, and writes if it can."""

    writable: ClassVar[bool] = True

    def __init__(self, url: DatabaseUrl) -> None:
        self.url = url
        self.target = url.shown

    @abstractmethod
    def exists(self, relation: Relation) -> bool:
        """Whether there is such a table, or a view."""

    @abstractmethod
    def rows(self, relation: Relation, columns: Sequence[str] | None, where: str | None) -> Iterator[pa.RecordBatch]:
        """First a batch without rows, which tells the types, then all rows in bounded batches."""

    def reader(
        self, relation: Relation, columns: Sequence[str] | None = None, where: str | None = None
    ) -> pa.RecordBatchReader:
        """The rows of a table, with their types."""
        batches = self.rows(relation, columns, where)
        return pa.RecordBatchReader.from_batches(next(batches).schema, batches)

    def write(self, reader: pa.RecordBatchReader, relation: Relation, mode: Mode) -> int:
        """Write all rows of `reader` into a table, or none; return their number."""
        raise NotImplementedError

    def named(self, relation: Relation) -> str:
        return f"{self.target}: table {relation.name}"

    def chosen(self, relation: Relation, there: Sequence[str], columns: Sequence[str] | None) -> list[str]:
        """The columns to read. Raises UsageError for one that the table has not."""
        unknown = [name for name in columns or () if name not in there]
        if unknown:
            raise UsageError(f"{self.named(relation)} has no column {', '.join(unknown)}; it has {', '.join(there)}")
        wanted = list(there if columns is None else columns)
        if not wanted:
            raise UsageError(f"{self.named(relation)}: there is no column to read")
        return wanted

    def chosen_of(
        self, relation: Relation, there: Sequence[TypedColumn], columns: Sequence[str] | None
    ) -> list[TypedColumn]:
        """`chosen` of columns as `pii_guard.connectors.fitting` has them. Raises TargetError where there are none."""
        if not there:
            raise TargetError(f"{self.named(relation)}: there is no such table, or none that the account may read")
        known = {column.name: column for column in there}
        return [known[name] for name in self.chosen(relation, list(known), columns)]

    def check_referring(self, relation: Relation, tables: Sequence[str]) -> None:
        """Raises WriteError where `tables` would lose rows or values if this one were emptied."""
        if tables:
            raise WriteError(
                f"{self.named(relation)}: to empty it would change {', '.join(tables)}, whose foreign keys refer to it "
                "with ON DELETE CASCADE or SET; nothing was written"
            )

    def check_lost(self, relation: Relation, lost: Sequence[str]) -> None:
        """Raises WriteError where a new table in the place of this one would not have all that belongs to it."""
        if lost:
            more = f" and {len(lost) - _MOST_LOST} more" if len(lost) > _MOST_LOST else ""
            raise WriteError(
                f"{self.named(relation)}: a swap would lose {', '.join(lost[:_MOST_LOST])}{more}; mode replace keeps "
                "what belongs to the table; nothing was written"
            )

    def check_mode(self, relation: Relation, exists: bool, mode: Mode) -> None:
        """Raises TargetError where there is no table to write into, or one that `create` would take the place of."""
        if exists and mode == "create":
            raise TargetError(f"{self.named(relation)} exists already; mode append, replace or swap writes into it")
        if not exists and mode != "create":
            raise TargetError(f"{self.named(relation)}: there is no such table; mode create makes it")


class FileStream(Stream):
    """A database in a file, which is made with its first table."""

    def __init__(self, url: DatabaseUrl) -> None:
        super().__init__(url)
        self.path = Path(url.path[1:])

    def write(self, reader: pa.RecordBatchReader, relation: Relation, mode: Mode) -> int:
        if not self.path.name or self.url.host:
            self.url.file()  # says what is wrong with the URL
        if self.path.exists():
            return self.write_into(self.path, reader, relation, mode)
        self.check_mode(relation, False, mode)
        with new_file(self.path, self.target) as path:
            return self.write_into(path, reader, relation, mode)

    @abstractmethod
    def write_into(self, path: Path, reader: pa.RecordBatchReader, relation: Relation, mode: Mode) -> int:
        """`write`, into the database at `path`, which is there or is made."""

    @abstractmethod
    def definition(self, connection: Any, relation: Relation) -> tuple[str, list[str]]:
        """The statements that made a table and its indexes. Raises WriteError where they are not all that belongs to
        it; views refer to it by its name."""

    def make_room(
        self, connection: Any, relation: Relation, name: str, there: bool, columns: Sequence[TypedColumn], mode: Mode
    ) -> tuple[str, list[str]]:
        """Make the table, which SQL calls `name`, or empty it; for a swap, put a new one in its place.

        Returns what `definition` gives for a table that is swapped: its indexes are for when the rows are in.
        """
        if not there:
            declared = ", ".join(f"{quoted(column.name)} {column.declared}" for column in columns)
            connection.execute(f"CREATE TABLE {name} ({declared})")
        elif mode == "replace":
            connection.execute(f"DELETE FROM {name}")  # noqa: S608 - quoted
        elif mode == "swap":
            table, indexes = self.definition(connection, relation)
            connection.execute(f"DROP TABLE {name}")  # seen by nobody before the COMMIT
            connection.execute(table)
            return table, indexes
        return "", []


class StreamedTable(Table):
    """A table of a database with its types, where a scan reads it as text."""

    def __init__(self, table: DatabaseTable, stream: Stream) -> None:
        self.name, self.size = table.name, table.size
        self._relation, self._stream = table.relation, stream

    def batches(self) -> Iterator[pa.RecordBatch]:
        return self._stream.rows(self._relation, None, None)

    def reader(self) -> pa.RecordBatchReader:
        return self._stream.reader(self._relation)


def stream_of(target: str, database: Database, password: str | None = None) -> Stream:
    """The database that a URL names, for pipelines. Raises TargetError for a URL that is none of a database, or whose
    library is not installed."""
    return database.load_stream()(DatabaseUrl(target, database.id, password))


def open_table(target: str, database: Database, name: str | None, password: str | None = None) -> StreamedTable:
    """The table that goes by `name`, `NAME` or `SCHEMA.NAME`, as a scan of the database calls it.

    Raises UsageError where no name is given or two tables go by it, ReadError where there is none.
    """
    if not name:
        raise UsageError(f"{DatabaseUrl(target, database.id, password).shown}: is a database; say which table")
    found: list[Table] = []
    for item in discover_database(target, database, Selection(tables=(name,)), password):
        if isinstance(item, NotExamined):
            raise ReadError(item.source, item.reason)
        if isinstance(item, DatabaseSource):
            found += item.tables()
    stream = stream_of(target, database, password)
    if len(found) != 1:
        names = ", ".join(table.name for table in found)
        raise UsageError(f"{stream.target}: {len(found)} tables go by that name: {names}; name one with its schema")
    assert isinstance(found[0], DatabaseTable)  # noqa: S101 - what a DatabaseSource has
    return StreamedTable(found[0], stream)


def read(
    target: str | os.PathLike[str],
    *,
    table: str | None = None,
    schema: str | None = None,
    columns: Sequence[str] | None = None,
    where: str | None = None,
    password: str | None = None,
) -> pa.RecordBatchReader:
    """The rows of one table as a stream of Arrow batches of at most 65,536 rows, with their types.

    `target` is the URL of a database or a file. `table` names the table, `schema` the schema that it stands in (of a
    database: by default the one that the server would look in); of a file with one table neither is needed. `columns`
    are read in the order given. `where` is a condition in the database's own SQL, `signed_up >= '2024-01-01'`: it is
    passed on as it is, so it must never hold text from outside. `password` is for a URL of a server without one.

    Databases are read in a transaction that cannot write; it ends with the last batch, or when nothing refers to the
    reader any more. Which types come as others: docs/pipelines.md.
    Raises TargetError for a target or a table that is not there, UsageError for a column that is not, ReadError where
    it cannot be read, here or while reading.
    """
    target = os.fspath(target)
    if isinstance(columns, str):
        raise UsageError(f"{shown_target(target)}: columns is a list of names; write [{columns!r}]")
    database = database_of(target)
    _check_text(target, table, schema, where)
    if database is not None:
        if not table:
            raise UsageError(f"{DatabaseUrl(target, database.id).shown}: is a database; say which table")
        return stream_of(target, database, password).reader(Relation(schema or "", table), columns, where)
    if where is not None or schema is not None or password is not None:
        raise UsageError(f"{shown_target(target)}: is a file; where, schema and password are for databases alone")
    found = _table_of(target, table)
    reader = found.reader()
    if columns is None:
        return reader
    unknown = [name for name in columns if name not in reader.schema.names]
    if unknown:
        there = ", ".join(reader.schema.names)
        raise UsageError(f"{shown_target(target)}: has no column {', '.join(unknown)}; it has {there}")
    kept = pa.schema([reader.schema.field(name) for name in columns], reader.schema.metadata)
    return pa.RecordBatchReader.from_batches(kept, (batch.select(list(columns)) for batch in reader))


def _check_text(target: str, *given: str | None) -> None:
    """Raises UsageError for text that has no UTF-8, as bytes of a command line may become."""
    try:
        "".join(text or "" for text in given).encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"{shown_target(target)}: a name or condition holds half a character, which is no UTF-8"
        ) from None


def _table_of(target: str, name: str | None) -> Table:
    tables = list(open(target).tables())
    matching = [table for table in tables if name in (None, table.name)]
    if len(matching) != 1:
        there = ", ".join(table.name for table in tables)
        raise UsageError(
            f"{shown_target(target)}: "
            + (f"has no table {name}; it has {there}" if name else f"has the tables {there}; name one")
        )
    return matching[0]


def write_table(
    data: ArrowData, target: str, *, table: str | None, schema: str | None, mode: Mode, password: str | None = None
) -> int:
    """Write all rows of `data` into a table of the database `target`, or none; return their number.

    See `pii_guard.write`.
    """
    stream, relation = _to_write(target, table, schema, mode, password)
    return stream.write(reader_of(data), relation, mode)


def check_table(target: str, *, table: str | None, schema: str | None, mode: Mode) -> None:
    """Raises what `write_table` would, where that can be known before any work is done; and UsageError where, once it
    is written, a scan would not know it by its name alone: tables of other schemas have it too.
    """
    stream, relation = _to_write(target, table, schema, mode)
    there = stream.exists(relation)
    stream.check_mode(relation, there, mode)
    database = database_of(target)
    if relation.schema or database is None or (isinstance(stream, FileStream) and not stream.path.exists()):
        return
    sources = discover_database(target, database, Selection(tables=(relation.table,)), None)
    alike = [found.name for source in sources if isinstance(source, DatabaseSource) for found in source.tables()]
    if len(alike) > there:
        raise UsageError(f"{stream.target}: tables go by that name already ({', '.join(alike)}); say which schema")


def _to_write(
    target: str, table: str | None, schema: str | None, mode: Mode, password: str | None = None
) -> tuple[Stream, Relation]:
    database = database_of(target)
    if database is None:
        raise TargetError(f"{shown_target(target)}: is no URL of a database")
    _check_text(target, table, schema)
    stream = stream_of(target, database, password)
    if mode not in get_args(Mode):
        raise UsageError(f"mode {mode!r} is none of {', '.join(get_args(Mode))}")
    if not stream.writable:
        known = ", ".join(known.id for known in DATABASES)
        raise UsageError(f"{stream.target}: databases of this kind are only read; written are {known}")
    if not table:
        raise UsageError(f"{stream.target}: is a database; say which table")
    return stream, Relation(schema or "", table)


@contextmanager
def new_file(path: Path, target: str) -> Iterator[Path]:
    """The place of a file beside `path` that becomes `path` when the block ends well, on disk; else it is gone.

    For libraries that want a path, where `pii_guard.files.replacing` gives a file. Raises TargetError where `path` has
    no directory, WriteError where it cannot be made.
    """
    if not path.parent.is_dir():
        raise TargetError(f"{target}: its directory does not exist")
    temporary = path.with_name(f".{path.name[:64]}.{secrets.token_hex(8)}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        if path.exists():
            raise TargetError(f"{target}: was made by somebody else meanwhile; nothing was written")
        temporary.rename(path)
        sync_directory(path.parent)
    except OSError as error:
        raise WriteError(f"{target}: {os_reason(error)}; nothing was written") from None
    finally:
        for suffix in ("", "-journal", ".wal"):
            with suppress(OSError):
                Path(f"{temporary}{suffix}").unlink(missing_ok=True)
