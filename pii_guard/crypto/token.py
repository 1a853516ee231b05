"""Columns of values to columns of tokens and back (docs/FORMAT.md, Token).

A token is known by its form (`find_tokens`, no key), by its marker (`verify_column`, a key that opens nothing) or by
opening it (`decrypt_column`). A value that only looks like a token is plain text until it verifies.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pii_guard.crypto import layout, siv
from pii_guard.crypto.buffers import Index, Mask, Matrix, assemble, from_buffers, place, valid
from pii_guard.crypto.key import ColumnKey, MarkerKey
from pii_guard.crypto.layout import HEADER_SIZE, MARKER_SIZE, SUITES, Suite
from pii_guard.crypto.siv import TAG_SIZE
from pii_guard.crypto.values import as_binary, decode, encode
from pii_guard.errors import KeyringError, PurposeRefusedError, TokenError, UsageError

__all__ = ["decrypt_column", "encrypt_column", "find_tokens", "key_ids", "token_length", "verify_column"]

Column: TypeAlias = pa.Array | pa.ChunkedArray
OnError: TypeAlias = Literal["raise", "null"]


def token_length(max_bytes: int) -> int:
    """The characters of the token of a value of at most `max_bytes` bytes: the width that its column needs.

    Counts bytes of UTF-8: up to 3 for a Hangul syllable. Raises ValueError for a negative number.

    >>> token_length(11), token_length(255)
    (80, 700)
    """
    if max_bytes < 0:
        raise ValueError("max_bytes must not be negative")
    padded = int(layout.padded_size(np.array([max_bytes]))[0])
    return layout.token_size(padded, Suite.SIV_RANDOMIZED) // 3 * 4


def encrypt_column(values: Column, key: ColumnKey) -> Column:
    """One token per value, as a plain string column in the chunks of `values`; null stays null, empty does not.

    Takes scalar types in any encoding (dictionary, run-end, view, large, extension). Raises UsageError for a nested
    type, for values that are lost in their text form, and for an array whose tokens exceed 2 GiB.
    """
    if isinstance(values, pa.ChunkedArray):
        return pa.chunked_array([encrypt_column(chunk, key) for chunk in values.chunks], pa.string())
    plain = encode(values, key.field)
    suite = SUITES[key.mode]
    header = layout.header(suite, key.key_id)
    parts = []
    for rows, padded in layout.pad(plain, suite):
        tokens = np.empty((len(rows), HEADER_SIZE + TAG_SIZE + padded.shape[1] + MARKER_SIZE), np.uint8)
        tokens[:, :HEADER_SIZE] = np.frombuffer(header, np.uint8)
        sealed = siv.encrypt(key.siv, [key.marker.context, header], padded, tokens[:, HEADER_SIZE:-MARKER_SIZE])
        tokens[:, -MARKER_SIZE:] = _markers(key.marker, header, sealed)
        parts.append((rows, layout.to_text(tokens)))
    tokens = assemble(parts, len(plain))
    validity, offsets, text = tokens.buffers()
    bounds = np.frombuffer(offsets, np.int64)
    if bounds[-1] > np.iinfo(np.int32).max:
        raise UsageError(f"{key.field}: the tokens of one array exceed 2 GiB; pass the column in chunks")
    return pa.Array.from_buffers(pa.string(), len(tokens), [validity, pa.py_buffer(bounds.astype(np.int32)), text])


def _markers(key: MarkerKey, header: bytes, sealed: Matrix) -> Matrix:
    return siv.cmac(key.secret, key.context + header, sealed)[:, :MARKER_SIZE]


def find_tokens(values: pa.Array) -> pa.BooleanArray:
    """Which values have the form of a token: prefix, alphabet, length, check byte. Never null. Proves nothing more.

    Takes any array, invalid UTF-8 included; values of a type other than text or binary are no tokens. A column without
    the prefix costs one prefix comparison per value.
    """
    found = np.zeros(len(values), np.bool_)
    texts = as_binary(values)
    if texts is not None:
        for rows, _, _ in layout.read(texts):
            found[rows] = True
    return pa.array(found)


def key_ids(values: pa.Array) -> dict[bytes, int]:
    """The key ids (4 bytes) in the headers of the values that have the form of a token, and how often each occurs."""
    texts = as_binary(values)
    if texts is None:
        return {}
    counts: Counter[bytes] = Counter()
    for _, _, numbers in layout.read(texts):
        for number, count in zip(*np.unique(numbers, return_counts=True), strict=True):
            counts[layout.header_of(int(number))[4:8]] += int(count)
    return dict(counts)


@dataclass(frozen=True, slots=True)
class _Group:
    """The tokens of a column that share one header and one length."""

    header: bytes
    rows: Index
    sealed: Matrix
    markers: Matrix

    @property
    def key_id(self) -> bytes:
        return self.header[4:8]

    @property
    def suite(self) -> Suite:
        return Suite(self.header[3])

    def proven(self, key: MarkerKey) -> Mask:
        """Which markers verify."""
        made, given = _markers(key, self.header, self.sealed).view("u2"), self.markers.view("u2")
        equal = np.ones(len(given), np.bool_)
        for column in range(given.shape[1]):  # a reduction over three columns costs ten times as much
            equal &= made[:, column] == given[:, column]
        return equal


def _groups(texts: pa.LargeBinaryArray) -> Iterator[_Group]:
    for rows, tokens, numbers in layout.read(texts):
        # Sorting keeps the work linear even where somebody planted a header of its own in every row.
        order = np.argsort(numbers, kind="stable")
        for mine in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1):
            alike = tokens if len(mine) == len(tokens) else tokens[mine]
            sealed, markers = alike[:, HEADER_SIZE:-MARKER_SIZE], alike[:, -MARKER_SIZE:]
            yield _Group(layout.header_of(int(numbers[mine[0]])), rows[mine], sealed, markers)


def verify_column(
    tokens: Column, marker_key_for: Callable[[bytes], MarkerKey], field: str
) -> pa.BooleanArray | pa.ChunkedArray:
    """Which values are tokens of the logical field `field` whose marker verifies; null stays null. Opens nothing.

    `marker_key_for` gives the marker key of a key id, or raises KeyringError if it has none: such tokens are False.
    """
    if isinstance(tokens, pa.ChunkedArray):
        return pa.chunked_array([verify_column(chunk, marker_key_for, field) for chunk in tokens.chunks], pa.bool_())
    texts = _texts(tokens, field)
    proven = np.zeros(len(texts), np.bool_)
    for group in _groups(texts):
        try:
            key = marker_key_for(group.key_id)
        except KeyringError:
            continue
        if key.field == field:
            proven[group.rows] = group.proven(key)
    return pa.array(proven, pa.bool_(), mask=~valid(texts))


def _texts(tokens: pa.Array, field: str) -> pa.LargeBinaryArray:
    texts = as_binary(tokens)
    if texts is None:
        raise UsageError(f"{field}: a column of type {tokens.type} holds no tokens; tokens are text")
    return texts


def decrypt_column(
    tokens: Column,
    key_for: Callable[[bytes], ColumnKey],
    type: pa.DataType,
    field: str,
    on_error: OnError = "raise",
) -> Column:
    """The values of a column of tokens, as `type`; null stays null.

    `field` is the logical field that the column is expected to hold: a token of another field is refused. `key_for`
    gives the key of a key id; it raises KeyringError for a key it does not have, which fails the rows of that key, and
    PurposeRefusedError, which ends the call whatever `on_error` says.

    Raises TokenError with every row that is not a token, has no key, does not verify or is not of `type`; rows are
    counted over all chunks. With `on_error="null"` those rows are null instead. UsageError for a type that no value can
    be decrypted to.
    """
    if on_error not in ("raise", "null"):
        raise UsageError(f'on_error is "raise" or "null", not {on_error!r}')
    chunks = tokens.chunks if isinstance(tokens, pa.ChunkedArray) else [tokens]
    opened, failures, first = [], defaultdict[str, list[int]](list), 0
    for chunk in chunks:
        values, failed = _decrypt(chunk, key_for, type, field)
        opened.append(values)
        for reason, rows in failed:
            failures[reason].extend((rows + first).tolist())
        first += len(chunk)
    if failures and on_error == "raise":
        reasons = [f"{len(rows)} {reason}" for reason, rows in failures.items()]
        shown = "; ".join(reasons[:3] + ["..."] * (len(reasons) > 3))
        raise TokenError(field, sorted(row for rows in failures.values() for row in rows), f"not decrypted: {shown}")
    return pa.chunked_array(opened, type) if isinstance(tokens, pa.ChunkedArray) else opened[0]


def _decrypt(
    tokens: pa.Array, key_for: Callable[[bytes], ColumnKey], kind: pa.DataType, field: str
) -> tuple[pa.Array, list[tuple[str, NDArray[np.int64]]]]:
    """The values of one array, null where they failed, and the failed rows by reason."""
    texts = _texts(tokens, field)
    failed: list[tuple[str, NDArray[np.int64]]] = []
    other = valid(texts)
    pieces, places = [from_buffers(np.zeros(1, np.int64), b"")], [np.zeros(0, np.int64)]
    for group in _groups(texts):
        other[group.rows] = False
        values, right, reason = _open(group, key_for, field)
        failed.append((reason, group.rows[~right]))
        pieces.append(values)
        places.append(group.rows[right])
    failed.append(("not tokens of a version that is known here", np.flatnonzero(other)))
    plain = place(pa.concat_arrays(pieces), np.concatenate(places), len(texts))
    result, unfit = decode(plain, kind, field)
    failed.append((f"that cannot be read as {kind}", unfit))
    return result, [(reason, rows) for reason, rows in failed if len(rows)]


def _open(group: _Group, key_for: Callable[[bytes], ColumnKey], field: str) -> tuple[pa.LargeBinaryArray, Mask, str]:
    """The values that open, which rows of the group they are, and why the other rows do not."""
    nothing = from_buffers(np.zeros(1, np.int64), b""), np.zeros(len(group.rows), np.bool_)
    try:
        key = key_for(group.key_id)
    except PurposeRefusedError:
        raise
    except KeyringError as error:
        return *nothing, f"without a key ({error})"
    if key.field != field:
        return *nothing, f"of another field ({key.field})"
    if SUITES[key.mode] is not group.suite:
        return *nothing, "of another mode than their key"
    padded, right = siv.decrypt(key.siv, [key.marker.context, group.header], group.sealed)
    right &= group.proven(key.marker)
    values, well_padded = layout.unpad(padded if right.all() else padded[right], group.suite)
    right[right] = well_padded
    return values, right, "changed since they were made, or moved here from elsewhere"
