"""The synthetic table that the benchmarks share: 15 text columns of a Korean shop, with the hits known beforehand.

Personal data fills eight columns and 2 % of the comments; the other columns are what surrounds it in real tables. All
is drawn from a fixed seed: names, addresses at example.com, numbers that belong to nobody.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["EXPECTED", "comments", "customers", "size"]

Strings: TypeAlias = Any
"""A string array of pyarrow, which has no types."""

SURNAMES = "김이박최정강조윤장임한오서신권황안송전홍"
GIVEN = "민서지현준우진수영은정미경성호재훈상철희"
PRODUCTS = ["소음 차단 무선 이어폰", "저소음 기계식 키보드", "높이 조절 모니터 받침대", "알루미늄 노트북 거치대"]
STATUS = ["주문접수", "결제완료", "배송중", "배송완료", "취소"]
ROADS = ["테헤란로", "판교역로", "센텀중앙로", "한누리대로", "첨단로"]
WORDS = (
    "문의 주신 내용은 확인 후 처리하겠습니다 배송 일정이 변경되어 안내드립니다 상품 색상 교환 요청 접수 완료 감사합니다"
).split()
AGENTS = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
]

# (column, kind) -> the share of rows with a hit; the rest of the table has none
EXPECTED = {
    ("name", "person_name_ko"): 1.0,
    ("email", "email"): 1.0,
    ("phone", "kr_phone_mobile"): 1.0,
    ("card", "credit_card"): 1.0,
    ("account", "kr_bank_account"): 1.0,
    ("rrn", "kr_rrn"): 1.0,
    ("address", "kr_address"): 1.0,
    ("session", "cookie"): 1.0,
    ("comment", "kr_phone_mobile"): 0.01,
    ("comment", "email"): 0.01,
}


def _digits(random: np.random.Generator, rows: int, width: int) -> Strings:
    numbers = random.integers(0, 10**width, rows, dtype=np.int64)
    return pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width, "0")


def _choice(random: np.random.Generator, rows: int, words: list[str]) -> Strings:
    return pa.array(words).take(pa.array(random.integers(0, len(words), rows)))


def _join(*parts: Strings | str) -> Strings:
    return pc.binary_join_element_wise(*parts, "")


def _column(digits: npt.NDArray[np.int64]) -> Strings:
    """Rows of digits as text."""
    rows, width = digits.shape
    data = (digits + 48).astype(np.uint8).tobytes()
    offsets = np.arange(rows + 1, dtype=np.int32) * width
    return pa.Array.from_buffers(pa.string(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def _cards(random: np.random.Generator, rows: int) -> Strings:
    digits = random.integers(0, 10, (rows, 16))
    digits[:, 0] = 4
    doubled = digits[:, 0:15:2] * 2
    total = np.where(doubled > 9, doubled - 9, doubled).sum(axis=1) + digits[:, 1:15:2].sum(axis=1)
    digits[:, 15] = (10 - total % 10) % 10
    text = _column(digits)
    return _join(*(part for place in range(0, 16, 4) for part in _dashed(text, place, place + 4, 16)))


def _dashed(text: Strings, start: int, stop: int, end: int) -> tuple[Strings | str, ...]:
    piece = pc.utf8_slice_codeunits(text, start, stop)
    return (piece,) if stop == end else (piece, "-")


def _resident_numbers(random: np.random.Generator, rows: int) -> Strings:
    digits = np.empty((rows, 13), np.int64)
    year, month, day = random.integers(40, 100, rows), random.integers(1, 13, rows), random.integers(1, 29, rows)
    for place, part in enumerate((year, month, day)):
        digits[:, 2 * place], digits[:, 2 * place + 1] = part // 10, part % 10
    digits[:, 6] = random.integers(1, 3, rows)
    digits[:, 7:12] = random.integers(0, 10, (rows, 5))
    weights = np.array([2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5])
    digits[:, 12] = (11 - (digits[:, :12] * weights).sum(axis=1) % 11) % 10
    text = _column(digits)
    return _join(pc.utf8_slice_codeunits(text, 0, 6), "-", pc.utf8_slice_codeunits(text, 6, 13))


def _mobile(random: np.random.Generator, rows: int) -> Strings:
    return _join("010-", _digits(random, rows, 4), "-", _digits(random, rows, 4))


def _addresses(random: np.random.Generator, rows: int) -> Strings:
    return _join("user", _digits(random, rows, 6), "@example.com")


def comments(random: np.random.Generator, rows: int) -> Strings:
    """Sentences of some 100 bytes; every hundredth names a phone number, every hundredth an address."""
    words = [_choice(random, rows, WORDS) for _ in range(8)]
    text = pc.binary_join_element_wise(*words, " ")
    place = np.arange(rows) % 100
    with_phone = _join(text, " 연락처 ", _mobile(random, rows), "로 전화 주세요")
    with_mail = _join(text, " ", _addresses(random, rows), "으로 보내 주세요")
    return pc.case_when(pc.make_struct(pa.array(place == 3), pa.array(place == 57)), with_phone, with_mail, text)


def customers(rows: int, seed: int = 1) -> pa.Table:
    """The table: 15 text columns, about 500 bytes a row."""
    random = np.random.default_rng(seed)
    bank = _join("110-", _digits(random, rows, 3), "-", _digits(random, rows, 6))
    stamp = pa.array(random.integers(1_600_000_000, 1_760_000_000, rows)).cast(pa.timestamp("s")).cast(pa.string())
    name = _join(*(_choice(random, rows, list(syllables)) for syllables in (SURNAMES, GIVEN, GIVEN)))
    return pa.table(
        {
            "name": name,
            "email": _addresses(random, rows),
            "phone": _mobile(random, rows),
            "card": _cards(random, rows),
            "account": bank,
            "rrn": _resident_numbers(random, rows),
            "comment": comments(random, rows),
            "product": _choice(random, rows, PRODUCTS),
            "address": _join(
                *("서울특별시 강남구 ", _choice(random, rows, ROADS), " ", _digits(random, rows, 3)),
                *(", ", _digits(random, rows, 3), "동 ", _digits(random, rows, 4), "호 (역삼동)"),
            ),
            "order_no": _join("ORD", _digits(random, rows, 12)),
            "created_at": stamp,
            "status": _choice(random, rows, STATUS),
            "amount": _join(_digits(random, rows, 2), ",", _digits(random, rows, 3)),
            "session": _join(*(_choice(random, rows, [f"{n:04x}" for n in range(4096)]) for _ in range(8))),
            "user_agent": _choice(random, rows, AGENTS),
        }
    )


def size(table: pa.Table) -> int:
    """Bytes of the text itself, offsets not counted."""
    return sum(int(pc.sum(pc.binary_length(column)).as_py() or 0) for column in table.columns)
