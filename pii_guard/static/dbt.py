"""dbt properties (`schema.yml`): the columns of models, sources, seeds and snapshots, and the tags in their `meta`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from pii_guard.static.schema import Column, Spot, Type
from pii_guard.tags import from_mapping

__all__ = ["META", "tables_of"]

META = "pii_guard"
"""The member of `meta` that holds a tag: its members are those of the sidecar file."""
MOST_MEMBERS = 10_000
"""Members of a mapping after merging."""
_LISTS = ("models", "seeds", "snapshots")


def tables_of(data: bytes, file: str) -> Iterator[tuple[str, list[Column]] | str]:
    """(table, its columns) for each model, and a reason for what could not be read, which quotes nothing."""
    try:
        document = _Lines(data).get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        yield f"line {mark.line + 1} is no YAML" if mark is not None else "is no YAML"
        return
    except (RecursionError, ValueError):
        yield "is no YAML that can be read"
        return
    if not isinstance(document, dict):
        return
    models = [model for name in _LISTS for model in _list(document.get(name))]
    sources = [source for source in _list(document.get("sources")) if isinstance(source, dict)]
    models += [table for source in sources for table in _list(source.get("tables"))]
    for model in models:
        if isinstance(model, dict) and isinstance(model.get("name"), str):
            for table, entries in _relations(model):
                columns = []
                for entry in entries:
                    made = _column(entry, table, file)
                    if isinstance(made, Column):
                        columns.append(made)
                    elif made is not None:
                        yield made
                yield table, columns


def _relations(model: dict[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """The tables of a model as the database calls them (`identifier`, `alias`, `NAME_vN`), with their columns."""
    name = _called(model, model["name"])
    entries = _list(model.get("columns"))
    versions = [version for version in _list(model.get("versions")) if isinstance(version, dict) and "v" in version]
    if not versions:
        yield name, entries
    for version in versions:
        own = _list(version["columns"]) if "columns" in version else [{"include": "all"}]
        taken = [part for part in own if isinstance(part, dict) and "include" in part]
        kept = [entry for entry in entries if any(_includes(part, entry) for part in taken)]
        yield _called(version, f"{name}_v{version['v']}"), [*kept, *(part for part in own if part not in taken)]


def _called(entry: dict[str, Any], name: str) -> str:
    configured = entry.get("config")
    alias = configured.get("alias") if isinstance(configured, dict) else None
    stated = entry.get("identifier", alias)
    return stated if isinstance(stated, str) and stated else name


def _includes(part: dict[str, Any], entry: object) -> bool:
    """Whether `include: all` or a list, less `exclude`, takes a column of the model into a version."""
    name = entry.get("name") if isinstance(entry, dict) else None
    wanted = part["include"]
    return (wanted in ("all", "*") or name in _list(wanted)) and name not in _list(part.get("exclude"))


class _Lines(yaml.SafeLoader):
    """Makes each mapping know its line, under the key None."""

    def mapping(self, node: yaml.MappingNode) -> dict[Any, Any]:
        return {**self.construct_mapping(node, deep=True), None: node.start_mark.line + 1}

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """As YAML merges mappings (`<<: *other`), but not without end: each level may multiply what is below."""
        super().flatten_mapping(node)
        if len(node.value) > MOST_MEMBERS:
            raise yaml.constructor.ConstructorError(None, None, "merged too often", node.start_mark)


_Lines.add_constructor("tag:yaml.org,2002:map", _Lines.mapping)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _column(entry: object, table: str, file: str) -> Column | str | None:
    """The column of an entry, or why its tag is wrong."""
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return None
    line = entry[None]
    configured = entry.get("config")
    carriers = (entry.get("meta"), configured.get("meta") if isinstance(configured, dict) else None)
    stated = next((meta[META] for meta in carriers if isinstance(meta, dict) and META in meta), None)
    tag = None
    if stated is not None:
        if not isinstance(stated, dict):
            return f"line {line}: meta.{META} must be a mapping with the members of a tag"
        tag, mistakes = from_mapping({name: value for name, value in stated.items() if name is not None})
        if mistakes:
            name, problem = mistakes[0]
            return f"line {line}: meta.{META}: {name}: {problem}"
    said = entry.get("description")
    kind = entry.get("data_type")
    shown = Type(kind) if isinstance(kind, str) else Type()
    return Column(table, entry["name"], shown, Spot(file, line), said if isinstance(said, str) else None, tag)
