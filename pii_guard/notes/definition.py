"""SHOW CREATE TABLE of MariaDB and MySQL, taken apart: what of the definition of a column is its comment, what is not.

As they write it without ANSI_QUOTES: names in backticks, texts in single quotes, whose comments stand before a CHECK.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Part", "parts"]

_SIGN = re.compile(r"`(?:[^`]|``)*`|'(?:[^'\\]|''|\\.)*'|/\*.*?\*/|\w+|\s+|.", re.DOTALL)
_LOST = re.compile("[?\ufffd\udc80-\udcff]")
"""What stands for letters that the server does not show: it keeps definitions in utf8mb3, and defaults of bytes raw."""


@dataclass(frozen=True, slots=True)
class Part:
    """What stands between two commas: a column, or else a key or a constraint."""

    name: str | None
    """Of a column."""
    before: str
    """The definition up to where its comment stands or would stand."""
    comment: str
    after: str
    generated: bool = False
    lossy: bool = False
    """Whether a text in it may be another one than is shown."""

    @property
    def bare(self) -> str:
        """The definition without its comment."""
        return self.before + self.after

    def with_comment(self, literal: str) -> str:
        """The definition with another comment, a text in quotes; with none, where that is empty."""
        return f"{self.before} COMMENT {literal}{self.after}" if literal else self.bare


def parts(statement: str) -> Iterator[Part]:
    """The columns, keys and constraints of a table, in order."""
    tokens: list[tuple[str, bool]] = []  # with whether it stands in no inner parentheses
    depth = 0
    for sign in _SIGN.findall(statement):
        depth -= sign == ")"
        if not depth and tokens:
            yield _part(tokens)
            return
        if depth == 1 and sign == ",":
            yield _part(tokens)
            tokens = []
        elif depth:
            tokens.append((sign, depth == 1 and sign not in "()"))
        depth += sign == "("


def _part(tokens: list[tuple[str, bool]]) -> Part:
    while tokens[0][0].isspace():
        tokens = tokens[1:]
    while tokens[-1][0].isspace():
        tokens = tokens[:-1]
    texts = [sign for sign, _ in tokens]
    if not texts[0].startswith("`"):
        return Part(None, "".join(texts), "", "")
    words = [sign.upper() if outer else "" for sign, outer in tokens]
    start = end = len(texts)
    if "COMMENT" in words:
        start = words.index("COMMENT") - 1  # with the blank before it, and the one between it and its text
        end = start + 4
    elif "CHECK" in words:
        start = end = words.index("CHECK") - 1
    rest = texts[:start] + texts[end:]
    return Part(
        texts[0][1:-1].replace("``", "`"),
        "".join(texts[:start]),
        "".join(texts[start:end]),
        "".join(texts[end:]),
        "GENERATED" in words or "AS" in words,
        any(_LOST.search(text) for text in rest if text.startswith("'")),
    )
