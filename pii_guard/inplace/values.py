"""The values of a page, encrypted or decrypted; each is held against what it was made of before it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.crypto.decryption import decrypt_column
from pii_guard.crypto.key import ColumnKey
from pii_guard.crypto.token import encrypt_column
from pii_guard.errors import KeyringError, WriteError
from pii_guard.keys.keyring import Keyring
from pii_guard.protection import encrypt_plain

__all__ = ["Change", "Keys", "altered", "decrypting", "encrypting", "start_of", "unopened"]

Keys = Mapping[str, ColumnKey]
"""Column -> the key that its tokens are made with."""

Change = Callable[[pa.Table], pa.Table]
"""What is done to the columns of a page, beside its column `n`."""


def start_of(key: ColumnKey) -> str:
    """The 12 characters that all tokens of a key begin with."""
    return str(encrypt_column(pa.array([""]), key)[0].as_py()[:12])


def _opened(values: pa.Array, key: ColumnKey) -> pa.Array:
    """The values of the tokens of this very key; null for whatever else stands there."""

    def key_for(key_id: bytes) -> ColumnKey:
        if key_id != key.key_id:
            raise KeyringError("another key")
        return key

    return decrypt_column(values, key_for, pa.string(), key.field, on_error="null")


def encrypting(keys: Keys, keyring: Keyring) -> Change:
    """Plain values become tokens; tokens of the column's own key stay. Raises UsageError for tokens of another key."""

    def change(page: pa.Table) -> pa.Table:
        for name, key in keys.items():
            values = page[name].combine_chunks()
            tokens = encrypt_plain(values, key, keyring)
            new = pc.fill_null(pc.not_equal(tokens, values), False)
            if not _opened(tokens.filter(new), key).equals(values.filter(new)):
                raise WriteError(f"{key.field}: a token does not open to the value it was made of; nothing was written")
            page = page.set_column(page.schema.get_field_index(name), name, tokens)
        return page

    return change


def decrypting(keys: Keys) -> Change:
    """Tokens of the column's own key become the values they were made of; all else stays."""

    def change(page: pa.Table) -> pa.Table:
        for name, key in keys.items():
            values = page[name].combine_chunks()
            page = page.set_column(page.schema.get_field_index(name), name, pc.coalesce(_opened(values, key), values))
        return page

    return change


def altered(before: pa.Table, after: pa.Table) -> pa.Table:
    """The rows of `after` that are not as they were."""
    different = pa.chunked_array([pa.repeat(False, len(before))])
    for name in before.column_names:
        different = pc.or_(different, pc.fill_null(pc.not_equal(before[name], after[name]), False))
    return after.filter(different)


def unopened(values: pa.Array, key: ColumnKey) -> int:
    """How many values are not tokens that open with `key`."""
    return int(_opened(values, key).null_count - values.null_count)
