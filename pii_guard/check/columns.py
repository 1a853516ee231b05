"""Hold what a repository declares (`pii_guard.static`) against policy and tags, before any data exists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from pii_guard.check.checker import advised_rule, stated_tag, unknown_names
from pii_guard.check.results import CheckResult, Place, Violation, joined
from pii_guard.crypto.token import token_length
from pii_guard.engine.detection import Detector
from pii_guard.engine.headers import names_kind, words
from pii_guard.model import FieldPath, Tag, path_text
from pii_guard.naming import safe_name, safe_text
from pii_guard.reports import FieldReport, ScanReport
from pii_guard.sidecar import SIDECAR_NAME
from pii_guard.static import Column, Schema
from pii_guard.tags import logical_field
from pii_guard.tallies import FieldTally
from pii_guard.toml_files import place_text

if TYPE_CHECKING:
    from pii_guard.policy import Policy

__all__ = ["check_columns", "column_kinds", "column_places", "declared_fields"]

WEAK = frozenset({"login_id", "cookie"})
"""Kinds whose headers are those of keys between tables too: `user_id` is a login in one schema, a number in another."""
NAMES = frozenset({"name", "nm", "이름", "fullname", "holder", "sender", "receiver", "recipient"})
"""Headers that name a person only in a table about people: much else has a name."""
PEOPLE = frozenset(
    "user users customer customers client clients member members employee employees staff person persons people "
    "contact contacts patient patients guest guests subscriber subscribers student students teacher teachers admin "
    "admins account accounts profile profiles applicant applicants buyer buyers seller sellers recipient recipients "
    "회원 고객 직원 사원 환자 학생 교사 사용자 이용자 관리자 담당자 신청자 구매자 판매자 수령인".split()
)
KOREAN_PEOPLE = tuple(sorted(name for name in PEOPLE if not name.isascii()))
DIGITS = frozenset(
    "kr_rrn kr_alien_registration credit_card kr_phone_mobile kr_phone_fixed kr_bank_account kr_driver_license "
    "kr_health_insurance date_of_birth".split()
)
FAMILIES: Mapping[str, frozenset[str]] = {
    "number": DIGITS,
    "time": frozenset({"date_of_birth"}),
    "bool": frozenset({"sensitive"}),
    "other": frozenset({"ip_address"}),
}
"""Which kinds fit into columns of a family of types, where not all do."""
LONGEST_COMMENT = 60
"""Characters. A comment that is longer tells a story, in which words of other columns occur."""
NARROWEST = token_length(0)
"""Characters of the shortest token; a deterministic one has no nonce of 12 bytes in it (docs/FORMAT.md, Token)."""
NONCE = 16
"""Characters of that nonce."""


def check_columns(
    schema: Schema,
    report: ScanReport,
    policy: Policy | None,
    tags: Mapping[str, Tag],
    detectors: Sequence[Detector],
    *,
    tagged: Mapping[str, Place] | None = None,
    today: date | None = None,
) -> CheckResult:
    """What `schema` breaks. The result has no report of its own; `report` is that of the data of the same target.

    A column is judged by its name, its comment and its type. It is declared by a rule of `policy`, by a tag in `tags`
    (logical field -> tag of the sidecar file, whose lines are in `tagged`), or by its own tag (dbt).
    """
    day = today or date.today()
    violations: list[Violation] = []
    warnings: list[Violation] = []
    read = {logical_field(field.field) for field in report.fields}
    told = {logical_field(field.field) for field, finding in report.findings if finding.personal}
    for number, column in enumerate(schema.columns, 1):
        judged = _Judged.of(column, number, policy, tags, detectors, day)
        name = logical_field(judged.field)
        if judged.kinds and not judged.declared and name not in told:  # else the check of the data says it
            (violations if judged.sure else warnings).append(judged.untagged(policy))
        violations += judged.too_narrow()
        if policy is not None and name not in read:
            violations += judged.unknown(policy)
    violations += _lost(schema, report, tags, tagged or {})
    return joined([CheckResult(tuple(violations), tuple(warnings), ScanReport(), columns=len(schema.columns))])


def column_kinds(column: Column, detectors: Iterable[Detector]) -> tuple[tuple[str, ...], str, bool]:
    """The personal kinds that a column holds, what says so (its name or its comment), whether that is more than a
    suspicion."""
    fitting = FAMILIES.get(column.type.family)
    able = [
        detector
        for detector in detectors
        if detector.kind.personal and (fitting is None or detector.kind.id in fitting)
    ]
    kinds = _named(column.name, able)
    kinds = _named(words(column.name)[-1], able) or kinds if kinds else ()  # a contact_email is an email, no contact
    if kinds and "".join(words(column.name)) in NAMES and not _about_people(column.table):
        kinds = ()
    if kinds:
        return kinds, "name", not set(kinds) <= WEAK
    comment = column.comment or ""
    return (_named(comment, able) if len(comment) <= LONGEST_COMMENT else ()), "comment", False


def _named(text: str, detectors: Iterable[Detector]) -> tuple[str, ...]:
    return tuple(
        sorted(detector.kind.id for detector in detectors if names_kind(text, detector.headers, detector.column.unless))
    )


def _about_people(table: str) -> bool:
    return any(word in PEOPLE or word.startswith(KOREAN_PEOPLE) for word in words(table))


@dataclass(frozen=True, slots=True)
class _Judged:
    """A column with what is stated about it."""

    column: Column
    field: FieldPath
    tag: Tag
    kinds: tuple[str, ...]
    by: str
    """What says that it holds them: its name or its comment."""
    sure: bool

    @staticmethod
    def of(
        column: Column,
        number: int,
        policy: Policy | None,
        tags: Mapping[str, Tag],
        detectors: Sequence[Detector],
        day: date,
    ) -> _Judged:
        path, _ = safe_name(column.name, number)
        field = FieldPath(column.spot.file, safe_text(column.table), path_text((path,)))
        kinds, by, sure = column_kinds(column, detectors)
        tag = Tag(field=logical_field(field))
        for name in _names(column):
            place = FieldPath(column.spot.file, *name)
            known = FieldReport(place, (column.name,), column.type.text, FieldTally(), tag=column.tag)
            kinds = _unsuppressed(kinds, logical_field(place), policy, day)
            stated = stated_tag(known, policy, tags)
            if stated != Tag(field=logical_field(place)):
                tag = stated
                break
        return _Judged(column, field, tag, kinds, by, sure)

    @property
    def declared(self) -> bool:
        return _declares(self.tag)

    def untagged(self, policy: Policy | None) -> Violation:
        verb = "holds" if self.sure else "may hold"
        missing = [
            *(["why it is kept (purposes)"] if not self.tag.purposes else []),
            *(["how long (retention class)"] if not self.tag.retention else []),
        ]
        words = f"by its {self.by} it {verb} {' or '.join(self.kinds)}, and nothing says {' and '.join(missing)}"
        return self._violation("PG041", words, advised_rule(self.tag, policy), self.kinds)

    def too_narrow(self) -> Iterator[Violation]:
        """Where a token is to be stored that does not fit."""
        type = self.column.type
        narrowest = NARROWEST - (NONCE if self.tag.mode == "deterministic" else 0)
        if self.tag.protection != "encrypt":
            return
        if type.family in ("number", "time", "bool", "other"):
            words = f"is declared as encrypted, and {type.text} cannot hold a token, which is text"
        elif type.family in ("text", "binary") and type.width is not None and type.width < narrowest:
            words = f"is declared as encrypted, and {type.text} is too narrow for a token"
        else:
            return
        longer = ", ".join(f"{token_length(size)} for up to {size}" for size in (16, 31, 61))
        mend = f"make it text, or wide enough, by a migration: {longer} bytes of UTF-8, and so on"
        yield self._violation("PG043", words, mend, (self.tag.kind,) if self.tag.kind else self.kinds)

    def unknown(self, policy: Policy) -> Iterator[Violation]:
        """Purposes and a retention class that the policy does not declare."""
        report = FieldReport(self.field, (self.column.name,), self.column.type.text, FieldTally())
        place = Place(self.column.spot.file, self.column.spot.line)
        for violation in unknown_names(report, self.tag, policy):
            yield replace(violation, place=place)

    def _violation(self, rule: str, message: str, mend: str, kinds: tuple[str, ...]) -> Violation:
        place = Place(self.column.spot.file, self.column.spot.line)
        return Violation(rule, self.field.source, self.field, message, mend, kinds, place)


def _declares(tag: Tag) -> bool:
    return bool(tag.purposes and tag.retention)


def _names(column: Column) -> Iterator[tuple[str, str]]:
    """(table, path) as policies and tags may know the column: PostgreSQL's tables are `public.NAME` there."""
    path = path_text((column.name,))
    yield column.table, path
    schema, dot, name = column.table.rpartition(".")
    if not dot:
        yield f"public.{column.table}", path
    elif schema == "public":
        yield name, path


def declared_fields(schema: Schema) -> Iterator[FieldPath]:
    """The fields of `schema`, by all names that policies may know them by."""
    for column in schema.columns:
        for table, path in _names(column):
            yield FieldPath(column.spot.file, safe_text(table), path)


def _unsuppressed(kinds: tuple[str, ...], name: str, policy: Policy | None, day: date) -> tuple[str, ...]:
    if policy is None:
        return kinds
    holding = [rule for rule in policy.suppressions if rule.expires >= day]
    return tuple(kind for kind in kinds if not any(rule.covers(name, kind) for rule in holding))


def _lost(
    schema: Schema, report: ScanReport, tags: Mapping[str, Tag], tagged: Mapping[str, Place]
) -> Iterator[Violation]:
    """Tags of columns that are no more, of tables that the repository declares, or did once."""
    tables = {table.lower() for table in schema.tables}
    declared = {f"{table}.{path}".lower() for column in schema.columns for table, path in _names(column)}
    read = {logical_field(field.field) for field in report.fields}
    below = tuple(f"{known}{mark}" for known in declared for mark in ".[")  # fields in a column that nests
    for name in sorted(tags):
        table = _table_of(name, tables)
        if table is None or name in read:
            continue
        if name.lower() in declared or name.lower().startswith(below):
            continue
        place = tagged.get(name)
        source = place.file if place else SIDECAR_NAME
        field = FieldPath(source, safe_text(table), safe_text(name[len(table) + 1 :]))
        message = "has a tag, and the table has no such column any more"
        mend = f"take [{place_text(['fields', safe_text(name)])}] out of {SIDECAR_NAME}, or bring the column back"
        yield Violation("PG036", source, field, message, mend, (), place)


def _table_of(name: str, tables: set[str]) -> str | None:
    """The table of a logical field, if it is one of `tables` (in lower case), with or without `public.`."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        table = ".".join(parts[:end])
        if {table.lower(), table.lower().removeprefix("public."), f"public.{table.lower()}"} & tables:
            return table
    return None


def column_places(schema: Schema) -> dict[str, Place]:
    """Logical field -> where it is declared, for the fields of databases."""
    return {
        f"{table}.{path}": Place(column.spot.file, column.spot.line)
        for column in schema.columns
        for table, path in _names(column)
    }
