"""What a policy's duties and declarations ask of a field is asked exactly there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pii_guard.check.lawful import (
    against_declarations,
    against_duties,
    holds_passwords,
    one_way,
    receiver_items,
    told_apart,
)
from pii_guard.detectors import select
from pii_guard.errors import UsageError
from pii_guard.model import Confidence, FieldPath, Protection, Tag
from pii_guard.policy import Policy, parse
from pii_guard.reports import FieldReport, Finding
from pii_guard.tallies import FieldTally

DOCUMENT: dict[str, Any] = {
    "version": 1,
    "extends": ["korea"],
    "purposes": {"delivery": {"title": "Delivery"}, "tax": {"title": "Tax", "basis": "Income Tax Act Art. 164"}},
    "items": {
        "phone": {"title": "phone", "kinds": ["kr_phone_mobile"]},
        "mail": {"title": "e-mail", "kinds": ["email"]},
    },
    "collected": [{"purpose": "delivery", "required": ["phone"], "optional": ["mail"]}],
    "recipients": {"parcels": {"name": "Parcels", "items": ["phone"]}},
    "processors": {"cloud": {"name": "Cloud", "items": ["phone", "mail"]}},
}
OPEN = Tag("t.f", purposes=("delivery",), protection="encrypt")
EXEMPT = replace(OPEN, protection="none", reason="public")


def policy(**changes: Any) -> Policy:
    return parse({**DOCUMENT, **changes}, "policy")


def found(kind: str, protection: Protection = Protection.PLAIN) -> list[Finding]:
    return [Finding(kind, Confidence.LIKELY, True, 10, 10, protection)]


def passwords(*, tokens: int = 0, plain: int = 0, **protected: int) -> FieldReport:
    states = {name.replace("__", "/").replace("_", "-"): count for name, count in protected.items()}
    examined = tokens + plain + sum(states.values())
    tally = FieldTally(rows=examined, examined=examined, tokens=tokens, protected=states)
    return FieldReport(FieldPath("s", "t", "f"), ("f",), "string", tally)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (passwords(plain=3, hashed__argon2=7), "3 in the clear, of 10 values"),
        (passwords(tokens=10), "10 encrypted and so got back, of 10 values"),
        (passwords(encrypted__fernet=10), "10 encrypted and so got back, of 10 values"),
        (passwords(hashed__digest_64=4, hashed__bcrypt=6), "4 unsalted digests, of 10 values"),
        (passwords(hashed__argon2=5, hashed__bcrypt=3, hashed__pbkdf2=2), None),
        (passwords(), None),
    ],
)
def test_passwords_have_to_be_one_way(field: FieldReport, words: str | None) -> None:
    """Whatever the policy: hashes made for passwords pass, everything else is named with its count."""
    for rules in (None, policy()):
        breaches = list(one_way(field, OPEN, rules))
        assert [breach.rule for breach in breaches] == (["PG030"] if words else [])
        assert all(words and words in breach.message for breach in breaches)


def test_reason_excuses_passwords_only_without_a_duty() -> None:
    field = passwords(plain=1)
    assert not list(one_way(field, EXEMPT, None))
    assert not list(one_way(field, EXEMPT, policy(extends=[])))
    assert list(one_way(field, EXEMPT, policy()))


def test_a_field_holds_passwords_by_its_tag_or_its_findings() -> None:
    assert holds_passwords(replace(OPEN, kind="password"), [])
    assert holds_passwords(OPEN, found("password"))
    assert not holds_passwords(OPEN, found("login_id"))


@pytest.mark.parametrize(
    ("kind", "tag", "place", "rules"),
    [
        ("credit_card", EXEMPT, "server", ["PG031"]),
        ("kr_bank_account", EXEMPT, "server", ["PG031"]),
        ("credit_card", OPEN, "server", []),
        ("email", EXEMPT, "server", []),
        ("email", EXEMPT, "device", ["PG031"]),
        ("email", OPEN, "device", []),
        ("kr_rrn", OPEN, "server", ["PG032"]),
        ("kr_rrn", EXEMPT, "server", ["PG031", "PG032"]),
        ("kr_rrn", replace(OPEN, purposes=("tax",)), "server", []),
        ("kr_rrn", replace(OPEN, purposes=("delivery", "tax")), "server", []),
        ("kr_passport", replace(OPEN, purposes=("unheard-of",)), "server", ["PG032"]),
    ],
)
def test_duties(kind: str, tag: Tag, place: str, rules: list[str]) -> None:
    assert [breach.rule for breach in against_duties(tag, found(kind), policy(place=place))] == rules
    assert not list(against_duties(tag, found(kind), policy(extends=[], place=place)))


def test_what_is_protected_already_is_not_in_the_clear() -> None:
    assert not list(against_duties(EXEMPT, found("credit_card", Protection.HASHED), policy()))
    assert [breach.rule for breach in against_duties(EXEMPT, found("credit_card", Protection.MIXED), policy())] == [
        "PG031"
    ]


def test_tokens_of_identifiers_need_a_statute_too() -> None:
    """Encryption is no ground to keep what may not be kept; the tag says what the tokens hold."""
    breaches = against_duties(replace(OPEN, kind="kr_rrn"), found("encrypted_value", Protection.TOKEN), policy())
    assert [breach.rule for breach in breaches] == ["PG032"]


@pytest.mark.parametrize(
    ("kind", "recipient", "rules"),
    [
        ("kr_phone_mobile", None, []),
        ("person_name_ko", None, ["PG033"]),
        ("encrypted_value", None, []),
        ("kr_phone_mobile", "parcels", []),
        ("email", "parcels", ["PG034"]),
        ("email", "cloud", []),
        ("person_name_ko", "cloud", ["PG033", "PG034"]),
    ],
)
def test_declarations(kind: str, recipient: str | None, rules: list[str]) -> None:
    assert [breach.rule for breach in against_declarations(OPEN, found(kind), policy(), recipient)] == rules
    assert not list(against_declarations(EXEMPT, found(kind), policy(), recipient))


def test_policy_that_says_nothing_of_items_asks_nothing() -> None:
    assert not list(against_declarations(OPEN, found("person_name_ko"), policy(collected=[])))


def test_unknown_recipient_is_a_mistake_of_the_call() -> None:
    with pytest.raises(UsageError, match='no recipient or processor "parcel"; did you mean "parcels"'):
        receiver_items(policy(), "parcel")


@pytest.mark.parametrize(
    ("kind", "mode", "tokens", "said"),
    [
        ("date_of_birth", "deterministic", 10, True),
        ("kr_bank_name", "deterministic", 10, True),
        ("date_of_birth", None, 10, False),
        ("date_of_birth", "deterministic", 0, False),
        ("kr_phone_mobile", "deterministic", 10, False),
        (None, "deterministic", 10, False),
    ],
)
def test_deterministic_tokens_of_few_values(kind: str | None, mode: str | None, tokens: int, said: bool) -> None:
    kinds = {detector.kind.id: detector.kind for detector in select()}
    breaches = list(told_apart(passwords(tokens=tokens), replace(OPEN, kind=kind, mode=mode), kinds))
    assert [breach.rule for breach in breaches] == ["PG039"] * said
