"""The lexer that the engine calls: the native one where it was built, else the one in NumPy.

The environment variable `PII_GUARD_LEXER` chooses by name, `native` or `numpy`. Both give the same tokens
(`pii_guard.engine.tokens`), so that a report never depends on which one runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from pii_guard.engine import lexer_alike
from pii_guard.engine.text import Text
from pii_guard.engine.tokens import Tokens
from pii_guard.errors import UsageError

__all__ = ["LEXER", "Lexer", "choose", "lex"]

VARIABLE = "PII_GUARD_LEXER"


@dataclass(frozen=True, slots=True)
class Lexer:
    """One of the two lexers, and why it was chosen."""

    name: str
    why: str
    lex: Callable[[Text], Tokens]


def choose(wanted: str) -> Lexer:
    """The lexer named `wanted`, `native` or `numpy`; of an empty name the best there is.

    Raises UsageError for another name, and for the native lexer where it was not built.
    """
    asked = f"as {VARIABLE} says"
    if wanted == "numpy":
        return Lexer("NumPy", asked, lexer_alike.lex)
    if wanted not in ("", "native"):
        raise UsageError(f"{VARIABLE} is neither native nor numpy; unset it to have the best lexer there is")
    try:
        from pii_guard.engine import lexer_native
    except ImportError:
        if wanted:
            raise UsageError(
                f"{VARIABLE} asks for the native lexer, which was not built: install a C compiler and "
                "pii-guard-arrow anew, or unset the variable"
            ) from None
        return Lexer("NumPy", "the native lexer was not built; reports are the same, scans slower", lexer_alike.lex)
    return Lexer("native", asked if wanted else "it was built, and is the fastest", lexer_native.lex_values)


LEXER = choose(os.environ.get(VARIABLE, ""))


def lex(text: Text) -> Tokens:
    """All tokens of a text, in no particular order within a family. Time is linear in its bytes."""
    return LEXER.lex(text)
