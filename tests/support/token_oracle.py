"""The token format of docs/FORMAT.md, written a second time: plain, one value at a time, with none of our code."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SUITES = {"randomized": 1, "deterministic": 2, "bound": 3}


def lengths_and(*items: bytes) -> bytes:
    return b"".join(len(item).to_bytes(4, "big") + item for item in items)


def derived(data_key: bytes, label: bytes, key_id: bytes, field: str, size: int) -> bytes:
    info = lengths_and(b"pii-guard/1", label, key_id, field.encode())
    return HKDF(SHA256(), size, None, info).derive(data_key)


def crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc


def padded(value: bytes) -> bytes:
    sizes = [17, 32, 62, 122, 242, *(2 + 240 * step for step in range(2, 100))]
    size = next(size for size in sizes if size > len(value))
    return value + b"\x80" + bytes(size - len(value) - 1)


def header_of(suite: int, key_id: bytes) -> bytes:
    start = bytes.fromhex("a60775") + bytes([suite]) + key_id
    return start + bytes([crc8(start)])


def made(data_key: bytes, key_id: bytes, field: str, mode: str, nonce: bytes, value: bytes, *row: bytes) -> str:
    """The token as the format says it; `row`: the values of the key of its row, of a bound one."""
    header = header_of(SUITES[mode], key_id)
    context = lengths_and(b"pii-guard", b"1", field.encode())
    associated = [context, header, lengths_and(*row)] if mode == "bound" else [context, header]
    sealed = AESSIV(derived(data_key, b"siv", key_id, field, 64)).encrypt(nonce + padded(value), associated)
    mac = CMAC(AES(derived(data_key, b"marker", key_id, field, 32)))
    mac.update(context + header + sealed)
    text = base64.urlsafe_b64encode(header + sealed + mac.finalize()[:6]).decode()
    assert "=" not in text
    return text


def opened(token: str, data_key: bytes, key_id: bytes, field: str, *row: bytes) -> bytes:
    """Nonce and padded value of a token, by the reference cipher alone."""
    raw = base64.urlsafe_b64decode(token)
    context = lengths_and(b"pii-guard", b"1", field.encode())
    return AESSIV(derived(data_key, b"siv", key_id, field, 64)).decrypt(
        raw[9:-6], [context, raw[:9], *([lengths_and(*row)] if row else [])]
    )
