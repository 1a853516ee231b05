"""SQLAlchemy models: declarative classes, SQLModel and `Table(...)`, from syntax trees. The files are never imported.

Columns of mixins and abstract bases count for each table below them, wherever in the repository they stand; those of a
class that names no table for the table that it inherits. A name that is computed in a way that is not understood, or
that Flask-SQLAlchemy makes, is that of the class in snake case.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from pii_guard.static.classes import MOST_BASES, Class, Classes, Module, assigned
from pii_guard.static.python_columns import (
    called,
    column_of,
    keyword,
    known_type,
    mapped,
    names_in,
    table_of,
    text_of,
    width_of,
)
from pii_guard.static.schema import Column, Spot, Type, table_name

__all__ = ["stated", "tables_of"]

_COLUMNS = ("Column", "mapped_column")
_DEEPEST = 5
"""Aliases of aliases that are followed."""
_LONGEST = 32
"""Steps in which the name of a table is computed."""


def tables_of(classes: Classes) -> Iterator[tuple[str, list[Column]]]:
    """(table, columns) for each model and each `Table`; a table may come several times, with other columns of it."""
    for model in classes:
        table = _table(model, classes)
        if table is not None:
            yield table, list(_columns(model, table, classes, set(), model))
    for module in classes.modules:
        for call in ast.walk(module.tree):
            if isinstance(call, ast.Call) and called(call) == "Table":
                yield from _called_table(call, module, classes)


def _called_table(call: ast.Call, module: Module, classes: Classes) -> Iterator[tuple[str, list[Column]]]:
    """Of `Table("orders", metadata, Column(...), *shared)`."""
    text = text_of(call.args[0] if call.args else keyword(call, "name"))
    inside: list[ast.expr] = []
    for part in call.args:
        if isinstance(part, ast.Starred):
            listed = classes.value(part.value.id, module) if isinstance(part.value, ast.Name) else part.value
            inside += listed.elts if isinstance(listed, ast.List | ast.Tuple) else []
        else:
            inside.append(part)
    calls = [part for part in inside if isinstance(part, ast.Call) and called(part) == "Column"]
    if text and calls:
        table = table_of(call, text)
        columns = [column_of(part, table, module.file) for part in calls]
        yield table, [column for column in columns if column is not None]


def stated(node: ast.ClassDef, name: str) -> ast.expr | None:
    """What a class assigns to `name`."""
    values = (value for statement in node.body for target, value in [assigned(statement)] if target == name)
    return next((value for value in values if value is not None), None)


def _table(model: Class, classes: Classes, below: frozenset[Class] = frozenset()) -> str | None:
    """The table whose columns a class declares: its own, or the one that it inherits; None: of none.

    `below`: classes whose tables are being looked for, as names found by their ends may derive from each other.
    """
    if getattr(stated(model.node, "__abstract__"), "value", False) is True:
        return None
    line = classes.lineage(model)
    schema = next((found for known in line if (found := _schema_of(known.node))), "")
    for known in line:
        named = text_of(stated(known.node, "__tablename__"))
        if named:
            return table_name(schema, named)
        naming = _function(known.node, "__tablename__")
        if naming is not None:
            made = _computed(_returned(naming), model.node.name) or _snake(model.node.name)
            return table_name(schema, made) if known is not model or _returned_text(naming) else None
    if _is_sqlmodel(model.node):
        return table_name(schema, model.node.name.lower())
    if any(_is_flask(base) for known in line for base in known.node.bases):
        above = [base for base in line[1:] if base not in below] if len(below) < MOST_BASES else []
        inherited = (_table(base, classes, below | {model}) for base in above)
        return next(filter(None, inherited), None) or table_name(schema, _snake(model.node.name))
    return None


def _returned_text(function: ast.FunctionDef) -> str | None:
    return text_of(_returned(function))


def _function(node: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    return next((part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == name), None)


def _returned(function: ast.FunctionDef) -> ast.expr | None:
    return next((part.value for part in function.body if isinstance(part, ast.Return)), None)


def _computed(node: ast.expr | None, name: str, depth: int = 0) -> str | None:
    """`cls.__name__.lower() + "s"` and the like for a class called `name`; None where it is not understood."""
    if depth > _LONGEST:
        return None
    if isinstance(node, ast.Constant):
        return text_of(node)
    if isinstance(node, ast.Attribute) and node.attr == "__name__":
        return name
    if isinstance(node, ast.Call) and called(node) == "lower" and isinstance(node.func, ast.Attribute):
        inner = _computed(node.func.value, name, depth + 1)
        return inner.lower() if inner else None
    if isinstance(node, ast.FormattedValue):
        return _computed(node.value, name, depth + 1)
    parts = node.values if isinstance(node, ast.JoinedStr) else []
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = [node.left, node.right]
    texts = [_computed(part, name, depth + 1) for part in parts]
    return "".join(text for text in texts if text) if texts and None not in texts else None


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _is_flask(base: ast.expr) -> bool:
    """`db.Model` of Flask-SQLAlchemy; `models.Model` is Django's."""
    return isinstance(base, ast.Attribute) and base.attr == "Model" and called(base.value) != "models"


def _is_sqlmodel(node: ast.ClassDef) -> bool:
    return any(given.arg == "table" and getattr(given.value, "value", False) is True for given in node.keywords)


def _schema_of(node: ast.ClassDef) -> str:
    """The schema in `__table_args__ = {"schema": "shop"}`, or in the dictionary at the end of a tuple."""
    value = stated(node, "__table_args__")
    if isinstance(value, ast.Tuple) and value.elts:
        value = value.elts[-1]
    if isinstance(value, ast.Dict):
        for key, given in zip(value.keys, value.values, strict=True):
            if text_of(key) == "schema":
                return text_of(given) or ""
    return ""


def _columns(of: Class, table: str, classes: Classes, seen: set[Class], model: Class) -> Iterator[Column]:
    """Those of what `of` derives from first; what has a table of its own keeps its columns there."""
    seen.add(of)
    for base in classes.bases(of):
        if base not in seen and len(seen) < MOST_BASES and _table(base, classes) is None:
            yield from _columns(base, table, classes, seen, model)
    for statement in of.node.body:
        column = _column(statement, table, of.module, classes, plain=_is_sqlmodel(model.node))
        if column is not None:
            yield column


def _column(statement: ast.stmt, table: str, module: Module, classes: Classes, *, plain: bool) -> Column | None:
    """Of `phone = Column(String(20))`, `phone: Mapped[str] = mapped_column(...)`, `phone: Mapped[str]`, and of a
    function `@declared_attr` that returns one; with `plain` of `phone: str` too."""
    if isinstance(statement, ast.FunctionDef):
        shared = {"declared_attr", "directive", "cascading"}.intersection(map(called, statement.decorator_list))
        made = _made(_returned(statement)) if shared else None
        return column_of(made, table, module.file, name=statement.name) if made is not None else None
    name, value = assigned(statement)
    annotation = statement.annotation if isinstance(statement, ast.AnnAssign) else None
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        name = statement.target.id
    if not name:
        return None
    inner = mapped(annotation)
    if inner is None and plain:
        inner = annotation
    if inner is None and annotation is not None and _made(value) is None:
        return None
    said, alias = _annotated(inner, module, classes)
    made = _made(value) or (alias if value is None else None)
    if made is not None:
        return column_of(made, table, module.file, name=name, type=said, spot=Spot(module.file, statement.lineno))
    field = isinstance(value, ast.Call) and called(value) == "Field"
    if inner is None or not (value is None or (plain and (field or isinstance(value, ast.Constant)))):
        return None
    width = width_of(value, "max_length") if isinstance(value, ast.Call) else None
    type = Type(said.text, said.family, width) if said is not None else Type()
    return Column(table, name, type, Spot(module.file, statement.lineno))


def _made(value: ast.expr | None) -> ast.Call | None:
    """The call of `Column` or `mapped_column` that `value` is or, deferred, holds."""
    if isinstance(value, ast.Call) and called(value) in ("deferred", "column_property") and value.args:
        value = value.args[0]
    return value if isinstance(value, ast.Call) and called(value) in _COLUMNS else None


def _annotated(
    node: ast.expr | None, module: Module, classes: Classes, depth: int = 0
) -> tuple[Type | None, ast.Call | None]:
    """The type that an annotation names, and the `mapped_column(...)` in its `Annotated[...]`, also by an alias."""
    if node is None or depth > _DEEPEST:
        return None, None
    made = next((part for part in ast.walk(node) if isinstance(part, ast.Call) and _made(part) is part), None)
    for name in names_in(node):
        type = known_type(name)
        if type is not None:
            return type, made
        type, inside = _annotated(classes.value(name, module), module, classes, depth + 1)
        if type is not None or inside is not None:
            return type, made or inside
    return None, made
