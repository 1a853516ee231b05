"""The form of a policy file as JSON Schema, for editors."""

from __future__ import annotations

from typing import Any

from pii_guard.detectors import TABLE
from pii_guard.policy.extending import PACKS
from pii_guard.policy.finding import POLICY_NAME
from pii_guard.policy.models import Policy

__all__ = ["json_schema"]


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of `pii-guard.toml`. What hangs on other entries (names that must be declared) an
    editor cannot see; `pii-guard policy validate` does.
    """
    schema = Policy.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = POLICY_NAME
    schema["properties"]["extends"]["items"] = {"type": "string", "minLength": 1, "examples": list(PACKS)}
    for definition in schema["$defs"].values():
        kinds = definition["properties"].get("kinds")
        if kinds is not None and kinds.get("type") == "array":
            kinds["items"] = {"type": "string", "examples": list(TABLE)}
        match = definition["properties"].get("match")
        if match is not None:  # one pattern may stand without the list
            definition["properties"]["match"] = {"anyOf": [{"type": "string", "minLength": 1}, match]}
    return schema
