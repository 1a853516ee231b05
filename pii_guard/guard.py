"""The guard of a pipeline: Arrow data in, protected and tagged Arrow data out; and back, for a declared purpose."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import chain
from pathlib import Path

import pyarrow as pa

from pii_guard.audit import AccessLog, os_account
from pii_guard.batches import ArrowData, normalise
from pii_guard.crypto.key import ColumnKey
from pii_guard.detectors import select
from pii_guard.engine.detection import Detector
from pii_guard.errors import PurposeRefusedError, TokenError, UnprotectedDataError, UsageError
from pii_guard.keys.keyring import Keyring
from pii_guard.model import Confidence, ScanReport, Tag
from pii_guard.policy import Policy, assign, custom_detectors, load, suppress
from pii_guard.protection import PlannedField, plan, protect_batches
from pii_guard.revealing import encrypted_columns, field_of, reveal_batches
from pii_guard.scanner import scan_data
from pii_guard.table_scan import TableScan
from pii_guard.tags import did_you_mean

__all__ = ["Guard"]

ACCESS_LOG = "access.jsonl"


class Guard:
    """Protects and reveals tables by a policy and a key directory.

    `policy`: a policy or the path of its file. `keys`: an open keyring or the path of a key directory without a
    passphrase. `tags`: what is known of fields already (a sidecar file's content). `audit`: where access records go,
    `access.jsonl` in the key directory by default. `detectors`: what scans look for, by default all kinds and those of
    the policy.
    """

    def __init__(
        self,
        policy: Policy | str | os.PathLike[str],
        keys: Keyring | str | os.PathLike[str],
        *,
        tags: Mapping[str, Tag] | None = None,
        audit: AccessLog | str | os.PathLike[str] | None = None,
        detectors: Sequence[Detector] | None = None,
    ) -> None:
        self._policy_file = None if isinstance(policy, Policy) else Path(policy)
        self.policy = policy if isinstance(policy, Policy) else load(Path(policy))
        self._detectors = detectors
        self.keys = keys if isinstance(keys, Keyring) else Keyring.open(Path(keys))
        self.tags = dict(tags or {})
        path = self.keys.directory / ACCESS_LOG if audit is None else audit
        self.audit = path if isinstance(path, AccessLog) else AccessLog(Path(path))

    @property
    def detectors(self) -> Sequence[Detector]:
        """What scans look for. To reveal needs none, so that code named by a policy is loaded on first use alone."""
        if self._detectors is None:
            self._detectors = select(own=custom_detectors(self.policy, self._policy_file))
        return self._detectors

    def plan(self, schema: pa.Schema, report: ScanReport) -> tuple[PlannedField, ...]:
        """What `protect` would do to each column of a table with this schema, given a scan of it.

        Raises UnprotectedDataError where personal data has no rule, naming each field.
        """
        report = suppress(report, self.policy, date.today())
        tags = assign(report, self.policy, self.tags)
        for name, tag in tags.items():
            unknown = [purpose for purpose in tag.purposes if purpose not in self.policy.purposes]
            if tag.retention and tag.retention not in self.policy.retention:
                unknown.append(tag.retention)
            if unknown and tag.protection == "encrypt":
                raise UsageError(f"{name}: its tag names {', '.join(unknown)}, which the policy does not declare")
        return plan(schema, report, tags)

    def protect(
        self, data: ArrowData, *, table: str = "data", report: ScanReport | None = None
    ) -> pa.RecordBatchReader:
        """`data` with its personal fields encrypted and tagged, as a stream.

        `table` is the name that the policy's rules know the table by. `report` is a scan of the same data; without it,
        a table, a batch or a list of dicts is scanned first. Everything else is a stream, planned on the policy and its
        first batch; if a later batch shows personal data in a column that was left alone, UnprotectedDataError is
        raised before that batch is released.
        """
        if report is None and isinstance(data, pa.Table | pa.RecordBatch | Sequence):  # the same whenever it is read
            report = scan_data(data, table=table, detectors=self.detectors)
        reader = normalise(data)
        if report is None:
            first = list(_take_one(reader))
            report = scan_data(pa.Table.from_batches(first, reader.schema), table=table, detectors=self.detectors)
            planned = self.plan(reader.schema, report)
            watched = [
                field.index for field in planned if field.action == "keep" and not (field.tag and field.tag.reason)
            ]
            reader = pa.RecordBatchReader.from_batches(reader.schema, chain(first, self._watch(reader, watched, table)))
        else:
            planned = self.plan(reader.schema, report)
        return protect_batches(reader, planned, self.keys)

    def _watch(self, reader: pa.RecordBatchReader, columns: list[int], table: str) -> Iterator[pa.RecordBatch]:
        """The batches of `reader`, each after a look at the columns that the plan leaves alone."""
        counted = TableScan("(data)", table, self.detectors)
        for batch in reader:
            counted.add(batch.select(columns))
            report = suppress(ScanReport(counted.reports()), self.policy, date.today())
            for field, finding in report.findings:
                if finding.personal and finding.confidence >= Confidence.LIKELY:
                    raise UnprotectedDataError(
                        f"{table}.{field.field.path}: {finding.kind} appeared in a later batch of a stream, in a "
                        "column that no rule protects; add a rule for it to the policy and run again"
                    )
            yield batch

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
            return self._revealed(reader, {"purpose": purpose, "actor": actor or os_account(), "task": task})
        except BaseException:
            reader.close()  # files behind it are closed now, not when the exception is forgotten
            raise

    def _revealed(self, reader: pa.RecordBatchReader, subject: Mapping[str, str]) -> pa.RecordBatchReader:
        purpose = subject["purpose"]
        first = list(_take_one(reader))
        columns = encrypted_columns(reader.schema, first[0] if first else None)
        if not columns:
            raise UsageError("nothing in it is encrypted: there is no tag and no token; it can be read as it is")
        ids = sorted({key_id for column in columns for key_id in column.key_ids})
        try:
            if purpose not in self.policy.purposes:
                known = did_you_mean(purpose, self.policy.purposes)
                raise PurposeRefusedError(f"the policy declares no purpose {purpose!r}{known}")
            for key_id in ids:
                self.keys.decryption_key(key_id, purpose)
        except PurposeRefusedError:
            self.audit.refused(**subject, fields=[column.tagged or column.shown for column in columns], key_ids=ids)
            raise
        fields = [field_of(column, self.keys) for column in columns]
        used = set(ids)

        def key_for(key_id: bytes) -> ColumnKey:
            used.add(key_id)
            try:
                return self.keys.decryption_key(key_id, purpose)
            except PurposeRefusedError:  # a key that first occurs in a later batch
                self.audit.refused(**subject, fields=[self.keys.record(key_id).field], key_ids=[key_id])
                raise

        pairs = list(zip(columns, fields, strict=True))
        schema, opened = reveal_batches(chain(first, reader), reader.schema, pairs, key_for)

        def released() -> Iterator[pa.RecordBatch]:
            with self.audit.access(**subject, fields=fields, key_ids=ids) as access:
                access.key_ids = used
                try:
                    for batch in opened:
                        access.rows += batch.num_rows
                        yield batch
                except TokenError as error:
                    access.failures = len(error.rows)
                    raise error.shifted(access.rows) from None

        return pa.RecordBatchReader.from_batches(schema, released())


def _take_one(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    for batch in reader:
        yield batch
        return
