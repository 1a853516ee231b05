"""Any other database that SQLAlchemy has a dialect for, such as `oracle+oracledb://` and `mssql+pymssql://`.

Nothing but SELECT is sent, and each transaction is rolled back; that no statement writes is for the account to ensure.
Values are what the driver makes of them, as text; documents, keys and comments are those that the dialect reflects.
Rate: some 100,000 rows of 7 columns a second.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

import pyarrow as pa
import sqlalchemy
from sqlalchemy import exc
from sqlalchemy.pool import NullPool

from pii_guard.connectors.base import Capabilities
from pii_guard.connectors.database import Column, DatabaseSource, DatabaseTable, Relation
from pii_guard.connectors.database_url import DatabaseUrl
from pii_guard.connectors.rows import batches_of_rows
from pii_guard.connectors.selection import Selection
from pii_guard.errors import LostConnectionError, PiiGuardError, ReadError, TargetError, UnreachableError

__all__ = ["ROWS", "SqlalchemySource", "SqlalchemyTable"]

ROWS = 8192
"""Rows that are held before they are asked for."""

_SYSTEM = frozenset(
    "information_schema pg_catalog sys system anonymous appqossys audsys ctxsys dbsfwuser dbsnmp dip dvf dvsys ggsys "
    "gsmadmin_internal gsmcatuser gsmuser lbacsys mddata mdsys ojvmsys olapsys orddata ordplugins ordsys outln "
    "remote_scheduler_agent si_informtn_schema sys$umf sysbackup sysdg syskm sysrac wmsys xdb xs$null".split()
)
"""Schemas that hold a server's own tables, in lower case."""


class SqlalchemyTable(DatabaseTable):
    """One table, view or query."""

    source: SqlalchemySource

    def __init__(self, source: SqlalchemySource, relation: Relation, query: str | None) -> None:
        super().__init__(source, relation)
        self.query = query

    def rows(self) -> Iterator[pa.RecordBatch]:
        with self.source.connected("the query" if self.query else f"table {self.name}") as connection:
            connection = connection.execution_options(stream_results=True, max_row_buffer=ROWS)
            self.columns = () if self.query else _described(connection, self.relation)
            if self.query:
                result = connection.exec_driver_sql(self.query)
            else:
                table = sqlalchemy.table(self.relation.table, schema=self.relation.schema or None)
                result = connection.execute(sqlalchemy.select(sqlalchemy.literal_column("*")).select_from(table))
            with result:  # a cursor that lives on keeps SQLite's lock
                names, documents = list(result.keys()), {column.name for column in self.columns if column.json}
                self.json = frozenset(place for place, name in enumerate(names) if name in documents)
                yield from batches_of_rows(lambda count: _with_text(result.fetchmany(count), self.json), names)


_NOT_REFLECTED = exc.NoSuchTableError, exc.UnreflectableTableError, NotImplementedError
"""What a dialect raises that cannot tell of a table, though it may be read."""


def _described(connection: sqlalchemy.Connection, relation: Relation) -> list[Column]:
    """What the dialect says of columns; nothing where it says nothing."""
    place = relation.table, relation.schema or None
    primary, foreign = set[str](), set[str]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exc.SAWarning)  # of types that it does not know, by the names of columns
        inspector = sqlalchemy.inspect(connection)
        with suppress(*_NOT_REFLECTED):  # a view; a dialect that knows no keys
            primary = set(inspector.get_pk_constraint(*place)["constrained_columns"])
            foreign = {name for key in inspector.get_foreign_keys(*place) for name in key["constrained_columns"]}
        with suppress(*_NOT_REFLECTED):
            return [
                Column(
                    column["name"],
                    column.get("comment") or "",
                    "primary" if column["name"] in primary else "foreign" if column["name"] in foreign else "",
                    json=isinstance(column["type"], sqlalchemy.JSON),
                )
                for column in inspector.get_columns(*place)
            ]
    return []


def _with_text(rows: Sequence[Sequence[Any]], places: Set[int]) -> Sequence[Sequence[Any]]:
    """`rows`, with the text of documents that the driver has parsed."""
    if not places:
        return rows
    return [
        [
            json.dumps(value, ensure_ascii=False, default=str)
            if place in places and not isinstance(value, str | bytes | None)
            else value
            for place, value in enumerate(row)
        ]
        for row in rows
    ]


class SqlalchemySource(DatabaseSource):
    """A database by one of SQLAlchemy's dialects."""

    format = "sqlalchemy"
    capabilities: ClassVar = Capabilities(
        typed=False, nested=False, metadata=False, row_count=False, writable=False, sampling=False
    )

    def __init__(self, url: DatabaseUrl, selection: Selection) -> None:
        super().__init__(url, selection)
        try:
            self.engine = sqlalchemy.create_engine(url.with_driver(), hide_parameters=True, poolclass=NullPool)
        except ImportError as error:
            raise TargetError(f"{self.target}: its driver is not installed; pip install {error.name}") from None
        except (exc.SQLAlchemyError, ValueError, TypeError):
            raise TargetError(f"{self.target}: is no URL that SQLAlchemy understands") from None

    def relations(self) -> list[Relation]:
        found = []
        with self.connected("the list of tables") as connection:
            inspector = sqlalchemy.inspect(connection)
            for schema in sorted(inspector.get_schema_names()):
                if schema.lower() in _SYSTEM:
                    continue
                found += [Relation(schema, table) for table in inspector.get_table_names(schema)]
                found += [Relation(schema, view, elsewhere="a view") for view in inspector.get_view_names(schema)]
        return sorted(found, key=lambda relation: (relation.schema, relation.table))

    def table(self, relation: Relation, query: str | None = None) -> SqlalchemyTable:
        return SqlalchemyTable(self, relation, query)

    @contextmanager
    def connected(self, what: str) -> Iterator[sqlalchemy.Connection]:
        """A connection that is rolled back. Turns errors into errors without the driver's message."""
        try:
            connection = self.engine.connect()
        except Exception as error:  # noqa: BLE001 - whatever the driver raises may quote the URL
            raise UnreachableError(self.target, f"the connection was refused ({type(error).__name__})") from None
        try:
            with connection:
                yield connection
        except PiiGuardError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the driver raises may quote values
            if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
                raise LostConnectionError(self.target, f"{what}: the connection was lost") from None
            raise ReadError(self.target, f"{what}: the database refuses it ({type(error).__name__})") from None
