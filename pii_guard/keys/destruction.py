"""Destroying keys, so that what they encrypted is unreadable (docs/FORMAT.md, Epochs and destruction)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pii_guard.errors import KeyringError, UsageError
from pii_guard.keys.creation import now
from pii_guard.keys.document import Copy, Destroyed, Document, KeyRecord
from pii_guard.keys.finishing import receipt_path
from pii_guard.keys.keyring import Keyring
from pii_guard.keys.opening import Opener
from pii_guard.keys.selection import Selection

__all__ = ["Plan", "destroy", "plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a destruction makes unreadable, and what it has to touch."""

    keys: tuple[KeyRecord, ...]
    survivors: tuple[KeyRecord, ...]
    """Keys of the same epochs, which are wrapped anew."""
    copies: tuple[Copy, ...]
    """Backups that are registered."""


def plan(document: Document, selection: Selection) -> Plan:
    """What `destroy` would do. Raises UsageError where nothing matches."""
    doomed = selection.records(document)
    epochs = {record.epoch for record in doomed}
    survivors = [record for record in document.records if record.epoch in epochs and record not in doomed]
    return Plan(
        tuple(record.public() for record in doomed), tuple(record.public() for record in survivors), document.copies
    )


def destroy(keyring: Keyring, selection: Selection, shown: Plan | None = None) -> Path:
    """Destroy keys, and return the path of the receipt, which is on disk.

    `shown`: what somebody agreed to; other keys are never destroyed by it. Raises UsageError where nothing matches, or
    not what was shown, KeyringError where a survivor does not open (nothing was changed then) or a secret cannot be
    removed (the message says how to finish).
    """
    receipt = os.urandom(8).hex()

    def change(document: Document, opener: Opener) -> Document:
        time = now()
        doomed = selection.records(document)
        if shown is not None and {key.key_id for key in shown.keys} != {bytes.fromhex(key.key_id) for key in doomed}:
            raise UsageError(
                f"{selection.name}: other keys match by now than were shown; nothing was destroyed, look again"
            )
        epochs = {record.epoch for record in doomed}
        renewed = {}
        records = []
        for record in document.records:
            if record in doomed:
                continue
            if record.epoch in epochs:
                if record.epoch not in renewed:
                    document, renewed[record.epoch] = opener.with_epoch(document, record.retention, record.period, time)
                moved = opener.moved(document, record, renewed[record.epoch])
                if moved is None:
                    raise KeyringError(
                        f"{keyring.directory}: key {record.key_id} does not open and could not be kept; nothing was "
                        "destroyed"
                    )
                record = moved
            records.append(record)
        ended = tuple(
            Destroyed(
                **record.model_dump(exclude={"state", "marker", "purposes", "withdrawn"}),
                purposes=tuple(sorted(record.purposes)),
                ended=time,
                receipt=receipt,
            )
            for record in doomed
        )
        marked = tuple(
            epoch.model_copy(update={"state": "doomed"}) if epoch.id in epochs else epoch for epoch in document.epochs
        )
        return document.model_copy(
            update={"records": tuple(records), "destroyed": (*document.destroyed, *ended), "epochs": marked}
        )

    keyring.update(change)
    return receipt_path(keyring.directory, receipt)
