"""The policy file as a type: purposes, retention classes, field rules, kinds and suppressions of its own.

docs/FORMAT.md (policy file), docs/policy.md and docs/own-rules.md say what each means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal
from unicodedata import normalize

from pydantic import AfterValidator, Field, PrivateAttr, ValidationInfo, field_validator

from pii_guard.engine.patterns import flaw
from pii_guard.policy.declarations import (
    AccessRecordFloor,
    AccessRecords,
    Collection,
    Contact,
    Duty,
    Item,
    Notice,
    Processor,
    Recipient,
    Rights,
    Role,
    SafetyMeasure,
)
from pii_guard.policy.values import (
    Duration,
    Identifier,
    IndexBits,
    KindId,
    KindIds,
    NewKind,
    One,
    Part,
    Patterns,
    PurposeIds,
    RetentionId,
    RuleId,
    Text,
    Texts,
)

__all__ = [
    "CheckLevel",
    "CustomKind",
    "FieldRule",
    "Policy",
    "Purpose",
    "RetentionClass",
    "Suppression",
    "pattern_matches",
]

_FUNCTION = re.compile(r"python:([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)", re.ASCII)


def _regular(pattern: str) -> str:
    problem = flaw(pattern)
    if problem:
        raise ValueError(problem)
    return pattern


def _function(text: str) -> str:
    if not _FUNCTION.fullmatch(text):
        raise ValueError('must name a function as "python:module:function"')
    return text


class Purpose(Part):
    """Why data is kept. `basis` names the law or consent that allows it."""

    title: Text
    basis: Text | None = None
    sub_purposes: dict[Identifier, Text] = Field(default_factory=dict)
    """What the purpose is made of, id -> title. Said to people; keys are bound to the purpose as a whole."""


class RetentionClass(Part):
    """How long data is kept: an ISO 8601 duration, the rule that sets it, and what starts it."""

    period: Duration
    title: Text | None = None
    basis: Text | None = None
    starts: Text | None = None
    """What starts the period, in words."""
    period_from: Text | None = None
    """The column, of the same table, that holds the day on which it starts."""
    granularity: Annotated[Literal["month", "quarter", "year"] | None, Field(validate_default=True)] = None
    """Rows whose period starts in the same month, quarter or year share keys, which are destroyed together."""
    term: Literal["maximum", "minimum", "floor"] | None = None
    """`minimum`: a law wants the data kept so long. `maximum`: it may be kept no longer, as people agreed to.
    `floor`: a record of the control itself must be kept at least so long."""
    separate: bool = False
    """Whether the data is stored apart from that in use, as PIPA Art. 21(3) asks of what other laws keep."""
    statute: RetentionId | None = None
    """The class, of a pack such as `korea`, whose law this class follows: its period is held against it."""
    repealed: date | None = None
    """The day on which the law behind the class ceased."""
    source: Text | None = None
    as_of: date | None = None
    """Where the law was read, and when."""
    note: Text | None = None

    @field_validator("granularity")
    @classmethod
    def _granularity_needs_a_column(cls, granularity: str | None, info: ValidationInfo) -> str | None:
        if granularity is not None and not info.data.get("period_from"):
            raise ValueError("needs period_from: the column that says when the period of a row starts")
        return granularity


ProtectionName = Literal["encrypt", "encrypt-spans", "hmac", "password", "mask", "redact", "drop", "none"]


class CustomKind(Part):
    """A kind of data that pii-guard does not know itself."""

    title: Text | None = None
    pattern: Annotated[Text, AfterValidator(_regular)]
    """A regular expression of RE2."""
    keywords: Texts = ()
    """Words near a value that make it likely."""
    headers: Texts = ()
    """Columns that hold the kind."""
    check: Annotated[Text, AfterValidator(_function)] | None = None
    """`python:module:function`, from the text of a value to whether it is one."""
    personal: bool = True
    examples: Texts = ()
    """Texts in which a value is found."""
    counterexamples: Texts = ()
    """Texts in which none is."""


def pattern_matches(pattern: str, logical_field: str) -> bool:
    """Whether `pattern` is of all of `logical_field`. `*` and `?` are wild; `[` is not, because paths hold `[]`."""
    return fnmatchcase(normalize("NFC", logical_field), normalize("NFC", pattern).replace("[", "[[]"))


class _Matching(Part):
    match: Patterns
    """Patterns over the logical field, `TABLE.PATH`."""

    def matches(self, logical_field: str) -> bool:
        """Whether a pattern covers `logical_field`; upper and lower case differ, forms of Hangul do not."""
        return any(pattern_matches(pattern, logical_field) for pattern in self.match)


class Suppression(_Matching):
    """Findings that are none, for a reason and until a day."""

    kinds: KindIds = ()
    """Empty: all."""
    reason: Text
    expires: date
    """The last day on which it holds."""

    def covers(self, logical_field: str, kind: str) -> bool:
        """Whether findings of `kind` in `logical_field` (`TABLE.PATH`) are meant, whatever the day."""
        return (not self.kinds or kind in self.kinds) and self.matches(logical_field)


class CheckLevel(Part):
    """How much a rule of `pii-guard check` weighs: more than by default, or, for a reason and until a day, less."""

    level: Literal["violation", "warning", "ignore"]
    reason: Text | None = None
    expires: Annotated[date | None, Field(validate_default=True)] = None
    """The last day on which it holds; needed, with a reason, for anything but `violation`."""

    @field_validator("expires")
    @classmethod
    def _less_needs_a_reason(cls, expires: date | None, info: ValidationInfo) -> date | None:
        if info.data.get("level") in ("warning", "ignore") and (expires is None or info.data.get("reason") is None):
            raise ValueError("a rule that is to weigh less needs a reason and its last day (expires)")
        return expires


class FieldRule(_Matching):
    """What holds for the fields that a pattern matches."""

    purposes: PurposeIds = ()
    retention: RetentionId | None = None
    protection: ProtectionName = "encrypt"
    kind: Identifier | None = None
    mode: Literal["randomized", "deterministic"] = "randomized"
    """Whether equal values may have equal tokens."""
    force: bool = False
    """Whether deterministic tokens are made of few or unevenly spread values too."""
    index: IndexBits = False
    """Whether a column to search by is added, or how many bits it has."""
    bind_row: Texts = ()
    """The columns of the same table that name a row: each token is bound to its own."""
    joins: Text | None = None
    """The logical field whose key is used, so that equal values of both have equal tokens or pseudonyms."""
    reason: Annotated[Text | None, Field(validate_default=True)] = None
    """Why the field may stay in the clear, or may show which values are equal: needed there, refused elsewhere."""

    @field_validator("mode", "index")
    @classmethod
    def _goes_with_encrypt(cls, value: str | bool | int, info: ValidationInfo) -> str | bool | int:
        if value not in ("randomized", False) and info.data.get("protection") not in (None, "encrypt"):
            raise ValueError('belongs to protection = "encrypt"; leave it out')
        return value

    @field_validator("bind_row")
    @classmethod
    def _goes_with_randomized(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        protection, mode = info.data.get("protection"), info.data.get("mode")
        if value and (protection not in (None, "encrypt") or mode == "deterministic"):
            raise ValueError('belongs to protection = "encrypt" and mode = "randomized"; leave it out')
        return value

    @field_validator("force")
    @classmethod
    def _goes_with_deterministic(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("mode") == "randomized":
            raise ValueError('belongs to mode = "deterministic"; leave it out or add that')
        return value

    @field_validator("joins")
    @classmethod
    def _goes_with_equality(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("mode") == "randomized" and info.data.get("protection") != "hmac":
            raise ValueError('belongs to mode = "deterministic" or protection = "hmac"; leave it out or add one')
        return value

    @field_validator("reason")
    @classmethod
    def _reason_is_for_what_shows(cls, reason: str | None, info: ValidationInfo) -> str | None:
        protection, mode = info.data.get("protection"), info.data.get("mode")
        if protection == "none" and reason is None:
            raise ValueError('protection = "none" needs a reason: why may the field stay in the clear?')
        if mode == "deterministic" and reason is None:
            raise ValueError('mode = "deterministic" needs a reason: why may it show which values are equal?')
        if protection not in (None, "none") and mode == "randomized" and reason is not None:
            raise ValueError(
                'a reason belongs to protection = "none" or mode = "deterministic"; leave it out or add one'
            )
        return reason


class Policy(Part):
    """A policy file, whole and right, with what it extends. Made by `pii_guard.policy.load` or `parse`."""

    version: One
    title: Text | None = None
    extends: Texts = ()
    """Packs (`korea`) and policy files, whose entries hold where this file has none of the same name."""
    effective_from: date | None = None
    place: Literal["server", "device"] = "server"
    """Where the data lies: on `device`, a computer of staff or a removable medium, more has to be encrypted."""
    purposes: dict[Identifier, Purpose] = Field(default_factory=dict)
    items: dict[Identifier, Item] = Field(default_factory=dict)
    collected: tuple[Collection, ...] = Field(default=(), strict=False)
    retention: dict[Identifier, RetentionClass] = Field(default_factory=dict)
    fields: tuple[FieldRule, ...] = Field(default=(), strict=False)
    protection: dict[KindId, Literal["encrypt", "encrypt-spans", "hmac", "password", "mask", "redact", "drop"]] = Field(
        default_factory=dict
    )
    """Kind -> what protects it where the rule of a field does not say."""
    kinds: dict[NewKind, CustomKind] = Field(default_factory=dict)
    suppressions: tuple[Suppression, ...] = Field(default=(), strict=False)
    checks: dict[RuleId, CheckLevel] = Field(default_factory=dict)
    roles: dict[Identifier, Role] = Field(default_factory=dict)
    recipients: dict[Identifier, Recipient] = Field(default_factory=dict)
    processors: dict[Identifier, Processor] = Field(default_factory=dict)
    duties: dict[Identifier, Duty] = Field(default_factory=dict)
    access_records: AccessRecords | None = None
    access_record_floors: tuple[AccessRecordFloor, ...] = Field(default=(), strict=False)
    rights: Rights | None = None
    notice: Notice | None = None
    safety_measures: dict[Identifier, SafetyMeasure] = Field(default_factory=dict)
    contacts: tuple[Contact, ...] = Field(default=(), strict=False)
    _own: frozenset[tuple[str, str]] = PrivateAttr(default=frozenset())

    def is_own(self, table: str, name: str) -> bool:
        """Whether `[TABLE.NAME]` stands in the file itself, not only in what it extends."""
        return (table, name) in self._own

    def granted(self) -> dict[str, dict[str, Any]]:
        """Role -> what it may do, as access records hold it."""
        return {
            name: {"purposes": sorted(role.purposes), "fields": sorted(role.fields), "row_budget": role.row_budget}
            for name, role in self.roles.items()
        }

    def protection_of(self, rule: FieldRule, kind: str | None) -> str:
        """What protects a field that `rule` decides for: what the rule says, else what its kind is protected by."""
        if "protection" in rule.model_fields_set or rule.index or rule.bind_row or rule.mode != "randomized":
            return rule.protection
        return self.protection.get(kind or "", rule.protection)

    def rule_for(self, logical_field: str) -> FieldRule | None:
        """The first rule, in the order of the file, that matches `logical_field` (`TABLE.PATH`)."""
        return next((rule for rule in self.fields if rule.matches(logical_field)), None)

    def unmatched(self, logical_fields: Iterable[str]) -> tuple[FieldRule, ...]:
        """The rules that decide for none of `logical_fields`: misspelt, out of date, or hidden by an earlier rule."""
        used = {id(self.rule_for(name)) for name in logical_fields}
        return tuple(rule for rule in self.fields if id(rule) not in used)
