"""Tags mirrored into the comments on the columns of a database, one file a database (docs/FORMAT.md, Note)."""

from pii_guard.notes.mirror import Outcome, check_notes, remove_notes, with_note, write_notes

__all__ = ["Outcome", "check_notes", "remove_notes", "with_note", "write_notes"]
