"""Access records as text for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pii_guard.render.tags import columns

__all__ = ["listing", "roles"]


WRONG = (ValueError, TypeError, KeyError, AttributeError)
EDITED = "not as pii-guard writes it; see `pii-guard audit verify`"
"""What stands for a record that somebody edited, so that its members are something else."""


def listing(records: Sequence[Mapping[str, Any]]) -> str:
    """One line a record: when, who, from where, for what, which fields, with what outcome."""
    rows = [_row(record) for record in records]
    heading = ("seq", "time", "event", "actor", "account", "purpose", "task", "fields", "outcome")
    return columns([heading, *rows]) if rows else "no access records\n"


def _row(record: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        return (
            str(record.get("seq", "")),
            str(record.get("time", "")),
            str(record.get("event", "")),
            str(record.get("actor", "")),
            "@".join(str(record[name]) for name in ("os_account", "host") if name in record),
            str(record.get("purpose", "")),
            "; ".join(str(record[name]) for name in ("task", "reason") if name in record),
            ", ".join(map(str, record.get("fields", ()))),
            _outcome(record),
        )
    except WRONG:
        return (str(record.get("seq", "")), *[""] * 7, EDITED)


def _outcome(record: Mapping[str, Any]) -> str:
    parts = [f"role {record['role']}"] if "role" in record else []
    if record.get("event") == "closed":
        parts.append(f"{record.get('outcome')}, {record.get('rows', 0):,} rows")
        if "subjects" in record:
            parts.append(f"{len(record['subjects']):,} data subjects")
        elif "subjects_over" in record:
            parts.append(f"more than {record['subjects_over']:,} data subjects")
        if record.get("failures"):
            parts.append(f"{record['failures']:,} values did not open")
    elif record.get("event") == "roles":
        parts.append(f"{len(record.get('granted', {}))} roles from here on")
    elif record.get("event") == "recovered":
        parts.append(f"a crash cut {record.get('torn_bytes', 0)} bytes")
    return "; ".join(parts)


def roles(records: Iterable[Mapping[str, Any]]) -> str:
    """One line for each role that was granted, changed or withdrawn: when, by whom, and what it may do since."""
    rows: list[tuple[str, ...]] = []
    before: Mapping[str, Any] = {}
    for record in records:
        if record.get("event") != "roles":
            continue
        try:
            now = dict(record["granted"])
            changed = [role for role in sorted({*before, *now}) if before.get(role) != now.get(role)]
            who = str(record["time"]), str(record["actor"])
            rows += [(*who, _done(role, before, now), role, _rights(now.get(role))) for role in changed]
            before = now
        except WRONG:
            rows.append((str(record.get("time", "")), "", "", "", EDITED))
    return columns([("time", "actor", "what", "role", "may open"), *rows]) if rows else "no roles were recorded\n"


def _done(role: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    return "granted" if role not in before else "withdrawn" if role not in now else "changed"


def _rights(role: Mapping[str, Any] | None) -> str:
    if role is None:
        return "nothing"
    budget = f"; {role['row_budget']:,} rows a session" if role.get("row_budget") else ""
    return f"{', '.join(role['fields'])} for {', '.join(role['purposes']) or 'no purpose'}{budget}"
