"""Where the policy is that holds for a target. Needs none of the libraries that reading one does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pii_guard.errors import PolicyError
from pii_guard.toml_files import read_toml

__all__ = ["POLICY_NAME", "PYPROJECT", "find_policy", "section_of"]

POLICY_NAME = "pii-guard.toml"
PYPROJECT = "pyproject.toml"


def find_policy(start: Path) -> Path | None:
    """The policy file that holds for `start`: in its folder, or else in the nearest folder above that has one.

    `start` may be a file. In one folder `pii-guard.toml` wins over `[tool.pii-guard]` of pyproject.toml. Raises
    PolicyError where a pyproject.toml on the way cannot be read: it may hold the policy.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        own, shared = folder / POLICY_NAME, folder / PYPROJECT
        try:
            if own.is_file():
                return own
            if not shared.is_file():
                continue
        except OSError as error:  # not "no such file": a folder that may not be entered
            raise PolicyError(str(folder), [f"cannot be searched for a policy: {error.strerror}"]) from None
        if section_of(read_toml(shared)) is not None:
            return shared
    return None


def section_of(pyproject: Mapping[str, Any]) -> object:
    """`[tool.pii-guard]` of a pyproject.toml, or None."""
    tool = pyproject.get("tool")
    return tool.get("pii-guard") if isinstance(tool, dict) else None
