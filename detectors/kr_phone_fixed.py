"""Korean fixed-line, internet (070) and personal (050x) numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pii_guard.detectors.kr_numbering import Form, forms, judge, prefixes
from pii_guard.detectors.surroundings import starting
from pii_guard.engine.detection import WEAK, ColumnRule, Judgement
from pii_guard.engine.text import Bytes, Index
from pii_guard.engine.tokens import Tokens, shape
from pii_guard.model import Kind

__all__ = ["FixedPhone"]

# groups of the national number without its 0: Seoul (2), other areas and 070, 050x
TABLE = forms(
    [(1, 3, 4), (1, 4, 4), (2, 3, 4), (2, 4, 4), (3, 3, 4), (3, 4, 4), (8,), (9,), (10,), (11,)],
    without_prefix=[(9,), (10,)],  # eight digits without the 0 of 02 would be dates
)
CODES = frozenset(TABLE)
AREAS = (31, 32, 33, 41, 42, 43, 44, 51, 52, 53, 54, 55, 61, 62, 63, 64)
INTERNET, PERSONAL = 70, range(502, 509)
PREFIXES = prefixes(range(2, 8))
WITHOUT_0 = frozenset({shape(9), shape(10)})
PREFIXES_WITHOUT_0 = np.zeros(100, np.bool_)
PREFIXES_WITHOUT_0[[*range(21, 30), *AREAS, INTERNET, PERSONAL[0] // 10]] = True


def valid(form: Form, digits: Bytes) -> npt.NDArray[np.bool_]:
    """02 with 7-8 digits, an area code with 7-8, 070 with 8, 050x with 7-8; a subscriber number starts with 1 to 9."""
    two = digits[0].astype(np.int64) * 10 + digits[1]
    three = two * 10 + digits[2]
    found = np.zeros(digits.shape[1], np.bool_)
    if form.area in (None, 1) and form.national in (8, 9):
        found |= (digits[0] == 2) & (digits[1] > 0)
    if form.area in (None, 2) and form.national in (9, 10):
        found |= np.isin(two, AREAS) & (digits[2] > 0)
    if form.area in (None, 2) and form.national == 10:
        found |= (two == INTERNET) & (digits[2] > 0)
    if form.area in (None, 3) and form.national in (10, 11):
        found |= np.isin(three, PERSONAL)
    return found


class FixedPhone:
    """What it finds
        Numbers with an area code (02, 031 to 064), internet numbers (070) and personal or safe numbers (0502 to 0508),
        separated or with the country code; bare digits, also of nine or ten digits without the first 0, only under a
        header or behind a label.
    What it must not find
        Area codes that do not exist (034, 056, 065), dates, times, account and registration numbers.
    Legal basis
        Personal data where the line is a person's (PIPA Art. 2).
    Known gaps
        Office numbers cannot be told from private ones. Seven-digit Seoul numbers that lost their 0 look like dates.
    References
        libphonenumber metadata, region KR.
    """

    kind = Kind("kr_phone_fixed", "Korean fixed-line phone number", keep=(0, 2))
    headers = frozenset(
        "연락처 전화번호 전화 집전화 자택전화 회사전화 팩스 팩스번호 phone phoneno phonenumber tel telno fax faxno "
        "homephone officephone contact".split()
    )
    column = ColumnRule()

    def candidates(self, tokens: Tokens) -> Index:
        whole = starting(tokens, tokens.with_shape(CODES), PREFIXES)
        return np.concatenate([whole, starting(tokens, tokens.with_shape(WITHOUT_0), PREFIXES_WITHOUT_0)])

    def confirm(self, tokens: Tokens, index: Index) -> Judgement:
        return judge(tokens, index, TABLE, valid, bare=WEAK)
