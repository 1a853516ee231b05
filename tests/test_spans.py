"""Values inside of texts become tokens and come back, whatever else stands in the text, byte for byte."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pii_guard.crypto.key import ColumnKey
from pii_guard.crypto.secret import Secret
from pii_guard.crypto.token import encrypt_column
from pii_guard.detectors import select
from pii_guard.errors import KeyringError, PurposeRefusedError, UsageError
from pii_guard.finder import find
from pii_guard.spans import encrypt_spans, reveal_spans, span_key_ids

FIELD = "inquiries.memo"
KEY = ColumnKey(b"\x01\x02\x03\x04", FIELD, Secret(bytes(32)))
LATER = ColumnKey(b"\x01\x02\x03\x05", FIELD, Secret(bytes([5]) * 32))
FOREIGN = ColumnKey(b"\x01\x02\x03\x06", "customers.phone", Secret(bytes([6]) * 32))
DETECTORS = select()


def key_for(*keys: ColumnKey) -> Callable[[bytes], ColumnKey]:
    known = {key.key_id: key for key in keys}

    def find_key(key_id: bytes) -> ColumnKey:
        if key_id not in known:
            raise KeyringError("unknown")
        return known[key_id]

    return find_key


def token(value: str, key: ColumnKey) -> str:
    made: str = encrypt_column(pa.array([value]), key)[0].as_py()
    return made


OWN, OLD, STRANGE = token("x", KEY), token("010-1234-5678", LATER), token("x", FOREIGN)
CHANGED = OWN[:-1] + ("A" if OWN[-1] != "A" else "B")
PIECES = st.sampled_from(
    [
        *("[", "]", "[pgd1", "pgd1", "[pgd1]", "[[", "]]", " ", "", "\n", "으로", "가", "😀", "-", "_", "A", "é"),
        *("hong@example.com", "010-1234-5678", "４１１１-1111-1111-1111", "900101-1234568", "홍길동 고객님"),
        *(OWN, f"[{OWN}]", f"[{OWN[:-1]}]", f"[{OLD}]", f"[{STRANGE}]", f"[{OWN}", f"{OWN}]", f"[[{OWN}]]", OWN[:20]),
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=6), max_size=8).map("".join)


@given(st.lists(st.none() | TEXTS, max_size=12))
@settings(max_examples=150)
def test_every_text_comes_back(values: list[str | None]) -> None:
    """Any text, with brackets, pieces of tokens and whole tokens that open, once and twice over."""
    column = pa.array(values, pa.string())
    once = encrypt_spans(column, KEY, DETECTORS)
    once.validate(full=True)
    twice = encrypt_spans(once, LATER, DETECTORS)
    opened, _ = reveal_spans(twice, key_for(LATER), FIELD)
    assert opened.to_pylist() == once.to_pylist()
    opened, _ = reveal_spans(opened, key_for(KEY), FIELD)
    assert opened.to_pylist() == values


@given(st.lists(TEXTS, max_size=8), st.integers(0, 8))
@settings(max_examples=50)
def test_slices_are_protected_alike(values: list[str], cut: int) -> None:
    """Slices, large text and dictionaries."""
    column = pa.array(values, pa.string())
    for part in (column[cut:], column.cast(pa.large_string())[:cut], column.dictionary_encode()[cut:]):
        opened, _ = reveal_spans(encrypt_spans(part, KEY, DETECTORS), key_for(KEY), FIELD)
        assert opened.to_pylist() == part.to_pylist()


@given(st.lists(TEXTS, max_size=8))
@settings(max_examples=50)
def test_protecting_again_changes_nothing(values: list[str]) -> None:
    """What is known to be made here stays; what was added since is protected."""
    once = encrypt_spans(pa.array(values, pa.string()), KEY, DETECTORS)
    assert encrypt_spans(once, KEY, DETECTORS, key_for(KEY)).equals(once)


def test_no_personal_value_is_left() -> None:
    """Only the values are gone; the rest of the text can be read. What touches a token is found too."""
    texts = [
        "메일 hong@example.com으로, 전화 010-1234-5678",
        "１０ 개, ０１０-1234-5678",
        "x hong@example.com,kim@example.com",
    ]
    made = encrypt_spans(pa.array(texts), KEY, DETECTORS).to_pylist()
    assert find(made).num_rows == 0
    assert made[0].startswith("메일 [pgd1")
    assert "]으로, 전화 [" in made[0]
    more = [f"{made[0]}hong@example.com"]
    again = encrypt_spans(pa.array(more), KEY, DETECTORS, key_for(KEY)).to_pylist()
    assert again[0].startswith(made[0])
    assert find(again).num_rows == 0


@pytest.mark.parametrize("text", ["hong@example.com010-1234-5678", "a hong@example.com900101-1000006 b"])
def test_values_that_run_into_each_other(text: str) -> None:
    """Of two values without a boundary between them the second is found alone, and then the first."""
    made = encrypt_spans(pa.array([text]), KEY, DETECTORS)
    assert find(made.to_pylist()).num_rows == 0
    opened, _ = reveal_spans(made, key_for(KEY), FIELD)
    assert opened.to_pylist() == [text]


def test_only_what_opens_is_replaced() -> None:
    """Tokens of other fields, keys that are gone and changed tokens stay, and are counted."""
    column = pa.array([f"a [{OWN}] b [{OLD}] c [{STRANGE}] d [{CHANGED}] e {OWN}", None])
    opened, lost = reveal_spans(column, key_for(KEY, FOREIGN), FIELD)
    assert opened.to_pylist() == [f"a x b [{OLD}] c [{STRANGE}] d [{CHANGED}] e {OWN}", None]
    assert lost == 3
    assert span_key_ids(column) == {KEY.key_id: 2, LATER.key_id: 1, FOREIGN.key_id: 1}


def test_a_refused_purpose_ends_the_call() -> None:
    """It is never passed over as a token that does not open."""

    def refuse(_: bytes) -> ColumnKey:
        raise PurposeRefusedError("refused")

    with pytest.raises(PurposeRefusedError):
        reveal_spans(pa.array([f"[{OWN}]"]), refuse, FIELD)


def test_columns_without_text() -> None:
    """Nothing but nulls is nothing to do; numbers are an error."""
    assert encrypt_spans(pa.nulls(2), KEY, DETECTORS).to_pylist() == [None, None]
    assert encrypt_spans(pa.array([], pa.string()), KEY, DETECTORS).to_pylist() == []
    assert span_key_ids(pa.array([1])) == {}
    with pytest.raises(UsageError, match="spans are encrypted in text"):
        encrypt_spans(pa.array([1]), KEY, DETECTORS)
