"""Every error that pii-guard raises on purpose, and the advice that many of them end with.

A message is one line: what happened, where, what to do. No message ever holds a value read from the data:
errors of other libraries quote values, so they are caught where they arise and re-raised from here `from None`.
`exit_code` is what the command line returns for an error that ends the run (see docs/FORMAT.md, exit codes).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

__all__ = [
    "AccessRefusedError",
    "AuditError",
    "ConflictError",
    "CustomKindError",
    "KeyringError",
    "LostConnectionError",
    "PiiGuardError",
    "PolicyError",
    "PurposeRefusedError",
    "ReadError",
    "TargetError",
    "TokenError",
    "UnprotectedDataError",
    "UnreachableError",
    "UsageError",
    "WriteError",
    "WrongPassphraseError",
    "did_you_mean",
]


class PiiGuardError(Exception):
    """Root of all errors of this package."""

    exit_code: ClassVar[int] = 2


class UsageError(PiiGuardError, ValueError):
    """The call, an option or a setting is wrong; nothing was done."""


class TargetError(UsageError):
    """A target does not exist, exists already, or is of a form that pii-guard does not know."""


class PolicyError(UsageError):
    """A policy or tag file is wrong. `problems` holds one line per mistake, all of them at once."""

    def __init__(self, source: str, problems: Iterable[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{source}: {problem}" for problem in self.problems))


class CustomKindError(UsageError):
    """The function that a policy names for a kind of its own failed on a value."""


class ReadError(PiiGuardError):
    """A source was opened but could not be read to its end. `reason` is the part of the message after the source."""

    exit_code = 3

    def __init__(self, source: str, reason: str) -> None:
        self.source = source
        self.reason = reason
        super().__init__(f"{source}: {reason}")


class LostConnectionError(ReadError):
    """A server that answered does so no more; a second attempt may succeed."""


class UnreachableError(ReadError):
    """A server or a database could not be reached: no answer, a wrong password, no database of this name."""


class WriteError(PiiGuardError):
    """A target could not be written; whatever stood there before still stands there."""

    exit_code = 3


class ConflictError(WriteError):
    """Rows or a table are locked by another session; a second attempt may succeed."""


class KeyringError(PiiGuardError):
    """A key directory is missing, damaged, unsafe, or has no key for what was asked."""


class WrongPassphraseError(KeyringError):
    """The key directory does not open with the passphrase or root secret that was given."""


class AccessRefusedError(KeyringError):
    """Data may not be opened: its purpose, the role of the caller or the row budget does not allow it."""


class PurposeRefusedError(AccessRefusedError):
    """The key of a field may not be opened for the purpose that was given."""


class TokenError(PiiGuardError):
    """Some values could not be decrypted. `rows` holds the positions of all of them, counted from 0."""

    exit_code = 3

    def __init__(self, field: str, rows: Iterable[int], reason: str) -> None:
        self.field = field
        self.rows = tuple(rows)
        self.reason = reason
        shown = ", ".join(str(row) for row in self.rows[:10]) + (", ..." if len(self.rows) > 10 else "")
        super().__init__(f"{field}: {len(self.rows)} value(s) {reason} (row {shown}); their batch was not released")

    def shifted(self, rows: int) -> TokenError:
        """The same error with rows counted from a batch that `rows` others came before."""
        return TokenError(self.field, (row + rows for row in self.rows), self.reason)


class UnprotectedDataError(PiiGuardError):
    """Personal data would have left in the clear: a field holds it and no rule says how to protect it."""

    exit_code = 1


class AuditError(PiiGuardError):
    """An access record could not be written, so nothing was released."""

    exit_code = 3


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?` for the nearest of `known`, or nothing where none is near.

    >>> did_you_mean("purpose", ["purposes", "retention"])
    '; did you mean "purposes"?'
    """
    import json  # neither is needed where all goes well
    from difflib import get_close_matches

    near = get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {json.dumps(near[0], ensure_ascii=False)}?" if near else ""
