"""Every lexer gives the tokens of the plain-Python oracle, whatever the text."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lexer_oracle import Token
from lexer_oracle import tokens as expected
from native import NATIVE

from pii_guard.engine import lexer_alike, lexer_numpy
from pii_guard.engine.lexer_alike import DIGITS_TO_0, FEW
from pii_guard.engine.text import Text
from pii_guard.engine.tokens import GAPS, Family, Tokens, by_shape, groups, shape

Lexer: TypeAlias = Callable[[Text], Tokens]
LEXERS = [
    pytest.param(lexer_numpy.lex_values, id="numpy"),
    pytest.param(lexer_alike.lex, id="numpy, values alike"),
    pytest.param(NATIVE.lex_values, id="native", marks=NATIVE.unless_built),
]
every_lexer = pytest.mark.parametrize("lexer", LEXERS)

NUMBERS = ["0", "12", "010", "1234", "5678", "900101", "1000006", "4111111111111111", "1" * 20]
SEPARATORS = ["-", " ", ".", ")", "/", "- ", " - ", ") ", " (", "(", ". ", ")-", ",", ":", "--", "\0", "\0-", "\n"]
LATIN = ["a", "Z", "M123A4567", "S12345678", "_", "%", "+", "@", "@@", ".com", "hong", "example.com", "..", "-."]
OTHERS = [
    "년",
    "월 ",
    "년생",
    "90",
    "1990년 1월 1일",
    "8.8.8.8",
    "홍",
    "길동",
    "로",
    "가나다라",
    "힣",
    "ㄱ",
    "똠",
    "é",
    "日",
    "\U0001f600",
    "\u1112\u1169",
]
PIECES = st.sampled_from([*NUMBERS, *SEPARATORS, *LATIN, *OTHERS])
VALUES = st.one_of(
    st.lists(PIECES, max_size=14).map(lambda parts: "".join(parts).encode()),
    st.text(max_size=20).map(lambda text: text.encode(errors="replace")),
    st.binary(max_size=24),
)


def lexed(text: Text, lexer: Lexer) -> list[list[Token]]:
    found = lexer(text)
    rows: list[list[Token]] = [[] for _ in range(len(text))]
    for family in Family:
        block = found.family(family)
        for index in range(block.start, block.stop):
            row = int(found.row(np.array([index]))[0])
            head = int(text.offsets[row])
            rows[row].append(
                (
                    family.name.lower(),
                    int(found.start[index]) - head,
                    int(found.end[index]) - head,
                    int(found.shape[index]),
                    int(found.gaps[index]),
                    int(found.before[index]),
                    int(found.after[index]),
                )
            )
    return [sorted(row) for row in rows]


@every_lexer
@settings(max_examples=600, deadline=None)
@given(values=st.lists(VALUES, max_size=12))
@example(values=[b"010-1234-5678", b"010", b"1234-5678", b"", b"9"])  # values that touch
@example(values=[b"a@b.c" + b"." * 5, b"@", b"a@", b"@b", b"a@b@c", b"hong@example.com."])
@example(values=[b"1234" + gap + b"5678" for gap in GAPS])
@example(values=[b"x" * width + b"010-1234-5678" for width in range(50, 66)])  # across the edge of a window
@example(values=[b"x" * 60 + b"1" * width for width in (4, 5, 19, 20, 64, 68, 69, 200)])
def test_tokens_are_those_of_the_oracle(lexer: Lexer, values: list[bytes]) -> None:
    """For any column of any bytes, the tokens are the oracle's, value by value."""
    text = Text.of(pa.array(values, pa.binary()))
    assert lexed(text, lexer) == [expected(value) for value in values]


@every_lexer
@settings(max_examples=300, deadline=None)
@given(values=st.lists(VALUES, max_size=12))
def test_what_leads_on_from_a_token_is_where_it_says(lexer: Lexer, values: list[bytes]) -> None:
    """Rows, shapes, digit groups and marks of the tokens are those that their text has."""
    text = Text.of(pa.array(values, pa.binary()))
    found = lexer(text)
    everything = np.arange(len(found))
    assert found.row(everything).tolist() == (np.searchsorted(text.offsets, found.start, "right") - 1).tolist()
    numbers = found.shape[found.family(Family.NUMBER)]
    assert {code: index.tolist() for code, index in found.shapes.items()} == {
        code: np.flatnonzero(numbers == code).tolist() for code in set(numbers.tolist())
    }
    for family in Family:
        for index in range(*found.family(family).indices(len(found))):
            start, end, mark = int(found.start[index]), int(found.end[index]), int(found.mark[index])
            value = text.data[start:end].tobytes()
            if family is Family.NUMBER:
                runs = [start + hit.start() for hit in re.finditer(rb"[0-9]+", value)]
                assert found.group_start[mark : mark + len(runs)].tolist() == runs
            elif family is Family.EMAIL:
                assert (text.data[mark], start <= mark < end) == (ord("@"), True)
            elif family is Family.HANGUL:
                assert mark == (start + value.index(b" ") if b" " in value else -1)
            elif family is Family.IDENTIFIER:
                assert mark == start + 1


@given(st.lists(st.integers(0, 30), max_size=60))
def test_shapes_are_listed_where_they_stand(codes: list[int]) -> None:
    """However many shapes there are, each is listed with all of its places, ascending."""
    wanted = {code: [place for place, each in enumerate(codes) if each == code] for code in codes}
    assert {code: places.tolist() for code, places in by_shape(np.array(codes, np.int64)).items()} == wanted


@settings(max_examples=200)
@given(st.lists(VALUES, max_size=12))
@example([b"12M123A4567"])
def test_tokens_do_not_depend_on_which_digits_there_are(values: list[bytes]) -> None:
    """With every digit replaced by 0 the oracle gives the same tokens: what the lexing of patterns rests on."""
    assert [expected(value.translate(DIGITS_TO_0)) for value in values] == [expected(value) for value in values]


@every_lexer
@settings(max_examples=300)
@given(patterns=st.lists(VALUES, min_size=1, max_size=4), others=st.lists(VALUES, max_size=6), random=st.randoms())
def test_columns_of_patterns_have_the_tokens_of_the_oracle(
    lexer: Lexer, patterns: list[bytes], others: list[bytes], random: Random
) -> None:
    """Few patterns, each often and with other digits, and other values between them: the oracle's tokens."""

    def redrawn(value: bytes) -> bytes:
        return bytes(random.choice(b"0123456789") if 48 <= byte <= 57 else byte for byte in value)

    values = [redrawn(random.choice(patterns)) for _ in range(FEW)] + others
    random.shuffle(values)
    assert lexed(Text.of(pa.array(values, pa.binary())), lexer) == [expected(value) for value in values]


@every_lexer
@settings(max_examples=100, deadline=None)
@given(values=st.lists(VALUES, min_size=3, max_size=12), data=st.data())
def test_a_slice_has_the_tokens_of_its_own_values(lexer: Lexer, values: list[bytes], data: st.DataObject) -> None:
    """The bytes in front of and behind a slice are not part of it."""
    first = data.draw(st.integers(0, len(values)))
    last = data.draw(st.integers(first, len(values)))
    for kind in (pa.binary(), pa.large_binary()):
        part = pa.array(values, kind)[first:last]
        assert lexed(Text.of(part), lexer) == [expected(value) for value in values[first:last]]


@settings(max_examples=100, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=12), st.data())
def test_taken_values_are_the_values_taken(values: list[bytes], data: st.DataObject) -> None:
    """`take` copies exactly the values asked for."""
    text = Text.of(pa.array(values, pa.binary()))
    rows = sorted(data.draw(st.sets(st.integers(0, len(values) - 1))))
    part = text.take(np.array(rows, np.int64))
    assert [part.data[part.offsets[row] : part.offsets[row + 1]].tobytes() for row in range(len(part))] == [
        values[row] for row in rows
    ]


@given(st.lists(VALUES, max_size=30))
def test_invalid_values_are_counted_exactly(values: list[bytes]) -> None:
    """`invalid` gives the values that do not decode, also where two halves of a character touch."""

    def invalid(value: bytes) -> bool:
        try:
            value.decode()
        except UnicodeDecodeError:
            return True
        return False

    expected_rows = [row for row, value in enumerate(values) if invalid(value)]
    assert Text.of(pa.array(values, pa.binary())).invalid().tolist() == expected_rows


def test_halves_of_a_character_in_two_values_are_both_invalid() -> None:
    """Joined they would be valid: values are apart."""
    first, second = "한".encode()[:1], "한".encode()[1:]
    assert Text.of(pa.array([first, second, b"ok"], pa.binary())).invalid().tolist() == [0, 1]


@pytest.mark.parametrize("lengths", [(3, 4, 4), (13,), (1,), (1, 19, 1, 2, 3, 4)])
def test_shape_codes_are_reversible(lengths: tuple[int, ...]) -> None:
    """A shape code holds the lengths of all groups."""
    assert groups(shape(*lengths)) == lengths


HOSTILE = ["1", "@", "-", ":", "1-", "1-1 ", "1 ", "12 ", "123456 ", "a@", "1:", "a1:", ".-", "1.", "가", " ", "\0"]


@every_lexer
@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_values_lex_like_the_oracle_in_bounded_tokens(lexer: Lexer, piece: str) -> None:
    """One long value of one piece gives fewer than two tokens a byte, and no more digit groups than bytes."""
    text = piece * (200_000 // len(piece))
    found = lexer(Text.of(pa.array([text])))
    assert len(found) < 2 * len(text)
    assert len(found.group_start) <= len(text)
    head = text[:2_000]
    assert lexed(Text.of(pa.array([head])), lexer) == [expected(head.encode())]
