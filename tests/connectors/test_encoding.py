"""Which encoding a text file is in, block by block."""

from __future__ import annotations

import io
import random
import struct
from unittest import mock

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pii_guard.connectors import encoding
from pii_guard.connectors.encoding import Utf8Blocks, utf8_boundary, wide_encoding


def decoded(data: bytes, block: int = 64) -> tuple[str, Utf8Blocks]:
    blocks = Utf8Blocks(io.BytesIO(data))
    with mock.patch.object(encoding, "BLOCK", block):
        text = "".join(part.decode() for part in blocks)
    return text, blocks


korean = st.text(st.sampled_from('가나다홍길동힣 aZ09,"\n\r\t-@'), max_size=300)


@given(korean, st.integers(1, 80))
def test_utf8_is_passed_on(text: str, block: int) -> None:
    """Valid UTF-8 comes out byte for byte, wherever the blocks are cut."""
    assert decoded(text.encode(), block)[0] == text


@given(korean, st.integers(2, 80))
def test_bytes_are_counted(text: str, block: int) -> None:
    """All bytes of the file are counted, in every encoding."""
    for name in ("utf-8", "cp949", "utf-16"):
        data = text.encode(name)
        assert decoded(data, block)[1].bytes_read == len(data)


@given(st.lists(st.sampled_from(["이름,홍길동", "전화,010-0000-0001", "주소,서울시 강남구"]), max_size=40))
def test_cp949_is_found(rows: list[str]) -> None:
    """A CP949 file is read as its text, with nothing replaced."""
    text = "\n".join(rows)
    read, blocks = decoded(text.encode("cp949"))
    assert (read, blocks.replaced) == (text, 0)


def test_cp949_after_much_ascii() -> None:
    """The encoding may show only at the end of a file, or change in its middle."""
    ascii_part = "010-0000-0001,abc\n" * 500
    data = ascii_part.encode() + "홍길동\n".encode("cp949") + ascii_part.encode() + "김철수\n".encode()
    assert decoded(data) == (mock.ANY, mock.ANY)
    assert decoded(data)[0] == ascii_part + "홍길동\n" + ascii_part + "김철수\n"


def test_lines_of_both_encodings_in_one_block() -> None:
    """A block with lines of both encodings is read line by line."""
    data = "홍길동,서울\n".encode() + "김철수,부산\n".encode("cp949") + "이영희,대구\n".encode()
    text, blocks = decoded(data, 4096)
    assert (text, blocks.replaced) == ("홍길동,서울\n김철수,부산\n이영희,대구\n", 0)


def test_bad_bytes_are_replaced_and_counted() -> None:
    """A byte of no encoding costs itself, not the line it stands in, in either encoding."""
    for name in ("utf-8", "cp949"):
        data = "홍길동,".encode(name) + b"\xff" + ",010-0000-0001\n홍".encode(name)
        text, blocks = decoded(data, 4096)
        assert (text, blocks.replaced) == ("홍길동,\ufffd,010-0000-0001\n홍", 1)


ROWS = "".join(f"홍길동{number},010-0000-{number:04d},서울시 강남구\n" for number in range(300))
RANDOM = random.Random(4).randbytes(20_000)  # noqa: S311 - damage, not a secret


def with_zeros(data: bytes, every: int) -> bytes:
    """`data` with a zero in front of each piece of `every` bytes: an odd number, so that halves of characters part."""
    return b"".join(b"\0" + data[start : start + every] for start in range(0, len(data), every))


@pytest.mark.parametrize(
    ("data", "doubted"),
    [
        (RANDOM, True),
        (RANDOM.replace(b"\n", b" ").replace(b"\r", b" "), True),
        (with_zeros(ROWS.encode("utf-16-le"), 131), True),
        (with_zeros(ROWS.encode("utf-16-be"), 131), True),
        (with_zeros("kim,010-0000-0000\n".encode("utf-16-le") * 300, 131), True),
        (ROWS.encode() + RANDOM * 2, True),
        (b"", False),
        (ROWS.encode(), False),
        (ROWS.encode("cp949"), False),
        (ROWS.encode("utf-16"), False),
        (ROWS.encode() * 3 + RANDOM, False),
        ("".join(ROWS).encode("cp949") + ROWS.encode(), False),
        (ROWS.encode("cp949").replace("동".encode("cp949"), "동".encode("cp949")[:1]), False),
        (b"010-0000-0001\xff", False),
        (b"kim\0\0\0010-0000-0001\0\0\0\n" * 300, False),
        (b"a log\n" * 30 + bytes(100_000), False),
        (b"".join(b"./file%d\0" % number for number in range(300)), False),
    ],
)
@pytest.mark.parametrize("block", [4096, 1 << 20])
def test_text_of_no_known_encoding_is_doubted(data: bytes, doubted: bool, block: int) -> None:
    """If that is more than half of it: what its lines hold is not known. A few such lines, rows cut inside of a
    character, and zeros between values or behind them leave the rest as it is."""
    _, blocks = decoded(data, block)
    assert bool(blocks.doubt) is doubted


def test_text_of_another_encoding_than_stated_is_doubted() -> None:
    """Where --encoding is wrong, it is named."""
    for name in ("ascii", "utf-8"):
        blocks = Utf8Blocks(io.BytesIO(ROWS.encode("cp949")), name)
        assert len(b"".join(blocks))
        assert blocks.doubt == f"most of its text is not in the encoding {name}, which --encoding says"
    for name in ("cp949", "euc_kr"):
        blocks = Utf8Blocks(io.BytesIO(ROWS.encode("cp949")), name)
        assert len(b"".join(blocks))
        assert not blocks.doubt


@given(st.binary(max_size=200), st.integers(1, 64))
def test_ascii_digits_and_line_feeds_survive_anything(data: bytes, block: int) -> None:
    """Whatever else the bytes are, every digit, line feed, comma and quote comes out, in order."""
    assume(not wide_encoding(data[:block]))
    kept = b'0123456789\n\r,"\0'
    text, _ = decoded(data, block)
    assert [char for char in text.encode() if char in kept] == [byte for byte in data if byte in kept]


def test_wide_encodings() -> None:
    """UTF-16 and UTF-32 with a byte order mark are decoded; half a character at the end is replaced."""
    text = "이름\t전화\n홍길동\t010-0000-0001\n" * 20
    for name in ("utf-16", "utf-32"):
        assert decoded(text.encode(name))[0] == text
    assert decoded(b"\xfe\xff" + text.encode("utf-16-be"))[0] == text
    read, blocks = decoded(text.encode("utf-16")[:-1])
    assert (read, blocks.replaced) == (text[:-1] + "\ufffd", 1)


NARROW = [
    "이름,전화\n홍길동,010-1234-5678\n김철수,02-123-4567\n",
    "고객님의 주문이 접수되었습니다. 감사합니다.\n",
    "id;name\r\n1;John Doe\r\n",
    '{"이름": "홍길동"}\n' * 3,
    "姓名,電話\n王小明,02-1234-5678\n",
    "2026-01-02 10:11:12 ERROR 로그인 실패 user=hong\n" * 300,
]


@pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", NARROW)
def test_utf16_without_a_mark(text: str, name: str) -> None:
    """It is told by the zeros of its ASCII characters, and by the first of them alone."""
    data = text.encode(name)
    assert wide_encoding(data) == name
    assert decoded(data, 8192)[0] == text


@pytest.mark.parametrize("name", ["utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", NARROW)
def test_utf32_without_a_mark(text: str, name: str) -> None:
    """Hardly anything else can be read as UTF-32."""
    assert wide_encoding(text.encode(name)) == name
    assert decoded(text.encode(name), 8192)[0] == text


def test_a_named_encoding_may_leave_the_order_to_the_mark() -> None:
    """Without one the zeros say it; else it is little-endian."""
    for name in ("utf-16", "utf-32"):
        for order in ("le", "be"):
            data = NARROW[0].encode(f"{name}-{order}")
            assert b"".join(Utf8Blocks(io.BytesIO(data), name)).decode() == NARROW[0]
        assert b"".join(Utf8Blocks(io.BytesIO(NARROW[0].encode(name)), name)).decode() == NARROW[0]
        assert b"".join(Utf8Blocks(io.BytesIO("홍길동".encode(f"{name}-le")), name)).decode() == "홍길동"


@pytest.mark.parametrize(
    "data",
    [
        *[text.encode(encoding) for text in NARROW for encoding in ("utf-8", "cp949")[: 2 if "王" not in text else 1]],
        b"name,phone\n\0\0x,010-1234-5678\n\0\n" * 9,
        b"".join(f"{number:<20}\0".encode() for number in range(500)),
        '"a","a"\n"가a가\0a","가"\n'.encode(),  # every pair of bytes is a printable character of UTF-16
        b"a\0record\0with\0zeros\0between\0fields\n" * 30,
        bytes(range(256)) * 16,
        b"\1\0\2\0\3\0\xff\0" * 500,
        struct.pack("<500h", *range(500)),
        struct.pack(">500i", *range(500)),
        random.Random(1).randbytes(8192),  # noqa: S311 - noise, not a secret
        b"a\0",
        b"",
    ],
)
def test_what_is_not_utf16(data: bytes) -> None:
    """Other encodings, records that zeros divide or fill, numbers and noise."""
    assert wide_encoding(data) is None


def test_mark_is_dropped() -> None:
    """A UTF-8 byte order mark is no part of the text."""
    assert decoded(b"\xef\xbb\xbfa,b\n")[0] == "a,b\n"
    assert decoded(b"\xef\xbb\xbf")[0] == ""


@given(st.text(st.sampled_from("a가😀"), min_size=1), st.data())
def test_boundary(text: str, data: st.DataObject) -> None:
    """A boundary is never inside a character, and no further back than a character is long."""
    raw = text.encode()
    position = data.draw(st.integers(0, len(raw) - 1))
    boundary = utf8_boundary(raw, position)
    assert raw[:boundary].decode() + raw[boundary:].decode() == text
    assert position - 4 < boundary <= position
