"""What a policy declares besides its rules: items, who may have them, what the law asks, what people are told.

docs/policy.md says what each is for. "PIPA" is the Personal Information Protection Act of Korea.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from pii_guard.policy.values import Duration, ItemIds, KindIds, Part, Patterns, PurposeId, PurposeIds, Text, Texts

__all__ = [
    "AccessRecordFloor",
    "AccessRecords",
    "Collection",
    "Contact",
    "Duty",
    "Item",
    "Notice",
    "Processor",
    "Recipient",
    "Rights",
    "Role",
    "SafetyMeasure",
]

Count = Annotated[int, Field(ge=1)]


class Item(Part):
    """A piece of data as people are told of it, such as "bank account", and the kinds that are found of it."""

    title: Text
    kinds: KindIds = ()


class Collection(Part):
    """The items that are collected for a purpose (PIPA Art. 15(2), 16)."""

    purpose: PurposeId
    title: Text | None = None
    required: ItemIds = ()
    optional: ItemIds = ()


class Role(Part):
    """Who may open what: purposes, fields as patterns over TABLE.PATH, rows in one session."""

    title: Text
    purposes: PurposeIds = ()
    fields: Patterns = ("*",)
    row_budget: Count | None = None


class _Receiving(Part):
    name: Text
    items: ItemIds = ()
    period: Text | None = None
    """How long, in words or as an ISO 8601 duration."""
    country: Text | None = None
    """Where the data goes, if abroad (PIPA Art. 28-8)."""


class Recipient(_Receiving):
    """A third party that is given items for purposes of its own (PIPA Art. 17)."""

    purpose: Text | None = None
    """What the recipient uses them for."""
    basis: Text | None = None


class Processor(_Receiving):
    """A processor that handles items on behalf of the organisation (PIPA Art. 26)."""

    tasks: Texts = ()


class _Law(Part):
    basis: Text
    source: Text | None = None
    """Where it was read."""
    as_of: date | None = None
    """When."""


class Duty(_Law):
    """What a law asks of values of some kinds."""

    demand: Literal["encrypt", "one_way", "statute"]
    """`encrypt`: at rest. `one_way`: not even the organisation can get them back. `statute`: may be kept only where an
    act or decree names them, so that the retention class or purpose has to name its basis."""
    kinds: KindIds = ()
    """Empty: all personal kinds."""
    place: Literal["device"] | None = None
    """Where the duty is limited to: computers of staff and removable media."""
    note: Text | None = None


class AccessRecords(Part):
    """How long access records are kept, and what decides how long they have to be."""

    period: Duration
    data_subjects: Count | None = None
    """How many people's data there is, roughly."""
    telecom_operator: bool = False


class AccessRecordFloor(_Law):
    """The least time for which access records are kept, where any of its conditions holds; always, if it has none."""

    period: Duration
    data_subjects: Count | None = None
    """From so many people on."""
    kinds: KindIds = ()
    """Where one of these kinds is collected or has a field rule."""
    telecom_operator: bool = False


class Rights(Part):
    """What people may ask for, and how."""

    kinds: Texts
    channels: Texts = ()
    answered_within: Duration | None = None
    note: Text | None = None


class Notice(Part):
    """How long before a change of the policy people are told."""

    ordinary: Duration
    significant: Duration | None = None


class SafetyMeasure(Part):
    """What is done to keep the data safe (PIPA Art. 29)."""

    text: Text
    interval: Duration | None = None


class Contact(Part):
    """Whom to ask: a role and a shared address, no person."""

    role: Text
    department: Text | None = None
    email: Text | None = None
    phone: Text | None = None
