"""A scan report as a table, JSON, JSON lines or CSV. All are sorted, and nothing in them changes from run to run."""

from __future__ import annotations

import csv as stdlib_csv
import io
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

from pii_guard.render import escape
from pii_guard.render.console import DEFAULT_WIDTH, draw
from pii_guard.render.entries import field_entries, summary
from pii_guard.reports import ScanReport

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["csv", "footer", "json", "jsonl", "table"]

MOST_SAMPLES = 10
"""Samples that the last lines name, at most."""
NARROW = 80
"""Below this width a table would be all folds; the same is then written as lines."""

_STYLES = {
    "certain": "red",
    "likely": "yellow",
    "token": "green",
    "encrypted": "green",
    "masked": "green",
    "mixed": "red",
}
_CSV_COLUMNS = (
    *("record", "source", "table", "field", "kind", "confidence", "examined", "hits", "protection"),
    *("personal", "samples", "evidence", "key", "lines"),
)


def json(report: ScanReport) -> str:
    """The report JSON of docs/report.schema.json."""
    whole = summary(report)
    document = {
        "version": whole["version"],
        "complete": whole["complete"],
        "coverage": whole["coverage"],
        "fields": field_entries(report),
        "samples": whole["samples"],
        "not_examined": whole["not_examined"],
        "out_of_scope": whole["out_of_scope"],
        "suppressed": whole["suppressed"],
        "allowed": whole["allowed"],
    }
    return escape.json(document, indent=2) + "\n"


def jsonl(report: ScanReport) -> str:
    """One line a field and kind, and a last line `{"summary": ...}` with all else."""
    lines = [*field_entries(report), {"summary": summary(report)}]
    return "".join(escape.json(line) + "\n" for line in lines)


def csv(report: ScanReport) -> str:
    """One row a field and kind (`record` = `finding`), then rows of what was not read, and the summary as last row."""
    buffer = io.StringIO()
    # All text is quoted: a reader that splits at `;` must not find a formula behind one.
    writer = stdlib_csv.DictWriter(
        buffer, _CSV_COLUMNS, restval="", quoting=stdlib_csv.QUOTE_NONNUMERIC, lineterminator="\n"
    )
    writer.writeheader()
    for row in _csv_rows(report):
        writer.writerow({name: escape.csv_cell(cell) if isinstance(cell, str) else cell for name, cell in row.items()})
    return buffer.getvalue()


def _csv_rows(report: ScanReport) -> Iterator[dict[str, Any]]:
    for entry in field_entries(report):
        yield {
            "record": "finding",
            **{name: entry[name] for name in _CSV_COLUMNS if name in entry},
            "personal": str(entry["personal"]).lower(),
            "samples": " | ".join(entry["samples"]),
            "evidence": " | ".join(entry["evidence"]),
            "lines": " | ".join(map(str, entry.get("lines", ()))),
        }
    whole = summary(report)
    for item in whole["not_examined"]:
        yield {"record": "not_examined", "source": item["source"], "evidence": item["reason"]}
    for item in whole["samples"]:
        words = f"{item['rows']} of about {item['estimated']} rows | {item['drawn']} | bound: {item['bound']}"
        yield {"record": "sample", "source": item["source"], "table": item["table"], "evidence": words}
    for reason, count in whole["out_of_scope"].items():
        yield {"record": "out_of_scope", "evidence": f"{count} | {reason}"}
    for item in whole["suppressed"]:
        until = f"{item.pop('reason')} | until {item.pop('expires')}"
        yield {"record": "suppressed", **item, "evidence": until}
    for item in whole["allowed"]:
        hits = item.pop("values")
        yield {"record": "allowed", **item, "hits": hits}
    counts = (f"{name}: {count}" for name, count in whole["coverage"].items())
    yield {"record": "summary", "evidence": " | ".join([f"complete: {_word(report.complete)}", *counts])}


def table(report: ScanReport, *, width: int = DEFAULT_WIDTH, color: bool = False) -> str:
    """The findings of each source as a table, and the footer. Below `NARROW` columns: as lines, never folded."""
    text = "" if report.findings else "nothing was found in what was read\n"
    for source, same in groupby(field_entries(report), key=lambda entry: str(entry["source"])):
        entries = list(same)
        body = _lines(entries) if width < NARROW else draw([_grid(entries)], width=width, color=color)
        text += f"{escape.terminal(source)}\n{body}\n"
    return text + footer(report)


def _grid(entries: Iterable[dict[str, Any]]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    def cell(text: str, style: str = "") -> Text:
        return Text(escape.terminal(text, wrapped=True), style=style)

    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for name in ("field", "kind", "confidence", "hits", "protection", "samples"):
        grid.add_column(name, overflow="fold", no_wrap=name not in ("field", "samples"))
    for entry in entries:
        grid.add_row(
            cell(_name(entry)),
            cell(entry["kind"]),
            cell(entry["confidence"], _STYLES.get(entry["confidence"], "")),
            Text("\n").join(map(cell, filter(None, (_hits(entry), _in_lines(entry))))),
            Text("\n").join(
                (cell(entry["protection"], _STYLES.get(entry["protection"], "")), *map(cell, _tokens(entry)))
            ),
            Text("\n").join(cell(sample) for sample in entry["samples"]),
        )
    return grid


def _tokens(entry: dict[str, Any]) -> list[str]:
    """What is told of a field's tokens, one line a state."""
    return [f"{count:,} {state}" for state, count in entry.get("tokens", {}).items()]


def _lines(entries: Iterable[dict[str, Any]]) -> str:
    text = ""
    for entry in entries:
        text += f"{escape.terminal(_name(entry))}\n"
        hits = ", ".join(filter(None, (_hits(entry), _in_lines(entry))))
        text += f"  {escape.terminal(entry['kind'])}, {entry['confidence']}, {hits}, {entry['protection']}\n"
        text += "".join(f"  {escape.terminal(line)}\n" for line in _tokens(entry))
        text += "".join(f"  {escape.terminal(sample)}\n" for sample in entry["samples"])
    return text


def footer(report: ScanReport) -> str:
    """What was read, whether that was all, and what was not: the last lines of every text for people."""
    coverage = report.coverage
    found = sum(bool(field.findings) for field in report.fields)
    counts = [
        _count(coverage.rows, "row"),
        _count(coverage.bytes, "byte"),
        f"{_count(len(report.fields), 'field')} ({found:,} with findings)",
        _count(coverage.sources, "source"),
        *([f"{_count(coverage.unparsed, 'line')} examined as text"] if coverage.unparsed else []),
        *([f"{_count(coverage.invalid, 'value')} not UTF-8"] if coverage.invalid else []),
        *([f"{_count(coverage.replaced, 'byte sequence')} of no known encoding"] if coverage.replaced else []),
    ]
    text = f"{', '.join(counts)}; complete: {_word(report.complete)}\n"
    whole = summary(report)
    text += "".join(_sample(item) for item in whole["samples"][:MOST_SAMPLES])
    if len(whole["samples"]) > MOST_SAMPLES:
        more = _count(len(whole["samples"]) - MOST_SAMPLES, "other table")
        text += f"a sample: of {more} a part was read too (--format json names them)\n"
    for item in whole["not_examined"]:
        text += f"not examined: {escape.terminal(item['source'])}: {escape.terminal(item['reason'])}\n"
    if whole["out_of_scope"]:
        reasons = (f"{count:,} {escape.terminal(reason)}" for reason, count in whole["out_of_scope"].items())
        text += f"out of scope: {', '.join(reasons)}\n"
    for item in whole["suppressed"]:
        reason = f"until {item['expires']}: {item['reason']}"
        text += f"suppressed: {escape.terminal(_name(item))}: {item['kind']} {escape.terminal(reason)}\n"
    for item in whole["allowed"]:
        lines = _count(item["values"], "line")
        text += f"allowed by comments: {escape.terminal(_name(item))}: {item['kind']} in {lines}\n"
    return text


def _sample(item: dict[str, Any]) -> str:
    """What was read of a table and what that leaves open: a sample never shows that there is nothing."""
    even = "" if item["by_row"] else ", if rows are spread evenly"
    return (
        f"a sample: {escape.terminal(item['source'])}: {escape.terminal(item['table'])}: {_count(item['rows'], 'row')} "
        f"of about {item['estimated']:,} ({item['drawn']}); what was not found may be in up to {item['bound']:.3%} "
        f"of them (95 %{even})\n"
    )


def _name(entry: dict[str, Any]) -> str:
    return f"{entry['table']}.{entry['field']}"


def _hits(entry: dict[str, Any]) -> str:
    return f"{entry['hits']:,}/{entry['examined']:,} ({_rate(entry['hits'], entry['examined'])})"


def _in_lines(entry: dict[str, Any]) -> str:
    """The first lines with a hit, in files of lines; empty elsewhere."""
    lines = entry.get("lines", ())
    more = ", ..." if entry["hits"] > len(lines) else ""
    return f"line{'' if len(lines) == 1 else 's'} {', '.join(f'{line:,}' for line in lines)}{more}" if lines else ""


def _rate(hits: int, examined: int) -> str:
    """A percentage that says 0 or 100 only where it is so."""
    if not examined:
        return "-"
    percent = 100 * hits / examined
    if 0 < percent < 1:
        return "<1 %"
    return ">99 %" if 99 < percent < 100 else f"{percent:.0f} %"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _word(value: bool) -> str:
    return "true" if value else "false"
