"""The file keyring.json as typed, checked data (docs/FORMAT.md, Key directory). Nothing here opens a key."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pii_guard.crypto.key import Mode
from pii_guard.crypto.secret import canonical
from pii_guard.errors import KeyringError

__all__ = ["VERSION", "Document", "KeyRecord", "PassphraseRoot", "Record", "SecretRoot"]

VERSION = 1

KeyIdHex = Annotated[str, Field(pattern="^[0-9a-f]{8}$")]
Wrapped = Annotated[str, Field(pattern="^[0-9a-f]{96}$")]
"""A wrapped key of 32 bytes: tag and ciphertext."""
Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Salt = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
Name = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is public about a data key. As keyring.json says it: opening the key is what proves it."""

    key_id: bytes
    field: str
    """The logical field that the key is bound to."""
    retention: str
    mode: Mode
    purposes: tuple[str, ...]
    """The purposes that may open the key, sorted."""
    created: str
    """RFC 3339, UTC, whole seconds."""
    active: bool
    """Whether the key may still encrypt."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SecretRoot(_Part):
    """The root key lies in the file root.secret."""

    kind: Literal["secret"]

    def context(self) -> bytes:
        return canonical(b"secret")


class PassphraseRoot(_Part):
    """The root key is derived from a passphrase. The upper bounds keep an edited file from exhausting the machine."""

    kind: Literal["argon2id"]
    salt: Salt
    memory_kib: Annotated[int, Field(ge=8, le=2 * 1024 * 1024)]
    iterations: Annotated[int, Field(ge=1, le=64)]
    lanes: Annotated[int, Field(ge=1, le=64)]

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.memory_kib < 8 * self.lanes:
            raise ValueError("memory_kib is below 8 per lane")
        return self

    def context(self) -> bytes:
        numbers = f"{self.memory_kib} {self.iterations} {self.lanes}"
        return canonical(b"argon2id", bytes.fromhex(self.salt), numbers.encode())


class Record(_Part):
    """A data key, wrapped once per purpose, and its marker key."""

    key_id: KeyIdHex
    field: Name
    retention: Name
    mode: Literal["randomized", "deterministic"]
    created: Time
    state: Literal["active", "retired"]
    commitment: Hash
    marker: Wrapped
    purposes: Annotated[dict[Name, Wrapped], Field(min_length=1)]

    def context(self, keyring: str, purpose: str | None) -> bytes:
        """What a wrapping of this record is bound to; `purpose` None is the wrapping of the marker key."""
        role = ("marker", "") if purpose is None else ("data", purpose)
        items = (keyring, str(VERSION), *role, self.key_id, self.field, self.retention, self.mode, self.created)
        return canonical(b"pii-guard keyring", *(item.encode() for item in items))

    def public(self) -> KeyRecord:
        """The record without its keys."""
        return KeyRecord(
            key_id=bytes.fromhex(self.key_id),
            field=self.field,
            retention=self.retention,
            mode=Mode(self.mode),
            purposes=tuple(sorted(self.purposes)),
            created=self.created,
            active=self.state == "active",
        )


class Keks(_Part):
    """The key encryption keys, each wrapped under the root key."""

    marker: Wrapped
    purposes: dict[Name, Wrapped]


class Document(_Part):
    """The whole file."""

    version: Literal[1]
    id: Salt
    """Random; ties every wrapping to this directory."""
    created: Time
    root: Annotated[SecretRoot | PassphraseRoot, Field(discriminator="kind")]
    keks: Keks
    records: tuple[Record, ...]

    @model_validator(mode="after")
    def _unique(self) -> Self:
        if any(count > 1 for count in Counter(record.key_id for record in self.records).values()):
            raise ValueError("a key id occurs twice")
        return self

    def context(self, purpose: str | None) -> bytes:
        """What the wrapping of a key encryption key is bound to; `purpose` None is that of the marker keys."""
        role = ("marker", "") if purpose is None else ("purpose", purpose)
        items = (self.id, str(self.version), self.created, *role)
        return canonical(b"pii-guard keks", *(item.encode() for item in items), self.root.context())

    def record(self, key_id: bytes) -> Record | None:
        """The record of a key, if there is one."""
        return next((record for record in self.records if record.key_id == key_id.hex()), None)

    def to_bytes(self) -> bytes:
        """The content of keyring.json."""
        return (json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes, source: str) -> Self:
        """The inverse of `to_bytes`. Raises KeyringError that names the first place where the file is wrong."""
        try:
            data = json.loads(content)
        except ValueError:
            raise KeyringError(f"{source}: damaged, not JSON; restore it from a backup") from None
        version = data.get("version") if isinstance(data, dict) else None
        if isinstance(version, int) and version > VERSION:
            raise KeyringError(f"{source}: format version {version} is newer than {VERSION}; use a newer pii-guard")
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            place = ".".join(map(str, first["loc"])) or "the file"
            reason = first["msg"]
        raise KeyringError(f"{source}: damaged at {place} ({reason}); restore it from a backup")
