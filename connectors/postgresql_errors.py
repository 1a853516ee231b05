"""Errors of PostgreSQL, and of its ADBC driver, in words of ours.

https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

from typing import Any

import adbc_driver_manager
import pyarrow as pa

from pii_guard.connectors.failures import LOST, Failure

__all__ = ["ERRORS", "TOO_LONG", "failure"]

ERRORS = (adbc_driver_manager.Error, OSError, pa.ArrowException)
"""What statements raise."""

TOO_LONG = "22001"

_CONFLICTS = frozenset({"40001", "40P01", "55P03"})
_TIMEOUT = "57014"
_WITHOUT_STATE = "the server stopped with an error, such as a value that cannot be cast"
"""What the driver says of errors in the middle of rows has no code."""
_REASONS = {
    TOO_LONG: "a value is too long for its column",
    "22003": "a number is too large for its column",
    "22P02": "a text is no value of the type that it should have",
    "22012": "a division by zero",
    "23502": "a column that must have a value has none",
    "23503": "a foreign key is broken: rows refer to rows that are not there",
    "23505": "a key occurs twice, or is in the table already",
    "23514": "a check constraint is broken",
    "23P01": "an exclusion constraint is broken",
    "25006": "the server takes no writes (a standby, or set to read only)",
    "2BP01": "other objects of the database depend on the table",
    "3F000": "there is no such schema",
    "40001": "another session changed the same rows",
    "40P01": "it and another session waited for each other",
    "42501": "permission denied",
    "42601": "a mistake in the SQL",
    "42701": "two columns have one name",
    "42703": "there is no such column",
    "42883": "there is no such function or operator for values of these types",
    "42P01": "there is no such table, or no more",
    "42P07": "a table of this name was made meanwhile",
    "53100": "the disk of the server is full",
    "53200": "the server is out of memory",
    "55P03": "locked by another session",
    "55000": "it is in no state to be read (a materialized view that was never filled)",
    _TIMEOUT: "it took longer than the statement timeout (?options=-c%20statement_timeout%3D... in the URL sets it), "
    "or was cancelled",
}


def failure(error: Exception, connection: Any) -> Failure:
    """What one of ERRORS says. Rolls back, which shows whether the connection stands."""
    try:
        connection.rollback()
    except (adbc_driver_manager.Error, OSError):
        return Failure("", LOST, lost=True)
    state = str(getattr(error, "sqlstate", None) or "")
    if not state and "statement timeout" in str(error):
        state = _TIMEOUT
    said = f"the server refused it (SQLSTATE {state})" if state else _WITHOUT_STATE
    return Failure(state, _REASONS.get(state, said), conflict=state in _CONFLICTS)
