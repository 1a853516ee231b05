"""The policy file as a type: purposes, retention classes, field rules, kinds and suppressions of its own.

docs/FORMAT.md (policy file) and docs/own-rules.md say what each means.

The only module that imports pydantic. Nothing is coerced: a number where text belongs is a mistake.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import date
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal
from unicodedata import normalize

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from pii_guard.detectors import TABLE
from pii_guard.engine.patterns import flaw
from pii_guard.engine.verdict import ENCRYPTED, MASKED_VALUE
from pii_guard.tags import did_you_mean, place_text

__all__ = ["CustomKind", "FieldRule", "Policy", "Purpose", "RetentionClass", "Suppression"]

_FUNCTION = re.compile(r"python:([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)", re.ASCII)
_ID = re.compile(r"[a-z0-9가-힣_-]+")
_DURATION = re.compile(
    # Weeks stand alone (ISO 8601-1, 5.5.2.4); at least one part, and one after a T.
    r"P(?:\d+W|(?=.)(?:\d+Y)?(?:\d+M)?(?:\d+D)?(?:T(?=.)(?:\d+H)?(?:\d+M)?(?:\d+S)?)?)",
    re.ASCII,
)


def _identifier(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError("a name is made of lower-case letters, digits, - _ and Hangul")
    return text


def _duration(text: str) -> str:
    if not _DURATION.fullmatch(text):
        raise ValueError('must be an ISO 8601 duration in whole numbers, such as "P5Y", "P6M" or "P90D"')
    return text


def _whole(value: object) -> object:
    if type(value) is not int:  # true == 1 == 1.0 for pydantic
        raise ValueError("must be 1")
    return value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _purpose(text: str, info: ValidationInfo) -> str:
    return _declared(text, info, "purposes", "purpose")


def _retention(text: str, info: ValidationInfo) -> str:
    return _declared(text, info, "retention", "retention class")


def _declared(text: str, info: ValidationInfo, table: str, what: str) -> str:
    """The context holds the names that the same file declares (`pii_guard.policy.parse`)."""
    known = (info.context or {}).get(table, ())
    if text not in known:
        advice = did_you_mean(text, known) or f"; declare it as [{place_text([table, text])}]"
        raise ValueError(f"unknown {what} {json.dumps(text, ensure_ascii=False)}{advice}")
    return text


def _kind(text: str, info: ValidationInfo) -> str:
    known = (*TABLE, ENCRYPTED, MASKED_VALUE, *(info.context or {}).get("kinds", ()))
    if text not in known:
        advice = did_you_mean(text, known) or "; pii-guard kinds lists them"
        raise ValueError(f"unknown kind {json.dumps(text, ensure_ascii=False)}{advice}")
    return text


def _new_kind(text: str) -> str:
    if text in (*TABLE, ENCRYPTED, MASKED_VALUE):
        raise ValueError("is a kind of pii-guard already; choose another name")
    return _identifier(text)


def _regular(pattern: str) -> str:
    problem = flaw(pattern)
    if problem:
        raise ValueError(problem)
    return pattern


def _function(text: str) -> str:
    if not _FUNCTION.fullmatch(text):
        raise ValueError('must name a function as "python:module:function"')
    return text


Identifier = Annotated[str, AfterValidator(_identifier)]
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], Field(strict=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Purpose(_Part):
    """Why data is kept. `basis` names the law or consent that allows it."""

    title: Text
    basis: Text | None = None


class RetentionClass(_Part):
    """How long data is kept: an ISO 8601 duration, the rule that sets it, and what starts it."""

    period: Annotated[str, AfterValidator(_duration)]
    basis: Text | None = None
    starts: Text | None = None


class CustomKind(_Part):
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


class _Matching(_Part):
    match: Annotated[tuple[Text, ...], BeforeValidator(_listed), Field(min_length=1, strict=False)]
    """Patterns over the logical field, `TABLE.PATH`. `*` and `?` are wild; `[` is not, because paths hold `[]`."""

    def matches(self, logical_field: str) -> bool:
        """Whether a pattern covers `logical_field`; upper and lower case differ, forms of Hangul do not."""
        name = normalize("NFC", logical_field)
        return any(fnmatchcase(name, normalize("NFC", pattern).replace("[", "[[]")) for pattern in self.match)


class Suppression(_Matching):
    """Findings that are none, for a reason and until a day."""

    kinds: Annotated[tuple[Annotated[str, AfterValidator(_kind)], ...], Field(strict=False)] = ()
    """Empty: all."""
    reason: Text
    expires: date
    """The last day on which it holds."""

    def covers(self, logical_field: str, kind: str) -> bool:
        """Whether findings of `kind` in `logical_field` (`TABLE.PATH`) are meant, whatever the day."""
        return (not self.kinds or kind in self.kinds) and self.matches(logical_field)


class FieldRule(_Matching):
    """What holds for the fields that a pattern matches."""

    purposes: Annotated[tuple[Annotated[str, AfterValidator(_purpose)], ...], Field(strict=False)] = ()
    retention: Annotated[str, AfterValidator(_retention)] | None = None
    protection: Literal["encrypt", "none"] = "encrypt"
    kind: Identifier | None = None
    reason: Annotated[Text | None, Field(validate_default=True)] = None
    """Why the field may stay in the clear: needed where `protection` is `none`, refused elsewhere."""

    @field_validator("reason")
    @classmethod
    def _reason_goes_with_none(cls, reason: str | None, info: ValidationInfo) -> str | None:
        protection = info.data.get("protection")
        if protection == "none" and reason is None:
            raise ValueError('protection = "none" needs a reason: why may the field stay in the clear?')
        if protection == "encrypt" and reason is not None:
            raise ValueError('a reason belongs to protection = "none"; leave it out or add that')
        return reason


class Policy(_Part):
    """A policy file, whole and right. Made by `pii_guard.policy.load` or `parse`."""

    version: Annotated[Literal[1], BeforeValidator(_whole)]
    purposes: dict[Identifier, Purpose] = {}
    retention: dict[Identifier, RetentionClass] = {}
    fields: tuple[FieldRule, ...] = Field(default=(), strict=False)
    kinds: dict[Annotated[str, AfterValidator(_new_kind)], CustomKind] = {}
    suppressions: tuple[Suppression, ...] = Field(default=(), strict=False)

    def rule_for(self, logical_field: str) -> FieldRule | None:
        """The first rule, in the order of the file, that matches `logical_field` (`TABLE.PATH`)."""
        return next((rule for rule in self.fields if rule.matches(logical_field)), None)

    def unmatched(self, logical_fields: Iterable[str]) -> tuple[FieldRule, ...]:
        """The rules that decide for none of `logical_fields`: misspelt, out of date, or hidden by an earlier rule."""
        used = {id(self.rule_for(name)) for name in logical_fields}
        return tuple(rule for rule in self.fields if id(rule) not in used)


def known_keys(place: tuple[Any, ...]) -> Iterable[str]:
    """The keys that the form knows where the unknown key `place[-1]` stands."""
    parts: Mapping[Any, type[BaseModel]] = {
        "purposes": Purpose,
        "retention": RetentionClass,
        "fields": FieldRule,
        "kinds": CustomKind,
        "suppressions": Suppression,
    }
    return (parts[place[0]] if len(place) > 1 else Policy).model_fields
