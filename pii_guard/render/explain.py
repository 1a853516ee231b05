"""Why a field was judged as it was: the figures behind each verdict, for people."""

from __future__ import annotations

from collections.abc import Iterable

from pii_guard.render import escape
from pii_guard.reports import FieldReport
from pii_guard.tallies import KindTally

__all__ = ["explain"]


def explain(report: FieldReport, named: Iterable[str], commented: Iterable[str] = ()) -> str:
    """The figures and reasons of one field: `named` are the kinds that its header names, `commented` its comment."""
    tally = report.tally
    plain = tally.examined - tally.tokens
    lines = [
        f"{report.field}  ({report.type})",
        f"  {tally.rows:,} values: {tally.examined:,} examined, {tally.rows - tally.examined:,} null or empty, "
        f"{tally.tokens:,} tokens, {tally.invalid:,} not valid UTF-8; {tally.bytes:,} bytes",
        f"  the name of the field names: {', '.join(named) or 'no kind'}",
    ]
    if report.comment:
        lines.append(f"  the comment of the field names: {', '.join(commented) or 'no kind'}")
    if report.key:
        lines.append(f"  it is a part of a {report.key} key")
    for finding in report.findings:
        lines += ["", f"  {finding.kind}: {finding.confidence} ({finding.protection})"]
        lines += [f"    - {reason}" for reason in finding.evidence]
        if finding.kind in tally.kinds:
            lines.append(f"    {_figures(tally.kinds[finding.kind], plain)}")
    for item in report.suppressed:
        lines += ["", f"  {item.finding.kind}: suppressed until {item.expires.isoformat()}", f"    - {item.reason}"]
    for kind, count in tally.allowed.items():
        lines += ["", f"  {kind}: allowed by comments in {count:,} lines"]
    found = {*(finding.kind for finding in report.findings), *(item.finding.kind for item in report.suppressed)}
    for kind, counted in sorted(tally.kinds.items()):
        if kind not in found and counted.shaped:
            lines += ["", f"  {kind}: no finding", f"    - {_silence(counted)}", f"    {_figures(counted, plain)}"]
    if not report.findings and not any(counted.shaped for counted in tally.kinds.values()):
        lines += ["", "  no value has the shape of any kind"]
    return "".join(f"{escape.terminal(line)}\n" for line in lines)


def _figures(counted: KindTally, examined: int) -> str:
    levels = f"certain {counted.certain:,}, likely {counted.likely:,}, possible {counted.possible:,}"
    words = [
        f"shape {_share(counted.shaped, examined)}",
        f"hits {counted.hits:,} ({levels})",
        f"{counted.whole:,} of them all of their value",
    ]
    if counted.checked:
        words.append(f"check digit holds for {_share(counted.checked, counted.shaped)}")
    return "; ".join(words)


def _share(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} ({part / whole:.1%})" if whole else f"{part:,} of 0"


def _silence(counted: KindTally) -> str:
    if not counted.hits:
        return "the shape alone is no hit of this kind: a label, a header or a check digit would make it one"
    return "too few for a column of this kind, or another kind explains the values better"
