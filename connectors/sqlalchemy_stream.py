"""Any other database that SQLAlchemy has a dialect for, for pipelines: read by the types of its reflection alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy
from sqlalchemy import exc, types

from pii_guard.connectors.base import empty_batch
from pii_guard.connectors.database import Relation
from pii_guard.connectors.database_url import DatabaseUrl
from pii_guard.connectors.rows import batches_made, integers
from pii_guard.connectors.selection import Selection
from pii_guard.connectors.sqlalchemy import ROWS, SqlalchemySource
from pii_guard.connectors.streams import Stream
from pii_guard.errors import ReadError, TargetError

__all__ = ["SqlalchemyStream"]

_TYPES: tuple[tuple[type[Any], pa.DataType], ...] = (
    (types.Boolean, pa.bool_()),
    (types.Integer, pa.int64()),
    (types.Float, pa.float64()),
    (types.Date, pa.date32()),
    (types.Time, pa.time64("us")),
    (types._Binary, pa.binary()),
)
"""The first that fits. Numbers with digits and times with zones: `_kind`. All others give text."""


class SqlalchemyStream(Stream):
    """A database by one of SQLAlchemy's dialects."""

    writable = False

    def __init__(self, url: DatabaseUrl) -> None:
        super().__init__(url)
        self._source = SqlalchemySource(url, Selection())

    def exists(self, relation: Relation) -> bool:
        with self._source.connected("the list of tables") as connection:
            inspector, place = sqlalchemy.inspect(connection), relation.schema or None
            return relation.table in [*inspector.get_table_names(place), *inspector.get_view_names(place)]

    def rows(self, relation: Relation, columns: Sequence[str] | None, where: str | None) -> Iterator[pa.RecordBatch]:
        what = f"table {relation.name}"
        with self._source.connected(what) as connection:
            try:
                reflected = sqlalchemy.inspect(connection).get_columns(relation.table, relation.schema or None)
            except exc.NoSuchTableError:
                raise TargetError(f"{self.named(relation)}: there is no such table") from None
            known = {column["name"]: _kind(column["type"]) for column in reflected}
            schema = pa.schema([(name, known[name]) for name in self.chosen(relation, list(known), columns)])
            table = sqlalchemy.table(
                relation.table,
                *(sqlalchemy.column(column["name"], column["type"]) for column in reflected),
                schema=relation.schema or None,
            )
            query = sqlalchemy.select(*(table.c[name] for name in schema.names))
            if where is not None:
                query = query.where(sqlalchemy.text("(" + where.replace(":", "\\:") + "\n)"))  # a colon is no parameter
            connection = connection.execution_options(stream_results=True, max_row_buffer=ROWS)
            fetch = connection.execute(query).fetchmany
            yield empty_batch(schema)
            yield from batches_made(fetch, lambda rows: self._batch(rows, schema, what))

    def _batch(self, rows: Sequence[Any], schema: pa.Schema, what: str) -> pa.RecordBatch:
        arrays = []
        for values, field in zip(rows, schema, strict=True):
            try:
                if field.type == pa.int64():
                    arrays.append(integers(values))
                else:
                    texts = field.type == pa.string()
                    arrays.append(pa.array([_text(value) for value in values] if texts else values, field.type))
            except (pa.ArrowException, TypeError, ValueError, OverflowError):
                raise ReadError(
                    self.target, f"{what}: column {field.name} holds a value that is no {field.type}"
                ) from None
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _kind(kind: types.TypeEngine[Any]) -> pa.DataType:
    if isinstance(kind, types.Numeric) and not isinstance(kind, types.Float):
        digits, scale = kind.precision or 0, kind.scale or 0
        if 0 < digits <= 76 and 0 <= scale <= digits:
            return (pa.decimal128 if digits <= 38 else pa.decimal256)(digits, scale)
        return pa.string()
    if isinstance(kind, types.DateTime):
        return pa.timestamp("us", "UTC" if kind.timezone else None)
    return next((given for known, given in _TYPES if isinstance(kind, known)), pa.string())


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)
