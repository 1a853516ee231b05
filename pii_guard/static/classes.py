"""Classes and names of all modules of a repository, found across files by their imports. Nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TypeVar

from pii_guard.static.python_columns import called

__all__ = ["MOST_BASES", "Class", "Classes", "Module", "assigned"]

MOST_BASES = 64
"""Classes that are looked at for one that derives from them, so that whatever a repository holds comes to an end."""

Known = TypeVar("Known")


@dataclass(frozen=True, slots=True, eq=False)
class Module:
    """A file of Python and its syntax tree."""

    file: str
    tree: ast.Module

    @property
    def parts(self) -> tuple[str, ...]:
        """`app/models/__init__.py` -> `app`, `models`."""
        path = PurePosixPath(self.file).with_suffix("")
        return path.parts[:-1] if path.name == "__init__" else path.parts


@dataclass(frozen=True, slots=True, eq=False)
class Class:
    """A class and the module that it stands in."""

    node: ast.ClassDef
    module: Module


@dataclass(slots=True)
class Classes:
    """Finds what a name means in a module: what the module has itself, else what it imports, by the end of its path."""

    modules: Sequence[Module]
    _classes: dict[str, dict[Module, Class]] = field(default_factory=dict)
    _values: dict[str, dict[Module, ast.expr]] = field(default_factory=dict)
    _imports: dict[Module, dict[str, tuple[str, str]]] = field(default_factory=dict)
    _lineages: dict[Class, list[Class]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for module in self.modules:
            self._imports[module] = dict(_imported(module.tree))
            for node in ast.walk(module.tree):
                if isinstance(node, ast.ClassDef):
                    self._classes.setdefault(node.name, {})[module] = Class(node, module)
            for statement in module.tree.body:
                name, value = assigned(statement)
                if value is not None:
                    self._values.setdefault(name, {})[module] = value

    def __iter__(self) -> Iterator[Class]:
        """All classes, by their modules and lines."""
        places = {module: place for place, module in enumerate(self.modules)}
        found = [known for homes in self._classes.values() for known in homes.values()]
        yield from sorted(found, key=lambda known: (places[known.module], known.node.lineno))

    def bases(self, of: Class) -> Iterator[Class]:
        """The classes that `of` derives from directly and that the repository has, in their order."""
        for base in of.node.bases:
            found = self._found(called(base), of.module, self._classes)
            if found is not None and found is not of:
                yield found

    def lineage(self, of: Class) -> list[Class]:
        """`of` and all that it derives from, each once, nearest first; no more than `MOST_BASES`."""
        line = self._lineages.get(of)
        if line is None:
            line = self._lineages[of] = [of]
            for known in line:  # grows on the way
                bases = [base for base in dict.fromkeys(self.bases(known)) if base not in line]
                line += bases[: MOST_BASES - len(line)]
        return line

    def value(self, name: str, module: Module) -> ast.expr | None:
        """What a module, or the one that it imports `name` from, assigns to it at its top."""
        return self._found(name, module, self._values)

    def _found(self, name: str, module: Module, known: dict[str, dict[Module, Known]]) -> Known | None:
        path, name = self._imports[module].get(name, (None, name))
        homes = known.get(name, {})
        if path is None and module in homes:
            return homes[module]
        able = [home for home in homes if home is not module and (path is None or _may_be(home, path, module))]
        if path is None and len(able) > 1:  # a star, or a name that is none of this repository
            return None
        nearest = max(able, key=lambda home: _shared(home.parts, module.parts), default=None)
        return None if nearest is None else homes[nearest]


def assigned(statement: ast.stmt) -> tuple[str, ast.expr | None]:
    """The name and the value of `name = value` and `name: type = value`; an empty name for all else."""
    if not isinstance(statement, ast.Assign | ast.AnnAssign):
        return "", None
    target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
    return (target.id, statement.value) if isinstance(target, ast.Name) else ("", None)


def _imported(tree: ast.Module) -> Iterator[tuple[str, tuple[str, str]]]:
    """Name in the module -> (dotted path, name there), of `from PATH import NAME`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, ("." * node.level + (node.module or ""), alias.name)


def _may_be(home: Module, path: str, module: Module) -> bool:
    """Whether a name imported from `path` in `module` may be that of `home`, itself or handed on by a package."""
    steps = tuple(part for part in path.split(".") if part)
    if not steps:
        return home.parts[: len(module.parts) - 1] == module.parts[:-1]
    known = min(len(steps), len(home.parts))
    return home.parts[-known:] == steps[-known:] or steps[-1] in home.parts


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """How many of their first parts are the same."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
