"""What the connectors of databases share: a source is a database, its tables are those that a user chose.

Tables are listed once; each is read on a connection of its own, so that one that breaks, or a connection that is lost,
costs no other. Nothing is ever written.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import pyarrow as pa

from pii_guard.connectors.base import OutOfScope, Source, Table, reading
from pii_guard.connectors.contents import EXCLUDED, Found, excluded
from pii_guard.connectors.database_url import Database, DatabaseUrl
from pii_guard.connectors.selection import Selection
from pii_guard.errors import ReadError, UnreachableError, UsageError
from pii_guard.model import NotExamined, path_text

__all__ = ["DatabaseSource", "DatabaseTable", "Relation", "discover_database", "quoted"]

_READS = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*(?:SELECT|WITH|VALUES|TABLE)\b", re.IGNORECASE | re.DOTALL)


def quoted(name: str, mark: str = '"') -> str:
    """A name as SQL has it, whatever is in it. MySQL has another `mark`.

    >>> quoted("a`b", "`")
    '`a``b`'
    """
    return mark + name.replace(mark, 2 * mark) + mark


@dataclass(frozen=True, slots=True)
class Relation:
    """A table as the database lists it."""

    schema: str
    """Empty where the database has no schemas, or where the URL names the one at hand."""
    table: str
    size: int | None = None
    """Bytes, by the server's estimate."""
    elsewhere: str | None = None
    """What it is if it holds nothing of its own: `a view`."""
    withheld: str | None = None
    """What of it this account does not see, though it may read it."""
    blocks: int = 0
    """Parts that a sample can be drawn from; 0 where none can."""
    kind: str = ""
    """What the server calls it, where the connector has to know."""

    @property
    def name(self) -> str:
        return path_text((self.schema, self.table) if self.schema else (self.table,))


class DatabaseTable(Table):
    """The rows of one table, view or query."""

    def __init__(self, source: DatabaseSource, relation: Relation) -> None:
        self.source = source
        self.relation = relation
        self.target = source.target
        self.name = relation.name
        self.size = relation.size

    def batches(self) -> Iterator[pa.RecordBatch]:
        self.bytes_read = self.unread = 0
        if self.source.gone is not None:
            raise ReadError(self.target, f"table {self.name}: {self.source.gone}")
        try:
            for batch in self.rows():
                yield batch
                self.bytes_read = min(self.bytes_read + batch.nbytes, self.size or self.bytes_read + batch.nbytes)
        except UnreachableError as error:
            self.source.gone = error.reason
            raise ReadError(self.target, f"table {self.name}: {error.reason}") from None
        self.bytes_read = self.size or self.bytes_read
        if self.relation.withheld:
            raise ReadError(self.target, f"table {self.name}: {self.relation.withheld}")

    @abstractmethod
    def rows(self) -> Iterator[pa.RecordBatch]:
        """All rows in bounded batches, at least one if the table has columns. Sets `unread` where `sample` says so."""

    def reader(self) -> pa.RecordBatchReader:
        """Columns as `batches` has them; text that is not in the encoding of the database raises ReadError."""
        batches = self.batches()
        first = next(batches, None)
        if first is None:
            return pa.RecordBatchReader.from_batches(pa.schema([]), [])
        return pa.RecordBatchReader.from_batches(first.schema, self._alike(chain([first], batches), first.schema))

    def _alike(self, batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        with reading(self.target):
            for batch in batches:
                yield batch.cast(schema)


class DatabaseSource(Source):
    """A database. A subclass says how its tables are listed and how one is read."""

    lasting = True
    gone: str | None = None
    """Why the database could be reached no more, once it was so: it is not tried again for each table that is left."""

    def __init__(self, url: DatabaseUrl, selection: Selection, exclude: Sequence[str] = ()) -> None:
        """Raises TargetError where the URL alone shows that there is no such database, UsageError for a query that is
        no SELECT: what cannot write in a transaction that cannot write is for servers to say, and some say it late."""
        if selection.query is not None and not _READS.match(selection.query):
            raise UsageError("--query: only a SELECT is read")
        self.url = url
        self.selection = selection
        self.exclude = exclude
        self.target = self.identity = url.shown

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.target!r})"

    @abstractmethod
    def relations(self) -> list[Relation]:
        """All tables and views, in the order of their names. Raises ReadError where the database cannot be reached."""

    @abstractmethod
    def table(self, relation: Relation, query: str | None = None) -> DatabaseTable:
        """The table `relation`, or the rows of `query` under its name."""

    @cached_property
    def chosen(self) -> tuple[list[Relation], list[str]]:
        """The tables to read, and why each of the others that the user did not deselect is left out."""
        if self.selection.query is not None:
            return [Relation("", "query")], []
        taken, reasons = [], []
        for relation in self.relations():
            name = f"{relation.schema}.{relation.table}" if relation.schema else relation.table
            if not self.selection.takes(relation.schema, relation.table):
                continue
            if excluded(name, self.exclude) or excluded(relation.table, self.exclude):
                reasons.append(EXCLUDED)
            elif relation.elsewhere and not self.selection.views:
                reasons.append(relation.elsewhere)
            else:
                taken.append(relation)
        if not taken and not reasons and (self.selection.schemas or self.selection.tables):
            raise ReadError(self.target, "no table that this account may see matches --schema and --table")
        return taken, reasons

    def tables(self) -> Iterator[Table]:
        for relation in self.chosen[0]:
            yield self.table(relation, self.selection.query)


def discover_database(target: str, kind: Database, exclude: Sequence[str], selection: Selection) -> Iterator[Found]:
    """The database that the URL `target` names, and what of it is left out.

    Raises TargetError for a URL that is none, that names no database, or whose library is not installed; a server that
    cannot be reached is not examined.
    """
    return _found(kind.load()(DatabaseUrl(target, kind.id), selection, exclude))


def _found(source: DatabaseSource) -> Iterator[Found]:
    try:
        _, left_out = source.chosen
    except ReadError as error:
        yield NotExamined(source.target, error.reason)
        return
    for reason in left_out:
        yield OutOfScope(source.target, reason)
    yield source
