"""Policy: why fields are kept, how long, what must protect them; kinds and exceptions of its own.

The names load on first use: to look for a policy file needs none of the libraries that read one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pii_guard.policy.assignment import assign
    from pii_guard.policy.custom import custom_detectors, with_detectors
    from pii_guard.policy.finding import POLICY_NAME, find_policy
    from pii_guard.policy.models import CustomKind, FieldRule, Policy, Purpose, RetentionClass, Suppression
    from pii_guard.policy.reader import load, parse
    from pii_guard.policy.suppression import suppress

__all__ = [
    "POLICY_NAME",
    "CustomKind",
    "FieldRule",
    "Policy",
    "Purpose",
    "RetentionClass",
    "Suppression",
    "assign",
    "custom_detectors",
    "find_policy",
    "load",
    "parse",
    "suppress",
    "with_detectors",
]

_HOMES = {
    "assignment": ("assign",),
    "custom": ("custom_detectors", "with_detectors"),
    "finding": ("POLICY_NAME", "find_policy"),
    "models": ("CustomKind", "FieldRule", "Policy", "Purpose", "RetentionClass", "Suppression"),
    "reader": ("load", "parse"),
    "suppression": ("suppress",),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"pii_guard.policy.{module}"), name)
    raise AttributeError(f"module 'pii_guard.policy' has no attribute {name!r}")
