"""The way back: which columns of a table are encrypted, and their batches opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.crypto.key import ColumnKey
from pii_guard.crypto.token import decrypt_column, find_tokens, key_ids
from pii_guard.errors import KeyringError, TokenError
from pii_guard.keys.keyring import Keyring
from pii_guard.model import Tag, path_text
from pii_guard.naming import safe_name, unique_names
from pii_guard.protection import parse_type
from pii_guard.tags import METADATA_KEY, read_tag, write_tag

__all__ = ["EncryptedColumn", "carried_tags", "encrypted_columns", "field_of", "reveal_batches"]


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


def encrypted_columns(schema: pa.Schema, first: pa.RecordBatch | None) -> tuple[EncryptedColumn, ...]:
    """The encrypted columns of a table, by its tags and by its first batch."""
    found = []
    for index, name in enumerate(unique_names(schema)):
        tag = read_tag(schema.field(index))
        ids = tuple(sorted(key_ids(first.column(index)))) if first is not None else ()
        if ids or (tag is not None and tag.protection == "encrypt" and tag.key_id):
            kind = parse_type(tag.type) if tag and tag.type else pa.string()
            shown = safe_name(name, index + 1)[0]
            found.append(EncryptedColumn(index, shown, tag.field if tag else None, ids, kind))
    return tuple(found)


def carried_tags(schema: pa.Schema, table: str) -> dict[str, Tag]:
    """The tags of a schema's columns as a sidecar names them, for a file of the name `table` that cannot hold them."""
    found = {}
    for index, name in enumerate(unique_names(schema)):
        tag = read_tag(schema.field(index))
        if tag is not None:
            found[f"{table}.{path_text((safe_name(name, index + 1)[0],))}"] = tag
    return found


def field_of(column: EncryptedColumn, keys: Keyring) -> str:
    """The logical field that a column's keys are bound to, as their records say; a tag that differs is an error."""
    fields = {keys.record(key_id).field for key_id in column.key_ids}
    if column.tagged:
        fields.add(column.tagged)
    if len(fields) > 1:
        raise KeyringError(
            f"column {column.shown} is tagged or mixed as several fields ({', '.join(sorted(fields))}); "
            "correct the tag, or protect the data again from its source"
        )
    return fields.pop() if fields else column.shown


def reveal_batches(
    batches: Iterator[pa.RecordBatch],
    schema: pa.Schema,
    columns: Sequence[tuple[EncryptedColumn, str]],
    key_for: Callable[[bytes], ColumnKey],
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The same rows with `columns` (and their logical fields) decrypted to the types that they had.

    Raises TokenError before a batch is released that holds a token which does not open, or a token in a column that had
    none before: nothing is passed through unopened. An empty text in an encrypted column is a null, as CSV writes it.
    """
    fields = list(schema)
    for column, _ in columns:
        tag = read_tag(schema.field(column.index))
        others = {key: value for key, value in (fields[column.index].metadata or {}).items() if key != METADATA_KEY}
        plain = fields[column.index].with_type(column.type).with_metadata(others or None)
        fields[column.index] = write_tag(plain, replace(tag, key_id=None, type=None)) if tag else plain
    revealed = pa.schema(fields, schema.metadata)
    known = {column.index for column, _ in columns}

    def opened() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            arrays = list(batch.columns)
            for index in set(range(batch.num_columns)) - known:
                stray = find_tokens(arrays[index]).to_numpy(zero_copy_only=False).nonzero()[0]
                if len(stray):
                    shown = safe_name(unique_names(schema)[index], index + 1)[0]
                    raise TokenError(shown, stray.tolist(), "are tokens in a column that had none in its first rows")
            for column, name in columns:
                tokens = arrays[column.index]
                if pa.types.is_string(tokens.type) or pa.types.is_large_string(tokens.type):
                    tokens = pc.if_else(pc.equal(tokens, ""), pa.scalar(None, tokens.type), tokens)
                arrays[column.index] = decrypt_column(tokens, key_for, column.type, name)
            yield pa.RecordBatch.from_arrays(arrays, schema=revealed)

    return revealed, opened()
