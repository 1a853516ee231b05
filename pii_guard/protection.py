"""A plan for a table, the plan carried out over its batches, and the way back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard

import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.crypto.key import ColumnKey
from pii_guard.crypto.token import decrypt_column, encrypt_column, find_tokens, key_ids, verify_column
from pii_guard.errors import KeyringError, UnprotectedDataError, UsageError
from pii_guard.keys.keyring import Keyring
from pii_guard.model import Confidence, FieldReport, Protection, ScanReport, Tag
from pii_guard.naming import safe_name
from pii_guard.scanner import unique_names
from pii_guard.tags import logical_field, read_tag, write_tag

__all__ = ["PlannedField", "encrypted_columns", "parse_type", "plan", "protect_batches", "reveal_batches"]


@dataclass(frozen=True, slots=True)
class PlannedField:
    """What happens to one column: `encrypt` it, or `keep` it as it is, and why."""

    index: int
    shown: str
    """Its name as in the report, safe to show."""
    tag: Tag | None
    action: str
    why: str


def plan(schema: pa.Schema, report: ScanReport, tags: Mapping[str, Tag]) -> tuple[PlannedField, ...]:
    """One entry a column of `schema`, from what a scan found and what the tags (`pii_guard.policy.assign`) say.

    Raises UnprotectedDataError, naming every field and what to add to the policy, where personal data has no rule that
    says how to protect it; UsageError where a field inside a list or an object would have to be encrypted.
    """
    planned, nested = [], []
    columns = [safe_name(name, place)[0] for place, name in enumerate(unique_names(schema), 1)]
    for index in range(len(schema)):
        own = [field for field in report.fields if field.segments[0] == columns[index]]
        top = next((field for field in own if len(field.segments) == 1), None)
        tag = tags.get(logical_field(top.field)) if top else None
        nested += [field for field in own if field is not top and _encrypted(tags.get(logical_field(field.field)))]
        if _encrypted(tag):
            planned.append(PlannedField(index, columns[index], tag, "encrypt", _why(top, tag)))
        else:
            why = f"left in the clear: {tag.reason}" if tag and tag.reason else "no personal data found, no rule"
            planned.append(PlannedField(index, columns[index], tag, "keep", why))
    open_ = [field for field in report.fields if not _settled(field, tags.get(logical_field(field.field)))]
    if open_:
        raise UnprotectedDataError(_advice(open_))
    if nested:
        names = ", ".join(sorted({logical_field(field.field) for field in nested}))
        raise UsageError(
            f"fields inside lists or objects cannot be encrypted in place: {names}; flatten the table first"
        )
    return tuple(planned)


def _settled(field: FieldReport, tag: Tag | None) -> bool:
    """Whether something says how this field is protected, or nothing has to."""
    found = [
        finding
        for finding in field.findings
        if finding.personal and finding.confidence >= Confidence.LIKELY and finding.protection is not Protection.TOKEN
    ]
    if tag is not None and (tag.reason or (tag.protection == "encrypt" and tag.purposes and tag.retention)):
        return True
    return not found and not _encrypted(tag)


def _encrypted(tag: Tag | None) -> TypeGuard[Tag]:
    return tag is not None and tag.protection == "encrypt"


def _why(field: FieldReport | None, tag: Tag) -> str:
    found = f"{field.findings[0].kind} ({field.findings[0].confidence})" if field and field.findings else "by its rule"
    return f"{found}; for {', '.join(tag.purposes)}; kept as {tag.retention}"


def _advice(fields: Sequence[FieldReport]) -> str:
    lines = []
    for field in fields:
        kinds = ", ".join(f"{finding.kind} ({finding.confidence})" for finding in field.findings) or "named by a rule"
        lines.append(f"{logical_field(field.field)}: {kinds}, but no rule gives it a purpose and a retention class")
    lines.append(
        "add [[fields]] rules with match, purposes and retention to pii-guard.toml "
        '(or protection = "none" and a reason)'
    )
    return "\n".join(lines)


def protect_batches(
    reader: pa.RecordBatchReader, planned: Sequence[PlannedField], keyring: Keyring
) -> pa.RecordBatchReader:
    """The same rows with the planned columns encrypted and every planned column tagged; one batch at a time.

    Values that are tokens of the same field already, and verify, stay as they are. Keys are on disk before the first
    batch is read.
    """
    keys: dict[int, ColumnKey] = {}
    fields = list(reader.schema)
    for field in planned:
        if field.action != "encrypt" or field.tag is None:
            if field.tag is not None:
                fields[field.index] = write_tag(fields[field.index], field.tag)
            continue
        tag = field.tag
        key = keyring.encryption_key(tag.field or field.shown, tag.retention or "", tag.purposes)
        keys[field.index] = key
        column = fields[field.index]
        kind = tag.type or str(column.type)
        tag = replace(tag, key_id=key.key_id.hex(), type=None if kind == "string" else kind)
        fields[field.index] = write_tag(column.with_type(pa.string()), tag)
    schema = pa.schema(fields, reader.schema.metadata)

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in reader:
            columns = list(batch.columns)
            for index, key in keys.items():
                columns[index] = _encrypt(columns[index], key, keyring)
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _encrypt(values: pa.Array, key: ColumnKey, keyring: Keyring) -> pa.Array:
    if not find_tokens(values).true_count:
        return encrypt_column(values, key)
    proven = verify_column(values, keyring.marker_key, key.field).fill_null(False)
    plain = pc.if_else(proven, pa.scalar(None, values.type), values)
    return pc.if_else(proven, values.cast(pa.string()), encrypt_column(plain, key))


def encrypted_columns(batch: pa.RecordBatch) -> dict[int, tuple[bytes, ...]]:
    """Column -> the key ids of its tokens, for the columns that are tagged as encrypted or hold tokens."""
    found = {}
    for index, column in enumerate(batch.columns):
        ids = tuple(sorted(key_ids(column)))
        tag = read_tag(batch.schema.field(index))
        if ids or (tag is not None and tag.protection == "encrypt"):
            found[index] = ids
    return found


def reveal_batches(
    batches: Iterator[pa.RecordBatch],
    schema: pa.Schema,
    columns: Mapping[int, str],
    key_for: Callable[[bytes], ColumnKey],
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The same rows with `columns` (index -> logical field) decrypted to the types in their tags.

    Raises TokenError, naming every row that does not open, before the batch that holds it is released.
    """
    fields = list(schema)
    kinds: dict[int, pa.DataType] = {}
    for index in columns:
        tag = read_tag(schema.field(index))
        kinds[index] = parse_type(tag.type) if tag and tag.type else pa.string()
        plain = replace(tag, key_id=None, type=None) if tag else None
        bare = fields[index].with_type(kinds[index]).remove_metadata()
        fields[index] = write_tag(bare, plain) if plain else bare
    revealed = pa.schema(fields, schema.metadata)

    def opened() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            arrays = list(batch.columns)
            for index, name in columns.items():
                arrays[index] = decrypt_column(arrays[index], key_for, kinds[index], name)
            yield pa.RecordBatch.from_arrays(arrays, schema=revealed)

    return revealed, opened()


def parse_type(text: str) -> pa.DataType:
    """The Arrow type whose `str` is `text`; a dictionary gives the type of its values. Raises KeyringError."""
    for pattern, make in TYPES:
        match = re.fullmatch(pattern, text)
        if match:
            return make(*match.groups())
    try:
        return pa.type_for_alias({"date32[day]": "date32", "date64[ms]": "date64"}.get(text, text))
    except ValueError:
        raise KeyringError("a tag names a type that Arrow does not have; correct the tag") from None


TYPES: tuple[tuple[str, Callable[..., pa.DataType]], ...] = (
    (r"timestamp\[(\w+)(?:, tz=(.+))?\]", pa.timestamp),
    (r"decimal128\((\d+), (-?\d+)\)", lambda digits, scale: pa.decimal128(int(digits), int(scale))),
    (r"decimal256\((\d+), (-?\d+)\)", lambda digits, scale: pa.decimal256(int(digits), int(scale))),
    (r"fixed_size_binary\[(\d+)\]", lambda width: pa.binary(int(width))),
    (r"dictionary<values=(.+), indices=.+>", parse_type),
)
