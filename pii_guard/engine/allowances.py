"""Comments in lines of text that allow personal data in their line: `pii-guard: allow[KIND] reason`."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pii_guard.engine.detection import WEAK, Detector, Hits
from pii_guard.engine.text import Text

__all__ = ["Allowed", "allowances", "without_allowed"]

_COMMENT = re.compile(r"pii-guard:[ \t]*allow\[([^\]]*)\][ \t]*(.*)")
_HEAD = re.compile(rb"pii-guard:[ \t]*allow\[")
_REASON = re.compile(r"\w{2}")
"""What a reason has at least: the end of a comment (`*/`, `-->`) is none."""

Allowed = dict[str, npt.NDArray[np.int64]]
"""Kind -> the rows whose hits of it are allowed, ascending."""


def allowances(text: Text) -> tuple[dict[int, frozenset[str]], list[int]]:
    """The rows that have such comments: (row -> kinds allowed there, rows of comments without kind or reason)."""
    allowed: dict[int, frozenset[str]] = {}
    idle: list[int] = []
    places = [hit.start() for hit in _HEAD.finditer(text.data.data)] if len(text.data) else []
    for row in np.unique(np.searchsorted(text.offsets, places, side="right") - 1).tolist():
        line = text.value(row)
        for kinds, reason in _COMMENT.findall(line):
            named = frozenset(kind.strip() for kind in kinds.split(",") if kind.strip())
            if named and _REASON.search(reason) and "\r" not in line:  # lines for many editors, and one for us
                allowed[row] = allowed.get(row, frozenset()) | named
            else:
                idle.append(row)
    return allowed, idle


def without_allowed(
    text: Text, detectors: Sequence[Detector], found: Sequence[Hits]
) -> tuple[list[Hits], Allowed, list[int]]:
    """The hits that no comment in their row allows; what was allowed; the rows of comments that allow nothing."""
    wanted, idle = allowances(text)
    left, allowed = list(found), Allowed()
    effective: set[tuple[int, str]] = set()
    for place, (detector, hits) in enumerate(zip(detectors, found, strict=True)):
        kind = detector.kind.id
        rows = np.array([row for row, kinds in wanted.items() if kind in kinds], np.int64)
        if not len(rows) or not len(hits):
            continue
        inside = np.isin(hits.row, rows)
        left[place] = hits.where(~inside)
        taken = np.unique(hits.row[inside & (hits.confidence > WEAK)])
        if len(taken):
            allowed[kind] = taken
            effective.update((row, kind) for row in taken.tolist())
    idle += [row for row, kinds in wanted.items() for kind in kinds if (row, kind) not in effective]
    return left, allowed, idle
