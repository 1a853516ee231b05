"""Columns of tokens back to values (docs/FORMAT.md, Token): nothing is given out that does not verify."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
from cryptography.hazmat.primitives.constant_time import bytes_eq
from numpy.typing import NDArray

from pii_guard.crypto import layout, siv, token
from pii_guard.crypto.buffers import Mask, from_buffers, place, valid
from pii_guard.crypto.key import ColumnKey
from pii_guard.crypto.layout import HEADER_SIZE, MARKER_SIZE, Suite
from pii_guard.crypto.rows import at, by_chunk, each
from pii_guard.crypto.token import Column, TokenGroup, groups, texts_of
from pii_guard.crypto.values import decode, decode_list, listed
from pii_guard.errors import KeyringError, PurposeRefusedError, TokenError, UsageError

__all__ = ["OnError", "decrypt_column", "open_tokens"]

NO_TOKEN = "not tokens of a version that is known here"  # noqa: S105 - words of an error
CHANGED = "changed since they were made, or moved here from elsewhere"
NO_ROW = "bound to their rows, and nothing says which columns are the key of a row"
UNBOUND = "not bound to their rows, as tokens of this column are"
OnError: TypeAlias = Literal["raise", "null"]
_Failed: TypeAlias = list[tuple[str, NDArray[np.int64]]]
"""The failed rows by reason."""


def decrypt_column(
    tokens: Column,
    key_for: Callable[[bytes], ColumnKey],
    type: pa.DataType,
    field: str,
    on_error: OnError = "raise",
    row_keys: pa.LargeBinaryArray | None = None,
) -> Column:
    """The values of a column of tokens, as `type`; null stays null.

    `field` is the logical field that the column is expected to hold: a token of another field is refused. `key_for`
    gives the key of a key id; it raises KeyringError for a key it does not have, which fails the rows of that key, and
    PurposeRefusedError, which ends the call whatever `on_error` says. `row_keys`: one for each row, of a column whose
    tokens are bound to their rows; with them no other tokens open, and without them no such tokens do.

    Raises TokenError with every row that is not a token, has no key, does not verify or is not of `type`; rows are
    counted over all chunks. With `on_error="null"` those rows are null instead. UsageError for a type that no value can
    be decrypted to.
    """
    if on_error not in ("raise", "null"):
        raise UsageError(f'on_error is "raise" or "null", not {on_error!r}')
    chunks = tokens.chunks if isinstance(tokens, pa.ChunkedArray) else [tokens]
    opened, failures, first = [], defaultdict[str, list[int]](list), 0
    for chunk, own in zip(chunks, by_chunk(row_keys, chunks), strict=True):
        values, failed = _decrypt(chunk, key_for, type, field, own)
        opened.append(values)
        for reason, rows in failed:
            failures[reason].extend((rows + first).tolist())
        first += len(chunk)
    if failures and on_error == "raise":
        reasons = [f"{len(rows)} {reason}" for reason, rows in failures.items()]
        shown = "; ".join(reasons[:3] + ["..."] * (len(reasons) > 3))
        raise TokenError(field, sorted(row for rows in failures.values() for row in rows), f"not decrypted: {shown}")
    return pa.chunked_array(opened, type) if isinstance(tokens, pa.ChunkedArray) else opened[0]


def open_tokens(texts: pa.LargeBinaryArray, key_for: Callable[[bytes], ColumnKey], field: str) -> tuple[pa.Array, Mask]:
    """The values (large_binary, null where there is none) of those texts that are tokens of `field` and verify, and
    which these are. Raises PurposeRefusedError as `decrypt_column`."""
    opened = np.zeros(len(texts), np.bool_)
    pieces, places = [from_buffers(np.zeros(1, np.int64), b"")], [np.zeros(0, np.int64)]
    for group in groups(texts):
        values, right, _ = _open(group, key_for, field)
        pieces.append(values)
        places.append(group.rows[right])
        opened[group.rows[right]] = True
    return place(pa.concat_arrays(pieces), np.concatenate(places), len(texts)), opened


def _decrypt(
    tokens: pa.Array,
    key_for: Callable[[bytes], ColumnKey],
    kind: pa.DataType,
    field: str,
    row_keys: pa.LargeBinaryArray | None,
) -> tuple[pa.Array, list[tuple[str, NDArray[np.int64]]]]:
    """The values of one array, null where they failed, and the failed rows by reason."""
    if len(tokens) <= token.FEW:
        texts = listed(tokens)
        texts = texts_of(tokens, field).to_pylist() if texts is None else texts
        values, failed = _open_few(texts, key_for, field, row_keys)
        result, unfit = decode_list(values, kind, field)
    else:
        plain, failed = _open_many(texts_of(tokens, field), key_for, field, row_keys)
        result, unfit = decode(plain, kind, field)
    failed.append((f"that cannot be read as {kind}", unfit))
    return result, [(reason, rows) for reason, rows in failed if len(rows)]


def _open_many(
    texts: pa.LargeBinaryArray,
    key_for: Callable[[bytes], ColumnKey],
    field: str,
    row_keys: pa.LargeBinaryArray | None,
) -> tuple[pa.LargeBinaryArray, _Failed]:
    """The values, null where there are none, and the failed rows."""
    failed: _Failed = []
    other = valid(texts)
    pieces, places = [from_buffers(np.zeros(1, np.int64), b"")], [np.zeros(0, np.int64)]
    for group in groups(texts):
        other[group.rows] = False
        values, right, reason = _open(group, key_for, field, row_keys)
        failed.append((reason, group.rows[~right]))
        pieces.append(values)
        places.append(group.rows[right])
    failed.append((NO_TOKEN, np.flatnonzero(other)))
    return place(pa.concat_arrays(pieces), np.concatenate(places), len(texts)), failed


def _open_few(
    texts: list[bytes | None],
    key_for: Callable[[bytes], ColumnKey],
    field: str,
    row_keys: pa.LargeBinaryArray | None,
) -> tuple[list[bytes | None], _Failed]:
    """What `_open_many` does, one value after the other."""
    values, failed = list(texts), defaultdict[str, list[int]](list)
    openers: dict[bytes, Callable[..., bytes | None] | str] = {}
    for row, (text, own) in enumerate(zip(texts, each(row_keys, len(texts)), strict=True)):
        if text is None:
            continue
        raw = layout.read_one(text)
        if raw is None:
            values[row] = None
            failed[NO_TOKEN].append(row)
            continue
        header = raw[:HEADER_SIZE]
        if header not in openers:
            openers[header] = _opener(header, key_for, field, row_keys is not None)
        opener = openers[header]
        values[row] = None if isinstance(opener, str) else opener(raw, *own)
        if values[row] is None:
            failed[opener if isinstance(opener, str) else CHANGED].append(row)
    return values, [(reason, np.array(rows)) for reason, rows in failed.items()]


def _opener(
    header: bytes, key_for: Callable[[bytes], ColumnKey], field: str, bound: bool
) -> Callable[..., bytes | None] | str:
    """What opens a token of this header, with the key of its row if it is `bound`, or why nothing does."""
    key = _key_for(header, key_for, field, bound)
    if isinstance(key, str):
        return key
    suite, (_, unseal, mac) = Suite(header[3]), key.ciphers(header)

    def opened(raw: bytes, *own: bytes) -> bytes | None:
        sealed = raw[HEADER_SIZE:-MARKER_SIZE]
        padded = unseal(sealed, *own) if bytes_eq(mac(sealed)[:MARKER_SIZE], raw[-MARKER_SIZE:]) else None
        return None if padded is None else layout.unpad_one(padded, suite)

    return opened


def _key_for(header: bytes, key_for: Callable[[bytes], ColumnKey], field: str, bound: bool) -> ColumnKey | str:
    """The key of tokens of this header, or why there is none for `field`."""
    try:
        key = key_for(header[4:8])
    except PurposeRefusedError:
        raise
    except KeyringError as error:
        return f"without a key ({error})"
    if key.field != field:
        return f"of another field ({key.field})"
    suite = Suite(header[3])
    if key.mode is not suite.mode:
        return "of another mode than their key"
    if (suite is Suite.SIV_BOUND) is not bound:
        return UNBOUND if bound else NO_ROW
    return key


def _open(
    group: TokenGroup,
    key_for: Callable[[bytes], ColumnKey],
    field: str,
    row_keys: pa.LargeBinaryArray | None = None,
) -> tuple[pa.LargeBinaryArray, Mask, str]:
    """The values that open, which rows of the group they are, and why the other rows do not."""
    key = _key_for(group.header, key_for, field, row_keys is not None)
    if isinstance(key, str):
        return from_buffers(np.zeros(1, np.int64), b""), np.zeros(len(group.rows), np.bool_), key
    own = at(row_keys, group.rows)
    padded, right = siv.decrypt(key.siv, [key.marker.context, group.header], group.sealed, own)
    right &= group.proven(key.marker)
    values, well_padded = layout.unpad(padded if right.all() else padded[right], group.suite)
    right[right] = well_padded
    return values, right, CHANGED
