"""AES-SIV and AES-CMAC over many strings give, byte for byte, what `cryptography` gives value by value."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cryptography_vectors
import numpy as np
import pyarrow as pa
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given, settings
from hypothesis import strategies as st

from pii_guard.crypto import lockstep, siv
from pii_guard.crypto.buffers import Matrix
from pii_guard.crypto.secret import Secret

SIZES = st.one_of(st.integers(1, 80), st.sampled_from([255, 256, 257, siv.LONG, siv.LONG + 1]))
ITEMS = st.lists(st.binary(max_size=40), max_size=3)
COUNTS = st.sampled_from([1, 2, siv.MANY - 1, siv.MANY, 70, siv.MANY + siv.LONG // siv.WIDE])
KEYS = st.binary(min_size=64, max_size=64)


def reference(key: bytes, items: list[bytes], value: bytes) -> bytes:
    return AESSIV(key).encrypt(value, items or None)


def matrix(values: list[bytes]) -> Matrix:
    return np.frombuffer(b"".join(values), np.uint8).reshape(len(values), -1)


def strings(rows: Matrix) -> list[bytes]:
    return [row.tobytes() for row in rows]


@given(KEYS, ITEMS, SIZES, COUNTS, st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_many_strings_are_what_each_is(key: bytes, items: list[bytes], size: int, count: int, seed: int) -> None:
    """Any length, many or few; there and back."""
    random = np.random.default_rng(seed)
    values = [random.bytes(size) for _ in range(count)]
    wide = np.zeros((count, size + 30), np.uint8)  # where rows stand apart, too
    wide[:, 7 : 7 + size] = matrix(values)
    sealed = siv.encrypt(Secret(key), items, wide[:, 7 : 7 + size], np.zeros((count, size + 25), np.uint8)[:, 5:-4])
    assert strings(sealed) == [reference(key, items, value) for value in values]
    opened, right = siv.decrypt(Secret(key), items, sealed)
    assert strings(opened) == values
    assert right.all()


@given(KEYS, st.binary(max_size=70), SIZES, COUNTS, st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_macs_are_those_of_cryptography(key: bytes, prefix: bytes, size: int, count: int, seed: int) -> None:
    """For any length of the prefix and of the values."""
    random = np.random.default_rng(seed)
    values = [random.bytes(size) for _ in range(count)]
    for mac, value in zip(siv.cmac(Secret(key[:32]), prefix, matrix(values)), values, strict=True):
        one = CMAC(AES(key[:32]))
        one.update(prefix + value)
        assert mac.tobytes() == one.finalize()


def test_more_strings_than_a_chunk() -> None:
    """The last, shorter chunk is like the others."""
    values = [number.to_bytes(17, "big") for number in range(lockstep.CHUNK + 5)]
    sealed = siv.encrypt(Secret(bytes(range(64))), [b"a"], matrix(values))
    for place in (0, lockstep.CHUNK - 1, lockstep.CHUNK, lockstep.CHUNK + 4):
        assert sealed[place].tobytes() == reference(bytes(range(64)), [b"a"], values[place])
    opened, right = siv.decrypt(Secret(bytes(range(64))), [b"a"], sealed)
    assert strings(opened) == values
    assert right.all()


@pytest.mark.parametrize("size", [33, 80, 254])
def test_counters_that_carry(size: int) -> None:
    """The counter of a string starts anywhere, so that its last byte overflows in some of 2,000 strings."""
    random, key = np.random.default_rng(size), bytes(range(64))
    values = [random.bytes(size) for _ in range(2_000)]
    sealed = siv.encrypt(Secret(key), [b"a"], matrix(values))
    assert strings(sealed) == [reference(key, [b"a"], value) for value in values]
    assert {int(last) for last in sealed[:, 15]} == set(range(256))
    opened, right = siv.decrypt(Secret(key), [b"a"], sealed)
    assert right.all()
    assert strings(opened) == values


@pytest.mark.parametrize("size", [5, 16, 17, 45])
def test_every_bit_of_every_row_counts(size: int) -> None:
    """One changed bit anywhere makes that string zeros and leaves the others."""
    key, values = Secret(bytes(range(64))), [bytes([1 + number % 251]) * size for number in range(8 * (16 + size))]
    sealed = siv.encrypt(key, [b"field"], matrix(values))
    changed = sealed.copy()
    for bit in range(len(values)):
        changed[bit, bit // 8] ^= 1 << bit % 8
    opened, right = siv.decrypt(key, [b"field"], changed)
    assert not right.any()
    assert not opened.any()
    changed[7] = sealed[7]
    opened, right = siv.decrypt(key, [b"field"], changed)
    assert np.flatnonzero(right).tolist() == [7]
    assert np.flatnonzero(opened.any(axis=1)).tolist() == [7]


@pytest.mark.parametrize("length", [0, 1, 15, 16])
def test_what_is_too_short_is_refused(length: int) -> None:
    """A tag without a value opens to nothing, however many there are."""
    for count in (1, 40):
        assert not siv.decrypt(Secret(bytes(64)), [], np.zeros((count, length), np.uint8))[1].any()


def vectors() -> Iterator[dict[str, list[bytes]]]:
    """The AES-SIV vectors that `cryptography` itself is tested with."""
    folder = Path(cryptography_vectors.__file__).parent / "ciphers" / "AES" / "SIV"
    for block in (folder / "openssl.txt").read_text(encoding="ascii").split("\n\n"):
        entry: dict[str, list[bytes]] = {}
        for line in block.splitlines():
            name, _, value = line.partition("=")
            if name.strip(" 0123456789") in ("Key", "AAD", "Tag", "Plaintext", "Ciphertext"):
                entry.setdefault(name.strip(" 0123456789"), []).append(bytes.fromhex(value.strip()))
        if entry:
            yield entry


def test_published_vectors() -> None:
    """The vectors of RFC 5297 and of OpenSSL, in lock step, among others of their length."""
    tested = 0
    for entry in vectors():
        if "Plaintext" not in entry or not entry["Plaintext"][0]:
            continue
        key, items, (plain,) = entry["Key"][0], entry.get("AAD", []), entry["Plaintext"]
        wanted = entry["Tag"][0] + entry["Ciphertext"][0]
        sealed = np.empty((3, len(wanted)), np.uint8)
        lockstep.Siv(key, items).encrypt(matrix([plain] * 3), sealed)
        assert strings(sealed) == [wanted] * 3
        opened, right = lockstep.Siv(key, items).decrypt(sealed)
        assert right.all()
        assert opened.tobytes() == plain * 3
        tested += 1
    assert tested == 4


def test_a_wrong_known_answer_stops_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cipher that computes anything else encrypts nothing."""
    monkeypatch.setattr(lockstep, "_double", lambda block: block)
    with pytest.raises(RuntimeError, match="known answers"):
        lockstep._check_known_answers()


def test_other_associated_data_open_nothing() -> None:
    """Reference and lock step refuse alike."""
    sealed = siv.encrypt(Secret(bytes(64)), [b"a"], matrix([b"value of 17 bytes"] * 40))
    assert not siv.decrypt(Secret(bytes(64)), [b"b"], sealed)[1].any()
    assert not siv.decrypt(Secret(bytes(64)), [b"b"], sealed[:3])[1].any()
    with pytest.raises(InvalidTag):
        AESSIV(bytes(64)).decrypt(sealed[0].tobytes(), [b"b"])


OWN = st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6)


@given(KEYS, ITEMS, SIZES, COUNTS, OWN, st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_each_string_may_have_an_item_of_its_own(
    key: bytes, items: list[bytes], size: int, count: int, own: list[bytes], seed: int
) -> None:
    """Strings with one more item each, of any lengths, are what `AESSIV` makes of them; with another item, none."""
    random = np.random.default_rng(seed)
    values = [random.bytes(size) for _ in range(count)]
    mine = pa.array([own[row % len(own)] + row.to_bytes(3, "big") for row in range(count)], pa.large_binary())
    sealed = siv.encrypt(Secret(key), items, matrix(values), own=mine)
    wanted = [reference(key, [*items, item], value) for item, value in zip(mine.to_pylist(), values, strict=True)]
    assert strings(sealed) == wanted
    opened, right = siv.decrypt(Secret(key), items, sealed, mine)
    assert right.all()
    assert strings(opened) == values
    if count > 1:  # each with the item of the next
        turned = pa.concat_arrays([mine[1:], mine[:1]])
        opened, right = siv.decrypt(Secret(key), items, sealed, turned)
        assert not right.any()
        assert not opened.any()


@pytest.mark.parametrize("size", [16, 29, 45, 48])
def test_every_bit_of_strings_with_items_of_their_own_counts(size: int) -> None:
    """One changed bit anywhere makes that string zeros and leaves the others, in more than one chunk."""
    count = lockstep.CHUNK + 8 * (16 + size)
    key, values = Secret(bytes(range(64))), [bytes([1 + number % 251]) * size for number in range(count)]
    own = pa.array([number.to_bytes(4, "big") for number in range(count)], pa.large_binary())
    sealed = siv.encrypt(key, [b"field"], matrix(values), own=own)
    for place in (0, lockstep.CHUNK - 1, lockstep.CHUNK, count - 1):
        assert sealed[place].tobytes() == reference(bytes(range(64)), [b"field", own[place].as_py()], values[place])
    for bit in range(8 * (16 + size)):
        sealed[lockstep.CHUNK + bit, bit // 8] ^= 1 << bit % 8
    opened, right = siv.decrypt(key, [b"field"], sealed, own)
    assert np.flatnonzero(right).tolist() == list(range(lockstep.CHUNK))
    assert not opened[lockstep.CHUNK :].any()
    assert strings(opened[: lockstep.CHUNK]) == values[: lockstep.CHUNK]
