"""Alembic migrations: the operations of `upgrade()`, in the order of their revisions. The files are never imported."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from pii_guard.static.constants import STEPS, Names
from pii_guard.static.python_columns import called, column_of, keyword, table_of, text_of, type_of
from pii_guard.static.schema import Tables
from pii_guard.static.sql import fold_sql

__all__ = ["Revision", "fold_revision", "in_order", "revision_of"]


@dataclass(frozen=True, slots=True)
class Revision:
    """One file of migrations."""

    id: str
    after: tuple[str, ...]
    """Those that it follows and those that it depends on."""
    file: str
    tree: ast.Module


def revision_of(tree: ast.Module, file: str) -> Revision | None:
    """The revision that a module declares (`revision`, `down_revision`, `depends_on`), if it is one."""
    stated: dict[str, tuple[str, ...]] = {}
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Name) and target.id in ("revision", "down_revision", "depends_on"):
                value = node.value  # type: ignore[attr-defined]
                parts = value.elts if isinstance(value, ast.Tuple | ast.List) else [value]
                stated[target.id] = tuple(text for part in parts if (text := text_of(part)) is not None)
    if "down_revision" not in stated or not stated.get("revision"):
        return None
    after = (*stated["down_revision"], *stated.get("depends_on", ()))
    return Revision(stated["revision"][0], after, file, tree)


def in_order(revisions: Iterable[Revision]) -> list[Revision]:
    """Each after those that it follows; otherwise by their files. A circle is broken at its first file."""
    waiting = sorted(revisions, key=lambda revision: revision.file)
    known = {revision.id for revision in waiting}
    done: set[str] = set()
    ordered = []
    while waiting:
        ready = [revision for revision in waiting if not (set(revision.after) & known) - done] or waiting[:1]
        ordered += ready
        done.update(revision.id for revision in ready)
        waiting = [revision for revision in waiting if revision not in ready]
    return ordered


def fold_revision(revision: Revision, tables: Tables) -> Iterator[tuple[int, str]]:
    """Carry out what `upgrade()` does on `tables`. Gives (line, reason) for each part of it that is not understood."""
    names = Names()
    for node in revision.tree.body:
        names.follow(node)
    functions = {node.name: node for node in revision.tree.body if isinstance(node, ast.FunctionDef)}
    upgrade = functions.get("upgrade")
    if upgrade is not None:
        place = _Place(revision.file, tables, names.inside({}), functions)
        yield from dict.fromkeys(_body(upgrade.body, place, names))
        if not names.spend(1):
            yield upgrade.lineno, f"upgrade() describes more than the {STEPS:,} steps that are followed"


@dataclass(frozen=True, slots=True)
class _Place:
    file: str
    tables: Tables
    names: Names
    """Those of the module."""
    functions: Mapping[str, ast.FunctionDef]
    """Those that may be called; not the ones that run already."""
    batch: str | None = None
    """The table of `with op.batch_alter_table("t") as batch_op`."""


def _body(body: list[ast.stmt], place: _Place, names: Names) -> Iterator[tuple[int, str]]:
    for node in body:
        if not names.spend(1):
            return
        if isinstance(node, ast.Expr | ast.Assign | ast.AnnAssign | ast.Return) and isinstance(node.value, ast.Call):
            call = names.filled(node.value)
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in place.functions:
                yield from _called(place.functions[call.func.id], call, place)
            else:
                yield from _operation(call, place)
        elif isinstance(node, ast.With):
            yield from _with(node, place, names)
        elif isinstance(node, ast.For):
            rounds = names.each(node.target, node.iter)
            names.follow(node)
            for known in rounds if rounds is not None else [names]:
                yield from _body(node.body, place, known)
            yield from _body(node.orelse, place, names)
        elif isinstance(node, ast.If | ast.While | ast.Try):
            last = node.finalbody if isinstance(node, ast.Try) else []
            yield from _body([*node.body, *node.orelse, *last], place, names)
        names.follow(node)


def _called(function: ast.FunctionDef, call: ast.Call, place: _Place) -> Iterator[tuple[int, str]]:
    """What a function of the same file does."""
    parameters = [part.arg for part in (*function.args.posonlyargs, *function.args.args)]
    given = dict(zip(parameters, call.args, strict=False))
    given |= {part.arg: part.value for part in call.keywords if part.arg is not None}
    others = {name: known for name, known in place.functions.items() if known is not function}
    yield from _body(function.body, replace(place, functions=others), place.names.inside(given))


def _with(node: ast.With, place: _Place, names: Names) -> Iterator[tuple[int, str]]:
    for item in node.items:
        call = names.filled(item.context_expr)
        if isinstance(call, ast.Call) and called(call) == "batch_alter_table":
            name = text_of(call.args[0] if call.args else keyword(call, "table_name"))
            if name is None:
                yield call.lineno, _unknown("table", "batch_alter_table")
                return
            place = replace(place, batch=table_of(call, name))
    yield from _body(node.body, place, names)


def _unknown(what: str, operation: str) -> str:
    return f"the {what} of {operation} is not a literal: what it does to tables is not known"


def _operation(call: ast.expr, place: _Place) -> Iterator[tuple[int, str]]:
    operation = called(call)
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return
    if operation == "execute":
        yield from _execute(call, place)
    elif operation in _OPERATIONS:
        unknown = _carried_out(operation, call, place)
        if unknown is not None:
            yield call.lineno, _unknown(unknown, operation)


_OPERATIONS = frozenset({"create_table", "drop_table", "rename_table", "add_column", "drop_column", "alter_column"})
_ALTERED = frozenset({"comment", "type_", "new_column_name", "name"})


def _carried_out(operation: str, call: ast.Call, place: _Place) -> str | None:
    """What of an operation is not known, so that it could not be carried out, wholly or in part; None: nothing."""
    if operation == "alter_column" and not any(part.arg in _ALTERED for part in call.keywords):
        return None  # whether it may be null, its default ...
    arguments: list[ast.expr] = list(call.args)
    tables = place.tables
    if place.batch is None or operation.endswith("_table"):
        old = "old_table_name" if operation == "rename_table" else "table_name"
        name = text_of(arguments.pop(0)) if arguments else text_of(keyword(call, old))
        if name is None:
            return "table"
        table = table_of(call, name)
    else:
        table = place.batch
    first = arguments[0] if arguments else None
    if operation == "create_table":
        return _create(table, arguments, place)
    if operation == "drop_table":
        tables.drop(table)
        return None
    if operation == "rename_table":
        new = text_of(first) or text_of(keyword(call, "new_table_name"))
        if new is None:
            return "new name"
        tables.rename(table, table_of(call, new))
        return None
    if operation == "add_column":
        made = first if first is not None else keyword(call, "column")
        column = column_of(made, table, place.file) if isinstance(made, ast.Call) else None
        if column is None:
            return "column"
        tables.add(column)
        return None
    stated = text_of(first) or text_of(keyword(call, "column_name"))
    if stated is None:
        return "column"
    if operation == "drop_column":
        tables.drop_column(table, stated)
        return None
    return _alter(table, stated, call, tables)


def _create(table: str, arguments: list[ast.expr], place: _Place) -> str | None:
    """Its columns, so far as they are known; constraints are none."""
    parts = [part for part in arguments if not called(part).endswith(("Constraint", "Index"))]
    columns = [
        column_of(part, table, place.file) if isinstance(part, ast.Call) and called(part) == "Column" else None
        for part in parts
    ]
    place.tables.create(table, [column for column in columns if column is not None])
    return "column" if None in columns else None


def _alter(table: str, column: str, call: ast.Call, tables: Tables) -> str | None:
    comment = text_of(keyword(call, "comment"))
    if comment is not None:
        tables.comment(table, column, comment)
    made = keyword(call, "type_")
    renamed = keyword(call, "new_column_name") or keyword(call, "name")
    new = text_of(renamed)
    tables.change(table, column, new_name=new, type=type_of(made) if made is not None else None)
    nothing = renamed is None or (isinstance(renamed, ast.Constant) and renamed.value is None)
    return None if new is not None or nothing else "new name"


def _execute(call: ast.Call, place: _Place) -> Iterator[tuple[int, str]]:
    """SQL in a literal, also one in `text("...")`. What SQLAlchemy makes otherwise (`update()`) declares nothing."""
    argument = call.args[0] if call.args else keyword(call, "sqltext")
    while isinstance(argument, ast.Call) and argument.args:
        plain = called(argument) in ("text", "DDL")
        argument = argument.args[0]
        if not plain and text_of(argument) is None:
            return
    text = text_of(argument)
    if text is not None and argument is not None:
        yield from fold_sql(text.encode(errors="replace"), place.file, place.tables, first_line=argument.lineno)
    elif isinstance(argument, ast.Name | ast.BinOp | ast.JoinedStr) and _may_declare(argument):
        yield call.lineno, "the SQL of execute is not a literal: what it does to tables is not known"


def _may_declare(node: ast.expr) -> bool:
    """Whether a text of which only the beginning may be known can be a statement on tables."""
    while isinstance(node, ast.BinOp):
        node = node.left
    begin = text_of(node.values[0] if isinstance(node, ast.JoinedStr) and node.values else node) or ""
    words = begin.split(None, 1)
    return not words or words[0].upper() in ("CREATE", "ALTER", "DROP", "RENAME", "COMMENT", "DO", "--")
