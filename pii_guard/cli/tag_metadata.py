"""pii-guard tag --write metadata"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pii_guard import connectors
from pii_guard.cli.tables import unchanged
from pii_guard.connectors import Source
from pii_guard.connectors.base import FileTable
from pii_guard.connectors.database_url import database_of, shown_target
from pii_guard.connectors.formats import format_for_suffix
from pii_guard.errors import UsageError
from pii_guard.model import Tag
from pii_guard.naming import safe_text
from pii_guard.reports import FieldReport
from pii_guard.tags import logical_field, without_tag_at, write_tag_at

__all__ = ["Tagged", "files_to_tag"]


@dataclass(frozen=True, slots=True)
class Tagged:
    """A file whose fields are to carry their tags."""

    path: str
    table: FileTable
    check: Callable[[], None]
    """Raises WriteError where the file is not the one that it was when this was made."""

    def write(self, fields: Sequence[FieldReport], tags: Mapping[str, Tag]) -> list[str] | None:
        """Write `tags` (`TABLE.PATH` -> tag) into the metadata of the fields that a scan found in the file; None where
        they stand there already. All else of the file is as it was, and it is replaced whole or not at all.

        Returns the fields that have a tag and cannot carry it. Raises ReadError, WriteError.
        """
        reader = self.table.reader()
        schema, left = reader.schema, list[str]()
        shown = safe_text(self.table.target), safe_text(self.table.name)
        for field in fields:
            if (field.field.source, field.field.table) != shown:
                continue
            tag = tags.get(logical_field(field.field))
            index = schema.get_field_index(field.segments[0])
            if index < 0:  # of a name that occurs twice, or is a value and not shown
                left += [] if tag is None else [field.field.path]
                continue
            column = schema.field(index)
            inside = field.segments[1:]
            changed = without_tag_at(column, inside) if tag is None else write_tag_at(column, inside, tag)
            if tag is not None and changed.equals(without_tag_at(column, inside), check_metadata=True):
                left.append(field.field.path)
            schema = schema.set(index, changed)
        if schema.equals(reader.schema, check_metadata=True):
            return left or None
        batches = (pa.RecordBatch.from_arrays(_cast(batch, schema), schema=schema) for batch in reader)
        tagged = pa.RecordBatchReader.from_batches(schema, batches)
        style = self.table.style()
        connectors.write(tagged, self.path, overwrite=True, style=style, keep_owner=True, before=self.check)
        return left


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> list[pa.Array]:
    """The columns, with the metadata of fields in others as part of their type."""
    return [
        column if not field.type.num_fields else column.cast(field.type)
        for column, field in zip(batch.columns, schema, strict=True)
    ]


def files_to_tag(target: str) -> list[Tagged]:
    """The files at `target`, before anything is written.

    Raises UsageError where one of them cannot carry tags, or cannot be replaced by one that does.
    """
    if database_of(target) is not None:
        raise UsageError(f"{shown_target(target)}: a database has no field metadata; its columns have notes")
    return [_tagged(source) for source in connectors.discover(target) if isinstance(source, Source)]


def _tagged(source: Source) -> Tagged:
    (table, *others) = source.tables()
    if not source.capabilities.metadata:
        raise UsageError(f"{source.target}: the format {source.format} has no field metadata; leave metadata out")
    path = table.resource.path if isinstance(table, FileTable) else None
    if path is None or others:
        raise UsageError(f"{source.target}: stands in no file of its own (compressed, archived, remote or in parts)")
    format = format_for_suffix(Path(path).suffix)
    if format is None or format.id != source.format:
        raise UsageError(f"{path}: is of the format {source.format} under another suffix; rename it")
    if Path(path).stat().st_nlink > 1:
        raise UsageError(f"{path}: has another name (a hard link), which would keep the file without tags")
    assert isinstance(table, FileTable)  # noqa: S101 - it has a path
    return Tagged(str(path), table, unchanged(str(path)))
