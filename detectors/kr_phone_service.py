"""Korean service numbers: nationwide (1588-0000) and toll-free (080)."""

from __future__ import annotations

import datetime

import numpy as np
import numpy.typing as npt

from pii_guard.detectors.arithmetic import number
from pii_guard.detectors.kr_numbering import Form, forms, judge, prefixes
from pii_guard.detectors.surroundings import labelled, starting
from pii_guard.engine.detection import REJECTED, WEAK, ColumnRule, Judgement
from pii_guard.engine.text import Bytes, Index
from pii_guard.engine.tokens import Gap, Tokens, gaps, shape
from pii_guard.model import Confidence, Kind

__all__ = ["ServicePhone"]

NATIONWIDE = (4, 4)
TABLE = forms([(2, 3, 4), (2, 4, 4), (9,), (10,)], without_prefix=[NATIONWIDE, (8,)])
CODES = frozenset(TABLE)
PREFIXES = prefixes([8, 15, 16, 18])
TOLL_FREE = (8, 0)
GIVEN = np.zeros(10_000, np.bool_)
GIVEN[
    [
        *(1522, 1533, 1544, 1551, 1555, 1566, 1577, 1588, 1599, 1600, 1644, 1660, 1661, 1666, 1668, 1670, 1688),
        *(1800, 1811, 1833, 1844, 1855, 1866, 1877, 1899),
    ]
] = True
"""Prefixes in use: libphonenumber, region KR, both its metadata and its short numbers (1551, 1811, 1844, 1866)."""
LABEL = (
    r"(?:전화|고객\s?(?:센터|상담)|상담|대표\s?번호|문의|콜\s?센터|☎|(?:\A|[^a-z])(?:tel|phone|call|ars))[^0-9]{0,16}\z"
)


def valid(form: Form, digits: Bytes) -> npt.NDArray[np.bool_]:
    """080 with seven or eight digits, or a nationwide prefix with four."""
    if not form.prefix:
        given: npt.NDArray[np.bool_] = GIVEN[number(digits[:4])]
        return given
    if form.area not in (None, 2):
        return np.zeros(digits.shape[1], np.bool_)
    found: npt.NDArray[np.bool_] = (digits[0] == TOLL_FREE[0]) & (digits[1] == TOLL_FREE[1])
    return found


class ServicePhone:
    """What it finds
        Nationwide numbers of businesses (1522 to 1899 and four digits) and toll-free numbers (080), separated; bare
        digits behind a label only. They are nobody's personal data and reported as such: a phone number in a text is
        thus known for what it is.
    What it must not find
        Prefixes that are not in use (1500), ranges of years (1800-1899), parts of dates, decimal numbers, short codes
        (112, 118, 182, 1301).
    Legal basis
        None: numbers of businesses.
    Known gaps
        030, 060 and 015 numbers.
    References
        libphonenumber metadata, region KR, numbers and short numbers.
    """

    kind = Kind("kr_phone_service", "Korean service phone number", personal=False, keep=(0, 2))
    headers = frozenset(
        "대표번호 고객센터 고객센터번호 대표전화 콜센터 callcenter servicephone hotline tollfree".split()
    )
    column = ColumnRule()

    def candidates(self, tokens: Tokens) -> Index:
        return starting(tokens, tokens.with_shape(CODES), PREFIXES)

    def confirm(self, tokens: Tokens, index: Index) -> Judgement:
        found = judge(tokens, index, TABLE, valid, bare=WEAK)
        confidence = found.confidence
        short = np.flatnonzero((tokens.shape[index] == shape(*NATIONWIDE)) & (confidence > REJECTED))
        joint = tokens.gaps[index[short]]
        confidence[short[joint == gaps(Gap.DOT)]] = REJECTED  # a decimal number
        digits = tokens.digits(index[short], shape(*NATIONWIDE))
        first, second = number(digits[:4]), number(digits[4:])
        years = (second >= first) & (second <= datetime.date.today().year)
        doubtful = short[((joint == gaps(Gap.SPACE)) | years) & (confidence[short] > REJECTED)]
        confidence[doubtful] = np.where(
            labelled(tokens, index[doubtful], LABEL), np.int8(Confidence.LIKELY), np.int8(WEAK)
        )
        return found
