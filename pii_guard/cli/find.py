"""pii-guard find"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from pii_guard import connectors
from pii_guard.cli.options import comments_option, kinds_of, policy_option
from pii_guard.cli.output import emit, say, terminal_width
from pii_guard.cli.settings import place_of, settings
from pii_guard.connectors.base import reading
from pii_guard.errors import UsageError
from pii_guard.finder import find_in_stream
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
    tables = file == "-"
    if file == "-":
        with reading("standard input"):
            hits = list(find_in_stream(sys.stdin.buffer, detectors))
    else:
        source = connectors.open(file)
        if source.format not in TEXT_FORMATS:
            raise UsageError(f"{source.target}: is no text ({source.format}); use `pii-guard scan`")
        tables = not (source.lasting and source.capabilities.comments)
        with reading(source.target), source.resource.open() as stream:
            hits = list(find_in_stream(stream, detectors))
    comments = comments and not tables
    allowed = sum(hit.allowed for hit in hits) if comments else 0
    hits = [hit for hit in hits if not (comments and hit.allowed)]
    if form == "jsonl":
        text = "".join(find.jsonl(hits))
    else:
        color = output is None and console.use_color(sys.stdout, os.environ)
        text = find.table(hits, width=terminal_width(), color=color)
    emit(text, output)
    if allowed:
        say(f"{allowed:,} more allowed by comments; --no-inline-allow shows them")
    return 0
