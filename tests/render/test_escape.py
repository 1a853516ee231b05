"""Escaping makes harmless without loss where it can, and leaves what is harmless as it is."""

from __future__ import annotations

import json
from typing import TextIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii_guard.render import escape
from pii_guard.render.console import use_color

anything = st.text(st.characters(), max_size=30) | st.text(
    st.sampled_from(":#[] \t\n\r\x1b=+-@\u202e\u200b\ud800\x85\x7f한a"), max_size=12
)


@given(anything)
def test_json_is_lossless_and_one_line(value: str) -> None:
    """Any text, lone surrogates included, comes back from its JSON, which is one line of encodable text."""
    text = escape.json([value])
    assert json.loads(text) == [value]
    assert len(text.splitlines()) == 1
    text.encode()  # raises for what is no character


@given(anything)
def test_indented_json_is_the_same(value: str) -> None:
    """Layout changes nothing."""
    assert json.loads(escape.json({value: [value]}, indent=2)) == {value: [value]}


@given(anything, st.booleans())
def test_terminal_text_is_one_harmless_line(value: str, wrapped: bool) -> None:
    """No control, no line break, no runner command is left; escaping twice is escaping once."""
    text = escape.terminal(value, wrapped=wrapped)
    assert len(text.splitlines()) <= 1
    assert not any(char < " " or "\x7f" <= char <= "\x9f" for char in text)
    text.encode()  # raises for what is no character
    assert not text.lstrip().startswith("::")
    assert "##[" not in text
    assert "::" not in text or not wrapped
    assert escape.terminal(text, wrapped=wrapped) == text


@given(anything)
def test_csv_cell_is_one_line_and_no_formula(value: str) -> None:
    """A cell never starts as a formula and never breaks its line."""
    text = escape.csv_cell(value)
    assert not text.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert len(text.splitlines()) <= 1
    text.encode()  # raises for what is no character


@given(st.text(st.sampled_from("abcXYZ가나다0189 ._()[]{}/*%"), max_size=20))
def test_harmless_text_stays(value: str) -> None:
    """Letters, Hangul, digits and plain punctuation are the same in every format."""
    assert escape.terminal(value, wrapped=True) == value
    assert escape.csv_cell(value) == value
    assert escape.json(value) == f'"{value}"'


class Stream:
    def __init__(self, terminal: bool) -> None:
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("terminal", "environ", "expected"),
    [
        (True, {}, True),
        (True, {"NO_COLOR": ""}, True),  # no-color.org: only a value that is not empty counts
        (True, {"NO_COLOR": "0"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {}, False),
    ],
)
def test_colour_is_for_terminals(terminal: bool, environ: dict[str, str], expected: bool) -> None:
    """Colour goes to a terminal that shows it, and nowhere under NO_COLOR."""
    assert use_color(cast(TextIO, Stream(terminal)), environ) is expected
