"""The guard of a pipeline: Arrow data in, protected and tagged Arrow data out; and back, for a declared purpose."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator, Mapping, Sized
from itertools import chain
from pathlib import Path

import pyarrow as pa

from pii_guard.audit import AccessLog
from pii_guard.batches import ArrowData, normalise
from pii_guard.crypto.key import ColumnKey
from pii_guard.detectors import select
from pii_guard.errors import KeyringError, PurposeRefusedError, TokenError, UnprotectedDataError
from pii_guard.keys.keyring import Keyring
from pii_guard.model import Confidence, ScanReport, Tag
from pii_guard.naming import safe_name
from pii_guard.policy import Policy, assign, load
from pii_guard.protection import PlannedField, encrypted_columns, plan, protect_batches, reveal_batches
from pii_guard.scanner import TableScan, scan_data, unique_names
from pii_guard.tags import did_you_mean, read_tag

__all__ = ["Guard"]

ACCESS_LOG = "access.jsonl"


class Guard:
    """Protects and reveals tables by a policy and a key directory.

    `policy`: a policy or the path of its file. `keys`: an open keyring or the path of a key directory without a
    passphrase. `tags`: what is known of fields already (a sidecar file's content). `audit`: where access records go,
    `access.jsonl` in the key directory by default.
    """

    def __init__(
        self,
        policy: Policy | str | os.PathLike[str],
        keys: Keyring | str | os.PathLike[str],
        *,
        tags: Mapping[str, Tag] | None = None,
        audit: AccessLog | str | os.PathLike[str] | None = None,
    ) -> None:
        self.policy = policy if isinstance(policy, Policy) else load(Path(policy))
        self.keys = keys if isinstance(keys, Keyring) else Keyring.open(Path(keys))
        self.tags = dict(tags or {})
        path = self.keys.directory / ACCESS_LOG if audit is None else audit
        self.audit = path if isinstance(path, AccessLog) else AccessLog(Path(path))

    def plan(self, schema: pa.Schema, report: ScanReport) -> tuple[PlannedField, ...]:
        """What `protect` would do to each column of a table with this schema, given a scan of it.

        Raises UnprotectedDataError where personal data has no rule, naming each field.
        """
        return plan(schema, report, assign(report, self.policy, self.tags))

    def protect(
        self, data: ArrowData, *, table: str = "data", report: ScanReport | None = None
    ) -> pa.RecordBatchReader:
        """`data` with its personal fields encrypted and tagged, as a stream.

        `table` is the name that the policy's rules know the table by. `report` is a scan of the same data; without it,
        data that can be read twice is scanned first. A stream that can be read only once is planned on the policy and
        its first batch; if a later batch shows personal data in a column that was left alone, UnprotectedDataError is
        raised before that batch is released.
        """
        watched = None
        if report is None and isinstance(data, Sized):
            report = scan_data(data, table=table, detectors=select())
        reader = normalise(data)
        if report is None:
            first = list(_take_one(reader))
            report = scan_data(pa.Table.from_batches(first, reader.schema), table=table, detectors=select())
            planned = self.plan(reader.schema, report)
            watched = [
                field.index for field in planned if field.action == "keep" and not (field.tag and field.tag.reason)
            ]
            reader = pa.RecordBatchReader.from_batches(reader.schema, chain(first, _watch(reader, watched, table)))
        else:
            planned = self.plan(reader.schema, report)
        return protect_batches(reader, planned, self.keys)

    def reveal(
        self, data: ArrowData, *, purpose: str, actor: str | None = None, task: str = "reveal"
    ) -> pa.RecordBatchReader:
        """`data` with its encrypted fields opened for `purpose`, as a stream.

        The access record `opened` is on disk before the first batch is released, `closed` with counts when the stream
        ends or is closed. A purpose that the policy does not declare, or that the key of a field is not wrapped for, is
        recorded and raises PurposeRefusedError. Raises AuditError if no record can be written, TokenError for tokens
        that do not open.
        """
        reader = normalise(data)
        try:
            return self._revealed(reader, {"purpose": purpose, "actor": actor or _account(), "task": task})
        except BaseException:
            reader.close()  # files behind it are closed now, not when the exception is forgotten
            raise

    def _revealed(self, reader: pa.RecordBatchReader, subject: Mapping[str, str]) -> pa.RecordBatchReader:
        purpose = subject["purpose"]
        first = list(_take_one(reader))
        columns = encrypted_columns(first[0]) if first else {}
        ids = sorted({key_id for found in columns.values() for key_id in found})
        names: dict[int, str] = {}
        try:
            if purpose not in self.policy.purposes:
                known = did_you_mean(purpose, self.policy.purposes)
                raise PurposeRefusedError(f"the policy declares no purpose {purpose!r}{known}")
            names = {index: self._field_of(reader.schema, index, found) for index, found in columns.items()}
            for key_id in ids:
                self.keys.decryption_key(key_id, purpose)
        except PurposeRefusedError:
            fields = [self._field_of(reader.schema, index, found) for index, found in columns.items()]
            self.audit.refused(**subject, fields=fields, key_ids=ids)
            raise

        def key_for(key_id: bytes) -> ColumnKey:
            try:
                return self.keys.decryption_key(key_id, purpose)
            except PurposeRefusedError:  # a key that first occurs in a later batch
                self.audit.refused(**subject, fields=[self.keys.record(key_id).field], key_ids=[key_id])
                raise

        schema, opened = reveal_batches(chain(first, reader), reader.schema, names, key_for)

        def released() -> Iterator[pa.RecordBatch]:
            with self.audit.access(**subject, fields=sorted(names.values()), key_ids=ids) as access:
                try:
                    for batch in opened:
                        access.rows += batch.num_rows
                        yield batch
                except TokenError as error:
                    access.failures = len(error.rows)
                    raise error.shifted(access.rows) from None

        return pa.RecordBatchReader.from_batches(schema, released())

    def _field_of(self, schema: pa.Schema, index: int, ids: tuple[bytes, ...]) -> str:
        """The logical field that a column's keys are bound to, as their records say; a tag that differs is an error."""
        fields = {self.keys.record(key_id).field for key_id in ids}
        tag = read_tag(schema.field(index))
        shown = safe_name(unique_names(schema)[index], index + 1)[0]
        if tag is not None and tag.field:
            fields.add(tag.field)
        if len(fields) > 1:
            raise KeyringError(
                f"column {shown} is tagged or mixed as several fields ({', '.join(sorted(fields))}); "
                "correct the tag, or protect the data again from its source"
            )
        return fields.pop() if fields else shown


def _take_one(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    for batch in reader:
        yield batch
        return


def _watch(reader: pa.RecordBatchReader, columns: list[int], table: str) -> Iterator[pa.RecordBatch]:
    counted = TableScan("(data)", table, select())
    for batch in reader:
        counted.add(batch.select(columns))
        for report in counted.reports():
            for finding in report.findings:
                if finding.personal and finding.confidence >= Confidence.LIKELY:
                    raise UnprotectedDataError(
                        f"{table}.{report.field.path}: {finding.kind} appeared in a later batch of a stream, in a "
                        "column that no rule protects; add a rule for it to the policy and run again"
                    )
        yield batch


def _account() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in many containers
        return "unknown"
