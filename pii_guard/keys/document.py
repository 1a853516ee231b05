"""The file keyring.json as typed, checked data (docs/FORMAT.md, Key directory). Nothing here opens a key."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Annotated, Any, Literal, Self, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from pii_guard.crypto.key import Mode
from pii_guard.crypto.secret import canonical
from pii_guard.errors import KeyringError
from pii_guard.keys.roots import Name, Part, RemoteWrapped, Root, Salt

__all__ = [
    "VERSION",
    "Copy",
    "Destroyed",
    "Document",
    "Epoch",
    "Keks",
    "KeyRecord",
    "Record",
    "RemoteKek",
    "canonical_json",
    "is_period",
    "parsed",
]

P = TypeVar("P", bound=Part)

VERSION = 1
_PERIOD = re.compile(r"[12]\d{3}(-Q[1-4]|-(0[1-9]|1[0-2])(?P<day>-\d\d)?)?", re.ASCII)

KeyIdHex = Annotated[str, Field(pattern="^[0-9a-f]{8}$")]
EpochId = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
Wrapped = Annotated[str, Field(pattern="^[0-9a-f]{96}$")]
"""A wrapped key of 32 bytes: tag and ciphertext."""
Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]


def is_period(text: str) -> bool:
    """Whether `text` is a year, quarter, month or day, as keys name them; or empty, for data of no period.

    >>> [is_period(text) for text in ("2026", "2026-Q3", "2026-07", "2026-07-31", "", "2026-02-31", "26")]
    [True, True, True, True, True, False, False]
    """
    match = _PERIOD.fullmatch(text)
    if match is None or not match["day"]:
        return match is not None or not text
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _period(text: str) -> str:
    if not is_period(text):
        raise ValueError("is no period")
    return text


Period = Annotated[str, AfterValidator(_period)]
ModeName: TypeAlias = Literal["randomized", "deterministic", "hmac"]


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
    state: Literal["active", "retired", "destroyed"]
    period: str = ""
    """When the data is from, such as 2026-Q3; empty where keys have no period."""
    ended: str | None = None
    """When it was destroyed."""
    withdrawn: tuple[str, ...] = ()
    """Purposes that could open it, sorted: tags from before still state them."""

    @property
    def active(self) -> bool:
        """Whether the key may still encrypt."""
        return self.state == "active"


class _Key(Part):
    """What a data key is, destroyed or not."""

    key_id: KeyIdHex
    field: Name
    retention: Name
    period: Period
    mode: ModeName
    created: Time
    epoch: EpochId
    commitment: Hash

    def _public(
        self, state: Literal["active", "retired", "destroyed"], purposes: Sequence[str], ended: str | None = None
    ) -> KeyRecord:
        return KeyRecord(
            key_id=bytes.fromhex(self.key_id),
            field=self.field,
            retention=self.retention,
            period=self.period,
            mode=Mode(self.mode),
            purposes=tuple(sorted(purposes)),
            created=self.created,
            state=state,
            ended=ended,
        )


class Record(_Key):
    """A data key, wrapped once per purpose, and its marker key."""

    state: Literal["active", "retired"]
    marker: Wrapped
    purposes: Annotated[dict[Name, Wrapped], Field(min_length=1)]
    withdrawn: tuple[Name, ...] = ()

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if name != "withdrawn" or value}

    def context(self, keyring: str, purpose: str | None) -> bytes:
        """What a wrapping of this record is bound to; `purpose` None is the wrapping of the marker key."""
        role = ("marker", "") if purpose is None else ("data", purpose)
        own = (self.key_id, self.field, self.retention, self.period, self.mode, self.created)
        return canonical(b"pii-guard keyring", *(item.encode() for item in (keyring, str(VERSION), *role, *own)))

    def public(self) -> KeyRecord:
        """The record without its keys."""
        return replace(self._public(self.state, tuple(self.purposes)), withdrawn=tuple(sorted(self.withdrawn)))


class Destroyed(_Key):
    """What is left of a data key: that there was one, and which."""

    purposes: tuple[Name, ...]
    ended: Time
    receipt: EpochId

    def public(self) -> KeyRecord:
        """The record that it was."""
        return self._public("destroyed", self.purposes, self.ended)


class Epoch(Part):
    """A secret that everything of one retention class and period needs."""

    id: EpochId
    retention: Name
    period: Period
    created: Time
    state: Literal["live", "doomed", "destroyed"] = "live"
    """`doomed`: no key needs it any more, and its secret has to be destroyed."""
    ended: Time | None = None


class Copy(Part):
    """A backup that is registered."""

    what: Literal["keys", "epochs"]
    path: Name
    made: Time
    sha256: Hash | None = None
    epochs: tuple[EpochId, ...] = ()


class RemoteKek(Part):
    """A key encryption key that a key service wrapped."""

    uri: Name
    wrapped: RemoteWrapped


class Keks(Part):
    """The key encryption keys."""

    marker: Wrapped
    purposes: dict[Name, Wrapped | RemoteKek]


class Document(Part):
    """The whole file."""

    version: Literal[1]
    id: Salt
    """Random; ties every wrapping to this directory."""
    created: Time
    counter: Annotated[int, Field(ge=1)]
    epochs_at: Name
    root: Annotated[Root, Field(discriminator="kind")]
    keks: Keks
    epochs: tuple[Epoch, ...]
    records: tuple[Record, ...]
    destroyed: tuple[Destroyed, ...]
    copies: tuple[Copy, ...]
    seal: Hash

    @model_validator(mode="after")
    def _unique(self) -> Self:
        keys = Counter([*(key.key_id for key in self.records), *(key.key_id for key in self.destroyed)])
        if any(count > 1 for count in keys.values()):
            raise ValueError("a key id occurs twice")
        places = {epoch.id: (epoch.retention, epoch.period) for epoch in self.epochs if epoch.state == "live"}
        if any(places.get(record.epoch) != (record.retention, record.period) for record in self.records):
            raise ValueError("a key is of an epoch that is not there, or of another one")
        return self

    def context(self, purpose: str | None) -> bytes:
        """What the wrapping of a key encryption key is bound to; `purpose` None is that of the marker keys."""
        role = ("marker", "") if purpose is None else ("purpose", purpose)
        items = (self.id, str(self.version), self.created, *role)
        return canonical(b"pii-guard keks", *(item.encode() for item in items), self.root.context())

    def record(self, key_id: bytes) -> Record | None:
        """The record of a key, if there is one."""
        return next((record for record in self.records if record.key_id == key_id.hex()), None)

    def public(self) -> tuple[KeyRecord, ...]:
        """All records, without their keys: first those that are there, oldest first, then the destroyed ones."""
        return (*(key.public() for key in self.records), *(key.public() for key in self.destroyed))

    def sealed_content(self) -> bytes:
        """What the seal is computed over."""
        return canonical_json(self.model_dump(mode="json", exclude={"seal"}))

    def to_bytes(self) -> bytes:
        """The content of keyring.json."""
        return (json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes, source: str) -> Self:
        """The inverse of `to_bytes`. Raises KeyringError that names the first place where the file is wrong."""
        return parsed(cls, content, source, VERSION)


def canonical_json(data: object) -> bytes:
    """The one text of JSON data that seals are computed over."""
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def parsed(kind: type[P], content: bytes, source: str, version: int) -> P:
    """A file of ours as typed data. Raises KeyringError that names the first place where it is wrong."""
    try:
        data = json.loads(content)
    except ValueError:
        raise KeyringError(f"{source}: damaged, not JSON; restore it from a backup") from None
    found = data.get("version") if isinstance(data, dict) else None
    if isinstance(found, int) and found > version:
        raise KeyringError(f"{source}: format version {found} is newer than {version}; use a newer pii-guard")
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        reason = first["msg"]
    raise KeyringError(f"{source}: damaged at {place} ({reason}); restore it from a backup")
