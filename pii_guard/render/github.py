"""The result of a check for GitHub Actions: annotations in the log, and the Markdown of a step's summary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pii_guard.check import RULES, CheckResult, Violation
from pii_guard.render import escape
from pii_guard.render.check import declared, outcome
from pii_guard.render.scan import footer

__all__ = ["commands", "step_summary"]

ANNOTATIONS = 10
"""GitHub shows so many errors and so many warnings of one step, and 50 annotations of one job."""
ROWS = 500
"""Rows of a summary: GitHub refuses one of more than 1 MiB."""


def commands(result: CheckResult) -> str:
    """A workflow command for each of the first violations and warnings; how many were left out; the outcome."""
    lines = [
        *_commands("error", result.violations),
        *_commands("warning", result.warnings),
        *_left_out("violation", result.violations),
        *_left_out("warning", result.warnings),
        outcome(result),
    ]
    return "".join(f"{line}\n" for line in lines) + declared(result) + footer(result.report)


def _commands(level: str, violations: tuple[Violation, ...]) -> Iterator[str]:
    for violation in violations[:ANNOTATIONS]:
        rule = RULES[violation.rule]
        properties = {"title": f"{rule.id} {rule.name}"}
        if violation.place is not None:
            properties = {"file": violation.place.file, "line": str(violation.place.line or 1), **properties}
        listed = ",".join(f"{name}={escape.github_property(value)}" for name, value in properties.items())
        words = f"{_named(violation)}: {violation.message}. Mend: {violation.mend}"
        yield f"::{level} {listed}::{escape.github(words)}"


def _left_out(what: str, violations: tuple[Violation, ...]) -> Iterator[str]:
    more = len(violations) - ANNOTATIONS
    if more > 0:
        yield f"{more:,} more {what}(s) without annotation, as GitHub shows {ANNOTATIONS} of a step; see the summary"


def _named(violation: Violation) -> str:
    return f"{violation.field.table}.{violation.field.path}" if violation.field else violation.source


def step_summary(result: CheckResult) -> str:
    """What broke which rule, as a table of Markdown, for the file that `GITHUB_STEP_SUMMARY` names."""
    text = f"### pii-guard check\n\n{outcome(result)}\n"
    entries = [
        *(("violation", violation) for violation in result.violations),
        *(("warning", warning) for warning in result.warnings),
    ]
    if entries:
        text += "\n| | rule | field | where | what | mend |\n|---|---|---|---|---|---|\n"
        text += "".join(f"| {' | '.join(_cells(label, item))} |\n" for label, item in entries[:ROWS])
    if len(entries) > ROWS:
        text += f"\n{len(entries) - ROWS:,} more are not listed here.\n"
    lines = "".join(
        f"{escape.markdown(line)}<br>\n" for line in (declared(result) + footer(result.report)).splitlines()
    )
    return f"{text}\n{lines}\n"


def _cells(label: str, violation: Violation) -> Iterable[str]:
    place = violation.place
    where = violation.source if place is None else place.file if place.line is None else f"{place.file}:{place.line}"
    words = (
        f"{violation.rule} {RULES[violation.rule].name}",
        _named(violation) if violation.field else "",
        where,
        violation.message,
        violation.mend,
    )
    return label, *(escape.markdown(word[:1000]) for word in words)
