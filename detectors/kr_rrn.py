"""Korean resident registration numbers."""

from __future__ import annotations

import datetime

import numpy as np

from pii_guard.detectors.arithmetic import number, real_dates, weighted_sum
from pii_guard.detectors.surroundings import among, in_letters, labelled, touches
from pii_guard.engine.detection import REJECTED, WEAK, ColumnRule, Judgement
from pii_guard.engine.text import Index
from pii_guard.engine.tokens import Gap, Tokens, gaps, shape
from pii_guard.model import Confidence, Kind

__all__ = ["ResidentNumber"]

GROUPED, BARE = shape(6, 7), shape(13)
CODES = frozenset({GROUPED, BARE})
SEPARATORS = frozenset({0, *(gaps(gap) for gap in (Gap.HYPHEN, Gap.SPACE, Gap.SPACED_HYPHEN))})
WEIGHTS = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
CENTURY = np.array([1800, 1900, 1900, 2000, 2000, 0, 0, 0, 0, 1800], np.int64)
"""By the seventh digit: 1, 2 for the 1900s, 3, 4 for the 2000s, 9, 0 for the 1800s; 5 to 8 are alien registrations."""
NO_CHECK_SINCE = 2020_10_05
"""Since this day new numbers have no check digit (Enforcement Rule of the Resident Registration Act, Art. 2)."""
EPOCH_MS = range(15, 20)
"""Milliseconds since 1970 in the years 2017 to 2033 begin with these two digits, and read as births around 1917."""
LABEL = r"(?:주민|실명번호|rrn|jumin|resident)[^0-9]{0,24}\z"


class ResidentNumber:
    """What it finds
        YYMMDD-GHHHHHX with a birth date that exists and is not in the future, and a check digit that holds; born since
        2020-10-05, when the check digit was dropped, by the hyphenated shape (`possible`) or a label (`likely`).
    What it must not find
        Wrong dates, wrong check digits of older births, alien registration numbers, corporate registration numbers,
        barcodes, time stamps in milliseconds, masked numbers.
    Legal basis
        May be processed only where a statute names it (PIPA Art. 24-2(1)); to be encrypted (Art. 24-2(2)).
    Known gaps
        Bare digits that begin with 15 to 19 pass for time stamps unless a label or header says otherwise. Numbers
        changed after 2020-10-05 have no check digit although the birth is older: found under a header or label only.
    References
        Enforcement Rule of the Resident Registration Act, Art. 2 (amended 2020-10-05); python-stdnum, stdnum/kr/rrn.py.
    """

    kind = Kind("kr_rrn", "Korean resident registration number", keep=(2, 0))
    headers = frozenset(
        "주민등록번호 주민번호 주민등록 실명번호 rrn rrno jumin juminno jmno ssn residentno residentregistrationnumber "
        "ihidnum regno rno socno idno".split()
    )
    column = ColumnRule(hinted=0.8, check=0.5)

    def candidates(self, tokens: Tokens) -> Index:
        return tokens.with_shape(CODES)

    def confirm(self, tokens: Tokens, index: Index) -> Judgement:
        confidence = np.full(len(index), REJECTED, np.int8)
        checked = np.zeros(len(index), np.bool_)
        for code, place in tokens.by_shape(index):
            digits = tokens.digits(index[place], code)
            century = CENTURY[digits[6]]
            year = century + number(digits[:2])
            month, day = number(digits[2:4]), number(digits[4:6])
            born = year * 10_000 + month * 100 + day
            exists = (century > 0) & real_dates(year, month, day, datetime.date.today())
            passes = exists & ((11 - weighted_sum(digits, WEIGHTS) % 11) % 10 == digits[12])
            level = np.where(exists, np.int8(WEAK), np.int8(REJECTED))
            if code == GROUPED:
                level[exists & (born >= NO_CHECK_SINCE)] = Confidence.POSSIBLE
                level[passes] = Confidence.CERTAIN
            else:
                level[passes] = Confidence.LIKELY
                level[passes & np.isin(number(digits[:2]), EPOCH_MS)] = WEAK
            confidence[place], checked[place] = level, passes
        joint = tokens.gaps[index]
        confidence[~among(joint, SEPARATORS)] = REJECTED
        letters = in_letters(tokens.before[index]) | in_letters(tokens.after[index])
        confidence[touches(tokens, index, b"*@") | (letters & (joint == 0))] = REJECTED
        unsure = np.flatnonzero((confidence > REJECTED) & (confidence < Confidence.CERTAIN))
        named = unsure[labelled(tokens, index[unsure], LABEL)]
        confidence[named] = np.where(checked[named], np.int8(Confidence.CERTAIN), np.int8(Confidence.LIKELY))
        return Judgement(confidence, checked & (confidence > REJECTED))
