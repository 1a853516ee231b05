"""Cohorts: the rows of a table by the month, quarter or year in which their retention period starts.

Each cohort has keys of its own, so that what is past its period can be made unreadable and the rest stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.errors import UsageError

__all__ = ["Cohorts", "iso_days"]

MONTH, DAYS = "(?:0[1-9]|1[0-2])", "(?:0[1-9]|[12][0-9]|3[01])"
DAY = (
    r"^\s*(?P<year>[0-9]{4})"
    rf"(?:-(?P<a>{MONTH})-(?P<ad>{DAYS})|(?P<b>{MONTH})(?P<bd>{DAYS})|[./](?P<c>{MONTH})[./](?P<cd>{DAYS}))(?:\D|$)"
)
"""A day as text: 2024-03-05, 20240305, 2024.03.05 or 2024/03/05, with a time behind it or not."""


def iso_days(values: pa.Array) -> tuple[pa.StringArray, npt.NDArray[np.int64]]:
    """The day of each value as `YYYY-MM-DD`, null where there is none, and the places of values that say no day.

    Takes dates, timestamps (the day where their time zone is) and days as text.

    >>> iso_days(pa.array(["20240305", "5 March", ""]))[0].to_pylist()
    ['2024-03-05', None, None]
    """
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_timestamp(values.type) and values.type.tz:
        values = pc.local_timestamp(values)
    if pa.types.is_date(values.type) or pa.types.is_timestamp(values.type):
        return pc.strftime(values.cast(pa.timestamp("s"), safe=False), "%Y-%m-%d"), np.zeros(0, np.int64)
    text = _text(values)
    text = pc.if_else(pc.equal(pc.utf8_trim_whitespace(text), ""), pa.scalar(None, pa.string()), text)
    parts = pc.extract_regex(text, DAY)
    wrong = pc.and_(parts.is_null(), text.is_valid()).to_numpy(zero_copy_only=False).nonzero()[0]
    month, day = (pc.binary_join_element_wise(*(pc.struct_field(parts, a + b) for a in "abc"), "") for b in ("", "d"))
    return pc.binary_join_element_wise(pc.struct_field(parts, "year"), month, day, "-"), wrong


def _text(values: pa.Array) -> pa.StringArray:
    """Values of other types as text; of lists, objects and bytes that are no UTF-8 one that is no day."""
    try:
        return values.cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # its message quotes values
        return pc.if_else(values.is_valid(), "no day", pa.scalar(None, pa.string()))


@dataclass(frozen=True, slots=True)
class Cohorts:
    """Which column says when the period of a row starts, and how long a cohort is: a month, a quarter or a year."""

    index: int
    shown: str
    """The name of that column, safe to show."""
    granularity: str

    def labels(self, days: pa.Array) -> pa.StringArray:
        """The period of each row as keys name it (`2024`, `2024-Q1`, `2024-03`); empty where there is no day.

        Takes dates, timestamps and days as text. Raises UsageError, with row numbers, for values that are no day.

        >>> Cohorts(0, "signed", "quarter").labels(pa.array(["2024-03-05", None])).to_pylist()
        ['2024-Q1', '']
        """
        text, wrong = iso_days(days)
        named = pc.match_substring_regex(text, "^[12][0-9]{3}-").fill_null(True)  # of years that keys have
        wrong = np.union1d(wrong, pc.invert(named).to_numpy(zero_copy_only=False).nonzero()[0])
        if len(wrong):
            shown = ", ".join(map(str, wrong[:10].tolist())) + (", ..." if len(wrong) > 10 else "")
            raise UsageError(
                f"{self.shown}: {len(wrong)} value(s) are no day such as 2024-03-05, from 1000 to 2999 (row {shown} of "
                "their batch), so nothing says when their retention period starts"
            )
        year, month = pc.utf8_slice_codeunits(text, 0, 4), pc.utf8_slice_codeunits(text, 5, 7)
        if self.granularity == "year":
            labels = year
        elif self.granularity == "month":
            labels = pc.binary_join_element_wise(year, month, "-")
        else:
            first = pc.divide(pc.add(pc.coalesce(month, "01").cast(pa.int8()), 2), 3).cast(pa.string())
            labels = pc.binary_join_element_wise(year, pc.binary_join_element_wise("Q", first, ""), "-")
        return pc.if_else(text.is_valid(), labels, "")

    def by_cohort(self, batch: pa.RecordBatch, make: Callable[[pa.RecordBatch, str], pa.Array]) -> pa.Array:
        """What `make` makes of the rows of each period, in the order of the batch."""
        labels = self.labels(batch.column(self.index)).dictionary_encode()
        periods = labels.dictionary.to_pylist()
        if len(periods) == 1:
            return make(batch, periods[0])
        codes = labels.indices.to_numpy()
        order = np.argsort(codes, kind="stable")
        bounds = np.searchsorted(codes[order], np.arange(len(periods) + 1))
        parts = [
            make(batch.take(pa.array(order[start:end])), period)
            for period, start, end in zip(periods, bounds[:-1], bounds[1:], strict=True)
        ]
        if not parts:
            return make(batch, "")
        return pa.concat_arrays(parts).take(pa.array(np.argsort(order, kind="stable")))
