"""What a policy extends: packs that come with pii-guard, and policy files of the user's own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pii_guard.policy.models import Policy

__all__ = ["PACKS", "extended", "merged"]

PACKS: Mapping[str, Path] = {"korea": Path(str(resources.files("pii_guard.policy") / "packs" / "korea.toml"))}
"""Packs by name. docs/policy.md says what each holds."""


def extended(
    document: Mapping[str, Any], folder: Path, opened: Sequence[Path]
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """The files that `document` extends, in its order, and what is wrong with the others; `opened` lie on the way.

    A name without a slash or a dot is a pack, everything else a file, looked for in `folder`. Wrong is what does not
    exist, or extends itself on some way.
    """
    names = document.get("extends", ())
    if not isinstance(names, list):
        return (), ()  # the form says what is wrong with it
    paths: list[Path] = []
    problems: list[str] = []
    for index, name in enumerate(names):
        place = f"extends[{index}]"
        if not isinstance(name, str) or not name:
            continue
        shown = json.dumps(name, ensure_ascii=False)
        path = PACKS[name] if name in PACKS else folder / name
        if "\0" in name:
            problems.append(f"{place}: {shown} is no name of a file")
        elif name not in PACKS and not {".", "/", "\\"} & set(name):
            problems.append(
                f"{place}: no pack is called {shown} (there is {', '.join(PACKS)}); a file is named with its suffix"
            )
        elif path.resolve() in opened:
            problems.append(f"{place}: {shown} extends this file in turn; take one of the two out")
        elif not path.is_file():
            problems.append(f"{place}: there is no file {shown} in {folder}")
        else:
            paths.append(path)
    return tuple(paths), tuple(problems)


def merged(own: Policy, bases: Sequence[Policy]) -> Policy:
    """`own` with the entries of `bases` that it has not itself: of tables by name, of lists behind its own.

    Of several bases the first that has an entry of a name gives it.
    """
    content: dict[str, Any] = {}
    for name in Policy.model_fields:
        value = getattr(own, name)
        if isinstance(value, dict):
            for base in bases:
                value = {**getattr(base, name), **value}
        elif isinstance(value, tuple) and name != "extends":
            for base in bases:
                value = (*value, *(item for item in getattr(base, name) if item not in value))
        else:
            value = next((getattr(part, name) for part in (own, *bases) if name in part.model_fields_set), value)
        content[name] = value
    given = own.model_fields_set.union(*(base.model_fields_set for base in bases))
    policy = Policy.model_construct(_fields_set=given, **content)
    policy._own = frozenset(
        (table, name)
        for table in Policy.model_fields
        if isinstance(entries := getattr(own, table), dict)
        for name in entries
    )
    return policy
