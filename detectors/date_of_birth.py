"""Dates and years of birth."""

from __future__ import annotations

import datetime

import numpy as np
import numpy.typing as npt

from pii_guard.detectors.arithmetic import number, real_dates
from pii_guard.detectors.surroundings import in_letters, labelled, reach, touches
from pii_guard.engine.detection import REJECTED, WEAK, ColumnRule, Judgement
from pii_guard.engine.text import Index
from pii_guard.engine.tokens import BORN_IN, Gap, Tokens, gaps, groups, shape
from pii_guard.model import Confidence, Kind

__all__ = ["DateOfBirth"]

FULL = tuple(shape(4, month, day) for month in (1, 2) for day in (1, 2))
SHORT = tuple(shape(2, month, day) for month in (1, 2) for day in (1, 2))
COMPACT, COMPACT_SHORT = shape(8), shape(6)
YEARS = (shape(4), shape(2))
CODES = frozenset({*FULL, *SHORT, COMPACT, COMPACT_SHORT, *YEARS})
IN_WORDS = gaps(Gap.YEAR, Gap.MONTH)
SPOKEN = gaps(Gap.DOT_SPACE, Gap.DOT_SPACE)
SEPARATORS = frozenset(
    {0, IN_WORDS, SPOKEN, *(gaps(gap, gap) for gap in (Gap.HYPHEN, Gap.DOT, Gap.SLASH, Gap.SPACED_HYPHEN))}
)
EARLIEST = 1900
"""Nobody older lives (the oldest person on record died at 122)."""
DAY_IN_WORDS = r"일(?:\s?생)?"
BORN = r"일\s?생"
LABEL = r"(?:생년|생일|출생|태어난|birth|born|(?:\A|[^a-z])(?:dob|brdt))[^0-9]{0,16}\z"


class DateOfBirth:
    """What it finds
        Behind a label such as 생년월일 or under a header that says so: 1990-01-01, 1990.01.01, 1990. 1. 1., 1990/1/1,
        19900101, 900101, 90-01-01, 1990년 1월 1일, 1990년생, '90년생. Without: `1990년 1월 1일생` (`likely`) and
        `1990년생` (`possible`), which say themselves that somebody was born.
    What it must not find
        Other dates, time stamps, dates that do not exist, lie in the future or before 1900, versions; the age of a
        plant (`10년생`).
    Legal basis
        Personal data (PIPA Art. 2).
    Known gaps
        Years alone under a header (`1990`), other orders (1/31/1990), names of months. Two digits of a year count from
        the current year backwards.
    References
        The Gregorian calendar; Korean forms. Dates of the lunar calendar have days that this one has as well.
    """

    kind = Kind("date_of_birth", "date of birth", keep=(0, 0), domain=130 * 366)  # days since 1900, at least
    headers = frozenset(
        "생년월일 생일 출생일 출생일자 출생연도 출생년도 생년 dob birth birthday birthdate dateofbirth brdt brthdy "
        "birthdt birthymd birthyear byear bday".split()
    )
    column = ColumnRule(hinted=0.6, unhinted=None)

    def candidates(self, tokens: Tokens) -> Index:
        index = tokens.with_shape(CODES)
        if not len(index):
            return index
        before, after = tokens.before[index], tokens.after[index]
        alone = ~(in_letters(before) | (in_letters(after) & (after != ord("T"))))
        index = index[alone]
        found: Index = index[~_timed(tokens, index)]
        return found

    def confirm(self, tokens: Tokens, index: Index) -> Judgement:
        confidence = np.full(len(index), REJECTED, np.int8)
        for code, place in tokens.by_shape(index):
            joint = tokens.gaps[index[place]]
            wanted = np.isin(joint, list(SEPARATORS))
            if wanted.any():
                real = _exists(tokens, index[place], code)
                confidence[place] = np.where(wanted & real, np.int8(WEAK), np.int8(REJECTED))
        confidence[touches(tokens, index, b"*@")] = REJECTED
        return self._judged(tokens, index, confidence)

    def _judged(self, tokens: Tokens, index: Index, confidence: npt.NDArray[np.int8]) -> Judgement:
        """With labels and the words around: 일, 일생, 년생, the apostrophe of a short year."""
        start, end = tokens.start[index], tokens.end[index]
        found = np.flatnonzero((confidence == WEAK) & ((tokens.before[index] | tokens.after[index]) != 0))
        part, code, joint = index[found], tokens.shape[index[found]], tokens.gaps[index[found]]
        year = np.isin(code, YEARS)
        end[found[year]] += len(BORN_IN)
        apostrophe = year & (tokens.before[part] == ord("'"))
        start[found[apostrophe]] -= 1
        confidence[found[year & (apostrophe | (code == YEARS[0]))]] = Confidence.POSSIBLE
        words = found[joint == IN_WORDS]
        if len(words):
            end[words] += reach(tokens, index[words], behind=DAY_IN_WORDS, width=16)
            confidence[words[reach(tokens, index[words], behind=BORN, width=16) > 0]] = Confidence.LIKELY
        spoken = found[(joint == SPOKEN) & (tokens.after[part] == ord("."))]
        end[spoken] += 1  # the last full stop of `1990. 1. 1.` belongs to the date
        confidence[found[labelled(tokens, part, LABEL)]] = Confidence.LIKELY
        return Judgement(confidence, start=start, end=end)


def _exists(tokens: Tokens, index: Index, code: int) -> npt.NDArray[np.bool_]:
    """Whether the digits are a date, or a year, from 1900 until today."""
    today = datetime.date.today()
    digits = tokens.digits(index, code)
    lengths = {COMPACT: (4, 2, 2), COMPACT_SHORT: (2, 2, 2)}.get(code) or groups(code)
    year = number(digits[: lengths[0]])
    if lengths[0] == 2:
        year += np.where(year <= today.year % 100, 2000, 1900)
    if len(lengths) == 1:
        return (year >= EARLIEST) & (year <= today.year)
    middle = lengths[0] + lengths[1]
    month, day = number(digits[lengths[0] : middle]), number(digits[middle:])
    real = (year >= EARLIEST) & real_dates(year, month, day, today)
    if lengths[0] == 2:
        real |= real_dates(year - 100, month, day, today)
    return real


def _timed(tokens: Tokens, index: Index) -> npt.NDArray[np.bool_]:
    """Whether a time of day other than midnight follows: what has one is no date of birth."""
    data, begins, end, after = tokens.text.data, tokens.text.begins(), tokens.end[index], tokens.after[index]
    timed: npt.NDArray[np.bool_] = after == ord("T")
    place = np.flatnonzero(timed | (after == ord(" ")))
    place = place[end[place] + 5 < len(data)]  # behind it T or a blank, two digits, a colon, two digits
    place = place[data[end[place] + 3] == ord(":")]
    head = end[place]
    timed[place[~(begins[head + 1] | begins[head + 2] | begins[head + 3])]] = True
    place = place[(data[head + 1] == ord("0")) & (data[head + 2] == ord("0"))]
    head = end[place]
    timed[place[(data[head + 4] == ord("0")) & (data[head + 5] == ord("0"))]] = False
    return timed
