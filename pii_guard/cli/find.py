"""pii-guard find"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

import click

from pii_guard import connectors
from pii_guard.cli.options import comments_option, kinds_of, policy_option
from pii_guard.cli.output import emit_parts, say, terminal_width
from pii_guard.cli.settings import place_of, settings
from pii_guard.connectors.base import reading
from pii_guard.errors import UsageError
from pii_guard.finder import find_in_stream
from pii_guard.model import Hit
from pii_guard.render import console, find

__all__ = ["command"]

TEXT_FORMATS = ("text", "csv", "ndjson")


@click.command("find")
@click.argument("file")
@click.option("--format", "form", type=click.Choice(["table", "jsonl"]), default="table", show_default=True)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the result to this file.")
@click.option("--only", metavar="KIND,...", help="Look for these kinds alone.")
@click.option("--except", "excluding", metavar="KIND,...", help="Do not look for these kinds.")
@policy_option
@comments_option
def command(
    file: str,
    form: str,
    output: Path | None,
    only: str | None,
    excluding: str | None,
    policy: Path | None,
    comments: bool,
) -> int:
    """Find personal data in one text FILE (`-`: standard input), line by line, with its place.

    \b
    pii-guard find notes.txt
    git diff | pii-guard find - --format jsonl
    """
    detectors = settings(policy, place_of(file), only=kinds_of(only), excluding=kinds_of(excluding)).detectors
    opened: AbstractContextManager[BinaryIO]
    if file == "-":
        name, comments, opened = "standard input", False, nullcontext(sys.stdin.buffer)
    else:
        source = connectors.open(file)
        if source.format not in TEXT_FORMATS:
            raise UsageError(f"{source.target}: is no text ({source.format}); use `pii-guard scan`")
        name = source.target
        comments = comments and source.lasting and source.capabilities.comments
        with reading(name):
            opened = source.resource.open()
    allowed = 0

    def open_hits(hits: Iterable[Hit]) -> Iterator[Hit]:
        """Those that no comment allows; the others are counted."""
        nonlocal allowed
        with reading(name):  # here, where no error of writing passes
            for hit in hits:
                if comments and hit.allowed:
                    allowed += 1
                else:
                    yield hit

    color = output is None and console.use_color(sys.stdout, os.environ)
    with opened as stream:
        hits = open_hits(find_in_stream(stream, detectors))
        parts = find.jsonl(hits) if form == "jsonl" else find.tables(hits, width=terminal_width(), color=color)
        emit_parts(parts, output)
    if allowed:
        say(f"{allowed:,} more allowed by comments; --no-inline-allow shows them")
    return 0
