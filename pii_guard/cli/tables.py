"""The one table that `protect` and `reveal` work on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pii_guard import connectors
from pii_guard.connectors import Format
from pii_guard.connectors.base import FileTable, Reading, Table
from pii_guard.connectors.database_url import Mode, database_of, shown_target
from pii_guard.errors import ReadError, UsageError, WriteError
from pii_guard.reports import ScanReport

__all__ = ["Into", "only_name", "only_table", "refuse_incomplete", "unchanged"]

READING = Reading()


def only_table(
    source: str, reading: Reading = READING, table: str | None = None, password: str | None = None
) -> tuple[Table, str]:
    """The table of a file, to be read so, or `table` of a database; and the id of the format.

    Raises UsageError where there is no table, or more than one.
    """
    database = database_of(source)
    if database is not None:
        from pii_guard.connectors.streams import open_table  # libraries of databases, for those alone

        return open_table(source, database, table, password), database.id
    if table is not None or password is not None:
        raise UsageError("--table and --password-file are for URLs of databases alone")
    opened = connectors.open(source)
    tables = list(opened.tables())
    if len(tables) != 1:
        raise UsageError(f"{shown_target(source)}: has {len(tables)} tables; give a file with one")
    tables[0].reading = reading
    return tables[0], opened.format


def unchanged(source: str) -> Callable[[], None]:
    """A function that raises WriteError if the file `source` is not the one that it is now."""

    def state() -> tuple[int, ...] | None:
        if "://" in source or source == "-":
            return None
        try:
            now = Path(source).stat()
        except OSError:
            return ()
        return now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns

    before = state()

    def check() -> None:
        if state() != before:
            raise WriteError(f"{source}: was changed by somebody else meanwhile; nothing was written")

    return check


@dataclass(frozen=True, slots=True)
class Into:
    """The table of a database that is written."""

    table: str | None
    schema: str | None
    mode: Mode

    def check(self, target: str, *, overwrite: bool) -> Format | None:
        """The format of the file `target`, or None for a database; raises where it could not be written."""
        if database_of(target) is None:
            if self != Into(None, None, "create"):
                raise UsageError("--to-table, --to-schema and --mode are for URLs of databases alone")
            return connectors.check_target(target, overwrite=overwrite)
        from pii_guard.connectors.streams import check_table  # libraries of databases, for those alone

        if overwrite:
            raise UsageError("--overwrite is for files; --mode replace puts new rows into a table")
        check_table(target, table=self.table, schema=self.schema, mode=self.mode)
        return None

    def name(self, target: str) -> str:
        """What a scan calls the table, now that it is there."""
        return only_table(target, table=".".join(part for part in (self.schema, self.table) if part))[0].name

    def shown(self, target: str) -> str:
        return f"{self.name(target)} of {shown_target(target)}"


def only_name(source: str, format: Format | None, found: str, table: Table) -> None:
    """Refuse to replace a file whose plain values would stay under another name, whose suffix is of another format, or
    that is compressed. Raises UsageError.
    """
    path = Path(source)
    if format is None:
        raise UsageError(f"{shown_target(source)}: is a database; use --to")
    if isinstance(table, FileTable) and table.resource.path is None:
        raise UsageError(f"{path}: is compressed; use --to")
    if format.id != found:
        raise UsageError(f"{path}: is of the format {found} under a suffix of {format.id}; use --to")
    if path.stat().st_nlink > 1:
        raise UsageError(f"{path}: has another name (a hard link), under which the plain values would stay; use --to")


def refuse_incomplete(report: ScanReport, source: str, table: Table) -> None:
    """Raises ReadError where a scan of `table` could not read all of it as rows: the rest cannot be protected."""
    for item in report.not_examined:
        raise ReadError(item.source, f"{item.reason}; nothing was written")
    if report.coverage.replaced:
        raise ReadError(
            source,
            f"{report.coverage.replaced} byte sequences of no known encoding would be lost; nothing was written",
        )
    if report.coverage.unparsed:
        for _ in table.reader():  # says where the first line is that is no row
            pass
        raise ReadError(source, f"{report.coverage.unparsed} lines are no rows; nothing was written")
