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

__all__ = ["declared", "json", "outcome", "summary_line", "table"]


def json(result: CheckResult) -> str:
    """The check JSON of docs/FORMAT.md. Two checks of the same data compare equal."""
    document = {
        **summary(result.report),
        "declared_columns": result.columns,
        "exit_code": exit_code(result),
        "violations": [_entry(violation) for violation in result.violations],
        "warnings": [_entry(warning) for warning in result.warnings],
        "accepted": [
            {
                **_entry(item.violation),
                "reason": item.reason,
                "expires": item.expires.isoformat() if item.expires else None,
            }
            for item in result.accepted
        ],
    }
    return escape.json(document, indent=2) + "\n"


def _entry(violation: Violation) -> dict[str, Any]:
    return {
        "rule": violation.rule,
        "name": RULES[violation.rule].name,
        "source": violation.source,
        "table": violation.field.table if violation.field else None,
        "field": violation.field.path if violation.field else None,
        "kinds": list(violation.kinds),
        "file": violation.place.file if violation.place else None,
        "line": violation.place.line if violation.place else None,
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
    return f"{text}{outcome(result)}\n{declared(result)}{footer(result.report)}"


def declared(result: CheckResult) -> str:
    """How many columns were judged that migrations, models and the like declare; nothing where none are."""
    return f"{result.columns:,} column(s) declared by migrations, models or dbt\n" if result.columns else ""


def outcome(result: CheckResult) -> str:
    """One line that says how it went; it stands in every output, so that a check that did nothing shows."""
    accepted = f", {len(result.accepted):,} accepted" if result.accepted else ""
    counts = f"{len(result.violations)} violation(s), {len(result.warnings)} warning(s){accepted}"
    return f"{counts}{_clean(result)}"


def summary_line(result: CheckResult) -> str:
    """The outcome with how much was read, for stderr where the result itself goes to a machine."""
    return f"{outcome(result)}; {declared(result).replace(chr(10), '; ')}{footer(result.report).partition(chr(10))[0]}"


def _clean(result: CheckResult) -> str:
    if result.violations:
        return ""
    if result.report.samples:  # a sample shows that something is there, never that nothing is
        return "; only a sample was read, which shows no more than that: check without --sample"
    good = "nothing new" if result.accepted else "clean"
    return f"; {good}{'' if result.report.complete else ' as far as it could be read'}"


def _lines(violations: Iterable[Violation], label: str, style: str) -> Iterator[Text]:
    from rich.text import Text

    for source, same in groupby(violations, key=lambda violation: violation.source):
        yield Text(escape.terminal(source), style="bold")
        for violation in same:
            field = violation.field
            name = escape.terminal(f"{field.table}.{field.path}") + " " if field else ""
            yield Text.assemble("  ", name, (f"{label} {violation.rule} {RULES[violation.rule].name}", style))
            if violation.place and violation.place.line:
                yield Text(f"    at {escape.terminal(violation.place.file)}:{violation.place.line}")
            yield Text(f"    {escape.terminal(violation.message)}")
            yield Text(f"    mend: {escape.terminal(violation.mend)}")
