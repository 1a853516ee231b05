"""Every detector finds what its vectors say, exactly, and nothing of what they forbid; alone and in a column."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import pii_guard.detectors
from pii_guard import find, scan
from pii_guard.detectors import TABLE, load

FOLDER = Path(pii_guard.detectors.__file__).parent
VECTORS = {kind: tomllib.loads((FOLDER / f"{kind}.vectors.toml").read_text(encoding="utf-8")) for kind in TABLE}
FIND = [(kind, vector) for kind in TABLE for vector in VECTORS[kind].get("find", ())]
NONE = [(kind, vector) for kind in TABLE for vector in VECTORS[kind].get("none", ())]
COLUMNS = [(kind, vector) for kind in TABLE for vector in VECTORS[kind].get("column", ())]


def spans(text: str, kind: str) -> list[tuple[str, str]]:
    return [
        (text[hit["start"] : hit["end"]], hit["confidence"]) for hit in find([text]).to_pylist() if hit["kind"] == kind
    ]


@pytest.mark.parametrize(("kind", "vector"), FIND)
def test_finds_the_value_with_its_exact_span(kind: str, vector: dict[str, Any]) -> None:
    """A hit is the value, all of it and no more, with the confidence that the vector states."""
    assert (vector.get("value", vector["text"]), vector["confidence"]) in spans(vector["text"], kind), vector["why"]


@pytest.mark.parametrize(("kind", "vector"), NONE)
def test_does_not_find_what_only_looks_like_it(kind: str, vector: dict[str, Any]) -> None:
    """A near miss is no hit of this kind, neither whole nor in part."""
    assert spans(vector["text"], kind) == [], vector["why"]


@pytest.mark.parametrize(("kind", "vector"), COLUMNS)
def test_reads_a_column_by_its_header_and_its_values(kind: str, vector: dict[str, Any]) -> None:
    """A column of a kind that is known by columns is likely of that kind, or is no finding of that kind at all."""
    report = scan(pa.table({vector["header"]: vector["values"]}))
    found = [str(finding.confidence) for _, finding in report.findings if finding.kind == kind]
    assert found == ([] if vector["expect"] == "none" else [vector["expect"]]), vector["why"]


@pytest.mark.parametrize("kind", TABLE)
def test_there_are_as_many_near_misses_as_hits(kind: str) -> None:
    """What must not match is half of what a detector is."""
    vectors = [
        *((vector, part == "find") for part in ("find", "none") for vector in VECTORS[kind].get(part, ())),
        *((vector, vector["expect"] != "none") for vector in VECTORS[kind].get("column", ())),
    ]
    hits = [hit for _, hit in vectors]
    assert 0 < 2 * sum(hits) <= len(hits)
    assert all(vector["why"] for vector, _ in vectors)


@pytest.mark.parametrize("kind", [kind for kind in TABLE if load(kind).column.sparse])
def test_a_column_scan_sees_the_same_hits(kind: str) -> None:
    """One column of all vectors of a kind counts as many values with a hit as there are vectors to find."""
    texts = [vector["text"] for part in ("find", "none") for vector in VECTORS[kind][part]]
    report = scan(pa.table({"column": texts}))
    tally = report.fields[0].tally.kinds[kind]
    assert tally.hits == len(VECTORS[kind]["find"])
    assert tally.certain == sum(vector["confidence"] == "certain" for vector in VECTORS[kind]["find"])


@pytest.mark.parametrize("kind", TABLE)
def test_a_detector_explains_itself(kind: str) -> None:
    """The docstring has the headings that `pii-guard kinds` and the docs rely on."""
    text = type(load(kind)).__doc__ or ""
    headings = ("What it finds", "What it must not find", "Legal basis", "Known gaps", "References")
    assert [line.strip() for line in text.splitlines() if line.strip() in headings] == list(headings)


@pytest.mark.parametrize("kind", TABLE)
def test_a_mask_shows_two_characters_at_most(kind: str) -> None:
    """Of every value that a detector finds, its mask keeps at most two letters or digits."""
    for vector in VECTORS[kind].get("find", ()):
        value = vector.get("value", vector["text"])
        assert sum(char.isalnum() for char in load(kind).kind.mask(value)) <= 2
