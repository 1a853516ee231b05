"""Names that are values themselves: the header of a headerless CSV, a JSON object keyed by e-mail, a file name.

Every name is examined like a value before it is shown. What it holds is replaced by its kind, so `<email#3>` is the
third column of a table whose header is an address. Names that occur twice in a table get numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache

import pyarrow as pa

from pii_guard.detectors import select
from pii_guard.engine.detection import Detector, locate
from pii_guard.engine.headers import normalise
from pii_guard.engine.text import Text

__all__ = ["examine", "safe_name", "safe_text", "unique_names"]

HANGUL = re.compile("[\uac00-\ud7a3]+")
LABELS = tuple("명일율률별시군구관")
"""What labels and places end in (부서명, 변경일, 전주시): few names do, and a report has to call a column something."""
NUMBER = re.compile(r"\d(?:[-. ]?\d){8,}")
"""A run of nine digits and more is no name of a column: an account number says what it is by its context only."""

FEWEST_DIGITS = 4
"""No value in ASCII without an at sign has fewer digits (8.8.8.8)."""


@lru_cache(maxsize=4096)
def examine(name: str) -> tuple[tuple[int, int, str], ...]:
    """(start, end, kind) of the personal values in a name, in characters, left to right, not overlapping."""
    if name.isascii() and "@" not in name and sum(map(str.isdigit, name)) < FEWEST_DIGITS:
        return ()  # nearly all names: no value is that plain
    spans = [*_spans(name, 0)]
    spans += [
        span
        for run in HANGUL.finditer(name)
        if normalise(run[0]) not in _column_words()
        for span in _spans(run[0], run.start())
        if not any(start < span[1] and span[0] < end for start, end, _ in spans)
    ]
    return tuple(sorted(dict.fromkeys(spans)))


@cache
def _column_words() -> frozenset[str]:
    return frozenset[str]().union(*(detector.headers for detector in select()))


@cache
def _detectors() -> tuple[Detector, ...]:
    return select()


def _spans(text: str, shift: int) -> list[tuple[int, int, str]]:
    if normalise(text) in _column_words():
        return []
    label = HANGUL.fullmatch(text) is not None and text.endswith(LABELS)
    encoded = text.encode(errors="replace")  # lone surrogates stand for one byte each, and so do question marks
    return [
        (shift + len(encoded[:start].decode()), shift + len(encoded[:end].decode()), detector.kind.id)
        for detector, hits in locate(Text.of(pa.array([encoded], pa.binary())), _detectors())
        for start, end in zip(hits.start, hits.end, strict=True)
        if not (label and detector.kind.id == "person_name_ko")
    ]


def safe_name(name: str, position: int) -> tuple[str, Mapping[str, int]]:
    """The name of a field, safe to show, and how many values of each kind it holds.

    `position` (from 1) tells two such names apart.

    >>> safe_name("gildong@example.com", 3)
    ('<email#3>', {'email': 1})
    >>> safe_name("customer_phone", 4)
    ('customer_phone', {})
    """
    spans = examine(name)
    if not spans and not NUMBER.search(name):
        return name, {}
    counts: dict[str, int] = {}
    for _, _, kind in spans:
        counts[kind] = counts.get(kind, 0) + 1
    shown = _replaced(name, [(start, end, f"<{kind}#{position}>") for start, end, kind in spans])
    return NUMBER.sub(f"<number#{position}>", shown), counts


def safe_text(text: str) -> str:
    """A path or a message with every personal value in it replaced by its kind.

    >>> safe_text("no such file: out/gildong@example.com.csv")
    'no such file: out/<email>'
    """
    return _replaced(text, [(start, end, f"<{kind}>") for start, end, kind in examine(text)])


def _replaced(text: str, spans: list[tuple[int, int, str]]) -> str:
    for start, end, shown in reversed(spans):
        text = text[:start] + shown + text[end:]
    return text


def unique_names(schema: pa.Schema) -> list[str]:
    """The names of the columns; the second and later ones of one name get a number, for they are different fields."""
    given, times = set(schema.names), dict[str, int]()
    unique: dict[str, None] = {}
    for name in schema.names:
        shown = name
        while shown in unique or (shown != name and shown in given):
            times[name] = times.get(name, 1) + 1
            shown = f"{name}#{times[name]}"
        unique[shown] = None
    return list(unique)
