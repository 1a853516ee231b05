"""pii-guard kinds"""

from __future__ import annotations

import inspect

import click

from pii_guard.cli.output import emit
from pii_guard.detectors import TABLE, load

__all__ = ["command"]


@click.command("kinds")
@click.argument("kind", required=False)
def command(kind: str | None) -> int:
    """List the kinds of personal data that pii-guard knows, or explain one KIND: what it finds and what it does not."""
    if kind is None:
        width = max(map(len, TABLE))
        emit("".join(f"{name:<{width}}  {words}\n" for name, (_, words) in TABLE.items()))
    else:
        detector = load(kind)
        emit(f"{detector.kind.id}: {detector.kind.title}\n\n{inspect.getdoc(type(detector))}\n")
    return 0
