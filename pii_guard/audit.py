"""Access records: who opened which personal data, when, from where, for what (docs/FORMAT.md, Access record).

`opened` is on disk before `AccessLog.access` lets its caller go on, `closed` follows with the counts. What cannot be
recorded is not released. No record ever holds a value read from the data.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import sys
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from pii_guard.errors import AuditError
from pii_guard.files import sync_directory
from pii_guard.keys.files import locked

__all__ = ["Access", "AccessLog", "os_account", "verify"]

_FIRST = "0" * 64
"""`prev` of the first line."""
_BLOCK = 64 * 1024


@dataclass(slots=True)
class Access:
    """One access under way. Whoever reads the data keeps the counts; they go into the `closed` record."""

    session: str
    rows: int = 0
    """Rows released so far."""
    failures: int = 0
    """Values that could not be decrypted so far."""
    key_ids: Collection[bytes] = ()
    """Keys used so far; `opened` names those that were known beforehand."""


class AccessLog:
    """An append-only file of access records, one JSON object a line, each chained to the line before by its SHA-256.

    Several processes may write to one log. The file is made on the first record, its directory must exist. Every method
    raises AuditError if a record cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    @contextlib.contextmanager
    def access(
        self, *, purpose: str, actor: str, task: str, fields: Sequence[str], key_ids: Sequence[bytes]
    ) -> Iterator[Access]:
        """Record `opened` on entry, durably, and `closed` on exit, with outcome `failed` if an exception passes.

        `actor` is the account that the caller claims; the account of the operating system is recorded beside it.
        `fields` are logical fields.
        """
        access = Access(uuid.uuid4().hex)
        subject = _subject(purpose, actor, task, fields, key_ids)
        self._append(event="opened", session=access.session, **subject)
        outcome = "failed"
        try:
            yield access
            outcome = "done"
        finally:
            self._append(
                event="closed",
                session=access.session,
                outcome=outcome,
                rows=access.rows,
                failures=access.failures,
                **subject | {"key_ids": sorted({*subject["key_ids"], *(key_id.hex() for key_id in access.key_ids)})},
            )

    def refused(self, *, purpose: str, actor: str, task: str, fields: Sequence[str], key_ids: Sequence[bytes]) -> None:
        """Record that an access was asked for and not granted."""
        self._append(event="refused", session=uuid.uuid4().hex, **_subject(purpose, actor, task, fields, key_ids))

    def _append(self, **entries: Any) -> None:
        try:
            with locked(self.path.with_name(self.path.name + ".lock")), _open(self.path) as file:
                self._write(file, entries)
                file.flush()
                os.fsync(file.fileno())
                sync_directory(self.path.parent)
        except OSError as error:
            raise AuditError(f"{self.path}: the access record cannot be written: {error.strerror}") from None

    def _write(self, file: IO[bytes], entries: dict[str, Any]) -> None:
        line, torn = _tail(file)
        try:
            seq = json.loads(line)["seq"] + 1 if line else 1
        except (ValueError, TypeError, KeyError):
            raise AuditError(
                f"{self.path}: the last access record is damaged; move the file away and keep it"
            ) from None
        prev = hashlib.sha256(line).hexdigest() if line else _FIRST
        new = b""
        if torn:  # a crash cut a record: it stays, closed off, and the next record says so
            recovered = _line(
                event="recovered", seq=seq + 1, torn_bytes=len(torn), prev=hashlib.sha256(torn).hexdigest()
            )
            new = b"\n" + recovered + b"\n"
            seq, prev = seq + 2, hashlib.sha256(recovered).hexdigest()
        file.write(new + _line(seq=seq, prev=prev, **entries) + b"\n")


def _open(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b")


def _subject(
    purpose: str, actor: str, task: str, fields: Sequence[str], key_ids: Sequence[bytes]
) -> dict[str, str | list[str]]:
    return {
        "purpose": purpose,
        "actor": actor,
        "task": task,
        "fields": sorted(fields),
        "key_ids": sorted(key_id.hex() for key_id in key_ids),
        "os_account": os_account(),
        "host": platform.node(),
    }


def os_account() -> str:
    """The account that this process runs under. Not getpass.getuser, which believes the environment."""
    if sys.platform == "win32":
        return os.getlogin()
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a user id without a name, as in many containers
        return f"uid {os.geteuid()}"


def _line(**entries: Any) -> bytes:
    """The one text form of a record: sorted keys, no spaces, UTF-8."""
    entries.setdefault("time", datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"))
    return _canonical(entries)


def _canonical(record: dict[str, Any]) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


def _tail(file: IO[bytes]) -> tuple[bytes, bytes]:
    """The last whole line and what follows it without an end of line, either of them empty if there is none."""
    end = file.seek(0, os.SEEK_END)
    tail = b""
    while end and tail.count(b"\n") < 2:
        start = max(0, end - _BLOCK)
        file.seek(start)
        tail, end = file.read(end - start) + tail, start
    whole, _, torn = tail.rpartition(b"\n")
    return whole.rpartition(b"\n")[2], torn


def verify(path: Path) -> list[str]:
    """What is wrong with a log, one line each; empty if the chain is whole. Raises AuditError if it cannot be read.

    Finds lines that were changed, inserted, removed or moved. Does not find that lines are cut off the end, that the
    last line was changed (no line follows that holds its hash), or that the chain was recomputed from some line on:
    these need a copy of a hash kept elsewhere.
    """
    problems: list[str] = []
    prev, broken, cut = _FIRST, 0, False
    try:
        with Path(path).open("rb") as file:
            for number, raw in enumerate(file, 1):
                line, cut = raw.removesuffix(b"\n"), not raw.endswith(b"\n")
                record = _record(line)
                if broken and record.get("event") != "recovered":
                    problems.append(f"line {broken}: is not a record in canonical form")
                broken = 0 if record else number
                if record and record.get("prev") != prev:
                    problems.append(f"line {number}: does not follow from the line before it")
                if record and record.get("seq") != number:
                    problems.append(f"line {number}: its number is another one")
                prev = hashlib.sha256(line).hexdigest()
    except OSError as error:
        raise AuditError(f"{path}: cannot be read: {error.strerror}") from None
    if cut:
        problems.append(f"line {number}: was cut by a crash; the next access record will close it off")
    elif broken:
        problems.append(f"line {broken}: is not a record in canonical form")
    return problems


def _record(line: bytes) -> dict[str, Any]:
    """The record on a line; empty if the line is not one in canonical form."""
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) and _canonical(record) == line else {}
