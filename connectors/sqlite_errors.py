"""Errors of SQLite, in words of ours: https://www.sqlite.org/rescode.html"""

from __future__ import annotations

import sqlite3

from pii_guard.connectors.failures import Failure

__all__ = ["ERRORS", "failure"]

ERRORS = (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeError)
"""What statements raise: the last two for values that SQLite has no place for."""

_REASONS = {
    "SQLITE_CONSTRAINT_UNIQUE": "a key occurs twice, or is in the table already",
    "SQLITE_CONSTRAINT_PRIMARYKEY": "a key occurs twice, or is in the table already",
    "SQLITE_CONSTRAINT_ROWID": "a key occurs twice, or is in the table already",
    "SQLITE_CONSTRAINT_NOTNULL": "a column that must have a value has none",
    "SQLITE_CONSTRAINT_CHECK": "a check constraint is broken",
    "SQLITE_CONSTRAINT_DATATYPE": "a value is none of the type of its column",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_IOERR": "the disk failed",
    "SQLITE_READONLY": "the file may not be written",
    "SQLITE_READONLY_ROLLBACK": "changes of a program that ended early wait to be undone; open it once with a program "
    "that may write",
    "SQLITE_BUSY": "locked by another connection",
    "SQLITE_LOCKED": "locked by another connection",
    "SQLITE_CANTOPEN": "the file, or one beside it, cannot be opened",
    "SQLITE_CORRUPT": "a damaged or truncated SQLite database",
    "SQLITE_NOTADB": "no SQLite database",
}


_SAID = {
    "no such column": "there is no such column",
    "no such function": "there is no such function",
    "duplicate column name": "two columns have one name, or names that differ in case alone",
    "near ": "a mistake in the SQL",
}
"""How messages begin that have no code of their own."""


def failure(error: Exception) -> Failure:
    """What one of ERRORS says."""
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    kind = "_".join(name.split("_")[:2])  # without what makes an extended code of it
    said = next((reason for begin, reason in _SAID.items() if str(error).startswith(begin)), "")
    said = said or ("a value is no UTF-8" if isinstance(error, UnicodeError) else f"SQLite refuses it ({name})")
    reason = _REASONS.get(name) or _REASONS.get(kind, said)
    return Failure(name, reason, conflict=kind in ("SQLITE_BUSY", "SQLITE_LOCKED"))
