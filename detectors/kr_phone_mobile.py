"""Korean mobile phone numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pii_guard.detectors.kr_numbering import Form, forms, judge, prefixes
from pii_guard.detectors.surroundings import starting
from pii_guard.engine.detection import ColumnRule, Judgement
from pii_guard.engine.text import Bytes, Index
from pii_guard.engine.tokens import Tokens
from pii_guard.model import Confidence, Kind

__all__ = ["MobilePhone"]

TABLE = forms([(2, 4, 4), (2, 3, 4), (2, 8), (10,), (9,)], without_prefix=[(10,)])
CODES = frozenset(TABLE)
PREFIXES = prefixes([1, 10])
LEGACY = (1, 6, 7, 8, 9)


def valid(form: Form, digits: Bytes) -> npt.NDArray[np.bool_]:
    """010 with eight digits; 011 and 016 to 019 (switched off, still in old data) with seven or eight, and their 0:
    without it they are as good as seconds since 1970."""
    if form.area not in (None, 2):
        return np.zeros(digits.shape[1], np.bool_)
    service = np.isin(digits[1], LEGACY)
    if form.national == 10:
        service = service | (digits[1] == 0) if form.prefix else digits[1] == 0
    found: npt.NDArray[np.bool_] = (digits[0] == 1) & service
    return found


class MobilePhone:
    """What it finds
        010 numbers with eight more digits, and 011, 016 to 019 with seven or eight, separated by hyphens, blanks, full
        stops or a bracket, bare, or with the country code (`+82 10`, `+82 (0)10`, `0082`, `001-82`); bare 010 numbers
        that lost their first 0 in a spreadsheet (`1012345678`) behind a label or under a header.
    What it must not find
        Order numbers that contain 010, decimal fractions, IP addresses, parts of UUIDs, bare digits glued to letters.
    Legal basis
        Personal data (PIPA Art. 2); in transit and on staff PCs to be encrypted (Safety Measures Standard Art. 7).
    Known gaps
        Old 011 to 019 numbers that lost their first 0. A customer may have chosen the phone number as a bank account
        number.
    References
        libphonenumber metadata, region KR.
    """

    kind = Kind("kr_phone_mobile", "Korean mobile phone number", keep=(0, 2))
    headers = frozenset(
        "휴대폰 휴대폰번호 휴대전화 휴대전화번호 핸드폰 핸드폰번호 연락처 전화번호 전화 비상연락처 수신번호 발신번호 "
        "phone phoneno phonenumber tel telno mobile mobileno mobilephone mbltelno mbtlnum hp hpno cell cellphone "
        "cphone contact contactno".split()
    )
    column = ColumnRule()

    def candidates(self, tokens: Tokens) -> Index:
        return starting(tokens, tokens.with_shape(CODES), PREFIXES)

    def confirm(self, tokens: Tokens, index: Index) -> Judgement:
        return judge(tokens, index, TABLE, valid, bare=Confidence.POSSIBLE)
