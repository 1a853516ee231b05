"""Django models, from syntax trees. The files are never imported. Migrations are not read: models say where they lead.

Fields of abstract models count for each model below them, wherever in the repository they stand, and so do those of
Django's own `AbstractUser`. A proxy has no table.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pii_guard.static.classes import MOST_BASES, Class, Classes, Module, assigned
from pii_guard.static.models import stated
from pii_guard.static.python_columns import called, keyword, text_of, width_of
from pii_guard.static.schema import Column, Spot, Type

__all__ = ["tables_of"]

_FAMILIES = {
    **dict.fromkeys(("CharField", "EmailField", "SlugField", "URLField", "TextField", "FilePathField"), "text"),
    **dict.fromkeys(("FileField", "ImageField"), "text"),
    "BinaryField": "binary",
    **dict.fromkeys(("AutoField", "BigAutoField", "SmallAutoField", "IntegerField", "BigIntegerField"), "number"),
    **dict.fromkeys(("SmallIntegerField", "PositiveIntegerField", "PositiveBigIntegerField"), "number"),
    **dict.fromkeys(("PositiveSmallIntegerField", "DecimalField", "FloatField"), "number"),
    **dict.fromkeys(("DateField", "DateTimeField", "TimeField", "DurationField"), "time"),
    **dict.fromkeys(("BooleanField", "NullBooleanField"), "bool"),
    **dict.fromkeys(("UUIDField", "GenericIPAddressField"), "other"),
}
_WIDTHS = {"EmailField": 254, "SlugField": 50, "URLField": 200, "FileField": 100, "ImageField": 100}
"""Of fields that state none (Django's documentation, Model field reference)."""
_REFERENCES = ("ForeignKey", "OneToOneField")
_OF_USERS = {
    "AbstractBaseUser": {"password": 128},
    "AbstractUser": {"password": 128, "username": 150, "first_name": 150, "last_name": 150, "email": 254},
}
"""Fields of text that Django's own bases of users have, and their widths."""


def tables_of(classes: Classes) -> Iterator[tuple[str, list[Column]]]:
    """(table, columns) for each model that has a table."""
    for model in classes:
        if _is_model(model, classes) and not _says(model.node, "abstract") and not _says(model.node, "proxy"):
            table = _table(model)
            yield table, list(_columns(model, table, classes, set()))


def _is_model(of: Class, classes: Classes) -> bool:
    return any(
        (isinstance(base, ast.Attribute) and base.attr == "Model" and called(base.value) == "models")
        or called(base) in _OF_USERS
        for known in classes.lineage(of)
        for base in known.node.bases
    )


def _meta(node: ast.ClassDef, name: str) -> ast.expr | None:
    """What `class Meta` of a model assigns to `name`."""
    inner = (part for part in node.body if isinstance(part, ast.ClassDef) and part.name == "Meta")
    return next((value for part in inner if (value := stated(part, name)) is not None), None)


def _says(node: ast.ClassDef, name: str) -> bool:
    return getattr(_meta(node, name), "value", False) is True


def _table(model: Class) -> str:
    """`db_table`, or `APP_MODEL`: the application is that of the file, its folder, or the one above `models/`."""
    named = text_of(_meta(model.node, "db_table"))
    if named:
        return named.replace('"', "")  # "schema"."table", as Oracle and PostgreSQL are told schemas
    folders = model.module.parts
    folders = folders[: folders.index("models")] if "models" in folders else folders[:-1]
    label = text_of(_meta(model.node, "app_label")) or (folders[-1] if folders else "")
    return "_".join(part for part in (label, model.node.name.lower()) if part)


def _columns(of: Class, table: str, classes: Classes, seen: set[Class]) -> Iterator[Column]:
    seen.add(of)
    for base in classes.bases(of):
        if base not in seen and len(seen) < MOST_BASES and _says(base.node, "abstract"):
            yield from _columns(base, table, classes, seen)
    for expression in of.node.bases:
        for name, width in _OF_USERS.get(called(expression), {}).items():
            yield Column(table, name, Type(f"CharField({width})", "text", width), Spot(of.module.file, of.node.lineno))
    for statement in of.node.body:
        name, value = assigned(statement)
        if name and isinstance(value, ast.Call):
            column = _column(name, value, table, of.module, statement.lineno)
            if column is not None:
                yield column


def _column(name: str, call: ast.Call, table: str, module: Module, line: int) -> Column | None:
    field = called(call)
    if not (field.endswith("Field") or field in _REFERENCES) or field == "ManyToManyField":
        return None
    stored = text_of(keyword(call, "db_column")) or (f"{name}_id" if field in _REFERENCES else name)
    family = _FAMILIES.get(field, "")
    width = width_of(call, "max_length") or _WIDTHS.get(field) if family in ("text", "binary") else None
    said = [keyword(call, "db_comment"), keyword(call, "verbose_name"), *call.args[: field not in _REFERENCES]]
    comment = next((text for part in said if (text := _translated(part))), None)
    shown = f"{field}({width})" if width is not None else field
    return Column(table, stored, Type(shown, family, width), Spot(module.file, line), comment)


def _translated(node: ast.expr | None) -> str | None:
    """The text of a literal, or of one in `_("...")`."""
    return text_of(node.args[0] if isinstance(node, ast.Call) and node.args else node)
