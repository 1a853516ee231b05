"""Hits are shown one by one, masked, in their order."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from pii_guard.model import Confidence, Hit
from pii_guard.render import find

HIT = Hit("email", Confidence.CERTAIN, True, 3, 4, 50, 69, "g******@*******.***")


def test_json_lines_form() -> None:
    """One JSON object a line, with exactly the members of docs/FORMAT.md, in the order of the hits."""
    other = Hit("kr_phone_fixed", Confidence.LIKELY, False, 1, 1, 0, 12, "+82-2-****-**96")
    first, second = find.jsonl([HIT, other])
    assert first.endswith("\n")
    assert list(json.loads(first).items()) == [
        ("kind", "email"),
        ("confidence", "certain"),
        ("personal", True),
        ("line", 3),
        ("column", 4),
        ("start", 50),
        ("end", 69),
        ("masked", "g******@*******.***"),
    ]
    assert json.loads(second)["personal"] is False


def test_table_shows_place_and_mask() -> None:
    """A row has line and column, kind, confidence and mask; no hits is said in words."""
    (text,) = find.tables([HIT])
    for words in ("3:4", "email", "certain", "g******@*******.***"):
        assert words in text
    assert list(find.tables([])) == ["nothing was found\n"]


def test_many_hits_are_drawn_as_they_come() -> None:
    """A page at a time: what is shown first does not wait for the last hit."""
    taken = 0

    def hits() -> Iterator[Hit]:
        nonlocal taken
        while True:
            taken += 1
            yield HIT

    pages = find.tables(hits())
    first, second = next(pages), next(pages)
    assert taken == 2 * find.PAGE
    assert first == second
    assert first.count("g******@") == find.PAGE


@pytest.mark.parametrize("width", [20, 60, 100])
def test_hostile_masks_are_seen_not_obeyed(hostile: str, width: int) -> None:
    """Whatever punctuation a mask left standing, neither format obeys it."""
    hit = Hit("email", Confidence.CERTAIN, True, 1, 1, 0, 9, hostile)
    for text in (*find.tables([hit], width=width), "".join(find.jsonl([hit]))):
        assert all(char.isprintable() or char == "\n" for char in text)
        assert not any(line.lstrip().startswith("::") for line in text.splitlines())
    assert json.loads("".join(find.jsonl([hit])))["masked"] == hostile
