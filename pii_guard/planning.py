"""What happens to each column of a table: from what a scan found and what tags say to a plan, or a refusal."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.types as pt

from pii_guard.cohorts import Cohorts
from pii_guard.crypto.blind_index import planned_bits
from pii_guard.crypto.password import SECONDS_A_HASH
from pii_guard.crypto.rows import names_rows
from pii_guard.crypto.token import token_length
from pii_guard.engine.protection import HMAC, is_hash
from pii_guard.errors import UnprotectedDataError, UsageError, did_you_mean
from pii_guard.model import Confidence, Kind, Protection, Tag
from pii_guard.naming import safe_name, unique_names
from pii_guard.reports import FieldReport, ScanReport
from pii_guard.tags import logical_field

__all__ = ["INDEX_SUFFIX", "Plan", "PlannedField", "plan"]

FEW = 1 << 16
"""A column of fewer possible values is read off its deterministic tokens by counting them."""
TOP_SHARE = 100
"""One value in no more than one of so many rows may have deterministic tokens."""
INDEX_SUFFIX = "_index"
"""What the name of the column of a blind index ends in."""
WRITTEN_ALIKE = ("string", "large_string", "binary", "large_binary", "fixed_size_binary", "int", "uint", "bool")
LONGEST_OTHER = 40
"""Bytes that other values (times, floats, decimals) are encrypted in at most; a scan writes them in fewer."""
DEFAULT = Kind("", "")
"""What masks values of no known kind."""


@dataclass(frozen=True, slots=True)
class PlannedField:
    """What happens to one column, and why: `action` is one of `pii_guard.tags.PROTECTIONS`, or `keep`."""

    index: int
    shown: str
    """Its name as in the report, safe to show."""
    tag: Tag | None
    action: str
    why: str
    kind: Kind = DEFAULT
    """What its values are, for masks."""
    holds_tokens: bool = False
    to_hash: int = 0
    """Passwords that are hashed, some 41 ms of a core each."""
    nested: tuple[tuple[tuple[str, ...], Tag], ...] = ()
    """Tags of fields inside of it, which stay as they are, with their paths."""
    key: str = ""
    """The id of the key that encrypts it, `new`, or what there are keys of their own for; empty where none does."""
    row_key: tuple[int, ...] = ()
    """The columns whose values name the row that each of its tokens is bound to."""
    cohorts: Cohorts | None = None
    """How its rows are divided among keys, where the retention class says so."""
    width: int | None = None
    """Characters of its longest token, by the longest value that the scan saw; None where no tokens are made."""

    @property
    def indexed(self) -> bool:
        """Whether a column of a blind index comes with it."""
        return self.action == "encrypt" and self.tag is not None and self.tag.index is not None


class Plan(tuple[PlannedField, ...]):
    """One entry a column; as text, one line a column."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(map(_line, self))


def _line(field: PlannedField) -> str:
    width = f", up to {field.width} characters" if field.width else ""
    return f"{field.shown}: {field.action}{f' (key {field.key}{width})' if field.key else ''}: {field.why}"


def plan(
    schema: pa.Schema,
    report: ScanReport,
    tags: Mapping[str, Tag],
    kinds: Mapping[str, Kind],
    forced: Collection[str] = (),
) -> Plan:
    """One entry a column of `schema`, from what a scan found and what the tags (`pii_guard.policy.assign`) say.

    `kinds`: those that the scan looked for. `forced`: logical fields that may have deterministic tokens whatever their
    values are. Raises UnprotectedDataError, naming every field and what to add to the policy, where personal data has
    no rule that says how to protect it; UsageError where a field inside a list or an object would have to be protected,
    where deterministic tokens would give values away, and where a blind index of any size would.
    """
    headings = [field for field in report.fields if any(kind.named for kind in field.tally.kinds.values())]
    if headings:
        raise UnprotectedDataError(
            f"{headings[0].field}: a name of a field is a personal value, as where the first line of a file is data, "
            "no header; names are never encrypted: use --no-header, or give the file one"
        )
    planned, nested, refused, indexes = [], [], [], set()
    columns = [safe_name(name, place)[0] for place, name in enumerate(unique_names(schema), 1)]
    for index in range(len(schema)):
        own = [field for field in report.fields if field.segments[0] == columns[index]]
        top = next((field for field in own if len(field.segments) == 1), None)
        tag = tags.get(logical_field(top.field)) if top else None
        nested += [field for field in own if field is not top and _acts(tags.get(logical_field(field.field)))]
        if top is not None and tag is not None:
            refused += _refusals(top, tag, schema.field(index).type, kinds, logical_field(top.field) in forced)
            if tag.index == "auto":
                tag = replace(tag, index=str(planned_bits(top.tally.examined) or ""))
        inner = [(field.segments[1:], tags.get(logical_field(field.field))) for field in own if field is not top]
        stated = tuple((path, inside) for path, inside in inner if inside is not None)
        planned.append(replace(_planned(index, columns[index], top, tag, kinds), nested=stated))
        indexes |= {schema.field(index).name} if top is not None and top.is_index else set()
    open_ = [field for field in report.fields if not _settled(field, tags.get(logical_field(field.field)))]
    if open_:
        raise UnprotectedDataError(_advice(open_))
    if nested:
        names = ", ".join(sorted({logical_field(field.field) for field in nested}))
        raise UsageError(
            f"fields inside lists or objects cannot be protected in place: {names}; flatten the table first"
        )
    taken = set(schema.names) - indexes
    refused += [
        f"{field.shown}: its blind index would be called {field.shown}{INDEX_SUFFIX}, as another column is; rename that"
        for field in planned
        if field.indexed and schema.field(field.index).name + INDEX_SUFFIX in taken
    ]
    bound = [field for field in planned if field.action == "encrypt" and field.tag and field.tag.bind_row]
    refused += [text for field in bound for text in _unbindable(field, planned, schema)]
    if refused:
        raise UsageError("\n".join(refused))
    places = {field.index: tuple(map(schema.get_field_index, field.tag.bind_row)) for field in bound if field.tag}
    return Plan(replace(field, row_key=places.get(field.index, ())) for field in planned)


def _unbindable(field: PlannedField, planned: Sequence[PlannedField], schema: pa.Schema) -> list[str]:
    """Why its tokens cannot be bound to rows that are named as its tag says, one line a reason."""
    found = []
    for name in field.tag.bind_row if field.tag else ():
        start, count = f"{field.shown}: bind_row names the column {name}", schema.names.count(name)
        place = schema.get_field_index(name)
        if field.tag and field.tag.mode == "deterministic":
            found.append(f"{field.shown}: deterministic tokens cannot be bound to rows; leave mode or bind_row out")
        elif count != 1:
            known = f"has {count} of" if count else f"does not have{did_you_mean(name, schema.names)}"
            found.append(f"{start}, which this table {known}; name columns that are there once")
        elif planned[place].action != "keep":
            found.append(f"{start}, which does not stay as it is ({planned[place].action}); name columns that do")
        elif not names_rows(schema.field(place).type):
            found.append(
                f"{start}, whose values are not written alike in every store; name columns of text, whole numbers, "
                "bytes or days"
            )
    return found


def _planned(
    index: int, shown: str, top: FieldReport | None, tag: Tag | None, kinds: Mapping[str, Kind]
) -> PlannedField:
    if top is None or tag is None or not _acts(tag) or _done(top, tag):
        return PlannedField(index, shown, tag, "keep", _why(top, tag))
    kind = kinds.get(tag.kind or "", DEFAULT)
    to_hash = top.tally.plain if tag.protection == "password" else 0
    width = _width(top) if tag.protection == "encrypt" else None
    tokens = top.tally.tokens > 0
    return PlannedField(index, shown, tag, tag.protection, _why(top, tag), kind, tokens, to_hash, width=width)


def _width(field: FieldReport) -> int:
    longest = field.tally.longest
    if not field.type.startswith(WRITTEN_ALIKE):
        longest = max(longest, LONGEST_OTHER)
    # tokens that are there already keep their width, and their length says nothing of values that join them
    return max(field.tally.longest, token_length(0)) if field.tally.tokens else token_length(longest)


def _acts(tag: Tag | None) -> bool:
    """Whether the tag asks for something to be done to the values."""
    return tag is not None and tag.protection not in ("none", "index")


def _done(field: FieldReport, tag: Tag) -> bool:
    """Whether every value is in the state already that a protection without a way back leaves them in."""
    tally = field.tally
    states = {
        "hmac": tally.protected.get(HMAC, 0),
        "password": sum(count for state, count in tally.protected.items() if is_hash(state)),
        "mask": tally.states.get(Protection.MASKED, 0),
        "redact": tally.states.get(Protection.MASKED, 0),
    }
    return tally.examined > 0 and states.get(tag.protection) == tally.examined


def _refusals(field: FieldReport, tag: Tag, type: pa.DataType, kinds: Mapping[str, Kind], forced: bool) -> list[str]:
    """Why the plan for one field gives its values away, one line a reason."""
    name, tally, found = logical_field(field.field), field.tally, []
    if tag.protection == "encrypt" and tag.mode == "deterministic":
        if not tag.reason:
            found.append(f"{name}: deterministic encryption needs a reason; state it in the rule or the sidecar")
        elif not forced:
            found += [f"{name}: {text}" for text in _told_apart(field, tag, type, kinds)]
    if tag.index == "auto" and planned_bits(tally.examined) is None:
        found.append(
            f"{name}: a blind index of {tally.examined} values tells them apart at any size; leave the index out, or "
            "state its bits for the number of values to come (index = 8)"
        )
    return found


def _told_apart(field: FieldReport, tag: Tag, type: pa.DataType, kinds: Mapping[str, Kind]) -> list[str]:
    named = {tag.kind, *(finding.kind for finding in field.findings if finding.confidence >= Confidence.LIKELY)}
    few = {kind: kinds[kind].domain for kind in sorted(filter(None, named)) if kind in kinds and kinds[kind].domain}
    if pt.is_boolean(type) or pt.is_int8(type) or pt.is_uint8(type):
        few[f"type {type}"] = 2 if pt.is_boolean(type) else 256
    mend = "encrypt it randomized (leave mode out), or add force = true if the values may be told apart"
    reasons = [
        f"{kind} has at most {domain:,} different values, fewer than {FEW:,}: deterministic tokens of them are told "
        f"apart by how often each occurs; {mend}"
        for kind, domain in few.items()
        if domain is not None and domain < FEW
    ]
    frequencies = field.tally.frequencies
    if frequencies is not None and frequencies.top > 1 and frequencies.top * TOP_SHARE > frequencies.values:
        share = 100 * frequencies.top / frequencies.values
        reasons.append(
            f"one value makes up to {share:.1f} % of all, more than {100 // TOP_SHARE} %: its deterministic "
            f"tokens are told from the others by their number; {mend}"
        )
    return reasons


def _settled(field: FieldReport, tag: Tag | None) -> bool:
    """Whether something says how this field is protected, or nothing has to."""
    found = [
        finding
        for finding in field.findings
        if finding.personal
        and finding.confidence >= Confidence.LIKELY
        and finding.protection in (Protection.PLAIN, Protection.MIXED)
    ]
    if tag is not None and (tag.exempt or tag.protection in ("redact", "drop")):
        return True
    if tag is not None and _acts(tag):
        return bool(tag.purposes and tag.retention)
    return not found


def _why(field: FieldReport | None, tag: Tag | None) -> str:
    found = ", ".join(f"{finding.kind} ({finding.confidence})" for finding in field.findings) if field else ""
    if field is None or tag is None or not _acts(tag):
        if tag is not None and tag.exempt:
            return f"left in the clear: {tag.reason}"
        if tag is not None and tag.protection == "index":
            return "a blind index"
        return f"{found}, no rule" if found else "no personal data found, no rule"
    parts = [_state(field, tag) or found or "by its rule"]
    if tag.purposes:
        parts.append(f"for {', '.join(tag.purposes)}")
    if tag.retention:
        parts.append(f"kept as {tag.retention}")
    return "; ".join([*parts, *_remarks(field, tag)])


def _state(field: FieldReport, tag: Tag) -> str:
    if tag.protection == "encrypt" and field.protection is Protection.TOKEN:
        return "encrypted already"
    return "done already" if _done(field, tag) else ""


def _remarks(field: FieldReport, tag: Tag) -> list[str]:
    if tag.protection == "password" and not _done(field, tag):
        seconds = math.ceil(field.tally.plain * SECONDS_A_HASH)
        return [f"one way; {field.tally.plain:,} to hash by Argon2id, some {seconds:,} s of one core"]
    remarks = ["one way"] if tag.protection in ("hmac", "mask", "redact", "drop") else []
    if tag.mode:
        remarks.append(f"deterministic, {tag.reason}: equal values show")
    if tag.bind_row:
        remarks.append(f"each token bound to its row by {', '.join(tag.bind_row)}")
    if tag.index:
        remarks.append(f"blind index of {tag.index} bits")
    return remarks


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
