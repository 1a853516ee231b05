"""One table of one database, and the statements that a run needs of it; what differs stands in one file a database.

Rows are named by their numbers in a page, a temporary table that holds the keys of the rows at hand: no key of a row
leaves the server, and no value that is to be encrypted stands in the text of a statement. The position is a table of
one row with the columns of the key, so that it compares as the key does, whatever the types are.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from pii_guard.connectors.database import Relation, quoted
from pii_guard.connectors.failures import Failure
from pii_guard.errors import ConflictError, LostConnectionError, WriteError
from pii_guard.inplace.journal import Journal

__all__ = ["NUMBER", "SHORTEST", "Counts", "Dialect", "Survey", "Which"]

SHORTEST = 64
"""Characters of the shortest token (docs/FORMAT.md): what a constraint can ask for without a key."""

_TOO_LONG = "a column is too narrow for the tokens of longer values that were written meanwhile; widen it"

NUMBER = "pii_guard_n"
"""The column of a page that numbers its rows."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What stands in the table."""

    rows: int
    values: Mapping[str, int]
    """Column -> values that are not null."""
    longest: Mapping[str, int]
    """Column -> bytes of UTF-8 of its longest value, tokens of its own left out."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What stands in the way of a run, each with what to do about it, and what its user should know of."""

    refusals: Sequence[str]
    notes: Sequence[str] = ()
    widths: Mapping[str, int] = field(default_factory=dict)
    """Column -> characters that it holds, where there is a limit."""


@dataclass(frozen=True, slots=True)
class Which:
    """The rows of a pass: those of which some column does (or does not) begin with the start of its tokens."""

    starts: Mapping[str, str]
    encrypted: bool


class Dialect(ABC):
    """A connection that writes, for one table. Raises ConflictError where a lock was not to be had or had to be given
    up, WriteError for all else that a database says no to; the transaction is then to be given up by `abandon`."""

    mark: ClassVar[str] = '"'
    locking: ClassVar[str] = " FOR UPDATE"
    octets: ClassVar[str]
    """The length of a text in bytes of UTF-8."""
    number: ClassVar[str]
    """The type of a column that numbers the rows of a page."""
    engine: ClassVar[str] = ""
    """What stands behind the name of a table that is made, so that it has transactions."""
    errors: ClassVar[tuple[type[Exception], ...]]
    """What statements raise."""
    too_long: ClassVar[int | str] = ""
    """The code of the error of a value that is too long for its column."""
    page: str
    """The name of the temporary table of the rows at hand."""

    def __init__(self, target: str, relation: Relation, columns: Sequence[str], schema: str = "") -> None:
        self.target = target
        self.relation = relation
        self.schema = relation.schema or schema
        self.columns = tuple(columns)
        self.key: tuple[str, ...] = ()
        """What tells rows apart; empty where nothing does."""
        self.id = hashlib.sha256(f"{self.schema}.{relation.table}".encode()).hexdigest()[:12]
        self.name = self.beside(relation.table)
        self.own = (f"pii_guard_in_place_{self.id}", f"pii_guard_in_place_{self.id}_at")
        """The tables that a run makes beside the one at hand."""
        self.journal, self.position = map(self.beside, self.own)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.target!r}, {self.relation.name!r})"

    @classmethod
    @abstractmethod
    def connected(cls, source: Any, relation: Relation, columns: Sequence[str]) -> AbstractContextManager[Dialect]:
        """A connection of its own for `relation`; `source` is of the connector of the database."""

    # --- what each database says in its own way -------------------------------------------------------------------

    @abstractmethod
    def failure(self, error: Exception) -> Failure:
        """What one of `errors` says."""

    @abstractmethod
    def execute(self, sql: str) -> list[Any]:
        """Run one statement; its rows, if it has any."""

    @abstractmethod
    def fetch(self, sql: str) -> pa.Table:
        """The rows of a page: NUMBER, int64, and the columns as string."""

    @abstractmethod
    def stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        """Rows of any number, all columns as string."""

    @abstractmethod
    def write(self, rows: pa.Table) -> None:
        """Put the values of `rows` into the rows that the page numbers so."""

    @abstractmethod
    def lock(self) -> bool:
        """Keep other runs from this table as long as the connection stands; False where another one does."""

    @abstractmethod
    def column_names(self) -> Sequence[str]:
        """All columns of the table."""

    @abstractmethod
    def survey(self) -> Survey:
        """What stands in the way, by the catalog alone."""

    @abstractmethod
    def begin(self) -> None:
        """Start a transaction, where the driver does not do so by itself."""

    @abstractmethod
    def commit(self) -> None: ...

    @abstractmethod
    def abandon(self) -> None:
        """Roll back, on a connection that may be lost."""

    @abstractmethod
    def exclusive(self) -> AbstractContextManager[None]:
        """Keep everybody else from writing to the table, from a transaction's begin on until it is committed."""

    @abstractmethod
    def constrained(self) -> Sequence[str]:
        """The columns that take nothing but tokens already."""

    @abstractmethod
    def constrain(self, column: str) -> None:
        """Let a column take nothing but what has the form of a token."""

    @abstractmethod
    def release(self, column: str) -> None:
        """Let a column take any text again."""

    @abstractmethod
    def widened(self, column: str, characters: int) -> str:
        """The statement that makes a column hold so many characters."""

    @abstractmethod
    def residue(self) -> Sequence[str]:
        """Where plain values may survive, each with the command that removes them, if there is one."""

    @abstractmethod
    def begins(self, column: str) -> str:
        """The first 12 characters of a column, to be compared byte by byte."""

    @abstractmethod
    def has_table(self, name: str) -> bool:
        """Whether a table of this name stands beside the one at hand."""

    @abstractmethod
    def validate(self) -> None:
        """Have the server check the constraints over all rows, where it has not done so."""

    @abstractmethod
    def keep_out_of_logs(self) -> None:
        """Have no log of statements hold the values that this connection writes. Raises UsageError where it cannot be
        kept from it."""

    def clear_page(self) -> None:
        """Empty the temporary tables, before the rows of the next page are locked; it may commit."""
        self.execute(f"DELETE FROM {self.page}")

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Turn errors of the driver into errors without its message, which quotes values and statements."""
        try:
            yield
        except self.errors as error:
            failed = self.failure(error)
            if failed.lost:
                raise LostConnectionError(self.target, f"table {self.relation.name}: {failed.reason}") from None
            if failed.conflict:
                raise ConflictError(f"{self.target}: {self.relation.name}: {failed.reason}") from None
            said = _TOO_LONG if failed.code == self.too_long else failed.reason
            raise WriteError(f"{self.target}: table {self.relation.name}: {said}") from None

    # --- what all of them say ------------------------------------------------------------------------------------

    def quoted(self, name: str) -> str:
        return quoted(name, self.mark)

    def literal(self, text: str) -> str:
        """A text of ours, or a name; never a value of the table."""
        return "'" + text.replace("'", "''") + "'"

    def beside(self, name: str) -> str:
        """A name in the schema of the table."""
        return f"{self.quoted(self.schema)}.{self.quoted(name)}" if self.schema else self.quoted(name)

    def guard_name(self, column: str) -> str:
        """The name of what refuses plain values in a column; an error of the database shows it."""
        mark = hashlib.sha256(f"{self.relation.name}.{column}".encode()).hexdigest()[:8]
        return f"pii_guard_token_{column.encode()[:28].decode(errors='ignore')}_{mark}"

    def _names(self, table: str = "", direction: str = "") -> str:
        return ", ".join(f"{table}{self.quoted(name)}{direction}" for name in self.key)

    def _values(self) -> str:
        return ", ".join(f"{self.name}.{self.quoted(column)}" for column in self.columns)

    def same_row(self) -> str:
        """Joins the table and the page."""
        return " AND ".join(f"{self.name}.{self.quoted(key)} = {self.page}.{self.quoted(key)}" for key in self.key)

    def after(self) -> str:
        """The rows behind the position."""
        return f"({self._names()}) > (SELECT {self._names()} FROM {self.position})"

    def counts(self, starts: Mapping[str, Sequence[str]]) -> Counts:
        """One pass of the server over the table. `starts`: how tokens begin that a column may hold already."""
        parts = ["count(*)"]
        for column in self.columns:
            name = self.quoted(column)
            mine = [f"{self.begins(column)} = {self.literal(start)}" for start in starts.get(column, ())]
            size = self.octets.format(name)
            plain = f"CASE WHEN {' OR '.join(mine)} THEN 0 ELSE {size} END" if mine else size
            parts += [f"count({name})", f"coalesce(max({plain}), 0)"]
        ((rows, *found),) = self.execute(f"SELECT {', '.join(parts)} FROM {self.name}")
        numbers = [int(number) for number in found]
        return Counts(
            int(rows),
            dict(zip(self.columns, numbers[::2], strict=True)),
            dict(zip(self.columns, numbers[1::2], strict=True)),
        )

    def sample(self, rows: int) -> pa.RecordBatchReader:
        """Some rows, for a scan."""
        schema = pa.schema([(column, pa.string()) for column in self.columns])
        sql = f"SELECT {self._values()} FROM {self.name} LIMIT {rows}"
        return pa.RecordBatchReader.from_batches(schema, self.stream(sql))

    def everything(self) -> Iterator[pa.RecordBatch]:
        """All values, as they were committed."""
        return self.stream(f"SELECT {self._values()} FROM {self.name}")

    def prepare(self) -> None:
        """Make the tables of the journal and the position, as they are missing."""
        journal, position = self.own
        if not self.has_table(journal):
            self.execute(f"CREATE TABLE {self.journal} (name text, state text){self.engine}")
        if not self.has_table(position):
            self.execute(f"CREATE TABLE {self.position}{self.engine} AS {self.no_keys()}")

    def prepare_page(self) -> None:
        """Make the temporary tables of this connection."""
        self.execute(f"CREATE TEMPORARY TABLE {self.page} AS {self.no_keys()}")
        self.execute(f"ALTER TABLE {self.page} ADD COLUMN {NUMBER} {self.number}")

    def no_keys(self) -> str:
        names = ", ".join(f"{name} AS {name}" for name in map(self.quoted, self.key))
        return f"SELECT {names} FROM {self.name} WHERE 1 = 0"

    def read_journal(self) -> Journal | None:
        """The journal of an earlier run that is not over."""
        if not self.has_table(self.own[0]):
            return None
        rows = self.execute(f"SELECT state FROM {self.journal}")
        return Journal.from_text(rows[0][0], self.target) if rows else None

    def write_journal(self, journal: Journal) -> None:
        self.execute(f"DELETE FROM {self.journal}")
        values = f"{self.literal(self.relation.name)}, {self.literal(journal.to_text())}"
        self.execute(f"INSERT INTO {self.journal} (name, state) VALUES ({values})")

    def forget(self) -> None:
        """Remove the journal: the run is over."""
        for table in (self.position, self.journal):
            self.execute(f"DROP TABLE IF EXISTS {table}")

    def rewind(self) -> None:
        """Let the next page begin with the first row."""
        self.execute(f"DELETE FROM {self.position}")

    def take(self, size: int, which: Which | None) -> None:
        """Lock the rows behind the position, in the order of their keys, and number them in the page."""
        placed = self.execute(f"SELECT 1 FROM {self.position} LIMIT 1")
        conditions = [self.after()] if placed else []
        if which is not None:
            sign = "=" if which.encrypted else "<>"
            tests = [f"{self.begins(column)} {sign} {self.literal(text)}" for column, text in which.starts.items()]
            conditions.append(f"({' OR '.join(tests)})")
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        self.clear_page()
        self.execute(
            f"INSERT INTO {self.page} ({self._names()}) SELECT {self._names()} FROM {self.name}{where} "
            f"ORDER BY {self._names()} LIMIT {size}{self.locking}"
        )

    def read(self) -> pa.Table:
        """The values of the page."""
        return self.fetch(
            f"SELECT {self.page}.{NUMBER}, {self._values()} FROM {self.page} JOIN {self.name} ON {self.same_row()} "
            f"ORDER BY {self.page}.{NUMBER}"
        )

    def advance(self) -> None:
        """Put the position behind the page."""
        self.rewind()
        self.execute(
            f"INSERT INTO {self.position} SELECT {self._names()} FROM {self.page} "
            f"ORDER BY {self._names(direction=' DESC')} LIMIT 1"
        )
