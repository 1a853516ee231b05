"""Tags are what the policy, the sidecar and the findings say, and nothing more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pii_guard.engine.verdict import ENCRYPTED
from pii_guard.model import Confidence, FieldPath, Protection, Tag
from pii_guard.policy import Policy, assign, parse
from pii_guard.reports import FieldReport, Finding, ScanReport
from pii_guard.tallies import FieldTally

BASIS = "E-Commerce Act, Enforcement Decree Art. 6(1)2"


def policy(*rules: dict[str, Any]) -> Policy:
    document = {
        "version": 1,
        "purposes": {"delivery": {"title": "Delivery"}, "support": {"title": "Support"}},
        "retention": {"contract": {"period": "P5Y", "basis": BASIS}, "short": {"period": "P6M"}},
        "fields": list(rules),
    }
    return parse(document, "policy")


def finding(kind: str, confidence: Confidence = Confidence.CERTAIN, **other: Any) -> Finding:
    values: dict[str, Any] = {"personal": True, "examined": 10, "hits": 10, "protection": Protection.PLAIN, **other}
    return Finding(kind, confidence, **values)


def field(path: str, *findings: Finding, tag: Tag | None = None, source: str = "customers.csv") -> FieldReport:
    place = FieldPath(source, "customers", path)
    return FieldReport(place, (path,), "string", FieldTally(rows=10, examined=10), findings, tag)


RULE = {"match": "customers.phone", "purposes": ["delivery"], "retention": "contract"}


def test_rule_makes_the_whole_tag() -> None:
    """Kind from the finding; purposes, class, its basis and protection from the rule."""
    report = ScanReport(fields=(field("phone", finding("kr_phone_mobile")), field("id")))
    assert assign(report, policy(RULE), {}) == {
        "customers.phone": Tag(
            field="customers.phone",
            kind="kr_phone_mobile",
            purposes=("delivery",),
            retention="contract",
            basis=BASIS,
            protection="encrypt",
        )
    }


def test_gap_is_no_guess() -> None:
    """A field that no rule matches has a tag with its kind and nothing else."""
    report = ScanReport(fields=(field("phone", finding("kr_phone_mobile")),))
    assert assign(report, policy(), {}) == {"customers.phone": Tag(field="customers.phone", kind="kr_phone_mobile")}


@pytest.mark.parametrize(
    "found",
    [finding("email", Confidence.POSSIBLE), finding("ip_address", personal=False)],
    ids=["possible", "not personal"],
)
def test_weak_finding_makes_no_tag(found: Finding) -> None:
    """What is only possible, or not personal, calls for no tag."""
    assert assign(ScanReport(fields=(field("x", found),)), policy(), {}) == {}


def test_rule_tags_a_field_without_findings() -> None:
    """A rule speaks for its field even where nothing was recognised."""
    rule = {"match": "customers.memo", "protection": "none", "reason": "public", "kind": "email"}
    assert assign(ScanReport(fields=(field("memo"),)), policy(rule), {}) == {
        "customers.memo": Tag(field="customers.memo", kind="email", protection="none", reason="public")
    }


def test_best_finding_gives_the_kind() -> None:
    """Confidence comes before the number of hits; a token hides what it holds and names no kind."""
    found = (
        finding("kr_bank_account", Confidence.LIKELY, hits=10),
        finding("credit_card", hits=2),
        finding("email", hits=1),
        finding(ENCRYPTED, protection=Protection.MIXED, hits=10),
    )
    for findings in (found, found[::-1]):
        assert assign(ScanReport(fields=(field("x", *findings),)), policy(), {})["customers.x"].kind == "credit_card"
    tokens = ScanReport(fields=(field("x", found[3]),))
    assert assign(tokens, policy(), {}) == {"customers.x": Tag(field="customers.x")}


def test_sidecar_states_the_kind_and_the_rule_the_rest() -> None:
    """A known tag wins over findings for the kind; the rule decides purposes, class, basis and protection."""
    known = Tag("customers.phone", "kr_phone_fixed", ("support",), "short", "old", "none", reason="old")
    report = ScanReport(fields=(field("phone", finding("kr_phone_mobile")),))
    assert assign(report, policy(RULE), {"customers.phone": known})["customers.phone"] == Tag(
        "customers.phone", "kr_phone_fixed", ("delivery",), "contract", BASIS, "encrypt"
    )
    stated = policy({**RULE, "kind": "email"})
    assert assign(report, stated, {"customers.phone": known})["customers.phone"].kind == "email"


def test_known_tag_stays_where_no_rule_speaks() -> None:
    """Without a rule a known tag is kept whole, also where nothing was found; so are members that a rule leaves out."""
    known = Tag("customers.x", "person_name", ("support",), "short", "old", "encrypt")
    report = ScanReport(fields=(field("x"),))
    assert assign(report, policy(), {"customers.x": known}) == {"customers.x": known}
    tag = assign(report, policy({"match": "customers.x"}), {"customers.x": known})["customers.x"]
    assert (tag.purposes, tag.retention, tag.basis) == (("support",), "short", None)


def test_facts_of_an_encryption_come_from_the_data() -> None:
    """Key id, type and first name of values already encrypted come from the tag they carry, the rest from the sidecar.

    The rule is looked up by that first name: the file may have been renamed since.
    """
    carried = Tag("customers.phone", "email", ("support",), "short", None, "encrypt", key_id="k1", type="int64")
    encrypted = replace(field("renamed", tag=carried), tally=FieldTally(rows=10, examined=10, tokens=10))
    report = ScanReport(fields=(encrypted,))
    known = {"customers.renamed": Tag("customers.renamed", "kr_phone_mobile")}
    assert assign(report, policy(RULE), known) == {
        "customers.renamed": Tag(
            "customers.phone", "kr_phone_mobile", ("delivery",), "contract", BASIS, "encrypt", "k1", "int64"
        )
    }


def test_plain_data_cannot_excuse_itself() -> None:
    """What plain data says of itself takes it out of no rule: not a reason, not the name of another field."""
    carried = Tag("other.field", "email", ("support",), "short", None, "none", reason="trust me")
    report = ScanReport(fields=(field("phone", finding("kr_phone_mobile"), tag=carried),))
    tag = assign(report, policy(RULE), {})["customers.phone"]
    assert (tag.field, tag.protection, tag.reason, tag.purposes) == ("customers.phone", "encrypt", None, ("delivery",))
    ungoverned = assign(report, policy(), {})["customers.phone"]
    assert (ungoverned.protection, ungoverned.reason) == ("none", None)


def test_one_tag_for_a_table_in_several_sources() -> None:
    """The same field in two sources has one tag, whatever the order of the sources."""
    fields = (
        field("x", finding("email", Confidence.LIKELY), source="a.csv"),
        field("x", finding("credit_card"), source="b.csv"),
        field("x", source="c.csv"),
    )
    for order in (fields, fields[::-1]):
        assert assign(ScanReport(fields=order), policy(), {}) == {"customers.x": Tag("customers.x", "credit_card")}


@pytest.mark.parametrize(
    ("rule", "protection"),
    [
        ({}, "mask"),
        ({"protection": "encrypt"}, "encrypt"),
        ({"protection": "drop"}, "drop"),
        ({"index": 8}, "encrypt"),
        ({"kind": "email"}, "encrypt"),
    ],
)
def test_kind_says_what_protects_it_where_the_rule_does_not(rule: dict[str, Any], protection: str) -> None:
    """A rule that names a protection, or what only encryption has, wins over that of the kind."""
    document = {
        "version": 1,
        "purposes": {"delivery": {"title": "Delivery"}},
        "retention": {"contract": {"period": "P5Y"}},
        "protection": {"kr_phone_mobile": "mask"},
        "fields": [{**RULE, **rule}],
    }
    report = ScanReport(fields=(field("phone", finding("kr_phone_mobile")),))
    (tag,) = assign(report, parse(document, "policy"), {}).values()
    assert tag.protection == protection


def test_pack_of_korean_law_hashes_passwords() -> None:
    document = {"version": 1, "extends": ["korea"], "fields": [{"match": "customers.*"}]}
    report = ScanReport(fields=(field("pw", finding("password")), field("email", finding("email"))))
    tags = assign(report, parse(document, "policy"), {})
    assert {name: tag.protection for name, tag in tags.items()} == {
        "customers.pw": "password",
        "customers.email": "encrypt",
    }
