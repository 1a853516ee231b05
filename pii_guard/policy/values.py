"""The values that a policy file is made of: names, texts, periods, references to what the policy declares.

Nothing is coerced: a number where text belongs is a mistake. References are held against the names of the file and of
those that it extends, which the validation context carries (`pii_guard.policy.reader`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from pii_guard.detectors import TABLE
from pii_guard.engine.verdict import ENCRYPTED, MASKED_VALUE
from pii_guard.errors import did_you_mean
from pii_guard.policy.periods import parse_period
from pii_guard.toml_files import place_text

__all__ = [
    "Duration",
    "Identifier",
    "IndexBits",
    "ItemIds",
    "KindId",
    "KindIds",
    "NewKind",
    "One",
    "Part",
    "Patterns",
    "PurposeId",
    "PurposeIds",
    "RetentionId",
    "RuleId",
    "Text",
    "Texts",
]

_ID = re.compile(r"[a-z0-9가-힣_-]+")
_BUILT_IN = (*TABLE, ENCRYPTED, MASKED_VALUE)


class Part(BaseModel):
    """A table of the file: unknown keys are refused, values are taken as they are written."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _identifier(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError("a name is made of lower-case letters, digits, - _ and Hangul")
    return text


def _duration(text: str) -> str:
    parse_period(text)
    return text


def _one(value: object) -> object:
    if type(value) is not int:  # true == 1 == 1.0 for pydantic
        raise ValueError("must be 1")
    return value


def _bits(value: object) -> object:
    if type(value) is not bool and not (type(value) is int and 1 <= value <= 32):
        raise ValueError("must be true, false or a number of bits from 1 to 32")
    return value


def _rule(text: str) -> str:
    if not re.fullmatch(r"PG\d{3}", text, re.ASCII):
        raise ValueError("a rule is named by its id, such as PG001; `pii-guard rule` lists them")
    return text


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _declared(table: str, what: str) -> Callable[[str, ValidationInfo], str]:
    """A validator: the name stands in `table` of the file, or of one that it extends."""

    def check(text: str, info: ValidationInfo) -> str:
        known = (info.context or {}).get(table, ())
        if text not in known:
            advice = did_you_mean(text, known) or f"; declare it as [{place_text([table, text])}]"
            raise ValueError(f"unknown {what} {json.dumps(text, ensure_ascii=False)}{advice}")
        return text

    return check


def _kind(text: str, info: ValidationInfo) -> str:
    known = (*_BUILT_IN, *(info.context or {}).get("kinds", ()))
    if text not in known:
        advice = did_you_mean(text, known) or "; pii-guard kinds lists them"
        raise ValueError(f"unknown kind {json.dumps(text, ensure_ascii=False)}{advice}")
    return text


def _new_kind(text: str) -> str:
    if text in _BUILT_IN:
        raise ValueError("is a kind of pii-guard already; choose another name")
    return _identifier(text)


Identifier = Annotated[str, AfterValidator(_identifier)]
IndexBits = Annotated[bool | int, BeforeValidator(_bits)]
NewKind = Annotated[str, AfterValidator(_new_kind)]
One = Annotated[Literal[1], BeforeValidator(_one)]
RuleId = Annotated[str, AfterValidator(_rule)]
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], Field(strict=False)]
Patterns = Annotated[tuple[Text, ...], BeforeValidator(_listed), Field(min_length=1, strict=False)]
Duration = Annotated[str, AfterValidator(_duration)]
PurposeId = Annotated[str, AfterValidator(_declared("purposes", "purpose"))]
PurposeIds = Annotated[tuple[PurposeId, ...], Field(strict=False)]
RetentionId = Annotated[str, AfterValidator(_declared("retention", "retention class"))]
ItemIds = Annotated[tuple[Annotated[str, AfterValidator(_declared("items", "item"))], ...], Field(strict=False)]
KindId = Annotated[str, AfterValidator(_kind)]
KindIds = Annotated[tuple[KindId, ...], Field(strict=False)]
