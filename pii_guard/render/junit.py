"""The result of a check as JUnit XML, which most build servers show as test results."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from pii_guard.check import RULES, CheckResult, Violation
from pii_guard.render import escape

__all__ = ["junit"]


def junit(result: CheckResult) -> str:
    """A suite for each source. A test case for each field that breaks nothing, and for each rule that a field breaks.

    What could not be read is an error; warnings and what a baseline accepts are skipped tests, which fail nothing.
    """
    unread = [warning for warning in result.warnings if warning.rule == "PG010"]
    warned = [warning for warning in result.warnings if warning.rule != "PG010"]
    cases = [(item.source, _case(item, "failure", item.message)) for item in result.violations]
    cases += [(item.source, _case(item, "error", item.message)) for item in unread]
    cases += [(item.source, _case(item, "skipped", f"warning: {item.message}")) for item in warned]
    cases += [
        (item.violation.source, _case(item.violation, "skipped", item.reason or "accepted")) for item in result.accepted
    ]
    broken = {item.field for item in result.violations} | {item.violation.field for item in result.accepted}
    cases += [
        (field.field.source, _testcase(field.field.source, f"{field.field.table}.{field.field.path}"))
        for field in result.report.fields
        if field.field not in broken
    ]
    body = "".join(_suites(sorted(cases)))
    counts = _counts([case for _, case in cases])
    declaration = '<?xml version="1.0" encoding="UTF-8"?>'
    return f'{declaration}\n<testsuites name="pii-guard check" {counts}>\n{body}</testsuites>\n'


def _suites(cases: list[tuple[str, str]]) -> Iterator[str]:
    for source, same in groupby(cases, key=lambda case: case[0]):
        texts = [case for _, case in same]
        yield f'  <testsuite name="{escape.xml(source)}" {_counts(texts)}>\n{"".join(texts)}  </testsuite>\n'


def _counts(cases: list[str]) -> str:
    words = {"failures": "<failure", "errors": "<error", "skipped": "<skipped"}
    counted = {name: sum(mark in case for case in cases) for name, mark in words.items()}
    return " ".join(f'{name}="{count}"' for name, count in ({"tests": len(cases)} | counted).items())


def _case(violation: Violation, element: str, message: str) -> str:
    rule = f"{violation.rule} {RULES[violation.rule].name}"
    field = violation.field
    name = f"{field.table}.{field.path} {rule}" if field else rule
    place = violation.place
    where = [f"at {place.file}:{place.line}"] if place and place.line else []
    shown = "".join(f"{escape.xml(part)}\n" for part in (*where, violation.message, f"mend: {violation.mend}"))
    kind = "" if element == "skipped" else f' type="{escape.xml(violation.rule)}"'
    inner = f'      <{element}{kind} message="{escape.xml(message)}">{shown}</{element}>\n'
    return _testcase(violation.source, name, inner)


def _testcase(source: str, name: str, inner: str = "") -> str:
    head = f'    <testcase classname="{escape.xml(source)}" name="{escape.xml(name)}"'
    return f"{head}>\n{inner}    </testcase>\n" if inner else f"{head}/>\n"
