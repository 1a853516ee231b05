"""The one place that draws with rich: text out, the same for the same width, whatever terminal it runs in."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["DEFAULT_WIDTH", "draw", "use_color"]

DEFAULT_WIDTH = 100


def use_color(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether to write colours to `stream`: only to a terminal that can, and not under NO_COLOR (no-color.org)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def draw(parts: Iterable[RenderableType], *, width: int, color: bool, wrap: bool = True) -> str:
    """`parts` one below the other, as text with `\\n` line ends. Without `wrap` lines may be longer than `width`."""
    from rich.console import Console

    buffer = io.StringIO()
    # All is stated, or COLUMNS, TERM and the like would change the text.
    console = Console(
        file=buffer,
        width=width,
        height=25,
        color_system="standard" if color else None,
        force_terminal=color,
        force_jupyter=False,
        no_color=not color,
        markup=False,  # a name is not a style
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )
    for part in parts:
        console.print(part, soft_wrap=not wrap)
    return "".join(line.rstrip() + "\n" for line in buffer.getvalue().splitlines())
