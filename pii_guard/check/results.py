"""What a check says: violations, warnings, what is accepted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from pii_guard.merging import joined as joined_reports
from pii_guard.model import FieldPath
from pii_guard.reports import ScanReport

__all__ = ["Accepted", "CheckResult", "Place", "Violation", "by_place", "exit_code", "joined"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody can mend it: a file, as it was found or given, and a line in it, where one is meant."""

    file: str
    line: int | None = None
    """From 1."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule that one field breaks. Never a value, not even a masked one."""

    rule: str
    """A key of `pii_guard.check.RULES`."""
    source: str
    field: FieldPath | None
    """None where it is the source as a whole."""
    message: str
    """What was found, in one line."""
    mend: str
    """What to do, in one line: the command to run or the TOML to add."""
    kinds: tuple[str, ...] = ()
    """The kinds of data that it is about, sorted; empty where it is about none in particular."""
    place: Place | None = None
    """None: not known, or nowhere (a database whose fields no file declares)."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A violation that a baseline accepts."""

    violation: Violation
    reason: str | None = None
    expires: date | None = None
    """The last day on which it is accepted."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check says. All lists are sorted by source, field and rule; only violations fail a build."""

    violations: tuple[Violation, ...]
    warnings: tuple[Violation, ...]
    report: ScanReport
    accepted: tuple[Accepted, ...] = ()
    columns: int = 0
    """Columns that migrations, models and the like declare, and that were judged too."""


def exit_code(result: CheckResult) -> int:
    """1 with violations; else 3 where something was not read, be it for a sample; else 0."""
    return 1 if result.violations else 0 if result.report.complete and not result.report.samples else 3


def by_place(violation: Violation) -> tuple[str, ...]:
    """What violations are sorted by."""
    field = violation.field
    return (violation.source, *((field.table, field.path) if field else ("", "")), violation.rule, violation.message)


def joined(results: Iterable[CheckResult]) -> CheckResult:
    """Several checks in one: of targets that have policies of their own."""
    parts = tuple(results)
    return CheckResult(
        tuple(sorted((item for part in parts for item in part.violations), key=by_place)),
        tuple(sorted((item for part in parts for item in part.warnings), key=by_place)),
        joined_reports(part.report for part in parts),
        tuple(sorted((item for part in parts for item in part.accepted), key=lambda item: by_place(item.violation))),
        sum(part.columns for part in parts),
    )
