"""The way back: which columns of a table are encrypted, and their batches opened."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.crypto.decryption import OnError, decrypt_column
from pii_guard.crypto.key import ColumnKey
from pii_guard.crypto.rows import names_rows, row_keys
from pii_guard.crypto.token import find_tokens, key_ids
from pii_guard.detectors import TABLE, load
from pii_guard.engine.masking import mask_column
from pii_guard.errors import KeyringError, TokenError, UsageError
from pii_guard.keys.keyring import KeyRecord, Keyring
from pii_guard.model import BLANK, Kind, Tag, path_text
from pii_guard.naming import safe_name, unique_names
from pii_guard.plain_types import is_text
from pii_guard.spans import reveal_spans, span_key_ids
from pii_guard.tags import parse_type, read_tag, without_tag, write_tag

__all__ = [
    "EncryptedColumn",
    "carried_tags",
    "encrypted_columns",
    "field_of",
    "mask_batch",
    "mask_values",
    "masked_schema",
    "refuse_stray",
    "reveal_batches",
    "row_places",
    "stated_key",
    "with_tags",
]

UNKNOWN = Kind("", "", keep=(0, 0))
"""What masks values of which no tag says what they are: nothing of them shows."""


@dataclass(frozen=True, slots=True)
class EncryptedColumn:
    """A column that is tagged as encrypted, or whose first batch holds tokens."""

    index: int
    shown: str
    """Its name, safe to show."""
    tagged: str | None
    """The logical field that its tag names."""
    key_ids: tuple[bytes, ...]
    type: pa.DataType
    """What its values were before they were encrypted."""
    spans: bool = False
    """Whether the tokens stand inside of texts."""
    tag: Tag | None = None
    """What it says of itself; the records of its keys decide."""
    bind_row: tuple[str, ...] = ()
    """The columns that name the rows which its tokens are bound to."""


def encrypted_columns(
    schema: pa.Schema, first: pa.RecordBatch | None, known: Callable[[bytes], bool]
) -> tuple[EncryptedColumn, ...]:
    """The encrypted columns of a table, by its tags and by its first batch. `known`: whether there is a key of this id;
    what looks like a token inside of a text and has none is text."""
    found = []
    for index, name in enumerate(unique_names(schema)):
        tag = read_tag(schema.field(index))
        shown, tagged = safe_name(name, index + 1)[0], tag.field if tag else None
        ids = tuple(sorted(key_ids(first.column(index)))) if first is not None else ()
        if ids or (tag is not None and tag.protection == "encrypt" and tag.key_id):
            kind = parse_type(tag.type) if tag and tag.type else pa.string()
            bound = tag.bind_row if tag else ()
            found.append(EncryptedColumn(index, shown, tagged, ids, kind, False, tag, bound))
            continue
        inside = () if first is None else tuple(filter(known, sorted(span_key_ids(first.column(index)))))
        if inside or (tag is not None and tag.protection == "encrypt-spans" and tag.key_id):
            found.append(EncryptedColumn(index, shown, tagged, inside, schema.field(index).type, True, tag))
    return tuple(found)


def carried_tags(schema: pa.Schema, table: str) -> dict[str, Tag]:
    """The tags of a schema's columns as a sidecar names them, for a file of the name `table` that cannot hold them."""
    found = {}
    for index, name in enumerate(unique_names(schema)):
        tag = read_tag(schema.field(index))
        if tag is not None:
            found[f"{table}.{path_text((safe_name(name, index + 1)[0],))}"] = tag
    return found


def with_tags(schema: pa.Schema, table: str, tags: Mapping[str, Tag]) -> pa.Schema:
    """The schema with the tags of a sidecar on the columns that have none of their own."""
    fields = list(schema)
    for index, name in enumerate(unique_names(schema)):
        tag = tags.get(f"{table}.{path_text((safe_name(name, index + 1)[0],))}")
        if tag is not None and read_tag(fields[index]) is None:
            fields[index] = write_tag(fields[index], tag)
    return pa.schema(fields, schema.metadata)


def field_of(column: EncryptedColumn, keys: Keyring) -> str:
    """The logical field that a column's keys are bound to, as their records say.

    Raises KeyringError where the tag says otherwise: of the field, a purpose, the retention class or the mode, or by
    naming a key of another field.
    """
    records = [keys.record(key_id) for key_id in column.key_ids]
    fields = {record.field for record in records}
    if column.tagged:
        fields.add(column.tagged)
    stated = stated_key(column.tag)
    fields |= {record.field for record in keys.records() if record.key_id == stated}
    if len(fields) > 1:
        raise KeyringError(
            f"column {column.shown} is tagged or mixed as several fields ({', '.join(sorted(fields))}); "
            "correct the tag, or protect the data again from its source"
        )
    if records and column.tag is not None:
        _refuse_contradiction(column.shown, column.tag, records)
    return fields.pop() if fields else column.shown


def stated_key(tag: Tag | None) -> bytes | None:
    """The id of the key that a tag names; None where it names none, or none that could be."""
    text = tag.key_id or "" if tag else ""
    return bytes.fromhex(text) if re.fullmatch("[0-9a-f]{8}", text) else None


def _refuse_contradiction(shown: str, tag: Tag, records: Sequence[KeyRecord]) -> None:
    purposes = sorted({purpose for record in records for purpose in record.purposes})
    classes = sorted({record.retention for record in records})
    if tag.mode and tag.mode not in {record.mode for record in records}:
        raise KeyringError(
            f"column {shown}: its tag states mode {tag.mode!r}, but its keys are {records[0].mode}; correct the tag"
        )
    withdrawn = {purpose for record in records for purpose in record.withdrawn}  # by tags from before, still stated
    forged = sorted({*tag.purposes} - {*purposes} - withdrawn)
    if forged or (tag.retention and tag.retention not in classes):
        what = f"purpose {forged[0]!r}" if forged else f"retention class {tag.retention!r}"
        raise KeyringError(
            f"column {shown}: its tag states {what}, but its keys are for {', '.join(purposes)}, kept as "
            f"{', '.join(classes)}; correct the tag, or protect the data again from its source"
        )


def reveal_batches(
    batches: Iterator[pa.RecordBatch],
    schema: pa.Schema,
    columns: Sequence[tuple[EncryptedColumn, str]],
    key_for: Callable[[bytes], ColumnKey],
    known: Callable[[bytes], bool],
    failed: Callable[[int], None],
    on_error: OnError = "raise",
    closed: Collection[int] = (),
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The same rows with `columns` (and their logical fields) decrypted to the types that they had.

    Raises TokenError before a batch is released that holds a token which does not open, or a token in a column that had
    none before: nothing is passed through unopened. UsageError, before any batch is read, where tokens are bound to
    their rows by columns that are not there. With `on_error="null"` a token of `columns` that does not open is
    null; inside of a text it stays. `failed` hears of their number. An empty text in an encrypted column is a null, as
    CSV writes it. `known`: as for `encrypted_columns`. `closed`: columns, by position, that stay encrypted.
    """
    fields, bound = list(schema), {column.index: row_places(column, schema) for column, _ in columns}
    for column, _ in columns:
        tag = read_tag(schema.field(column.index))
        plain = without_tag(fields[column.index]).with_type(column.type)
        fields[column.index] = write_tag(plain, replace(tag, key_id=None, type=None)) if tag else plain
    revealed = pa.schema(fields, schema.metadata)
    rest = set(range(len(schema))) - {column.index for column, _ in columns} - {*closed}

    def opened() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            arrays = list(batch.columns)
            for index in rest:
                refuse_stray(arrays[index], schema, index, known)
            for column, name in columns:
                named = [batch.column(place) for place in bound[column.index]]
                rows = row_keys(named, name) if named else None
                arrays[column.index], lost = _revealed(arrays[column.index], column, name, key_for, on_error, rows)
                if lost:
                    failed(lost)
            yield pa.RecordBatch.from_arrays(arrays, schema=revealed)

    return revealed, opened()


def refuse_stray(values: pa.Array, schema: pa.Schema, index: int, known: Callable[[bytes], bool]) -> None:
    """Raise TokenError for tokens in a column that had none in its first batch: they would be passed over."""
    stray = _stray(values, known)
    if len(stray):
        shown = safe_name(unique_names(schema)[index], index + 1)[0]
        raise TokenError(shown, stray.tolist(), "are tokens in a column that had none in its first rows")


def row_places(column: EncryptedColumn, schema: pa.Schema) -> tuple[int, ...]:
    """The places of the columns that name the rows which the tokens of a column are bound to; none where they are not.

    Raises UsageError where such a column is not there, or cannot name rows.
    """
    for number, name in enumerate(column.bind_row, 1):
        place = schema.get_field_index(name)  # -1 for a name that occurs twice, too
        if place < 0 or not names_rows(schema.field(place).type):
            raise UsageError(
                f"{column.shown}: its tokens are bound to their rows by the column {safe_name(name, number)[0]}, which "
                "is not here once, as text, whole numbers, bytes or days; give the table with it, or correct bind_row"
            )
    return tuple(map(schema.get_field_index, column.bind_row))


def _stray(values: pa.Array, known: Callable[[bytes], bool]) -> npt.NDArray[np.int64]:
    """The rows with tokens, or with tokens of known keys in their text."""
    rows: npt.NDArray[np.int64] = find_tokens(values).to_numpy(zero_copy_only=False).nonzero()[0]
    if not len(rows) and any(map(known, span_key_ids(values))):
        inside = pc.match_substring(values.cast(pa.large_string()), "[pgd1")
        rows = inside.fill_null(False).to_numpy(zero_copy_only=False).nonzero()[0]
    return rows


def _revealed(
    tokens: pa.Array,
    column: EncryptedColumn,
    name: str,
    key_for: Callable[[bytes], ColumnKey],
    on_error: OnError,
    rows: pa.LargeBinaryArray | None,
) -> tuple[pa.Array, int]:
    """The values of one column of a batch, and how many tokens in it do not open."""
    if column.spans:
        texts, lost = reveal_spans(tokens, key_for, name)
        return texts.cast(column.type), lost
    if is_text(tokens.type):
        tokens = pc.if_else(pc.equal(tokens, ""), pa.scalar(None, tokens.type), tokens)
    values = decrypt_column(tokens, key_for, column.type, name, on_error, rows)
    return values, values.null_count - tokens.null_count


def masked_schema(schema: pa.Schema, columns: Sequence[EncryptedColumn]) -> pa.Schema:
    """The schema of rows in which the values of `columns` are masked: text, tagged so."""
    fields = list(schema)
    for column in columns:
        field = fields[column.index].with_type(pa.string())
        tag = read_tag(field)
        fields[column.index] = (
            write_tag(field, replace(tag, protection="mask", mode=None, bind_row=())) if tag else field
        )
    return pa.schema(fields, schema.metadata)


def mask_batch(batch: pa.RecordBatch, columns: Sequence[EncryptedColumn], schema: pa.Schema) -> pa.RecordBatch:
    """The same rows with the values of `columns`, which were opened, as text masked by the kinds in their tags."""
    arrays = list(batch.columns)
    for column in columns:
        arrays[column.index] = mask_values(arrays[column.index], column)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def mask_values(values: pa.Array, column: EncryptedColumn) -> pa.StringArray:
    """Opened values of a column, masked by the kind that its tag states."""
    kind = column.tag.kind if column.tag else None
    kind_of = pa.types
    if any(is_it(values.type) for is_it in (kind_of.is_binary, kind_of.is_large_binary, kind_of.is_fixed_size_binary)):
        values = pc.if_else(values.is_valid(), BLANK, pa.scalar(None, pa.string()))
    return mask_column(values, load(kind).kind if kind in TABLE else UNKNOWN)
