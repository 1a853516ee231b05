"""DuckDB files, opened read-only and with nothing in reach but themselves: rows stream as Arrow.

Columns keep their types, but for those that Arrow has not: they are cast to text. Rate: some 1,600,000 rows of 7
columns a second (benchmarks/database.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import ClassVar

import duckdb
import pyarrow as pa

from pii_guard.connectors.base import Capabilities, bounded, empty_batch, os_reason
from pii_guard.connectors.database import Column, DatabaseSource, DatabaseTable, Relation, quoted
from pii_guard.connectors.database_url import DatabaseUrl
from pii_guard.connectors.selection import Selection
from pii_guard.errors import ReadError

__all__ = ["CONFIG", "ROWS", "DuckdbDatabase", "DuckdbTable"]

ROWS = 8192
"""Rows of a batch as DuckDB makes it: values may be large."""

_FEWEST_ROWS = 10_000
"""Smaller tables are read whole."""

CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,  # a view in a file from elsewhere reads no other file
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "threads": 1,  # samples are the same in each run; the scan is what takes the time
}

_TABLES = """
    SELECT schema_name, table_name, estimated_size, false FROM duckdb_tables()
    WHERE database_name = current_database() AND NOT internal
    UNION ALL SELECT schema_name, view_name, 0, true FROM duckdb_views()
    WHERE database_name = current_database() AND NOT internal ORDER BY 1, 2
"""

_COLUMNS = """
    SELECT column_name, comment, data_type = 'JSON' FROM duckdb_columns()
    WHERE database_name = current_database() AND schema_name = ? AND table_name = ? ORDER BY column_index
"""
_KEYS = """
    SELECT constraint_type, constraint_column_names FROM duckdb_constraints()
    WHERE database_name = current_database() AND schema_name = ? AND table_name = ?
    AND constraint_type IN ('PRIMARY KEY', 'FOREIGN KEY') ORDER BY 1
"""

_SAID = {
    duckdb.BinderException: "there is no such column, or types do not go together",
    duckdb.ParserException: "a mistake in the SQL",
    duckdb.ConversionException: "a value that cannot be cast",
}

_NOT_OF_ARROW = ("JSON", "BIGNUM", "VARINT", "BIT", "INTERVAL", "TIME WITH TIME ZONE", "UHUGEINT")


class DuckdbTable(DatabaseTable):
    """One table, view or query."""

    source: DuckdbDatabase
    drawn, drawn_by_row = "rows, by TABLESAMPLE bernoulli", True
    reads_ahead = True

    def __init__(self, source: DuckdbDatabase, relation: Relation, query: str | None) -> None:
        super().__init__(source, relation)
        self.query = query

    def rows(self) -> Iterator[pa.RecordBatch]:
        with self.source.connected("the query" if self.query else f"table {self.name}") as connection:
            self.cancel = connection.interrupt
            sql = self.query.rstrip().rstrip(";") if self.query else self._select()
            self.columns = () if self.query else self._described(connection)
            described = connection.sql(sql)  # nothing runs yet
            names = described.columns
            self.json = frozenset(place for place, kind in enumerate(described.types) if str(kind) == "JSON")
            numbers = [quoted(str(number)) for number in range(len(names))]
            casts = [
                f"{number}::VARCHAR" if str(kind) in _NOT_OF_ARROW else number
                for number, kind in zip(numbers, described.types, strict=True)
            ]
            sql = f"SELECT {', '.join(casts)} FROM (\n{sql}\n) AS q ({', '.join(numbers)})"  # noqa: S608 - quoted
            reader = connection.sql(sql).to_arrow_reader(ROWS)
            seen = False
            for batch in reader:
                for part in bounded(pa.RecordBatch.from_arrays(batch.columns, names=names)):
                    yield part
                    seen = True
            if not seen:
                kinds = [field.type for field in reader.schema]
                yield empty_batch(pa.schema(list(zip(names, kinds, strict=True))))

    def _described(self, connection: duckdb.DuckDBPyConnection) -> list[Column]:
        place = [self.relation.schema, self.relation.table]
        keys = {
            name: kind.partition(" ")[0].lower()
            for kind, names in connection.execute(_KEYS, place).fetchall()
            for name in names
        }
        columns = connection.execute(_COLUMNS, place).fetchall()
        return [Column(name, comment or "", keys.get(name, ""), json=json) for name, comment, json in columns]

    def _select(self) -> str:
        sql = f"SELECT * FROM {quoted(self.relation.schema)}.{quoted(self.relation.table)}"  # noqa: S608 - quoted
        if self.sample is not None and self.relation.rows >= _FEWEST_ROWS:
            self.share = self.sample.share_of(self.relation.rows)
        return sql if self.share == 1 else f"{sql} TABLESAMPLE bernoulli({100 * self.share}%) REPEATABLE ({self.seed})"


class DuckdbDatabase(DatabaseSource):
    """A DuckDB file: `duckdb:///relative/path`, `duckdb:////absolute/path`."""

    format = "duckdb"
    capabilities: ClassVar = Capabilities(
        typed=True, nested=True, metadata=False, row_count=False, writable=True, sampling=True, valid_text=True
    )

    def __init__(self, url: DatabaseUrl, selection: Selection) -> None:
        super().__init__(url, selection)
        self.path = url.file()
        self.identity = str(self.path.resolve())

    def relations(self) -> list[Relation]:
        with self.connected("the list of tables") as connection:
            rows = connection.execute(_TABLES).fetchall()
        return [
            Relation(schema, table, elsewhere="a view" if view else None, rows=count)
            for schema, table, count, view in rows
        ]

    def table(self, relation: Relation, query: str | None = None) -> DuckdbTable:
        return DuckdbTable(self, relation, query)

    @contextmanager
    def connected(self, what: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that cannot write. Turns errors into errors without DuckDB's message, which quotes values."""
        try:
            with self.path.open("rb"):
                pass  # says why it cannot be opened, as DuckDB does not
            connection = duckdb.connect(self.path, read_only=True, config=CONFIG)
        except OSError as error:
            raise ReadError(self.target, os_reason(error)) from None
        except duckdb.Error:
            reason = "no DuckDB database of a version that this DuckDB reads, or open for writing in another program"
            raise ReadError(self.target, reason) from None
        with closing(connection):
            try:
                yield connection
            except duckdb.CatalogException:
                raise ReadError(self.target, f"{what}: there is no such table or function, or no more") from None
            except tuple(_SAID) as error:
                raise ReadError(self.target, f"{what}: {_SAID[type(error)]}") from None
            except (duckdb.Error, pa.ArrowException, OSError) as error:
                raise ReadError(self.target, f"{what}: DuckDB refuses it ({type(error).__name__})") from None
