"""Which keys a policy no longer allows to be kept."""

from __future__ import annotations

import calendar
from collections.abc import Iterable
from datetime import date, timedelta

from pii_guard.keys.document import KeyRecord
from pii_guard.policy.models import Policy
from pii_guard.policy.periods import parse_period

__all__ = ["expired", "last_day"]


def last_day(period: str) -> date:
    """The last day of a year, quarter, month or day, as keys name periods.

    >>> str(last_day("2026-Q3")), str(last_day("2026"))
    ('2026-09-30', '2026-12-31')
    """
    year, _, rest = period.partition("-")
    if rest.count("-"):
        return date.fromisoformat(period)
    month = 3 * int(rest[1]) if rest.startswith("Q") else int(rest or 12)
    return date(int(year), month, calendar.monthrange(int(year), month)[1])


def expired(records: Iterable[KeyRecord], policy: Policy, today: date) -> list[tuple[str, str, date]]:
    """(retention class, period, first day after) of all keys whose period and retention class are over, sorted.

    The retention of the youngest data starts on the day after its period. Keys without a period are not judged:
    nothing says when their data is from.
    """
    found = set()
    for record in records:
        kept = policy.retention.get(record.retention)
        if record.period and record.state != "destroyed" and kept is not None:
            over = parse_period(kept.period).after(last_day(record.period) + timedelta(days=1))
            if over.date() <= today:
                found.add((record.retention, record.period, over.date()))
    return sorted(found)
