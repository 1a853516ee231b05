"""The key directory: data keys on a local disk, each bound to a logical field and opened for its purposes alone.

Whoever can open the root key can open every purpose whose key it wraps: there the purpose binding keeps honest code
honest and makes every access name its purpose, no more. Purposes with a key of a key service of their own are enforced
by that service (docs/security.md).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeVar

from pii_guard.crypto.key import ColumnKey, MarkerKey, Mode
from pii_guard.crypto.secret import Handle
from pii_guard.errors import KeyringError, PurposeRefusedError, UsageError, WrongPassphraseError
from pii_guard.keys.creation import FILE, LOCK, create, now
from pii_guard.keys.document import Destroyed, Document, KeyRecord, Record, is_period
from pii_guard.keys.epochs import EpochStore
from pii_guard.keys.files import check_private, locked, read_private, write_durably
from pii_guard.keys.finishing import finished
from pii_guard.keys.opening import Opener
from pii_guard.keys.providers import Home, open_root
from pii_guard.keys.providers.directory import FILE as SECRET

__all__ = ["Change", "KeyRecord", "Keyring", "load", "opener_of"]

T = TypeVar("T")
_CHANGED = "does not open: keyring.json was changed or is damaged; restore it from a backup"
Change = Callable[[Document, Opener], Document]
"""From the document as it is under the lock to what is to be written; the same object where there is nothing to do."""


class Keyring(Handle):
    """An open key directory. Several processes may use one directory at the same time, several threads one object.

    What others write is seen at the next look for a key: one that is destroyed, or whose purpose is withdrawn, is given
    no more.
    """

    __slots__ = ("_by_id", "_columns", "_document", "_markers", "_opener", "_reading", "_seen", "directory")

    def __init__(self, directory: Path, document: Document, opener: Opener) -> None:
        self.directory = directory
        self._opener = opener
        self._reading = threading.RLock()  # held while the document is replaced; keyring.lock is between processes
        self._seen: tuple[int, ...] = ()
        self._take(document)
        self._columns: dict[tuple[bytes, str], ColumnKey] = {}
        self._markers: dict[bytes, MarkerKey] = {}

    @classmethod
    def create(
        cls,
        directory: Path,
        passphrase: str | None = None,
        *,
        provider: str | None = None,
        epochs: Path | None = None,
        purpose_keys: Mapping[str, str] | None = None,
    ) -> Self:
        """Make a key directory, and the directory `epochs` (by default NAME-epochs beside it) for its epoch secrets.

        `provider` names where the root key comes from (`pii_guard.keys.providers.PROVIDERS`): by default the passphrase
        if there is one, else the file root.secret. `purpose_keys`: purpose -> URI of the key of a key service that is
        to guard it. Raises KeyringError if a directory exists or cannot be written; then nothing is left. UsageError
        for an empty passphrase.
        """
        return cls(Path(directory), *create(Path(directory), passphrase, provider, epochs, purpose_keys or {}))

    @classmethod
    def open(cls, directory: Path, passphrase: str | None = None, *, epochs: Path | None = None) -> Self:
        """Open a key directory, and its epochs directory where that says it is, or at `epochs`.

        Raises KeyringError (missing, damaged, open to others, an old copy) and WrongPassphraseError.
        """
        directory = Path(directory)
        document = load(directory)
        keyring = cls(directory, document, opener_of(directory, document, passphrase, epochs=epochs))
        keyring._reload()  # another process may have written while the root key was opened
        return keyring

    @staticmethod
    def describe(directory: Path) -> tuple[KeyRecord, ...]:
        """The public records of a key directory, oldest first, then those of destroyed keys, with no key opened or
        proven. Raises KeyringError."""
        return load(Path(directory), private=False).public()

    @property
    def document(self) -> Document:
        """The content of keyring.json as it was when it was last read."""
        return self._document

    @property
    def epochs(self) -> Path:
        """The epochs directory."""
        return self._opener.store.directory

    def records(self) -> tuple[KeyRecord, ...]:
        """The public records, oldest first, without destroyed ones, as they were when the directory was last read."""
        return tuple(record.public() for record in self._document.records)

    def record(self, key_id: bytes) -> KeyRecord:
        """The public record of a key. Raises KeyringError if the directory has no such key, or no more."""
        return self._find(key_id).public()

    def destroyed(self, key_id: bytes) -> KeyRecord | None:
        """What is left of a destroyed key: that there was one. None for any other key."""
        self._refresh()
        found = self._by_id.get(key_id.hex())
        return found.public() if isinstance(found, Destroyed) else None

    def encryption_key(
        self,
        field: str,
        retention: str,
        purposes: Sequence[str],
        mode: Mode = Mode.RANDOMIZED,
        *,
        period: str = "",
    ) -> ColumnKey:
        """The newest active key of exactly this logical field, retention class, set of purposes, mode and period, else
        a new one. Keys of modes that keep equal values equal have no period, whatever is given.

        A new key is on disk before this returns. Raises UsageError for an empty or broken name, KeyringError if the
        directory cannot be written or was changed.
        """
        wanted = _checked(field, retention, purposes)
        if not is_period(period):
            raise UsageError(f"{period!r} is no period; a period is a year, 2026-Q3, 2026-07 or 2026-07-31")
        period = period if mode is Mode.RANDOMIZED else ""
        same: ColumnKey | None = None

        def change(document: Document, opener: Opener) -> Document:
            nonlocal same
            record = _newest(document, field, retention, wanted, mode, period)
            if record is not None:
                same = self._column_key(record, wanted[0], document)
                return document
            added = opener.add_record(document, field, retention, wanted, now(), mode=mode, period=period)
            if added is None:
                raise KeyringError(f"{self.directory}: the key of a purpose {_CHANGED}")
            same = added[1]
            return added[0]

        self.update(change, "no key can be added")
        assert same is not None  # noqa: S101 - both ways out of `change` set it
        return same

    def present_key(
        self, field: str, retention: str, purposes: Sequence[str], mode: Mode = Mode.RANDOMIZED, period: str = ""
    ) -> bytes | None:
        """The id of the key that `encryption_key` would give, or None where it would make one."""
        record = _newest(self._document, field, retention, _checked(field, retention, purposes), mode, period)
        return None if record is None else bytes.fromhex(record.key_id)

    def update(self, change: Change, otherwise: str = "cannot be changed") -> None:
        """Write what `change` makes of the document, under the lock, on disk before this returns.

        A destruction that was cut off before is finished first, one that `change` begins afterwards. Raises
        KeyringError, with `otherwise` where a file cannot be written.
        """
        try:
            with self._reading, locked(self.directory / LOCK):
                self._reload()
                self._finish()
                self._write(change(self._document, self._opener))
                self._finish()
        except OSError as error:
            raise KeyringError(f"{self.directory}: {otherwise}: {_told(error)}") from None

    def _finish(self) -> None:
        try:
            self._write(finished(self._document, self._opener.store, self.directory))
        except OSError as error:
            raise KeyringError(
                f"{self.directory}: keys are destroyed in it, and their destruction is not finished: {_told(error)}; "
                "mend that and run `pii-guard keys destroy --finish`"
            ) from None

    def _write(self, document: Document) -> None:
        if document is self._document:
            return
        document = self._opener.sealed(document)
        with self._opener.marking(document):
            write_durably(self.directory / FILE, document.to_bytes())
        self._take(document)

    def _take(self, document: Document) -> None:
        self._document = document
        known: tuple[Record | Destroyed, ...] = (*document.records, *document.destroyed)
        self._by_id = {key.key_id: key for key in known}

    def decryption_key(self, key_id: bytes, purpose: str) -> ColumnKey:
        """The key of this id, for a purpose that it is wrapped for.

        Raises PurposeRefusedError for another purpose, KeyringError for an unknown or destroyed key, or a changed
        record.
        """

        def opened() -> ColumnKey:
            record = self._find(key_id)
            if purpose not in record.purposes:
                allowed = ", ".join(sorted(record.purposes))
                raise PurposeRefusedError(
                    f"{record.field}: may not be opened for purpose {purpose!r}; allowed: {allowed}"
                )
            return self._column_key(record, purpose, self._document)

        return self._up_to_date(opened)

    def index_keys(self, field: str, purpose: str) -> tuple[ColumnKey, ...]:
        """Every key of a logical field that `purpose` may open, oldest first: a value may be indexed under any of them.

        Raises PurposeRefusedError where there are keys and the purpose may open none, KeyringError where there is none.
        """

        def opened() -> tuple[ColumnKey, ...]:
            self._refresh()
            document = self._document
            records = [record for record in document.records if record.field == field]
            allowed = [record for record in records if purpose in record.purposes]
            if not records:
                raise KeyringError(f"{self.directory}: has no key of {field}")
            if not allowed:
                raise PurposeRefusedError(f"{field}: may not be searched for purpose {purpose!r}")
            return tuple(self._column_key(record, purpose, document) for record in allowed)

        return self._up_to_date(opened)

    def marker_key(self, key_id: bytes) -> MarkerKey:
        """The key that verifies the tokens of a key and opens none. Raises KeyringError as `decryption_key`."""

        def opened() -> MarkerKey:
            record = self._find(key_id)
            if key_id not in self._markers:
                key = self._opener.marker_key(self._document, record)
                if key is None:
                    raise KeyringError(f"{self.directory}: the marker key of {record.key_id} {_CHANGED}")
                self._markers[key_id] = key
            return self._markers[key_id]

        return self._up_to_date(opened)

    def _up_to_date(self, opened: Callable[[], T]) -> T:
        """What `opened` gives, once more if the directory was written meanwhile: a destruction takes the secret of an
        epoch away after it has wrapped the keys that survive anew."""
        seen = self._seen
        try:
            return opened()
        except PurposeRefusedError:
            raise
        except KeyringError:
            self._refresh()
            if self._seen == seen:
                raise
        return opened()

    def _column_key(self, record: Record, purpose: str, document: Document) -> ColumnKey:
        place = bytes.fromhex(record.key_id), purpose
        if place not in self._columns:
            key = self._opener.column_key(document, record, purpose)
            if key is None:
                raise KeyringError(f"{self.directory}: key {record.key_id} {_CHANGED}")
            self._columns[place] = key
        return self._columns[place]

    def _find(self, key_id: bytes) -> Record:
        self._refresh()
        record = self._by_id.get(key_id.hex())
        if isinstance(record, Destroyed):
            raise KeyringError(
                f"key {record.key_id} of {record.field} was destroyed on {record.ended}; what it encrypted is "
                "unreadable"
            )
        if record is None:
            raise KeyringError(f"key {key_id.hex()} is not in the key directory {self.directory}")
        return record

    def _refresh(self) -> None:
        """Read the directory again if it was written since. One whose medium is gone stays as it was last seen."""
        if self._signature() not in (self._seen, ()):
            self._reload()

    def _signature(self) -> tuple[int, ...]:
        """What tells one version of the file from the next, which always replaces it as a whole."""
        try:
            status = (self.directory / FILE).stat()
        except OSError:
            return ()
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _reload(self) -> None:
        with self._reading:
            # The mark first: it is raised after keyring.json was written, so that it never is ahead of a newest copy.
            highest, seen = self._opener.mark_of(self._document).counter, self._signature()
            document = load(self.directory)
            if (document.id, document.root) != (self._document.id, self._document.root):
                raise KeyringError(f"{self.directory}: was replaced by another key directory while it was open")
            if not self._opener.proves(document):
                raise KeyringError(f"{self.directory}: {FILE} was changed while it was open; restore it from a backup")
            if document.counter < highest:
                raise KeyringError(
                    f"{self.directory}: {FILE} is an old copy: it was written {document.counter} times, the last one "
                    f"seen {highest} times; put the newest one back, or accept it with `pii-guard keys restore`"
                )
            self._take(document)
            self._seen = seen


def _told(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)


def _newest(
    document: Document, field: str, retention: str, purposes: Sequence[str], mode: Mode, period: str
) -> Record | None:
    """The newest active key of exactly these; modes that keep equal values equal have no period."""
    wanted = (field, retention, list(purposes), mode.value, period if mode is Mode.RANDOMIZED else "")
    for record in reversed(document.records):
        has = (record.field, record.retention, sorted(record.purposes), record.mode, record.period)
        if record.state == "active" and has == wanted:
            return record
    return None


def _checked(field: str, retention: str, purposes: Sequence[str]) -> list[str]:
    """The purposes, sorted, once each."""
    names = [field, retention, *purposes]
    if isinstance(purposes, str) or len(names) == 2 or not all(names):
        raise UsageError("a key needs a logical field, a retention class and a list of purposes, none of them empty")
    if any("\ud800" <= char <= "\udfff" for name in names for char in name):
        raise UsageError("the name of a logical field, retention class or purpose is not valid Unicode")
    return sorted(set(purposes))


def load(directory: Path, private: bool = True) -> Document:
    """keyring.json, checked, with nothing opened or proven. Raises KeyringError.

    `private`: refuse a directory that others can open.
    """
    path = directory / FILE
    try:
        if private:
            check_private(directory, directory.stat())
        content = read_private(path) if private else path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise KeyringError(f"{directory}: no key directory is here; run `pii-guard keys init`") from None
    except OSError as error:
        raise KeyringError(f"{path}: cannot be read: {error.strerror}") from None
    return Document.from_bytes(content, str(path))


def opener_of(
    directory: Path, document: Document, passphrase: str | None, *, epochs: Path | None = None, home: Path | None = None
) -> Opener:
    """What opens a document. Raises WrongPassphraseError where the root key is not its own or it was changed.

    `home`: where root.secret is, if not in `directory`.
    """
    root = open_root(Home(home or directory, document.id, directory, passphrase), document.root)
    at = Path(os.path.normpath(directory / document.epochs_at))
    opener = Opener(root, EpochStore(epochs or at))
    if not opener.opens(document) or not opener.proves(document):
        what = {"argon2id": "the passphrase is wrong", "secret": f"{SECRET} is not of this directory"}
        which = what.get(document.root.kind, "its root key is another one")
        raise WrongPassphraseError(f"{directory}: {which}, or {FILE} was changed")
    return opener
