"""Sessions: what may be opened, by whom, how much of it, and that nothing is released that is not recorded."""

from __future__ import annotations

import contextlib
import datetime
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from guards import guard_of, opened, recorded
from policies import HEAD

from pii_guard import Guard
from pii_guard.audit import AccessLog, read_heads, verify
from pii_guard.detectors import TABLE as KINDS
from pii_guard.detectors import load as detector
from pii_guard.errors import (
    AccessRefusedError,
    AuditError,
    KeyringError,
    PurposeRefusedError,
    TokenError,
    UsageError,
)
from pii_guard.keys.rotation import withdraw
from pii_guard.subjects import pseudonyms_of
from pii_guard.tags import read_tag, write_tag

POLICY = (
    HEAD
    + """\
[retention.short]
period = "P1Y"
[[fields]]
match = ["t.name", "t.phone", "t.born", "t.raw", "t.code", "t.odd"]
purposes = ["delivery"]
retention = "contract"
[[fields]]
match = "t.both"
purposes = ["delivery", "payment"]
retention = "contract"
[[fields]]
match = "t.card"
purposes = ["payment"]
retention = "contract"
"""
)
ROLES = """
[roles.courier]
title = "Couriers"
purposes = ["delivery"]
fields = ["t.name", "t.phone"]
row_budget = 5
"""
TABLE = pa.table(
    {
        "name": ["홍길동", None, "김민수"],
        "phone": ["010-1234-5678", "", "010-9876-5432"],
        "born": pa.array([datetime.date(1990, 1, 1), None, datetime.date(2000, 2, 29)]),
        "card": ["4111-1111-1111-1111"] * 3,
        "raw": pa.array([b"\x00\xff", None, b"abc"]),
        "code": pa.array([b"\xff1", None, b"ab"], pa.binary(2)),
        "city": ["Seoul"] * 3,
    }
)
DELIVERY = ["name", "phone", "born", "raw", "code"]


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    return guard_of(tmp_path, POLICY)


@pytest.fixture
def protected(guard: Guard) -> pa.Table:
    return guard.protect(TABLE, table="t").read_all()


def test_masked_unless_asked(guard: Guard, protected: pa.Table) -> None:
    """A value shows what a report would show of its kind, nulls stay; other columns and their order are untouched."""
    part = protected.select([*DELIVERY, "city"])
    with guard.reveal(purpose="delivery") as session:
        masked = session.decrypt(part).read_all()
        plain = session.decrypt(part, masked=False).read_all()
    assert plain.equals(TABLE.select([*DELIVERY, "city"]))
    assert masked.column_names == part.column_names
    for name in DELIVERY:
        tag = read_tag(part.schema.field(name))
        assert tag is not None
        kind = detector(tag.kind).kind if tag.kind in KINDS else None
        texts = [None if value is None else str(value) for value in TABLE[name].to_pylist()]
        wanted = [text and (kind.mask(text) if kind else "********") for text in texts]
        assert masked[name].to_pylist() == wanted, name
    assert masked["city"].to_pylist() == ["Seoul"] * 3


def test_only_the_columns_that_are_named(guard: Guard, protected: pa.Table) -> None:
    """What is not named stays encrypted and tagged, and does not have to be allowed for the purpose."""
    with pytest.raises(PurposeRefusedError, match=r"t\.card: may not be opened"):
        opened(guard, protected, purpose="delivery")
    with guard.reveal(purpose="delivery") as session:
        some = session.decrypt(protected, columns=["phone", "name"], masked=False).read_all()
        assert some.select(["name", "phone"]).equals(TABLE.select(["name", "phone"]))
        assert some.select(["card", "born"]).equals(protected.select(["card", "born"]))
        assert some.schema.field("card").metadata == protected.schema.field("card").metadata
        with pytest.raises(UsageError, match='did you mean "phone"'):
            session.decrypt(protected, columns=["phon"])
        with pytest.raises(UsageError, match="list of names"):
            session.decrypt(protected, columns=[])
    assert recorded(guard)[1]["fields"] == ["t.name", "t.phone"]


def test_a_session_joins_its_accesses(guard: Guard, protected: pa.Table) -> None:
    """All have its id, purpose, task and reason; each `closed` names its `opened`, also where they overlap."""
    with guard.reveal(purpose="delivery", actor="hong", task="labels", reason="TICKET-7") as session:
        first = session.decrypt(protected.select(["name"]))
        second = session.decrypt(protected.select(["phone"]))
        first.read_next_batch()
        second.read_next_batch()
        first.read_all()
        second.read_all()
    found = recorded(guard)
    assert [record["event"] for record in found] == ["opened", "opened", "closed", "closed"]
    assert [record["opened"] for record in found[2:]] == [1, 2]
    assert len({record["session"] for record in found}) == 1
    assert {(record["actor"], record["task"], record["reason"]) for record in found} == {("hong", "labels", "TICKET-7")}


def test_nothing_comes_after_the_session(guard: Guard, protected: pa.Table) -> None:
    """A stream that was not read to its end is recorded as failed, and reading on is an error, not an early end."""
    many = pa.concat_tables([protected.select(["phone"])] * 50_000)
    with guard.reveal(purpose="delivery") as session:
        reader, unread = session.decrypt(many), session.decrypt(many)
        rows = reader.read_next_batch().num_rows
    for late in (reader, unread):
        with pytest.raises(UsageError, match="the session is over"):
            late.read_next_batch()
    with pytest.raises(UsageError, match="`with` block"):
        session.decrypt(many)
    with pytest.raises(UsageError, match="`with` block"):
        guard.reveal(purpose="delivery").decrypt(many)
    (first, closed) = recorded(guard)
    assert (first["event"], closed["event"], closed["outcome"], closed["rows"]) == ("opened", "closed", "failed", rows)


def test_the_row_budget(guard: Guard, protected: pa.Table) -> None:
    """Rows count over all accesses of a session; the batch that would exceed it is not released."""
    part = protected.select(["phone"])
    with guard.reveal(purpose="delivery", rows=7) as session:
        assert session.decrypt(part).read_all().num_rows == 3
        assert session.decrypt(part).read_all().num_rows == 3
        with pytest.raises(AccessRefusedError, match="1 rows left, and 3 more"):
            session.decrypt(part).read_all()
        assert session.decrypt(part.slice(0, 1)).read_all().num_rows == 1
    assert [(record["outcome"], record["rows"]) for record in recorded(guard) if record["event"] == "closed"] == [
        ("done", 3),
        ("done", 3),
        ("failed", 0),
        ("done", 1),
    ]


def test_threads_share_a_budget(guard: Guard, protected: pa.Table) -> None:
    """What many threads open in one session is what its budget allows, and all of it is in the records."""
    part = protected.select(["phone"])
    opened_rows: list[int] = []
    with guard.reveal(purpose="delivery", rows=30) as session:

        def work() -> None:
            for _ in range(5):
                with contextlib.suppress(AccessRefusedError):
                    opened_rows.append(session.decrypt(part).read_all().num_rows)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum(opened_rows) == 30
    assert sum(record["rows"] for record in recorded(guard) if record["event"] == "closed") == 30
    assert verify(guard.audit.path) == []
    with pytest.raises(UsageError, match="rows is how many rows may be opened, not -1"):
        guard.reveal(purpose="delivery", rows=-1)


def test_threads_share_the_access_of_single_values(guard: Guard, protected: pa.Table) -> None:
    """Values of one field are one access, whichever threads ask for them, and each is counted."""
    token = protected["name"][0].as_py()
    start = threading.Barrier(8)
    with guard.reveal(purpose="delivery") as session:

        def work() -> None:
            start.wait()
            for _ in range(20):
                session.value(token, "t.name")

        threads = [threading.Thread(target=work) for _ in range(start.parties)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    events = [(record["event"], record.get("rows")) for record in recorded(guard) if record["event"] != "roles"]
    assert events == [("opened", None), ("closed", 160)]


def test_roles(tmp_path: Path, protected: pa.Table) -> None:
    """A policy with roles opens what the role names, within its budget; everything else is refused and recorded."""
    guard = guard_of(tmp_path, POLICY + ROLES)
    part = protected.select(["name", "phone"])
    for role, purpose, data, message in [
        (None, "delivery", part, "grants access by roles; name yours: courier"),
        ("curier", "delivery", part, "declares no role 'curier'; did you mean \"courier\""),
        ("courier", "payment", protected.select(["card"]), "may open nothing for 'payment'; its purposes: delivery"),
        ("courier", "delivery", protected.select(["phone", "born"]), r"may not open t\.born"),
    ]:
        with pytest.raises(AccessRefusedError, match=message):
            opened(guard, data, purpose=purpose, role=role)
    with guard.reveal(purpose="delivery", role="courier", rows=1000) as session:
        assert session.decrypt(part, masked=False).read_all().equals(TABLE.select(["name", "phone"]))
        with pytest.raises(AccessRefusedError, match="2 rows left"):
            session.decrypt(part).read_all()
    events = [record["event"] for record in recorded(guard)]
    assert events == ["roles", *["refused"] * 4, "opened", "closed", "opened", "closed"]
    assert recorded(guard)[0]["granted"]["courier"]["row_budget"] == 5
    assert recorded(guard)[5]["role"] == "courier"


@pytest.mark.parametrize(
    "change",
    [
        {"purposes": ("delivery", "payment")},
        {"retention": "short"},
        {"field": "t.name"},
        {"mode": "deterministic"},
        {"key_id": "of t.name"},
    ],
    ids=str,
)
def test_a_forged_tag_is_refused(guard: Guard, protected: pa.Table, change: dict[str, Any]) -> None:
    """A tag is a statement: one that says more than the record of its key opens nothing; the attempt is recorded."""
    field = protected.schema.field("phone")
    tag = read_tag(field)
    assert tag is not None
    if "key_id" in change:
        (name,) = (record for record in guard.keys.records() if record.field == "t.name")
        change = {"key_id": name.key_id.hex()}
    forged = pa.table([protected["phone"]], pa.schema([write_tag(field, replace(tag, **change))]))
    with pytest.raises(KeyringError, match="correct"):
        opened(guard, forged, purpose="delivery")
    with pytest.raises(PurposeRefusedError):
        opened(guard, forged, purpose="payment")
    assert [record["event"] for record in recorded(guard)] == ["refused", "refused"]


def test_data_from_before_a_withdrawal_opens_for_the_purposes_that_are_left(guard: Guard) -> None:
    """Its tags still state the purpose that was withdrawn: it opens nothing any more, and the others do."""
    protected = guard.protect(pa.table({"both": ["010-1234-5678"]}), table="t").read_all()
    withdraw(guard.keys, "payment")
    tag = read_tag(protected.schema.field("both"))
    assert tag is not None
    assert tag.purposes == ("delivery", "payment")
    assert opened(guard, protected, purpose="delivery")["both"].to_pylist() == ["010-1234-5678"]
    with pytest.raises(PurposeRefusedError):
        opened(guard, protected, purpose="payment")


def test_a_copied_column_is_refused(guard: Guard, protected: pa.Table) -> None:
    """Tokens of one column under the name and tag of another do not open, whichever way they were put there."""
    field = protected.schema.field("name")
    under_tag = pa.table([protected["phone"]], pa.schema([field]))
    with pytest.raises(KeyringError, match="several fields"):
        opened(guard, under_tag, purpose="delivery")
    mixed = pa.table([pa.chunked_array([protected["name"].chunk(0), protected["phone"].chunk(0)])], pa.schema([field]))
    with pytest.raises(KeyringError):
        opened(guard, mixed, purpose="delivery")


def test_heads_are_stored_before_anything_is_released(tmp_path: Path, protected: pa.Table) -> None:
    """The head of `opened` is in the second place when the first batch comes; an edited log is told by it."""
    from pii_guard.audit import AccessLog

    log = AccessLog(tmp_path / "keys" / "access.jsonl", tmp_path / "heads")
    guard = guard_of(tmp_path, POLICY, audit=log)
    with guard.reveal(purpose="delivery") as session:
        session.decrypt(protected.select(["phone"])).read_next_batch()
        assert [head.seq for head in read_heads(tmp_path / "heads")] == [1]
    assert verify(log.path, read_heads(tmp_path / "heads")) == []
    log.path.write_bytes(log.path.read_bytes().splitlines(keepends=True)[0])
    assert verify(log.path) == []
    assert verify(log.path, read_heads(tmp_path / "heads"))


def test_sources_are_closed_when_a_session_ends_early(guard: Guard, protected: pa.Table) -> None:
    """An exception in the `with` block ends the stream behind a reader, with its files."""
    ended = []

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield from protected.select(["phone"]).to_batches() * 50_000
        finally:
            ended.append(True)

    schema = protected.select(["phone"]).schema

    def stop() -> None:
        with guard.reveal(purpose="delivery") as session:
            session.decrypt(pa.RecordBatchReader.from_batches(schema, batches())).read_next_batch()
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        stop()
    assert recorded(guard)[-1]["outcome"] == "failed"
    assert ended == [True]


def test_whose_data_was_opened_is_recorded_as_pseudonyms(guard: Guard) -> None:
    """A person's number leads to the accesses that opened their data; the record does not hold it."""
    table = pa.table({"id": [1701, 1702, None, 1701], "phone": ["010-1234-5678"] * 4})
    protected = guard.protect(table, table="t").read_all()
    with guard.reveal(purpose="delivery") as session:
        session.decrypt(protected, subject="id").read_all()
        session.decrypt(protected.slice(1), subject="phone").read_all()
        with pytest.raises(UsageError, match="no column of it"):
            session.decrypt(protected, subject="ids")
        many = pa.table({"id": range(1_001), "phone": [protected["phone"][0].as_py()] * 1_001})
        session.decrypt(many, subject="id").read_all()
    closed = [record for record in recorded(guard) if record["event"] == "closed"]
    assert [len(record.get("subjects", ())) for record in closed] == [2, 1, 0]
    assert closed[2]["subjects_over"] == 1_000
    assert pseudonyms_of("1701", guard.keys) <= {*closed[0]["subjects"]}
    assert not pseudonyms_of("1703", guard.keys) & {*closed[0]["subjects"]}
    assert pseudonyms_of("010-1234-5678", guard.keys) == {*closed[1]["subjects"]}
    assert "1701" not in json.dumps(closed[0]["subjects"])


def test_no_access_has_named_anybody_yet(guard: Guard) -> None:
    """There is no key to call anybody by."""
    with pytest.raises(KeyringError, match="recorded data subjects yet"):
        pseudonyms_of("1701", guard.keys)


def test_every_access_is_closed_when_a_record_fails(
    guard: Guard, protected: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full when one access is closed leaves the others closed, and releases nothing more of any."""
    part = protected.select(["name"]).to_batches()[0].slice(0, 1)
    many = pa.Table.from_batches([part, part])
    write, failures = AccessLog._append, iter([OSError])
    streams: list[pa.RecordBatchReader] = []

    def full(self: AccessLog, entries: dict[str, Any]) -> Any:
        if entries["event"] == "closed" and next(failures, None):
            raise AuditError("full")
        return write(self, entries)

    monkeypatch.setattr(AccessLog, "_append", full)

    def begun() -> None:
        with guard.reveal(purpose="delivery") as session:
            for _ in range(3):
                streams.append(session.decrypt(many.to_reader(max_chunksize=1)))
                streams[-1].read_next_batch()

    with pytest.raises(AuditError, match="full"):
        begun()
    assert [record["event"] for record in recorded(guard)] == ["opened"] * 3 + ["closed"] * 2
    for stream in streams:
        with pytest.raises(UsageError, match="the session is over"):
            stream.read_next_batch()


def test_single_values_that_do_not_open_are_recorded(guard: Guard, protected: pa.Table) -> None:
    """An attempt is an access too: `opened` is there, and `closed` counts what did not open."""
    token = protected["name"][0].as_py()
    broken = token[:40] + ("A" if token[40] != "A" else "B") + token[41:]
    with guard.reveal(purpose="delivery") as session:
        with pytest.raises(TokenError):
            session.value(broken, "t.name")
        assert session.value(token, "t.name", masked=False) == "홍길동"
    first, last = recorded(guard)
    assert (first["event"], last["event"], last["outcome"]) == ("opened", "closed", "done")
    assert (last["rows"], last["failures"]) == (1, 1)
