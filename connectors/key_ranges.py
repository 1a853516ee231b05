"""Ranges of an integer key that a sample of a table is drawn by, so that a database reads these rows alone.

Keys may have gaps of any size, so ranges of equal width would hold all rows, or none. The key is first divided into
strata of about equal numbers of rows; in each, a range that holds the share asked for of its keys is placed at random.
Every key, and so every row, has the same chance to be drawn; rows of one range stand together.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeAlias

__all__ = ["KeyRange", "drawn", "strata"]

KeyRange: TypeAlias = tuple[int, int]
"""The first and the last key."""

_STRATA = 64
"""A stratum holds no more than this part of all rows."""

_PARTS = 4
"""Ranges that are drawn of each stratum, so that there are some 256 of them."""


def strata(
    whole: KeyRange,
    halved: Callable[[Sequence[KeyRange]], Sequence[KeyRange]],
    weigh: Callable[[Sequence[KeyRange]], Sequence[int]],
) -> list[KeyRange]:
    """Ranges from `whole`, ascending, which hold every key and no large gap at their ends.

    `halved` gives the halves of ranges, each from its first key that is there to its last, but none without keys;
    `weigh` says how many keys ranges hold, about: wrong numbers make ranges of unequal size, no wrong sample. Both are
    asked once a round, and there are no more rounds than the key has bits.
    """
    light, heavy = list[KeyRange](), [whole]
    limit = 0
    while heavy:
        ranges = halved(heavy)
        weights = weigh(ranges)
        limit = limit or -(-sum(weights) // _STRATA)
        pairs = list(zip(ranges, weights, strict=True))
        light += [each for each, weight in pairs if weight <= limit or each[0] == each[1]]
        heavy = [each for each, weight in pairs if weight > limit and each[0] < each[1]]
    return sorted(light)


def drawn(ranges: Sequence[KeyRange], share: float, seed: int) -> list[KeyRange]:
    """Ranges that hold each key of `ranges` with the probability `share`, ascending, the same for the same `seed`."""
    choice = random.Random(seed)  # noqa: S311 - to be the same in each run
    found = list[KeyRange]()
    for first, last in ranges:
        width = last - first + 1
        for part in range(_PARTS):
            begin, end = width * part // _PARTS, width * (part + 1) // _PARTS
            if begin < end:
                exact = share * (end - begin)
                length = int(exact) + (choice.random() < exact % 1)
                found += _placed(first + begin, end - begin, length, choice.randrange(end - begin))
    return found


def _placed(first: int, width: int, length: int, offset: int) -> list[KeyRange]:
    """`length` keys of the `width` from `first` on, beginning at `offset`; behind the last comes the first again.

    Over all offsets each key is in as many of them.

    >>> _placed(10, 5, 2, 0), _placed(10, 5, 2, 4)
    ([(10, 11)], [(10, 10), (14, 14)])
    """
    if length <= 0:
        return []
    over = offset + length - width
    if over <= 0:
        return [(first + offset, first + offset + length - 1)]
    return [(first, first + over - 1), (first + offset, first + width - 1)]
