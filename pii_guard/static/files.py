"""From the files of a repository to what they declare."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pii_guard.connectors.base import FileSource, Source
from pii_guard.connectors.encoding import Utf8Blocks
from pii_guard.reports import NotExamined
from pii_guard.static.schema import Column, Schema, Tables

__all__ = ["Repository"]

LONGEST = {".sql": 256 << 20, ".py": 4 << 20, ".yml": 4 << 20, ".yaml": 4 << 20}
"""Suffixes of files that may declare tables, and bytes of one that is read for that."""

MIGRATIONS = frozenset({"migrations", "migration", "migrate", "versions", "flyway", "changelog"})
"""Folders whose files, however deep, are one sequence of changes. Files elsewhere are one with those beside them."""

_UNDOES = re.compile(r"(?i)(?:\.down|\.undo|[._-]rollback|[._-]revert)\.sql\Z|\AU\d[\d._]*__")
_FLYWAY = re.compile(r"([VBR])([\d._]*)__")
_NUMBER = re.compile(r"(\d+)")
# A look at the bytes spares nearly all files a parser.
_ALEMBIC = (b"down_revision", b"def upgrade")
_MODELS = re.compile(
    rb"__tablename__|\b(?:Column|mapped_column)\s*\(|\bMapped\[|\bmodels\.\w*(?:Model|Field)\b|\bSQLModel\b"
)
_DBT = re.compile(rb"(?m)^\s*-?\s*columns\s*:")
_DBT_LISTS = re.compile(rb"(?m)^(?:models|sources|seeds|snapshots)\s*:")


@dataclass(slots=True)
class Repository:
    """Collects the files of a walk that may declare tables, and folds them once all are there."""

    sql: dict[str, list[tuple[str, Path]]] = field(default_factory=dict)
    """Folder of a sequence -> its files, as shown and where they are."""
    python: list[tuple[str, Path]] = field(default_factory=list)
    yaml: list[tuple[str, Path]] = field(default_factory=list)

    def see(self, source: Source, shown: str) -> None:
        """Take note of a file of the walk; of other sources nothing."""
        if not isinstance(source, FileSource) or source.resource.path is None:
            return
        suffix, path = source.resource.suffix, source.resource.path
        if suffix == ".sql":
            if not _UNDOES.search(path.name):
                self.sql.setdefault(_sequence(path), []).append((shown, path))
        elif suffix == ".py":
            self.python.append((shown, path))
        elif suffix in (".yml", ".yaml"):
            self.yaml.append((shown, path))

    def schema(self) -> Schema:
        """What the files declare: migrations first, so that a column that several declare is shown where it is made."""
        parts = [*self._sql(), *self._python(), *self._yaml()]
        columns: dict[tuple[str, str], Column] = {}
        for part in parts:
            for column in part.columns:
                columns.setdefault((column.table.lower(), column.name.lower()), column)
        tables = frozenset[str]().union(*(part.tables for part in parts))
        tagged = _with_tags(columns, parts)
        return Schema(tagged, tables, tuple(item for part in parts for item in part.not_examined))

    def _sql(self) -> Iterator[Schema]:
        if not self.sql:
            return
        from pii_guard.static.sql import fold_sql  # sqlglot, for repositories that have SQL

        for _, files in sorted(self.sql.items()):
            tables, unread = Tables(), []
            for shown, path in sorted(files, key=lambda file: _order(file[1])):
                data = _read(shown, path)
                if isinstance(data, NotExamined):
                    unread.append(data)
                    continue
                unread += [NotExamined(shown, f"line {line}: {why}") for line, why in fold_sql(data, shown, tables)]
            yield tables.schema(unread)

    def _python(self) -> Iterator[Schema]:
        if not self.python:
            return
        from pii_guard.static import django, models
        from pii_guard.static.classes import Classes, Module
        from pii_guard.static.python_columns import parsed

        revisions: dict[str, list[tuple[str, Path, bytes]]] = {}
        tables, unread, modules = Tables(), [], []
        for shown, path in self.python:
            data = _read(shown, path)
            if isinstance(data, NotExamined):
                unread.append(data)
            elif all(words in data for words in _ALEMBIC):
                revisions.setdefault(_sequence(path), []).append((shown, path, data))
            elif _MODELS.search(data):
                tree = parsed(data)
                if isinstance(tree, str):
                    unread.append(NotExamined(shown, tree))
                else:
                    modules.append(Module(shown, tree))
        classes = Classes(modules)
        for _, columns in (*models.tables_of(classes), *django.tables_of(classes)):
            for column in columns:
                tables.add(column)
        for files in revisions.values():
            yield _folded(files)
        yield tables.schema(unread)

    def _yaml(self) -> Iterator[Schema]:
        tables, unread = Tables(), []
        for shown, path in self.yaml:
            data = _read(shown, path)
            if isinstance(data, NotExamined):
                unread.append(data)
            elif _DBT.search(data) and _DBT_LISTS.search(data):
                from pii_guard.static import dbt  # PyYAML, for repositories that have such a file

                for found in dbt.tables_of(data, shown):
                    if isinstance(found, str):
                        unread.append(NotExamined(shown, found))
                    else:
                        for column in found[1]:
                            tables.add(column)
        part = tables.schema(unread)
        yield Schema(part.columns, frozenset(), part.not_examined)  # they need not name all columns


def _folded(files: list[tuple[str, Path, bytes]]) -> Schema:
    from pii_guard.static import alembic
    from pii_guard.static.python_columns import parsed

    tables, unread, revisions = Tables(), [], []
    for shown, _, data in files:
        tree = parsed(data)
        if isinstance(tree, str):
            unread.append(NotExamined(shown, tree))
        elif (revision := alembic.revision_of(tree, shown)) is not None:
            revisions.append(revision)
    for revision in alembic.in_order(revisions):
        unread += [
            NotExamined(revision.file, f"line {line}: {why}") for line, why in alembic.fold_revision(revision, tables)
        ]
    return tables.schema(unread)


def _with_tags(columns: dict[tuple[str, str], Column], parts: list[Schema]) -> tuple[Column, ...]:
    """The columns, each with the tag that any of its declarations has."""
    from dataclasses import replace

    for part in parts:
        for column in part.columns:
            key = (column.table.lower(), column.name.lower())
            if column.tag is not None and columns[key].tag is None:
                columns[key] = replace(columns[key], tag=column.tag)
    return tuple(columns[key] for key in sorted(columns))


def _read(shown: str, path: Path) -> bytes | NotExamined:
    """The text of a file as UTF-8. What cannot be read is named by the scan of the file already."""
    limit = LONGEST[path.suffix.lower()]
    try:
        if path.stat().st_size > limit:
            return NotExamined(shown, f"is longer than {limit >> 20} MB: the tables that it declares are not read")
        with path.open("rb") as file:
            return b"".join(Utf8Blocks(file))
    except OSError:
        return b""


def _sequence(path: Path) -> str:
    """The folder whose files are one sequence of changes with `path`."""
    for number, part in enumerate(path.parts[:-1]):
        if part.lower() in MIGRATIONS:
            return PurePosixPath(*path.parts[: number + 1]).as_posix()
    return path.parent.as_posix()


def _order(path: Path) -> tuple[int, list[tuple[int, int, str]], str]:
    """As tools for migrations order their files: Flyway by version, repeatable ones last; others by their numbers."""
    flyway = _FLYWAY.match(path.name)
    if flyway:
        last = int(flyway[1] == "R")
        return last, _natural(re.sub(r"[._]+", ".", flyway[2])), path.name
    return 0, _natural(path.as_posix()), path.name


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Numbers as numbers: `2` before `10`."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in _NUMBER.split(text) if part]
