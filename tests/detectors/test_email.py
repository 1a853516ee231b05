"""E-mail addresses that are known at a glance are those that the pattern knows."""

from __future__ import annotations

from unittest import mock

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pii_guard.detectors import email
from pii_guard.engine.lexer import lex
from pii_guard.engine.text import Index, Text
from pii_guard.engine.tokens import Tokens

PIECES = st.sampled_from(
    ["a", "Z9", ".", "..", "-", "_", "%", "+", "@", " ", "com", ".kr", ".museum", "xn--p1ai", "가", "/"]
)
ADDRESSES = st.lists(PIECES, max_size=12).map("".join)
NEAR_ADDRESSES = st.builds("{}@{}.{}".format, ADDRESSES, ADDRESSES, ADDRESSES)


def nothing_sure(_: Tokens, index: Index) -> npt.NDArray[np.bool_]:
    return np.zeros(len(index), np.bool_)


@given(st.lists(st.one_of(ADDRESSES, NEAR_ADDRESSES, st.just("hong@example.com")), max_size=20), st.booleans())
def test_what_is_sure_matches_the_pattern(values: list[str], in_texts: bool) -> None:
    """Judged at a glance or by RE2 alone, all candidates come out alike, in columns of addresses and in texts."""
    tokens = lex(
        Text.of(pa.array([value + " 로 보내 주세요" * 20 for value in values] if in_texts else values, pa.string()))
    )
    index = email.Email().candidates(tokens)
    found = email.Email().confirm(tokens, index)
    with mock.patch.object(email, "_surely_regular", nothing_sure):
        expected = email.Email().confirm(tokens, index)
    assert found.confidence.tolist() == expected.confidence.tolist()
    assert found.start is not None
    assert expected.start is not None
    assert found.start.tolist() == expected.start.tolist()


def test_ordinary_addresses_need_no_pattern() -> None:
    """A column of ordinary addresses is judged without RE2."""
    tokens = lex(Text.of(pa.array([f"user.{number}-x@mail.example.co.kr" for number in range(300)])))
    index = email.Email().candidates(tokens)
    assert email._surely_regular(tokens, index).all()
