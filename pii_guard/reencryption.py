"""Tokens moved from older keys of their field to the newest one, values unseen by whoever runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import chain, islice

import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.audit import AccessLog, AccessRequest
from pii_guard.crypto.blind_index import index_column, labels
from pii_guard.crypto.decryption import decrypt_column
from pii_guard.crypto.key import ColumnKey, Mode
from pii_guard.crypto.normaliser import Normaliser, normaliser_of
from pii_guard.crypto.rows import row_keys
from pii_guard.crypto.token import encrypt_column, find_tokens, key_ids, token_prefix
from pii_guard.errors import TokenError, UsageError
from pii_guard.keys.keyring import Keyring
from pii_guard.model import Tag
from pii_guard.planning import INDEX_SUFFIX
from pii_guard.revealing import (
    EncryptedColumn,
    encrypted_columns,
    field_of,
    refuse_stray,
    row_places,
    stated_key,
    with_tags,
)
from pii_guard.spans import move_spans, span_key_ids
from pii_guard.tags import read_tag, write_tag

__all__ = ["Moved", "reencrypt"]

TASK = "reencrypt"
MODES = Mode.RANDOMIZED, Mode.DETERMINISTIC
BOUND = (
    "holds tokens that are bound to their rows, and no tag says which columns name a row; put its tags back, in the "
    "file or in pii-guard.tags.toml beside it"
)


@dataclass(slots=True)
class Moved:
    """What was done to the values of the encrypted columns, counted as the batches go by."""

    moved: int = 0
    """Tokens that are under the newest key of their field now."""
    current: int = 0
    """Tokens that were so before."""
    plain: int = 0
    """Values that are no tokens, left as they are."""
    unopened: int = 0
    """What has the form of a token inside of a text and does not open: text, left as it is."""
    fields: set[str] = field(default_factory=set)
    """Logical fields with moved tokens."""


def reencrypt(
    reader: pa.RecordBatchReader,
    keyring: Keyring,
    audit: AccessLog,
    *,
    actor: str,
    table: str = "data",
    tags: Mapping[str, Tag] | None = None,
) -> tuple[pa.RecordBatchReader, Moved]:
    """The same rows with every token under the newest active key of its field, retention class, period, mode and
    purposes, and its blind index made anew; and what was done, complete when the rows are read.

    Each old key is opened for the first of its purposes, and the access is recorded as task `reencrypt`, before the
    first batch is released. `tags`: those of a sidecar, for columns of `table` that carry none. Idempotent: tokens of
    the newest key stay as they are. Raises UsageError where nothing is encrypted, for tokens of a destroyed key and for
    tokens that are bound to their rows by columns that nothing names, KeyringError for a token of an unknown key,
    TokenError for one that does not open or that stands in a column that had none in its first batch and has no tag,
    AuditError. Inside of texts, what does not open is text and stays.
    """
    first = list(islice(reader, 1))
    known = frozenset(record.key_id for record in keyring.records()).__contains__
    tagged = with_tags(reader.schema, table, tags or {})
    columns = encrypted_columns(tagged, first[0] if first else None, known)
    if not columns:
        raise UsageError("nothing in it is encrypted: there is no tag and no token")
    run = _Run(keyring, tagged, known)
    for column in columns:
        run.refuse_destroyed(column, column.key_ids)
    schema = run.schema_after(columns)
    ids = sorted({key_id for column in columns for key_id in column.key_ids})
    purposes = ", ".join(sorted({run.purpose(key_id) for key_id in ids}))
    fields = [field_of(column, keyring) for column in columns]
    request = AccessRequest(purposes, actor, TASK)

    def released() -> Iterator[pa.RecordBatch]:
        with audit.access(request, fields=fields, key_ids=ids) as access:
            access.key_ids = run.used
            try:
                for batch in chain(first, reader):
                    yield run.batch(batch, columns, schema)
                    access.rows += batch.num_rows
            except TokenError as error:
                access.failures = len(error.rows)
                raise error.shifted(access.rows) from None

    return pa.RecordBatchReader.from_batches(schema, released()), run.moved


class _Run:
    """The keys of one pass over a table."""

    def __init__(self, keyring: Keyring, schema: pa.Schema, known: Callable[[bytes], bool]) -> None:
        self.keyring, self.schema, self.moved = keyring, schema, Moved()
        self._known = known
        self.used: set[bytes] = set()
        self._targets: dict[bytes, ColumnKey] = {}

    def purpose(self, key_id: bytes) -> str:
        """The purpose that a key is opened for."""
        return self.keyring.record(key_id).purposes[0]

    def target(self, key_id: bytes) -> ColumnKey:
        """The newest key in the place of this one."""
        if key_id not in self._targets:
            old = self.keyring.record(key_id)
            self._targets[key_id] = self.keyring.encryption_key(
                old.field, old.retention, old.purposes, old.mode, period=old.period
            )
        return self._targets[key_id]

    def refuse_destroyed(self, column: EncryptedColumn, ids: Iterable[bytes]) -> None:
        """Raises UsageError for a destroyed key of whole values, which nothing opens any more."""
        for gone in filter(None, map(self.keyring.destroyed, ids)):
            raise UsageError(
                f"{column.shown}: holds tokens of the key {gone.key_id.hex()} of {gone.field}, which was destroyed on "
                f"{gone.ended}: nothing opens them; set them to null, or take out their rows"
            )

    def schema_after(self, columns: Sequence[EncryptedColumn]) -> pa.Schema:
        """The schema whose tags name the newest keys, and the purposes that these have."""
        fields = list(self.schema)
        for column in columns:
            for index in (column.index, self._index_of(column.index)):
                tag = read_tag(fields[index]) if index >= 0 else None
                key_id = self._tagged_key(tag, column)
                if tag is not None and key_id is not None:
                    newest = self.target(key_id).key_id
                    has = self.keyring.record(newest).purposes
                    purposes = tuple(purpose for purpose in tag.purposes if purpose in has)  # less those withdrawn
                    fields[index] = write_tag(fields[index], replace(tag, key_id=newest.hex(), purposes=purposes))
        return pa.schema(fields, self.schema.metadata)

    def _tagged_key(self, tag: Tag | None, column: EncryptedColumn) -> bytes | None:
        """The key that a tag names, or else the newest one of the first rows; None where nothing says one."""
        stated, ages = stated_key(tag), {record.key_id: age for age, record in enumerate(self.keyring.records())}
        return stated if stated in ages else max(column.key_ids, key=ages.__getitem__, default=None)

    def _index_of(self, column: int) -> int:
        """The column of the blind index of a column; -1 if there is none."""
        return int(self.schema.get_field_index(self.schema.field(column).name + INDEX_SUFFIX))

    def batch(self, batch: pa.RecordBatch, columns: Sequence[EncryptedColumn], schema: pa.Schema) -> pa.RecordBatch:
        """One batch with its tokens under the newest keys. None is left behind: its key may be destroyed next."""
        arrays = list(batch.columns)
        for index in set(range(len(arrays))) - {column.index for column in columns}:
            refuse_stray(arrays[index], self.schema, index, self._known)
        for column in columns:
            if column.spans:
                self._move_spans(arrays, column)
            else:
                self._move(arrays, column)
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _move_spans(self, arrays: list[pa.Array], column: EncryptedColumn) -> None:
        texts = arrays[column.index]
        for key_id, count in span_key_ids(texts).items():
            if not self._known(key_id):
                self.moved.unopened += count
                continue
            target = self.target(key_id)
            if target.key_id == key_id:
                self.moved.current += count
                continue
            texts, moved = move_spans(texts, self._opened(key_id, target), target)
            self.moved.moved += moved
            self.moved.unopened += count - moved
            self.moved.fields.add(target.field)
        arrays[column.index] = texts.cast(arrays[column.index].type)

    def _opened(self, key_id: bytes, target: ColumnKey) -> ColumnKey:
        """The old key; that it and the new one were used is told."""
        self.used |= {key_id, target.key_id}
        return self.keyring.decryption_key(key_id, self.purpose(key_id))

    def _move(self, arrays: list[pa.Array], column: EncryptedColumn) -> None:
        values, text = arrays[column.index], arrays[column.index].cast(pa.large_string())
        tag = read_tag(self.schema.field(column.index)) or Tag()
        found = key_ids(text)
        self.refuse_destroyed(column, found)
        empty = pc.sum(pc.equal(text, "")).as_py() or 0  # as CSV writes nulls
        self.moved.plain += len(text) - text.null_count - empty - int(find_tokens(text).true_count)
        for key_id, count in found.items():
            old, target = self.keyring.record(key_id), self.target(key_id)
            if target.key_id == key_id:
                self.moved.current += count
                continue
            bound = pc.starts_with(text, token_prefix(key_id, old.mode, bound=True))
            rows = self._row_keys(arrays, column, old.field)
            if rows is None and pc.any(bound).as_py():
                raise UsageError(f"{column.shown}: {BOUND}")
            mine = reduce(pc.or_, (pc.starts_with(text, token_prefix(key_id, mode)) for mode in MODES), bound)
            mine = mine.fill_null(False)  # all that name the key: of another mode than it has, they do not open
            own = _always(self._opened(key_id, target))
            tokens = pc.if_else(mine, text, pa.scalar(None, text.type))
            plain = decrypt_column(tokens, own, column.type, old.field, row_keys=rows)
            text = pc.if_else(mine, encrypt_column(plain, target, rows).cast(text.type), text)
            index = self._index_of(column.index)
            if index >= 0:
                for form in self._forms(arrays[index], key_id, tag):
                    made = index_column(plain, target, *form)
                    arrays[index] = pc.if_else(mine, made.cast(arrays[index].type), arrays[index])
            self.moved.moved += count
            self.moved.fields.add(old.field)
        arrays[column.index] = text.cast(values.type)

    def _row_keys(self, arrays: Sequence[pa.Array], column: EncryptedColumn, field: str) -> pa.LargeBinaryArray | None:
        """What the tokens of a column are bound to, as its tag says; None where they are bound to nothing."""
        places = row_places(column, self.schema)
        return row_keys([arrays[place] for place in places], field) if places else None

    def _forms(self, indexes: pa.Array, key_id: bytes, tag: Tag) -> list[tuple[Normaliser, int]]:
        """How the values of an old key are indexed: as the tag says, else as the indexes themselves do."""
        if tag.index:
            return [(normaliser_of(tag.kind), int(tag.index))]
        return sorted((form, bits) for made_by, form, bits in labels(indexes) if made_by == key_id)[:1]


def _always(key: ColumnKey) -> Callable[[bytes], ColumnKey]:
    return lambda key_id: key
