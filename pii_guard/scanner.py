"""Batches in, a report out: what a scan does with each batch, each table, each source."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from pii_guard import connectors
from pii_guard.batches import MAX_MAP_KEYS, ArrowData, Leaf, leaves, normalise
from pii_guard.connectors.base import OutOfScope, Reading, Source, Table
from pii_guard.detectors import select
from pii_guard.engine.detection import Detector
from pii_guard.engine.neighbours import with_neighbours
from pii_guard.engine.verdict import findings
from pii_guard.errors import CustomKindError, PiiGuardError, ReadError, TargetError
from pii_guard.field_tally import Header, tally_field
from pii_guard.model import (
    Coverage,
    FieldPath,
    FieldReport,
    FieldTally,
    Finding,
    KindTally,
    NotExamined,
    ScanReport,
    Tag,
    path_text,
)
from pii_guard.naming import safe_name, safe_text, unique_names
from pii_guard.tags import read_tag

if TYPE_CHECKING:
    from pii_guard.policy import Policy

__all__ = ["Progress", "TableScan", "merge", "scan", "scan_data", "scan_targets"]

MARKS = ("[]", "{}", "{keys}")
"""Parts of a path that are no names: elements, values and keys."""
READING = Reading()
PATH_LIKE = re.compile(r"[\w./\\:~-]{1,255}")


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a scan is: the source at hand, rows so far in all, bytes of the source read and to read (or None)."""

    source: str
    rows: int
    position: int
    size: int | None


@dataclass(slots=True)
class _Column:
    """One leaf field while it is counted."""

    type: str
    safe: tuple[str, ...]
    named: Mapping[str, int]
    tag: Tag | None
    header: Header
    tally: FieldTally = field(default_factory=FieldTally)


class TableScan:
    """Counts the batches of one table. `source` and `table` are safe to show.

    `with_comments`: the values are lines in which a comment can allow hits (docs/own-rules.md).
    """

    def __init__(self, source: str, table: str, detectors: Sequence[Detector], *, with_comments: bool = False) -> None:
        self.source = source
        self.table = table
        self.detectors = detectors
        self.with_comments = with_comments
        self.rows = 0
        self.bytes = 0
        self._columns: dict[tuple[str, ...], _Column] = {}
        self._names: dict[tuple[str, ...], dict[str, int]] = {}  # of the fields in a field: name -> place from 1

    def add(self, batch: pa.RecordBatch) -> None:
        """Count one batch; schemas may differ from batch to batch."""
        self.rows += batch.num_rows
        for leaf in leaves(batch.rename_columns(unique_names(batch.schema))):
            column = self._column(leaf)
            counted = tally_field(leaf.folded(), self.detectors, column.header, with_comments=self.with_comments)
            self.bytes += counted.bytes
            column.tally = column.tally + counted

    def _column(self, leaf: Leaf) -> _Column:
        segments = self._collapsed(leaf.segments)
        column = self._columns.get(segments)
        if column is None:
            safe, named = self._safe(segments)
            tag = read_tag(pa.field(leaf.segments[0], pa.null(), metadata=leaf.metadata)) if leaf.metadata else None
            header = Header.of(_own_name(safe), self.detectors)
            column = self._columns[segments] = _Column(str(leaf.type), safe, named, tag, header)
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
            )
            found.append(replace(report, findings=_findings(report, self.detectors)))
        return with_neighbours(found, self.detectors)


def _own_name(segments: tuple[str, ...]) -> str:
    """The last name in a path: `emails` of `user.emails[]`."""
    names = [segment for segment in segments if segment not in MARKS]
    return names[-1] if names else ""


def _findings(report: FieldReport, detectors: Sequence[Detector]) -> tuple[Finding, ...]:
    return findings(_own_name(report.segments), report.tally, detectors, report.protection)


def scan_data(
    data: ArrowData, *, source: str = "(data)", table: str = "data", detectors: Sequence[Detector]
) -> ScanReport:
    """Scan Arrow data: anything that `pii_guard.batches.normalise` takes."""
    counted = TableScan(safe_text(source), safe_text(table), detectors)
    reader = normalise(data)
    empty = [pa.nulls(0, kind) for kind in reader.schema.types]
    counted.add(pa.RecordBatch.from_arrays(empty, schema=reader.schema))  # columns of a table without rows count
    for batch in reader:
        counted.add(batch)
    return _report(counted, sources=1)


def _report(counted: TableScan, *, sources: int, unparsed: int = 0, unread: int = 0) -> ScanReport:
    fields = counted.reports()
    coverage = Coverage(
        sources=sources,
        tables=1,
        rows=counted.rows,
        bytes=counted.bytes,
        unparsed=unparsed,
        invalid=sum(report.tally.invalid for report in fields),
        sampled=int(unread > 0),
        unread=unread,
        bound=min(3 / max(counted.rows, 3), 1.0) if unread else 0.0,
    )
    return ScanReport(fields, coverage)


def scan_targets(
    targets: Iterable[str],
    *,
    detectors: Sequence[Detector],
    exclude: Sequence[str] = (),
    comments: bool = True,
    progress: Callable[[Progress], None] | None = None,
    seen: set[str] | None = None,
    threads: int = 1,
    reading: Reading = READING,
) -> ScanReport:
    """Scan files and directories. What cannot be read is named in the report; the rest of the run goes on.

    `comments`: whether comments in lines of text can allow hits. `seen` holds the files of earlier scans of the same
    run: one that is named twice, or by a link, is counted once. `threads` sources are read at a time; the members of an
    archive are read one after the other. The report is the same for any number of them. `reading` says how files
    are read; with a sample, the report says of which a part was read and what that leaves open.
    """
    seen = set() if seen is None else seen
    run = _Run(detectors, exclude, comments, reading, progress)
    with ThreadPoolExecutor(threads) as pool:
        try:
            begun = list(_parts(run, targets, seen, pool if threads > 1 else None))
            parts = [part if isinstance(part, ScanReport) else part.result() for part in begun]
            return merge(*parts, detectors=detectors)
        except BaseException:  # Ctrl-C, a broken policy: what has not begun does not begin
            pool.shutdown(wait=False, cancel_futures=True)
            run.stopped = True
            raise


class _StoppedError(Exception):
    """Ends the scan of a source in another thread."""


class _Run:
    """What is the same for all sources of a scan, and the rows of all of them so far."""

    def __init__(
        self,
        detectors: Sequence[Detector],
        exclude: Sequence[str],
        comments: bool,
        reading: Reading,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.detectors, self.exclude, self.comments, self.reading = detectors, exclude, comments, reading
        self.stopped = False
        self._progress, self._lock = progress, threading.Lock()
        self._rows = 0

    def count(self, source: str, rows: int, table: Table) -> None:
        if self.stopped:
            raise _StoppedError
        with self._lock:
            self._rows += rows
            if self._progress is not None:
                self._progress(Progress(source, self._rows, table.position(), table.size))


def _parts(
    run: _Run, targets: Iterable[str], seen: set[str], pool: ThreadPoolExecutor | None
) -> Iterator[ScanReport | Future[ScanReport]]:
    """A report for each thing that the targets hold, in the order of the walk."""
    names: dict[str, int] = {}  # two files whose names hold values are told apart by a number
    for target in targets:
        for found in connectors.discover(target, exclude=run.exclude):
            if isinstance(found, NotExamined):
                yield ScanReport(not_examined=(NotExamined(safe_text(found.source), safe_text(found.reason)),))
            elif isinstance(found, OutOfScope):
                yield ScanReport(out_of_scope={found.reason: 1})
            elif found.identity not in seen:
                seen.add(found.identity)
                shown = safe_text(found.target)
                if shown != found.target:
                    names[shown] = names.get(shown, 0) + 1
                    shown = shown if names[shown] == 1 else f"{shown}#{names[shown]}"
                if pool is not None and found.lasting:
                    yield pool.submit(_scan_source, run, found, shown)
                else:
                    yield _scan_source(run, found, shown)


def _scan_source(run: _Run, source: Source, shown: str) -> ScanReport:
    parts = [ScanReport(coverage=Coverage(sources=1))]
    failed: dict[str, None] = {}  # each reason once
    try:
        for table in source.tables():
            with_comments = run.comments and source.capabilities.comments
            counted = TableScan(shown, safe_text(table.name), run.detectors, with_comments=with_comments)
            table.reading = run.reading
            try:
                for batch in table.batches():
                    counted.add(batch)
                    run.count(shown, batch.num_rows, table)
            except CustomKindError:  # the policy is broken, not the table
                raise
            except PiiGuardError as error:  # one table that breaks costs no other
                failed[_reason(error)] = None
            finally:  # what was read before it broke stays in the report
                parts.append(_report(counted, sources=0, unparsed=table.unparsed, unread=table.unread))
    except CustomKindError:
        raise
    except PiiGuardError as error:
        failed[_reason(error)] = None
    unread = ScanReport(not_examined=tuple(NotExamined(shown, reason) for reason in failed))
    return merge(*parts, unread, detectors=run.detectors)


def _reason(error: PiiGuardError) -> str:
    return safe_text(error.reason if isinstance(error, ReadError) else str(error))


def merge(*reports: ScanReport, detectors: Sequence[Detector] | None = None) -> ScanReport:
    """Several reports in one. Fields that occur in more than one are added up and judged anew, so that partial scans of
    a table (partitions, threads, a resumed run) give the report of the whole. Associative; the order is the data's.

    `detectors` are those of the scans, by default all of pii-guard's own.
    """
    fields: dict[FieldPath, FieldReport] = {}
    partial: set[tuple[str, str]] = set()
    coverage = Coverage()
    not_examined: list[NotExamined] = []
    reasons: dict[str, int] = {}
    for part in reports:
        for report in part.fields:
            known = fields.get(report.field)
            if known is not None:
                report = replace(known, tally=known.tally + report.tally, tag=known.tag or report.tag)
                partial.add((report.field.source, report.field.table))
            fields[report.field] = report
        coverage = coverage + part.coverage
        not_examined += part.not_examined
        for reason, count in part.out_of_scope.items():
            reasons[reason] = reasons.get(reason, 0) + count
    return ScanReport(_judged(tuple(fields.values()), partial, detectors), coverage, tuple(not_examined), reasons)


def _judged(
    fields: tuple[FieldReport, ...], tables: Set[tuple[str, str]], detectors: Sequence[Detector] | None
) -> tuple[FieldReport, ...]:
    """The same fields with those of `tables` (source, table) judged anew, neighbours included."""
    if not tables:
        return fields
    detectors = select() if detectors is None else detectors
    anew = {
        report.field: replace(report, findings=_findings(report, detectors))
        for report in fields
        if (report.field.source, report.field.table) in tables
    }
    anew = {report.field: report for report in with_neighbours(tuple(anew.values()), detectors)}
    return tuple(anew.get(report.field, report) for report in fields)


def scan(
    target: str | os.PathLike[str] | ArrowData,
    *,
    only: Iterable[str] = (),
    excluding: Iterable[str] = (),
    table: str = "data",
    policy: Policy | str | os.PathLike[str] | None = None,
) -> ScanReport:
    """Find personal data in a file, a directory, or Arrow data (data frames, tables, readers, lists of dicts).

    `only` and `excluding` name kinds. `table` names the table in the report where the data has no name of its own.
    `policy`, a policy or the path of its file, adds the kinds that it defines and suppresses what it suppresses today.
    Raises TargetError for a path that does not exist, UsageError for an unknown kind or data that is not Arrow data,
    PolicyError for a policy that is wrong.

    >>> report = scan([{"phone": "010-1234-5678"}, {"phone": "010-9876-5432"}])
    >>> [(str(field.field), finding.kind, str(finding.confidence)) for field, finding in report.findings]
    [('(data)::data::phone', 'kr_phone_mobile', 'likely')]
    """
    if policy is not None:
        from pii_guard.policy import suppress, with_detectors  # pydantic, which a scan without a policy does not need

        rules, own = with_detectors(policy)
        return suppress(_scanned(target, select(only, excluding, own=own), table), rules, date.today())
    return _scanned(target, select(only, excluding), table)


def _scanned(target: str | os.PathLike[str] | ArrowData, detectors: Sequence[Detector], table: str) -> ScanReport:
    if isinstance(target, str | os.PathLike):
        path = os.fspath(target)
        try:
            return scan_targets([path], detectors=detectors)
        except TargetError:
            if PATH_LIKE.fullmatch(path) and safe_text(path) == path:
                raise
        # what was handed in by mistake may be the data itself: it is not repeated
        raise TargetError("the target is no file or directory; pii_guard.find searches texts")
    return scan_data(target, table=table, detectors=detectors)
