"""Read a policy file: `pii-guard.toml`, or `[tool.pii-guard]` in pyproject.toml, with what it extends."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args
from unicodedata import normalize

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pii_guard.errors import PolicyError, did_you_mean
from pii_guard.policy.extending import extended, merged
from pii_guard.policy.finding import PYPROJECT, section_of
from pii_guard.policy.models import Policy
from pii_guard.toml_files import place_text, read_toml

__all__ = ["load", "parse"]

_PLAIN_WORDS = {
    "missing": "is missing",
    "string_type": "must be text in quotes",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "tuple_type": 'must be a list, such as ["..."]',
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "greater_than_equal": "must be {ge} or more",
    "date_type": "must be a date without quotes, such as 2027-03-31",
    "literal_error": "must be {expected}",
    "value_error": "{error}",
}
"""pydantic's types of error in words that make sense to the writer of a TOML file."""


def load(path: Path) -> Policy:
    """The policy in the file `path`, with what it extends.

    Raises PolicyError with every mistake in it at once, each with its place; mistakes in a file that it extends are
    those of that file.
    """
    return _load(path, (), {})


def parse(document: Mapping[str, Any], source: str, folder: Path | None = None) -> Policy:
    """The policy of a TOML document already read; `source` stands before each mistake. Raises as `load`.

    Files that it extends are looked for in `folder`, by default the working directory.
    """
    return _parse(document, source, folder or Path.cwd(), (), {})


def _load(path: Path, opened: tuple[Path, ...], known: dict[Path, Policy]) -> Policy:
    """`opened`: the files on the way here. `known`: those that were read whole, so that each is read once."""
    document = read_toml(path)
    if path.name != PYPROJECT:
        return _parse(document, str(path), path.parent, (*opened, path.resolve()), known)
    section = section_of(document)
    if not isinstance(section, dict):
        raise PolicyError(str(path), ["has no table [tool.pii-guard]"])
    return _parse(section, f"{path} [tool.pii-guard]", path.parent, (*opened, path.resolve()), known)


def _parse(
    document: Mapping[str, Any], source: str, folder: Path, opened: tuple[Path, ...], known: dict[Path, Policy]
) -> Policy:
    document = _composed(document)
    version = document.get("version")
    if type(version) is int and version > 1:  # its other keys may be new ones: no use to complain about them
        raise PolicyError(source, [f"version: {version} is newer than this pii-guard reads (1)"])
    paths, problems = extended(document, folder, opened)
    for path in paths:
        if path.resolve() not in known:
            known[path.resolve()] = _load(path, opened, known)
    bases = tuple(known[path.resolve()] for path in paths)
    declared = {name: set(table) for name, table in document.items() if isinstance(table, dict)}
    for base in bases:
        for name in type(base).model_fields:
            table = getattr(base, name)
            if isinstance(table, dict):
                declared.setdefault(name, set()).update(table)
    try:
        own = Policy.model_validate(document, context=declared)
    except ValidationError as error:
        raise PolicyError(source, [*problems, *_problems(error)]) from None
    if problems:
        raise PolicyError(source, problems)
    return merged(own, bases)


def _composed(value: Any) -> Any:
    """All text in NFC: an editor may store the same Hangul name as syllables or as letters."""
    if isinstance(value, str):
        return normalize("NFC", value)
    if isinstance(value, Mapping):
        return {normalize("NFC", key): _composed(item) for key, item in value.items()}
    return [_composed(item) for item in value] if isinstance(value, list) else value


def _problems(error: ValidationError) -> Iterator[str]:
    for detail in error.errors(include_url=False):
        place = detail["loc"]
        if place[-1] == "[key]":  # pydantic's mark for a wrong key of a table
            place = place[:-1]
        yield f"{place_text(place)}: {_text(detail)}"


def _text(detail: ErrorDetails) -> str:
    if detail["type"] == "extra_forbidden":
        return f"unknown key{did_you_mean(str(detail['loc'][-1]), _known_keys(detail['loc']))}"
    words = _PLAIN_WORDS.get(detail["type"])
    if words is None:
        return json.dumps(detail["msg"], ensure_ascii=False)[1:-1]  # one line, whatever the library says
    text = words.format(**detail.get("ctx", {}))
    if detail["type"] == "literal_error" and isinstance(detail["input"], str):
        text += did_you_mean(detail["input"], re.findall(r"'([^']*)'", detail["ctx"]["expected"]))
    return text


def _known_keys(place: tuple[int | str, ...]) -> Iterable[str]:
    """The keys that the form knows where the unknown key `place[-1]` stands."""
    model: type[BaseModel] = Policy
    for part in place[:-1]:
        field = model.model_fields.get(str(part))  # names of entries and numbers of a list are no members
        if field is not None:
            model = next(_models(field.annotation), model)
    return model.model_fields


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)
