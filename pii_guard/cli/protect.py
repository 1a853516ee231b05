"""pii-guard protect"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import click
import pyarrow as pa

from pii_guard import connectors
from pii_guard.cli.in_place import in_place_options, protect_in_place
from pii_guard.cli.options import (
    keys_option,
    open_keyring,
    passphrase_option,
    policy_option,
    quiet_option,
    reading_options,
    table_options,
)
from pii_guard.cli.output import announce, counting, emit, say, watching
from pii_guard.cli.settings import place_of, required
from pii_guard.cli.tables import Into, only_name, only_table, refuse_incomplete, unchanged
from pii_guard.connectors.base import Reading
from pii_guard.connectors.database_url import Mode, database_of
from pii_guard.connectors.selection import Selection
from pii_guard.errors import UsageError
from pii_guard.guard import Guard
from pii_guard.render import tags as render
from pii_guard.revealing import carried_tags
from pii_guard.scanner import ScanOptions, scan_targets
from pii_guard.sidecar import load_sidecar, save_sidecar, sidecar_path

__all__ = ["command"]


@click.command("protect")
@click.argument("source")
@click.option("--to", "target", help="The file to write: .parquet, .arrow, .csv, .tsv, .ndjson; or a database.")
@click.option("--in-place", is_flag=True, help="Put the protected table in the place of SOURCE, a file or a database.")
@in_place_options
@policy_option
@keys_option
@passphrase_option
@click.option("--period", default="", help="When the data is from, such as 2026-Q3: its keys can be destroyed apart.")
@table_options
@click.option("--overwrite", is_flag=True, help="Replace the target if it exists.")
@click.option("--to-table", metavar="NAME", help="Into a database: the table to write.")
@click.option("--to-schema", metavar="NAME", help="Into a database: its schema, where it is not the usual one.")
@click.option(
    "--mode",
    type=click.Choice(get_args(Mode)),
    default="create",
    show_default=True,
    help="Into a database: make the table, add to it, delete its rows and add these, or put a new one in its place.",
)
@click.option("--dry-run", is_flag=True, help="Show the plan and write nothing.")
@reading_options
@quiet_option
def command(
    source: str,
    target: str | None,
    in_place: bool,
    policy: Path | None,
    keys: Path,
    passphrase_file: Path | None,
    period: str,
    table: str | None,
    password: str | None,
    overwrite: bool,
    to_table: str | None,
    to_schema: str | None,
    mode: Mode,
    dry_run: bool,
    reading: Reading,
    quiet: bool,
    **live: Any,
) -> int:
    """Copy SOURCE to a new file, or a table, with every personal field encrypted and tagged.

    SOURCE is scanned first and, without --in-place, not changed. Each field needs a rule in the policy that gives it a
    purpose and a retention class; what is personal and has none stops the command before anything is written.

    A file of the format of SOURCE keeps its delimiter, encoding, line ends and compression. With --in-place the new
    file takes the place of SOURCE when it is complete and on disk, with its mode and owner.

    In a database, --in-place encrypts the columns --column of --table page by page, while others read and write them;
    run again, it goes on where it was broken off (docs/in-place.md).

    SOURCE and the target may be URLs of databases. Such a source is read twice, to look and to copy; if what others
    wrote in between would be copied in the clear, nothing is written. Such a target is written whole or not at all
    (docs/pipelines.md).

    \b
    pii-guard protect postgresql://app@db.example/shop --table customers --to customers.parquet
    pii-guard protect postgresql://app@db.example/shop --table customers --in-place --column phone
    pii-guard protect customers.csv --to duckdb:///shop.duckdb --to-table customers
    """
    if in_place and target is None and database_of(source) is not None:
        if overwrite or to_table or to_schema:
            raise UsageError("--in-place writes no target: it goes without --overwrite, --to-table and --to-schema")
        ring = open_keyring(keys, passphrase_file)
        common = {"table": table, "password": password, "period": period, "dry_run": dry_run, "quiet": quiet}
        return protect_in_place(source, policy, ring, **common, **live)
    if any(live.values()):
        raise UsageError("--column, --rollback and the like are for --in-place in a database")
    if (target is None) is not in_place:
        raise UsageError("give one of --to TARGET and --in-place")
    check = unchanged(source)
    data, like = only_table(source, reading, table, password)
    rules, chosen = required(policy, place_of(source))
    target, overwrite = target or source, overwrite or in_place
    into = Into(to_table, to_schema, mode)
    format = into.check(target, overwrite=overwrite)
    if in_place:
        only_name(source, format, like, data)
    ring, tags = open_keyring(keys, passphrase_file), load_sidecar(sidecar_path(place_of(source)))
    guard = Guard(rules, ring, tags=tags, detectors=chosen.detectors)
    with watching(quiet) as progress:
        report = scan_targets(
            [source],
            detectors=chosen.detectors,
            options=ScanOptions(
                reading=reading, selection=Selection(tables=(table,) if table else ()), password=password
            ),
            progress=progress,
            frequencies=guard.shows_equality,
        )
    refuse_incomplete(report, source, data)
    reader = data.reader()
    planned = guard.plan(reader, report=report, period=period)
    emit(render.plan(planned))
    if dry_run:
        return 0
    style = data.style() if format is not None and format.id == like else None
    if in_place and style is not None and not style.faithful:
        raise UsageError(f"{source}: is in more than one encoding, which a new file cannot be; use --to")
    to_hash = sum(field.to_hash for field in planned)  # takes far longer than writing what comes of it
    with (
        counting("hashing passwords", to_hash, quiet) as hashed,
        counting("writing rows", 0 if to_hash else report.coverage.rows, quiet) as passed,
    ):
        changing = database_of(source) is not None  # a file is held to be the same before its target appears
        protected = guard.protect(
            reader, table=data.name, report=report, hashed=hashed, period=period, changing=changing
        )
        counted = _counted(protected, passed)
        if format is None:
            rows = connectors.write(counted, target, table=to_table, schema=to_schema, mode=mode)
        else:
            rows = connectors.write(
                counted, target, overwrite=overwrite, style=style, keep_owner=in_place, before=check
            )
    place = target if format is not None else into.shown(target)
    announce(f"wrote {rows:,} row{'' if rows == 1 else 's'} to {place}")
    if in_place:
        say("the plain values may survive where the file was: in backups, snapshots and blocks that are free now")
    if format is None or not format.load().capabilities.metadata:
        name = into.name(target) if format is None else Path(target).stem
        save_sidecar(sidecar_path(place_of(target)), carried_tags(protected.schema, name))
        holder = "a database" if format is None else format.id
        announce(f"wrote the tags, which {holder} cannot hold, to {sidecar_path(place_of(target))}")
    return 0


def _counted(reader: pa.RecordBatchReader, passed: Callable[[int], None] | None) -> pa.RecordBatchReader:
    """`reader`, whose rows are told to `passed` as they are asked for."""
    if passed is None:
        return reader

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in reader:
            yield batch
            passed(batch.num_rows)

    return pa.RecordBatchReader.from_batches(reader.schema, batches())
