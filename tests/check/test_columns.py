"""What a repository declares is judged by names, comments and types, and held to policy and tags."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from pii_guard.check import CheckResult, Place
from pii_guard.check.columns import check_columns, column_kinds, column_places
from pii_guard.detectors import select
from pii_guard.model import Confidence, FieldPath, Protection, Tag
from pii_guard.policy import Policy, parse
from pii_guard.reports import FieldReport, Finding, ScanReport
from pii_guard.static import Column, Schema, Spot
from pii_guard.static.schema import Type
from pii_guard.tallies import FieldTally

TEXT, NARROW = Type("text", "text"), Type("varchar(20)", "text", 20)
RULE = {"match": "customers.phone", "purposes": ["delivery"], "retention": "contract"}
FULL = Tag("customers.phone", "kr_phone_mobile", ("delivery",), "contract", protection="encrypt")


def column(
    name: str, type: Type = TEXT, *, table: str = "customers", comment: str | None = None, tag: Tag | None = None
) -> Column:
    return Column(table, name, type, Spot("migrations/1.sql", 3), comment, tag)


def policy(*rules: dict[str, Any], suppressions: tuple[dict[str, Any], ...] = ()) -> Policy:
    document = {
        "version": 1,
        "purposes": {"delivery": {"title": "Delivery"}},
        "retention": {"contract": {"period": "P5Y"}},
        "fields": list(rules),
        "suppressions": list(suppressions),
    }
    return parse(document, "policy")


def run(
    *columns: Column,
    policy: Policy | None = None,
    tags: dict[str, Tag] | None = None,
    tables: frozenset[str] | None = None,
    report: ScanReport | None = None,
) -> CheckResult:
    known = frozenset(column.table for column in columns) if tables is None else tables
    return check_columns(
        Schema(columns, known),
        report or ScanReport(),
        policy,
        tags or {},
        select(),
        tagged={"customers.gone": Place("pii-guard.tags.toml", 7)},
        today=date(2026, 6, 1),
    )


def rules(result: CheckResult) -> list[str]:
    return [violation.rule for violation in result.violations]


@pytest.mark.parametrize(
    ("name", "type", "table", "kinds", "sure"),
    [
        ("phone", TEXT, "customers", {"kr_phone_mobile", "kr_phone_fixed"}, True),
        ("휴대폰번호", TEXT, "고객", {"kr_phone_mobile"}, True),
        ("email", NARROW, "x", {"email"}, True),
        ("email", Type(), "x", {"email"}, True),
        ("birthday", Type("date", "time"), "x", {"date_of_birth"}, True),
        ("rrn", Type("bigint", "number"), "x", {"kr_rrn"}, True),
        ("last_ip", Type("inet", "other"), "x", {"ip_address"}, True),
        ("name", TEXT, "customers", {"person_name_ko", "person_name_roman"}, True),
        ("이름", TEXT, "회원정보", {"person_name_ko", "person_name_roman"}, True),
        ("customer_name", TEXT, "orders", {"person_name_ko", "person_name_roman"}, True),
        ("contact_email", TEXT, "x", {"email"}, True),
        ("session_id", TEXT, "x", {"cookie"}, False),
        ("name", TEXT, "products", set(), False),
        ("product_name", TEXT, "x", set(), False),
        ("phone_verified", Type("boolean", "bool"), "x", set(), False),
        ("email_sent_at", Type("timestamp", "time"), "x", set(), False),
        ("email_count", Type("int", "number"), "x", set(), False),
        ("user_id", Type("bigint", "number"), "x", set(), False),
        ("user_id", Type("uuid", "other"), "x", set(), False),
        ("created_at", Type("timestamp", "time"), "customers", set(), False),
        ("id", TEXT, "customers", set(), False),
        ("bank_name", TEXT, "x", set(), False),
    ],
)
def test_names_and_types(name: str, type: Type, table: str, kinds: set[str], sure: bool) -> None:
    """A name counts where the type can hold the kind; a mere name where the table is about people."""
    found, by, certain = column_kinds(column(name, type, table=table), select())
    assert kinds <= set(found)
    assert bool(found) == bool(kinds)
    assert "email" not in found or set(found) == {"email"}
    if kinds:
        assert (by, certain) == ("name", sure)


def test_a_comment_is_a_suspicion() -> None:
    """What a short comment names is a warning; a long one tells of other columns."""
    result = run(column("memo", comment="주민등록번호"))
    assert result.violations == ()
    (warning,) = result.warnings
    assert "by its comment it may hold kr_rrn" in warning.message
    assert "주민등록번호" not in warning.message
    assert run(column("memo", comment="unlike the column email, " * 3)).warnings == ()


def test_untagged_columns_fail_with_their_line() -> None:
    """Without a policy, and with one that says nothing, half or all of it."""
    for given in (None, policy()):
        (violation,) = run(column("phone"), policy=given).violations
        assert (violation.rule, violation.place) == ("PG041", Place("migrations/1.sql", 3))
        assert str(violation.field) == "migrations/1.sql::customers::phone"
        assert violation.message.endswith("nothing says why it is kept (purposes) and how long (retention class)")
        assert 'match = "customers.phone", purposes = ["..."]' in violation.mend
    half = {"match": "customers.phone", "purposes": ["delivery"]}
    (violation,) = run(column("phone"), policy=policy(half)).violations
    assert violation.message.endswith("nothing says how long (retention class)")
    assert rules(run(column("phone"), policy=policy(RULE))) == []


def test_what_the_data_says_is_not_said_twice() -> None:
    """A column whose values were judged is not judged by its name as well; its type still is."""
    finding = Finding("kr_phone_mobile", Confidence.LIKELY, True, 1, 1, Protection.PLAIN)
    place = FieldPath("shop.db", "customers", "phone")
    report = ScanReport((FieldReport(place, ("phone",), "string", FieldTally(1, 1), (finding,)),))
    assert rules(run(column("phone"), report=report)) == []
    assert rules(run(column("phone"), report=replace(report, fields=()))) == ["PG041"]
    assert rules(run(column("phone", NARROW), report=report, policy=policy(RULE))) == ["PG043"]


def test_names_that_the_policy_does_not_declare() -> None:
    """The purposes and the class of a tag are those of the policy, also where dbt states them."""
    tag = replace(FULL, purposes=("delivry",), retention="contrat")
    result = run(column("phone", tag=tag), policy=policy())
    assert rules(result) == ["PG004", "PG005"]
    assert all(violation.place == Place("migrations/1.sql", 3) for violation in result.violations)
    assert rules(run(column("phone", tag=tag))) == []


@pytest.mark.parametrize("name", ["customers.phone", "public.customers.phone"])
def test_any_carrier_declares(name: str) -> None:
    """A rule, a tag of the sidecar and a tag of dbt count alike, by the name of the repository or of the database."""
    assert rules(run(column("phone"), policy=policy({**RULE, "match": name}))) == []
    assert rules(run(column("phone"), tags={name: FULL})) == []
    assert rules(run(column("phone", tag=FULL))) == []
    assert rules(run(column("phone", table="public.customers"), tags={"customers.phone": FULL})) == []
    assert rules(run(column("phone", table="shop.customers"), tags={"customers.phone": FULL})) == ["PG041"]


def test_a_suppression_holds_until_its_day() -> None:
    """For a column that is called like something that it is not."""
    rule = {"match": "customers.email", "reason": "a template", "expires": date(2026, 6, 1)}
    assert rules(run(column("email"), policy=policy(suppressions=(rule,)))) == []
    late = {**rule, "expires": date(2026, 5, 31)}
    assert rules(run(column("email"), policy=policy(suppressions=(late,)))) == ["PG041"]
    other = {**rule, "kinds": ["credit_card"]}
    assert rules(run(column("email"), policy=policy(suppressions=(other,)))) == ["PG041"]


@pytest.mark.parametrize(
    ("type", "fits"),
    [
        (TEXT, True),
        (Type("varchar(80)", "text", 80), True),
        (Type("varchar(79)", "text", 79), False),
        (NARROW, False),
        (Type("binary(16)", "binary", 16), False),
        (Type("bigint", "number"), False),
        (Type("date", "time"), False),
        (Type("uuid", "other"), False),
        (Type("jsonb"), True),
        (Type(), True),
    ],
)
def test_a_token_has_to_fit(type: Type, fits: bool) -> None:
    """A column that is to be encrypted is text, and as wide as the shortest token at least."""
    result = run(column("phone", type), policy=policy(RULE))
    assert rules(result) == ([] if fits else ["PG043"])
    stays = {**RULE, "protection": "none", "reason": "public"}
    assert rules(run(column("phone", type), policy=policy(stays))) == []


def test_deterministic_tokens_are_shorter() -> None:
    """They have no nonce, and fit into 64 characters."""
    short = {"customers.phone": replace(FULL, mode="deterministic")}
    assert rules(run(column("phone", Type("varchar(64)", "text", 64)), tags=short)) == []
    assert rules(run(column("phone", Type("varchar(63)", "text", 63)), tags=short)) == ["PG043"]


def test_tags_of_columns_that_are_gone() -> None:
    """Of a table that is declared, or was; not of one that the repository does not know, nor of data that was read."""
    tags = {"customers.gone": FULL, "customers.phone": FULL, "elsewhere.phone": FULL, "customers.address.city": FULL}
    result = run(column("phone"), column("address"), tags=tags)
    violation = next(item for item in result.violations if item.rule == "PG036")
    assert rules(result).count("PG036") == 1
    assert (violation.place, violation.source) == (Place("pii-guard.tags.toml", 7), "pii-guard.tags.toml")
    assert 'take [fields."customers.gone"] out' in violation.mend
    assert rules(run(tags={"customers.gone": FULL}, tables=frozenset({"public.Customers"}))) == ["PG036"]
    field = FieldReport(FieldPath("x.csv", "customers", "gone"), ("gone",), "string", FieldTally())
    assert rules(run(column("id"), tags={"customers.gone": FULL}, report=ScanReport((field,)))) == []


def test_values_in_names_do_not_show() -> None:
    """A table or column that is called like a person's address is named by its kind."""
    result = run(column("gildong@example.com", table="younghee@example.com", comment="email"))
    shown = repr(result)
    assert "gildong" not in shown
    assert "younghee" not in shown


def test_places_of_columns_serve_databases() -> None:
    """A field of a database is mended where the repository declares it, with or without its schema."""
    places = column_places(Schema((column("phone"),)))
    assert places["customers.phone"] == places["public.customers.phone"] == Place("migrations/1.sql", 3)
