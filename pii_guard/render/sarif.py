"""The result of a check as SARIF 2.1.0 (OASIS), for code scanning of GitHub, Azure DevOps, editors and others."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

from pii_guard import __version__
from pii_guard.check import RULES, CheckResult, Rule, Violation, exit_code, fingerprints
from pii_guard.render import escape

__all__ = ["sarif"]

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
FINGERPRINT = "ruleFieldKind/v1"
ROOT = "%SRCROOT%"
"""What relative paths are relative to: the root of the checked out repository, by the convention of code scanning."""


def sarif(result: CheckResult) -> str:
    """One run, without times and machine names. A field is a logical location, the line to mend a physical one.

    What a baseline accepts is a result with a suppression; what was not examined is a notification as well.
    """
    levels = chain(
        (("error", violation, None) for violation in result.violations),
        (("warning", violation, None) for violation in result.warnings),
        (("error", item.violation, item.reason or "accepted") for item in result.accepted),
    )
    entries = list(levels)
    keys = fingerprints(violation for _, violation, _ in entries)
    run = {
        "tool": {"driver": _driver()},
        "invocations": [
            {
                "executionSuccessful": result.report.complete,
                "exitCode": exit_code(result),
                "toolExecutionNotifications": list(_notifications(result)),
            }
        ],
        "columnKind": "unicodeCodePoints",
        "results": [_result(*entry, key) for entry, key in zip(entries, keys, strict=True)],
    }
    return escape.json({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _driver() -> dict[str, Any]:
    return {
        "name": "pii-guard",
        "version": __version__,
        "rules": [_rule(rule) for rule in RULES.values()],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    help_text = rule.mend + (f" Legal basis: {rule.basis}." if rule.basis else "")
    return {
        "id": rule.id,
        "name": rule.name,
        "shortDescription": {"text": escape.sarif_text(rule.what)},
        "fullDescription": {"text": escape.sarif_text(rule.why)},
        "help": {"text": escape.sarif_text(help_text)},
    }


def _result(level: str, violation: Violation, accepted: str | None, key: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "ruleId": violation.rule,
        "ruleIndex": list(RULES).index(violation.rule),
        "level": level,
        "message": {"text": escape.sarif_text(f"{_named(violation)}{violation.message}. Mend: {violation.mend}")},
        "locations": [_location(violation)],
        "partialFingerprints": {FINGERPRINT: key},
    }
    if accepted is not None:
        entry["suppressions"] = [{"kind": "external", "justification": escape.terminal(accepted)}]
    return entry


def _named(violation: Violation) -> str:
    return f"{violation.field.table}.{violation.field.path}: " if violation.field else ""


def _location(violation: Violation) -> dict[str, Any]:
    location: dict[str, Any] = {}
    if violation.place is not None:
        uri = escape.uri(violation.place.file)
        artifact = {"uri": uri} if uri.startswith("file://") else {"uri": uri, "uriBaseId": ROOT}
        location["physicalLocation"] = {"artifactLocation": artifact}
        if violation.place.line is not None:
            location["physicalLocation"]["region"] = {"startLine": violation.place.line}
    if violation.field is not None:
        location["logicalLocations"] = [
            {"name": violation.field.path, "fullyQualifiedName": str(violation.field), "kind": "field"}
        ]
    elif violation.place is None:
        location["logicalLocations"] = [{"name": violation.source, "kind": "source"}]
    return location


def _notifications(result: CheckResult) -> Iterable[dict[str, Any]]:
    for item in sorted(result.report.not_examined, key=lambda item: (item.source, item.reason)):
        words = f"{item.source}: not examined: {item.reason}"
        yield {"level": "error", "message": {"text": escape.sarif_text(words)}}
