"""Tokens that are not what they should be, as far as a scan could tell."""

from __future__ import annotations

from collections.abc import Iterator

from pii_guard.check.lawful import Breach
from pii_guard.engine.verdict import UNEVEN
from pii_guard.model import TokenState
from pii_guard.tallies import FieldTally

__all__ = ["against_tokens"]

RESTORE = "put the values back from their source, and run `pii-guard protect`"


def against_tokens(tally: FieldTally) -> Iterator[Breach]:
    """What of the tokens of a field breaks PG060, PG061 and PG062."""
    states = tally.token_states
    moved = {name.partition("/")[2]: count for name, count in states.items() if name.startswith(TokenState.OTHER_FIELD)}
    if moved:
        names = ", ".join(f"{count} of {field}" for field, count in sorted(moved.items()))
        yield Breach("PG060", f"holds tokens of other fields: {names} ({tally.examined} values)", RESTORE, ())
    for state, words in (
        (TokenState.DESTROYED, "tokens of a destroyed key, which nobody can read any more"),
        (TokenState.UNKNOWN_KEY, "tokens of a key that is not among those given"),
    ):
        if states.get(state):
            mend = "delete them, or check with the key directory that has their key"
            yield Breach("PG061", f"{states[state]} of {tally.examined} values are {words}", mend, ())
    for state, words in (
        (TokenState.FORGED, "look like tokens, and their markers do not verify: changed, or made without the key"),
        (TokenState.TEXT, "are readable text behind the head of a token: encoded, not encrypted"),
        (TokenState.BROKEN, "begin like a token and are none: cut off or changed"),
    ):
        if states.get(state):
            yield Breach("PG062", f"{states[state]} of {tally.examined} values {words}", RESTORE, ())
    if not states.get(TokenState.VERIFIED) and tally.chi_square is not None and tally.chi_square > UNEVEN:
        message = "the bytes of its tokens are not spread as those of ciphertext are: they may be encoded only"
        yield Breach("PG062", message, "verify them with --markers; " + RESTORE, ())
