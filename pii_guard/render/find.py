"""The hits in a text, one by one, as JSON lines or a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from pii_guard.model import Hit
from pii_guard.render import escape
from pii_guard.render.console import DEFAULT_WIDTH, draw

__all__ = ["jsonl", "tables"]

PAGE = 1000
"""Hits of one table. Those behind them make another, so that what is drawn needs no more memory than that."""


def jsonl(hits: Iterable[Hit]) -> Iterator[str]:
    """One line a hit, in the order given."""
    for hit in hits:
        entry = {
            "kind": hit.kind,
            "confidence": str(hit.confidence),
            "personal": hit.personal,
            "line": hit.line,
            "column": hit.column,
            "start": hit.start,
            "end": hit.end,
            "masked": hit.masked,
        }
        yield escape.json(entry) + "\n"


def tables(hits: Iterable[Hit], *, width: int = DEFAULT_WIDTH, color: bool = False) -> Iterator[str]:
    """Place, kind, confidence and mask of each hit, in the order given: a table for every PAGE of them."""
    left = iter(hits)
    page = list(islice(left, PAGE))
    if not page:
        yield "nothing was found\n"
    while page:
        yield _table(page, width=width, color=color)
        page = list(islice(left, PAGE))


def _table(hits: Iterable[Hit], *, width: int, color: bool) -> str:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for name in ("line:column", "kind", "confidence", "found"):
        grid.add_column(name, overflow="fold", no_wrap=name != "found")
    for hit in hits:
        place = f"{hit.line}:{hit.column}"
        cells = (place, hit.kind, str(hit.confidence), hit.masked)
        grid.add_row(*(Text(escape.terminal(cell, wrapped=True)) for cell in cells))
    return draw([grid], width=width, color=color)
