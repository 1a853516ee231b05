"""What a run has to remember: it stands in the database, in the transactions of the rows that it speaks of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pii_guard.errors import WriteError
from pii_guard.model import Tag
from pii_guard.tags import from_mapping, to_mapping

__all__ = ["Journal", "Phase"]

VERSION = 1


class Phase(StrEnum):
    """What a run does next."""

    FILL = "back-fill"
    """Pages of rows are encrypted, from where the position stands."""
    CLOSE = "last pass"
    """Rows that were written meanwhile are encrypted; with the last of them plain values are refused."""
    VERIFY = "verification"
    """Every value is opened once."""
    UNDO = "roll-back"
    """Pages of rows are decrypted, from where the position stands."""


@dataclass(frozen=True, slots=True)
class Journal:
    """The state of the run on one table."""

    phase: Phase
    tags: Mapping[str, Tag]
    """Column -> its tag, with field and key id."""
    rows: int = 0
    """Rows that the pages of the phase have passed."""

    def to_text(self) -> str:
        tags = {column: to_mapping(tag) for column, tag in self.tags.items()}
        return json.dumps({"version": VERSION, "phase": self.phase, "rows": self.rows, "tags": tags})

    @classmethod
    def from_text(cls, text: str, target: str) -> Journal:
        """Raises WriteError for what this version does not read."""
        try:
            members = json.loads(text)
            read = {column: from_mapping(members) for column, members in members["tags"].items()}
            if members["version"] != VERSION or any(mistakes for _, mistakes in read.values()):
                raise ValueError
            return cls(Phase(members["phase"]), {column: tag for column, (tag, _) in read.items()}, members["rows"])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise WriteError(
                f"{target}: the journal of a run is damaged, or of another version of pii-guard; use that one"
            ) from None
