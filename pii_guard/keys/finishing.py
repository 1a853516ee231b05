"""The second half of a destruction: the secrets of doomed epochs are destroyed, and a receipt is written.

It needs no key, so that whoever writes next finishes what a crash cut off.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pii_guard.errors import KeyringError
from pii_guard.keys.document import Copy, Destroyed, Document, Epoch
from pii_guard.keys.epochs import SUFFIX, EpochStore, shred
from pii_guard.keys.files import PRIVATE_DIRECTORY, write_durably

__all__ = ["RECEIPTS", "finished", "receipt_path"]

RECEIPTS = "receipts"
PROMISE = (
    "Nothing that these keys encrypted can be opened with keyring.json, of whatever age, without the secrets of their "
    "epochs, which were overwritten and removed.",
    "That is best effort: file systems, SSDs, snapshots and backups of the medium of the secrets may keep the old "
    "bytes until they reuse them. No date can be promised.",
    "Processes that had opened the keys before hold them until they end.",
    "Plain copies of the data, made with a right to read it, are not affected.",
)


def receipt_path(directory: Path, receipt: str) -> Path:
    """Where the receipt of a destruction is."""
    return directory / RECEIPTS / f"{receipt}.json"


def finished(document: Document, store: EpochStore, directory: Path) -> Document:
    """The document without doomed epochs, once their secrets are gone and the receipts written.

    Secrets of epochs that were destroyed before are removed again where they were put back, and from copies that were
    out of reach then. The same object where nothing is left to do. Raises OSError, and KeyringError if a secret cannot
    be removed.
    """
    doomed = [epoch for epoch in document.epochs if epoch.state == "doomed"]
    for epoch in (*doomed, *(epoch for epoch in document.epochs if epoch.state == "destroyed")):
        try:
            shred(store.path(epoch.id))
        except OSError as error:
            raise KeyringError(
                f"{store.path(epoch.id)}: cannot be destroyed: {error.strerror}; make it removable and run any "
                "`pii-guard keys` command that writes, which finishes the destruction"
            ) from None
    gone = [epoch for epoch in document.epochs if epoch.state == "destroyed"]
    reached = tuple(_in_copy(copy, gone)[0] for copy in document.copies)
    if reached != document.copies:
        document = document.model_copy(update={"copies": reached})
    if not doomed:
        return document
    ended = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    copies = [_in_copy(copy, doomed) for copy in document.copies]
    (directory / RECEIPTS).mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
    ids = {epoch.id for epoch in doomed}
    for receipt in sorted({key.receipt for key in document.destroyed if key.epoch in ids}):
        keys = [key for key in document.destroyed if key.receipt == receipt]
        content = _receipt(document, receipt, keys, ended, [state for _, state in copies])
        write_durably(
            receipt_path(directory, receipt), json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"
        )
    epochs = tuple(
        epoch.model_copy(update={"state": "destroyed", "ended": ended}) if epoch.state == "doomed" else epoch
        for epoch in document.epochs
    )
    return document.model_copy(update={"epochs": epochs, "copies": tuple(copy for copy, _ in copies)})


def _in_copy(copy: Copy, doomed: Sequence[Epoch]) -> tuple[Copy, Mapping[str, Any]]:
    """A registered copy after the secrets of `doomed` are destroyed in it, and what to say of it."""
    shown: dict[str, Any] = {"what": copy.what, "path": copy.path, "made": copy.made}
    if copy.what == "keys":
        return copy, shown | {"state": "holds no epoch secret: it opens none of these keys, and no key wrapped anew"}
    left = [epoch.id for epoch in doomed if epoch.id in copy.epochs]
    kept = []
    for id in left:
        try:
            gone = shred(Path(copy.path) / f"{id}{SUFFIX}") or os.path.isdir(copy.path)
        except OSError:
            gone = False
        if not gone:
            kept.append(id)
    state = "the secrets are destroyed in it" if left else "held none of the secrets"
    if kept:
        names = ", ".join(f"{id}{SUFFIX}" for id in kept)
        state = f"NOT REACHED: with it and an old keyring.json the keys still open; destroy {names} there"
    remaining = tuple(id for id in copy.epochs if id not in left or id in kept)
    return copy.model_copy(update={"epochs": remaining}), shown | {"state": state}


def _receipt(
    document: Document, receipt: str, keys: Sequence[Destroyed], ended: str, copies: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    epochs = {key.epoch for key in keys}
    members = ("key_id", "commitment", "field", "retention", "period", "mode", "created", "purposes", "epoch")
    places = {(epoch.retention, epoch.period) for epoch in document.epochs if epoch.id in epochs}
    survivors = [record.key_id for record in document.records if (record.retention, record.period) in places]
    return {
        "version": 1,
        "receipt": receipt,
        "keyring": document.id,
        "destroyed": keys[0].ended,
        "keys": [{member: getattr(key, member) for member in members} for key in keys],
        "survivors": survivors,
        "epochs": [
            {"id": epoch.id, "retention": epoch.retention, "period": epoch.period}
            for epoch in document.epochs
            if epoch.id in epochs
        ],
        "copies": list(copies),
        "unreadable_from": ended,
        "irrecoverable_from": None,
        "promise": list(PROMISE),
    }
