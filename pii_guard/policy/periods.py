"""Retention periods: ISO 8601 durations in whole numbers, counted on the calendar."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

__all__ = ["Period", "parse_period"]

_DURATION = re.compile(
    # Weeks stand alone (ISO 8601-1, 5.5.2.4); at least one part, and one after a T.
    r"P(?:(\d+)W|(?=.)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?)",
    re.ASCII,
)
_STARTS = [datetime(year, month, day) for year in range(2024, 2028) for month in range(1, 13) for day in (1, 28)]
"""Days of four years, a leap year among them, from which two periods are compared."""
MOST_YEARS = 1000
"""Longer periods are mistakes, and the calendar ends at the year 9999."""


@dataclass(frozen=True, slots=True)
class Period:
    """A length of time: calendar months, and seconds for all that has a fixed length."""

    months: int
    seconds: int

    def after(self, start: date) -> datetime:
        """The moment at which a period that starts with the day `start` is over. A day that a month lacks is its last.

        >>> parse_period("P1M").after(date(2024, 1, 31))
        datetime.datetime(2024, 2, 29, 0, 0)
        """
        return _shifted(start, self.months) + timedelta(seconds=self.seconds)

    def before(self, moment: date) -> datetime:
        """The latest start of a period that is over at `moment`: all that started before it is past its period.

        >>> parse_period("P1Y").before(date(2026, 11, 22))
        datetime.datetime(2025, 11, 22, 0, 0)
        """
        return _shifted(datetime(moment.year, moment.month, moment.day) - timedelta(seconds=self.seconds), -self.months)

    def covers(self, other: Period) -> bool:
        """Whether this period is never over before `other`, whenever both start.

        >>> parse_period("P12M").covers(parse_period("P1Y")), parse_period("P365D").covers(parse_period("P1Y"))
        (True, False)
        """
        return all(self.after(start) >= other.after(start) for start in _STARTS)


def _shifted(start: date, months: int) -> datetime:
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    clock = start.time() if isinstance(start, datetime) else time()
    return datetime.combine(date(year, month + 1, day), clock)


def parse_period(text: str) -> Period:
    """The period that `text` writes. Raises ValueError for anything but an ISO 8601 duration in whole numbers."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError('must be an ISO 8601 duration in whole numbers, such as "P5Y", "P6M" or "P90D"')
    weeks, years, months, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    period = Period(years * 12 + months, ((weeks * 7 + days) * 24 + hours) * 3600 + minutes * 60 + seconds)
    if period.months + period.seconds / (30 * 86400) > MOST_YEARS * 12:
        raise ValueError(f"is longer than {MOST_YEARS} years")
    return period
