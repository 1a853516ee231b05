"""pii-guard: find personal data, tell whether it is encrypted, encrypt what is not, tag why and how long it is kept.

The public names load on first use, so that `import pii_guard` costs nothing.

    report = pii_guard.scan("customers.csv")            # or a data frame, a table, a reader
    spans = pii_guard.find(["연락처 010-1234-5678"])
    guard = pii_guard.Guard("pii-guard.toml", "pii-guard-keys")
    pii_guard.write(guard.protect(table, table="customers"), "customers.parquet")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pii_guard.connectors.output import write
    from pii_guard.connectors.streams import read
    from pii_guard.errors import PiiGuardError
    from pii_guard.finder import find
    from pii_guard.guard import Guard
    from pii_guard.keys.keyring import Keyring
    from pii_guard.model import Confidence, FieldPath, Tag
    from pii_guard.reports import Finding, ScanReport
    from pii_guard.scanner import scan

__all__ = [
    "Confidence",
    "FieldPath",
    "Finding",
    "Guard",
    "Keyring",
    "PiiGuardError",
    "ScanReport",
    "Tag",
    "__version__",
    "find",
    "read",
    "scan",
    "write",
]

__version__ = "0.1.0"

_HOMES = {
    "Confidence": "model",
    "FieldPath": "model",
    "Finding": "reports",
    "Guard": "guard",
    "Keyring": "keys.keyring",
    "PiiGuardError": "errors",
    "ScanReport": "reports",
    "Tag": "model",
    "find": "finder",
    "read": "connectors.streams",
    "scan": "scanner",
    "write": "connectors.output",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pii_guard' has no attribute {name!r}")
    value = getattr(import_module(f"pii_guard.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
