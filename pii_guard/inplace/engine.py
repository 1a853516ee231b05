"""The run on one table: back-fill, last pass, verification, and the way back as long as it is not over.

Each page of rows is one transaction, in which the journal says how far the run is. What a value is, plain or a token of
its column, is always found out by its key, so that every step may be done again, and the position only saves time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import TypeVar

import pyarrow as pa

from pii_guard.crypto.key import ColumnKey
from pii_guard.crypto.token import token_length
from pii_guard.errors import ConflictError, UsageError, WriteError
from pii_guard.inplace.dialect import Counts, Dialect, Survey, Which
from pii_guard.inplace.journal import Journal, Phase
from pii_guard.inplace.values import Change, Keys, altered, decrypting, encrypting, start_of, unopened
from pii_guard.keys.keyring import Keyring
from pii_guard.model import Tag

__all__ = ["Engine", "Pace", "Progress", "keys_of", "refuse", "too_narrow"]

Result = TypeVar("Result")

ATTEMPTS = 5
"""How often a page is tried whose rows others have locked."""
_SWEEPS = 3
"""Passes for rows that were written meanwhile, at most, before the table is held for the last one."""
_ROUNDS = 3
"""Verifications, at most; each one that finds plain values is followed by a pass over all rows."""


BATCH = 5000
"""Rows of a page where nothing else is asked for."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a run may go: rows of a page, and rows a second (None: as fast as it can)."""

    batch: int = BATCH
    throttle: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is: rows of the phase that are done, and of how many."""

    phase: str
    rows: int
    total: int


def refuse(dialect: Dialect, reasons: Iterable[str]) -> None:
    """Raises UsageError, one line for each reason why there can be no run; nothing was written."""
    lines = [f"{dialect.target}: {dialect.relation.name}: {reason}" for reason in reasons]
    if lines:
        raise UsageError("\n".join(lines))


def too_narrow(dialect: Dialect, survey: Survey, counts: Counts) -> Iterator[str]:
    """Which columns are too narrow for the tokens of what they hold, and how to widen them."""
    for column, width in survey.widths.items():
        needed = token_length(counts.longest[column]) if column in dialect.columns else 0
        if needed > width:
            yield (
                f"column {column}: holds {width} characters, and the token of its longest value has {needed}; "
                f"first run: {dialect.widened(column, needed)}"
            )


class Engine:
    """A run on the table of `dialect`, whose lock it holds."""

    def __init__(
        self,
        dialect: Dialect,
        keys: Keys,
        journal: Journal,
        *,
        pace: Pace,
        total: int = 0,
        watch: Callable[[Progress], None] | None = None,
    ) -> None:
        self._db = dialect
        self._keys = keys
        self._journal = journal
        self._pace = pace
        self._total = total
        self._watch = watch
        self.changed = 0
        """Rows that this run has changed so far."""
        self._starts = {column: start_of(key) for column, key in keys.items()}

    def protect(self, keyring: Keyring, keep: Callable[[Mapping[str, Tag]], None]) -> int:
        """Encrypt all values; how many rows the table has. `keep` is given the tags before the run is over."""
        change = encrypting(self._keys, keyring)
        self._start(Phase.FILL)
        if self._journal.phase is Phase.FILL:
            self._pages(change)
            self._turn(Phase.CLOSE)
        if self._journal.phase is Phase.CLOSE:
            after = replace(self._journal, phase=Phase.VERIFY)
            self._last(change, Which(self._starts, encrypted=False), after, self._constrain)
        self._attempt(self._db.validate)
        rows = self._verify(change)
        keep(self._journal.tags)
        self._attempt(self._db.forget)
        return rows

    def undo(self) -> None:
        """Decrypt all values that are tokens of their column, and let plain values in again."""
        self._db.keep_out_of_logs()
        change = decrypting(self._keys)
        self._start(Phase.UNDO)
        self._attempt(self._release)
        self._pages(change)
        self._last(change, Which(self._starts, encrypted=True), self._journal, lambda: None)
        self._attempt(self._db.forget)

    def _start(self, phase: Phase) -> None:
        """Make what a run needs, and its journal where it does not go on with one."""
        self._attempt(self._db.prepare)
        self._attempt(self._db.prepare_page)
        anew = self._journal.phase is Phase.FILL and not self._journal.rows
        if anew or (phase is Phase.UNDO and self._journal.phase is not Phase.UNDO):
            self._turn(phase)

    def _turn(self, phase: Phase) -> None:
        """Begin a phase, with the first row."""
        journal = replace(self._journal, phase=phase, rows=0)

        def turn() -> None:
            self._db.rewind()
            self._db.write_journal(journal)

        self._attempt(turn)
        self._journal = journal

    def _release(self) -> None:
        for column in self._db.constrained():
            self._db.release(column)

    def _constrain(self) -> None:
        there = self._db.constrained()
        for column in self._db.columns:
            if column not in there:
                self._db.constrain(column)

    def _attempt(self, step: Callable[[], Result]) -> Result:
        """`step` as one transaction, again where locks of others ended it."""
        for attempt in count(1):
            try:
                self._db.begin()
                result = step()
                self._db.commit()
            except ConflictError as error:
                self._db.abandon()
                if attempt == ATTEMPTS:
                    raise ConflictError(
                        f"{error} for too long; nothing is lost: run the same command again to go on"
                    ) from None
                time.sleep(0.05 * 2**attempt)
            except BaseException:
                self._db.abandon()
                raise
            else:
                return result
        raise AssertionError

    # --- pages ---------------------------------------------------------------------------------------------------

    def _pages(self, change: Change, which: Which | None = None, *, journalled: bool = True) -> None:
        """All rows from the position on, a page a transaction."""
        while True:
            begun = time.monotonic()
            rows, changed = self._attempt(lambda: self._page(change, which, journalled))
            if not rows:
                return
            self.changed += changed
            if journalled:
                self._journal = self._passed(rows)
            if self._watch is not None:
                self._watch(Progress(self._journal.phase, self._journal.rows, self._total))
            if self._pace.throttle:
                time.sleep(max(rows / self._pace.throttle - (time.monotonic() - begun), 0))

    def _passed(self, rows: int) -> Journal:
        return replace(self._journal, rows=self._journal.rows + rows)

    def _page(self, change: Change, which: Which | None, journalled: bool) -> tuple[int, int]:
        """Change the next page; how many rows it has, and how many were changed."""
        self._db.take(self._pace.batch, which)
        before = self._db.read()
        if not len(before):
            return 0, 0
        changed = self._rewrite(before, change(before))
        self._db.advance()
        if journalled:
            self._db.write_journal(self._passed(len(before)))
        return len(before), changed

    def _rewrite(self, before: pa.Table, after: pa.Table) -> int:
        """Put `after` in the place of `before`; how many rows differ."""
        rows = altered(before, after)
        if len(rows):
            self._db.write(rows)
            if not self._db.read().equals(after):
                raise WriteError(
                    f"{self._db.target}: {self._db.relation.name}: what was written does not read back; "
                    "the page was rolled back"
                )
        return len(rows)

    # --- the end -------------------------------------------------------------------------------------------------

    def _last(self, change: Change, which: Which, after: Journal, end: Callable[[], None]) -> None:
        """Passes over what is left; in the last one everybody else is kept from writing until `end` is done."""
        for _ in range(_SWEEPS):
            before = self.changed
            self._attempt(self._db.rewind)
            self._pages(change, which, journalled=False)
            if self.changed - before <= self._pace.batch:
                break

        def last() -> int:
            changed, rows = 0, 1
            with self._db.exclusive():
                self._db.rewind()
                while rows:
                    rows, done = self._page(change, which, journalled=False)
                    changed += done
                end()
                self._db.write_journal(after)
            return changed

        self.changed += self._attempt(last)
        self._journal = after

    def _verify(self, change: Change) -> int:
        """Open every value; how many rows there are. Values that only look like tokens are encrypted now.

        Raises WriteError where some do not open all the same.
        """
        for _ in range(_ROUNDS):
            rows = left = 0
            for batch in self._db.everything():
                rows += batch.num_rows
                left += sum(
                    unopened(batch.column(place), self._keys[column]) for place, column in enumerate(self._db.columns)
                )
                if self._watch is not None:
                    self._watch(Progress(self._journal.phase, rows, self._total))
            self._db.commit()
            if not left:
                return rows
            self._attempt(self._db.rewind)
            self._pages(change, journalled=False)
        raise WriteError(
            f"{self._db.target}: {self._db.relation.name}: {left} values do not open; somebody writes values that look "
            "like tokens and are none; stop that and run the same command again"
        )


def keys_of(tags: Mapping[str, Tag], keyring: Keyring, purpose: str | None = None) -> dict[str, ColumnKey]:
    """Column -> the key that its tag names, for `purpose`, or for any that the key may be opened for.

    Raises KeyringError where there is no such key, PurposeRefusedError where the purpose may not open it.
    """
    keys = {}
    for column, tag in tags.items():
        key_id = bytes.fromhex(tag.key_id or "")
        keys[column] = keyring.decryption_key(key_id, purpose or keyring.record(key_id).purposes[0])
    return keys
