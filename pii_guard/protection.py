"""A plan carried out over the batches of a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.crypto.blind_index import index_column
from pii_guard.crypto.buffers import valid
from pii_guard.crypto.key import ColumnKey, MarkerKey, Mode
from pii_guard.crypto.normaliser import normaliser_of
from pii_guard.crypto.password import hash_column
from pii_guard.crypto.pseudonym import hmac_column
from pii_guard.crypto.rows import row_keys, unnamed
from pii_guard.crypto.token import encrypt_column, find_tokens, key_ids, token_prefix, verify_column
from pii_guard.engine.detection import Detector
from pii_guard.engine.masking import mask_column
from pii_guard.engine.protection import hashes
from pii_guard.errors import KeyringError, UsageError
from pii_guard.keys.keyring import KeyRecord, Keyring
from pii_guard.model import BLANK, Tag
from pii_guard.planning import INDEX_SUFFIX, PlannedField
from pii_guard.spans import encrypt_spans
from pii_guard.tags import parse_type, write_tag, write_tag_at

__all__ = ["KEYED", "encrypt_plain", "key_mode", "logical_name", "protect_batches"]

KEYED = frozenset({"encrypt", "encrypt-spans", "hmac"})
"""Actions that need a key."""


def key_mode(planned: PlannedField) -> Mode:
    """The mode of the key of a column whose action is one of KEYED."""
    tag = planned.tag or Tag()
    return Mode.HMAC if planned.action == "hmac" else Mode(tag.mode or Mode.RANDOMIZED)


def logical_name(planned: PlannedField) -> str:
    """The logical field that the key of a column is bound to."""
    return (planned.tag.field if planned.tag else None) or planned.shown


@dataclass(frozen=True, slots=True)
class _Output:
    """One column of the protected table, and how it is made of a batch of the plain one."""

    field: pa.Field
    made: Callable[[pa.RecordBatch], pa.Array]


def protect_batches(
    reader: pa.RecordBatchReader,
    planned: Sequence[PlannedField],
    keyring: Keyring,
    detectors: Sequence[Detector],
    hashed: Callable[[int], None] | None = None,
    period: str = "",
) -> pa.RecordBatchReader:
    """The same rows with the planned columns protected and every planned column tagged; one batch at a time.

    Values that are tokens of the same field already, and verify, stay as they are. Keys are on disk before the first
    batch is read. `detectors` say which spans of free text are personal; `hashed` hears of passwords that are hashed;
    `period`: when the data is from, for each has keys of its own.
    """
    names = {reader.schema.field(field.index).name + INDEX_SUFFIX for field in planned if field.indexed}
    indexes = frozenset(index for index, name in enumerate(reader.schema.names) if name in names)
    run = _Run(reader.schema, indexes, keyring, detectors, hashed, period)
    outputs = [output for field in planned for output in run.outputs(field)]
    schema = _described([output.field for output in outputs], reader.schema)

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in reader:
            columns = [output.made(batch) for output in outputs]
            # a table of which every column is dropped has no rows either
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


@dataclass(frozen=True, slots=True)
class _Run:
    """What the columns of one table have in common."""

    schema: pa.Schema
    indexes: frozenset[int]
    """Columns that are the indexes of others and are made with them."""
    keyring: Keyring
    detectors: Sequence[Detector]
    hashed: Callable[[int], None] | None
    period: str

    def outputs(self, planned: PlannedField) -> list[_Output]:
        """The columns that one column becomes: none, one, or one and its index."""
        index, tag = planned.index, planned.tag
        column = self.schema.field(index)
        if planned.action == "keep" or tag is None:
            if index in self.indexes:
                return []
            kept = column if tag is None else write_tag(column, tag)
            for path, inside in planned.nested:
                kept = write_tag_at(kept, path, inside)
            return [_Output(kept, lambda batch: batch.column(index))]
        if planned.action == "drop":
            return []
        if planned.action in KEYED:
            return self._keyed(planned, tag, column)
        one_way: dict[str, Callable[[pa.Array], pa.Array]] = {
            "redact": _redacted,
            "mask": lambda values: mask_column(values, planned.kind),
            "password": lambda values: _hashed(values, planned.shown, self.hashed),
        }
        return [_Output(_text(column, tag), lambda batch: one_way[planned.action](batch.column(index)))]

    def _keyed(self, planned: PlannedField, tag: Tag, column: pa.Field) -> list[_Output]:
        index, name, mode, cohorts = planned.index, logical_name(planned), key_mode(planned), planned.cohorts

        @cache  # a look for a key reads the key directory, and each batch has rows of many periods
        def key_of(period: str) -> ColumnKey:
            return self.keyring.encryption_key(name, tag.retention or "", tag.purposes, mode, period=period)

        key = key_of("" if cohorts else self.period)  # with cohorts, that of rows without a day

        def made(make: Callable[[pa.RecordBatch, ColumnKey], pa.Array]) -> Callable[[pa.RecordBatch], pa.Array]:
            if cohorts is None:
                return lambda batch: make(batch, key)
            return lambda batch: cohorts.by_cohort(batch, lambda part, period: make(part, key_of(period)))

        ours = replace(tag, key_id=key.key_id.hex(), type=None)
        if planned.action == "hmac":
            return [_Output(_text(column, ours), made(lambda batch, key: hmac_column(batch.column(index), key)))]
        if planned.action == "encrypt-spans":
            made_here = bool(tag.key_id)  # as its tag says

            def own(key_id: bytes) -> ColumnKey:
                return self.keyring.decryption_key(key_id, tag.purposes[0])

            return [
                _Output(
                    _text(column, ours, text := _text_type(column.type)),
                    made(
                        lambda batch, key: encrypt_spans(
                            batch.column(index), key, self.detectors, own if made_here else None
                        ).cast(text)
                    ),
                )
            ]
        kind = tag.type if planned.holds_tokens and tag.type else str(column.type)
        parse_type(kind)  # what could not be revealed is not encrypted
        ours = replace(ours, type=None if kind == "string" else kind)
        outputs = [
            _Output(
                _text(column, ours),
                made(
                    lambda batch, key: encrypt_plain(
                        batch.column(index), key, self.keyring, _row_keys(batch, planned, name)
                    )
                ),
            )
        ]
        if tag.index:
            stated, indexed = self._index(planned, ours, int(tag.index))
            outputs.append(_Output(stated, made(indexed)))
        return outputs

    def _index(
        self, planned: PlannedField, tag: Tag, bits: int
    ) -> tuple[pa.Field, Callable[[pa.RecordBatch, ColumnKey], pa.Array]]:
        """The column of the blind index of an encrypted one; where it is there already, it is completed."""
        name = self.schema.field(planned.index).name + INDEX_SUFFIX
        normaliser, known = normaliser_of(tag.kind), self.schema.get_field_index(name)
        stated = Tag(
            field=tag.field, purposes=tag.purposes, retention=tag.retention, protection="index", key_id=tag.key_id
        )

        def made(batch: pa.RecordBatch, key: ColumnKey) -> pa.Array:
            values = batch.column(planned.index)
            own = _own_tokens(values, key, self.keyring)
            if own is None:
                return index_column(values, key, normaliser, bits)
            if known < 0:
                raise UsageError(f"{key.field}: holds tokens without an index; reveal them first, then protect again")
            new = index_column(pc.if_else(own, pa.scalar(None, values.type), values), key, normaliser, bits)
            return pc.coalesce(new, batch.column(known).cast(pa.string()))

        return write_tag(pa.field(name, pa.string()), stated), made


def _described(fields: Sequence[pa.Field], before: pa.Schema) -> pa.Schema:
    """The schema of `fields` with the metadata of `before`, in which pandas describes columns by types that they may
    not have any more: it would refuse to read them."""
    metadata: dict[bytes, bytes] = dict(before.metadata or {})
    try:
        pandas = json.loads(metadata[b"pandas"])
        types = dict(zip(before.names, before.types, strict=True))
        kept = {field.name for field in fields if field.type == types.get(field.name)}
        for entry in pandas["columns"]:
            if entry["field_name"] not in kept:
                entry |= {"pandas_type": "unicode", "numpy_type": "object", "metadata": None}
    except (KeyError, TypeError, ValueError):  # none, or none that pandas would take
        return pa.schema(fields, before.metadata)
    return pa.schema(fields, metadata | {b"pandas": json.dumps(pandas).encode()})


def _text(column: pa.Field, tag: Tag, kind: pa.DataType | None = None) -> pa.Field:
    """The field of a column that has become text."""
    return write_tag(column.with_type(kind or pa.string()), tag)


def _text_type(kind: pa.DataType) -> pa.DataType:
    return pa.large_string() if pa.types.is_large_string(kind) else pa.string()


def _redacted(values: pa.Array) -> pa.Array:
    blank = pa.array([BLANK], pa.string()).take(pa.array(np.zeros(len(values), np.int64)))
    return pc.if_else(values.is_valid(), blank, pa.scalar(None, pa.string()))


def _hashed(values: pa.Array, field: str, done: Callable[[int], None] | None) -> pa.Array:
    """Argon2id of every password; what has the form of a hash stays, since nobody knows what it is of.

    The empty text is no password and stays too.
    """
    text = values.cast(pa.string())
    kept = pc.or_(pa.array(hashes(text)), pc.equal(text, "").fill_null(False))
    made = hash_column(pc.if_else(kept, pa.scalar(None, pa.string()), text), field, done=done)
    return pc.if_else(kept, text, made)


def _row_keys(batch: pa.RecordBatch, planned: PlannedField, name: str) -> pa.LargeBinaryArray | None:
    """What the tokens of a column are bound to; None where they are bound to no rows."""
    if not planned.row_key:
        return None
    columns = [batch.column(place) for place in planned.row_key]
    missing = int((unnamed(columns, name) & valid(batch.column(planned.index))).sum())
    if missing:
        named = ", ".join(planned.tag.bind_row) if planned.tag else ""
        raise UsageError(
            f"{name}: {missing} row(s) of a batch have no value in {named}, so nothing names the row that their token "
            "is bound to; fill it, or leave bind_row out"
        )
    return row_keys(columns, name)


def encrypt_plain(
    values: pa.Array, key: ColumnKey, keyring: Keyring, rows: pa.LargeBinaryArray | None = None
) -> pa.Array:
    """Tokens of this very key stay; values that only look like tokens are encrypted like any other.

    `rows`: the keys of the rows that tokens are bound to. Raises UsageError where tokens that are there are bound to
    rows and these shall not be, or the other way round.
    """
    own = _own_tokens(values, key, keyring)
    if own is None:
        return encrypt_column(values, key, rows)
    text = values.cast(pa.large_string())
    other = pc.starts_with(text, token_prefix(key.key_id, key.mode, bound=rows is None))
    if pc.any(pc.and_(own, other)).as_py():
        there, wanted = ("not bound", "are to be") if rows is not None else ("bound", "are not to be")
        raise UsageError(
            f"{key.field}: holds tokens that are {there} to their rows, and {wanted} by bind_row of the rule; reveal "
            "them first, then protect the values again"
        )
    plain = pc.if_else(own, pa.scalar(None, text.type), text)
    return pc.if_else(own, text, encrypt_column(plain, key, rows).cast(text.type)).cast(pa.string())


def _own_tokens(values: pa.Array, key: ColumnKey, keyring: Keyring) -> pa.BooleanArray | None:
    """Which values are tokens of `key` that verify; None where no value has the form of a token.

    Raises UsageError for true tokens of another field or key: encrypted once more, they would need two keys to open,
    and left as they are, their tag would name purposes that they do not open for. And for what has the form of tokens
    of a destroyed key, of which nobody knows any more whether they are: encrypted, they would come back as values.
    """
    if not find_tokens(values).true_count:
        return None
    text = values.cast(pa.large_string())
    own = pa.array(np.zeros(len(text), np.bool_))
    for key_id, count in key_ids(text).items():
        record = _record(keyring, key_id)
        if record is None:
            continue
        if record.state == "destroyed":
            raise UsageError(
                f"{key.field}: {count:,} values of a batch are tokens of the key {key_id.hex()} of {record.field}, "
                f"which was destroyed on {record.ended}: nothing opens them; set them to null, or take out their rows"
            )
        proven = verify_column(text, _only(keyring, key_id), record.field).fill_null(False)
        if not proven.true_count:
            continue
        if key_id != key.key_id:
            if record.state == "retired" and record.field == key.field:
                mend = "move them to the newest key by `pii-guard reencrypt`"
            else:
                mend = "reveal them first, then protect the values again"
            raise UsageError(f"{key.field}: holds tokens of {record.field} for {', '.join(record.purposes)}; {mend}")
        own = proven
    return own


def _record(keyring: Keyring, key_id: bytes) -> KeyRecord | None:
    """The record of a key, destroyed or not; None for nobody's key: a value that only looks like a token, or a
    stranger's."""
    try:
        return keyring.record(key_id)
    except KeyringError:
        return keyring.destroyed(key_id)


def _only(keyring: Keyring, wanted: bytes) -> Callable[[bytes], MarkerKey]:
    def marker_key(key_id: bytes) -> MarkerKey:
        if key_id != wanted:
            raise KeyringError("another key")
        return keyring.marker_key(key_id)

    return marker_key
