"""Registration numbers of aliens in Korea, and of overseas Koreans who report a residence."""

from __future__ import annotations

import numpy as np

from pii_guard.detectors import kr_registration
from pii_guard.engine.detection import ColumnRule, Judgement
from pii_guard.engine.text import Index
from pii_guard.engine.tokens import Tokens
from pii_guard.model import Kind

__all__ = ["AlienRegistration"]

CENTURY = np.array([0, 0, 0, 0, 0, 1900, 1900, 2000, 2000, 0], np.int64)
"""5, 6 for the 1900s, 7, 8 for the 2000s; the other digits are those of residents."""
CLOSING = 13
"""Two more than for residents: presidio-analyzer, country_specific/korea. Older validators add 2 and fold, the same."""
LABEL = r"(?:외국인|거소신고|(?:\A|[^a-z])(?:frn|arn)|alien|foreigner)[^0-9]{0,24}\z"


class AlienRegistration:
    """What it finds
        YYMMDD-GHHHHHX with G from 5 to 8, a birth date that exists and is not in the future, and a check digit that
        holds; born since 2020-10-05, when the check digit was dropped, by the hyphenated shape (`possible`) or a label
        (`likely`). Residence report numbers of overseas Koreans have the same form.
    What it must not find
        Numbers that follow the check of resident numbers, wrong dates, wrong check digits of older births, time stamps
        in milliseconds, barcodes and corporate registration numbers behind their labels, masked numbers.
    Legal basis
        Unique identifier (PIPA Art. 24, Decree Art. 19): separate consent or a statute; to be encrypted (Art. 24(3)).
    Known gaps
        Bare digits that begin with 15 to 19 pass for time stamps unless a label or header says otherwise. Numbers given
        out after 2020-10-05 to older persons have no check digit: found under a header or label only. That the digits
        eight and nine of older numbers are even together is not asked for.
    References
        presidio-analyzer, country_specific/korea; Enforcement Rule of the Resident Registration Act, Art. 2.
    """

    kind = Kind("kr_alien_registration", "Korean alien registration number", keep=(2, 0))
    headers = frozenset(
        "외국인등록번호 외국인번호 외국인등록 거소신고번호 국내거소신고번호 arn frn alienno alienregistration "
        "alienregistrationno frgnrno foreignerregistrationno fgnregno".split()
    )
    column = ColumnRule(hinted=0.8, check=0.5)

    def candidates(self, tokens: Tokens) -> Index:
        return kr_registration.candidates(tokens, CENTURY)

    def confirm(self, tokens: Tokens, index: Index) -> Judgement:
        return kr_registration.judge(tokens, index, CENTURY, CLOSING, LABEL)
