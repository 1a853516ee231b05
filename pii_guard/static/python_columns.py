"""Columns as SQLAlchemy writes them in Python (`Column("phone", String(20))`), read from the syntax tree alone."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator

from pii_guard.static.schema import Column, Spot, Type, table_name

__all__ = [
    "called",
    "column_of",
    "keyword",
    "known_type",
    "mapped",
    "names_in",
    "parsed",
    "table_of",
    "text_of",
    "type_of",
    "width_of",
]

_TEXT = {
    "String",
    "Unicode",
    "VARCHAR",
    "NVARCHAR",
    "CHAR",
    "NCHAR",
    "Text",
    "UnicodeText",
    "TEXT",
    "CLOB",
    "CITEXT",
    "str",
}
_BINARY = {"LargeBinary", "BINARY", "VARBINARY", "BLOB", "BYTEA", "bytes"}
_NUMBER = {
    *("Integer", "BigInteger", "SmallInteger", "INTEGER", "BIGINT", "SMALLINT", "Numeric", "NUMERIC", "DECIMAL"),
    *("Float", "Double", "FLOAT", "REAL", "DOUBLE", "int", "float", "Decimal"),
}
_TIME = {"Date", "DateTime", "Time", "Interval", "TIMESTAMP", "DATE", "DATETIME", "TIME", "date", "datetime", "time"}
_BOOL = {"Boolean", "BOOLEAN", "bool"}
_OTHER = {"UUID", "Uuid", "Enum", "ENUM", "INET", "CIDR", "MACADDR"}
_FAMILIES = {
    **dict.fromkeys(_TEXT, "text"),
    **dict.fromkeys(_BINARY, "binary"),
    **dict.fromkeys(_NUMBER, "number"),
    **dict.fromkeys(_TIME, "time"),
    **dict.fromkeys(_BOOL, "bool"),
    **dict.fromkeys(_OTHER, "other"),
}


def parsed(data: bytes) -> ast.Module | str:
    """The syntax tree of a file of Python, or why there is none, in words that quote nothing of it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in strings, which are for the author of the file
            return ast.parse(data)
    except SyntaxError as error:
        return f"line {error.lineno or 1} is no Python that this version reads"
    except (ValueError, RecursionError, MemoryError):
        return "is no Python that this version reads"


def called(node: ast.AST | None) -> str:
    """The last part of the name of what a call calls, or that a name or attribute has: `Column` of `sa.Column(...)`."""
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Subscript):
        node = node.value
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def text_of(node: ast.AST | None) -> str | None:
    """The text of a literal, also one of several literals side by side; None for what is none."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """The value of a keyword argument."""
    return next((given.value for given in call.keywords if given.arg == name), None)


def column_of(
    call: ast.Call,
    table: str,
    file: str,
    *,
    name: str | None = None,
    type: Type | None = None,
    spot: Spot | None = None,
) -> Column | None:
    """The column that a call of `Column` or `mapped_column` makes. `name` and `type` hold where it states none; `spot`:
    where it is declared, if the call stands elsewhere."""
    stated = text_of(call.args[0]) if call.args else text_of(keyword(call, "name"))
    name = stated or name
    if name is None:
        return None
    found = _stated_type([*call.args, keyword(call, "type_")]) or type or Type()
    return Column(table, name, found, spot or Spot(file, call.lineno), text_of(keyword(call, "comment")))


def _stated_type(arguments: list[ast.expr | None]) -> Type | None:
    for argument in arguments:
        family = _FAMILIES.get(called(argument))
        if argument is not None and family is not None:
            return type_of(argument)
    return None


def type_of(node: ast.expr) -> Type:
    """The type that an expression such as `String(20)` or `sa.Text` makes."""
    name = called(node)
    width = width_of(node, "length", *node.args) if isinstance(node, ast.Call) else None
    family = _FAMILIES.get(name, "")
    shown = f"{name}({width})" if width is not None else name
    return Type(shown, family, width if family in ("text", "binary") else None)


def width_of(call: ast.Call, name: str, *arguments: ast.expr) -> int | None:
    """The first whole number among `arguments` and the value of the keyword `name`."""
    sizes = [*arguments, keyword(call, name)]
    return next((size.value for size in sizes if isinstance(size, ast.Constant) and type(size.value) is int), None)


def known_type(name: str) -> Type | None:
    """The type that a plain name such as `str` means."""
    return Type(name, _FAMILIES[name]) if name in _FAMILIES else None


def mapped(node: ast.expr | None) -> ast.expr | None:
    """What stands in `Mapped[...]`; None of any other annotation."""
    node = _unquoted(node)
    return _unquoted(node.slice) if isinstance(node, ast.Subscript) and called(node) == "Mapped" else None


def _unquoted(node: ast.expr | None) -> ast.expr | None:
    """The annotation that a literal holds, such as `"str | None"`; anything else as it is."""
    text = text_of(node)
    if text is None:
        return node
    tree = parsed(text.strip().encode(errors="replace"))
    first = tree.body[0] if isinstance(tree, ast.Module) and tree.body else None
    return first.value if isinstance(first, ast.Expr) else node


def names_in(node: ast.expr) -> Iterator[str]:
    """The plain names in a type: of `Optional[str]`, `str | None` and `Annotated[str, ...]`; of a list none."""
    parts = [node]
    while parts:
        part = parts.pop()
        if isinstance(part, ast.BinOp):
            parts += [part.right, part.left]
        elif isinstance(part, ast.Subscript) and called(part) in ("Optional", "Annotated"):
            inner = part.slice
            parts.append(inner.elts[0] if isinstance(inner, ast.Tuple) and inner.elts else inner)
        elif isinstance(part, ast.Name | ast.Attribute):
            yield called(part)


def table_of(call: ast.Call, name: str) -> str:
    """The name of a table with the schema that the keyword `schema` of `call` gives."""
    return table_name(text_of(keyword(call, "schema")) or "", name)
