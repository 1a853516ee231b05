"""Marker keys apart from all others: what verifies tokens and opens none (docs/FORMAT.md, Marker file)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pii_guard.crypto.key import MarkerKey
from pii_guard.errors import KeyringError, TargetError
from pii_guard.files import replacing
from pii_guard.keys.document import Hash, KeyIdHex, parsed
from pii_guard.keys.files import PRIVATE_FILE, read_private
from pii_guard.keys.keyring import Keyring
from pii_guard.keys.roots import Name, Part, Salt
from pii_guard.keys.wrapping import secret_from_text, secret_to_text

__all__ = ["KnownKeys", "export_markers"]

VERSION = 1


class _MarkerEntry(Part):
    key_id: KeyIdHex
    field: Name
    state: Literal["active", "retired", "destroyed"]
    marker: Hash | None


class _MarkerFile(Part):
    version: Literal[1] = 1
    keyring: Salt
    keys: tuple[_MarkerEntry, ...]


class KnownKeys:
    """What is known of the keys of tokens: which there are, of which fields, which are destroyed; with marker keys, or
    without."""

    def __init__(
        self, fields: Mapping[bytes, str], destroyed: frozenset[bytes], markers: Mapping[bytes, MarkerKey] | None
    ) -> None:
        self.fields = fields
        """Key id -> the logical field that it is bound to."""
        self.destroyed = destroyed
        self._markers = markers

    @property
    def verifies(self) -> bool:
        """Whether tokens can be verified."""
        return self._markers is not None

    def marker_key(self, key_id: bytes) -> MarkerKey:
        """The marker key of a key. Raises KeyringError if it is not known, or destroyed."""
        try:
            return (self._markers or {})[key_id]
        except KeyError:
            raise KeyringError(f"key {key_id.hex()} has no marker key here") from None

    @classmethod
    def public(cls, directory: Path) -> KnownKeys:
        """From the public part of a key directory: nothing is opened, or proven. Raises KeyringError."""
        records = Keyring.describe(directory)
        gone = frozenset(record.key_id for record in records if record.state == "destroyed")
        return cls({record.key_id: record.field for record in records}, gone, None)

    @classmethod
    def opened(cls, keyring: Keyring) -> KnownKeys:
        """From an open key directory, with all marker keys. Raises KeyringError."""
        public = keyring.document.public()
        gone = frozenset(record.key_id for record in public if record.state == "destroyed")
        markers = {record.key_id: keyring.marker_key(record.key_id) for record in keyring.records()}
        return cls({record.key_id: record.field for record in public}, gone, markers)

    @classmethod
    def exported(cls, path: Path) -> KnownKeys:
        """From a marker file. Raises KeyringError (missing, damaged, open to others)."""
        try:
            file = parsed(_MarkerFile, read_private(path), str(path), VERSION)
        except OSError as error:
            raise KeyringError(f"{path}: the marker file cannot be read: {error.strerror}") from None
        markers = {
            bytes.fromhex(key.key_id): MarkerKey(bytes.fromhex(key.key_id), key.field, secret_from_text(key.marker))
            for key in file.keys
            if key.marker is not None
        }
        gone = frozenset(bytes.fromhex(key.key_id) for key in file.keys if key.state == "destroyed")
        return cls({bytes.fromhex(key.key_id): key.field for key in file.keys}, gone, markers)


def export_markers(keyring: Keyring, path: Path) -> int:
    """Write the marker file of a key directory, for its owner alone; the number of marker keys in it.

    Raises TargetError if `path` exists, KeyringError if a marker key does not open.
    """
    if path.exists():
        raise TargetError(f"{path}: exists already; nothing was written")
    keys = tuple(
        _MarkerEntry(
            key_id=record.key_id.hex(),
            field=record.field,
            state=record.state,
            marker=None if record.state == "destroyed" else secret_to_text(keyring.marker_key(record.key_id).secret),
        )
        for record in keyring.document.public()
    )
    content = _MarkerFile(keyring=keyring.document.id, keys=keys).model_dump_json(indent=2)
    try:
        with replacing(path, mode=PRIVATE_FILE) as file:
            file.write(content.encode() + b"\n")
    except OSError as error:
        raise KeyringError(f"{path}: cannot be written: {error.strerror}") from None
    return sum(key.marker is not None for key in keys)
