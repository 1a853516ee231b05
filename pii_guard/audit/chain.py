"""The form of access records, and whether a file of them is whole. Nothing here writes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pii_guard.errors import AuditError, UsageError

__all__ = ["FIRST", "Head", "canonical", "digest", "read_heads", "records", "verify"]

FIRST = "0" * 64
"""`prev` of the first line."""


@dataclass(frozen=True, slots=True)
class Head:
    """The number of a line and its SHA-256: what has to be kept elsewhere to know the log up to that line again.

    >>> Head.parse("2 " + "0f" * 32).seq
    2
    """

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq} {self.hash}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of `str`. Raises UsageError."""
        match = re.fullmatch(r"\s*([1-9][0-9]{0,17}) ([0-9a-f]{64})\s*", text)
        if match is None:
            raise UsageError("a head is a number and 64 hexadecimal digits, as `pii-guard audit head` prints it")
        return cls(int(match[1]), match[2])


def read_heads(path: Path) -> list[Head]:
    """The heads in a file, one a line; what a crash cut is none. Raises AuditError, UsageError."""
    try:
        lines = path.read_text("ascii").splitlines()
    except OSError as error:
        raise AuditError(f"{path}: the heads cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        lines = ["(binary)"]
    try:
        return [Head.parse(line) for line in lines if not re.fullmatch("(?:[0-9]+(?: [0-9a-f]{0,63})?)?", line)]
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def canonical(record: dict[str, Any]) -> bytes:
    """The one text form of a record: sorted keys, no spaces, ASCII."""
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


def digest(line: bytes) -> str:
    """The SHA-256 of a line without its line feed."""
    return hashlib.sha256(line).hexdigest()


def record_of(line: bytes) -> dict[str, Any]:
    """The record on a line; empty if the line is not one in canonical form."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) and canonical(record) == line else {}


def records(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a log, in its order; lines that are none are left out, `verify` names them. Raises AuditError."""
    for line, _ in _lines(path):
        record = record_of(line)
        if record:
            yield record


def verify(path: Path, heads: Iterable[Head] = ()) -> list[str]:
    """What is wrong with a log, one line each; empty if the chain is whole. Raises AuditError if it cannot be read.

    Finds lines that were changed, inserted, removed or moved. That lines are cut off the end, that the last line was
    changed (no line follows that holds its hash), or that all lines from some line on were written anew shows only
    against `heads` that were kept apart: up to the last of them the log is what it was.
    """
    wanted: dict[int, set[str]] = {}
    for head in heads:
        wanted.setdefault(head.seq, set()).add(head.hash)
    problems: list[str] = []
    prev, broken, number, cut = FIRST, 0, 0, False
    for number, (line, whole) in enumerate(_lines(path), 1):
        cut = not whole
        record = record_of(line)
        if broken and record.get("event") != "recovered":
            problems.append(f"line {broken}: is not a record in canonical form")
        broken = 0 if record else number
        if record and record.get("prev") != prev:
            problems.append(f"line {number}: does not follow from the line before it")
        if record and record.get("seq") != number:
            problems.append(f"line {number}: its number is another one")
        prev = digest(line)
        if wanted.pop(number, {prev}) != {prev}:
            problems.append(f"line {number}: is not the line that was there when its head was stored")
    if cut:
        problems.append(f"line {number}: was cut by a crash; the next access record will close it off")
    elif broken:
        problems.append(f"line {broken}: is not a record in canonical form")
    if wanted:
        problems.append(f"ends with line {number}, but the head of line {max(wanted)} was stored: lines were cut off")
    return problems


def _lines(path: Path) -> Iterator[tuple[bytes, bool]]:
    """Each line without its line feed, and whether it had one."""
    try:
        with Path(path).open("rb") as file:
            for raw in file:
                yield raw.removesuffix(b"\n"), raw.endswith(b"\n")
    except OSError as error:
        raise AuditError(f"{path}: cannot be read: {error.strerror}") from None
