"""Access records are on disk before data is released, and no line of them can be changed unseen."""

from __future__ import annotations

import getpass
import hashlib
import io
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pii_guard.audit import AccessLog, AccessRequest, Head, read_heads, verify
from pii_guard.audit import log as log_module
from pii_guard.errors import AuditError, UsageError
from pii_guard.render.audit import listing, roles

WHO = AccessRequest("delivery", "kim@ops", "TICKET-1")
WHAT: dict[str, Any] = {"fields": ["customers.phone", "customers.name"], "key_ids": [b"\x01\x02\x03\x04"]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.jsonl"


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def three_accesses(path: Path) -> None:
    for rows in range(3):
        with AccessLog(path).access(WHO, **WHAT) as access:
            access.rows = rows


def test_opened_comes_first(path: Path) -> None:
    """`opened` is on disk before the body runs, `closed` with the counts after it."""
    with AccessLog(path).access(WHO, **WHAT) as access:
        (opened,) = records(path)
        access.rows += 3
        access.failures += 1
    closed = records(path)[1]
    assert (opened["event"], closed["event"], closed["outcome"]) == ("opened", "closed", "done")
    assert (closed["rows"], closed["failures"]) == (3, 1)
    assert opened["session"] == closed["session"] == access.session
    for record in (opened, closed):
        assert (record["purpose"], record["actor"], record["task"]) == (WHO.purpose, WHO.actor, WHO.task)
        assert record["fields"] == ["customers.name", "customers.phone"]
        assert record["key_ids"] == ["01020304"]
        assert record["host"]
        assert record["os_account"] == getpass.getuser()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["time"])
    assert verify(path) == []


def test_the_chain(path: Path) -> None:
    """Every line is canonical JSON, numbered from 1, and holds the SHA-256 of the line before."""
    three_accesses(path)
    AccessLog(path).refused(WHO, **WHAT)
    lines = path.read_bytes().split(b"\n")[:-1]
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, 8))
    assert json.loads(lines[0])["prev"] == "0" * 64
    for before, line in itertools.pairwise(lines):
        assert json.loads(line)["prev"] == hashlib.sha256(before).hexdigest()
    for line in lines:
        assert json.dumps(json.loads(line), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == line
    assert json.loads(lines[-1])["event"] == "refused"
    assert verify(path) == []


def test_failure_is_recorded(path: Path) -> None:
    """An exception closes the access as failed and goes on; its text stays out of the log."""
    log = AccessLog(path)

    def read() -> None:
        with log.access(WHO, **WHAT) as access:
            access.rows = 2
            raise RuntimeError("canary 010-1234-5678")

    with pytest.raises(RuntimeError):
        read()
    assert [(record["event"], record.get("outcome")) for record in records(path)] == [
        ("opened", None),
        ("closed", "failed"),
    ]
    assert records(path)[1]["rows"] == 2
    assert "canary" not in path.read_text("utf-8")


def test_what_cannot_be_recorded_is_not_released(tmp_path: Path) -> None:
    """If `opened` cannot be written, the body does not run."""
    released = []
    for path in (tmp_path / "missing" / "access.jsonl", tmp_path):

        def read(path: Path = path) -> None:
            with AccessLog(path).access(WHO, **WHAT):
                released.append(path)

        with pytest.raises(AuditError, match="access record cannot be written"):
            read()
    assert released == []


def test_a_failing_disk_is_an_audit_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that is not known to be on disk does not count."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AuditError, match="No space left"):
        AccessLog(path).refused(WHO, **WHAT)


def test_records_are_private(path: Path) -> None:
    """The log is made for its owner alone."""
    AccessLog(path).refused(WHO, **WHAT)
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600


EDITS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "changed value": lambda lines: [*lines[:2], lines[2].replace(b"delivery", b"billing"), *lines[3:]],
    "changed last line": lambda lines: [*lines[:-1], lines[-1].replace(b'"rows":2', b'"rows" :2')],
    "changed number": lambda lines: [*lines[:2], lines[2].replace(b'"seq":3', b'"seq":4'), *lines[3:]],
    "removed line": lambda lines: lines[:2] + lines[3:],
    "removed first line": lambda lines: lines[1:],
    "swapped lines": lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
    "doubled line": lambda lines: [*lines[:2], lines[1], *lines[2:]],
    "inserted line": lambda lines: [*lines[:2], b"{}", *lines[2:]],
    "empty line": lambda lines: [*lines[:2], b"", *lines[2:]],
    "no JSON": lambda lines: [*lines[:2], b"garbage", *lines[3:]],
    "garbage at the end": lambda lines: [*lines, b"garbage"],
    "other order of keys": lambda lines: [
        *lines[:2],
        json.dumps(dict(reversed(json.loads(lines[2]).items()))).encode(),
        *lines[3:],
    ],
    "emptied line": lambda lines: [b"{}", *lines[1:]],
}


@pytest.mark.parametrize("change", EDITS.values(), ids=EDITS.keys())
def test_edits_are_found(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """A line that is changed, removed, inserted or moved is reported, with its number."""
    three_accesses(path)
    path.write_bytes(b"".join(line + b"\n" for line in change(path.read_bytes().split(b"\n")[:-1])))
    problems = verify(path)
    assert problems
    assert all(re.match(r"line \d+: ", problem) for problem in problems)


def test_every_byte_counts(path: Path) -> None:
    """No byte can be changed without `verify` noticing, up to the last line: no line follows that vouches for it."""
    three_accesses(path)
    content = path.read_bytes()
    for place in range(0, content.rstrip(b"\n").rindex(b"\n") + 1, 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert verify(path), place


def test_a_torn_line_is_closed_off(path: Path) -> None:
    """What a crash cut short stays in the file; the next record is preceded by one that says so."""
    three_accesses(path)
    whole = path.read_bytes()
    for cut in (1, 40, len(whole.split(b"\n")[-2]) - 1, len(whole.split(b"\n")[-2])):
        torn = whole + whole.split(b"\n")[-2][:cut]
        path.write_bytes(torn)
        assert [problem.split(":")[1] for problem in verify(path)][
            -1
        ] == " was cut by a crash; the next access record will close it off"
        AccessLog(path).refused(WHO, **WHAT)
        assert path.read_bytes().startswith(torn + b"\n")
        recovered, refused = (json.loads(line) for line in path.read_bytes().split(b"\n")[-3:-1])
        assert (recovered["event"], recovered["seq"], recovered["torn_bytes"]) == ("recovered", 8, cut)
        assert (refused["event"], refused["seq"]) == ("refused", 9)


def test_a_log_with_a_closed_off_line_is_whole(path: Path) -> None:
    """A crash is no tampering; a torn line anywhere else is."""
    three_accesses(path)
    with path.open("ab") as file:
        file.write(b'{"actor":"ki')
    AccessLog(path).refused(WHO, **WHAT)
    AccessLog(path).refused(WHO, **WHAT)
    assert verify(path) == []
    lines = path.read_bytes().split(b"\n")[:-1]
    path.write_bytes(b"\n".join([*lines[:6], b'{"actor":"xx', *lines[7:]]) + b"\n")
    assert verify(path)


def test_a_torn_first_line(path: Path) -> None:
    """A crash in the very first record is closed off as any other."""
    path.write_bytes(b'{"actor"')
    AccessLog(path).refused(WHO, **WHAT)
    assert [record["event"] for record in records_after(path, 1)] == ["recovered", "refused"]
    assert verify(path) == []


def records_after(path: Path, line: int) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text("utf-8").splitlines()[line:]]


def test_a_damaged_end_stops_the_log(path: Path) -> None:
    """Nothing is chained to a last line that is no record, and nothing is released."""
    three_accesses(path)
    with path.open("ab") as file:
        file.write(b"garbage\n")
    before = path.read_bytes()
    with pytest.raises(AuditError, match="last access record is damaged"):
        AccessLog(path).refused(WHO, **WHAT)
    assert path.read_bytes() == before


def test_a_last_line_without_a_bottom_stops_the_log(path: Path) -> None:
    """Brackets without end are damage like any other."""
    three_accesses(path)
    with path.open("ab") as file:
        file.write(b'{"a":' + b"[" * 200_000 + b"\n")
    with pytest.raises(AuditError, match="last access record is damaged"):
        AccessLog(path).refused(WHO, **WHAT)
    with pytest.raises(AuditError, match="damaged last one"):
        AccessLog(path).head()
    assert verify(path)


def test_a_record_of_any_length_is_passed_in_linear_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hostile reason of megabytes costs the next record a look at few times as many bytes, not at their square."""
    AccessLog(path).refused(replace(WHO, reason="x\n" * 4_000_000), **WHAT)
    read = 0

    class Counted(io.FileIO):
        def read(self, size: int | None = -1, /) -> Any:
            nonlocal read
            data = super().read(size)
            read += len(data or b"")
            return data

    with Counted(path) as file:
        line, torn = log_module._tail(file)
    assert (hashlib.sha256(line).hexdigest(), torn) == (AccessLog(path).head().hash, b"")
    assert read < 4 * path.stat().st_size
    AccessLog(path).refused(WHO, **WHAT)
    assert verify(path) == []


@pytest.mark.parametrize(
    "entries",
    [
        {"event": "closed", "rows": "many"},
        {"event": "closed", "failures": [1]},
        {"event": "opened", "fields": 5},
        {"event": "roles"},
        {"event": "roles", "granted": {"x": 1}, "actor": "a", "time": "t"},
        {"event": "roles", "granted": {"x": {"fields": [1]}}, "actor": "a", "time": "t"},
    ],
)
def test_edited_records_are_shown_as_such(entries: dict[str, Any]) -> None:
    """Whatever somebody made of a log, it can be looked at."""
    shown = listing([{"seq": 7, **entries}]) + roles([entries])
    assert "not as pii-guard writes it" in shown


def test_hostile_words_stay_on_their_line() -> None:
    """An actor or a reason cannot forge lines of the list, nor control the terminal."""
    word = "x\n2  2026-01-01 opened\r\x1b[2J\u2028\x9b1m"
    shown = listing([{"seq": 1, "actor": word, "reason": word, "fields": [word], "task": word, "event": "opened"}])
    assert len(shown.splitlines()) == 2
    assert not set("\r\x1b\x9b\u2028") & set(shown)


def test_long_records_are_chained(path: Path) -> None:
    """A record longer than a block of the reader is found again."""
    AccessLog(path).refused(WHO, fields=[f"table.field{number}" for number in range(20_000)], key_ids=[])
    AccessLog(path).refused(WHO, **WHAT)
    assert verify(path) == []


def test_concurrent_writers_keep_one_chain(path: Path) -> None:
    """Processes that write at once end in one whole chain."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom pii_guard.audit import AccessLog, AccessRequest\n"
        "for _ in range(20):\n"
        "    AccessLog(Path(sys.argv[1])).refused(AccessRequest('p', 'a', 't'), fields=[], key_ids=[])\n"
    )
    children = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(2)]
    assert [child.wait() for child in children] == [0, 0]
    assert len(records(path)) == 40
    assert verify(path) == []


def test_reading_a_missing_log(path: Path) -> None:
    """A log that cannot be read is an error, not a log without problems."""
    with pytest.raises(AuditError, match="cannot be read"):
        verify(path)


def test_a_record_is_on_disk_before_the_access_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file and its directory are synced after the record was written and before the block is entered."""
    log, synced = AccessLog(tmp_path / "access.jsonl"), []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append((os.path.realpath(f"/proc/self/fd/{descriptor}"), log.path.stat().st_size))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with log.access(AccessRequest("p", "a", "t"), fields=["t.f"], key_ids=[]):
        assert [path for path, _ in synced] == [str(log.path), str(tmp_path)]
        assert synced[0][1] == log.path.stat().st_size > 0


def test_several_processes_keep_one_chain(tmp_path: Path) -> None:
    """Records of processes that write at the same time follow one another: no number twice, no link broken."""
    path = tmp_path / "access.jsonl"
    script = (
        "import sys; from pathlib import Path; from pii_guard.audit import AccessLog, AccessRequest\n"
        "for _ in range(15):\n"
        "    AccessLog(Path(sys.argv[1])).refused(AccessRequest('p', 'a', 't'), fields=['t.f'], key_ids=[])\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, str(path)]) for _ in range(3)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    assert verify(path) == []
    assert [json.loads(line)["seq"] for line in path.read_text().splitlines()] == list(range(1, 46))


def test_the_account_is_that_of_the_system_not_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that says another name changes nothing."""
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, "somebody-else")
    log = AccessLog(tmp_path / "access.jsonl")
    log.refused(AccessRequest("p", "a", "t"), fields=[], key_ids=[])
    assert json.loads(log.path.read_text())["os_account"] != "somebody-else"


# --- heads: what shows that the end is another one -------------------------------------------------------------------


def reseal(lines: list[bytes], number: int) -> list[bytes]:
    """`lines` with line `number` changed and all from there on written anew with fresh hashes: a whole chain."""
    sealed = [*lines[: number - 1]]
    for line in lines[number - 1 :]:
        record = json.loads(line)
        record["prev"] = hashlib.sha256(sealed[-1]).hexdigest() if sealed else "0" * 64
        if len(sealed) == number - 1:
            record["actor"] = "somebody-else"
        sealed.append(json.dumps(record, sort_keys=True, separators=(",", ":")).encode())
    return sealed


AT_THE_END: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "last line cut off": lambda lines: lines[:-1],
    "all but one cut off": lambda lines: lines[:1],
    "everything cut off": lambda lines: [],
    "last line changed": lambda lines: reseal(lines, 6),
    "sealed anew from the middle": lambda lines: reseal(lines, 3),
    "sealed anew from the start": lambda lines: reseal(lines, 1),
}


@pytest.mark.parametrize("change", AT_THE_END.values(), ids=AT_THE_END.keys())
def test_heads_show_what_the_chain_cannot(tmp_path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Truncation and re-sealing leave a whole chain; a head kept elsewhere tells, and so do all heads of a file."""
    path, heads = tmp_path / "access.jsonl", tmp_path / "elsewhere"
    for _ in range(3):
        with AccessLog(path, heads).access(WHO, **WHAT):
            pass
    lines = path.read_bytes().split(b"\n")[:-1]
    stored = read_heads(heads)
    assert [head.seq for head in stored] == [1, 2, 3, 4, 5, 6]
    assert stored[-1] == Head(6, hashlib.sha256(lines[-1]).hexdigest())
    assert verify(path, stored) == verify(path, stored[-1:]) == []
    path.write_bytes(b"".join(line + b"\n" for line in change(lines)))
    assert verify(path) == []
    assert verify(path, stored)
    assert verify(path, stored[-1:])


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_edit_of_the_lines_survives_a_head(data: st.DataObject) -> None:
    """Any lines other than the recorded ones, even with fresh hashes, are told by the head of the last one."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "access.jsonl"
        for _ in range(3):
            AccessLog(path).refused(WHO, **WHAT)
        lines = path.read_bytes().split(b"\n")[:-1]
        head = Head(3, hashlib.sha256(lines[-1]).hexdigest())
        edited = data.draw(st.lists(st.sampled_from([*lines, b"{}", b""]), max_size=5))
        if data.draw(st.booleans()) and edited and all(line not in (b"", b"{}") for line in edited):
            edited = reseal(edited, 1)
        path.write_bytes(b"".join(line + b"\n" for line in edited))
        assert (verify(path, [head]) == []) is (edited == lines)


def test_a_head_that_cannot_be_stored_releases_nothing(path: Path, tmp_path: Path) -> None:
    """Where the second place is gone, the access is refused as where the log is."""
    released = []
    with (
        pytest.raises(AuditError, match="head of the access records cannot be written"),
        AccessLog(path, tmp_path / "gone" / "heads").access(WHO, **WHAT),
    ):
        released.append(1)
    assert released == []


def test_a_torn_head_is_none(path: Path, tmp_path: Path) -> None:
    """A crash while a head was written costs that head alone."""
    heads = tmp_path / "heads"
    log = AccessLog(path, heads)
    log.refused(WHO, **WHAT)
    with heads.open("ab") as file:
        file.write(b"2 0123")
    log.refused(WHO, **WHAT)
    assert [head.seq for head in read_heads(heads)] == [1, 2]
    assert verify(path, read_heads(heads)) == []
    heads.write_text("something else\n")
    with pytest.raises(UsageError, match="a head is a number"):
        read_heads(heads)


def test_roles_are_recorded_when_they_change(path: Path) -> None:
    """Granted, changed and withdrawn: each is one record; what is in force already is none."""
    log = AccessLog(path)
    assert log.roles({}, actor="kim", task="t") is False
    courier = {"courier": {"purposes": ["delivery"], "fields": ["*"], "row_budget": 10}}
    assert log.roles(courier, actor="kim", task="t") is True
    with log.access(WHO, **WHAT):
        pass
    with path.open("ab") as file:
        file.write(b'{"torn')
    assert log.roles(courier, actor="kim", task="t") is False
    log.refused(WHO, **WHAT)
    assert log.roles(courier, actor="kim", task="t") is False
    assert log.roles({}, actor="lee", task="t") is True
    assert log.roles({}, actor="lee", task="t") is False
    found = [json.loads(line) for line in path.read_text().splitlines() if '"event":"roles"' in line]
    assert [(record["actor"], record["granted"]) for record in found] == [("kim", courier), ("lee", {})]
    assert verify(path) == []
