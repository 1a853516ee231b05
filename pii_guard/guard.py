"""The guard of a pipeline: Arrow data in, protected and tagged Arrow data out; and back, for a declared purpose."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import chain
from pathlib import Path

import pyarrow as pa

from pii_guard.audit import AccessLog, os_account
from pii_guard.batches import ArrowData, normalise
from pii_guard.cohorts import Cohorts
from pii_guard.crypto.key import Mode
from pii_guard.detectors import select
from pii_guard.engine.detection import Detector
from pii_guard.errors import UnprotectedDataError, UsageError, did_you_mean
from pii_guard.keys.keyring import Keyring
from pii_guard.model import Confidence, Tag
from pii_guard.naming import safe_name, unique_names
from pii_guard.planning import Plan, PlannedField, plan
from pii_guard.policy import Policy, assign, custom_detectors, load, suppress
from pii_guard.protection import KEYED, key_mode, logical_name, protect_batches
from pii_guard.reports import ScanReport
from pii_guard.scanner import scan_data
from pii_guard.session import Session
from pii_guard.table_scan import TableScan
from pii_guard.tags import read_tag

__all__ = ["Guard"]

ACCESS_LOG = "access.jsonl"
APPEARED = (
    "appeared in a later batch of a stream, in a column that no rule protects; add a rule for it to the policy and run "
    "again"
)
CHANGED = (
    "appeared between the scan and the copy, in a column that no rule protects; add a rule for it to the policy, or "
    "run again when nobody writes into the table"
)
REMAINED = (
    "is left after the spans in its texts were encrypted, for the column as a whole tells it; protect it whole, by "
    'protection = "encrypt"'
)


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

    def plan(self, data: ArrowData, *, table: str = "data", report: ScanReport | None = None, period: str = "") -> Plan:
        """What `protect` would do to each column of `data`, which stays as it is; `print` shows it, a line a column.

        `report` is a scan of the data, with frequent values counted where `shows_equality` says so; without it `data`
        is scanned, so it has to be something that can be read more than once. No key is made. Raises
        UnprotectedDataError where personal data has no rule, naming each field; UsageError where deterministic tokens
        or a blind index would give values away.
        """
        if report is None and isinstance(data, pa.RecordBatchReader):
            raise UsageError("a plan reads the data, and this reader can be read only once; give a table, or a report")
        return self._plan(normalise(data).schema, report or self._scan(data, table), period)

    def _plan(self, schema: pa.Schema, report: ScanReport, period: str) -> Plan:
        report = suppress(report, self.policy, date.today())
        tags = assign(report, self.policy, self.tags)
        for name, tag in tags.items():
            unknown = [purpose for purpose in tag.purposes if purpose not in self.policy.purposes]
            if tag.retention and tag.retention not in self.policy.retention:
                unknown.append(tag.retention)
            if unknown and tag.protection == "encrypt":
                raise UsageError(f"{name}: its tag names {', '.join(unknown)}, which the policy does not declare")
        kinds = {detector.kind.id: detector.kind for detector in self.detectors}
        forced = [name for name in tags if (rule := self.policy.rule_for(name)) and rule.force]
        planned = plan(schema, report, tags, kinds, forced)
        planned = Plan(replace(field, cohorts=self._cohorts(field, schema)) for field in planned)
        return Plan(replace(field, key=self._key_of(field, period)) for field in planned)

    def _cohorts(self, field: PlannedField, schema: pa.Schema) -> Cohorts | None:
        """How the retention class of a field divides its rows; deterministic keys have no period."""
        kept = self.policy.retention.get((field.tag.retention if field.tag else None) or "")
        if kept is None or kept.granularity is None or kept.period_from is None or field.action not in KEYED:
            return None
        if key_mode(field) is not Mode.RANDOMIZED:
            return None
        names = unique_names(schema)
        if kept.period_from not in names:
            raise UsageError(
                f"{logical_name(field)}: the period of its retention class starts in the column {kept.period_from}, "
                f"which this table does not have{did_you_mean(kept.period_from, names)}"
            )
        place = names.index(kept.period_from)
        return Cohorts(place, safe_name(kept.period_from, place + 1)[0], kept.granularity)

    def _key_of(self, field: PlannedField, period: str) -> str:
        if field.tag is None or field.action not in KEYED:
            return ""
        if field.cohorts is not None:
            return f"each {field.cohorts.granularity} of {field.cohorts.shown}"
        mode = key_mode(field)
        key_id = self.keys.present_key(logical_name(field), field.tag.retention or "", field.tag.purposes, mode, period)
        return "new" if key_id is None else key_id.hex()

    def shows_equality(self, logical_field: str) -> bool:
        """Whether tokens of a field are to show which values are equal: a scan has to count frequent ones before."""
        rule, tag = self.policy.rule_for(logical_field), self.tags.get(logical_field)
        return (rule.mode if rule else tag.mode if tag else None) == "deterministic"

    def protect(
        self,
        data: ArrowData,
        *,
        table: str = "data",
        report: ScanReport | None = None,
        hashed: Callable[[int], None] | None = None,
        period: str = "",
        changing: bool = False,
    ) -> pa.RecordBatchReader:
        """`data` with its personal fields protected as the policy says, and tagged, as a stream.

        `table` is the name that the policy's rules know the table by. `period`: when the data is from, such as 2026-Q3;
        each period has keys of its own, that can be destroyed apart; where a retention class has a granularity, the
        column that it names says it for each row. `report` is a scan of the same data; without it, a table, a batch or
        a list of dicts is scanned first. Everything else is a stream, planned on the policy and its first batch; if a
        later batch shows personal data in a column that was left alone, UnprotectedDataError is raised before that
        batch is released. `hashed` hears of passwords that are hashed, some 41 ms of a core each. `changing`: others
        may have changed the data since `report`; if a column that was left alone then shows what it had not, the stream
        ends in UnprotectedDataError behind its last batch: what is written whole or not at all is not written.
        """
        if report is None and isinstance(data, pa.Table | pa.RecordBatch | Sequence):  # the same whenever it is read
            report = self._scan(data, table)
        reader = normalise(data)
        if report is None:
            first = list(_take_one(reader))
            report = self._scan(pa.Table.from_batches(first, reader.schema), table)
            planned = self._plan(reader.schema, report, period)
            rest = self._watch(reader, _left_alone(planned), table, APPEARED)
            reader = pa.RecordBatchReader.from_batches(reader.schema, chain(first, rest))
        else:
            planned = self._plan(reader.schema, report, period)
            if changing:
                rest = self._watch(reader, _left_alone(planned), table, CHANGED, at_end=True)
                reader = pa.RecordBatchReader.from_batches(reader.schema, rest)
        protected = protect_batches(reader, planned, self.keys, self.detectors, hashed, period)
        tags = [read_tag(field) for field in protected.schema]
        texts = [index for index, tag in enumerate(tags) if tag is not None and tag.protection == "encrypt-spans"]
        if not texts:
            return protected
        return pa.RecordBatchReader.from_batches(protected.schema, self._watch(protected, texts, table, REMAINED))

    def _scan(self, data: ArrowData, table: str) -> ScanReport:
        return scan_data(data, table=table, detectors=self.detectors, frequencies=self.shows_equality)

    def _watch(
        self, reader: pa.RecordBatchReader, columns: list[int], table: str, otherwise: str, *, at_end: bool = False
    ) -> Iterator[pa.RecordBatch]:
        """The batches of `reader`, each after a look at columns that nothing personal may be in; or with one look, at
        all of them, behind the last: what a scan of all of them would say."""
        counted = TableScan("(data)", table, self.detectors)
        for batch in reader:
            counted.add(batch.select(columns))
            if not at_end:
                self._check(counted, table, otherwise)
            yield batch
        if at_end:
            self._check(counted, table, otherwise)

    def _check(self, counted: TableScan, table: str, otherwise: str) -> None:
        report = suppress(ScanReport(counted.reports()), self.policy, date.today())
        for field, finding in report.findings:
            if finding.personal and finding.confidence >= Confidence.LIKELY:
                raise UnprotectedDataError(f"{table}.{field.field.path}: {finding.kind} {otherwise}")

    def reveal(
        self,
        *,
        purpose: str,
        actor: str | None = None,
        task: str | None = None,
        reason: str | None = None,
        role: str | None = None,
        rows: int | None = None,
    ) -> Session:
        """A session in which protected data is opened for `purpose`: `with guard.reveal(...) as session`.

        `actor`: who asks, by default the account of the operating system. `task`, `reason`: what is done (by default
        "reveal" or "search") and why this time, for the access record. `role`: needed where the policy has roles.
        `rows`: how many rows may be opened in all; a role may allow fewer. UsageError for a negative number.
        """
        if rows is not None and rows < 0:
            raise UsageError(f"rows is how many rows may be opened, not {rows}")
        return Session(
            self.policy,
            self.keys,
            self.audit,
            purpose=purpose,
            actor=actor or os_account(),
            task=task,
            reason=reason,
            role=role,
            rows=rows,
        )


def _left_alone(planned: Plan) -> list[int]:
    """The columns that nothing personal may be in."""
    return [field.index for field in planned if field.action == "keep" and not (field.tag and field.tag.exempt)]


def _take_one(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    for batch in reader:
        yield batch
        return
