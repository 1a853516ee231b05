"""Keys, and what is to become of them, as text. Names of fields and purposes are escaped; no key material is here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path

from pii_guard.crypto.key import Mode
from pii_guard.crypto.token import token_prefix
from pii_guard.keys.backup import Restored
from pii_guard.keys.destruction import Plan
from pii_guard.keys.document import KeyRecord
from pii_guard.keys.health import Check
from pii_guard.render import escape

__all__ = ["health", "listed", "plan", "remaining", "restored", "shown"]


def _key(record: KeyRecord) -> str:
    kept = f"{record.retention} {record.period}".strip()
    state = f"  destroyed {record.ended}" if record.state == "destroyed" else f"  {record.state}"
    mode = "" if record.mode == "randomized" else f"  {record.mode}"
    purposes = ", ".join(record.purposes)
    return escape.terminal(f"{record.key_id.hex()}  {record.field}  {kept}  {purposes}{mode}{state}")


def listed(records: Iterable[KeyRecord]) -> str:
    """One line a key."""
    return "".join(f"{_key(record)}\n" for record in records)


def _prefixes(record: KeyRecord) -> list[str]:
    """What its tokens start with; those that are bound to their rows, another."""
    kinds = (False, True) if record.mode is Mode.RANDOMIZED else (False,)
    return [token_prefix(record.key_id, record.mode, bound=bound) for bound in kinds]


def shown(record: KeyRecord) -> str:
    """All that is public about one key."""
    entries = {
        "key id": record.key_id.hex(),
        "field": record.field,
        "retention": record.retention,
        "period": record.period or "none",
        "mode": str(record.mode),
        "purposes": ", ".join(record.purposes),
        "created": record.created,
        "state": record.state + (f" on {record.ended}" if record.ended else ""),
        "tokens": f"start with {' or '.join(_prefixes(record))}",
    }
    if record.withdrawn:
        entries["withdrawn"] = ", ".join(record.withdrawn)
    return "".join(f"{name:10} {escape.terminal(text)}\n" for name, text in entries.items())


def plan(planned: Plan) -> str:
    """What a destruction makes unreadable, and what else it concerns."""
    text = "unreadable from now on, for everybody:\n"
    text += "".join(f"{_key(record)}\n" for record in planned.keys)
    whole = [record for record in planned.keys if not record.period]
    if whole:
        text += "of these nothing says when their data is from: all of it goes, whatever its age:\n"
        text += "".join(f"{_key(record)}\n" for record in whole)
    if planned.survivors:
        text += "wrapped anew; backups from before do not open these any more, make a new one:\n"
        text += "".join(f"{_key(record)}\n" for record in planned.survivors)
    if planned.copies:
        text += "registered copies:\n"
        text += "".join(f"{copy.what}: {escape.terminal(copy.path)}, made {copy.made}\n" for copy in planned.copies)
    return text


def restored(found: Restored) -> str:
    """What opens with a copy of keyring.json, and what does not."""
    text = f"keys that open: {len(found.keys)}\n"
    if found.lost:
        text += "keys that do not, as the secret of their epoch was destroyed since:\n"
        text += "".join(f"{_key(record)}\n" for record in found.lost)
    return text


def remaining(receipt: Path) -> Iterator[str]:
    """What a receipt leaves to do, one line each."""
    content = json.loads(receipt.read_text("utf-8"))
    for copy in content["copies"]:
        if copy["state"].startswith("NOT REACHED"):
            yield f"{copy['path']}: {copy['state']}"
    if content["survivors"]:
        yield "backups from before do not open the keys that were wrapped anew; make a new one: pii-guard keys backup"


def health(checks: Sequence[Check], expired: Sequence[tuple[str, str, date]], failure: str) -> str:
    """One line a check, then what is over, then what kept the directory from opening."""
    lines = [f"{check.state:4}  {check.name}: {check.text}" for check in checks]
    lines += [
        f"note  period over: {retention} {period}, on {until}; pii-guard keys destroy --retention {retention} "
        f"--period {period}"
        for retention, period, until in expired
    ]
    if failure:
        lines.append(f"bad   {failure}")
    return "".join(f"{escape.terminal(line)}\n" for line in lines)
