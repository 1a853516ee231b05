"""The batches of one table, counted field by field, to the reports on its fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import pyarrow as pa

from pii_guard.connectors.base import Described
from pii_guard.crypto.recognition import Known
from pii_guard.engine.detection import Detector
from pii_guard.engine.headers import label_of
from pii_guard.engine.neighbours import with_neighbours
from pii_guard.engine.verdict import findings
from pii_guard.field_tally import Header, tally_field
from pii_guard.leaves import MAX_MAP_KEYS, Leaf, leaves
from pii_guard.model import FieldPath, Tag, path_text
from pii_guard.naming import safe_name, safe_text, unique_names
from pii_guard.reports import FieldReport, Finding
from pii_guard.tags import read_tag
from pii_guard.tallies import FieldTally, KindTally

__all__ = ["TableScan", "Wanted", "judged_findings", "none"]

NOTHING: Mapping[str, Described] = {}
MARKS = ("[]", "{}", "{keys}")
"""Parts of a path that are no names: elements, values and keys."""


Wanted: TypeAlias = Callable[[str], bool]
"""Whether something is wanted of a logical field."""


def none(_: str) -> bool:
    """Of no field."""
    return False


@dataclass(slots=True)
class _Column:
    """One leaf field while it is counted."""

    type: str
    safe: tuple[str, ...]
    named: Mapping[str, int]
    tag: Tag | None
    header: Header
    comment: str
    key: str
    frequencies: bool
    """Whether its frequent values are counted."""
    logical: str
    """The logical field that its tokens should be of."""
    tally: FieldTally = field(default_factory=FieldTally)


class TableScan:
    """Counts the batches of one table. `source` and `table` are safe to show.

    `with_comments`: the values are lines in which a comment can allow hits (docs/own-rules.md). `valid_text`: columns
    of text are known to be valid UTF-8. `frequencies`: of which
    logical fields (`TABLE.PATH`) frequent values are counted. `known`: what is known of the keys of tokens.
    """

    def __init__(
        self,
        source: str,
        table: str,
        detectors: Sequence[Detector],
        *,
        with_comments: bool = False,
        valid_text: bool = False,
        frequencies: Wanted = none,
        known: Known | None = None,
    ) -> None:
        self.known = known
        self.source = source
        self.table = table
        self.detectors = detectors
        self.with_comments = with_comments
        self.valid_text = valid_text
        self.frequencies = frequencies
        self.rows = 0
        self.bytes = 0
        self._columns: dict[tuple[str, ...], _Column] = {}
        self._names: dict[tuple[str, ...], dict[str, int]] = {}  # of the fields in a field: name -> place from 1

    def add(
        self,
        batch: pa.RecordBatch,
        described: Mapping[str, Described] = NOTHING,
        *,
        first_line: int | None = None,
    ) -> None:
        """Count one batch; schemas may differ from batch to batch. `described`: what the source says of its columns.
        `first_line`: the number of the line that is the first row, where rows are lines of a file."""
        self.rows += batch.num_rows
        for leaf in leaves(batch.rename_columns(unique_names(batch.schema))):
            column = self._column(leaf, described)
            counted = tally_field(
                leaf.folded(),
                self.detectors,
                column.header,
                with_comments=self.with_comments,
                valid_text=self.valid_text,
                with_frequencies=column.frequencies,
                first_line=first_line,
                name=column.logical,
                keys=self.known.keys if self.known else None,
            )
            self.bytes += counted.bytes
            column.tally = column.tally + counted

    def _column(self, leaf: Leaf, described: Mapping[str, Described]) -> _Column:
        segments = self._collapsed(leaf.segments)
        column = self._columns.get(segments)
        if column is None:
            safe, named = self._safe(segments)
            tag = read_tag(pa.field(leaf.segments[0], pa.null(), metadata=leaf.metadata)) if leaf.metadata else None
            said = described.get(segments[0], Described())
            own = all(segment in MARKS for segment in segments[1:])  # what is in an object has names of its own
            comment = safe_text(label_of(said.comment)) if own else ""
            name = f"{self.table}.{path_text(safe)}"
            column = self._columns[segments] = _Column(
                str(leaf.type),
                safe,
                named,
                tag,
                Header.of((_own_name(safe), comment), self.detectors),
                comment,
                said.key if len(segments) == 1 else "",
                self.frequencies(name),
                (tag and tag.field) or (self.known and self.known.renamed.get(name)) or name,
            )
        return column

    def _collapsed(self, segments: tuple[str, ...]) -> tuple[str, ...]:
        """The path under which a leaf is counted: objects with very many keys are counted under `{}`."""
        for depth, segment in enumerate(segments):
            if segment in MARKS:
                continue
            parent = segments[:depth]
            known = self._names.setdefault(parent, {})
            if not parent or len(known) <= MAX_MAP_KEYS:
                known.setdefault(segment, len(known) + 1)
                if parent and len(known) > MAX_MAP_KEYS:
                    self._collapse(parent)
            if parent and len(known) > MAX_MAP_KEYS:
                segments = (*parent, "{}", *segments[depth + 1 :])
        return segments

    def _safe(self, segments: tuple[str, ...]) -> tuple[tuple[str, ...], Mapping[str, int]]:
        """The path, safe to show, and how many values of each kind its last name holds."""
        safe: list[str] = []
        named: Mapping[str, int] = {}
        for depth, segment in enumerate(segments):
            place = self._names.get(segments[:depth], {}).get(segment, 1)
            shown, named = (segment, {}) if segment in MARKS else safe_name(segment, place)
            safe.append(shown)
        return tuple(safe), named

    def _collapse(self, parent: tuple[str, ...]) -> None:
        depth = len(parent)
        for segments in [key for key in self._columns if key[:depth] == parent and len(key) > depth]:
            if segments[depth] in MARKS:
                continue
            column = self._columns.pop(segments)
            target = (*parent, "{}", *segments[depth + 1 :])
            known = self._columns.get(target)
            if known is None:
                safe = (*column.safe[:depth], "{}", *column.safe[depth + 1 :])
                self._columns[target] = replace(column, safe=safe)
            else:
                known.tally = known.tally + column.tally
                known.named = {**column.named, **known.named}

    def reports(self) -> tuple[FieldReport, ...]:
        """One report a leaf field, in order of appearance."""
        found = []
        for column in self._columns.values():
            counted = column.tally
            kinds = dict(counted.kinds)
            for kind, times in column.named.items():
                kinds[kind] = kinds.get(kind, KindTally()) + KindTally(named=times)
            report = FieldReport(
                FieldPath(self.source, self.table, path_text(column.safe)),
                column.safe,
                column.type,
                replace(counted, kinds=kinds),
                tag=column.tag,
                in_lines=self.with_comments,
                comment=column.comment,
                key=column.key,
            )
            found.append(replace(report, findings=judged_findings(report, self.detectors)))
        return with_neighbours(found, self.detectors)


def _own_name(segments: tuple[str, ...]) -> str:
    """The last name in a path: `emails` of `user.emails[]`."""
    names = [segment for segment in segments if segment not in MARKS]
    return names[-1] if names else ""


def judged_findings(report: FieldReport, detectors: Sequence[Detector]) -> tuple[Finding, ...]:
    """The verdicts on one field, by what was counted, by its own name and by the comment on it."""
    return findings(_own_name(report.segments), report.tally, detectors, report.protection, comment=report.comment)
