"""What the names in a function of Python mean, as far as literals say it. Read from the syntax tree, never run."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pii_guard.static.classes import assigned

__all__ = ["Names"]

LONGEST = 1 << 20
"""Characters of a text, put together from several."""
MOST = 10_000
"""Items of a list, put together from several."""
STEPS = 1_000_000
"""Expressions that are looked at for one file: a few lines can describe lists without end."""


@dataclass(slots=True)
class Names:
    """Names and their values at a place of the code. A name that may mean several things has none."""

    values: dict[str, ast.expr] = field(default_factory=dict)
    _left: list[int] = field(default_factory=lambda: [STEPS])
    """One number, which all names of a file share."""

    def spend(self, steps: int) -> bool:
        """Count `steps` more; False where a file has taken all that it may."""
        self._left[0] -= steps
        return self._left[0] > 0

    def inside(self, values: Mapping[str, ast.expr]) -> Names:
        """The same names, of which some have other values."""
        return Names({**self.values, **values}, self._left)

    def follow(self, statement: ast.stmt) -> None:
        """Take in what `statement` assigns; what it changes in another way has no value after it."""
        name, value = assigned(statement)
        if name and value is not None and not (isinstance(statement, ast.Assign) and len(statement.targets) > 1):
            self.values[name] = self.filled(value)
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self.values.pop(statement.name, None)
        else:
            for node in ast.walk(statement):
                if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.value, ast.Name):
                    self.values.pop(node.value.id, None)  # names.append(...), names[0] = ...
                elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                    self.values.pop(node.id, None)

    def each(self, target: ast.expr, iterable: ast.expr) -> Iterator[Names] | None:
        """The names in each round of `for target in iterable`; None where nobody knows what it runs over."""
        items = self.filled(iterable)
        if not isinstance(items, ast.List | ast.Tuple) or any(isinstance(item, ast.Starred) for item in items.elts):
            return None
        return (self._with(target, item) for item in items.elts if self.spend(len(self.values) + 1))

    def _with(self, target: ast.expr, value: ast.expr) -> Names:
        targets, values = [target], [value]
        if isinstance(target, ast.Tuple | ast.List):
            targets, values = target.elts, value.elts if isinstance(value, ast.Tuple | ast.List) else []
        names = self.inside({})
        for part in ast.walk(target):
            if isinstance(part, ast.Name):
                names.values.pop(part.id, None)
        if len(targets) == len(values):
            bound = zip(targets, values, strict=True)
            names.values.update({part.id: given for part, given in bound if isinstance(part, ast.Name)})
        return names

    def filled(self, node: ast.expr) -> ast.expr:
        """`node` with the values of names in it, texts and lists put together; what is not known stays as it is."""
        if isinstance(node, ast.Name):
            return self.values.get(node.id, node)
        try:
            return ast.copy_location(self._filled(node), node) if self.spend(1) else node
        except RecursionError:
            return node

    def _filled(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.List | ast.Tuple):
            return type(node)(elts=list(self._spliced(node.elts)), ctx=ast.Load())
        if isinstance(node, ast.Starred):
            return ast.Starred(self.filled(node.value), ast.Load())
        if isinstance(node, ast.Call):
            keywords = [ast.keyword(given.arg, self.filled(given.value)) for given in node.keywords]
            return ast.Call(node.func, list(self._spliced(node.args)), keywords)
        if isinstance(node, ast.JoinedStr):
            return self._text(node)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self._sum(node)
        if isinstance(node, ast.ListComp | ast.GeneratorExp):
            return self._comprehension(node)
        return node

    def _spliced(self, nodes: Iterable[ast.expr]) -> Iterator[ast.expr]:
        room = MOST
        for node in map(self.filled, nodes):
            inner = node.value if isinstance(node, ast.Starred) else None
            if isinstance(inner, ast.List | ast.Tuple) and len(inner.elts) <= room:
                room -= len(inner.elts)
                yield from inner.elts
            else:
                yield node

    def _text(self, node: ast.JoinedStr) -> ast.expr:
        texts = []
        for part in node.values:
            plain = isinstance(part, ast.FormattedValue) and part.conversion == -1 and part.format_spec is None
            value = self.filled(part.value) if isinstance(part, ast.FormattedValue) and plain else part
            if not isinstance(value, ast.Constant) or not isinstance(value.value, str | int):
                return node
            texts.append(str(value.value))
        return ast.Constant("".join(texts)) if sum(map(len, texts)) <= LONGEST else node

    def _sum(self, node: ast.BinOp) -> ast.expr:
        left, right = self.filled(node.left), self.filled(node.right)
        if isinstance(left, ast.List | ast.Tuple) and type(left) is type(right):
            both = [*left.elts, *right.elts]
            return type(left)(elts=both, ctx=ast.Load()) if len(both) <= MOST else node
        if isinstance(left, ast.Constant) and isinstance(right, ast.Constant):
            one, other = left.value, right.value
            if isinstance(one, str) and isinstance(other, str) and len(one) + len(other) <= LONGEST:
                return ast.Constant(one + other)
        return node

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp) -> ast.expr:
        over = node.generators[0]
        rounds = self.each(over.target, over.iter) if len(node.generators) == 1 and not over.ifs else None
        if rounds is None:
            return node
        items = [names.filled(node.elt) for names in rounds]
        return ast.List(elts=items, ctx=ast.Load()) if self.spend(1) else node
