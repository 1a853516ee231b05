"""Rows whose retention period is over, by the column in which it starts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.check.checker import stated_tag, unexamined
from pii_guard.check.results import CheckResult, Violation
from pii_guard.cohorts import iso_days
from pii_guard.connectors.base import Reading, Source, Table
from pii_guard.connectors.database import DatabaseTable, quoted
from pii_guard.errors import PiiGuardError, ReadError
from pii_guard.model import FieldPath, Tag, path_text
from pii_guard.naming import safe_name, safe_text, unique_names
from pii_guard.reports import NotExamined, ScanReport

if TYPE_CHECKING:
    from pii_guard.policy import Policy

__all__ = ["check_periods", "counts_periods"]


@dataclass(slots=True)
class _Count:
    """What was counted of one column and one cutoff."""

    rows: int = 0
    past: int = 0
    undated: int = 0
    """Values that say no day."""
    missing: bool = False
    """The table has no such column."""

    def add(self, batch: pa.RecordBatch, column: str, cutoff: str) -> None:
        self.rows += batch.num_rows
        if column not in batch.schema.names:
            self.missing = True
            return
        values = batch.column(batch.schema.get_field_index(column))
        days, undated = iso_days(values)
        self.undated += len(undated)
        self.past += pc.sum(pc.less_equal(days, cutoff)).as_py() or 0


def counts_periods(policy: Policy | None) -> bool:
    """Whether a retention class of the policy says which column its period starts in."""
    return policy is not None and any(entry.period_from for entry in policy.retention.values())


def check_periods(
    report: ScanReport,
    policy: Policy,
    tags: Mapping[str, Tag],
    sources: Iterable[tuple[Source, str]],
    *,
    reading: Reading,
    today: date | None = None,
) -> CheckResult:
    """PG035 for tables with rows past their period, PG038 where the start of a period cannot be read, PG010 for what
    could not be read once more.

    `sources`: those of the scan, with the names that they have in `report`. The tables that have fields of a class with
    `period_from` are read once more: of which class a field is shows when the scan is over, since a column of blind
    indexes is of none. Classes with `term = "floor"` are no reason to destroy anything.
    """
    wanted: dict[tuple[str, str], set[str]] = defaultdict(set)
    for field in report.fields:
        retention = stated_tag(field, policy, tags).retention
        kept = policy.retention.get(retention or "")
        if retention and kept is not None and kept.period_from and kept.term != "floor":
            wanted[field.field.source, field.field.table].add(retention)
    violations: list[Violation] = []
    warnings: list[Violation] = []
    unread: list[NotExamined] = []
    lasting = {shown: source for source, shown in sources if source.lasting}
    for name in sorted({place[0] for place in wanted} - lasting.keys()):
        message = "the rows of what comes from a pipe or an archive are not counted against their periods"
        warnings.append(Violation("PG038", name, None, message, "unpack it, and check the files"))
    for shown, source in lasting.items():
        if not any(place[0] == shown for place in wanted):
            continue
        try:
            for table in source.tables():
                name = safe_text(table.name)
                table.reading = reading
                for retention in sorted(wanted.get((shown, name), ())):
                    found, doubts = _held(table, FieldPath(shown, name, ""), retention, policy, today or date.today())
                    violations += found
                    warnings += doubts
        except PiiGuardError as error:
            reason = error.reason if isinstance(error, ReadError) else str(error)
            unread.append(NotExamined(shown, safe_text(reason)))
    warnings += map(unexamined, unread)
    return CheckResult(tuple(violations), tuple(warnings), ScanReport(not_examined=tuple(unread)))


def _held(
    table: Table, place: FieldPath, retention: str, policy: Policy, today: date
) -> tuple[list[Violation], list[Violation]]:
    from pii_guard.policy.periods import parse_period

    kept = policy.retention[retention]
    column = kept.period_from or ""
    cutoff = parse_period(kept.period).before(today).date().isoformat()
    count = _Count()
    shown = column
    for batch in table.batches():
        names = unique_names(batch.schema)
        if column in names:
            shown = safe_name(column, names.index(column) + 1)[0]
        count.add(batch.rename_columns(names), column, cutoff)
    field = FieldPath(place.source, place.table, path_text((shown,)))
    violations = list(_past(count, table, shown, field, f"{kept.period} of {retention}", cutoff))
    return violations, list(_unknown(count, field, retention))


def _past(count: _Count, table: Table, shown: str, field: FieldPath, period: str, cutoff: str) -> Iterator[Violation]:
    if not count.past:
        return
    message = f"{count.past:,} of {count.rows:,} rows are past the {period}: they started by {cutoff}"
    which = f"the rows whose {field.path} is {cutoff} or earlier"
    if isinstance(table, DatabaseTable):
        after = date.fromisoformat(cutoff) + timedelta(days=1)  # the column may hold times
        mark = "`" if field.source.startswith(("mysql:", "mariadb:")) else '"'
        names = [table.relation.schema, table.relation.table, shown]
        *relation, column = (quoted(safe_text(name), mark) for name in names if name)
        which = f"the rows of SELECT * FROM {'.'.join(relation)} WHERE {column} < '{after}'"  # noqa: S608 - shown only
    mend = f"destroy {which}; store them apart if a law keeps them"
    yield Violation("PG035", field.source, field, message, mend)


def _unknown(count: _Count, field: FieldPath, retention: str) -> Iterator[Violation]:
    if count.missing:
        message = f"the period of {retention} starts in this column, which the table does not have"
    elif count.undated:
        message = (
            f"{count.undated:,} of {count.rows:,} values say no day, so nobody knows when {retention} ends for them"
        )
    else:
        return
    yield Violation("PG038", field.source, field, message, "correct period_from in the policy, or the values")
