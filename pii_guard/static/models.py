"""SQLAlchemy models: declarative classes and `Table(...)`, from the syntax tree. The files are never imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from pii_guard.static.python_columns import called, column_of, table_of, text_of, type_of_annotation
from pii_guard.static.schema import Column, Spot, table_name

__all__ = ["tables_of"]


def tables_of(tree: ast.Module, file: str) -> Iterator[tuple[str, list[Column]]]:
    """(table, its columns) for each model and each `Table` of a module. Columns of mixins in the same file count."""
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    for node in classes.values():
        name = _stated(node, "__tablename__")
        if name is not None and (text := text_of(name)):
            table = table_name(_schema_of(node), text)
            yield table, list(_columns(node, classes, table, file, set()))
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and called(call) == "Table" and len(call.args) >= 2:
            text = text_of(call.args[0])
            inside = [part for part in call.args[1:] if isinstance(part, ast.Call) and called(part) == "Column"]
            if text and inside:
                table = table_of(call, text)
                columns = [column_of(part, table, file) for part in inside]
                yield table, [column for column in columns if column is not None]


def _stated(node: ast.ClassDef, name: str) -> ast.expr | None:
    """What a class assigns to `name`."""
    for statement in node.body:
        if isinstance(statement, ast.Assign):
            if any(isinstance(target, ast.Name) and target.id == name for target in statement.targets):
                return statement.value
        elif isinstance(statement, ast.AnnAssign) and getattr(statement.target, "id", None) == name:
            return statement.value
    return None


def _schema_of(node: ast.ClassDef) -> str:
    """The schema in `__table_args__ = {"schema": "shop"}`, or in the dictionary at the end of a tuple."""
    value = _stated(node, "__table_args__")
    if isinstance(value, ast.Tuple) and value.elts:
        value = value.elts[-1]
    if isinstance(value, ast.Dict):
        for key, given in zip(value.keys, value.values, strict=True):
            if text_of(key) == "schema":
                return text_of(given) or ""
    return ""


def _columns(
    node: ast.ClassDef, classes: Mapping[str, ast.ClassDef], table: str, file: str, seen: set[str]
) -> Iterator[Column]:
    seen.add(node.name)
    for base in node.bases:
        mixin = classes.get(called(base))
        if mixin is not None and mixin.name not in seen and _stated(mixin, "__tablename__") is None:
            yield from _columns(mixin, classes, table, file, seen)
    for statement in node.body:
        column = _column(statement, table, file)
        if column is not None:
            yield column


def _column(statement: ast.stmt, table: str, file: str) -> Column | None:
    """Of `phone = Column(String(20))`, `phone: Mapped[str] = mapped_column(...)` and `phone: Mapped[str]`."""
    value: ast.expr | None
    annotation: ast.expr | None
    if isinstance(statement, ast.Assign):
        target, value, annotation = statement.targets[0], statement.value, None
    elif isinstance(statement, ast.AnnAssign):
        target, value, annotation = statement.target, statement.value, statement.annotation
    else:
        return None
    if not isinstance(target, ast.Name):
        return None
    annotated = type_of_annotation(annotation)
    if (
        isinstance(value, ast.Call)
        and called(value) == "deferred"
        and value.args
        and isinstance(value.args[0], ast.Call)
    ):
        value = value.args[0]
    if isinstance(value, ast.Call) and called(value) in ("Column", "mapped_column"):
        return column_of(value, table, file, name=target.id, type=annotated)
    if value is None and annotated is not None:
        return Column(table, target.id, annotated, Spot(file, statement.lineno))
    return None
