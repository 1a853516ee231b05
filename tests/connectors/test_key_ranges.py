"""Ranges of keys that a sample is drawn by: all keys have the same chance, whatever gaps there are."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii_guard.connectors.key_ranges import KeyRange, _placed, drawn, strata

KEYS = st.one_of(
    st.sets(st.integers(-(2**63), 2**64 - 1), min_size=1, max_size=300),
    st.builds(
        lambda start, count, far: {*range(start, start + count), *far},
        st.integers(-1000, 1000),
        st.integers(1, 2000),
        st.sets(st.sampled_from([-(2**63), -(2**40), 2**40, 2**62, 2**62 + 1, 2**64 - 1])),
    ),
)


def divided(keys: Sequence[int], error: float = 1) -> list[KeyRange]:
    """`strata` of sorted keys, by plain counting, which may be wrong by a factor."""

    def held(first: int, last: int) -> Sequence[int]:
        return keys[bisect_left(keys, first) : bisect_right(keys, last)]

    def halved(ranges: Sequence[KeyRange]) -> list[KeyRange]:
        middles = [(first, (first + last) // 2, last) for first, last in ranges]
        halves = [half for first, middle, last in middles for half in (held(first, middle), held(middle + 1, last))]
        return [(half[0], half[-1]) for half in halves if half]

    return strata((keys[0], keys[-1]), halved, lambda ranges: [int(error * len(held(*each))) for each in ranges])


@given(KEYS, st.sampled_from([0, 0.5, 1, 3]))
def test_strata(keys: set[int], error: float) -> None:
    """Every key is in one of them, each begins and ends with a key, and none holds many of all."""
    there = sorted(keys)
    found = divided(there, error)
    assert all(
        first <= last < after for (first, last), (after, _) in zip(found, [*found[1:], (1 << 65, 0)], strict=True)
    )
    assert all({first, last} <= keys for first, last in found)
    counts = [sum(first <= key <= last for key in there) for first, last in found]
    assert sum(counts) == len(there)
    if error == 1:
        assert max(counts) <= -(-len(there) // 64)


@given(st.integers(-5, 5), st.integers(1, 12), st.data())
def test_every_key_has_the_same_chance(first: int, width: int, data: st.DataObject) -> None:
    """Over all places where a range may begin, each key is in as many of them; none is twice in one."""
    length = data.draw(st.integers(0, width))
    counted = Counter[int]()
    for offset in range(width):
        keys = [key for begin, end in _placed(first, width, length, offset) for key in range(begin, end + 1)]
        assert len(keys) == len(set(keys)) == length
        counted.update(keys)
    assert all(counted[key] == length for key in range(first, first + width))
    assert sum(counted.values()) == width * length


@given(KEYS, st.floats(0.001, 0.999), st.integers(0, 2**32))
def test_drawn(keys: set[int], share: float, seed: int) -> None:
    """Ranges within the strata, ascending, apart from each other, and the same for the same seed."""
    ranges = divided(sorted(keys))
    found = drawn(ranges, share, seed)
    assert found == drawn(ranges, share, seed)
    ends = [end for each in found for end in each]
    assert all(first <= last for first, last in found)
    assert all(last < after for last, after in zip(ends[1::2], ends[2::2], strict=False))
    assert all(any(first <= begin <= end <= last for first, last in ranges) for begin, end in found)


@pytest.mark.parametrize("keys", [range(1000), [*range(0, 70_000, 70), 2**62], [1, 2**62], [-5]])
def test_share(keys: Sequence[int]) -> None:
    """Over many seeds every key is drawn as often as the share says, those beyond a gap as well."""
    ranges = divided(keys)
    counted = Counter[int]()
    for seed in range(400):
        for begin, end in drawn(ranges, 0.25, seed):
            counted.update(keys[bisect_left(keys, begin) : bisect_right(keys, end)])
    assert sum(counted.values()) / len(keys) == pytest.approx(100, rel=0.25)
    assert all(50 < counted[key] < 150 for key in keys)
