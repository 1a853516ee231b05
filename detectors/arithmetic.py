"""Check digits and calendars over arrays. Digits are uint8 arrays of shape (digits, numbers), values 0-9."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pii_guard.engine.text import Bytes

__all__ = ["luhn", "number", "real_dates", "weighted_sum"]

DAYS = np.array([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)


def luhn(digits: Bytes) -> npt.NDArray[np.bool_]:
    """Which numbers pass the Luhn check (ISO/IEC 7812-1, annex B)."""
    total = np.zeros(digits.shape[1], np.uint8)  # 28 digits fit
    for place, digit in enumerate(digits[::-1]):
        total += digit
        if place % 2:  # doubled, and 9 less where that has two digits
            total += digit - np.uint8(9) * (digit > 4)
    passes: npt.NDArray[np.bool_] = total % 10 == 0
    return passes


def weighted_sum(digits: Bytes, weights: Sequence[int]) -> npt.NDArray[np.uint16]:
    """Sum of the first digits times `weights`, which are 28 at most: their products are bytes."""
    total = np.zeros(digits.shape[1], np.uint16)
    for digit, weight in zip(digits, weights, strict=False):
        total += digit * np.uint8(weight)
    return total


def number(digits: Bytes) -> npt.NDArray[np.int64]:
    """The value of up to 18 digits."""
    count = len(digits)
    pairs = digits[count % 2 :: 2] * np.uint8(10) + digits[count % 2 + 1 :: 2]  # a byte has room for two digits
    value = digits[0].astype(np.int64) if count % 2 else np.zeros(digits.shape[1], np.int64)
    for pair in pairs:
        value *= 100
        value += pair
    return value


def real_dates(
    year: npt.NDArray[np.int64], month: npt.NDArray[np.int64], day: npt.NDArray[np.int64], latest: datetime.date
) -> npt.NDArray[np.bool_]:
    """Which dates exist and are not after `latest` (Gregorian calendar)."""
    inside = (month >= 1) & (month <= 12)
    last = DAYS.take(np.where(inside, month, 0))
    reached = year * 10_000 + month * 100 + day <= latest.year * 10_000 + latest.month * 100 + latest.day
    real: npt.NDArray[np.bool_] = inside & (day >= 1) & (day <= last) & reached
    leap_days = np.flatnonzero(real & (month == 2) & (day == 29))  # few, and divisions are slow
    year = year[leap_days]
    real[leap_days] = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    return real
