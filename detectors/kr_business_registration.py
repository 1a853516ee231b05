"""Korean business registration numbers."""

from __future__ import annotations

import numpy as np

from pii_guard.detectors.arithmetic import number, weighted_sum
from pii_guard.detectors.surroundings import labelled, misplaced, starting
from pii_guard.engine.detection import REJECTED, WEAK, ColumnRule, Judgement
from pii_guard.engine.text import Index
from pii_guard.engine.tokens import Gap, Tokens, gaps, shape
from pii_guard.model import Confidence, Kind

__all__ = ["BusinessRegistration"]

GROUPED, BARE = shape(3, 2, 5), shape(10)
CODES = frozenset({GROUPED, BARE})
SEPARATORS = frozenset({0, *(gaps(gap, gap) for gap in (Gap.HYPHEN, Gap.SPACE, Gap.SPACED_HYPHEN))})
WEIGHTS = (1, 3, 7, 1, 3, 7, 1, 3, 5)
FIRST_OFFICE = 101
"""Lower numbers are no tax office (python-stdnum, stdnum/kr/brn.py)."""
OFFICES = np.arange(100) >= FIRST_OFFICE // 10
LABEL = r"(?:사업자|사업장\s?등록|(?:\A|[^a-z])brno?|biz\s?no|business\s?(?:registration|number|no))[^0-9]{0,24}\z"


class BusinessRegistration:
    """What it finds
        AAA-BB-CCCCX (tax office, kind of business, serial) with a check digit that holds; bare digits under a label or
        header only. It names a business and is reported as not personal: most are companies, and businesses publish
        theirs by law. That of a sole trader is a person's; which is which (BB from 01 to 79, 90 to 99) says how to
        treat a field, not whether it holds a secret.
    What it must not find
        The usual dummy 123-45-67890 and other wrong check digits, offices below 101, zeros, seconds since 1970, phone
        and account numbers, prices.
    Legal basis
        Data of companies; of a sole trader personal data (PIPA Art. 2).
    Known gaps
        One random number of this shape in ten passes the check: without a label it is `likely` at most, in a column
        where few pass `possible`.
    References
        The published check digit arithmetic of the National Tax Service (presidio-analyzer, country_specific/korea);
        python-stdnum, stdnum/kr/brn.py, for the ranges.
    """

    kind = Kind("kr_business_registration", "Korean business registration number", personal=False, keep=(0, 2))
    headers = frozenset(
        "사업자등록번호 사업자번호 사업자등록 brn brno bizno bizregno bizrno businessno "
        "businessregistrationno corpbizno".split()
    )
    column = ColumnRule(hinted=0.8, check=0.9)

    def candidates(self, tokens: Tokens) -> Index:
        return starting(tokens, tokens.with_shape(CODES), OFFICES)

    def confirm(self, tokens: Tokens, index: Index) -> Judgement:
        confidence = np.full(len(index), REJECTED, np.int8)
        checked = np.zeros(len(index), np.bool_)
        for code, place in tokens.by_shape(index):
            digits = tokens.digits(index[place], code)
            given = (number(digits[:3]) >= FIRST_OFFICE) & (number(digits[3:5]) > 0) & (number(digits[5:9]) > 0)
            total = weighted_sum(digits, WEIGHTS) + digits[8] * np.int32(5) // 10
            passes = given & ((10 - total % 10) % 10 == digits[9])
            level = np.where(given, np.int8(WEAK), np.int8(REJECTED))
            if code == GROUPED:
                level[passes] = Confidence.LIKELY
            confidence[place], checked[place] = level, passes
        confidence[misplaced(tokens, index, SEPARATORS, b"*@+")] = REJECTED
        found = np.flatnonzero(checked & (confidence > REJECTED))
        confidence[found[labelled(tokens, index[found], LABEL)]] = Confidence.CERTAIN
        return Judgement(confidence, checked & (confidence > REJECTED))
