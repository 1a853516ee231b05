"""The key directory: data keys on a local disk, each bound to a logical field and opened for its purposes alone.

Whoever can open a local directory can open it for every purpose: here the purpose binding keeps honest code honest and
makes every access name its purpose, no more (docs/security.md).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from pii_guard.crypto.key import ColumnKey, MarkerKey, Mode
from pii_guard.crypto.secret import Handle, Secret
from pii_guard.errors import KeyringError, PurposeRefusedError, UsageError, WrongPassphraseError
from pii_guard.files import sync_directory
from pii_guard.keys.document import Document, KeyRecord, PassphraseRoot, Record, SecretRoot
from pii_guard.keys.files import check_private, locked, read_private, write_durably
from pii_guard.keys.opening import add_record, new_document, open_column_key, open_marker_key, opens
from pii_guard.keys.wrapping import new_passphrase_root, root_from_passphrase, root_from_text, root_to_text

__all__ = ["KeyRecord", "Keyring"]

_FILE, _SECRET, _LOCK = "keyring.json", "root.secret", "keyring.lock"
_CHANGED = "does not open: keyring.json was changed or is damaged; restore it from a backup"


class Keyring(Handle):
    """An open key directory. Several processes may use one directory at the same time, several threads one object."""

    __slots__ = ("_columns", "_document", "_markers", "_root", "directory")

    def __init__(self, directory: Path, document: Document, root: Secret) -> None:
        self.directory = directory
        self._document = document
        self._root = root
        self._columns: dict[tuple[bytes, str], ColumnKey] = {}
        self._markers: dict[bytes, MarkerKey] = {}

    @classmethod
    def create(cls, directory: Path, passphrase: str | None = None) -> Self:
        """Make a key directory, protected by `passphrase` or else by a random secret in the file root.secret.

        Raises KeyringError if `directory` exists or cannot be written; then nothing is left. UsageError for an empty
        passphrase.
        """
        directory = Path(directory)
        parameters: SecretRoot | PassphraseRoot
        if passphrase is None:
            parameters, root = SecretRoot(kind="secret"), Secret.random()
        elif passphrase:
            parameters = new_passphrase_root()
            root = root_from_passphrase(passphrase, parameters)
        else:
            raise UsageError("the passphrase is empty")
        if os.path.lexists(directory):
            raise KeyringError(f"{directory}: exists already; nothing was changed")
        document = new_document(root, parameters, _now())
        try:
            # Made whole under another name (mode 0700), so that no crash leaves half a key directory behind.
            temporary = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
            try:
                if passphrase is None:
                    write_durably(temporary / _SECRET, root_to_text(root).encode())
                write_durably(temporary / ".gitignore", b"*\n")
                write_durably(temporary / _FILE, document.to_bytes())
                temporary.rename(directory)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
            sync_directory(directory.parent)
        except OSError as error:
            raise KeyringError(f"{directory}: cannot be created: {error.strerror}") from None
        return cls(directory, document, root)

    @classmethod
    def open(cls, directory: Path, passphrase: str | None = None) -> Self:
        """Open a key directory. Raises KeyringError (missing, damaged, open to others) and WrongPassphraseError."""
        directory = Path(directory)
        document = _load(directory)
        if isinstance(document.root, PassphraseRoot):
            if passphrase is None:
                raise WrongPassphraseError(
                    f"{directory}: needs its passphrase; give it with --passphrase-file or in PII_GUARD_PASSPHRASE"
                )
            root, what = root_from_passphrase(passphrase, document.root), "the passphrase is wrong"
        elif passphrase is None:
            root, what = _read_root(directory), f"{_SECRET} is not of this directory"
        else:
            raise WrongPassphraseError(
                f"{directory}: has no passphrase; open it without one (no --passphrase-file, no PII_GUARD_PASSPHRASE)"
            )
        if not opens(document, root):
            raise WrongPassphraseError(f"{directory}: {what}, or {_FILE} was changed")
        return cls(directory, document, root)

    @staticmethod
    def describe(directory: Path) -> tuple[KeyRecord, ...]:
        """The public records of a key directory, oldest first, with no key opened or proven. Raises KeyringError."""
        return tuple(record.public() for record in _load(Path(directory), private=False).records)

    def records(self) -> tuple[KeyRecord, ...]:
        """The public records, oldest first, as they were when the directory was last read."""
        return tuple(record.public() for record in self._document.records)

    def record(self, key_id: bytes) -> KeyRecord:
        """The public record of a key. Raises KeyringError if the directory has no such key."""
        return self._find(key_id).public()

    def encryption_key(self, field: str, retention: str, purposes: Sequence[str]) -> ColumnKey:
        """The newest active key of exactly this logical field, retention class and set of purposes, else a new one.

        A new key is on disk before this returns. Raises UsageError for an empty or broken name, KeyringError if the
        directory cannot be written or was changed.
        """
        wanted = _checked(field, retention, purposes)
        try:
            with locked(self.directory / _LOCK):
                self._reload()
                for record in reversed(self._document.records):
                    same = (record.field, record.retention, sorted(record.purposes)) == (field, retention, wanted)
                    if same and record.state == "active" and record.mode == Mode.RANDOMIZED.value:
                        return self._column_key(record, wanted[0])
                added = add_record(self._document, self._root, field, retention, wanted, _now())
                if added is None:
                    raise KeyringError(f"{self.directory}: the key of a purpose {_CHANGED}")
                write_durably(self.directory / _FILE, added[0].to_bytes())
        except OSError as error:
            raise KeyringError(f"{self.directory}: no key can be added: {error.strerror}") from None
        self._document, key = added
        return key

    def decryption_key(self, key_id: bytes, purpose: str) -> ColumnKey:
        """The key of this id, for a purpose that it is wrapped for.

        Raises PurposeRefusedError for another purpose, KeyringError for an unknown id or a changed record.
        """
        record = self._find(key_id)
        if purpose not in record.purposes:
            allowed = ", ".join(sorted(record.purposes))
            raise PurposeRefusedError(f"{record.field}: may not be opened for purpose {purpose!r}; allowed: {allowed}")
        return self._column_key(record, purpose)

    def marker_key(self, key_id: bytes) -> MarkerKey:
        """The key that verifies the tokens of a key and opens none. Raises KeyringError as `decryption_key`."""
        record = self._find(key_id)
        if key_id not in self._markers:
            key = open_marker_key(self._document, self._root, record)
            if key is None:
                raise KeyringError(f"{self.directory}: the marker key of {record.key_id} {_CHANGED}")
            self._markers[key_id] = key
        return self._markers[key_id]

    def _column_key(self, record: Record, purpose: str) -> ColumnKey:
        place = bytes.fromhex(record.key_id), purpose
        if place not in self._columns:
            key = open_column_key(self._document, self._root, record, purpose)
            if key is None:
                raise KeyringError(f"{self.directory}: key {record.key_id} {_CHANGED}")
            self._columns[place] = key
        return self._columns[place]

    def _find(self, key_id: bytes) -> Record:
        record = self._document.record(key_id)
        if record is None:  # another process may have added it since
            self._reload()
            record = self._document.record(key_id)
        if record is None:
            raise KeyringError(f"key {key_id.hex()} is not in the key directory {self.directory}")
        return record

    def _reload(self) -> None:
        document = _load(self.directory)
        if (document.id, document.root) != (self._document.id, self._document.root):
            raise KeyringError(f"{self.directory}: was replaced by another key directory while it was open")
        self._document = document


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _checked(field: str, retention: str, purposes: Sequence[str]) -> list[str]:
    """The purposes, sorted, once each."""
    names = [field, retention, *purposes]
    if isinstance(purposes, str) or len(names) == 2 or not all(names):
        raise UsageError("a key needs a logical field, a retention class and a list of purposes, none of them empty")
    if any("\ud800" <= char <= "\udfff" for name in names for char in name):
        raise UsageError("the name of a logical field, retention class or purpose is not valid Unicode")
    return sorted(set(purposes))


def _load(directory: Path, private: bool = True) -> Document:
    path = directory / _FILE
    try:
        if private:
            check_private(directory, directory.stat())
        content = read_private(path) if private else path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise KeyringError(f"{directory}: no key directory is here; run `pii-guard keys init`") from None
    except OSError as error:
        raise KeyringError(f"{path}: cannot be read: {error.strerror}") from None
    return Document.from_bytes(content, str(path))


def _read_root(directory: Path) -> Secret:
    path = directory / _SECRET
    try:
        return root_from_text(read_private(path).decode("ascii"))
    except FileNotFoundError:
        raise KeyringError(f"{path}: is missing; put it back from where you keep it") from None
    except OSError as error:
        raise KeyringError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise KeyringError(f"{path}: damaged, not 64 hexadecimal digits; put it back from where you keep it") from None
