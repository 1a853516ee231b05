"""Every rule fires exactly where it should, and says how to mend the field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pii_guard.check import RULES, CheckResult, Violation, check, exit_code
from pii_guard.engine.verdict import ENCRYPTED, MASKED_VALUE
from pii_guard.errors import UsageError
from pii_guard.model import Confidence, FieldPath, Protection, Tag
from pii_guard.policy import Policy, assign, parse
from pii_guard.reports import FieldReport, Finding, NotExamined, ScanReport
from pii_guard.tallies import FieldTally

FULL = Tag("customers.phone", "kr_phone_mobile", ("delivery",), "contract", protection="encrypt")
EXEMPT = Tag("customers.phone", "kr_phone_mobile", ("delivery",), "contract", protection="none", reason="public")
RULE = {"match": "customers.phone", "purposes": ["delivery"], "retention": "contract"}


def policy(*rules: dict[str, Any]) -> Policy:
    document = {
        "version": 1,
        "purposes": {"delivery": {"title": "Delivery"}},
        "retention": {"contract": {"period": "P5Y"}},
        "fields": list(rules),
    }
    return parse(document, "policy")


def field(
    path: str = "phone",
    *,
    found: Confidence | None = None,
    personal: bool = True,
    tokens: int = 0,
    protected: dict[str, int] | None = None,
    examined: int = 10,
    tag: Tag | None = None,
    table: str = "customers",
) -> FieldReport:
    """A field of `examined` values, of which `tokens` are tokens; what is plain holds mobile numbers, if `found`.
    `protected` as in `FieldTally`; digests are of mobile numbers."""
    tally = FieldTally(rows=examined, examined=examined, tokens=tokens, protected=protected or {})
    place = FieldPath("customers.csv", table, path)
    report = FieldReport(place, (path,), "string", tally, tag=tag)
    findings = []
    states = tally.states
    if found and tally.plain:
        findings.append(Finding("kr_phone_mobile", found, personal, examined, tally.plain, report.protection))
    elif hashed := states.get(Protection.HASHED):
        findings.append(Finding("kr_phone_mobile", Confidence.LIKELY, True, examined, hashed, Protection.HASHED))
    if encrypted := tokens + states.get(Protection.ENCRYPTED, 0):
        findings.append(Finding(ENCRYPTED, Confidence.LIKELY, True, examined, encrypted, report.protection))
    if masked := states.get(Protection.MASKED):
        findings.append(Finding(MASKED_VALUE, Confidence.LIKELY, False, examined, masked, report.protection))
    return replace(report, findings=tuple(findings))


def run(*fields: FieldReport, policy: Policy | None = None, tags: dict[str, Tag] | None = None) -> CheckResult:
    return check(ScanReport(fields=fields), policy, tags or {})


def rules(violations: tuple[Violation, ...]) -> list[str]:
    return [violation.rule for violation in violations]


def test_rule_table_is_complete() -> None:
    """Ids are unique and sorted, names are unique, and every rule says what, why and how to mend."""
    assert list(RULES) == sorted(RULES) == [rule.id for rule in RULES.values()]
    assert len({rule.name for rule in RULES.values()}) == len(RULES)
    assert all(rule.what and rule.why and rule.mend for rule in RULES.values())


def test_clean_field_breaks_nothing() -> None:
    """Fields without personal data, and tokens with a full tag, are clean, with a policy and without."""
    tokens = field(tokens=10, tag=FULL)
    plain = field("id")
    other = field("ip", found=Confidence.CERTAIN, personal=False)
    for given in (policy(), None):
        result = run(plain, other, tokens, policy=given)
        assert result.violations == result.warnings == ()
        assert exit_code(result) == 0


@pytest.mark.parametrize("found", [Confidence.LIKELY, Confidence.CERTAIN])
def test_untagged_plain_data_breaks_three_rules(found: Confidence) -> None:
    """Plain personal data that nothing speaks for is in the clear, without purpose and without class."""
    result = run(field(found=found))
    assert rules(result.violations) == ["PG001", "PG002", "PG003"]
    first = result.violations[0]
    assert first.message == f"kr_phone_mobile in the clear ({found}, 10 of 10 values)"
    assert first.mend == (
        'add to pii-guard.toml a table [[fields]] with the lines match = "customers.phone", purposes = ["..."] and '
        'retention = "...", '
        "then run `pii-guard protect customers.csv --to TARGET`"
    )
    assert exit_code(result) == 1


@pytest.mark.parametrize("carrier", ["embedded", "sidecar", "rule"])
def test_any_carrier_gives_purpose_and_class(carrier: str) -> None:
    """A tag in the data, a tag in the sidecar and a rule count alike; plain data is still in the clear."""
    result = run(
        field(found=Confidence.CERTAIN, tag=FULL if carrier == "embedded" else None),
        tags={"customers.phone": FULL} if carrier == "sidecar" else None,
        policy=policy(RULE) if carrier == "rule" else policy(),
    )
    assert rules(result.violations) == ["PG001"]
    assert result.violations[0].mend == "run `pii-guard protect customers.csv --to TARGET`"


def test_nested_field_is_flattened_before_it_is_encrypted() -> None:
    """`protect` refuses fields inside objects, so the advice puts flattening before it."""
    nested = replace(field("contact.phone", found=Confidence.CERTAIN, tag=FULL), segments=("contact", "phone"))
    mend = run(nested, policy=policy()).violations[0].mend
    assert mend.startswith("flatten the table (")
    assert mend.endswith("), then run `pii-guard protect customers.csv --to TARGET`")


@pytest.mark.parametrize("carrier", ["sidecar", "rule"])
def test_reason_excuses_plain_data(carrier: str) -> None:
    """protection none with a reason excuses from encryption, not from purpose and class."""
    rule = {**RULE, "protection": "none", "reason": "public"}
    result = run(
        field(found=Confidence.CERTAIN),
        tags={"customers.phone": EXEMPT} if carrier == "sidecar" else None,
        policy=policy(rule) if carrier == "rule" else policy(),
    )
    assert result.violations == result.warnings == ()
    bare = {"customers.phone": Tag("customers.phone", protection="none", reason="public")}
    assert rules(run(field(found=Confidence.CERTAIN), tags=bare).violations) == ["PG002", "PG003"]


def test_protection_none_without_reason_excuses_nothing() -> None:
    """A tag that says none without a reason is a gap, not an excuse."""
    gap = Tag("customers.phone", "kr_phone_mobile", ("delivery",), "contract", protection="none")
    assert rules(run(field(found=Confidence.CERTAIN, tag=gap)).violations) == ["PG001"]


def test_data_does_not_excuse_itself() -> None:
    """Where the policy asks for encryption, no tag talks the check out of it."""
    plain = field(found=Confidence.CERTAIN, tag=EXEMPT)
    assert rules(run(plain, policy=policy(RULE)).violations) == ["PG001"]
    assert rules(run(plain).violations) == ["PG001"], "a reason counts where people wrote it, not in the data itself"
    moved = field("phone", found=Confidence.CERTAIN, tag=replace(EXEMPT, field="other.field"))
    assert rules(run(moved, policy=policy(RULE)).violations) == ["PG001"], "it cannot name itself another field either"
    assert rules(run(field(found=Confidence.CERTAIN), tags={"customers.phone": EXEMPT}, policy=policy(RULE)).violations)


@pytest.mark.parametrize(("tokens", "plain"), [(0, 10), (7, 3), (9, 1)])
def test_declared_encryption_is_held_to_every_value(tokens: int, plain: int) -> None:
    """A field declared as encrypted may hold tokens only, even where nothing is recognised in the rest."""
    (violation,) = run(field(tokens=tokens, tag=FULL), policy=policy()).violations
    assert violation.rule == "PG001"
    assert violation.message == f"{plain} of 10 values are not tokens"


def test_mixed_field_says_how_many() -> None:
    """Of a field that is encrypted in part, the rest is counted, with and without a tag."""
    (violation,) = run(field(found=Confidence.LIKELY, tokens=7, tag=FULL)).violations
    assert violation.message == ("3 of 10 values are not tokens; kr_phone_mobile in the clear (likely, 3 of 10 values)")
    assert rules(run(field(tokens=7)).violations) == ["PG001", "PG002", "PG003"]


def test_empty_field_is_not_in_the_clear() -> None:
    """A field without values breaks no promise of encryption."""
    assert run(field(examined=0, tag=FULL), policy=policy()).violations == ()


def test_tokens_need_purpose_and_class() -> None:
    """A field of tokens is not in the clear, but without a tag nothing says why and how long it is kept."""
    assert rules(run(field(tokens=10)).violations) == ["PG002", "PG003"]
    assert rules(run(field(tokens=10), policy=policy(RULE)).violations) == []


def test_ciphertext_of_others_needs_purpose_and_class() -> None:
    """What another tool has encrypted is not in the clear; what and how long it is for has to be said all the same."""
    foreign = {"encrypted/fernet": 10}
    assert rules(run(field(protected=foreign)).violations) == ["PG002", "PG003"]
    assert run(field(protected=foreign, tag=FULL), policy=policy()).violations == ()


def test_a_field_encrypted_in_part_by_others_is_in_the_clear() -> None:
    """Plain values beside ciphertext are counted, whatever made the ciphertext."""
    half = field(protected={"encrypted/vault": 6}, tokens=1, found=Confidence.LIKELY, tag=FULL)
    (violation,) = run(half).violations
    assert violation.message == (
        "3 of 10 values are not encrypted; kr_phone_mobile in the clear (likely, 3 of 10 values)"
    )


def test_masked_values_are_no_personal_data_in_the_clear() -> None:
    """A masked column breaks nothing; plain values in it do, and so does a promise of encryption."""
    assert run(field(protected={"masked": 10})).violations == ()
    assert run(field(protected={"masked": 10})).warnings == ()
    mixed = run(field(protected={"masked": 4}, found=Confidence.LIKELY)).violations
    assert mixed[0].message == "kr_phone_mobile in the clear (likely, 6 of 10 values)"
    declared = run(field(protected={"masked": 10}, tag=FULL)).violations
    assert [violation.message for violation in declared] == ["10 of 10 values are not tokens"]


def test_digests_of_guessable_values_are_a_warning() -> None:
    """A bare digest of a phone number is not in the clear, but can be undone; that is said, and how to mend it."""
    result = run(field(protected={"hashed/digest-64": 9, "masked": 1}))
    assert rules(result.violations) == ["PG002", "PG003"]
    (warning,) = result.warnings
    assert (warning.rule, warning.message) == (
        "PG006",
        "kr_phone_mobile as unsalted digests (9 of 10 values): reversible, all such values can be tried",
    )
    assert "encrypt the values instead" in warning.mend
    assert run(field(protected={"hashed/bcrypt": 10}, tag=EXEMPT)).warnings == ()
    assert run(field(protected={"hashed/bcrypt": 10})).warnings == ()


def test_undeclared_names_are_found() -> None:
    """A tag that names what the policy lacks breaks PG004 and PG005; without a policy nothing can be said."""
    tag = Tag("customers.phone", "email", ("delivry", "delivery"), "마케팅", protection="encrypt")
    result = run(field(tokens=10, tag=tag), policy=policy())
    assert rules(result.violations) == ["PG004", "PG005"]
    purpose, retention = result.violations
    assert purpose.message == 'purpose "delivry" is not declared in the policy; did you mean "delivery"?'
    assert '[purposes.delivry] title = "..."' in purpose.mend
    assert '[retention."마케팅"] period = "..."' in retention.mend
    assert run(field(tokens=10, tag=tag)).violations == ()


def test_possible_findings_warn() -> None:
    """What is only possible is a warning, unless the field is excused or a violation already."""
    result = run(field(found=Confidence.POSSIBLE))
    assert result.violations == ()
    (warning,) = result.warnings
    assert warning.message == "may hold kr_phone_mobile (possible, 10 of 10 values)"
    assert exit_code(result) == 0
    assert run(field(found=Confidence.POSSIBLE), tags={"customers.phone": EXEMPT}).warnings == ()
    assert run(field(found=Confidence.POSSIBLE, tag=FULL)).warnings == ()


def test_unread_sources_are_incomplete() -> None:
    """What was not read is a warning and exit code 3; violations come first."""
    unread = (NotExamined("b.parquet", "truncated"),)
    result = check(ScanReport(fields=(field("id"),), not_examined=unread), None, {})
    assert rules(result.warnings) == ["PG010"]
    assert result.warnings[0].message == "not examined: truncated"
    assert exit_code(result) == 3
    assert exit_code(check(ScanReport(fields=(field(found=Confidence.CERTAIN),), not_examined=unread), None, {})) == 1


def test_renamed_file_keeps_its_rule() -> None:
    """The rule of a field that was renamed since is that of the name its values were protected under."""
    tag = Tag("customers.phone", "kr_phone_mobile", protection="encrypt")
    moved = field("tel", tokens=10, tag=tag, table="export")
    assert run(moved, policy=policy(RULE)).violations == ()
    assert 'match = "customers.phone"' in run(moved, policy=policy()).violations[0].mend


def test_order_is_that_of_the_fields() -> None:
    """Violations are sorted by source, field and rule, whatever the order of the report."""
    fields = [field(name, found=Confidence.CERTAIN) for name in ("b", "a", "c")]
    forward, backward = run(*fields), run(*fields[::-1])
    assert forward.violations == backward.violations
    assert [violation.field.path for violation in forward.violations if violation.field] == [*"aaabbbccc"]


def test_command_quotes_the_source() -> None:
    """A source with spaces or quotes is one argument of the command to run."""
    place = FieldPath("my files/a'b.csv", "t", "x")
    finding = Finding("email", Confidence.CERTAIN, True, 1, 1, Protection.PLAIN)
    report = FieldReport(place, ("x",), "string", FieldTally(1, 1), (finding,))
    assert "`pii-guard protect 'my files/a'\"'\"'b.csv' --to TARGET`" in run(report).violations[0].mend


def test_assigned_tags_satisfy_the_check() -> None:
    """Once a rule speaks for a field, the tags that `assign` makes leave encryption as the only thing to do."""
    report = ScanReport(fields=(field(found=Confidence.CERTAIN),))
    tags = assign(report, policy(RULE), {})
    assert rules(check(report, policy(RULE), tags).violations) == ["PG001"]
    assert check(ScanReport(fields=(field(tokens=10, tag=tags["customers.phone"]),)), policy(RULE), {}).violations == ()


@pytest.mark.parametrize(
    ("source", "advice"),
    [
        ("a b.csv", "run `pii-guard protect 'a b.csv' --to TARGET`"),
        ("postgresql://host/db", "protect postgresql://host/db --in-place --table customers --column phone`"),
        ("sqlite:///a.db", "run `pii-guard protect sqlite:///a.db --in-place --table customers --column phone`"),
        ("my data/a#.db", "protect sqlite:///my%20data/a%23.db --in-place --table customers --column phone`"),
        ("/srv/a.db", "run `pii-guard protect sqlite:////srv/a.db --in-place --table customers --column phone`"),
        ("duckdb:///a.duckdb", "run `pii-guard protect duckdb:///a.duckdb --table customers --to TARGET`"),
        ("s3://bucket/a.csv", "run `pii-guard protect s3://bucket/a.csv --to TARGET`"),
        ("a.zip!/b.csv", "unpack the archive and run `pii-guard protect FILE --to TARGET`"),
    ],
)
def test_the_advice_can_be_followed(source: str, advice: str) -> None:
    """Each kind of source has the command that takes it; columns of live tables are encrypted where they are."""
    found = field(found=Confidence.CERTAIN)
    placed = replace(found, field=replace(found.field, source=source))
    (violation,) = check(ScanReport(fields=(placed,)), policy(RULE), {}).violations
    assert advice in violation.mend


def test_confidence_that_fails_can_be_chosen() -> None:
    """What is below it is a warning, and what is not, a violation."""
    for found in Confidence:
        for least in Confidence:
            result = check(
                ScanReport(fields=(field(found=found, tag=replace(FULL, protection="none")),)), None, {}, fail_on=least
            )
            in_the_clear = ["PG001"] * (found >= least)
            assert rules(result.violations) == in_the_clear
            assert rules(result.warnings) == ["PG001"] * (found < least)


def test_passwords_are_no_data_to_encrypt() -> None:
    """A field of passwords breaks PG030 in place of PG001; hashed ones break neither."""
    plain = replace(field(), findings=(Finding("password", Confidence.LIKELY, True, 10, 10, Protection.PLAIN),))
    assert rules(run(plain).violations) == ["PG002", "PG003", "PG030"]
    tagged = field(tokens=10, tag=replace(FULL, kind="password"))
    assert rules(run(tagged).violations) == ["PG030"]
    hashed = field(protected={"hashed/argon2": 10}, tag=replace(FULL, kind="password"))
    assert rules(run(hashed).violations) == []


def test_recipient_needs_a_policy_that_has_it() -> None:
    with pytest.raises(UsageError, match="needs a policy"):
        check(ScanReport(), None, {}, recipient="parcels")
    with pytest.raises(UsageError, match="no recipient or processor"):
        check(ScanReport(), policy(), {}, recipient="parcels")


@pytest.mark.parametrize(
    ("match", "idle"),
    [
        ("customers.phone", False),
        ("customers.*", False),
        ("*.phone", False),
        ("customers.fone", True),
        ("*.fone", True),
        ("orders.fone", False),
        ("phone", False),
    ],
)
def test_rules_that_decide_for_nothing_are_said(match: str, idle: bool) -> None:
    """A rule of a table that was read and of none of its fields; those of other tables may have a use elsewhere."""
    own = policy({"match": match, "purposes": ["delivery"], "retention": "contract"})
    result = run(field(tokens=10, tag=FULL), policy=own)
    assert [warning.rule for warning in result.warnings] == ["PG037"] * idle


@pytest.mark.parametrize(
    ("matches", "meant"),
    [
        (["custmers.phone"], "customers"),
        (["custmers.*"], "customers"),
        ([["members.tel", "customer.ph*"], "*"], "customers"),
        (["shop.orders.address"], "shop.order"),
        (["custmers.fone"], ""),
        (["suppliers.phone"], ""),
        (["customers.phone", "customers_old.phone"], ""),
        (["customers_old.phone", "customers.*"], ""),
    ],
)
def test_rules_of_a_table_nearly_called_so_are_said(matches: list[str | list[str]], meant: str) -> None:
    """A misspelt table is named with what was probably meant, if a field of that waits for the rule. A table that has
    rules of its own is not meant."""
    own = policy(*({"match": match, "purposes": ["delivery"], "retention": "contract"} for match in matches))
    result = run(field(tokens=10, tag=FULL), field("address", table="shop.order"), policy=own)
    said = [warning.message for warning in result.warnings if warning.rule == "PG037"]
    assert [f'did you mean "{meant}"?' in message for message in said] == [True] * bool(meant)


def test_rules_of_declared_fields_are_not_idle() -> None:
    """What a rule decides for may be declared only; a table that is declared may be meant too."""
    declared = [FieldPath("1.sql", table, path) for table in ("customer", "orders") for path in ("tel", "phone")]
    rules = [{"match": match, "purposes": ["delivery"], "retention": "contract"} for match in ("customer.*", "oders.*")]
    report = ScanReport(fields=(field(table="other"),))
    warnings = check(report, policy(*rules), {}, declared=declared).warnings
    assert [warning.message.partition("; ")[2] for warning in warnings] == ['did you mean "orders"?']


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({"period": "P3Y", "statute": "kr-ecommerce-contract", "separate": True}, ["PG103"]),
        ({"period": "P5Y", "statute": "kr-ecommerce-contract", "separate": True}, []),
        ({"period": "P6M", "statute": "kr-network-identity"}, ["PG102"]),
        ({"period": "P5Y"}, []),
    ],
)
def test_periods_of_the_policy_are_held_against_the_law(members: dict[str, Any], found: list[str]) -> None:
    """A build fails on a period that a law does not allow, whatever data it checks; other defects are for validate."""
    document = {"version": 1, "extends": ["korea"], "retention": {"contract": members}}
    result = check(ScanReport(), parse(document, "policy"), {})
    assert rules(result.violations) == found


@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("customers.phone", False),
        ("customers.fax", True),
        ("orders.fax", False),
        ("customers.address", False),
        ("customers.old", False),
        ("customersphone", False),
    ],
)
def test_tags_of_fields_that_are_no_more_are_said(name: str, lost: bool) -> None:
    """Of tables that were read whole; what nests is there by its parts, and what was dropped is not missed."""
    nested = replace(field("address.city"), segments=("address", "city"))
    tag = (
        Tag(name, protection="drop")
        if name == "customers.old"
        else Tag(name, "kr_phone_mobile", ("delivery",), "contract")
    )
    result = run(field(tokens=10, tag=FULL), nested, policy=policy(RULE), tags={name: tag})
    found = [(item.rule, item.field and item.field.path) for item in result.warnings]
    assert (("PG036", name.partition(".")[2]) in found) == lost
    broken = replace(
        ScanReport(fields=(field(tokens=10, tag=FULL),)), not_examined=(NotExamined("customers.csv", "cut off"),)
    )
    assert "PG036" not in rules(check(broken, policy(RULE), {name: tag}).warnings)


@pytest.mark.parametrize(("kind", "said"), [("email", True), ("kr_phone_mobile", False), (None, False)])
def test_kind_that_the_values_contradict_is_said(kind: str | None, said: bool) -> None:
    """A stated kind is held against what is found; where nothing is found, as in tokens, it stands."""
    tag = replace(FULL, kind=kind)
    assert ("PG040" in rules(run(field(found=Confidence.LIKELY, tag=tag)).warnings)) == said
    assert "PG040" not in rules(run(field(tokens=10, tag=tag)).warnings)


def test_advice_is_for_the_rule_that_decides() -> None:
    """The first rule that matches decides: what stands behind it mends nothing, so its own lines are asked for."""
    found = [field(found=Confidence.CERTAIN)]
    for rules_ in ([], [RULE | {"match": "orders.*"}]):
        result = check(ScanReport(tuple(found)), policy(*rules_), {})
        (open_,) = (item for item in result.violations if item.rule == "PG003")
        assert 'a table [[fields]] with the lines match = "customers.phone"' in open_.mend
    result = check(ScanReport(tuple(found)), policy({"match": ["customers.*"], "purposes": ["delivery"]}), {})
    (open_,) = (item for item in result.violations if item.rule == "PG003")
    assert open_.mend == 'add to the rule in pii-guard.toml with match = ["customers.*"]: retention = "..."'
