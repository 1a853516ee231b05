"""Rows of protected data that hold a value, by the blind index of a column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.crypto.blind_index import labels
from pii_guard.crypto.blind_index import tokens as index_tokens
from pii_guard.crypto.key import ColumnKey
from pii_guard.crypto.normaliser import Normaliser, normalised, normaliser_of
from pii_guard.errors import UsageError
from pii_guard.planning import INDEX_SUFFIX
from pii_guard.tags import read_tag

__all__ = ["Search"]


class Search:
    """The search for one value in one column. UsageError where the column has no blind index."""

    def __init__(self, schema: pa.Schema, column: str, value: object) -> None:
        self.column, self._value = column, value
        self._index = column + INDEX_SUFFIX
        if column not in schema.names or self._index not in schema.names:
            raise UsageError(f"{column}: has no blind index ({self._index}); protect it with index = true in its rule")
        try:
            pa.array([value])
        except (pa.ArrowInvalid, pa.ArrowTypeError):  # whose message quotes it
            raise UsageError(
                f"{column}: is searched for a value such as text, not for {type(value).__name__}"
            ) from None
        tag = read_tag(schema.field(column))
        # rows without an index are compared as the column would be indexed
        self._forms: set[Normaliser] = {normaliser_of(tag.kind if tag else None)}

    def candidates(
        self, batches: Iterator[pa.RecordBatch], key_for: Callable[[bytes], ColumnKey], known: Callable[[bytes], bool]
    ) -> Iterator[pa.RecordBatch]:
        """The rows whose index is that of the value, in any of its spellings, and those without an index.

        `known`: whether there is a key of this id. `key_for` gives it, or raises.
        """
        for batch in batches:
            indexes, tokens = batch.column(self._index), batch.column(self.column)
            wanted: set[str] = set()
            for key_id, normaliser, bits in labels(indexes):
                if known(key_id):
                    wanted.update(index_tokens(self._value, [key_for(key_id)], [(normaliser, bits)]))
                    self._forms.add(normaliser)
            found = pc.is_in(indexes, pa.array(sorted(wanted), indexes.type))
            unindexed = pc.and_(indexes.is_null(), tokens.is_valid())
            yield batch.filter(pc.or_(found, unindexed))

    def matching(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of an opened batch of candidates in which the normalised column is the normalised value."""
        forms: Set[Normaliser] = self._forms
        equal = pa.array(np.zeros(batch.num_rows, np.bool_))
        for form in forms:
            wanted = normalised(pa.array([self._value]), form, self.column)
            equal = pc.or_(equal, pc.is_in(normalised(batch.column(self.column), form, self.column), wanted))
        return batch.filter(equal)
