"""What a root key and the epoch secrets open and make in a key document: a key is bound to its record by its wrapping.

The methods of `Opener` return None where a wrapping does not open: the document was changed.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager

from pii_guard.crypto.key import KEY_ID_SIZE, ColumnKey, MarkerKey, Mode
from pii_guard.crypto.secret import Handle, Secret
from pii_guard.errors import KeyringError
from pii_guard.keys.document import VERSION, Document, Epoch, Keks, Record, RemoteKek
from pii_guard.keys.epochs import EpochStore, Mark
from pii_guard.keys.providers import unwrap_kek, wrap_kek
from pii_guard.keys.roots import Root
from pii_guard.keys.wrapping import epoch_key, seal, unwrap, wrap

__all__ = ["Opener", "new_document", "sealed"]


def sealed(document: Document, root: Secret) -> Document:
    """The document with the seal that belongs to it."""
    return document.model_copy(update={"seal": seal(root, b"seal", document.sealed_content())})


def new_document(
    root: Secret, parameters: Root, id: str, created: str, epochs_at: str, remote: Iterable[tuple[str, str]] = ()
) -> Document:
    """A document without records, not yet sealed. `remote`: (purpose, URI of the key that wraps its key)."""
    bare = Document.model_construct(
        version=VERSION,
        id=id,
        created=created,
        counter=0,
        epochs_at=epochs_at,
        root=parameters,
        epochs=(),
        records=(),
        destroyed=(),
        copies=(),
    )
    purposes: dict[str, str | RemoteKek] = {
        purpose: wrap_kek(uri, Secret.random(), id, purpose) for purpose, uri in remote
    }
    keks = Keks(marker=wrap(root, Secret.random(), bare.context(None)), purposes=purposes)
    return bare.model_copy(update={"keks": keks})


class Opener(Handle):
    """The secrets of an open key directory. Asks a key service once for each key at most."""

    __slots__ = ("_keks", "_root", "store")

    def __init__(self, root: Secret, store: EpochStore) -> None:
        self._root = root
        self.store = store
        self._keks: dict[tuple[str | None, str], Secret] = {}

    def proves(self, document: Document) -> bool:
        """Whether the document was written, as it is, by a holder of the root key."""
        return hmac.compare_digest(document.seal, sealed(document, self._root).seal)

    def opens(self, document: Document) -> bool:
        """Whether this is the root key of the document."""
        return self._kek(document, None) is not None

    def mark_of(self, document: Document) -> Mark:
        """What the epochs directory says of the key directory. Raises KeyringError as `EpochStore.mark`."""
        return self.store.mark(self._root, document.id)

    def sealed(self, document: Document) -> Document:
        """The document as it is to be written: with the next counter, sealed."""
        return sealed(document.model_copy(update={"counter": document.counter + 1}), self._root)

    def marking(self, document: Document) -> AbstractContextManager[None]:
        """A block in which `document` is written, and which then notes it in the epochs directory. Raises OSError
        before the block where that cannot be: then nothing was written."""
        return self.store.raised(document, self._root)

    def _kek(self, document: Document, purpose: str | None) -> Secret | None:
        keks = document.keks
        wrapped = keks.marker if purpose is None else keks.purposes.get(purpose)
        if wrapped is None:
            return None
        place = purpose, wrapped if isinstance(wrapped, str) else wrapped.wrapped
        if place not in self._keks:
            if isinstance(wrapped, RemoteKek) and purpose is not None:
                kek: Secret | None = unwrap_kek(wrapped, document.id, purpose)
            else:
                kek = unwrap(self._root, place[1], document.context(purpose))
            if kek is None:
                return None
            self._keks[place] = kek
        return self._keks[place]

    def _epoch_key(self, document: Document, epoch: str, purpose: str | None) -> Secret | None:
        kek = self._kek(document, purpose)
        return None if kek is None else epoch_key(kek, self.store.secret(epoch), epoch)

    def _data_key(self, document: Document, record: Record, purpose: str | None) -> Secret | None:
        """The data key by the wrapping for `purpose`; the marker key for None."""
        wrapped = record.marker if purpose is None else record.purposes[purpose]
        key = self._epoch_key(document, record.epoch, purpose)
        return key and unwrap(key, wrapped, record.context(document.id, purpose))

    def opens_epoch(self, document: Document, epoch: Epoch) -> bool:
        """Whether its secret is the one that its keys were wrapped under. Raises KeyringError where it is missing."""
        record = next((record for record in document.records if record.epoch == epoch.id), None)
        return record is None or self._data_key(document, record, None) is not None

    def column_key(self, document: Document, record: Record, purpose: str) -> ColumnKey | None:
        """The key of a record, through the wrapping for `purpose`."""
        data = self._data_key(document, record, purpose)
        if not data:
            return None
        key = ColumnKey(bytes.fromhex(record.key_id), record.field, data, Mode(record.mode))
        return key if hmac.compare_digest(key.commitment.hex(), record.commitment) else None

    def marker_key(self, document: Document, record: Record) -> MarkerKey | None:
        """The marker key of a record."""
        secret = self._data_key(document, record, None)
        return MarkerKey(bytes.fromhex(record.key_id), record.field, secret) if secret else None

    def with_purposes(self, document: Document, purposes: Sequence[str]) -> Document:
        """The document with a key encryption key for each purpose."""
        missing = [purpose for purpose in purposes if purpose not in document.keks.purposes]
        added = {purpose: wrap(self._root, Secret.random(), document.context(purpose)) for purpose in missing}
        keks = document.keks.model_copy(update={"purposes": document.keks.purposes | added})
        return document.model_copy(update={"keks": keks})

    def with_epoch(self, document: Document, retention: str, period: str, created: str) -> tuple[Document, Epoch]:
        """The document with a new epoch, whose secret is on disk before this returns. Raises OSError."""
        epoch = Epoch(id=os.urandom(8).hex(), retention=retention, period=period, created=created)
        self.store.add(epoch.id)
        return document.model_copy(update={"epochs": (*document.epochs, epoch)}), epoch

    def add_record(
        self,
        document: Document,
        field: str,
        retention: str,
        purposes: Sequence[str],
        created: str,
        *,
        mode: Mode = Mode.RANDOMIZED,
        period: str = "",
    ) -> tuple[Document, ColumnKey] | None:
        """The document with one more record, and its new key. Raises OSError if a new epoch cannot be written."""
        document = self.with_purposes(document, purposes)
        live = (epoch for epoch in document.epochs if epoch.state == "live")
        epoch = next((epoch for epoch in live if (epoch.retention, epoch.period) == (retention, period)), None)
        if epoch is None:
            document, epoch = self.with_epoch(document, retention, period, created)
        elif not self.opens_epoch(document, epoch):
            raise KeyringError(
                f"{self.store.path(epoch.id)}: is not the secret of this epoch, whose keys it does not open; put it "
                "back from its copy"
            )
        data, key_id = Secret.random(), _new_key_id(document)
        key = ColumnKey(key_id, field, data, mode)
        bare = Record.model_construct(
            key_id=key_id.hex(),
            field=field,
            retention=retention,
            period=period,
            mode=mode.value,
            created=created,
            epoch=epoch.id,
            state="active",
            commitment=key.commitment.hex(),
        )
        secrets: dict[str | None, Secret] = dict.fromkeys(purposes, data)
        record = self._wrapped(document, bare, secrets | {None: key.marker.secret})
        if record is None:
            return None
        return document.model_copy(update={"records": (*document.records, record)}), key

    def _wrapped(self, document: Document, bare: Record, secrets: dict[str | None, Secret]) -> Record | None:
        """The record with `secrets` (by purpose, the marker key under None) wrapped under the epoch that it names."""
        wrapped: dict[str | None, str] = {}
        for purpose, secret in secrets.items():
            key = self._epoch_key(document, bare.epoch, purpose)
            if key is None:
                return None
            wrapped[purpose] = wrap(key, secret, bare.context(document.id, purpose))
        return bare.model_copy(update={"marker": wrapped.pop(None), "purposes": wrapped})

    def moved(self, document: Document, record: Record, epoch: Epoch) -> Record | None:
        """The record with its keys wrapped anew under another epoch."""
        secrets: dict[str | None, Secret] = {}
        for purpose in (None, *record.purposes):
            secret = self._data_key(document, record, purpose)
            if secret is None:
                return None
            secrets[purpose] = secret
        return self._wrapped(document, record.model_copy(update={"epoch": epoch.id}), secrets)


def _new_key_id(document: Document) -> bytes:
    taken = {key.key_id for key in (*document.records, *document.destroyed)}
    while (key_id := os.urandom(KEY_ID_SIZE)).hex() in taken:
        pass
    return key_id
