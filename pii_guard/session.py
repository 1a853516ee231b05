"""A session: protected data opened for one purpose, each access recorded before its first batch is released."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain, islice
from types import TracebackType
from typing import Self

import pyarrow as pa

from pii_guard.audit import Access, AccessLog, AccessRequest
from pii_guard.batches import ArrowData, normalise
from pii_guard.crypto.blind_index import tokens as index_tokens
from pii_guard.crypto.decryption import OnError, decrypt_column
from pii_guard.crypto.key import ColumnKey
from pii_guard.crypto.normaliser import Normaliser
from pii_guard.crypto.token import holds_bound, key_ids
from pii_guard.errors import AccessRefusedError, KeyringError, PurposeRefusedError, TokenError, UsageError, did_you_mean
from pii_guard.keys.keyring import Keyring
from pii_guard.model import Tag
from pii_guard.policy import Policy
from pii_guard.policy.access import refusal, row_budget
from pii_guard.revealing import (
    EncryptedColumn,
    encrypted_columns,
    field_of,
    mask_batch,
    mask_values,
    masked_schema,
    reveal_batches,
)
from pii_guard.searching import Search
from pii_guard.subjects import Subjects

__all__ = ["Session"]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What one call of a session asks for."""

    request: AccessRequest
    columns: Collection[str] | None
    masked: bool
    on_error: OnError
    search: Search | None
    subjects: Subjects | None


class Session:
    """What `Guard.reveal` gives: a context manager whose `decrypt` opens data for the one purpose of the session.

    Streams end with the session: what was not read by then is not released, and its access is recorded as failed.
    """

    def __init__(
        self,
        policy: Policy,
        keys: Keyring,
        audit: AccessLog,
        *,
        purpose: str,
        actor: str,
        task: str | None,
        reason: str | None,
        role: str | None,
        rows: int | None,
    ) -> None:
        self._policy, self._keys, self._audit = policy, keys, audit
        self._request = AccessRequest(purpose, actor, task or "reveal", reason, role)
        self._searching = replace(self._request, task=task or "search")
        self._left = row_budget(policy, role, rows)
        self._counting = threading.RLock()
        """Threads may share a session, its budget, and the accesses of single values."""
        self._open = False
        self._accesses = ExitStack()
        """All of them are closed, also where the record of one cannot be written."""
        self._single: dict[str, Access] = {}
        self._granted: dict[str, set[bytes]] = {}
        """What was opened value by value: logical field -> its access, and its keys."""

    def __enter__(self) -> Self:
        self._audit.roles(self._policy.granted(), actor=self._request.actor, task=self._request.task)
        self._open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        self._single.clear()
        self._accesses.__exit__(kind, error, trace)

    def decrypt(
        self,
        data: ArrowData,
        *,
        columns: Collection[str] | None = None,
        masked: bool = True,
        on_error: OnError = "raise",
        subject: str | None = None,
    ) -> pa.RecordBatchReader:
        """`data` with its encrypted columns opened, as a stream.

        With `masked` their values are text of which a few characters show, as in a report, and tokens inside of texts
        stay; `masked=False` gives the values in the types that they had. `columns`: only these are opened, the others
        stay encrypted. `subject`: the column that says whose data each row is, for the access record, which holds their
        pseudonyms; a column of keys that stay, such as customer numbers.

        The access record `opened` is on disk before the first batch is released, `closed` with counts when the stream
        or the session ends. A purpose that the policy does not declare, that the role is not granted or that the key of
        a field is not wrapped for raises PurposeRefusedError or AccessRefusedError, and a tag that contradicts the key
        record KeyringError; all are recorded. A batch that exceeds the row budget is not released (AccessRefusedError).
        Raises AuditError if no record can be written, TokenError for tokens that do not open; with `on_error="null"`
        these are null, and `closed` counts them.
        """
        return self._stream(data, columns, masked, on_error, None, subject)

    def search(
        self,
        data: ArrowData,
        column: str,
        value: object,
        *,
        columns: Collection[str] | None = None,
        masked: bool = True,
        subject: str | None = None,
    ) -> pa.RecordBatchReader:
        """The rows of `data` whose `column` holds `value`, in any of its spellings, opened as by `decrypt`.

        Rows are chosen by the blind index of the column, opened and compared: none is missed, and none that only shares
        its index is returned; rows whose key was destroyed are left out. UsageError where the column has no blind
        index, or is not among `columns`.
        """
        if columns is not None and column not in columns:
            raise UsageError(f"{column}: is searched, so it has to be among the columns that are opened")
        return self._stream(data, columns, masked, "raise", (column, value), subject)

    def value(self, token: str, field: str, *, kind: str | None = None, masked: bool = True) -> str:
        """One value of the logical `field`, opened, or masked as values of `kind` are.

        All values of a field that a session opens one by one are one access: `opened` is on disk before the first of
        them is released, `closed` when the session ends. Each counts as a row. Refused and raised as by `decrypt`.
        """
        if not self._open:
            raise UsageError("a session is used in its `with` block: with guard.reveal(...) as session")
        tokens = pa.array([token])
        ids = sorted(key_ids(tokens))
        column = EncryptedColumn(0, field, field, tuple(ids), pa.string(), tag=Tag(field=field, kind=kind))
        with self._counting:
            if not set(ids) <= self._granted.get(field, set()):
                self._allowed([column], ids, self._request)
                self._granted.setdefault(field, set()).update(ids)
            self._spend(1)
            if field not in self._single:
                opened = self._audit.access(self._request, fields=[field], key_ids=ids)
                self._single[field] = self._accesses.enter_context(opened)
            access = self._single[field]
            access.key_ids = self._granted[field]
        try:
            values = decrypt_column(
                tokens, lambda key_id: self._keys.decryption_key(key_id, self._request.purpose), pa.string(), field
            )
        except TokenError:
            with self._counting:
                access.failures += 1
            raise
        with self._counting:
            access.rows += 1
        text: str = (mask_values(values, column) if masked else values)[0].as_py()
        return text

    def indexes(self, value: object, field: str, form: tuple[Normaliser, int]) -> tuple[str, ...]:
        """Every blind index that `value` may have in the logical `field`, under each key that the purpose may open."""
        if not self._open:
            raise UsageError("a session is used in its `with` block: with guard.reveal(...) as session")
        self._allowed([EncryptedColumn(0, field, field, (), pa.string())], (), self._searching)
        try:
            keys = self._keys.index_keys(field, self._request.purpose)
        except PurposeRefusedError:
            self._audit.refused(self._searching, fields=[field], key_ids=[])
            raise
        return index_tokens(value, keys, [form])

    def _stream(
        self,
        data: ArrowData,
        names: Collection[str] | None,
        masked: bool,
        on_error: OnError,
        wanted: tuple[str, object] | None,
        people: str | None,
    ) -> pa.RecordBatchReader:
        if not self._open:
            raise UsageError("a session is used in its `with` block: with guard.reveal(...) as session")
        if on_error not in ("raise", "null"):
            raise UsageError(f'on_error is "raise" or "null", not {on_error!r}')
        reader = normalise(data)
        try:
            search = Search(reader.schema, *wanted) if wanted else None
            request = self._searching if search else self._request
            subjects = None if people is None else Subjects(_place(reader.schema, people), self._keys)
            schema, batches = self._opened(reader, _Asked(request, names, masked, on_error, search, subjects))
        except BaseException:
            reader.close()  # files behind it are closed now, not when the exception is forgotten
            raise
        stream = _Stream(self, batches, reader)
        self._accesses.callback(stream.close)
        return pa.RecordBatchReader.from_batches(schema, stream)

    def _opened(self, reader: pa.RecordBatchReader, asked: _Asked) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        first = list(islice(reader, 1))
        found, columns = self._columns(reader.schema, first, asked)
        ids = sorted({key_id for column in columns for key_id in column.key_ids})
        fields = self._allowed(columns, ids, asked.request)
        used = set(ids)

        def key_for(key_id: bytes) -> ColumnKey:
            used.add(key_id)
            try:
                return self._keys.decryption_key(key_id, self._request.purpose)
            except PurposeRefusedError:  # a key that first occurs in a later batch
                self._audit.refused(asked.request, fields=[self._keys.record(key_id).field], key_ids=[key_id])
                raise

        batches: Iterator[pa.RecordBatch] = chain(first, reader)
        if asked.search is not None:
            batches = asked.search.candidates(batches, key_for, self._known)
        failed: list[int] = []
        closed = {column.index for column in found} - {column.index for column in columns}
        pairs = [(self._bound(column, field, first), field) for column, field in zip(columns, fields, strict=True)]
        schema, opened = reveal_batches(
            batches, reader.schema, pairs, key_for, self._known, failed.append, asked.on_error, closed
        )
        shown = masked_schema(schema, columns) if asked.masked else schema

        def finished(batch: pa.RecordBatch) -> pa.RecordBatch:
            batch = asked.search.matching(batch) if asked.search else batch
            if asked.subjects is not None:
                asked.subjects.add(batch)
            return mask_batch(batch, columns, shown) if asked.masked else batch

        return shown, self._released(opened, finished, asked, fields, ids, used, failed)

    def _columns(
        self, schema: pa.Schema, first: Sequence[pa.RecordBatch], asked: _Asked
    ) -> tuple[Sequence[EncryptedColumn], Sequence[EncryptedColumn]]:
        """The columns that are encrypted, and those of them that are to be opened."""
        found = encrypted_columns(schema, first[0] if first else None, self._known)
        if not found:
            raise UsageError("nothing in it is encrypted: there is no tag and no token; it can be read as it is")
        if asked.on_error == "null":  # tokens of keys that are not here are among those that do not open
            found = tuple(replace(column, key_ids=tuple(filter(self._known, column.key_ids))) for column in found)
        if asked.search is not None:  # rows under its destroyed keys hold no value any more that could be found
            found = tuple(
                replace(column, key_ids=tuple(key_id for key_id in column.key_ids if not self._keys.destroyed(key_id)))
                if schema.names[column.index] == asked.search.column
                else column
                for column in found
            )
        chosen = found if asked.columns is None else _chosen(found, asked.columns)
        return found, [column for column in chosen if not (asked.masked and column.spans)]

    def _bound(self, column: EncryptedColumn, field: str, first: Sequence[pa.RecordBatch]) -> EncryptedColumn:
        """Where a source carries no tags, the rule of the field says which columns name a row."""
        rule = self._policy.rule_for(field)
        if column.tag is not None or column.spans or rule is None or not holds_bound(first[0].column(column.index)):
            return column
        return replace(column, bind_row=rule.bind_row)

    def _allowed(self, columns: Sequence[EncryptedColumn], ids: Sequence[bytes], request: AccessRequest) -> list[str]:
        """The logical fields of `columns`, all of which may be opened. Raises what `decrypt` says, recorded."""
        stated = [column.tagged or column.shown for column in columns]
        try:
            self._grant(())
            for key_id in ids:
                self._keys.decryption_key(key_id, self._request.purpose)
            fields = [field_of(column, self._keys) for column in columns]
            self._grant(fields)
        except KeyringError as error:
            self._audit.refused(request, fields=stated, key_ids=ids)
            if type(error) is not KeyringError or not any(map(self._keys.destroyed, ids)):
                raise
            raise KeyringError(f"{error}; open the other columns alone, or take nulls for it (on-error null)") from None
        return fields

    def _grant(self, fields: Sequence[str]) -> None:
        reason = refusal(self._policy, self._request.role, self._request.purpose, fields)
        if reason:
            declared = self._request.purpose in self._policy.purposes
            raise AccessRefusedError(reason) if declared else PurposeRefusedError(reason)

    def _released(
        self,
        opened: Iterator[pa.RecordBatch],
        finished: Callable[[pa.RecordBatch], pa.RecordBatch],
        asked: _Asked,
        fields: Sequence[str],
        ids: Sequence[bytes],
        used: Collection[bytes],
        failed: Sequence[int],
    ) -> Iterator[pa.RecordBatch]:
        with self._audit.access(asked.request, fields=fields, key_ids=ids) as access:
            access.key_ids = used
            seen = 0
            try:
                for batch in opened:
                    seen += batch.num_rows
                    batch = finished(batch)
                    access.subjects = asked.subjects.entries() if asked.subjects else {}
                    self._spend(batch.num_rows)
                    access.rows += batch.num_rows
                    access.failures = sum(failed)
                    yield batch
            except TokenError as error:
                access.failures = sum(failed) + len(error.rows)
                raise error.shifted(seen) from None

    def _known(self, key_id: bytes) -> bool:
        try:
            self._keys.record(key_id)
        except KeyringError:
            return False
        return True

    def _spend(self, rows: int) -> None:
        if self._left is None:
            return
        with self._counting:
            if rows > self._left:
                raise AccessRefusedError(
                    f"the row budget of the session has {self._left:,} rows left, and {rows:,} more were asked for; "
                    "they were not released"
                )
            self._left -= rows

    @property
    def is_open(self) -> bool:
        """Whether its `with` block is being run."""
        return self._open


class _Stream:
    """Batches that end with their session: cut off, they raise, since an early end would look like all of them."""

    def __init__(self, session: Session, batches: Iterator[pa.RecordBatch], source: pa.RecordBatchReader) -> None:
        self._session, self._batches, self._source = session, batches, source

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> pa.RecordBatch:
        if not self._session.is_open:
            raise UsageError("the session is over; read what it decrypts in its `with` block")
        return next(self._batches)

    def close(self) -> None:
        self._batches.close()  # type: ignore[attr-defined] # a generator: `closed` is recorded if `opened` was
        self._source.close()


def _place(schema: pa.Schema, column: str) -> int:
    if schema.names.count(column) != 1:
        raise UsageError(f"{column!r} is no column of it{did_you_mean(column, schema.names)}")
    place: int = schema.get_field_index(column)
    return place


def _chosen(found: Sequence[EncryptedColumn], names: Collection[str]) -> tuple[EncryptedColumn, ...]:
    if isinstance(names, str) or not names:
        raise UsageError("columns are given as a list of names, such as ['phone']")
    known = {column.shown: column for column in found}
    for name in names:
        if name not in known:
            raise UsageError(f"{name!r} is no encrypted column of it{did_you_mean(name, known)}")
    return tuple(column for column in found if column.shown in names)
