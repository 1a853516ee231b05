"""What the connectors of databases share: a source is a database, its tables are those that a user chose.

Tables are listed once; each is read on a connection of its own, so that one that breaks, or a connection that is lost,
costs no other. Nothing is ever written.
"""

from __future__ import annotations

import re
import zlib
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import pyarrow as pa

from pii_guard.connectors.base import Described, OutOfScope, Source, Table, reading
from pii_guard.connectors.contents import EXCLUDED, Found
from pii_guard.connectors.database_url import Database, DatabaseUrl
from pii_guard.connectors.json_columns import unfolded
from pii_guard.connectors.prefetch import ahead
from pii_guard.connectors.sampling import Sample
from pii_guard.connectors.selection import Selection
from pii_guard.errors import ReadError, UnreachableError, UsageError
from pii_guard.model import path_text
from pii_guard.reports import NotExamined

__all__ = ["Column", "DatabaseSource", "DatabaseTable", "Relation", "discover_database", "quoted"]

_MOST_NAMES = 20

_READS = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*(?:SELECT|WITH|VALUES|TABLE)\b", re.IGNORECASE | re.DOTALL)
_NOT_SQL = re.compile(r"--[^\n]*|/\*(?!M?!).*?\*/|'(?:[^'\\]|\\.)*'|\"[^\"]*\"|`[^`]*`", re.DOTALL)
"""Comments, but for those that MySQL runs, texts and quoted names."""
_WRITES = re.compile(r"\bINTO\b", re.IGNORECASE)
"""A SELECT that has it makes a table, or a file on the server, which MySQL does in transactions that cannot write."""


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
    withheld: str = ""
    """What of it this account does not see, though it may read it."""
    rows: int = 0
    """By the server's estimate, where the list of tables has it."""
    kind: str = ""
    """What the server calls it, where the connector has to know."""
    id: int = 0
    """Likewise."""

    @property
    def name(self) -> str:
        return path_text((self.schema, self.table) if self.schema else (self.table,))

    @property
    def names(self) -> tuple[str, ...]:
        """All names that a user may call it by."""
        return (self.table, f"{self.schema}.{self.table}", self.name) if self.schema else (self.table, self.name)


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the database describes it."""

    name: str
    comment: str = ""
    key: str = ""
    """As in `Described`."""
    readable: bool = True
    json: bool = False


class DatabaseTable(Table):
    """The rows of one table, view or query."""

    share: float = 1.0
    """The share of the rows that is drawn."""
    columns: Sequence[Column] = ()
    """What is known of the columns of a table."""
    json: frozenset[int] = frozenset()
    """The places of the columns whose text is JSON."""
    withheld: str = ""
    """What this account may not see of it."""
    reads_ahead: bool = False
    """Whether the driver reads while Python does something else, so that a thread of its own pays."""
    cancel: Callable[[], object] | None = None
    """Ends what the database is at, from any thread; set by `rows`."""

    def __init__(self, source: DatabaseSource, relation: Relation) -> None:
        self.source = source
        self.relation = relation
        self.target = source.target
        self.name = relation.name
        self.size = relation.size

    def batches(self) -> Iterator[pa.RecordBatch]:
        batches = ahead(self._read(), self._cancel) if self.reads_ahead else self._read()
        for batch in batches:
            yield from unfolded(batch, self.json)

    def _cancel(self) -> None:
        if self.cancel is not None:
            self.cancel()

    def _read(self) -> Generator[pa.RecordBatch]:
        self.bytes_read = self.unread = seen = 0
        self.share, self.estimated = 1.0, None
        self.columns, self.json, self.withheld = [], frozenset(), self.relation.withheld
        if self.source.gone is not None:
            raise ReadError(self.target, f"table {self.name}: {self.source.gone}")
        try:
            for batch in self.rows():
                if not self.described:
                    self.described = {column.name: Described(column.comment, column.key) for column in self.columns}
                yield batch
                self.bytes_read = min(self.bytes_read + batch.nbytes, self.size or self.bytes_read + batch.nbytes)
                seen += batch.num_rows
                if self.share < 1:
                    self.estimated = round(seen / self.share)
                    self.unread = round((self.size or self.bytes_read / self.share) * (1 - self.share))
        except UnreachableError as error:
            self.source.gone = error.reason
            raise ReadError(self.target, f"table {self.name}: {error.reason}") from None
        self.bytes_read = self.size or self.bytes_read
        if self.withheld:
            raise ReadError(self.target, f"table {self.name}: {self.withheld}")

    @abstractmethod
    def rows(self) -> Iterator[pa.RecordBatch]:
        """All rows in bounded batches, at least one if the table has columns, whose JSON is text.

        Sets `share` where a sample is drawn, `columns`, `json` and `withheld`.
        """

    def selected(self, mark: str = '"') -> str:
        """The columns to read as SQL has them: all, or those that this account may read."""
        denied = [column.name for column in self.columns if not column.readable]
        if not denied or len(denied) == len(self.columns):
            return "*"
        more = f" and {len(denied) - _MOST_NAMES} more" if len(denied) > _MOST_NAMES else ""
        self.withheld = f"permission denied for its columns {', '.join(denied[:_MOST_NAMES])}{more}"
        return ", ".join(quoted(column.name, mark) for column in self.columns if column.readable)

    @property
    def sample(self) -> Sample | None:
        """What of it is to be read: a part of a table, all of what holds nothing of its own."""
        if self.relation.elsewhere or self.source.selection.query is not None:
            return None
        return self.reading.sample or self.reading.of_tables

    @property
    def seed(self) -> int:
        """What samples are drawn by, so that they are the same in each run."""
        return zlib.crc32(self.name.encode())

    def reader(self) -> pa.RecordBatchReader:
        """Columns as `rows` has them; text that is not in the encoding of the database raises ReadError."""
        batches = self._read()
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
    home = ""
    """The schema of tables that are listed without one."""
    gone: str | None = None
    """Why the database could be reached no more, once it was so: it is not tried again for each table that is left."""

    def __init__(self, url: DatabaseUrl, selection: Selection) -> None:
        """Raises TargetError where the URL alone shows that there is no such database, UsageError for a query that is
        no SELECT: what cannot write in a transaction that cannot write is for servers to say, and some say it late."""
        if selection.query is not None:
            if not _READS.match(selection.query):
                raise UsageError("--query: only a SELECT is read")
            if _WRITES.search(_NOT_SQL.sub(" ", selection.query)):
                raise UsageError("--query: SELECT ... INTO writes; only a SELECT without INTO is read")
        self.url = url
        self.selection = selection
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
    def chosen(self) -> tuple[list[Relation], list[OutOfScope | NotExamined]]:
        """The tables to read; what else the user did not deselect and why it is left out, or is not there."""
        if self.selection.query is not None:
            return [Relation("", "query")], []
        taken, others = list[Relation](), list[OutOfScope | NotExamined]()
        missing = dict.fromkeys(self.selection.tables)
        for relation in self.relations():
            if not self.selection.takes(relation.schema or self.home, relation.names):
                continue
            named = self.selection.names(relation.names)
            for name in relation.names:
                missing.pop(name, None)
            if self.selection.excludes(relation.names):
                others.append(OutOfScope(self.target, EXCLUDED))
            elif relation.elsewhere and not (self.selection.views or named):
                others.append(OutOfScope(self.target, relation.elsewhere))
            else:
                taken.append(relation)
        others += [NotExamined(self.target, f"there is no table {name} that this account may see") for name in missing]
        if not taken and not others and (self.selection.schemas or self.selection.included):
            raise ReadError(self.target, "no table that this account may see matches --schema and --include-table")
        return taken, others

    def tables(self) -> Iterator[Table]:
        for relation in self.chosen[0]:
            yield self.table(relation, self.selection.query)


def discover_database(target: str, kind: Database, selection: Selection, password: str | None) -> Iterator[Found]:
    """The database that the URL `target` names, and what of it is left out.

    Raises TargetError for a URL that is none, that names no database, or whose library is not installed; a server that
    cannot be reached is not examined.
    """
    return _found(kind.load()(DatabaseUrl(target, kind.id, password), selection))


def _found(source: DatabaseSource) -> Iterator[Found]:
    try:
        _, others = source.chosen
    except ReadError as error:
        yield NotExamined(source.target, error.reason)
        return
    yield from others
    yield source
