"""A plan for a table, and the plan carried out over its batches."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.crypto.key import ColumnKey, MarkerKey
from pii_guard.crypto.token import encrypt_column, find_tokens, key_ids, verify_column
from pii_guard.errors import KeyringError, UnprotectedDataError, UsageError
from pii_guard.keys.keyring import KeyRecord, Keyring
from pii_guard.model import Confidence, FieldReport, Protection, ScanReport, Tag
from pii_guard.naming import safe_name, unique_names
from pii_guard.tags import logical_field, write_tag

__all__ = ["PlannedField", "parse_type", "plan", "protect_batches"]


@dataclass(frozen=True, slots=True)
class PlannedField:
    """What happens to one column: `encrypt` it, or `keep` it as it is, and why."""

    index: int
    shown: str
    """Its name as in the report, safe to show."""
    tag: Tag | None
    action: str
    why: str
    holds_tokens: bool = False


def plan(schema: pa.Schema, report: ScanReport, tags: Mapping[str, Tag]) -> tuple[PlannedField, ...]:
    """One entry a column of `schema`, from what a scan found and what the tags (`pii_guard.policy.assign`) say.

    Raises UnprotectedDataError, naming every field and what to add to the policy, where personal data has no rule that
    says how to protect it; UsageError where a field inside a list or an object would have to be encrypted.
    """
    headings = [field for field in report.fields if any(kind.named for kind in field.tally.kinds.values())]
    if headings:
        raise UnprotectedDataError(
            f"{headings[0].field}: a name of a field is a personal value, as where the first line of a file is data, "
            "no header; names are never encrypted: use --no-header, or give the file one"
        )
    planned, nested = [], []
    columns = [safe_name(name, place)[0] for place, name in enumerate(unique_names(schema), 1)]
    for index in range(len(schema)):
        own = [field for field in report.fields if field.segments[0] == columns[index]]
        top = next((field for field in own if len(field.segments) == 1), None)
        tag = tags.get(logical_field(top.field)) if top else None
        nested += [field for field in own if field is not top and _encrypted(tags.get(logical_field(field.field)))]
        action = "encrypt" if _encrypted(tag) else "keep"
        holds_tokens = top is not None and top.tally.tokens > 0
        planned.append(PlannedField(index, columns[index], tag, action, _why(top, tag), holds_tokens))
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
        if finding.personal
        and finding.confidence >= Confidence.LIKELY
        and finding.protection in (Protection.PLAIN, Protection.MIXED)
    ]
    if tag is not None and (tag.reason or (tag.protection == "encrypt" and tag.purposes and tag.retention)):
        return True
    return not found and not _encrypted(tag)


def _encrypted(tag: Tag | None) -> TypeGuard[Tag]:
    return tag is not None and tag.protection == "encrypt"


def _why(field: FieldReport | None, tag: Tag | None) -> str:
    found = ", ".join(f"{finding.kind} ({finding.confidence})" for finding in field.findings) if field else ""
    if tag is not None and tag.protection == "encrypt":
        already = "encrypted already" if field is not None and field.protection is Protection.TOKEN else found
        return f"{already or 'by its rule'}; for {', '.join(tag.purposes)}; kept as {tag.retention}"
    if tag is not None and tag.reason:
        return f"left in the clear: {tag.reason}"
    return f"{found}, no rule" if found else "no personal data found, no rule"


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
        kind = tag.type if field.holds_tokens and tag.type else str(column.type)
        parse_type(kind)  # what could not be revealed is not encrypted
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
    """Tokens of this very key stay; values that only look like tokens are encrypted like any other.

    Raises UsageError for true tokens of another field or key: encrypted once more, they would need two keys to open,
    and left as they are, their tag would name purposes that they do not open for.
    """
    if not find_tokens(values).true_count:
        return encrypt_column(values, key)
    text = values.cast(pa.large_string())
    mine = pa.array(np.zeros(len(text), np.bool_))
    for key_id in key_ids(text):
        record = _record(keyring, key_id)
        if record is None:
            continue
        proven = verify_column(text, _only(keyring, key_id), record.field).fill_null(False)
        if not proven.true_count:
            continue
        if key_id != key.key_id:
            raise UsageError(
                f"{key.field}: holds tokens of {record.field} for {', '.join(record.purposes)}; "
                "reveal them first, then protect the values again"
            )
        mine = proven
    plain = pc.if_else(mine, pa.scalar(None, text.type), text)
    return pc.if_else(mine, text, encrypt_column(plain, key).cast(text.type)).cast(pa.string())


def _record(keyring: Keyring, key_id: bytes) -> KeyRecord | None:
    try:
        return keyring.record(key_id)
    except KeyringError:  # nobody's key here: a value that only looks like a token, or a stranger's
        return None


def _only(keyring: Keyring, wanted: bytes) -> Callable[[bytes], MarkerKey]:
    def marker_key(key_id: bytes) -> MarkerKey:
        if key_id != wanted:
            raise KeyringError("another key")
        return keyring.marker_key(key_id)

    return marker_key


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
    (r"decimal32\((\d+), (-?\d+)\)", lambda digits, scale: pa.decimal32(int(digits), int(scale))),
    (r"decimal64\((\d+), (-?\d+)\)", lambda digits, scale: pa.decimal64(int(digits), int(scale))),
    (r"decimal256\((\d+), (-?\d+)\)", lambda digits, scale: pa.decimal256(int(digits), int(scale))),
    (r"fixed_size_binary\[(\d+)\]", lambda width: pa.binary(int(width))),
    (r"dictionary<values=(.+), indices=.+>", parse_type),
)
