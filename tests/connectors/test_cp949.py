"""CP949 to UTF-8: what Python's codec says, with the extension and without."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterator
from typing import TypeAlias
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii_guard.connectors import cp949

ToUtf8: TypeAlias = Callable[[bytes], bytes | None]


@pytest.fixture(params=["native", "codec"])
def to_utf8(request: pytest.FixtureRequest) -> Iterator[ToUtf8]:
    if request.param == "native" and not cp949.native:
        if "native-transcoder" in os.environ.get("PII_GUARD_REQUIRE", "").split(","):
            pytest.fail("the native transcoder was not built, and PII_GUARD_REQUIRE names it")
        pytest.skip("the native transcoder was not built; PII_GUARD_REQUIRE=native-transcoder makes this a failure")
    with mock.patch.object(cp949, "native", request.param == "native"):
        yield cp949.to_utf8


def expected(data: bytes) -> bytes | None:
    try:
        return data.decode("cp949").encode()
    except UnicodeDecodeError:
        return None


@pytest.mark.parametrize("tail", [b"", b"A", b"\n", b"\xb0", "가".encode("cp949")], ids=bytes.hex)
def test_all_pairs(to_utf8: ToUtf8, tail: bytes) -> None:
    """Each sequence of two bytes, at the end and in front of others: the text of it, or None where there is none."""
    for first in range(0x100):
        for second in range(0x100):
            data = bytes((first, second)) + tail
            assert to_utf8(data) == expected(data), data.hex()


def test_single_bytes(to_utf8: ToUtf8) -> None:
    """No byte beyond ASCII is a text by itself; nothing is one."""
    assert to_utf8(b"") == b""
    for byte in range(0x100):
        assert to_utf8(bytes((byte,))) == expected(bytes((byte,)))


@given(
    st.text(st.sampled_from('가힣똠방각하㈜①½·é \u3000aZ09,\n"Ω漢'), max_size=80),
    st.integers(0, 90),
    st.binary(max_size=3),
)
def test_texts_whole_cut_and_broken(text: str, cut: int, bad: bytes) -> None:
    """Texts of all widths: whole, cut off at any byte, and with stray bytes inside, by either way alike."""
    data = text.encode("cp949", "ignore")
    for each in (data, data[:cut], data[:cut] + bad + data[cut:]):
        assert cp949.to_utf8(each) == cp949.by_codec(each) == expected(each)


@pytest.mark.skipif(not cp949.native, reason="the extension was not built: there was no C compiler")
def test_a_wrong_table_is_refused() -> None:
    from pii_guard.connectors import _cp949

    for table in (b"", array("H", bytes(2)), bytes(1 << 17)):
        with pytest.raises(ValueError, match="32,768"):
            _cp949.to_utf8("가".encode("cp949"), table)
