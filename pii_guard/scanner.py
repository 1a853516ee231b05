"""Batches in, a report out: what a scan does with each batch, each table, each source."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from pii_guard import connectors
from pii_guard.batches import ArrowData, normalise
from pii_guard.connectors.base import OutOfScope, Reading, Source, Table
from pii_guard.connectors.database_url import database_of
from pii_guard.connectors.selection import Selection
from pii_guard.crypto.recognition import Known
from pii_guard.detectors import select
from pii_guard.engine.detection import Detector
from pii_guard.errors import CustomKindError, LostConnectionError, PiiGuardError, ReadError, TargetError
from pii_guard.merging import merge
from pii_guard.naming import safe_text
from pii_guard.reports import Coverage, NotExamined, Sampled, ScanReport
from pii_guard.table_scan import TableScan, Wanted, none

if TYPE_CHECKING:
    from pii_guard.policy import Policy

__all__ = ["Progress", "ScanOptions", "Seen", "scan", "scan_data", "scan_targets"]

PATH_LIKE = re.compile(r"[\w./\\:~-]{1,255}")


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """How files, directories and databases are scanned."""

    exclude: Sequence[str] = ()
    """Files whose name matches one of these patterns are left out."""
    comments: bool = True
    """Whether comments in lines of text can allow hits."""
    threads: int = 1
    """So many sources are read at a time; the members of an archive, and the tables of a database, one after the other.
    The report is the same for any number of them."""
    reading: Reading = field(default_factory=Reading)
    """How files and tables are read; with a sample, the report says of which a part was read and what that leaves
    open."""
    selection: Selection = field(default_factory=Selection)
    """Which tables of databases to read."""
    password: str | None = field(default=None, repr=False)
    """Theirs, where URLs have none."""


DEFAULTS = ScanOptions()


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a scan is: the source at hand, rows so far in all, bytes of the source read and to read (or None)."""

    source: str
    rows: int
    position: int
    size: int | None


def scan_data(
    data: ArrowData,
    *,
    source: str = "(data)",
    table: str = "data",
    detectors: Sequence[Detector],
    frequencies: Wanted = none,
    known: Known | None = None,
) -> ScanReport:
    """Scan Arrow data: anything that `pii_guard.batches.normalise` takes.

    `frequencies`: of which logical fields (`TABLE.PATH`) frequent values are counted. `known`: what is known of the
    keys of tokens.
    """
    counted = TableScan(safe_text(source), safe_text(table), detectors, frequencies=frequencies, known=known)
    reader = normalise(data)
    empty = [pa.nulls(0, kind) for kind in reader.schema.types]
    counted.add(pa.RecordBatch.from_arrays(empty, schema=reader.schema))  # columns of a table without rows count
    for batch in reader:
        counted.add(batch)
    report = _report(counted)
    return replace(report, coverage=replace(report.coverage, sources=1))


def _report(counted: TableScan) -> ScanReport:
    fields = counted.reports()
    invalid = sum(report.tally.invalid for report in fields)
    return ScanReport(fields, Coverage(tables=1, rows=counted.rows, bytes=counted.bytes, invalid=invalid))


def _report_on(counted: TableScan, table: Table) -> ScanReport:
    report = _report(counted)
    samples: tuple[Sampled, ...] = ()
    if table.unread or table.estimated is not None:
        size = table.size or 0
        estimated = table.estimated or counted.rows * size // max(size - table.unread, 1)
        samples = (Sampled(counted.source, counted.table, counted.rows, estimated, table.drawn, table.drawn_by_row),)
    coverage = replace(
        report.coverage,
        unparsed=table.unparsed,
        replaced=table.replaced,
        sampled=len(samples),
        unread=table.unread,
        bound=max((sample.bound for sample in samples), default=0.0),
    )
    return replace(report, coverage=coverage, samples=samples)


def scan_targets(
    targets: Iterable[str],
    *,
    detectors: Sequence[Detector],
    options: ScanOptions = DEFAULTS,
    progress: Callable[[Progress], None] | None = None,
    seen: Seen | None = None,
    frequencies: Wanted = none,
    watch: Callable[[Source, str], None] | None = None,
    known: Known | None = None,
) -> ScanReport:
    """Scan files, directories and databases. What cannot be read is named in the report; the rest of the run goes on.

    `seen` is what earlier scans of the run have read: a file that is named twice, or by a link, is counted once.
    `frequencies`, `known`: as for `scan_data`. `watch` is called with each source of the walk and its name, as shown,
    before it is read.
    """
    seen = Seen() if seen is None else seen
    run = _Run(detectors, options, frequencies, known, watch, progress)
    with ThreadPoolExecutor(options.threads) as pool:
        try:
            begun = list(_parts(run, targets, seen, pool if options.threads > 1 else None))
            parts = [part if isinstance(part, ScanReport) else part.result() for part in begun]
            return merge(*parts, detectors=detectors)
        except BaseException:  # Ctrl-C, a broken policy: what has not begun does not begin
            pool.shutdown(wait=False, cancel_futures=True)
            run.stopped = True
            raise


@dataclass(slots=True)
class Seen:
    """What the scans of one run have read so far."""

    identities: set[str] = field(default_factory=set)
    names: dict[str, int] = field(default_factory=dict)
    """How often a name that is shown was given: two files whose names hold values are told apart by a number."""


class _StoppedError(Exception):
    """Ends the scan of a source in another thread."""


class _Run:
    """What is the same for all sources of a scan, and the rows of all of them so far."""

    def __init__(
        self,
        detectors: Sequence[Detector],
        options: ScanOptions,
        frequencies: Wanted,
        known: Known | None,
        watch: Callable[[Source, str], None] | None,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.detectors, self.options, self.frequencies, self.known = detectors, options, frequencies, known
        self.watch = watch
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
    run: _Run, targets: Iterable[str], seen: Seen, pool: ThreadPoolExecutor | None
) -> Iterator[ScanReport | Future[ScanReport]]:
    """A report for each thing that the targets hold, in the order of the walk."""
    chosen = run.options
    for target in targets:
        for found in connectors.discover(
            target, exclude=chosen.exclude, selection=chosen.selection, password=chosen.password
        ):
            if isinstance(found, NotExamined):
                yield ScanReport(not_examined=(NotExamined(safe_text(found.source), safe_text(found.reason)),))
            elif isinstance(found, OutOfScope):
                yield ScanReport(out_of_scope={found.reason: 1})
            elif found.identity not in seen.identities:
                seen.identities.add(found.identity)
                shown = safe_text(found.target)
                if shown != found.target:
                    seen.names[shown] = seen.names.get(shown, 0) + 1
                    shown = shown if seen.names[shown] == 1 else f"{shown}#{seen.names[shown]}"
                if run.watch is not None:
                    run.watch(found, shown)
                if pool is not None and found.lasting:
                    yield pool.submit(_scan_source, run, found, shown)
                else:
                    yield _scan_source(run, found, shown)


def _scan_source(run: _Run, source: Source, shown: str) -> ScanReport:
    parts = [ScanReport(coverage=Coverage(sources=1))]
    failed: dict[str, None] = {}  # each reason once
    try:
        able = source.capabilities.sampling and source.lasting
        how = run.options.reading if able else replace(run.options.reading, sample=None, of_tables=None)
        for table in source.tables():
            table.reading = how
            part, error = _scan_table(run, source, table, shown)
            if isinstance(error, LostConnectionError):  # once more from its start
                again, error = _scan_table(run, source, table, shown)
                part = again if error is None or again.coverage.rows >= part.coverage.rows else part
            parts.append(part)
            if error is not None:  # one table that breaks costs no other
                failed[_reason(error)] = None
    except CustomKindError:
        raise
    except PiiGuardError as error:
        failed[_reason(error)] = None
    unread = ScanReport(not_examined=tuple(NotExamined(shown, reason) for reason in failed))
    return merge(*parts, unread, detectors=run.detectors)


def _scan_table(run: _Run, source: Source, table: Table, shown: str) -> tuple[ScanReport, PiiGuardError | None]:
    """What was read of one table, and what broke it, if anything did."""
    with_comments = run.options.comments and source.lasting and source.capabilities.comments
    counted = TableScan(
        shown,
        safe_text(table.name),
        run.detectors,
        with_comments=with_comments,
        valid_text=source.capabilities.valid_text,
        frequencies=run.frequencies,
        known=run.known,
    )
    failure = None
    try:
        for batch in table.batches():
            counted.add(batch, table.described, first_line=table.first_line)
            run.count(shown, batch.num_rows, table)
    except CustomKindError:  # the policy is broken, not the table
        raise
    except PiiGuardError as error:
        failure = error
    if failure is None and table.doubt:
        failure = ReadError(shown, table.doubt)
    return _report_on(counted, table), failure


def _reason(error: PiiGuardError) -> str:
    return safe_text(error.reason if isinstance(error, ReadError) else str(error))


def scan(
    target: str | os.PathLike[str] | ArrowData,
    *,
    only: Iterable[str] = (),
    excluding: Iterable[str] = (),
    table: str = "data",
    policy: Policy | str | os.PathLike[str] | None = None,
) -> ScanReport:
    """Find personal data in a file, a directory, a database (its URL), or Arrow data (frames, readers, lists of dicts).

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
            if database_of(path) is not None or (PATH_LIKE.fullmatch(path) and safe_text(path) == path):
                raise
        # what was handed in by mistake may be the data itself: it is not repeated
        raise TargetError("the target is no file or directory; pii_guard.find searches texts")
    return scan_data(target, table=table, detectors=detectors)
