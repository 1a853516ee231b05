"""Masks over whole columns: what `Kind.mask` makes of one value, by RE2 over all of them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.model import BLANK, Kind

__all__ = ["mask_column"]

_LETTER = r"[\pL\pN]"
_HIDDEN = r"[0-9A-Za-z]|[^\x00-\x7F]"


def mask_column(values: pa.Array, kind: Kind) -> pa.StringArray:
    """Each text masked as values of `kind` are (a kind that masks nothing: wholly); null and the empty text stay.

    Takes text, dictionaries of text, and scalars that Arrow casts to text. What counts as a letter of the last versions
    of Unicode may differ from `Kind.mask` by the version that RE2 has.
    """
    text = values.cast(pa.string())
    first, last = kind.keep or (0, 0)
    if (first, last) == (0, 0):
        return pc.if_else(pc.equal(text, ""), text, pa.scalar(BLANK))
    starred = _starred(text)
    long = pc.greater(pc.count_substring_regex(text, _LETTER), 2 * (first + last))
    parts = pc.extract_regex(pc.if_else(long, text, pa.scalar(None, pa.string())), _shape(first, last))
    pieces = [(child.name, parts.field(child.name)) for child in parts.type]
    masked = pc.binary_join_element_wise(
        *(piece if name.startswith("k") else _starred(piece) for name, piece in pieces), ""
    )
    return pc.if_else(parts.is_valid(), masked, starred)


def _starred(text: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(text, _HIDDEN, "*")


def _shape(first: int, last: int) -> str:
    """The letters that are kept (groups k...) and what stands around them."""
    other = r"[^\pL\pN]*"
    head = "".join(rf"(?P<a{place}>{other})(?P<ka{place}>{_LETTER})" for place in range(first))
    tail = "".join(rf"(?P<kz{place}>{_LETTER})(?P<z{place}>{other})" for place in range(last))
    return rf"(?s)\A{head}(?P<middle>.*){tail}\z"
