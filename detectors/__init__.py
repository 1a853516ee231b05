"""Detectors: one file per kind, its vectors beside it (`KIND.vectors.toml`), one line in the table below.

A detector's docstring is what `pii-guard kinds KIND` prints.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib import import_module

from pii_guard.engine.detection import Detector
from pii_guard.errors import UsageError

__all__ = ["TABLE", "load", "select"]

if __name__ != "pii_guard.detectors":  # e.g. `import detectors`, or `pytest detectors/`
    raise ImportError("this folder is the package pii_guard.detectors; import it by that name")

TABLE: dict[str, tuple[str, str]] = {
    "email": ("email:Email", "e-mail addresses"),
    "kr_rrn": ("kr_rrn:ResidentNumber", "Korean resident registration numbers"),
    "credit_card": ("credit_card:CreditCard", "payment card numbers"),
    "kr_phone_mobile": ("kr_phone_mobile:MobilePhone", "Korean mobile phone numbers"),
    "kr_phone_fixed": ("kr_phone_fixed:FixedPhone", "Korean fixed-line, internet (070) and personal (050x) numbers"),
    "kr_bank_account": ("kr_bank_account:BankAccount", "Korean bank account numbers, by context only"),
    "person_name_ko": ("person_name_ko:KoreanName", "columns of Korean names"),
}
"""Kind -> (module:Class, what it finds). The order decides between equally good hits of one span."""


@cache
def load(kind: str) -> Detector:
    """The detector of one kind. Raises UsageError for an unknown kind, with the nearest known one."""
    if kind not in TABLE:
        near = difflib.get_close_matches(kind, TABLE, 1, 0.5)
        raise UsageError(
            f"unknown kind '{kind}'"
            + (f"; did you mean '{near[0]}'?" if near else "")
            + " (pii-guard kinds lists them)"
        )
    module, name = TABLE[kind][0].split(":")
    detector: Detector = getattr(import_module(f"pii_guard.detectors.{module}"), name)()
    return detector


def select(only: Iterable[str] = (), excluding: Iterable[str] = (), *, masked: bool = True) -> tuple[Detector, ...]:
    """The detectors of the kinds in `only` (empty: of all) without those in `excluding`, in table order.

    `masked=False` gives detectors whose samples are the values themselves: for a person at a terminal who asked.
    """
    wanted, unwanted = tuple(only), tuple(excluding)
    for kind in (*wanted, *unwanted):
        load(kind)
    chosen = (load(kind) for kind in TABLE if (not wanted or kind in wanted) and kind not in unwanted)
    return tuple(detector if masked else Unmasked(detector) for detector in chosen)


class Unmasked:
    """A detector whose kind masks nothing."""

    def __init__(self, detector: Detector) -> None:
        self.kind = replace(detector.kind, keep=None)
        self.headers, self.column = detector.headers, detector.column
        self.candidates, self.confirm = detector.candidates, detector.confirm
