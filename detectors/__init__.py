"""Detectors: one file per kind, its vectors beside it (`KIND.vectors.toml`), one line in the table below.

A detector's docstring is what `pii-guard kinds KIND` prints.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import replace
from functools import cache
from importlib import import_module

from pii_guard.engine.detection import Detector
from pii_guard.errors import UsageError

__all__ = ["TABLE", "describe", "load", "select"]

if __name__ != "pii_guard.detectors":  # e.g. `import detectors`, or `pytest detectors/`
    raise ImportError("this folder is the package pii_guard.detectors; import it by that name")

TABLE: dict[str, tuple[str, str]] = {
    "email": ("email:Email", "e-mail addresses"),
    "kr_rrn": ("kr_rrn:ResidentNumber", "Korean resident registration numbers"),
    "kr_alien_registration": ("kr_alien_registration:AlienRegistration", "Korean alien registration numbers"),
    "credit_card": ("credit_card:CreditCard", "payment card numbers"),
    "kr_corporate_registration": (
        "kr_corporate_registration:CorporateRegistration",
        "Korean corporate registration numbers, not personal",
    ),
    "kr_business_registration": (
        "kr_business_registration:BusinessRegistration",
        "Korean business registration numbers, not personal",
    ),
    "ip_address": ("ip_address:IpAddress", "IP addresses, version 4 and 6"),
    "kr_phone_mobile": ("kr_phone_mobile:MobilePhone", "Korean mobile phone numbers"),
    "kr_phone_fixed": ("kr_phone_fixed:FixedPhone", "Korean fixed-line, internet (070) and personal (050x) numbers"),
    "kr_phone_service": ("kr_phone_service:ServicePhone", "Korean service numbers (1588-, 080-), not personal"),
    "kr_driver_license": ("kr_driver_license:DriverLicense", "Korean driver licence numbers"),
    "kr_passport": ("kr_passport:Passport", "Korean passport numbers"),
    "kr_bank_account": ("kr_bank_account:BankAccount", "Korean bank account numbers, by context only"),
    "kr_health_insurance": ("kr_health_insurance:HealthInsurance", "Korean health insurance numbers, by context only"),
    "date_of_birth": ("date_of_birth:DateOfBirth", "dates of birth, by context only"),
    "person_name_ko": ("person_name_ko:KoreanName", "columns of Korean names"),
    "person_name_roman": ("person_name_roman:RomanName", "columns of Korean names in Latin letters, by header"),
    "kr_address": ("kr_address:Address", "columns of Korean addresses"),
    "login_id": ("login_id:LoginId", "columns of login ids, by header"),
    "password": ("password:Password", "columns of passwords and of their hashes, by header"),
    "ci_di": ("ci_di:ConnectingInformation", "columns of Korean identity check results (CI, DI), by header"),
    "cookie": ("cookie:Cookie", "columns of cookies, session and device ids, by header"),
    "sensitive": ("sensitive:Sensitive", "columns of health, creed, biometrics and the like, by header"),
    "kr_bank_name": ("kr_bank_name:BankName", "columns of names of Korean banks, not personal"),
}
"""Kind -> (module:Class, what it finds). The order decides between equally good hits of one span."""


@cache
def load(kind: str) -> Detector:
    """The detector of one kind of the table. Raises UsageError for an unknown kind, with the nearest known one."""
    if kind not in TABLE:
        raise _unknown(kind, TABLE)
    module, name = TABLE[kind][0].split(":")
    detector: Detector = getattr(import_module(f"pii_guard.detectors.{module}"), name)()
    return detector


def select(
    only: Iterable[str] = (), excluding: Iterable[str] = (), *, own: Sequence[Detector] = (), masked: bool = True
) -> tuple[Detector, ...]:
    """The detectors of the kinds in `only` (empty: of all) without those in `excluding`, in table order.

    `own` are detectors beside those of the table, such as those of a policy; they come first. `masked=False` gives
    detectors whose samples are the values themselves: for a person at a terminal who asked.
    """
    if isinstance(only, str) or isinstance(excluding, str):
        raise UsageError("kinds are given as a list, such as ['email']")
    wanted, unwanted = tuple(only), tuple(excluding)
    known = {detector.kind.id: detector for detector in own}
    for kind in (*wanted, *unwanted):
        if kind not in known and kind not in TABLE:
            raise _unknown(kind, (*known, *TABLE))
    chosen = [kind for kind in (*known, *TABLE) if (not wanted or kind in wanted) and kind not in unwanted]
    if not chosen:
        raise UsageError("no kind is left to look for")
    detectors = (known[kind] if kind in known else load(kind) for kind in chosen)
    return tuple(detector if masked else _unmasked(detector) for detector in detectors)


def describe(detector: Detector) -> str:
    """What a detector finds, must not find, its legal basis, gaps and sources."""
    described: str | None = getattr(detector, "description", None)
    return described or inspect.getdoc(type(detector)) or ""


def _unknown(kind: str, known: Iterable[str]) -> UsageError:
    near = difflib.get_close_matches(kind, list(known), 1, 0.5)
    return UsageError(
        f"unknown kind '{kind}'" + (f"; did you mean '{near[0]}'?" if near else "") + " (pii-guard kinds lists them)"
    )


def _unmasked(detector: Detector) -> Detector:
    """The same detector with a kind that masks nothing."""
    shown = copy(detector)
    vars(shown)["kind"] = replace(detector.kind, keep=None)
    return shown
