"""What is wrong with a policy that is well written is named, and nothing else is."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from cli_runner import EXAMPLES

from pii_guard.check import RULES
from pii_guard.policy import load, parse
from pii_guard.policy.review import Defect, review

SOUND = """\
version = 1
extends = ["korea"]
[purposes.delivery]
title = "Delivery"
basis = "PIPA Art. 15(1)4"
[purposes.marketing]
title = "Marketing"
basis = "consent"
[items]
name = { title = "name", kinds = ["person_name_ko"] }
email = { title = "e-mail", kinds = ["email"] }
rrn = { title = "resident registration number", kinds = ["kr_rrn"] }
[[collected]]
purpose = "delivery"
required = ["name"]
[[collected]]
purpose = "marketing"
optional = ["email"]
[retention.contract]
title = "Contracts"
period = "P5Y"
term = "minimum"
separate = true
statute = "kr-ecommerce-contract"
[retention.inquiry]
title = "Inquiries"
period = "P1Y"
term = "maximum"
basis = "consent"
[retention.half]
title = "Recruiting"
period = "P6M"
statute = "inquiry"
[access_records]
period = "P1Y"
data_subjects = 49_999
[recipients.parcels]
name = "Parcels"
items = ["name"]
purpose = "delivery"
period = "P1M"
basis = "consent"
[processors.cloud]
name = "Cloud"
items = ["name", "email"]
[[fields]]
match = "orders.name"
purposes = ["delivery"]
retention = "contract"
[[fields]]
match = "orders.*"
purposes = ["delivery"]
retention = "contract"
"""


def defects(text: str, old: str = "", new: str = "") -> list[tuple[str, str]]:
    assert old in text
    document: dict[str, Any] = tomllib.loads(text.replace(old, new, 1))
    return [(defect.rule, defect.place) for defect in review(parse(document, "policy"))]


def test_sound_policy_has_no_defects() -> None:
    assert defects(SOUND) == []


def test_unused_entries_of_a_pack_are_no_defects() -> None:
    """The pack holds a repealed law; a policy that does not use it has no part in that."""
    assert defects('version = 1\nextends = ["korea"]\n[access_records]\nperiod = "P1Y"\n') == []


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (
            'basis = "consent"\n[retention.half]',
            "[retention.half]",
            {("PG101", "retention.half"), ("PG101", "retention.inquiry")},
        ),
        ("kr-ecommerce-contract", "kr-network-identity", {("PG102", "retention.contract")}),
        ('period = "P5Y"', 'period = "P3Y"', {("PG103", "retention.contract")}),
        ('period = "P5Y"', 'period = "P1825D"', {("PG103", "retention.contract")}),
        ('period = "P5Y"', 'period = "P60M"', set()),
        ('period = "P5Y"', 'period = "P10Y"', set()),
        ('period = "P6M"\nstatute', 'period = "P13M"\nstatute', {("PG104", "retention.half")}),
        ('period = "P6M"\nstatute', 'period = "P366D"\nstatute', {("PG104", "retention.half")}),
        ("separate = true", "separate = false", {("PG105", "retention.contract")}),
        ('title = "Inquiries"', 'title = "Contracts"', {("PG106", "retention.inquiry")}),
        ('period = "P1Y"\ndata', 'period = "P11M"\ndata', {("PG107", "access_records")}),
        ("49_999", "50_000", {("PG107", "access_records")}),
        ("data_subjects = 49_999", "telecom_operator = true", {("PG107", "access_records")}),
        ('[access_records]\nperiod = "P1Y"\ndata_subjects = 49_999\n', "", {("PG107", "access_records")}),
        ('required = ["name"]', 'required = ["name", "rrn"]', {("PG107", "access_records")}),
        ('basis = "PIPA Art. 15(1)4"\n', "", set()),
        (
            '[[collected]]\npurpose = "marketing"\noptional = ["email"]\n',
            "",
            {("PG108", "purposes.marketing"), ("PG109", "processors.cloud")},
        ),
        ('items = ["name"]', 'items = ["name", "rrn"]', {("PG109", "recipients.parcels")}),
        ('items = ["name"]\n', "", {("PG110", "recipients.parcels")}),
        ('period = "P1M"\n', "", {("PG110", "recipients.parcels")}),
        ('name = "Cloud"', 'name = "Parcels"', {("PG111", "recipients.parcels")}),
        ('match = "orders.name"', 'match = ["orders.name", "users.name"]', set()),
        ('match = "orders.name"', 'match = "*.*"', {("PG113", "fields[1]")}),
        ('match = "orders.name"', 'match = "orders.*"', {("PG113", "fields[1]")}),
        ('match = "orders.name"', 'match = "orders.?*"', set()),
        ('match = "orders.name"', 'match = "orders.????"', set()),
    ],
)
def test_each_defect(old: str, new: str, found: set[tuple[str, str]]) -> None:
    """One change makes one defect, at its place; the other half of these changes makes none."""
    assert set(defects(SOUND, old, new)) == found


def test_identifier_collected_for_a_purpose_without_a_statute() -> None:
    text = SOUND.replace('basis = "PIPA Art. 15(1)4"\n', "").replace(
        'required = ["name"]', 'required = ["rrn", "name"]'
    )
    assert ("PG112", "purposes.delivery") in defects(text)


def test_longest_floor_that_is_missed_is_the_one_named() -> None:
    text = SOUND.replace("49_999", "80_000").replace('period = "P1Y"\ndata', 'period = "P6M"\ndata')
    (defect,) = review(parse(tomllib.loads(text), "policy"))
    assert "P2Y" in defect.mend


def test_example_has_the_defects_that_its_comments_name() -> None:
    """Every comment `defect` of the example is one of what is found, and the other way round."""
    path = EXAMPLES / "policy" / "pii-guard.toml"
    found = review(load(path))
    assert len({defect.place for defect in found}) == path.read_text(encoding="utf-8").count("# defect")
    assert {defect.rule for defect in found} >= {"PG101", "PG102", "PG107", "PG109"}


def test_each_defect_is_a_rule() -> None:
    """What a review names is explained in the table of rules."""
    found: tuple[Defect, ...] = review(load(EXAMPLES / "policy" / "pii-guard.toml"))
    assert {defect.rule for defect in found} <= set(RULES)
    assert {f"PG{number}" for number in range(101, 114)} <= set(RULES)
