"""Alembic migrations: the operations of `upgrade()`, in the order of their revisions. The files are never imported."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

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
    """Carry out what `upgrade()` does on `tables`. Gives (line, reason) for SQL in it that is not understood."""
    for node in revision.tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "upgrade":
            yield from _body(node.body, revision.file, tables, None)


def _body(body: list[ast.stmt], file: str, tables: Tables, batch: str | None) -> Iterator[tuple[int, str]]:
    for node in body:
        if isinstance(node, ast.With):
            yield from _body(node.body, file, tables, _batch(node) or batch)
        elif isinstance(node, ast.If | ast.For | ast.While | ast.Try):
            yield from _body([*node.body, *node.orelse], file, tables, batch)
        elif isinstance(node, ast.Expr | ast.Assign) and isinstance(node.value, ast.Call):
            yield from _operation(node.value, file, tables, batch)


def _batch(node: ast.With) -> str | None:
    """The table of `with op.batch_alter_table("t") as batch_op`."""
    for item in node.items:
        call = item.context_expr
        if isinstance(call, ast.Call) and called(call) == "batch_alter_table" and call.args:
            name = text_of(call.args[0])
            return table_of(call, name) if name else None
    return None


def _operation(call: ast.Call, file: str, tables: Tables, batch: str | None) -> Iterator[tuple[int, str]]:
    operation = called(call)
    arguments: list[ast.expr] = list(call.args)
    if operation == "execute":
        yield from _execute(arguments, file, tables)
        return
    if batch is None or operation in ("create_table", "drop_table", "rename_table"):
        name = text_of(arguments.pop(0)) if arguments else text_of(keyword(call, "table_name"))
        if name is None:
            return
        table = table_of(call, name)
    else:
        table = batch
    first = arguments[0] if arguments else None
    stated = text_of(first) or text_of(keyword(call, "column_name")) or ""
    if operation == "create_table":
        calls = [part for part in arguments if isinstance(part, ast.Call) and called(part) == "Column"]
        columns = [column_of(part, table, file) for part in calls]
        tables.create(table, [column for column in columns if column is not None])
    elif operation == "drop_table":
        tables.drop(table)
    elif operation == "rename_table":
        new = text_of(first) or text_of(keyword(call, "new_table_name"))
        if new:
            tables.rename(table, table_of(call, new))
    elif operation == "add_column":
        made = first if isinstance(first, ast.Call) else keyword(call, "column")
        column = column_of(made, table, file) if isinstance(made, ast.Call) else None
        if column is not None:
            tables.add(column)
    elif operation == "drop_column":
        tables.drop_column(table, stated)
    elif operation == "alter_column":
        made = keyword(call, "type_")
        comment = text_of(keyword(call, "comment"))
        if comment is not None:
            tables.comment(table, stated, comment)
        new_type = type_of(made) if made is not None else None
        new = text_of(keyword(call, "new_column_name")) or text_of(keyword(call, "name"))
        tables.change(table, stated, new_name=new, type=new_type)


def _execute(arguments: list[ast.expr], file: str, tables: Tables) -> Iterator[tuple[int, str]]:
    """SQL in a literal, also one in `text("...")`."""
    for argument in arguments[:1]:
        if isinstance(argument, ast.Call) and argument.args:
            argument = argument.args[0]
        text = text_of(argument)
        if text is not None:
            yield from fold_sql(text.encode(errors="replace"), file, tables, first_line=argument.lineno)
