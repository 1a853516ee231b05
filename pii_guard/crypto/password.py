"""Passwords: Argon2id (RFC 9106) as PHC strings, without a way back. A login verifies, and hashes anew what is weak."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from pii_guard.crypto.values import encode
from pii_guard.errors import UsageError

__all__ = ["SECONDS_A_HASH", "Cost", "hash_column", "hash_password", "needs_rehash", "verify"]

_SALT_SIZE, _HASH_SIZE = 16, 32
SECONDS_A_HASH = 0.041
"""What one hash costs a core at the least cost, measured on an AMD EPYC (Zen 3). It is meant to cost that much."""
MOST_MEMORY_KIB = 2 * 1024 * 1024
"""What the first choice of RFC 9106, section 4, takes, in one pass."""
MOST_WORK_KIB = 8 * MOST_MEMORY_KIB
_PHC = re.compile(
    r"\$argon2id\$v=19\$m=(\d{1,9}),t=(\d{1,9}),p=(\d{1,4})\$([A-Za-z0-9+/]{11,})\$([A-Za-z0-9+/]{16,})", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a hash costs: KiB of memory, passes over it, lanes. By default the least that OWASP recommends."""

    memory_kib: int = 19 * 1024
    iterations: int = 2
    lanes: int = 1


LEAST = Cost()


def hash_password(password: str | bytes, cost: Cost = LEAST) -> str:
    """The PHC string of a password, with a fresh salt. Text counts as its UTF-8, unchanged."""
    kdf = Argon2id(
        salt=os.urandom(_SALT_SIZE),
        length=_HASH_SIZE,
        iterations=cost.iterations,
        lanes=cost.lanes,
        memory_cost=cost.memory_kib,
    )
    return str(kdf.derive_phc_encoded(_bytes(password)))


def verify(password: str | bytes, phc: str) -> bool:
    """Whether `phc` is a hash of `password`. Raises UsageError for a string that is no PHC string of Argon2id, or one
    that costs so much that a planted one would stop a login."""
    found = _PHC.fullmatch(phc)
    if found is None:
        raise UsageError("not a PHC string of Argon2id, version 19; verify it by the scheme that made it")
    memory, iterations, _ = map(int, found.groups()[:3])
    if memory > MOST_MEMORY_KIB or memory * iterations > MOST_WORK_KIB:
        raise UsageError("a PHC string that costs more than 2 GiB of memory, or 8 passes over as much, is not tried")
    try:
        Argon2id.verify_phc_encoded(_bytes(password), phc)
    except InvalidKey:
        return False
    except ValueError:  # parameters that no Argon2id takes
        raise UsageError("a PHC string with parameters that Argon2id does not have") from None
    return True


def needs_rehash(phc: str, cost: Cost = LEAST) -> bool:
    """Whether a hash is of another scheme than Argon2id or costs less than `cost`: hash anew at the next login."""
    found = _PHC.fullmatch(phc)
    if found is None:
        return True
    memory, iterations, lanes = map(int, found.groups()[:3])
    return memory < cost.memory_kib or iterations < cost.iterations or lanes < cost.lanes


def hash_column(
    values: pa.Array, field: str, cost: Cost = LEAST, done: Callable[[int], None] | None = None
) -> pa.StringArray:
    """The PHC string of each value, each with a salt of its own; null stays null. `done` hears of hashes made.

    One hash a core at a time: 25 a second and core at the least cost, by design. Raises UsageError as `encrypt_column`.
    """
    plain = encode(values, field)

    def one(value: bytes | None) -> str | None:
        if value is None:
            return None
        made = hash_password(value, cost)
        if done is not None:
            done(1)
        return made

    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        return pa.array(list(pool.map(one, plain.to_pylist())), pa.string())
    finally:  # Ctrl-C: what has not begun does not begin
        pool.shutdown(wait=True, cancel_futures=True)


def _bytes(password: str | bytes) -> bytes:
    return password.encode() if isinstance(password, str) else password
