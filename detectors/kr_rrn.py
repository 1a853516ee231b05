"""Korean resident registration numbers."""

from __future__ import annotations

import numpy as np

from pii_guard.detectors import kr_registration
from pii_guard.engine.detection import ColumnRule, Judgement
from pii_guard.engine.text import Index
from pii_guard.engine.tokens import Tokens
from pii_guard.model import Kind

__all__ = ["ResidentNumber"]

CENTURY = np.array([1800, 1900, 1900, 2000, 2000, 0, 0, 0, 0, 1800], np.int64)
"""1, 2 for the 1900s, 3, 4 for the 2000s, 9, 0 for the 1800s; 5 to 8 are alien registrations."""
CLOSING = 11
LABEL = r"(?:주민|실명번호|rrn|jumin|resident)[^0-9]{0,24}\z"


class ResidentNumber:
    """What it finds
        YYMMDD-GHHHHHX with a birth date that exists and is not in the future, and a check digit that holds; born since
        2020-10-05, when the check digit was dropped, by the hyphenated shape (`possible`) or a label (`likely`).
    What it must not find
        Wrong dates, wrong check digits of older births, alien registration numbers, time stamps in milliseconds, masked
        numbers; corporate registration numbers and barcodes behind a label that says so.
    Legal basis
        May be processed only where a statute names it (PIPA Art. 24-2(1)); to be encrypted (Art. 24-2(2)).
    Known gaps
        Bare digits that begin with 15 to 19 pass for time stamps unless a label or header says otherwise. Numbers
        changed after 2020-10-05 have no check digit although the birth is older: found under a header or label only.
        One barcode in a hundred and one Seoul company in 25 passes; without a label only the column tells.
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
        return kr_registration.candidates(tokens, CENTURY)

    def confirm(self, tokens: Tokens, index: Index) -> Judgement:
        return kr_registration.judge(tokens, index, CENTURY, CLOSING, LABEL)
