"""Korean corporate registration numbers."""

from __future__ import annotations

import numpy as np

from pii_guard.detectors.arithmetic import number
from pii_guard.detectors.surroundings import labelled, misplaced
from pii_guard.engine.detection import REJECTED, WEAK, ColumnRule, Judgement
from pii_guard.engine.text import Index
from pii_guard.engine.tokens import Gap, Tokens, gaps, shape
from pii_guard.model import Confidence, Kind

__all__ = ["CorporateRegistration"]

GROUPED, BARE = shape(6, 7), shape(13)
CODES = frozenset({GROUPED, BARE})
SEPARATORS = frozenset({0, *(gaps(gap) for gap in (Gap.HYPHEN, Gap.SPACE, Gap.SPACED_HYPHEN))})
FIRST_TYPE = 11
"""The fifth and sixth digit are the form of the company: 11 is a stock company, and none is lower."""
LABEL = r"(?:법인(?:등록)?\s?(?:번호|no)|(?:\A|[^a-z])crno?|corporate\s?registration)[^0-9]{0,24}\z"


class CorporateRegistration:
    """What it finds
        RRRRTT-SSSSSSX (registry, form of the company, serial) with a check digit that holds. It identifies a company,
        not a person, and is reported as not personal: it is here because one Seoul company in 25 has a number that
        passes for a resident number, and the column or the label then says what it is.
    What it must not find
        Wrong check digits without a header, resident and alien registration numbers, account numbers, time stamps,
        numbers that are zeros.
    Legal basis
        None: data of companies. It is public in the commercial register.
    Known gaps
        A number that reads as a birth date is `possible` without a label, since one resident number in ten passes this
        check by chance. Bare digits count under a label or header only. The check digit is said to have been dropped
        for registrations since 2025: those are found under a header.
    References
        The published check digit arithmetic (weights 1, 2 in turn, products not folded as in Luhn).
    """

    kind = Kind("kr_corporate_registration", "Korean corporate registration number", personal=False, keep=(0, 2))
    headers = frozenset(
        "법인등록번호 법인번호 crn crno corpno corpregno corporateregistrationno jurirno jurirnumber".split()
    )
    column = ColumnRule(hinted=0.8, check=0.9)

    def candidates(self, tokens: Tokens) -> Index:
        index = tokens.with_shape(CODES)
        form = tokens.start[index] + 4
        data = tokens.text.data
        found: Index = index[(data[form] - 48) * 10 + (data[form + 1] - 48) >= FIRST_TYPE]
        return found

    def confirm(self, tokens: Tokens, index: Index) -> Judgement:
        confidence = np.full(len(index), REJECTED, np.int8)
        checked = np.zeros(len(index), np.bool_)
        for code, place in tokens.by_shape(index):
            digits = tokens.digits(index[place], code)
            total = digits[0:12:2].sum(axis=0, dtype=np.uint8) + 2 * digits[1:12:2].sum(axis=0, dtype=np.uint8)
            passes = (total + digits[12]) % 10 == 0  # weights 1 and 2 in turn; 171 at most
            level = np.full(len(passes), WEAK, np.int8)
            if code == GROUPED:
                month, day = number(digits[2:4]), number(digits[4:6])
                date = (month >= 1) & (month <= 12) & (day <= 31)
                level[passes] = np.where(date[passes], np.int8(Confidence.POSSIBLE), np.int8(Confidence.LIKELY))
            confidence[place], checked[place] = level, passes
        confidence[misplaced(tokens, index, SEPARATORS)] = REJECTED
        found = np.flatnonzero(checked & (confidence > REJECTED))
        confidence[found[labelled(tokens, index[found], LABEL)]] = Confidence.CERTAIN
        return Judgement(confidence, checked & (confidence > REJECTED))
