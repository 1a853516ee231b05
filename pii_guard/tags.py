"""Tags as members of one mapping, and in the metadata of Arrow fields (docs/FORMAT.md, tag).

Every carrier has the members of that mapping (`to_mapping`, `from_mapping`), so a tag reads the same wherever it is
found. A tag that cannot be understood is an error, never an absent tag: a field whose tag is damaged must not look
untagged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from pii_guard.errors import KeyringError, PolicyError, did_you_mean
from pii_guard.model import FieldPath, Tag

__all__ = [
    "METADATA_KEY",
    "PROTECTIONS",
    "VERSION",
    "from_mapping",
    "logical_field",
    "parse_type",
    "read_tag",
    "to_json",
    "to_mapping",
    "version_problem",
    "without_tag",
    "without_tag_at",
    "write_tag",
    "write_tag_at",
]

METADATA_KEY = b"pii_guard"
EXTENSION = "pii_guard.token"
"""The Arrow extension type of tokens: text that says what it is also where field metadata is dropped, as by Polars."""
EXTENSION_NAME, EXTENSION_CONTENT = b"ARROW:extension:name", b"ARROW:extension:metadata"
"""How an extension type is written (Arrow columnar format, Extension Types). Nothing is registered with pyarrow, so
there the column stays a string that every function takes."""
VERSION = 1
"""Version of the tag's form, on all carriers."""
BITS = ("auto", *map(str, range(1, 33)))
"""What a tag may say of a blind index."""

PROTECTIONS = ("encrypt", "encrypt-spans", "hmac", "password", "mask", "redact", "drop", "index", "none")
"""What a tag may state; docs/FORMAT.md says what each means. A rule of a policy may ask for all but `index`."""
_MEMBERS = (
    *("field", "kind", "purposes", "retention", "basis", "protection", "mode", "index", "bind_row"),
    *("reason", "type", "key_id"),
)
_LISTS = {"purposes": "purpose names", "bind_row": "names of columns"}
"""Members that are lists of text, and of what."""


def logical_field(field: FieldPath) -> str:
    """`TABLE.PATH`, the name that policies, tags and keys know a field by, wherever its table is stored.

    >>> logical_field(FieldPath("shop/customers.csv", "customers", "phone"))
    'customers.phone'
    """
    return f"{field.table}.{field.path}"


# --- the one mapping -------------------------------------------------------------------------------------------------


def to_mapping(tag: Tag) -> dict[str, str | list[str]]:
    """The members of `tag` that are set. `protection` always is: its absence would be a guess."""
    values = {name: getattr(tag, name) for name in _MEMBERS}
    return {name: list(value) if name in _LISTS else value for name, value in values.items() if value}


def to_json(tag: Tag) -> str:
    """The tag as one JSON object in ASCII with sorted keys, without spaces, and its version."""
    return json.dumps({"version": VERSION, **to_mapping(tag)}, sort_keys=True, separators=(",", ":"))


def from_mapping(members: Mapping[str, object]) -> tuple[Tag, list[tuple[str, str]]]:
    """The inverse of `to_mapping`, with what was right, and all mistakes as (member, what is wrong with it)."""
    values: dict[str, Any] = {}
    mistakes: list[tuple[str, str]] = []
    for name, value in members.items():
        if name not in _MEMBERS:
            mistakes.append((name, f"unknown key{did_you_mean(name, _MEMBERS)}"))
        elif name in _LISTS:
            if isinstance(value, list) and all(isinstance(item, str) and item for item in value):
                values[name] = tuple(value)
            else:
                mistakes.append((name, f"must be a list of {_LISTS[name]}"))
        elif not isinstance(value, str) or not value:
            mistakes.append((name, "must be text"))
        elif name == "protection" and value not in PROTECTIONS:
            mistakes.append((name, f"must be one of {', '.join(PROTECTIONS)}{did_you_mean(value, PROTECTIONS)}"))
        elif name == "mode" and value != "deterministic":
            mistakes.append((name, 'must be "deterministic", or be left out'))
        elif name == "index" and value not in BITS:
            mistakes.append((name, 'must be a number of bits in quotes, "1" to "32", or "auto"'))
        else:
            values[name] = value
    return Tag(**values), mistakes


def parse_type(text: str) -> pa.DataType:
    """The Arrow type whose `str` is `text`; a dictionary gives the type of its values. Raises KeyringError."""
    for pattern, make in _TYPES:
        match = re.fullmatch(pattern, text)
        if match:
            return make(*match.groups())
    try:
        return pa.type_for_alias({"date32[day]": "date32", "date64[ms]": "date64"}.get(text, text))
    except ValueError:
        raise KeyringError("a tag names a type that Arrow does not have; correct the tag") from None


_TYPES: tuple[tuple[str, Callable[..., pa.DataType]], ...] = (
    (r"timestamp\[(\w+)(?:, tz=(.+))?\]", pa.timestamp),
    (r"decimal128\((\d+), (-?\d+)\)", lambda digits, scale: pa.decimal128(int(digits), int(scale))),
    (r"decimal32\((\d+), (-?\d+)\)", lambda digits, scale: pa.decimal32(int(digits), int(scale))),
    (r"decimal64\((\d+), (-?\d+)\)", lambda digits, scale: pa.decimal64(int(digits), int(scale))),
    (r"decimal256\((\d+), (-?\d+)\)", lambda digits, scale: pa.decimal256(int(digits), int(scale))),
    (r"fixed_size_binary\[(\d+)\]", lambda width: pa.binary(int(width))),
    (r"dictionary<values=(.+), indices=.+>", parse_type),
)


# --- Arrow field metadata --------------------------------------------------------------------------------------------


def write_tag(field: pa.Field[Any], tag: Tag) -> pa.Field[Any]:
    """`field` with `tag` in its metadata; its name, type, nullability and other metadata are as before.

    A field of text that the tag says is encrypted under a key is of the extension type `pii_guard.token` too.
    """
    text = to_json(tag).encode()
    metadata: dict[Any, Any] = {**(without_tag(field).metadata or {}), METADATA_KEY: text}
    if tag.protection == "encrypt" and tag.key_id and str(field.type) in ("string", "large_string"):
        metadata |= {EXTENSION_NAME: EXTENSION.encode(), EXTENSION_CONTENT: text}
    return field.with_metadata(metadata)


def write_tag_at(field: pa.Field[Any], path: Sequence[str], tag: Tag) -> pa.Field[Any]:
    """`field` with `tag` on the field at `path` inside of it: names of objects' fields, `[]` for elements of a list,
    `{keys}` and `{}` for keys and values of a map.

    As it is where there is no such field: the values under one key of a map have none.
    """
    return _changed_at(field, path, lambda inside: write_tag(inside, tag))


def without_tag_at(field: pa.Field[Any], path: Sequence[str]) -> pa.Field[Any]:
    """`field` without the tag of the field at `path` inside of it, as for `write_tag_at`."""
    return _changed_at(field, path, without_tag)


_LIST_TYPES: tuple[tuple[Callable[[Any], bool], Callable[[Any, Any], Any]], ...] = (
    (pa.types.is_large_list, lambda element, kind: pa.large_list(element)),
    (pa.types.is_list, lambda element, kind: pa.list_(element)),
    (pa.types.is_fixed_size_list, lambda element, kind: pa.list_(element, kind.list_size)),
)


def _changed_at(
    field: pa.Field[Any], path: Sequence[str], change: Callable[[pa.Field[Any]], pa.Field[Any]]
) -> pa.Field[Any]:
    if not path:
        return change(field)
    kind: Any = field.type
    make = next((make for is_one, make in _LIST_TYPES if is_one(kind)), None)
    if path[0] == "[]" and make is not None:
        return field.with_type(make(_changed_at(kind.value_field, path[1:], change), kind))
    if pa.types.is_map(kind) and path[0] in ("{keys}", "{}"):
        key, item = kind.key_field, kind.item_field
        if path[0] == "{keys}":
            key = _changed_at(key, path[1:], change)
        else:
            item = _changed_at(item, path[1:], change)
        return field.with_type(pa.map_(key, item, kind.keys_sorted))
    if pa.types.is_struct(kind) and kind.get_field_index(path[0]) >= 0:
        children = [_changed_at(child, path[1:], change) if child.name == path[0] else child for child in kind]
        return field.with_type(pa.struct(children))
    return field


def without_tag(field: pa.Field[Any]) -> pa.Field[Any]:
    """`field` without its tag; other metadata stays."""
    metadata: dict[Any, Any] = dict(field.metadata or {})
    metadata.pop(METADATA_KEY, None)
    if metadata.get(EXTENSION_NAME) == EXTENSION.encode():
        del metadata[EXTENSION_NAME]
        metadata.pop(EXTENSION_CONTENT, None)
    return field.with_metadata(metadata or None)


def read_tag(field: pa.Field[Any]) -> Tag | None:
    """The tag in the metadata of `field`, or else in its extension type; None where there is none.

    Raises PolicyError where there is one that cannot be understood, or where the two differ.
    """
    metadata: Mapping[Any, Any] = field.metadata or {}
    raw = metadata.get(METADATA_KEY)
    if metadata.get(EXTENSION_NAME) == EXTENSION.encode():
        carried = metadata.get(EXTENSION_CONTENT)
        if raw is not None and raw != carried:
            source = f"tag of field {json.dumps(field.name, ensure_ascii=False)}"
            raise PolicyError(source, ["its metadata and its extension type differ: one of them was edited"])
        raw = carried
    if raw is None:
        return None
    try:
        members = json.loads(raw.decode())
    except (ValueError, RecursionError):  # RecursionError: nested without end
        members = None
    source = f"tag of field {json.dumps(field.name, ensure_ascii=False)}"
    if not isinstance(members, dict):
        raise PolicyError(source, ["the Arrow metadata `pii_guard` is damaged (not one JSON object); tag it again"])
    problem = version_problem(members.pop("version", None))
    if problem:
        raise PolicyError(source, [problem])
    tag, mistakes = from_mapping(members)
    if mistakes:
        # The keys come from a data file and might be anything: only those that are ours are repeated.
        raise PolicyError(source, [f"{name}: {text}" if name in _MEMBERS else text for name, text in mistakes])
    return tag


def version_problem(version: object) -> str | None:
    """What is wrong with the version that a carrier states, if anything is."""
    if type(version) is not int or version < 1:
        return f"version: must be {VERSION}"
    if version > VERSION:
        return f"version: {version} is newer than this pii-guard reads ({VERSION}); install a newer pii-guard"
    return None
