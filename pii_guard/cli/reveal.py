"""pii-guard reveal"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click
import pyarrow as pa

from pii_guard import connectors
from pii_guard.audit import AccessLog
from pii_guard.cli.options import (
    heads_option,
    keys_option,
    open_keyring,
    passphrase_option,
    policy_option,
    table_options,
)
from pii_guard.cli.output import announce
from pii_guard.cli.settings import existing_policy, place_of
from pii_guard.cli.tables import only_table
from pii_guard.crypto.decryption import OnError
from pii_guard.guard import ACCESS_LOG, Guard
from pii_guard.model import Tag
from pii_guard.revealing import with_tags
from pii_guard.sidecar import load_sidecar, sidecar_path

__all__ = ["command"]


@click.command("reveal")
@click.argument("source")
@click.option("--to", "target", required=True, help="The file to write: .parquet, .arrow, .csv, .tsv, .ndjson.")
@click.option("--purpose", required=True, help="What the data is needed for; the policy must declare it.")
@click.option("--actor", help="Who asks, for the access record; by default the account of the operating system.")
@click.option("--task", default="reveal", show_default=True, help="What is being done, for the access record.")
@click.option(
    "--on-error",
    type=click.Choice(["raise", "null"]),
    default="raise",
    show_default=True,
    help="What becomes of values that do not open: an end of the command, or nulls, which are counted.",
)
@click.option("--reason", help="Why this time, such as a ticket, for the access record.")
@click.option("--subject", metavar="COLUMN", help="Whose data each row is: its pseudonyms go into the access record.")
@click.option("--role", help="The role that the policy grants access by; needed where it has any.")
@click.option("--columns", metavar="NAME,...", help="Open only these columns; the others stay encrypted.")
@click.option("--masked", is_flag=True, help="Show a few characters of each value only.")
@policy_option
@keys_option
@passphrase_option
@table_options
@heads_option
@click.option("--overwrite", is_flag=True, help="Replace the target if it exists.")
def command(
    source: str,
    target: str,
    purpose: str,
    actor: str | None,
    task: str,
    on_error: OnError,
    reason: str | None,
    subject: str | None,
    role: str | None,
    columns: str | None,
    masked: bool,
    policy: Path | None,
    keys: Path,
    passphrase_file: Path | None,
    table: str | None,
    password: str | None,
    heads: Path | None,
    overwrite: bool,
) -> int:
    """Copy a protected SOURCE to a new file with its fields opened for one purpose.

    Each access, and each refusal, is recorded in access.jsonl of the key directory before anything is opened. A purpose
    that the policy does not declare, or that a field was not protected for, is refused. The new file can be read by you
    alone.
    """
    data, _ = only_table(source, table=table, password=password)
    rules = existing_policy(policy, place_of(source))
    connectors.check_target(target, overwrite=overwrite)
    guard = Guard(rules, open_keyring(keys, passphrase_file), audit=AccessLog(keys / ACCESS_LOG, heads))
    tags = load_sidecar(sidecar_path(place_of(source)))
    names = None if columns is None else [name.strip() for name in columns.split(",") if name.strip()]
    with guard.reveal(purpose=purpose, actor=actor, task=task, reason=reason, role=role) as session:
        revealed = session.decrypt(
            _tagged(data.reader(), data.name, tags), columns=names, masked=masked, on_error=on_error, subject=subject
        )
        rows = connectors.write(revealed, target, overwrite=overwrite, private=True)
    announce(
        f"wrote {rows:,} row{'' if rows == 1 else 's'} to {target}, {'masked' if masked else 'opened'} for {purpose}"
    )
    return 0


def _tagged(reader: pa.RecordBatchReader, table: str, tags: Mapping[str, Tag]) -> pa.RecordBatchReader:
    """The rows with the tags of a sidecar on the columns that carry none."""
    schema = with_tags(reader.schema, table, tags)
    batches = (pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in reader)
    return pa.RecordBatchReader.from_batches(schema, batches)
