"""Periods are counted on the calendar."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii_guard.policy.periods import parse_period

days = st.dates(date(2000, 1, 1), date(2100, 12, 31))
texts = st.sampled_from(["P1D", "P90D", "P6M", "P1Y", "P5Y", "P1Y6M", "P2W", "PT36H", "P1M", "P13M10D"])


@pytest.mark.parametrize(
    ("period", "start", "over"),
    [
        ("P1M", date(2025, 1, 31), datetime(2025, 2, 28)),
        ("P1Y", date(2024, 2, 29), datetime(2025, 2, 28)),
        ("P5Y", date(2021, 11, 22), datetime(2026, 11, 22)),
        ("P1Y6M", date(2026, 8, 31), datetime(2028, 2, 29)),
        ("P2W", date(2026, 12, 25), datetime(2027, 1, 8)),
        ("PT24H", date(2026, 12, 31), datetime(2027, 1, 1)),
        ("PT1H", date(2026, 12, 31), datetime(2026, 12, 31, 1)),
    ],
)
def test_end_of_a_period(period: str, start: date, over: datetime) -> None:
    assert parse_period(period).after(start) == over


@pytest.mark.parametrize(
    ("longer", "shorter"),
    [
        ("P1Y", "P12M"),
        ("P12M", "P1Y"),
        ("P366D", "P1Y"),
        ("P5Y", "P1826D"),
        ("P1M", "P28D"),
        ("P31D", "P1M"),
        ("P2W", "P14D"),
    ],
)
def test_covers(longer: str, shorter: str) -> None:
    assert parse_period(longer).covers(parse_period(shorter))


@pytest.mark.parametrize(
    ("shorter", "longer"),
    [("P365D", "P1Y"), ("P1825D", "P5Y"), ("P30D", "P1M"), ("P1M", "P29D"), ("P11M", "P1Y"), ("P3Y", "P5Y")],
)
def test_does_not_cover(shorter: str, longer: str) -> None:
    assert not parse_period(shorter).covers(parse_period(longer))


@given(texts, days, days)
def test_latest_start_is_the_other_way_round(text: str, today: date, start: date) -> None:
    """What started on the day before the latest start, or earlier, is over; what started two days later is not."""
    period, moment = parse_period(text), datetime(today.year, today.month, today.day)
    if start < period.before(today).date():
        assert period.after(start) <= moment
    # Days that a month lacks are its last: up to three starts share one end.
    if start > period.before(today).date() + timedelta(days=3):
        assert period.after(start) > moment


@pytest.mark.parametrize("text", ["P", "PT", "P1X", "1Y", "P-1Y", "P1.5Y", "P1Y2W", "p1y", " P1Y", "P1D1Y", "P١Y"])
def test_no_period(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape("ISO 8601 duration")):
        parse_period(text)


@pytest.mark.parametrize("text", ["P1001Y", "P99999999999D", "PT9999999999999S"])
def test_too_long(text: str) -> None:
    with pytest.raises(ValueError, match="longer than 1000 years"):
        parse_period(text)
