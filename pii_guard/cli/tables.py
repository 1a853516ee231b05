"""The one table that `protect` and `reveal` work on."""

from __future__ import annotations

from pii_guard import connectors
from pii_guard.connectors.base import Table
from pii_guard.errors import ReadError, UsageError
from pii_guard.model import ScanReport

__all__ = ["only_table", "refuse_incomplete"]


def only_table(source: str) -> Table:
    """The table of a file. Raises UsageError where there is none, or more than one."""
    tables = list(connectors.open(source).tables())
    if len(tables) != 1:
        raise UsageError(f"{source}: has {len(tables)} tables; give a file with one")
    return tables[0]


def refuse_incomplete(report: ScanReport, source: str, table: Table) -> None:
    """Raises ReadError where a scan of `table` could not read all of it as rows: the rest cannot be protected."""
    for item in report.not_examined:
        raise ReadError(item.source, f"{item.reason}; nothing was written")
    if report.coverage.unparsed:
        for _ in table.reader():  # says where the first line is that is no row
            pass
        raise ReadError(source, f"{report.coverage.unparsed} lines are no rows; nothing was written")
