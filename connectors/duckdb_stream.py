"""DuckDB files for pipelines: Arrow streams in both directions.

Types that Arrow has not come as text, as in scans. DuckDB reads what it is to write by itself, within one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.connectors.base import bounded, empty_batch
from pii_guard.connectors.database import Relation, quoted
from pii_guard.connectors.database_url import Mode
from pii_guard.connectors.duckdb import CONFIG, ROWS, DuckdbDatabase
from pii_guard.connectors.fitting import JSON, UUID, Fit, Rows, TypedColumn, new_columns
from pii_guard.connectors.selection import Selection
from pii_guard.connectors.streams import FileStream
from pii_guard.errors import ReadError, TargetError, WriteError

__all__ = ["DuckdbStream"]

_DECLARED = {
    pa.bool_(): "BOOLEAN",
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.uint8(): "UTINYINT",
    pa.uint16(): "USMALLINT",
    pa.uint32(): "UINTEGER",
    pa.uint64(): "UBIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.string(): "VARCHAR",
    pa.binary(): "BLOB",
    pa.date32(): "DATE",
    pa.time64("us"): "TIME",
    pa.timestamp("us"): "TIMESTAMP",
    pa.timestamp("us", "UTC"): "TIMESTAMPTZ",
    UUID: "UUID",
    JSON: "JSON",
}
_DIGITS = 38
"""Of a decimal, at most."""

_COLUMNS = """
    SELECT c.column_name, c.data_type, c.column_default IS NOT NULL, coalesce(i.is_generated, 'NEVER') = 'ALWAYS'
    FROM duckdb_columns() c
    LEFT JOIN information_schema.columns i ON i.table_catalog = c.database_name AND i.table_schema = c.schema_name
      AND i.table_name = c.table_name AND i.column_name = c.column_name
    WHERE c.database_name = current_database() AND c.schema_name = ? AND c.table_name = ? ORDER BY c.column_index
"""
_VIEW = """
    SELECT 1 FROM duckdb_views() WHERE database_name = current_database() AND schema_name = ? AND view_name = ?
"""
_DEFINITION = """
    SELECT sql FROM duckdb_tables()
    WHERE database_name = current_database() AND schema_name = $schema AND table_name = $name
"""
_INDEXES = """
    SELECT sql FROM duckdb_indexes()
    WHERE database_name = current_database() AND schema_name = $schema AND table_name = $name ORDER BY index_oid
"""
_LOST = """
    SELECT concat('foreign key of ', table_name, ' to ', referenced_table) FROM duckdb_constraints()
    WHERE database_name = current_database() AND schema_name = $schema AND constraint_type = 'FOREIGN KEY'
      AND $name IN (table_name, referenced_table)
    UNION SELECT 'its comment' FROM duckdb_tables() WHERE comment IS NOT NULL
      AND database_name = current_database() AND schema_name = $schema AND table_name = $name
    UNION SELECT concat('the comment on column ', column_name) FROM duckdb_columns() WHERE comment IS NOT NULL
      AND database_name = current_database() AND schema_name = $schema AND table_name = $name
    UNION SELECT concat('the comment on index ', index_name) FROM duckdb_indexes() WHERE comment IS NOT NULL
      AND database_name = current_database() AND schema_name = $schema AND table_name = $name
    ORDER BY 1
"""
"""What those statements do not make again. Foreign keys stay within a schema."""
_AS_TEXT = ("BIGNUM", "VARINT", "BIT", "INTERVAL", "TIME WITH TIME ZONE", "HUGEINT", "UHUGEINT")
"""Types that Arrow has not, or not with all their values; enums too."""
_INCOMING = "pii_guard_incoming"


class DuckdbStream(FileStream):
    """A DuckDB file."""

    def exists(self, relation: Relation) -> bool:
        if not self.path.exists():
            return False
        with DuckdbDatabase(self.url, Selection()).connected("the list of tables") as connection:
            return bool(_columns(connection, relation))

    def rows(self, relation: Relation, columns: Sequence[str] | None, where: str | None) -> Iterator[pa.RecordBatch]:
        with DuckdbDatabase(self.url, Selection()).connected(f"table {relation.name}") as connection:
            connection.execute("SET TimeZone = 'UTC'")
            chosen = self.chosen_of(relation, _columns(connection, relation), columns)
            schema = pa.schema([(column.name, column.type) for column in chosen])
            condition = "" if where is None else f"\nWHERE (\n{where}\n)"
            sql = f"SELECT {', '.join(map(_selected, chosen))} FROM {_name(relation)}{condition}"  # noqa: S608 - quoted
            reader = connection.sql(sql).to_arrow_reader(ROWS)
            yield empty_batch(schema)
            for batch in reader:
                arrays = [self._typed(*pair, relation) for pair in zip(batch.columns, schema, strict=True)]
                yield from bounded(pa.RecordBatch.from_arrays(arrays, schema=schema))

    def _typed(self, array: pa.Array, field: Any, relation: Relation) -> pa.Array:
        kind = field.type
        if kind == UUID:
            return pa.ExtensionArray.from_storage(UUID, array.cast(pa.binary(16)))
        if kind == JSON:
            return pa.ExtensionArray.from_storage(JSON, array)
        if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
            numbers = array.cast(pa.int32() if pa.types.is_date(kind) else pa.int64())
            most = 2**31 - 1 if pa.types.is_date(kind) else 2**63 - 1  # infinity, as DuckDB keeps it
            if pc.any(pc.or_(pc.equal(numbers, most), pc.equal(numbers, -most))).as_py():
                reason = (
                    f"column {field.name} holds infinity, which Arrow has no time for; leave such rows out by `where`"
                )
                raise ReadError(self.target, f"table {relation.name}: {reason}")
        return array if array.type == kind else array.cast(kind)

    def write_into(self, path: Path, reader: pa.RecordBatchReader, relation: Relation, mode: Mode) -> int:
        where, name = self.named(relation), _name(relation)
        try:
            connection = duckdb.connect(path, config=CONFIG)
        except duckdb.ConnectionException:
            reason = "is being read; DuckDB opens a file for reading or for writing, so write into another one"
            raise WriteError(f"{self.target}: {reason}; nothing was written") from None
        except (duckdb.Error, OSError):
            reason = "no DuckDB database of a version that this DuckDB writes, open in another program, or not writable"
            raise WriteError(f"{self.target}: {reason}") from None
        with closing(connection):
            with _storing(where):
                connection.execute("BEGIN")
                there = _columns(connection, relation)
                if there and connection.execute(_VIEW, [relation.schema or "main", relation.table]).fetchone():
                    raise TargetError(f"{where} is a view, no table of its own")
            self.check_mode(relation, bool(there), mode)
            columns = there or new_columns(reader.schema, _declared, where)
            fit = Fit(reader.schema, columns, where, text_for=lambda column: column.type in (UUID, JSON))
            rows = Rows(fit.batches(reader, lambda array: None), fit.schema).started()
            with _storing(where, rows):
                definition, indexes = self.make_room(connection, relation, name, bool(there), columns, mode)
                if definition and _defined(connection, relation) != definition:
                    self.check_lost(relation, ["parts of its definition, which DuckDB does not tell"])
                connection.register(_INCOMING, rows.reader())
                names = ", ".join(quoted(column.name) for column in fit.columns)
                connection.execute(f"INSERT INTO {name} ({names}) SELECT {names} FROM {_INCOMING}")  # noqa: S608 - quoted
                for index in indexes:
                    connection.execute(index)
                connection.execute("COMMIT")
        return rows.count

    def definition(self, connection: duckdb.DuckDBPyConnection, relation: Relation) -> tuple[str, list[str]]:
        place = {"schema": relation.schema or "main", "name": relation.table}
        self.check_lost(relation, [row[0] for row in connection.execute(_LOST, place).fetchall()])
        return _defined(connection, relation), [row[0] for row in connection.execute(_INDEXES, place).fetchall()]


def _defined(connection: duckdb.DuckDBPyConnection, relation: Relation) -> str:
    """The statement that makes a table, as DuckDB tells it."""
    place = {"schema": relation.schema or "main", "name": relation.table}
    ((sql,),) = connection.execute(_DEFINITION, place).fetchall()
    return str(sql)


def _name(relation: Relation) -> str:
    return f"{quoted(relation.schema or 'main')}.{quoted(relation.table)}"


def _columns(connection: duckdb.DuckDBPyConnection, relation: Relation) -> list[TypedColumn]:
    rows = connection.execute(_COLUMNS, [relation.schema or "main", relation.table]).fetchall()
    if not rows:
        return []
    types = connection.sql(f"SELECT * FROM {_name(relation)} LIMIT 0").to_arrow_table().schema.types  # noqa: S608 - quoted
    return [
        TypedColumn(name, _kind(declared, kind), declared, optional=default or computed, computed=computed)
        for (name, declared, default, computed), kind in zip(rows, types, strict=True)
    ]


def _kind(declared: str, kind: pa.DataType) -> pa.DataType:
    if declared in ("UUID", "JSON"):
        return UUID if declared == "UUID" else JSON
    if declared in _AS_TEXT or declared.startswith("ENUM"):
        return pa.string()
    return pa.timestamp(kind.unit, "UTC") if pa.types.is_timestamp(kind) and kind.tz else kind


def _selected(column: TypedColumn) -> str:
    name = quoted(column.name)
    if column.type == UUID:
        return f"unhex(replace({name}::VARCHAR, '-', ''))"
    return f"{name}::VARCHAR" if column.type == pa.string() and column.declared != "VARCHAR" else name


def _declared(kind: pa.DataType) -> str | None:
    types = pa.types
    if types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})" if 0 <= kind.scale <= kind.precision <= _DIGITS else None
    if types.is_list(kind) or types.is_map(kind) or types.is_struct(kind):
        inner = [_declared(kind.field(number).type) for number in range(kind.num_fields)]
        if types.is_map(kind):
            inner = [_declared(kind.key_type), _declared(kind.item_type)]
        if not inner or None in inner:
            return None
        if types.is_struct(kind):
            return (
                f"STRUCT({', '.join(f'{quoted(field.name)} {each}' for field, each in zip(kind, inner, strict=True))})"
            )
        return f"MAP({', '.join(map(str, inner))})" if types.is_map(kind) else f"{inner[0]}[]"
    return _DECLARED.get(kind)


@contextmanager
def _storing(where: str, rows: Rows | None = None) -> Iterator[None]:
    """Turn errors of DuckDB into errors without its message, which quotes values."""
    try:
        yield
    except duckdb.Error as error:
        if rows is not None:
            rows.check()
        said = f"DuckDB refuses it ({type(error).__name__})"
        if isinstance(error, duckdb.ConstraintException):
            said = "a constraint is broken: a key occurs twice or is missing, a check or a foreign key"
        if isinstance(error, duckdb.CatalogException):
            said = "there is no such schema, or a table is there whose name differs in case alone"
        raise WriteError(f"{where}: {said}; nothing was written") from None
