"""The tables of a privacy policy and the record of processing, from a policy and tags, as Markdown or HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from pii_guard.model import Tag
from pii_guard.render import escape

if TYPE_CHECKING:
    from pii_guard.policy import Policy, RetentionClass

__all__ = ["WORDS", "classes_in_use", "html", "markdown", "period_words"]

_Table: TypeAlias = tuple[str, tuple[str, ...], list[tuple[str, ...]]]
"""The title of a section, the headings of its columns, both in English, and its rows."""

WORDS: Mapping[str, tuple[str, ...]] = {
    "en": (
        "Privacy policy", "Purposes", "Purpose", "What it covers", "Legal basis",
        "Personal data collected", "Required", "Optional",
        "Retention", "Records", "Period", "Starts", "Stored apart",
        "Third parties", "Recipient", "Items", "Used for", "How long", "Country",
        "Processors", "Processor", "Tasks",
        "Rights of data subjects", "Rights", "Channels", "Answered within", "Note",
        "Safety measures", "Measure", "Interval",
        "Access records", "Kept for",
        "Contacts", "Role", "Department", "E-mail", "Phone",
        "Changes of this policy", "Announced before", "Announced before, if significant",
        "Record of processing", "Field", "Kind", "Protection",
        "In force from", "yes", "no",
    ),
    "ko": (
        "개인정보 처리방침", "개인정보의 처리 목적", "목적", "세부 내용", "법적 근거",
        "처리하는 개인정보 항목", "필수 항목", "선택 항목",
        "개인정보의 처리 및 보유 기간", "기록", "보유 기간", "기산점", "분리 보관",
        "개인정보의 제3자 제공", "제공받는 자", "항목", "이용 목적", "보유 및 이용 기간", "국가",
        "개인정보 처리의 위탁", "수탁자", "위탁 업무",
        "정보주체의 권리", "권리", "행사 방법", "처리 기한", "비고",
        "개인정보의 안전성 확보 조치", "조치", "주기",
        "접속기록", "보관 기간",
        "담당자", "역할", "부서", "전자우편", "전화번호",
        "처리방침의 변경", "사전 고지", "중요한 변경의 사전 고지",
        "개인정보 처리 현황", "필드", "종류", "보호 조치",
        "시행일", "예", "아니요",
    ),
}  # fmt: skip
"""Headings by language, in one order."""


_UNITS: Mapping[str, tuple[str, ...]] = {
    "en": ("year", "month", "week", "day", "hour", "minute", "second"),
    "ko": ("년", "개월", "주", "일", "시간", "분", "초"),
}


def period_words(text: str, language: str) -> str:
    """An ISO 8601 duration in words; any other text as it is.

    >>> period_words("P1Y6M", "en"), period_words("P30D", "ko"), period_words("for ever", "en")
    ('1 year 6 months', '30일', 'for ever')
    """
    if not re.fullmatch(r"P(?=.)(\d+[YMWD])*(T(\d+[HMS])+)?", text, re.ASCII):
        return text
    date, _, time = text[1:].partition("T")
    parts = [(count, "YMWD".index(unit)) for count, unit in re.findall(r"(\d+)([YMWD])", date)]
    parts += [(count, 4 + "HMS".index(unit)) for count, unit in re.findall(r"(\d+)([HMS])", time)]
    units = _UNITS[language]
    if language == "ko":
        return " ".join(f"{count}{units[unit]}" for count, unit in parts)
    return " ".join(f"{count} {units[unit]}{'' if count == '1' else 's'}" for count, unit in parts)


@dataclass(frozen=True, slots=True)
class _Section:
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def markdown(policy: Policy, tags: Mapping[str, Tag], language: str = "en") -> str:
    """The tables as Markdown (GitHub's), in `language`, a key of WORDS. Sections without entries are left out."""
    title, sections = _document(policy, tags, language)
    parts = [f"# {escape.markdown(title)}\n"]
    for section in sections:
        rows = [section.header, tuple("---" for _ in section.header), *section.rows]
        lines = [
            "| " + " | ".join(cell if row is rows[1] else escape.markdown(cell) for cell in row) + " |" for row in rows
        ]
        parts.append("\n".join([f"## {escape.markdown(section.title)}", "", *lines, ""]))
    return "\n".join(parts)


def html(policy: Policy, tags: Mapping[str, Tag], language: str = "en") -> str:
    """The same as one HTML page without scripts, styles or links."""
    title, sections = _document(policy, tags, language)
    shown = escape.html(title)
    lines = [
        "<!DOCTYPE html>",
        f'<html lang="{language}">',
        f'<head><meta charset="utf-8"><title>{shown}</title></head>',
        "<body>",
        f"<h1>{shown}</h1>",
    ]
    for section in sections:
        lines += [f"<h2>{escape.html(section.title)}</h2>", "<table>", _row(section.header, "th")]
        lines += [*(_row(row, "td") for row in section.rows), "</table>"]
    return "\n".join([*lines, "</body>", "</html>", ""])


def _row(cells: Iterable[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape.html(cell)}</{tag}>" for cell in cells) + "</tr>"


def _document(policy: Policy, tags: Mapping[str, Tag], language: str) -> tuple[str, list[_Section]]:
    words = dict(zip(WORDS["en"], WORDS[language], strict=True))
    tables = _Tables(policy, words, language)
    sections = []
    for title, header, rows in (*tables.processing(tags), *tables.sharing(), *tables.duties(), tables.record(tags)):
        filled = [index for index in range(len(header)) if any(row[index] for row in rows)]
        if rows:  # columns that are empty throughout say nothing
            shown = tuple(tuple(row[index] for index in filled) for row in rows)
            sections.append(_Section(words[title], tuple(words[header[index]] for index in filled), shown))
    return policy.title or words["Privacy policy"], sections


class _Tables:
    """The tables of a policy in one language, of which its entries and their periods are."""

    def __init__(self, policy: Policy, words: Mapping[str, str], language: str) -> None:
        self._policy, self._words, self._language = policy, words, language
        self._items = {name: item.title for name, item in policy.items.items()}
        self._titles = {name: purpose.title for name, purpose in policy.purposes.items()}

    def _long(self, period: str | None) -> str:
        return period_words(period, self._language) if period else ""

    def _basis(self, entry: RetentionClass) -> str:
        followed = self._policy.retention[entry.statute] if entry.statute else entry
        return entry.basis or followed.basis or ""

    def processing(self, tags: Mapping[str, Tag]) -> Iterator[_Table]:
        """Why which items are collected, and how long they are kept."""
        yield (
            "Purposes",
            ("Purpose", "What it covers", "Legal basis"),
            [
                (entry.title, "; ".join(entry.sub_purposes.values()), entry.basis or "")
                for entry in self._policy.purposes.values()
            ],
        )
        yield (
            "Personal data collected",
            ("Purpose", "Required", "Optional"),
            [
                (
                    entry.title or self._titles[entry.purpose],
                    _listed(entry.required, self._items),
                    _listed(entry.optional, self._items),
                )
                for entry in self._policy.collected
            ],
        )
        yield (
            "Retention",
            ("Records", "Period", "Starts", "Legal basis", "Stored apart"),
            [
                (
                    entry.title or name,
                    self._long(entry.period),
                    entry.starts or "",
                    self._basis(entry),
                    self._words["yes" if entry.separate else "no"],
                )
                for name, entry in classes_in_use(self._policy, tags)
            ],
        )

    def sharing(self) -> Iterator[_Table]:
        """Who else is given them."""
        yield (
            "Third parties",
            ("Recipient", "Items", "Used for", "How long", "Legal basis", "Country"),
            [
                (
                    entry.name,
                    _listed(entry.items, self._items),
                    entry.purpose or "",
                    self._long(entry.period),
                    entry.basis or "",
                    entry.country or "",
                )
                for entry in self._policy.recipients.values()
            ],
        )
        yield (
            "Processors",
            ("Processor", "Tasks", "Items", "How long", "Country"),
            [
                (
                    entry.name,
                    "; ".join(entry.tasks),
                    _listed(entry.items, self._items),
                    self._long(entry.period),
                    entry.country or "",
                )
                for entry in self._policy.processors.values()
            ],
        )

    def duties(self) -> Iterator[_Table]:
        """What data subjects may ask for, and of whom; how the data is kept safe; when the policy changes."""
        rights = self._policy.rights
        yield (
            "Rights of data subjects",
            ("Rights", "Channels", "Answered within", "Note"),
            [
                (
                    ", ".join(rights.kinds),
                    ", ".join(rights.channels),
                    self._long(rights.answered_within),
                    rights.note or "",
                )
            ]
            if rights
            else [],
        )
        yield (
            "Safety measures",
            ("Measure", "Interval"),
            [(entry.text, self._long(entry.interval)) for entry in self._policy.safety_measures.values()],
        )
        yield (
            "Access records",
            ("Kept for",),
            [(self._long(self._policy.access_records.period),)] if self._policy.access_records else [],
        )
        yield (
            "Contacts",
            ("Role", "Department", "E-mail", "Phone"),
            [
                (entry.role, entry.department or "", entry.email or "", entry.phone or "")
                for entry in self._policy.contacts
            ],
        )
        notice, start = self._policy.notice, self._policy.effective_from
        yield (
            "Changes of this policy",
            ("In force from", "Announced before", "Announced before, if significant"),
            [
                (
                    str(start or ""),
                    self._long(notice.ordinary if notice else None),
                    self._long(notice.significant if notice else None),
                )
            ]
            if notice or start
            else [],
        )

    def record(self, tags: Mapping[str, Tag]) -> _Table:
        """The record of processing: each tagged field."""
        return (
            "Record of processing",
            ("Field", "Kind", "Purpose", "Period", "Legal basis", "Protection"),
            [
                (
                    name,
                    tag.kind or "",
                    _listed(tag.purposes, self._titles),
                    tag.retention or "",
                    tag.basis or "",
                    tag.protection,
                )
                for name, tag in sorted(tags.items())
            ],
        )


def _listed(names: Iterable[str], known: Mapping[str, str]) -> str:
    return ", ".join(known.get(name, name) for name in names)


def classes_in_use(policy: Policy, tags: Mapping[str, Tag]) -> list[tuple[str, RetentionClass]]:
    """The classes of the policy itself, and those of packs that rules or tags name."""
    named = {rule.retention for rule in policy.fields} | {tag.retention for tag in tags.values()}
    return [
        (name, entry) for name, entry in policy.retention.items() if name in named or policy.is_own("retention", name)
    ]
