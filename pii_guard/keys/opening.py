"""What a root key opens and makes in a key document: every key is bound to its record by its wrapping.

The functions return None where a wrapping does not open: the root is another one, or the document was changed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from pii_guard.crypto.key import KEY_ID_SIZE, ColumnKey, MarkerKey, Mode
from pii_guard.crypto.secret import Secret
from pii_guard.keys.document import VERSION, Document, Keks, PassphraseRoot, Record, SecretRoot
from pii_guard.keys.wrapping import unwrap, wrap

__all__ = ["add_record", "new_document", "open_column_key", "open_marker_key", "opens"]


def new_document(root: Secret, parameters: SecretRoot | PassphraseRoot, created: str) -> Document:
    """A document without records."""
    bare = Document.model_construct(version=VERSION, id=os.urandom(16).hex(), created=created, root=parameters)
    keks = Keks(marker=wrap(root, Secret.random(), bare.context(None)), purposes={})
    return bare.model_copy(update={"keks": keks, "records": ()})


def _kek(document: Document, root: Secret, purpose: str | None) -> Secret | None:
    keks = document.keks
    wrapped = keks.marker if purpose is None else keks.purposes.get(purpose)
    return None if wrapped is None else unwrap(root, wrapped, document.context(purpose))


def opens(document: Document, root: Secret) -> bool:
    """Whether `root` is the root key of the document."""
    return _kek(document, root, None) is not None


def open_column_key(document: Document, root: Secret, record: Record, purpose: str) -> ColumnKey | None:
    """The key of a record, through the wrapping for `purpose`."""
    kek = _kek(document, root, purpose)
    data = kek and unwrap(kek, record.purposes[purpose], record.context(document.id, purpose))
    if not data:
        return None
    key = ColumnKey(bytes.fromhex(record.key_id), record.field, data, Mode(record.mode))
    return key if key.commitment.hex() == record.commitment else None


def open_marker_key(document: Document, root: Secret, record: Record) -> MarkerKey | None:
    """The marker key of a record."""
    kek = _kek(document, root, None)
    secret = kek and unwrap(kek, record.marker, record.context(document.id, None))
    return MarkerKey(bytes.fromhex(record.key_id), record.field, secret) if secret else None


def _with_purposes(document: Document, root: Secret, purposes: Sequence[str]) -> Document:
    """The document with a key encryption key for each purpose."""
    missing = [purpose for purpose in purposes if purpose not in document.keks.purposes]
    added = {purpose: wrap(root, Secret.random(), document.context(purpose)) for purpose in missing}
    keks = document.keks.model_copy(update={"purposes": document.keks.purposes | added})
    return document.model_copy(update={"keks": keks})


def _new_key_id(document: Document) -> bytes:
    taken = {record.key_id for record in document.records}
    while (key_id := os.urandom(KEY_ID_SIZE)).hex() in taken:
        pass
    return key_id


def add_record(
    document: Document, root: Secret, field: str, retention: str, purposes: Sequence[str], created: str
) -> tuple[Document, ColumnKey] | None:
    """The document with one more record, and its new key."""
    document = _with_purposes(document, root, purposes)
    data, key_id = Secret.random(), _new_key_id(document)
    key = ColumnKey(key_id, field, data)
    bare = Record.model_construct(
        key_id=key_id.hex(),
        field=field,
        retention=retention,
        mode=key.mode.value,
        created=created,
        state="active",
        commitment=key.commitment.hex(),
    )
    keks = {purpose: _kek(document, root, purpose) for purpose in (None, *purposes)}
    wrapped: dict[str | None, str] = {}
    for purpose, kek in keks.items():
        if kek is None:
            return None
        secret = key.marker.secret if purpose is None else data
        wrapped[purpose] = wrap(kek, secret, bare.context(document.id, purpose))
    marker = wrapped.pop(None)
    record = bare.model_copy(update={"marker": marker, "purposes": wrapped})
    return document.model_copy(update={"records": (*document.records, record)}), key
