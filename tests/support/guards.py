"""A guard over a policy and keys of its own, and what it protected, opened as a pipeline opens it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from pii_guard import Guard, Keyring
from pii_guard.audit import records

__all__ = ["guard_of", "opened", "recorded"]


def guard_of(folder: Path, policy: str, **options: Any) -> Guard:
    """A guard by this policy, written into `folder`, with the keys there, made where there are none."""
    path, keys = folder / "pii-guard.toml", folder / "keys"
    path.write_text(policy, "utf-8")
    return Guard(path, Keyring.open(keys) if keys.exists() else Keyring.create(keys), **options)


def opened(guard: Guard, data: Any, **session: Any) -> pa.Table:
    """All of `data` in plain, in a session of its own."""
    with guard.reveal(**session) as opening:
        return opening.decrypt(data, masked=False).read_all()


def recorded(guard: Guard) -> list[dict[str, Any]]:
    """The access records of a guard."""
    return list(records(guard.audit.path))
