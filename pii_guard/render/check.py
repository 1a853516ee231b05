"""The result of a check as text or JSON. No samples, not even masked ones: it ends up in build logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

from pii_guard.check import RULES, CheckResult, Violation, exit_code
from pii_guard.render import escape
from pii_guard.render.console import DEFAULT_WIDTH, draw
from pii_guard.render.entries import summary
from pii_guard.render.scan import footer

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["json", "table"]


def json(result: CheckResult) -> str:
    """The check JSON of docs/FORMAT.md. Two checks of the same data compare equal."""
    document = {
        **summary(result.report),
        "exit_code": exit_code(result),
        "violations": [_entry(violation) for violation in result.violations],
        "warnings": [_entry(warning) for warning in result.warnings],
    }
    return escape.json(document, indent=2) + "\n"


def _entry(violation: Violation) -> dict[str, Any]:
    return {
        "rule": violation.rule,
        "name": RULES[violation.rule].name,
        "source": violation.source,
        "table": violation.field.table if violation.field else None,
        "field": violation.field.path if violation.field else None,
        "message": violation.message,
        "mend": violation.mend,
    }


def table(result: CheckResult, *, color: bool = False) -> str:
    """What broke which rule and how to mend it, by source and field. Lines are never folded: they are to be copied."""
    parts = [
        *_lines(result.violations, "violation", "red"),
        *_lines(result.warnings, "warning", "yellow"),
    ]
    text = draw(parts, width=DEFAULT_WIDTH, color=color, wrap=False)
    counts = f"{len(result.violations)} violation(s), {len(result.warnings)} warning(s)"
    clean = "" if result.violations else "; clean" if result.report.complete else "; clean as far as it could be read"
    return f"{text}{counts}{clean}\n{footer(result.report)}"


def _lines(violations: Iterable[Violation], label: str, style: str) -> Iterator[Text]:
    from rich.text import Text

    for source, same in groupby(violations, key=lambda violation: violation.source):
        yield Text(escape.terminal(source), style="bold")
        for violation in same:
            field = violation.field
            place = escape.terminal(f"{field.table}.{field.path}") + " " if field else ""
            yield Text.assemble("  ", place, (f"{label} {violation.rule} {RULES[violation.rule].name}", style))
            yield Text(f"    {escape.terminal(violation.message)}")
            yield Text(f"    mend: {escape.terminal(violation.mend)}")
