"""Registration numbers of persons in Korea: residents and aliens share one shape, YYMMDD-GHHHHHX.

G, the seventh digit, tells the two apart and names century and sex. X is a check digit; both kinds sum the same
products and close the sum differently, so that no number passes for both.

Sources: Enforcement Rule of the Resident Registration Act, Art. 2 (amended 2020-10-05); python-stdnum,
stdnum/kr/rrn.py; presidio-analyzer, country_specific/korea (the alien rule).
"""

from __future__ import annotations

import datetime

import numpy as np
import numpy.typing as npt

from pii_guard.detectors.arithmetic import number, real_dates, weighted_sum
from pii_guard.detectors.surroundings import labelled, misplaced
from pii_guard.engine.detection import REJECTED, WEAK, Judgement
from pii_guard.engine.text import Index
from pii_guard.engine.tokens import Gap, Tokens, gaps, shape
from pii_guard.model import Confidence

__all__ = ["Century", "candidates", "judge"]

GROUPED, BARE = shape(6, 7), shape(13)
CODES = frozenset({GROUPED, BARE})
SEPARATORS = frozenset({0, *(gaps(gap) for gap in (Gap.HYPHEN, Gap.SPACE, Gap.SPACED_HYPHEN))})
WEIGHTS = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
EARLIEST = 1868
"""Numbers were first given out in 1968: whoever got one was hardly born more than a century before."""
NO_CHECK_SINCE = 2020_10_05
"""Since this day new numbers have no check digit (Enforcement Rule of the Resident Registration Act, Art. 2)."""
EPOCH_MS = range(15, 20)
"""Milliseconds since 1970 in the years 2017 to 2033 begin with these two digits, and read as births around 1917."""
OTHER = (
    r"(?:법인(?:등록)?\s?(?:번호|no)|바코드|상품코드|(?:\A|[^a-z])(?:barcode|ean(?:-?13)?|gtin|crno?))[^0-9a-z]{0,12}\z"
)
"""Labels of numbers that may pass by chance: corporate registrations (4 % of those of Seoul) and barcodes (1 %)."""

Century = npt.NDArray[np.int64]
"""By the seventh digit: the century of birth, 0 for a digit that the kind does not have."""


def candidates(tokens: Tokens, century: Century) -> Index:
    """Numbers of the shape whose seventh digit belongs to the kind."""
    index = tokens.with_shape(CODES)
    if not len(index):
        return index
    seventh = tokens.start[index] + 6
    grouped = tokens.shape[index] == GROUPED
    seventh[grouped] = tokens.group_start[tokens.mark[index[grouped]] + 1]
    found: Index = index[century.take(tokens.text.data.take(seventh) - 48) > 0]
    return found


def judge(tokens: Tokens, index: Index, century: Century, closing: int, label: str) -> Judgement:
    """Confidence of registration numbers. The check digit is (`closing` - sum mod 11) mod 10."""
    confidence = np.full(len(index), REJECTED, np.int8)
    checked = np.zeros(len(index), np.bool_)
    for code, place in tokens.by_shape(index):
        digits = tokens.digits(index[place], code)
        year = century[digits[6]] + number(digits[:2])
        month, day = number(digits[2:4]), number(digits[4:6])
        born = year * 10_000 + month * 100 + day
        exists = (year >= EARLIEST) & real_dates(year, month, day, datetime.date.today())
        passes = exists & ((closing - weighted_sum(digits, WEIGHTS) % 11) % 10 == digits[12])
        level = np.where(exists, np.int8(WEAK), np.int8(REJECTED))
        if code == GROUPED:
            level[exists & (born >= NO_CHECK_SINCE)] = Confidence.POSSIBLE
            level[passes] = Confidence.CERTAIN
        else:
            level[passes] = Confidence.LIKELY
            level[passes & np.isin(number(digits[:2]), EPOCH_MS)] = WEAK
        confidence[place], checked[place] = level, passes
    confidence[misplaced(tokens, index, SEPARATORS)] = REJECTED
    found = np.flatnonzero(confidence > REJECTED)
    confidence[found[labelled(tokens, index[found], OTHER)]] = REJECTED
    unsure = np.flatnonzero((confidence > REJECTED) & (confidence < Confidence.CERTAIN))
    named = unsure[labelled(tokens, index[unsure], label)]
    confidence[named] = np.where(checked[named], np.int8(Confidence.CERTAIN), np.int8(Confidence.LIKELY))
    return Judgement(confidence, checked & (confidence > REJECTED))
