"""The result of a check as a Code Quality report of GitLab."""

from __future__ import annotations

from typing import Any

from pii_guard.check import RULES, CheckResult, Violation, fingerprints
from pii_guard.render import escape

__all__ = ["gitlab"]


def gitlab(result: CheckResult) -> str:
    """An array of issues, violations before warnings; what a baseline accepts is left out.

    GitLab wants a path and a line of each: what has no file (a database) has its URL for a path, what has no line 1.
    """
    entries = [
        *(("major", violation) for violation in result.violations),
        *(("minor", warning) for warning in result.warnings),
    ]
    keys = fingerprints(violation for _, violation in entries)
    issues = [_issue(severity, item, key) for (severity, item), key in zip(entries, keys, strict=True)]
    return escape.json(issues, indent=2) + "\n"


def _issue(severity: str, violation: Violation, key: str) -> dict[str, Any]:
    place = violation.place
    field = f"{violation.field.table}.{violation.field.path}: " if violation.field else ""
    return {
        "description": f"{field}{violation.message}. Mend: {violation.mend}",
        "check_name": f"{violation.rule} {RULES[violation.rule].name}",
        "fingerprint": key,
        "severity": severity,
        "location": {
            "path": place.file.removeprefix("./") if place else violation.source,
            "lines": {"begin": place.line or 1 if place else 1},
        },
    }
