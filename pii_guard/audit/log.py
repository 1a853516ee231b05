"""Writing access records.

`opened` is on disk before `AccessLog.access` lets its caller go on, `closed` follows with the counts. What cannot be
recorded is not released. No record ever holds a value read from the data.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from pii_guard.audit.chain import FIRST, Head, canonical, digest
from pii_guard.errors import AuditError
from pii_guard.files import sync_directory
from pii_guard.keys.files import locked

__all__ = ["Access", "AccessLog", "AccessRequest", "os_account"]

_BLOCK = 64 * 1024


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """Who asks for personal data, and for what."""

    purpose: str
    actor: str
    """The account that the caller claims; the account of the operating system is recorded beside it."""
    task: str
    reason: str | None = None
    role: str | None = None
    session: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Joins several accesses; a request has one of its own by default."""


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
    subjects: Mapping[str, Any] = field(default_factory=dict)
    """Entries of `closed` that say whose data it was."""


class AccessLog:
    """An append-only file of access records, one JSON object a line, each chained to the line before by its SHA-256.

    Several processes may write to one log. The file is made on the first record, its directory must exist. `heads`: a
    second file, kept where whoever can write the log cannot change it, to which the number and hash of each new line
    are appended. Every method raises AuditError if a record or its head cannot be written.
    """

    def __init__(self, path: Path, heads: Path | None = None) -> None:
        self.path = Path(path)
        self.heads = None if heads is None else Path(heads)

    @contextlib.contextmanager
    def access(self, request: AccessRequest, *, fields: Sequence[str], key_ids: Sequence[bytes]) -> Iterator[Access]:
        """Record `opened` on entry, durably, and `closed` on exit, with outcome `failed` if an exception passes.

        `fields` are logical fields.
        """
        access = Access(request.session)
        asked = _asked(request, fields, key_ids)
        opened = self._append({"event": "opened", **asked})
        outcome = "failed"
        try:
            yield access
            outcome = "done"
        finally:
            ids = sorted({*asked["key_ids"], *(key_id.hex() for key_id in access.key_ids)})
            closed = {"outcome": outcome, "opened": opened.seq, "rows": access.rows, "failures": access.failures}
            self._append({"event": "closed", **closed, **access.subjects, **asked, "key_ids": ids})

    def refused(self, request: AccessRequest, *, fields: Sequence[str], key_ids: Sequence[bytes]) -> None:
        """Record that an access was asked for and not granted."""
        self._append({"event": "refused", **_asked(request, fields, key_ids)})

    def roles(self, granted: Mapping[str, Mapping[str, Any]], *, actor: str, task: str) -> bool:
        """Record which role may do what, if that is not what was recorded last; returns whether it was not.

        `granted`: role -> what it may do, as JSON has it.
        """
        if not granted and not self.path.exists():  # no roles, now as before: no reason to begin a log
            return False
        wanted = digest(canonical(dict(granted))) if granted else None
        entries = {
            "event": "roles",
            "granted": dict(granted),
            "actor": actor,
            "task": task,
            "roles": wanted,
            **_place(),
        }
        return self._append_unless(entries, lambda last: last.get("roles") == wanted) is not None

    def head(self) -> Head:
        """Number and hash of the last whole line. Raises AuditError where there is none."""
        try:
            with self.path.open("rb") as file:
                line = _tail(file)[0]
            return Head(json.loads(line)["seq"], digest(line))
        except OSError as error:
            raise AuditError(f"{self.path}: cannot be read: {error.strerror}") from None
        except (ValueError, TypeError, KeyError, RecursionError):
            raise AuditError(f"{self.path}: has no access record yet, or a damaged last one") from None

    def _append(self, entries: dict[str, Any]) -> Head:
        head = self._append_unless(entries, lambda _: False)
        assert head is not None  # noqa: S101 - nothing is left out here
        return head

    def _append_unless(self, entries: dict[str, Any], known: Callable[[dict[str, Any]], bool]) -> Head | None:
        """Append a record, unless the last one shows that it is not needed."""
        try:
            with locked(self.path.with_name(self.path.name + ".lock")), _open(self.path) as file:
                head = self._write(file, entries, known)
                if head is None:
                    return None
                file.flush()
                os.fsync(file.fileno())
                sync_directory(self.path.parent)
                if self.heads is not None:
                    _store(self.heads, head)
        except OSError as error:
            raise AuditError(f"{self.path}: the access record cannot be written: {error.strerror}") from None
        return head

    def _write(self, file: IO[bytes], entries: dict[str, Any], known: Callable[[dict[str, Any]], bool]) -> Head | None:
        line, torn = _tail(file)
        try:
            last = json.loads(line) if line else {"seq": 0}
            seq, roles = last["seq"] + 1, last.get("roles")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise AuditError(
                f"{self.path}: the last access record is damaged; move the file away and keep it"
            ) from None
        if known(last):
            return None
        prev = digest(line) if line else FIRST
        new = b""
        if torn:  # a crash cut a record: it stays, closed off, and the next record says so
            recovered = _line(event="recovered", seq=seq + 1, torn_bytes=len(torn), prev=digest(torn), roles=roles)
            new = b"\n" + recovered + b"\n"
            seq, prev = seq + 2, digest(recovered)
        record = _line(**{"roles": roles, **entries}, seq=seq, prev=prev)
        file.write(new + record + b"\n")
        return Head(seq, digest(record))


def _open(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b")


def _store(path: Path, head: Head) -> None:
    """Append a head to the file of heads, durably."""
    try:
        new = not path.exists()
        with _open(path) as file:
            torn = _tail(file)[1]
            file.write(b"\n" * bool(torn) + f"{head}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        if new:
            sync_directory(path.parent)
    except OSError as error:
        raise AuditError(f"{path}: the head of the access records cannot be written: {error.strerror}") from None


def _asked(request: AccessRequest, fields: Sequence[str], key_ids: Sequence[bytes]) -> dict[str, Any]:
    return {
        **asdict(request),
        "fields": sorted(fields),
        "key_ids": sorted(key_id.hex() for key_id in key_ids),
        **_place(),
    }


def _place() -> dict[str, str]:
    return {"os_account": os_account(), "host": platform.node()}


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
    """A record of now, without the entries that are None."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return canonical({name: value for name, value in {"time": time, **entries}.items() if value is not None})


def _tail(file: IO[bytes]) -> tuple[bytes, bytes]:
    """The last whole line and what follows it without an end of line, either of them empty if there is none."""
    end, size = file.seek(0, os.SEEK_END), _BLOCK
    tail = b""
    while len(tail) < end and tail.count(b"\n") < 2:  # twice as much each time: linear in the length of a line
        file.seek(max(0, end - size))
        tail, size = file.read(min(size, end)), 2 * size
    whole, _, torn = tail.rpartition(b"\n")
    return whole.rpartition(b"\n")[2], torn
