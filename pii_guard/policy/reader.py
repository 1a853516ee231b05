"""Read a policy file: `pii-guard.toml`, or `[tool.pii-guard]` in pyproject.toml."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unicodedata import normalize

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pii_guard.errors import PolicyError
from pii_guard.policy.finding import PYPROJECT, section_of
from pii_guard.policy.models import Policy, known_keys
from pii_guard.tags import did_you_mean, place_text, read_toml

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
    "date_type": "must be a date without quotes, such as 2027-03-31",
    "literal_error": "must be {expected}",
    "value_error": "{error}",
}
"""pydantic's types of error in words that make sense to the writer of a TOML file."""


def load(path: Path) -> Policy:
    """The policy in the file `path`. Raises PolicyError with every mistake in it at once, each with its place."""
    document = read_toml(path)
    if path.name != PYPROJECT:
        return parse(document, str(path))
    section = section_of(document)
    if not isinstance(section, dict):
        raise PolicyError(str(path), ["has no table [tool.pii-guard]"])
    return parse(section, f"{path} [tool.pii-guard]")


def parse(document: Mapping[str, Any], source: str) -> Policy:
    """The policy of a TOML document already read; `source` stands before each mistake. Raises as `load`."""
    document = _composed(document)
    version = document.get("version")
    if type(version) is int and version > 1:  # its other keys may be new ones: no use to complain about them
        raise PolicyError(source, [f"version: {version} is newer than this pii-guard reads (1)"])
    declared = {name: tuple(table) for name, table in document.items() if isinstance(table, dict)}
    try:
        return Policy.model_validate(document, context=declared)
    except ValidationError as error:
        raise PolicyError(source, list(_problems(error))) from None


def _composed(value: Any) -> Any:
    """All text in NFC: an editor may store the same Hangul name as syllables or as letters."""
    if isinstance(value, str):
        return normalize("NFC", value)
    if isinstance(value, Mapping):
        return {normalize("NFC", key): _composed(item) for key, item in value.items()}
    return [_composed(item) for item in value] if isinstance(value, list) else value


def _problems(error: ValidationError) -> Iterator[str]:
    for detail in error.errors(include_url=False, include_input=False):
        place = detail["loc"]
        if place[-1] == "[key]":  # pydantic's mark for a wrong key of a table
            place = place[:-1]
        yield f"{place_text(place)}: {_text(detail)}"


def _text(detail: ErrorDetails) -> str:
    if detail["type"] == "extra_forbidden":
        return f"unknown key{did_you_mean(str(detail['loc'][-1]), known_keys(detail['loc']))}"
    words = _PLAIN_WORDS.get(detail["type"])
    if words is None:
        return json.dumps(detail["msg"], ensure_ascii=False)[1:-1]  # one line, whatever the library says
    return words.format(**detail.get("ctx", {}))
