"""Tags and plans as text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pii_guard.model import Tag
from pii_guard.render import escape

if TYPE_CHECKING:
    from pii_guard.planning import PlannedField

__all__ = ["columns", "listing", "plan"]


def listing(tags: Mapping[str, Tag]) -> str:
    """One line a tagged field: kind, purposes, retention class, protection."""
    rows = [
        (name, tag.kind or "-", ", ".join(tag.purposes) or "-", tag.retention or "-", tag.protection)
        for name, tag in sorted(tags.items())
    ]
    return (
        columns([("field", "kind", "purposes", "retention", "protection"), *rows]) if rows else "no personal fields\n"
    )


def plan(planned: Sequence[PlannedField]) -> str:
    """One line a column: what is done with it, under which key, how wide it becomes, and why."""
    rows = [(field.shown, field.action, field.key or "-", str(field.width or "-"), field.why) for field in planned]
    return columns([("column", "action", "key", "width", "why"), *rows])


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """`rows` below each other, each cell as wide as the widest of its column."""
    from rich.cells import cell_len, set_cell_size

    shown = [[escape.terminal(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*shown, strict=True)]  # a Hangul syllable takes two columns
    return "".join("  ".join(map(set_cell_size, row, widths)).rstrip() + "\n" for row in shown)
