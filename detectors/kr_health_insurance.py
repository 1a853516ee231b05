"""Korean health insurance card numbers."""

from __future__ import annotations

import numpy as np

from pii_guard.detectors.surroundings import among, beside_letters, labelled, touches
from pii_guard.engine.detection import REJECTED, WEAK, ColumnRule, Judgement
from pii_guard.engine.text import Index
from pii_guard.engine.tokens import Gap, Tokens, gaps, shape
from pii_guard.model import Confidence, Kind

__all__ = ["HealthInsurance"]

CODES = frozenset({shape(11), shape(1, 10)})
SEPARATORS = frozenset({0, gaps(Gap.HYPHEN), gaps(Gap.SPACED_HYPHEN)})
LABEL = r"(?:건강\s?보험|의료\s?보험|보험증|(?:\A|[\x00-\x7f])증\s?번호|nhis|health\s?insurance)[^0-9]{0,24}\z"


class HealthInsurance:
    """What it finds
        Eleven digits that do not begin with 0, bare or with a hyphen behind the first, behind a label such as
        건강보험증번호 or under a header that says so. A household shares one number.
    What it must not find
        The same digits without a label or header: order numbers, phone numbers without their 0, date fragments.
    Legal basis
        Personal data (PIPA Art. 2); tells of health insurance, not of health.
    Known gaps
        No check digit is published: a wrong digit cannot be seen.
    References
        The form of the card; the National Health Insurance Service publishes no rule.
    """

    kind = Kind("kr_health_insurance", "Korean health insurance number", keep=(0, 2))
    headers = frozenset(
        "건강보험증번호 건강보험번호 보험증번호 의료보험번호 증번호 healthinsuranceno "
        "healthinsurancenumber nhisno hino".split()
    )
    # 증번호 ends the names of other cards: verification, certificate, deposit, student, staff, member, licence
    column = ColumnRule(
        hinted=0.8,
        unhinted=None,
        unless=frozenset("인증 자격증 보증 학생증 사원증 회원증 면허증 신분증 검증 영수증 허가증".split()),
    )

    def candidates(self, tokens: Tokens) -> Index:
        index = tokens.with_shape(CODES)
        found: Index = index[tokens.text.data[tokens.start[index]] != ord("0")]
        return found

    def confirm(self, tokens: Tokens, index: Index) -> Judgement:
        confidence = np.full(len(index), WEAK, np.int8)
        confidence[~among(tokens.gaps[index], SEPARATORS)] = REJECTED
        confidence[beside_letters(tokens, index)] = REJECTED
        confidence[touches(tokens, index, b"*@+")] = REJECTED
        found = np.flatnonzero(confidence == WEAK)
        confidence[found[labelled(tokens, index[found], LABEL)]] = Confidence.LIKELY
        return Judgement(confidence)
