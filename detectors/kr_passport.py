"""Korean passport numbers."""

from __future__ import annotations

import datetime

import numpy as np

from pii_guard.detectors.arithmetic import number, real_dates
from pii_guard.detectors.surroundings import in_letters, labelled, touches
from pii_guard.engine.detection import REJECTED, WEAK, ColumnRule, Judgement
from pii_guard.engine.text import Index
from pii_guard.engine.tokens import Family, Tokens, shape
from pii_guard.model import Confidence, Kind

__all__ = ["Passport"]

OLD = shape(8)
"""A letter and eight digits; the lexer's other shape, three digits, a letter and four, is that of the e-passport."""
TYPES = np.zeros(256, np.bool_)
TYPES[list(b"MSRODmsrod")] = True
"""Multiple, single, residence, official, diplomatic (Microsoft Purview; presidio-analyzer, country_specific/korea)."""
DATES = (1990, 2035)
"""Years of dates in names of files, batches and releases: D20261122, M20251231."""
LABEL = r"(?:여권|passport|psp?o?r?t\s?no)[^0-9]{0,24}\z"


class Passport:
    """What it finds
        A type letter (M, S, R, O, D, any case) with eight digits, or with three digits, a letter and four digits
        (passports since December 2021): `possible` by shape, `likely` behind a label or under a header.
    What it must not find
        Other first letters; a letter with a date of 1990 to 2035 behind it (`D20261122`); parts of longer codes
        (`SM-S928N0123`, `R12345678K`); lower-case hexadecimal digits (`d12345678`), unless a label says passport.
    Legal basis
        Unique identifier (PIPA Art. 24, Decree Art. 19): separate consent or a statute; to be encrypted (Art. 24(3)).
    Known gaps
        The number has no check digit, and product codes have the same shape: a column of them without a header is
        `possible` at most. The older form with two letters and seven digits is not looked for.
    References
        presidio-analyzer, country_specific/korea; Microsoft Purview.
    """

    kind = Kind("kr_passport", "Korean passport number", keep=(1, 1))
    headers = frozenset("여권번호 여권 passport passportno passportnumber psprtno psptno".split())
    column = ColumnRule(hinted=0.6, unhinted=None)

    def candidates(self, tokens: Tokens) -> Index:
        block = tokens.family(Family.IDENTIFIER)
        index = np.arange(block.start, block.stop)
        found: Index = index[TYPES[tokens.text.data[tokens.start[index]]]]
        return found

    def confirm(self, tokens: Tokens, index: Index) -> Judgement:
        confidence = np.full(len(index), Confidence.POSSIBLE, np.int8)
        before, after, data = tokens.before[index], tokens.after[index], tokens.text.data
        digit_before = (before >= ord("0")) & (before <= ord("9"))
        confidence[in_letters(before) | in_letters(after) | digit_before] = REJECTED
        confidence[touches(tokens, index, b"*@")] = REJECTED
        part_of_more = np.isin(before, list(b"-./#=&?")) | np.isin(after, list(b"-/=&"))
        letter = data[tokens.start[index]]
        middle = np.where(tokens.shape[index] == OLD, ord("a"), data[tokens.mark[index] + 3])
        hexadecimal = (letter == ord("d")) & (middle >= ord("a")) & (middle <= ord("f"))
        doubtful = part_of_more | hexadecimal
        old = np.flatnonzero(tokens.shape[index] == OLD)
        doubtful[old[_date(tokens, index[old])]] = True
        confidence[doubtful & (confidence > REJECTED)] = WEAK
        found = np.flatnonzero(confidence > REJECTED)
        confidence[found[labelled(tokens, index[found], LABEL)]] = Confidence.LIKELY
        return Judgement(confidence)


def _date(tokens: Tokens, index: Index) -> np.typing.NDArray[np.bool_]:
    """Whether the eight digits are a date of the years in DATES."""
    first = tokens.mark[index]
    digits = np.stack([tokens.text.data[first + place] - 48 for place in range(8)])
    year = number(digits[:4])
    real = real_dates(year, number(digits[4:6]), number(digits[6:8]), datetime.date(DATES[1], 12, 31))
    return real & (year >= DATES[0])
