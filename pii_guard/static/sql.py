"""SQL that declares tables, folded into `Tables` in its order. PostgreSQL, MySQL and SQLite, by sqlglot."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from pii_guard.static.queries import given, name_of
from pii_guard.static.schema import Column, Spot, Tables, Type, table_name
from pii_guard.static.statements import Statement, statements

__all__ = ["fold_sql"]

logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # it quotes what it cannot parse

_DIALECTS = ("postgres", "mysql", "sqlite")
_SQLITE = re.compile(r"(?i)\bAUTOINCREMENT\b")
# What sqlglot reads as something else, or not at all, written in a way that it does.
_REWRITTEN = (
    (
        re.compile(
            r"(?is)\AALTER\s+((?:SQL\s+SECURITY\s+\w+\s+|\w+\s*=\s*\S+\s+)*+VIEW\s+[^\s(]+\s*(?:\([^()]*\)\s*)?\bAS\b)"
        ),
        r"CREATE OR REPLACE \1",
    ),
    (re.compile(r"(?is)\AALTER\s+(?:MATERIALIZED\s+)?VIEW\b"), "ALTER TABLE"),
    (re.compile(r"(?i)\bWITH\s+(?:NO\s+)?DATA\s*\Z"), ""),
    (re.compile(r"(?i)\A(CREATE\s+(?:OR\s+REPLACE\s+)?(?:TEMP\s+|TEMPORARY\s+)?)RECURSIVE\s+"), r"\1"),
    (re.compile(r"(?i)\)\s*(?:STRICT|WITHOUT\s+ROWID)(?:\s*,\s*(?:STRICT|WITHOUT\s+ROWID))*\Z"), ")"),
    (
        re.compile(r"(?i)\bRENAME\s+(?!(?:COLUMN|TO|AS|CONSTRAINT|INDEX|KEY)\b)(?=[^\s,;]+\s+TO\b)"),
        "RENAME COLUMN ",
    ),
)
_RENAME_TABLES = re.compile(r"(?is)RENAME\s+TABLE\s+(.+)\Z")
_ADD_SEVERAL = re.compile(r"(?is)ALTER\s+TABLE\s+(?:IF\s+EXISTS\s+|ONLY\s+)*(\S+)\s+ADD\s*+(?:COLUMN\s*)?(\(.*\))\Z")
# Of an ALTER TABLE that sqlglot leaves alone, what would change columns; the rest (owner, triggers ...) does not.
_OF_COLUMNS = re.compile(
    r"(?i)\b(?:ADD|DROP|RENAME|CHANGE|MODIFY|TYPE)\b"
    r"(?!\s+(?:CONSTRAINT|INDEX|KEY|PARTITION|PRIMARY|FOREIGN|UNIQUE|CHECK)\b)"
)

_OTHER = {
    *(exp.DataType.Type.UUID, exp.DataType.Type.INET, exp.DataType.Type.ENUM, exp.DataType.Type.BIT),
    exp.DataType.Type.IPADDRESS,
}
_BINARY = {
    *(exp.DataType.Type.BINARY, exp.DataType.Type.VARBINARY, exp.DataType.Type.BLOB, exp.DataType.Type.TINYBLOB),
    *(exp.DataType.Type.MEDIUMBLOB, exp.DataType.Type.LONGBLOB),
}
_TINY = {exp.DataType.Type.TINYTEXT: 255, exp.DataType.Type.TINYBLOB: 255}


def fold_sql(data: bytes, file: str, tables: Tables, *, first_line: int = 1) -> Iterator[tuple[int, str]]:
    """Carry out the statements of `data`, UTF-8, on `tables`. Gives (line, reason) for each that is not understood."""
    for statement in statements(data):
        line = statement.line + first_line - 1
        if statement.text is None:
            yield line, "a statement of more than a megabyte"
            continue
        text = statement.text.rstrip("; \t\r\n")
        reason = _carried_out(statement, text, _Place(file, line), tables)
        if reason is not None:
            yield line, reason


@dataclass(frozen=True, slots=True)
class _Place:
    file: str
    line: int

    def spot(self, node: exp.Expr | None) -> Spot:
        inside = node.meta.get("line", 1) if node is not None else 1
        return Spot(self.file, self.line + inside - 1)


def _carried_out(statement: Statement, text: str, place: _Place, tables: Tables) -> str | None:
    """Why the statement could not be carried out, in words that quote nothing of it; None where it was."""
    renamed = _RENAME_TABLES.match(text)
    if renamed:
        return _rename_tables(renamed[1], tables)
    several = _ADD_SEVERAL.match(text)
    if several:  # ADD (a int, b text): the columns of a table that is made for a moment
        made = _parsed(f"CREATE TABLE {several[1]} {several[2]}", statement.mysql)
        if not isinstance(made, exp.Create) or not isinstance(made.this, exp.Schema):
            return _not_understood(text)
        for column in _columns(made.this, name_of(made.this.this), place):
            tables.add(column)
        return None
    tree = _parsed(text, statement.mysql)
    if isinstance(tree, exp.Create):
        return _create(tree, text, place, tables)
    if isinstance(tree, exp.Alter):
        return _alter(tree, text, place, tables)
    if isinstance(tree, exp.Drop):
        for table in tree.find_all(exp.Table):
            tables.drop(name_of(table))
        return None
    if isinstance(tree, exp.Comment):
        if isinstance(tree.this, exp.Column) and isinstance(tree.expression, exp.Literal):
            tables.comment(name_of(tree.this), tree.this.name, tree.expression.name)
        return None
    if text[:5].upper() == "ALTER" and not _OF_COLUMNS.search(text):
        return None
    return _not_understood(text)


def _not_understood(text: str) -> str:
    words = " ".join(re.findall(r"[A-Za-z]+", text[:40])[:2]).upper()
    return f"the statement ({words}) is not understood"


def _parsed(text: str, mysql: bool) -> exp.Expression | None:
    """The tree of the statement by the first dialect that understands it; None where none does."""
    for pattern, written in _REWRITTEN:
        text = pattern.sub(written, text)
    likely = "mysql" if mysql else "sqlite" if _SQLITE.search(text) else "postgres"
    for dialect in (likely, *(other for other in _DIALECTS if other != likely)):
        try:
            tree = sqlglot.parse_one(text, read=dialect)
        except (SqlglotError, RecursionError, ValueError):
            continue
        if isinstance(tree, exp.Expression) and not isinstance(tree, exp.Command):
            return tree
    return None


def _rename_tables(pairs: str, tables: Tables) -> str | None:
    for pair in pairs.split(","):
        names = re.split(r"(?i)\bTO\b", pair)
        if len(names) != 2:
            return "the statement (RENAME TABLE) is not understood"
        old, new = (table_name(*(part.strip('`" \t\r\n') for part in name.split("."))) for name in names)
        tables.rename(old, new)
    return None


def _create(tree: exp.Create, text: str, place: _Place, tables: Tables) -> str | None:
    inside = tree.this if isinstance(tree.this, exp.Schema) else None
    name = name_of(inside.this if inside is not None else tree.this)
    if tree.expression is not None:
        if tree.args.get("exists") and name.lower() in tables.columns:
            return None
        try:
            _create_by_query(tree, name, place, tables)
        except RecursionError:
            return _not_understood(text)
        return None
    like = (inside if inside is not None else tree).find(exp.LikeProperty)
    if like is not None:
        tables.create_like(name, name_of(like.this), place.spot(None))
        for column in _columns(inside, name, place) if inside is not None else ():
            tables.add(column)
    elif inside is not None:
        tables.create(name, _columns(inside, name, place), only_new=bool(tree.args.get("exists")))
    return None  # else a partition: its columns are those of its table


def _create_by_query(tree: exp.Create, name: str, place: _Place, tables: Tables) -> None:
    """A table has all columns of its query. So has a view, but those of its tables are judged there: it has those that
    it computes or calls something else."""
    found, complete = given(tree.expression, tables)
    stated = [part.name for part in tree.this.expressions] if isinstance(tree.this, exp.Schema) else []
    names = stated if len(stated) == len(found) else [column.name for column in found]
    materialized = tree.find(exp.MaterializedProperty) is not None
    view = tree.kind == "VIEW" and not materialized
    columns = [
        Column(name, called, column.source.type if column.source else Type(), place.spot(column.node))
        for called, column in zip(names, found, strict=True)
        if not (view and column.source is not None and column.source.name.lower() == called.lower())
    ]
    tables.create_by_query(name, columns, complete=complete and not view)


def _columns(schema: exp.Schema, table: str, place: _Place) -> Iterator[Column]:
    for part in schema.expressions:
        if isinstance(part, exp.ColumnDef):
            yield _column(part, table, place)
        elif isinstance(part, exp.Identifier):  # SQLite: a column without a type
            yield Column(table, part.name, Type(), place.spot(part))


def _column(part: exp.ColumnDef, table: str, place: _Place) -> Column:
    comments = (constraint.kind for constraint in part.constraints)
    comment = next((kind.this for kind in comments if isinstance(kind, exp.CommentColumnConstraint)), None)
    said = comment.name if isinstance(comment, exp.Expression) else None
    return Column(table, part.name, _type(part.kind), place.spot(part.this), said)


def _type(kind: exp.Expression | None) -> Type:
    if not isinstance(kind, exp.DataType):
        return Type()
    name = kind.this
    width = next((int(size.name) for size in kind.find_all(exp.DataTypeParam) if size.name.isdigit()), None)
    shown = name.name.lower() + (f"({width})" if width is not None else "")  # never the values of an enumeration
    if name in exp.DataType.TEXT_TYPES:
        return Type(shown, "text", _TINY.get(name, width))
    if name in _BINARY:
        return Type(shown, "binary", _TINY.get(name, width))
    if name is exp.DataType.Type.BOOLEAN:
        return Type(shown, "bool")
    if name in exp.DataType.NUMERIC_TYPES or "SERIAL" in name.name:
        return Type(shown, "number")
    if name in exp.DataType.TEMPORAL_TYPES or name in (exp.DataType.Type.TIME, exp.DataType.Type.YEAR):
        return Type(shown, "time")
    return Type(shown, "other" if name in _OTHER else "")


def _alter(tree: exp.Alter, text: str, place: _Place, tables: Tables) -> str | None:
    table = name_of(tree.this)
    for action in tree.args.get("actions") or []:
        if isinstance(action, exp.ColumnDef):
            tables.add(_column(action, table, place))
        elif isinstance(action, exp.Drop):
            if (action.args.get("kind") or "COLUMN").upper() == "COLUMN":
                dropped = action.find(exp.Identifier)
                if dropped is not None:
                    tables.drop_column(table, dropped.name)
        elif isinstance(action, exp.RenameColumn):
            new = action.args["to"]
            if not tables.change(table, action.this.name, new_name=new.name) and table.lower() in tables.unknown:
                tables.add(Column(table, new.name, Type(), place.spot(new)))  # of a view, from one of its tables
        elif isinstance(action, exp.AlterRename):
            new_table = name_of(action.this)
            schema = tree.this.args.get("db")
            if "." not in new_table and schema is not None:
                new_table = table_name(schema.name, action.this.name)
            tables.rename(table, new_table)
            table = new_table
        elif isinstance(action, exp.AlterColumn):
            if action.args.get("dtype") is not None:
                tables.change(table, action.this.name, type=_type(action.args["dtype"]))
        elif isinstance(action, exp.ModifyColumn) and isinstance(action.this, exp.ColumnDef):
            before = action.args.get("rename_from")
            tables.drop_column(table, before.name if before is not None else action.this.name)
            tables.add(_column(action.this, table, place))
        elif isinstance(action, exp.Schema):
            for column in _columns(action, table, place):
                tables.add(column)
        elif not isinstance(action, exp.AddConstraint) and _OF_COLUMNS.search(action.sql()):
            return _not_understood(text)
    return None
