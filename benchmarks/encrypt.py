"""How fast are columns encrypted? Ours against one call a value of other libraries, in one process.

    python benchmarks/encrypt.py [--rows 1000000] [--peer-rows 20000] [--sweep 1000 100000 10000000]

Columns: phone numbers (11 bytes), e-mail addresses (20), card numbers (16). Ours works on batches of 65,536 rows, as a
pipeline does; the others are timed on their first rows and scaled, since their cost is that of a call. What is
encrypted is decrypted and compared before anything is timed. Figures are millions of values for each CPU second of one
thread, the median of five interleaved rounds; machines differ and are shared, so read the ratios. The last lines say
how fast this machine does the AES that all else is made of.

Tink and presidio-anonymizer take part where they are installed (`pip install tink presidio-anonymizer`).
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from pii_guard.crypto import siv
from pii_guard.crypto.blind_index import index_column
from pii_guard.crypto.buffers import Matrix, by_length, from_buffers
from pii_guard.crypto.decryption import decrypt_column
from pii_guard.crypto.key import ColumnKey, Mode
from pii_guard.crypto.layout import SUITES
from pii_guard.crypto.normaliser import Normaliser
from pii_guard.crypto.rows import row_keys
from pii_guard.crypto.secret import Secret
from pii_guard.crypto.token import encrypt_column, verify_column

FIELD, KEY_ID, CONTEXT = "customers.value", b"\x01\x02\x03\x04", [b"customers.value"]
WIDTHS = {"phone": 11, "email": 20, "card": 16}
NORMALISERS = {"phone": Normaliser.PHONE, "email": Normaliser.EMAIL, "card": Normaliser.DIGITS}
BATCH, NONCE, ROUNDS = 65_536, 12, 5
SIZES = [1_000, 100_000, 1_000_000, 10_000_000]
YARDSTICK = "cryptography AESSIV, a call a value"


def column(width: int, rows: int) -> pa.Array:
    """`rows` different texts of `width` digits."""
    digits = np.random.default_rng(width).integers(ord("0"), ord("9") + 1, rows * width).astype(np.uint8)
    return from_buffers(np.arange(rows + 1) * width, digits).cast(pa.large_string())


Part = TypeVar("Part", pa.Array, Matrix)


def batches(values: Part) -> list[Part]:
    return [values[start : start + BATCH] for start in range(0, len(values), BATCH)]


def each(work: Callable[[Part], object], values: Part) -> Callable[[], None]:
    parts = batches(values)

    def run() -> None:
        for part in parts:
            work(part)

    return run


def ours(values: pa.Array, normaliser: Normaliser) -> dict[str, Callable[[], None]]:
    """Everything that pii-guard does to a column, checked first."""
    keys = {mode: ColumnKey(KEY_ID, FIELD, Secret(bytes(range(32))), mode) for mode in SUITES}
    secret = Secret(bytes(range(64)))
    ((_, raw),) = by_length(values.cast(pa.large_binary()))

    def with_nonce(part: Matrix) -> Matrix:
        drawn = np.frombuffer(os.urandom(NONCE * len(part)), np.uint8).reshape(len(part), NONCE)
        return siv.encrypt(secret, CONTEXT, np.hstack([drawn, part]))

    sealed = siv.encrypt(secret, CONTEXT, raw)
    tokens = {mode: encrypt_column(values, key) for mode, key in keys.items()}
    opened, right = siv.decrypt(secret, CONTEXT, sealed)
    assert right.all()
    assert (opened == raw).all()
    for mode, key in keys.items():
        assert decrypt_column(tokens[mode], lambda _, key=key: key, pa.large_string(), FIELD).equals(values)  # type: ignore[misc]
    randomized = keys[Mode.RANDOMIZED]
    numbers = pa.array(np.arange(BATCH))
    rows = row_keys([numbers], FIELD)
    bound = [encrypt_column(part, randomized, rows[: len(part)]) for part in batches(values)]

    def open_bound() -> None:
        for part in bound:
            decrypt_column(part, lambda _: randomized, pa.large_string(), FIELD, row_keys=rows[: len(part)])

    assert decrypt_column(
        bound[0], lambda _: randomized, pa.large_string(), FIELD, row_keys=rows[: len(bound[0])]
    ).equals(values[:BATCH])
    return {
        "raw, deterministic": each(lambda part: siv.encrypt(secret, CONTEXT, part), raw),
        "raw, randomized": each(with_nonce, raw),
        "raw, verify and decrypt": each(lambda part: siv.decrypt(secret, CONTEXT, part), sealed),
        "tokens, deterministic": each(lambda part: encrypt_column(part, keys[Mode.DETERMINISTIC]), values),
        "tokens, randomized": each(lambda part: encrypt_column(part, randomized), values),
        "tokens, bound to their rows": each(
            lambda part: encrypt_column(part, randomized, row_keys([numbers[: len(part)]], FIELD)), values
        ),
        "tokens, bound, verify and decrypt": open_bound,
        "tokens, verify and decrypt": each(
            lambda part: decrypt_column(part, lambda _: randomized, pa.large_string(), FIELD),
            tokens[Mode.RANDOMIZED],
        ),
        "tokens, marker alone": each(
            lambda part: verify_column(part, lambda _: randomized.marker, FIELD), tokens[Mode.RANDOMIZED]
        ),
        "CMAC alone": each(lambda part: siv.cmac(Secret(bytes(range(32))), b"", part), raw),
        "blind index, normalised": each(lambda part: index_column(part, randomized, normaliser, 14), values),
    }


def peers(values: pa.Array) -> dict[str, Callable[[], None]]:
    """The same by one call a value."""
    plain = [value.encode() for value in values.to_pylist()]
    gcm, aessiv, fernet = AESGCM(bytes(32)), AESSIV(bytes(64)), Fernet(Fernet.generate_key())
    found: dict[str, Callable[[], None]] = {
        YARDSTICK: lambda: _consume(aessiv.encrypt(value, CONTEXT) for value in plain),
        "cryptography AESGCM, a call a value": lambda: _consume(
            gcm.encrypt(os.urandom(12), value, CONTEXT[0]) for value in plain
        ),
        "cryptography Fernet": lambda: _consume(fernet.encrypt(value) for value in plain),
    }
    if find_spec("tink"):
        found.update(_tink(plain))
    if find_spec("presidio_anonymizer"):
        found["presidio-anonymizer, encrypt"] = _presidio(plain)
    return found


def _tink(plain: list[bytes]) -> dict[str, Callable[[], None]]:
    import tink
    from tink import aead, daead

    aead.register()
    daead.register()
    handles: list[Any] = [
        tink.new_keyset_handle(aead.aead_key_templates.AES256_GCM),
        tink.new_keyset_handle(daead.deterministic_aead_key_templates.AES256_SIV),
    ]
    random, fixed = handles[0].primitive(aead.Aead), handles[1].primitive(daead.DeterministicAead)
    return {
        "Tink AEAD": lambda: _consume(random.encrypt(value, CONTEXT[0]) for value in plain),
        "Tink DAEAD": lambda: _consume(fixed.encrypt_deterministically(value, CONTEXT[0]) for value in plain),
    }


def _presidio(plain: list[bytes]) -> Callable[[], None]:
    from presidio_anonymizer.operators import Encrypt

    operator, texts = Encrypt(), [value.decode() for value in plain]
    return lambda: _consume(operator.operate(text, {"key": "0123456789abcdef" * 2}) for text in texts)


def _consume(results: Iterator[object]) -> None:
    for _ in results:
        pass


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(rows: int, peer_rows: int) -> dict[str, dict[str, float]]:
    """Name -> column -> values a second."""
    rates: dict[str, dict[str, list[float]]] = {}
    for name, width in WIDTHS.items():
        values = column(width, rows)
        jobs = [(job, work, rows) for job, work in ours(values, NORMALISERS[name]).items()]
        jobs += [(job, work, peer_rows) for job, work in peers(values.slice(0, peer_rows)).items()]
        for _ in range(ROUNDS):
            for job, work, count in jobs:
                rates.setdefault(job, {}).setdefault(name, []).append(count / seconds(work))
    return {job: {name: statistics.median(found) for name, found in by.items()} for job, by in rates.items()}


def sweep(sizes: list[int]) -> None:
    """Whether time is linear in rows: nanoseconds a phone number, in batches of a pipeline."""
    key = ColumnKey(KEY_ID, FIELD, Secret(bytes(range(32))))
    print(f"{'rows':>12} {'encrypt, ns':>12} {'decrypt, ns':>12}")
    for rows in sizes:
        parts = batches(column(11, rows))
        tokens = [encrypt_column(part, key) for part in parts[:16]]
        opened = sum(map(len, tokens))
        repeat = max(1, 100_000 // rows)
        made = seconds(
            lambda parts=parts, repeat=repeat: _consume(  # type: ignore[misc]
                encrypt_column(part, key) for _ in range(repeat) for part in parts
            )
        )
        read = seconds(
            lambda tokens=tokens, repeat=repeat: _consume(  # type: ignore[misc]
                decrypt_column(part, lambda _: key, pa.large_string(), FIELD) for _ in range(repeat) for part in tokens
            )
        )
        print(f"{rows:>12,} {made / rows / repeat * 1e9:>12.0f} {read / opened / repeat * 1e9:>12.0f}")


def one_value() -> None:
    """What a column of one value costs, against the calls that a token is made of, each on ready objects."""
    key, value = ColumnKey(KEY_ID, FIELD, Secret(bytes(range(32)))), b"010-1234-5678"
    one = pa.array([value.decode()])
    token = encrypt_column(one, key)
    aessiv, padded = AESSIV(bytes(64)), bytes(29)
    mac = siv.cmac_of_one(Secret(bytes(32)), b"prefix")
    works: dict[str, Callable[[], object]] = {
        "AESSIV, one call": lambda: aessiv.encrypt(padded, CONTEXT),
        "AESSIV with its key schedule": lambda: AESSIV(bytes(64)).encrypt(padded, CONTEXT),
        "AESSIV, CMAC, 12 random bytes": lambda: (os.urandom(12), aessiv.encrypt(padded, CONTEXT), mac(padded)),
        "an Arrow array to a list and back": lambda: pa.array(one.cast(pa.large_binary()).to_pylist(), pa.string()),
        "encrypt a column of one": lambda: encrypt_column(one, key),
        "decrypt a column of one": lambda: decrypt_column(token, lambda _: key, pa.string(), FIELD),
    }
    print("one value, us (best of five)")
    for name, work in works.items():
        best = min(seconds(lambda work=work: [work() for _ in range(2_000)]) for _ in range(5)) / 2_000  # type: ignore[misc]
        print(f"  {name:<34} {best * 1e6:>8.1f}")


def machine() -> None:
    """AES-256-ECB over 1 MiB at a time, in one thread."""
    cipher, block = Cipher(AES(bytes(32)), ECB()).encryptor(), bytearray(1 << 20)  # noqa: S305 - a yardstick
    out = bytearray((1 << 20) + 15)
    best = min(seconds(lambda: [cipher.update_into(block, out) for _ in range(64)]) for _ in range(5))
    print(f"AES-256-ECB: {64 * (1 << 16) / best / 1e6:.0f} M blocks/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of each column")
    parser.add_argument("--peer-rows", type=int, default=20_000, help="rows that one call a value is timed on")
    parser.add_argument(
        "--sweep", type=int, nargs="*", default=[1_000, 100_000, 1_000_000, 10_000_000], help="row counts to time"
    )
    arguments = parser.parse_args()
    rates = measure(arguments.rows, arguments.peer_rows)
    print(f"{arguments.rows:,} rows, M values/s; in brackets: times {YARDSTICK}")
    print(f"{'':<36}" + "".join(f"{name:>20}" for name in WIDTHS))
    for job, found in rates.items():
        cells = (f"{rate / 1e6:.2f} ({rate / rates[YARDSTICK][name]:.1f})" for name, rate in found.items())
        print(f"{job:<36}" + "".join(f"{cell:>20}" for cell in cells))
    sweep(arguments.sweep)
    one_value()
    machine()


if __name__ == "__main__":
    main()
