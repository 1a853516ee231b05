"""What went wrong in a database, in words of ours: messages of drivers quote values and statements.

Each driver has one table of these, for all that reads and writes by it: `mysql_errors`, `postgresql_errors`,
`sqlite_errors`.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LOST", "Failure"]

LOST = "the connection was lost"


@dataclass(frozen=True, slots=True)
class Failure:
    """What an error of a driver says."""

    code: int | str
    """As the database has it; empty, or 0, where the error is none of its own."""
    reason: str
    """A part of a sentence, without values."""
    lost: bool = False
    """Whether the connection is gone."""
    conflict: bool = False
    """Whether another session has locks in the way: a second attempt may succeed."""
