"""Passwords are Argon2id hashes that others verify too; there is no way back, and what is weak says so."""

from __future__ import annotations

import base64
import re

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from pii_guard.crypto.password import Cost, hash_column, hash_password, needs_rehash, verify
from pii_guard.errors import UsageError

CHEAP = Cost(memory_kib=64, iterations=1)
# the reference implementation's tests (phc-winner-argon2, src/test.c): version 0x13, 2 passes over 64 MiB, one lane
REFERENCE = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"


def decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))


def test_a_hash_is_argon2id_with_a_salt_of_its_own() -> None:
    """The PHC string holds its parameters, and a plain Argon2id with them gives the same bytes."""
    first, second = hash_password("비밀"), hash_password("비밀")
    assert first != second
    match = re.fullmatch(r"\$argon2id\$v=19\$m=19456,t=2,p=1\$(.+)\$(.+)", first)
    assert match is not None
    kdf = Argon2id(salt=decoded(match[1]), length=32, iterations=2, lanes=1, memory_cost=19456)
    assert kdf.derive("비밀".encode()) == decoded(match[2])
    assert len(decoded(match[1])) == 16


def test_only_the_password_verifies() -> None:
    """Text and its UTF-8 are one; any other password is refused."""
    phc = hash_password("correct horse", CHEAP)
    assert verify("correct horse", phc)
    assert verify(b"correct horse", phc)
    assert not verify("correct hors", phc)
    assert not verify("", phc)


def test_hashes_of_others_verify() -> None:
    """The vector of the reference implementation."""
    assert verify("password", REFERENCE)
    assert not verify("Password", REFERENCE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hunter2",
        "$2b$12$" + "a" * 53,
        "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        REFERENCE.replace("v=19", "v=16"),
        REFERENCE[:-30],
        REFERENCE + "\n",
        REFERENCE.replace("m=65536", "m=1"),
        REFERENCE.replace("p=1", "p=0"),
    ],
)
def test_what_is_no_hash_of_ours_cannot_be_verified(text: str) -> None:
    """Another scheme is an error, never a wrong password; the message does not quote it."""
    with pytest.raises(UsageError) as caught:
        verify("password", text)
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize(
    ("phc", "weak"),
    [
        (hash_password("x"), False),
        (REFERENCE, False),
        (hash_password("x", CHEAP), True),
        (REFERENCE.replace("t=2", "t=1"), True),
        ("$2b$12$" + "a" * 53, True),
        ("pbkdf2_sha256$260000$c2FsdHNhbHQ$vRyUYlVjBAPPkHzBuMaJTBMxMJTBMxMJTBMxMJTBMxM=", True),
        ("hunter2", True),
    ],
)
def test_weak_hashes_are_due(phc: str, weak: bool) -> None:
    """Less memory, fewer passes, another scheme: hash anew at the next login. More is fine."""
    assert needs_rehash(phc) is weak


def test_a_column_is_hashed_value_by_value() -> None:
    """Equal passwords have different hashes; null stays null; progress counts every hash."""
    done: list[int] = []
    column = pa.array(["hunter2", None, "hunter2", ""]).dictionary_encode()
    found = hash_column(column, "members.password", CHEAP, done.append).to_pylist()
    assert found[1] is None
    assert found[0] != found[2]
    assert all(verify(text, phc) for text, phc in zip(("hunter2", "hunter2", ""), filter(None, found), strict=True))
    assert sum(done) == 3
    with pytest.raises(UsageError, match="fields inside"):
        hash_column(pa.array([["a"]]), "members.password", CHEAP)


@pytest.mark.parametrize("cost", ["m=999999999,t=1,p=1", "m=8,t=999999999,p=1", "m=2097152,t=9,p=4"])
def test_a_planted_hash_stops_no_login(cost: str) -> None:
    """Parameters that take all memory, or forever, are refused before anything is tried."""
    with pytest.raises(UsageError, match="is not tried"):
        verify("x", f"$argon2id$v=19${cost}$c29tZXNhbHRzYWx0${'A' * 43}")
