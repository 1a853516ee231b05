"""In files of lines (text, source code), a violation is at the line of the first value that it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from pii_guard.check.results import CheckResult, Place, Violation
from pii_guard.engine.detection import Detector
from pii_guard.errors import PiiGuardError
from pii_guard.finder import find_in_stream

__all__ = ["with_lines"]


def with_lines(result: CheckResult, detectors: Sequence[Detector]) -> CheckResult:
    """The same result, with the line of each violation that is about values in lines of a file on this machine.

    `detectors` are those of the scan. The file is read again, up to the first such value that no comment allows.
    """
    in_lines = {field.field for field in result.report.fields if field.in_lines}

    @cache
    def first(source: str, kinds: tuple[str, ...]) -> int | None:
        try:
            with Path(source).open("rb") as stream:
                hits = find_in_stream(stream, detectors)
                return next((hit.line for hit in hits if hit.kind in kinds and not hit.allowed), None)
        except (OSError, ValueError, PiiGuardError):  # a name that is shown otherwise, or gone by now: no line is known
            return None

    def at_line(violation: Violation) -> Violation:
        if violation.place is not None or violation.field not in in_lines or not violation.kinds:
            return violation
        line = first(violation.source, violation.kinds)
        return violation if line is None else replace(violation, place=Place(violation.source, line))

    return replace(
        result,
        violations=tuple(map(at_line, result.violations)),
        warnings=tuple(map(at_line, result.warnings)),
    )
