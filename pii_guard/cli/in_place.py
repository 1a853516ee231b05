"""pii-guard protect URL --in-place"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click
import pyarrow as pa

from pii_guard.audit import AccessRequest, os_account
from pii_guard.cli.output import announce, emit, say
from pii_guard.cli.settings import place_of, required
from pii_guard.errors import AccessRefusedError, KeyringError, UsageError
from pii_guard.guard import Guard
from pii_guard.inplace.dialect import Dialect, Survey
from pii_guard.inplace.engine import BATCH, Engine, Pace, Progress, keys_of, refuse, too_narrow
from pii_guard.inplace.journal import Journal, Phase
from pii_guard.inplace.opening import opened
from pii_guard.inplace.values import start_of
from pii_guard.keys.keyring import Keyring
from pii_guard.model import FieldPath, Tag, path_text
from pii_guard.policy.access import refusal, row_budget
from pii_guard.render import tags as render
from pii_guard.scanner import scan_data
from pii_guard.sidecar import load_sidecar, save_sidecar, sidecar_path
from pii_guard.tags import logical_field

__all__ = ["in_place_options", "protect_in_place"]

Command = TypeVar("Command", bound=Callable[..., Any])

SAMPLE_ROWS = 10_000
"""Rows that are scanned to say what a column holds."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What the command line asks for."""

    url: str
    policy: Path | None
    period: str
    dry_run: bool
    quiet: bool
    table: str | None
    columns: tuple[str, ...]
    password: str | None
    batch: int | None
    throttle: int | None
    rollback: bool
    purpose: str | None
    actor: str | None
    role: str | None

    @property
    def pace(self) -> Pace:
        return Pace(self.batch or BATCH, self.throttle)


def in_place_options(command: Command) -> Command:
    """The options of `_Request` that no other command has; every one of them is empty or false by default."""
    for option in (
        click.option("--role", help="The role that the policy grants a roll-back by; needed where it has any."),
        click.option("--actor", help="Who rolls back, for the access record; by default the account of the system."),
        click.option("--purpose", help="What plain values are needed for again, for --rollback."),
        click.option("--rollback", is_flag=True, help="Of a database: take back what an unfinished run has done."),
        click.option(
            "--throttle", type=click.IntRange(1), metavar="ROWS", help="Of a database: at most so many rows a second."
        ),
        click.option(
            "--batch",
            type=click.IntRange(1, 100_000),
            help=f"Of a database: rows that are locked at a time, by default {BATCH:,}.",
        ),
        click.option("--column", "columns", multiple=True, help="Of a database: a column to encrypt; may be repeated."),
    ):
        command = option(command)
    return command


def protect_in_place(url: str, policy: Path | None, ring: Keyring, **options: Any) -> int:
    """Encrypt columns of a live table, or take back what of it an unfinished run has done."""
    asked = _Request(url, policy, **options)
    if asked.table is None or not asked.columns:
        raise UsageError("--in-place in a database needs --table T and --column C, which may be repeated")
    if asked.rollback is (asked.purpose is None):
        raise UsageError("--rollback writes plain values, so it needs --purpose P; nothing else does")
    rules, chosen = required(asked.policy, place_of(asked.url))
    sidecar = sidecar_path(place_of(asked.url))
    guard = Guard(rules, ring, tags=load_sidecar(sidecar), detectors=chosen.detectors)
    with opened(asked.url, asked.table, asked.columns, asked.password) as dialect:
        if not asked.dry_run and not dialect.lock():
            raise UsageError(f"{dialect.target}: {dialect.relation.name}: another run is at work on it; let it end")
        journal = _journal(dialect, asked)
        if journal is not None and asked.purpose is not None:
            return _roll_back(dialect, journal, asked, asked.purpose, guard)
        survey = dialect.survey()
        refuse(dialect, survey.refusals)
        tags, whys = _tags(dialect, guard, asked.period) if journal is None else (journal.tags, {})
        counts = dialect.counts({column: _starts(tag, ring) for column, tag in tags.items()})
        if journal is None:
            refuse(dialect, too_narrow(dialect, survey, counts))
        emit(_plan(dialect, survey, journal, tags, whys, counts.values))
        dialect.abandon()
        if asked.dry_run:
            return 0
        if journal is None:
            journal = Journal(Phase.FILL, {column: _keyed(tag, ring, asked.period) for column, tag in tags.items()})
        with _on_the_way(), _watching(asked.quiet) as watch:
            keys = keys_of(journal.tags, ring)
            engine = Engine(dialect, keys, journal, pace=asked.pace, total=counts.rows, watch=watch)
            rows = engine.protect(ring, lambda tags: save_sidecar(sidecar, _named(dialect, tags)))
        announce(f"encrypted {dialect.relation.name}: {rows:,} rows, each value opened once; {engine.changed:,} now")
        announce(f"wrote the tags to {sidecar}")
        say("plain values may survive in:")
        for line in dialect.residue():
            say(f"  {line}")
    return 0


def _journal(dialect: Dialect, asked: _Request) -> Journal | None:
    """The journal of a run that is not over, if the command goes on with it. Raises UsageError if it does not."""
    journal, place = dialect.read_journal(), f"{dialect.target}: {dialect.relation.name}"
    if journal is None:
        if asked.rollback:
            raise UsageError(f"{place}: no run is under way; `pii-guard reveal` opens what is encrypted")
        return None
    if set(journal.tags) != set(dialect.columns):
        columns = " ".join(f"--column {column}" for column in journal.tags)
        raise UsageError(f"{place}: a run on {columns} is under way; finish it, or roll it back, first")
    if journal.phase is Phase.UNDO and not asked.rollback:
        raise UsageError(f"{place}: is being rolled back; finish that with --rollback first")
    return journal


def _tags(dialect: Dialect, guard: Guard, period: str) -> tuple[dict[str, Tag], dict[str, str]]:
    """What the policy says of the columns, and why. Raises UsageError where it does not say to encrypt them."""
    name, names = dialect.relation.name, dialect.column_names()
    report = scan_data(dialect.sample(SAMPLE_ROWS), source=dialect.target, table=name, detectors=guard.detectors)
    planned = guard.plan(
        pa.schema([(column, pa.string()) for column in names]).empty_table(), report=report, period=period
    )
    tags, whys = {}, {}
    for field in planned:
        if names[field.index] not in dialect.columns:
            continue
        place = f"{dialect.target}: {name}: column {field.shown}"
        if field.action != "encrypt" or field.tag is None:
            raise UsageError(
                f"{place}: {field.why}; a column is encrypted in place by a rule that gives it purposes, a retention "
                'class and protection = "encrypt"'
            )
        if field.tag.mode or field.tag.index or field.tag.bind_row or field.cohorts:
            raise UsageError(
                f"{place}: is to have deterministic tokens, tokens bound to rows, a blind index or keys by period, "
                "which are not made in place; use --to"
            )
        logical = field.tag.field or logical_field(FieldPath(dialect.target, name, path_text((field.shown,))))
        tags[names[field.index]] = replace(field.tag, field=logical, type=None)
        whys[names[field.index]] = field.why
    return tags, whys


def _starts(tag: Tag, ring: Keyring) -> list[str]:
    """How the tokens begin that were made for a field."""
    mine = [record for record in ring.records() if record.field == tag.field and record.purposes]
    return [start_of(ring.decryption_key(record.key_id, record.purposes[0])) for record in mine]


def _keyed(tag: Tag, ring: Keyring, period: str) -> Tag:
    key = ring.encryption_key(tag.field or "", tag.retention or "", tag.purposes, period=period)
    return replace(tag, key_id=key.key_id.hex())


def _named(dialect: Dialect, tags: Mapping[str, Tag]) -> dict[str, Tag]:
    """The tags by the names that the columns have now."""
    table = dialect.relation.name
    return {logical_field(FieldPath(dialect.target, table, path_text((column,)))): tag for column, tag in tags.items()}


def _plan(
    dialect: Dialect,
    survey: Survey,
    journal: Journal | None,
    tags: Mapping[str, Tag],
    whys: Mapping[str, str],
    values: Mapping[str, int],
) -> str:
    rows = [
        (
            column,
            "encrypt",
            f"{values[column]:,}",
            whys.get(column, f"for {', '.join(tag.purposes)}; kept as {tag.retention}"),
        )
        for column, tag in tags.items()
    ]
    text = render.columns([("column", "action", "values", "why"), *rows])
    text += "".join(f"note: {note}\n" for note in survey.notes)
    if journal is not None:
        text += f"goes on with a run that is under way: {journal.phase}, {journal.rows:,} rows done\n"
    return text


def _roll_back(dialect: Dialect, journal: Journal, asked: _Request, purpose: str, guard: Guard) -> int:
    dialect.abandon()
    fields = [tag.field or "" for tag in journal.tags.values()]
    ids = [bytes.fromhex(tag.key_id or "") for tag in journal.tags.values()]
    request = AccessRequest(purpose, asked.actor or os_account(), "roll back in place")
    try:
        reason = refusal(guard.policy, asked.role, purpose, fields)
        if not reason and row_budget(guard.policy, asked.role, None) is not None:
            reason = f"the role {asked.role} may open a number of rows, and a roll-back opens all"
        if reason:
            raise AccessRefusedError(reason)
        keys = keys_of(journal.tags, guard.keys, purpose)
    except KeyringError:
        guard.audit.refused(request, fields=fields, key_ids=ids)
        raise
    if asked.dry_run:
        announce(
            f"{dialect.relation.name}: would decrypt {', '.join(journal.tags)} again; {journal.phase} is under way"
        )
        return 0
    with (
        _on_the_way(),
        guard.audit.access(request, fields=fields, key_ids=ids) as access,
        _watching(asked.quiet) as watch,
    ):
        engine = Engine(dialect, keys, journal, pace=asked.pace, watch=watch)
        try:
            engine.undo()
        finally:
            access.rows = engine.changed
    sidecar = sidecar_path(place_of(asked.url))
    written = {
        name: replace(tag, key_id=None)
        for name, tag in _named(dialect, journal.tags).items()
        if name in guard.tags and journal.phase is Phase.VERIFY
    }
    if written:
        save_sidecar(sidecar, written)
    announce(f"decrypted {dialect.relation.name} again: {engine.changed:,} rows now; the run is forgotten")
    return 0


@contextlib.contextmanager
def _on_the_way() -> Iterator[None]:
    """Say what to do about a run that was broken off."""
    try:
        yield
    except BaseException:
        say("the run is not over: the same command goes on with it, --rollback takes it back")
        raise


@contextlib.contextmanager
def _watching(quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A progress line with the rate on a terminal; None in a pipe or with --quiet."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("")

        def show(progress: Progress) -> None:
            bar.update(
                task, description=progress.phase, completed=progress.rows, total=max(progress.total, progress.rows)
            )

        yield show
