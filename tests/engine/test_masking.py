"""A column of masks is what a mask of each value is."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii_guard.detectors import TABLE, load
from pii_guard.engine.masking import mask_column
from pii_guard.model import Kind

KEEPS = st.sampled_from([(0, 0), (1, 0), (0, 2), (1, 1), (2, 0), (0, 1)])
# characters that any version of Unicode judges alike
TEXTS = st.text(st.sampled_from("aZ09 -_.@()[]\n\t가힣ㄱéÉ０９·—中😀"), max_size=25)


@given(st.lists(st.none() | TEXTS, max_size=20), KEEPS)
def test_a_column_is_masked_value_by_value(values: list[str | None], keep: tuple[int, int]) -> None:
    """Whatever the value, and however many characters are kept; null and the empty text stay."""
    kind = Kind("k", "k", keep=keep)
    expected = [kind.mask(value) if value else value for value in values]
    column = pa.array(values, pa.string())
    for form in (column, column.cast(pa.large_string()), column.dictionary_encode()):
        assert mask_column(form, kind).to_pylist() == expected


@pytest.mark.parametrize("kind", TABLE)
def test_masks_of_every_kind_show_two_characters_at_most(kind: str) -> None:
    """A kind that masks no samples, as it is not personal, is masked wholly where a mask is asked for."""
    (masked,) = mask_column(pa.array(["A12-345 홍길동 6789"]), load(kind).kind).to_pylist()
    assert sum(char.isalnum() for char in masked) <= 2


def test_numbers_are_masked_as_text() -> None:
    """What Arrow casts to text."""
    assert mask_column(pa.array([12345, None]), Kind("k", "k", keep=(0, 2))).to_pylist() == ["***45", None]
