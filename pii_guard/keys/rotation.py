"""New keys for old ones, and purposes that may open nothing any more."""

from __future__ import annotations

from pii_guard.crypto.key import Mode
from pii_guard.errors import KeyringError, UsageError
from pii_guard.keys.creation import now
from pii_guard.keys.document import Document, KeyRecord
from pii_guard.keys.keyring import Keyring
from pii_guard.keys.opening import Opener
from pii_guard.keys.selection import Selection

__all__ = ["rotate", "withdraw"]


def rotate(keyring: Keyring, selection: Selection) -> list[tuple[KeyRecord, KeyRecord]]:
    """(old key, its successor) of each active key that is selected: the old one still decrypts, the new one encrypts.

    Raises UsageError where no active key matches, KeyringError if nothing can be written; then nothing was changed.
    """
    pairs: list[tuple[KeyRecord, KeyRecord]] = []

    def change(document: Document, opener: Opener) -> Document:
        active = [record for record in selection.records(document) if record.state == "active"]
        if not active:
            raise UsageError(f"{selection.name}: its keys are retired already")
        for old in active:
            added = opener.add_record(
                document,
                old.field,
                old.retention,
                sorted(old.purposes),
                now(),
                mode=Mode(old.mode),
                period=old.period,
            )
            if added is None:
                raise KeyringError(f"{keyring.directory}: the key of a purpose was changed or is damaged; restore it")
            document = added[0]
            retired = old.model_copy(update={"state": "retired"})
            records = tuple(retired if record.key_id == old.key_id else record for record in document.records)
            document = document.model_copy(update={"records": records})
            pairs.append((retired.public(), records[-1].public()))
        return document

    keyring.update(change)
    return pairs


def withdraw(keyring: Keyring, purpose: str) -> list[KeyRecord]:
    """Take a purpose's wrappings and its key encryption key away; the keys that it could open, as they are now.

    Raises UsageError for a purpose that opens nothing, or that alone opens some key: to take that away is to destroy
    the key, which has to be said.
    """
    changed: list[KeyRecord] = []

    def change(document: Document, opener: Opener) -> Document:
        if purpose not in document.keks.purposes:
            known = ", ".join(sorted(document.keks.purposes)) or "none"
            raise UsageError(f"no key opens for the purpose {purpose!r}; purposes: {known}")
        alone = sorted({record.field for record in document.records if set(record.purposes) == {purpose}})
        if alone:
            raise UsageError(
                f"keys of {', '.join(alone)} open for {purpose} alone: withdrawn, nobody could; destroy them first "
                "(`pii-guard keys destroy`), or protect the data for another purpose"
            )
        records = []
        for record in document.records:
            if purpose in record.purposes:
                left = {name: wrapped for name, wrapped in record.purposes.items() if name != purpose}
                gone = (*(name for name in record.withdrawn if name != purpose), purpose)
                record = record.model_copy(update={"purposes": left, "withdrawn": gone})
                changed.append(record.public())
            records.append(record)
        keks = {name: wrapped for name, wrapped in document.keks.purposes.items() if name != purpose}
        kept = document.keks.model_copy(update={"purposes": keks})
        return document.model_copy(update={"records": tuple(records), "keks": kept})

    keyring.update(change)
    return changed
