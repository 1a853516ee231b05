"""Columns of values to columns of tokens (docs/FORMAT.md, Token); `decryption` is the way back.

A token is known by its form (`find_tokens`, no key), by its marker (`verify_column`, a key that opens nothing) or by
opening it (`decrypt_column`). A value that only looks like a token is plain text until it verifies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pii_guard.crypto import layout, siv
from pii_guard.crypto.buffers import (
    MOST_BYTES,
    Index,
    Mask,
    Matrix,
    assemble,
    from_list,
    valid,
    whole,
)
from pii_guard.crypto.key import ColumnKey, MarkerKey, Mode
from pii_guard.crypto.layout import HEADER_SIZE, MARKER_SIZE, SUITES, Suite
from pii_guard.crypto.rows import at, by_chunk, each
from pii_guard.crypto.siv import TAG_SIZE
from pii_guard.crypto.values import as_binary, encode, encode_list
from pii_guard.errors import KeyringError, UsageError

__all__ = [
    "Column",
    "TokenGroup",
    "encrypt_column",
    "find_tokens",
    "groups",
    "holds_bound",
    "key_ids",
    "split",
    "texts_of",
    "token_length",
    "token_prefix",
    "verify_column",
]

FEW = 16
"""So many values are encrypted one after the other: to set up a column costs as much as some ten of them."""
_TOO_LARGE = "the tokens of one array exceed 2 GiB; pass the column in chunks"
Column: TypeAlias = pa.Array | pa.ChunkedArray


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


def token_prefix(key_id: bytes, mode: Mode, *, bound: bool = False) -> str:
    """The 12 characters that all tokens of a column key begin with, and no others do; `bound`: those bound to a row.

    >>> token_prefix(bytes.fromhex("01020304"), Mode.RANDOMIZED)
    'pgd1AQECAwR3'
    """
    header = np.frombuffer(layout.header(Suite.SIV_BOUND if bound else SUITES[mode], key_id), np.uint8)[None]
    return layout.to_text(header).tobytes().decode()


def encrypt_column(values: Column, key: ColumnKey, row_keys: pa.LargeBinaryArray | None = None) -> Column:
    """One token per value, as a plain string column in the chunks of `values`; null stays null, empty does not.

    Takes scalar types in any encoding (dictionary, run-end, view, large, extension); of a dictionary, deterministic
    tokens are made once an entry. `row_keys`, one for each row (`pii_guard.crypto.rows`), bind each token to its row:
    it opens with that row key alone. Raises UsageError for a nested type, for a key that makes pseudonyms, for row keys
    where the key is deterministic, for values that are lost in their text form, and for an array whose tokens
    exceed 2 GiB.
    """
    if isinstance(values, pa.ChunkedArray):
        chunks = zip(values.chunks, by_chunk(row_keys, values.chunks), strict=True)
        return pa.chunked_array([encrypt_column(chunk, key, own) for chunk, own in chunks], pa.string())
    suite = SUITES.get(key.mode)
    if suite is None:
        raise UsageError(f"{key.field}: a key in mode {key.mode} makes no tokens")
    if row_keys is not None and suite is not Suite.SIV_RANDOMIZED:
        raise UsageError(f"{key.field}: tokens in mode {key.mode} cannot be bound to their rows")
    suite = suite if row_keys is None else Suite.SIV_BOUND
    if isinstance(values, pa.DictionaryArray) and suite is Suite.SIV_DETERMINISTIC:
        return encrypt_column(values.dictionary, key).take(values.indices)
    header = layout.header(suite, key.key_id)
    if len(values) <= FEW:
        few = _few_tokens(encode_list(values, key.field), key, suite, header, row_keys)
        try:
            return from_list(few, pa.string())
        except OverflowError:
            raise UsageError(f"{key.field}: {_TOO_LARGE}") from None
    plain = encode(values, key.field)
    parts = []
    for rows, padded in layout.pad(plain, suite):
        tokens = np.empty((len(rows), HEADER_SIZE + TAG_SIZE + padded.shape[1] + MARKER_SIZE), np.uint8)
        whole(tokens[:, :HEADER_SIZE])[:] = np.frombuffer(header, f"V{HEADER_SIZE}")
        room, own = tokens[:, HEADER_SIZE:-MARKER_SIZE], at(row_keys, rows)
        sealed = siv.encrypt(key.siv, [key.marker.context, header], padded, room, own)
        tokens[:, -MARKER_SIZE:] = _markers(key.marker, header, sealed)
        parts.append((rows, layout.to_text(tokens)))
    tokens = assemble(parts, len(plain))
    validity, offsets, text = tokens.buffers()
    bounds = np.frombuffer(offsets, np.int64)
    if bounds[-1] > MOST_BYTES:
        raise UsageError(f"{key.field}: {_TOO_LARGE}")
    return pa.Array.from_buffers(pa.string(), len(tokens), [validity, pa.py_buffer(bounds.astype(np.int32)), text])


def _few_tokens(
    values: list[bytes | None], key: ColumnKey, suite: Suite, header: bytes, row_keys: pa.LargeBinaryArray | None
) -> list[bytes | None]:
    """The token of each value, one after the other."""
    seal, _, mac = key.ciphers(header)

    def one(value: bytes, *own: bytes) -> bytes:
        sealed = seal(layout.pad_one(value, suite), *own)
        return layout.text_of_one(header + sealed + mac(sealed)[:MARKER_SIZE])

    owned = zip(values, each(row_keys, len(values)), strict=True)
    return [None if value is None else one(value, *own) for value, own in owned]


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


def holds_bound(values: pa.Array) -> bool:
    """Whether any value has the form of a token that is bound to its row."""
    texts = as_binary(values)
    found = [] if texts is None else layout.read(texts)
    return any(((numbers >> np.uint64(32)) & np.uint64(0xFF) == Suite.SIV_BOUND).any() for _, _, numbers in found)


@dataclass(frozen=True, slots=True)
class TokenGroup:
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


def groups(texts: pa.LargeBinaryArray) -> Iterator[TokenGroup]:
    """What has the form of a token, by its header."""
    for rows, tokens, numbers in layout.read(texts):
        yield from split(rows, tokens, numbers)


def split(rows: Index, tokens: Matrix, numbers: NDArray[np.uint64]) -> Iterator[TokenGroup]:
    """Tokens of one length, as `pii_guard.crypto.layout.read` gives them, in groups that share a header."""
    if layout.uniform(numbers):
        yield TokenGroup(layout.header_of(int(numbers[0])), rows, *_parts(tokens))
        return
    # Sorting keeps the work linear even where somebody planted a header of its own in every row.
    order = np.argsort(numbers, kind="stable")
    for mine in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1) if len(order) else []:
        yield TokenGroup(layout.header_of(int(numbers[mine[0]])), rows[mine], *_parts(tokens[mine]))


def _parts(tokens: Matrix) -> tuple[Matrix, Matrix]:
    """What is sealed, and the markers."""
    return tokens[:, HEADER_SIZE:-MARKER_SIZE], tokens[:, -MARKER_SIZE:]


def verify_column(
    tokens: Column, marker_key_for: Callable[[bytes], MarkerKey], field: str
) -> pa.BooleanArray | pa.ChunkedArray:
    """Which values are tokens of the logical field `field` whose marker verifies; null stays null. Opens nothing.

    `marker_key_for` gives the marker key of a key id, or raises KeyringError if it has none: such tokens are False.
    """
    if isinstance(tokens, pa.ChunkedArray):
        return pa.chunked_array([verify_column(chunk, marker_key_for, field) for chunk in tokens.chunks], pa.bool_())
    texts = texts_of(tokens, field)
    proven = np.zeros(len(texts), np.bool_)
    for group in groups(texts):
        try:
            key = marker_key_for(group.key_id)
        except KeyringError:
            continue
        if key.field == field:
            proven[group.rows] = group.proven(key)
    return pa.array(proven, pa.bool_(), mask=~valid(texts))


def texts_of(tokens: pa.Array, field: str) -> pa.LargeBinaryArray:
    """The texts of a column that should hold tokens. Raises UsageError for a type that holds none."""
    texts = as_binary(tokens)
    if texts is None:
        raise UsageError(f"{field}: a column of type {tokens.type} holds no tokens; tokens are text")
    return texts
