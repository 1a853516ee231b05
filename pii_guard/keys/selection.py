"""Which keys a command is about: by id, by logical field, by retention class and period."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pii_guard.errors import UsageError
from pii_guard.keys.document import Document, Record

__all__ = ["Selection"]


@dataclass(frozen=True, slots=True)
class Selection:
    """Keys that match all that is given; `key_id` in hexadecimal digits."""

    key_id: str | None = None
    field: str | None = None
    retention: str | None = None
    period: str | None = None

    def __post_init__(self) -> None:
        if self.key_id is None and self.field is None and self.retention is None:
            raise UsageError("say which keys: a KEYID, --field or --retention")

    @property
    def name(self) -> str:
        """What to type to confirm that these are meant."""
        parts = (self.key_id, self.field, self.retention, self.period)
        return " ".join(part for part in parts if part)

    def records(self, document: Document) -> tuple[Record, ...]:
        """The records that match, oldest first. Raises UsageError where none does, naming what there is."""
        found = tuple(record for record in document.records if self._matches(record))
        if found:
            return found
        if self.key_id and any(key.key_id == self.key_id for key in document.destroyed):
            raise UsageError(f"key {self.key_id} is destroyed already")
        given, known = next(
            (given, known)
            for given, known in (
                (self.key_id, {record.key_id for record in document.records}),
                (self.field, {record.field for record in document.records}),
                (self.retention, {record.retention for record in document.records}),
            )
            if given is not None
        )
        raise UsageError(f"no key matches {self.name}{_near(given, known)}")

    def _matches(self, record: Record) -> bool:
        return all(
            wanted is None or wanted == found
            for wanted, found in (
                (self.key_id, record.key_id),
                (self.field, record.field),
                (self.retention, record.retention),
                (self.period, record.period),
            )
        )


def _near(given: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(given, sorted(known), 1)
    return f"; did you mean {near[0]}?" if near else "; `pii-guard keys list` shows them"
