"""The sidecar file `pii-guard.tags.toml`: the tags of the fields beside it (docs/FORMAT.md, tag)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import tomli_w

from pii_guard.errors import PolicyError, WriteError, did_you_mean
from pii_guard.files import replacing
from pii_guard.model import Tag
from pii_guard.tags import VERSION, from_mapping, to_mapping, version_problem
from pii_guard.toml_files import place_text, read_toml

__all__ = ["SIDECAR_NAME", "load_sidecar", "save_sidecar", "sidecar_path"]

SIDECAR_NAME = "pii-guard.tags.toml"
_HEADER = """\
# What each field holds, why it is kept and how long.
# Written by `pii-guard tag`; made to be edited and committed.
"""


def sidecar_path(target: Path) -> Path:
    """Where the tags of `target` are kept: inside a directory, beside a file."""
    return (target if target.is_dir() else target.parent) / SIDECAR_NAME


def load_sidecar(path: Path) -> dict[str, Tag]:
    """Logical field -> tag of the sidecar file `path`; nothing where there is no such file.

    Raises PolicyError with every mistake in the file at once.
    """
    try:
        if not path.exists():
            return {}
    except OSError as error:  # not "no such file": the file may be there, behind a folder that may not be entered
        raise PolicyError(str(path), [f"cannot be read: {error.strerror}"]) from None
    document = read_toml(path)
    problem = version_problem(document.pop("version", None))
    if problem:
        raise PolicyError(str(path), [problem])
    fields = document.pop("fields", {})
    problems = [f"{place_text([name])}: unknown key{did_you_mean(name, ['version', 'fields'])}" for name in document]
    if not isinstance(fields, dict):
        raise PolicyError(str(path), [*problems, 'fields: must be tables such as [fields."customers.phone"]'])
    tags = {}
    for name, members in fields.items():
        place = ["fields", name]
        if not isinstance(members, dict):
            problems.append(f"{place_text(place)}: must be a table")
            continue
        tags[name], mistakes = from_mapping({"field": name, **members})
        problems += [f"{place_text([*place, member])}: {text}" for member, text in mistakes]
    if problems:
        raise PolicyError(str(path), problems)
    return tags


def save_sidecar(path: Path, tags: Mapping[str, Tag]) -> None:
    """Write `tags` into the sidecar file `path`. Entries of fields that are not in `tags` are kept; comments are not.

    The file is replaced at once or not at all. Raises PolicyError where the present file is wrong (it is left as it
    is), WriteError where it cannot be written.
    """
    merged = {**load_sidecar(path), **tags}
    fields = {}
    for name in sorted(merged):
        members = to_mapping(merged[name])
        if members.get("field") == name:
            del members["field"]
        fields[name] = members
    text = _HEADER + tomli_w.dumps({"version": VERSION, "fields": fields})
    try:
        data = text.encode()
        with replacing(path) as file:
            file.write(data)
    except UnicodeEncodeError:
        raise PolicyError(str(path), ["a field name is not valid Unicode and TOML cannot hold it; rename it"]) from None
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror}; the tags were not saved") from None
