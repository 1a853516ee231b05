"""The rules of `pii-guard check`: one table, one entry a rule. An id is a promise: stable, never reused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["RULES", "Rule"]

# "PIPA" is the Personal Information Protection Act of Korea, "Decree" its Enforcement Decree, "Standard" the Personal
# Information Protection Commission's Standard of Measures to Ensure the Safety of Personal Information.


@dataclass(frozen=True, slots=True)
class Rule:
    """What a rule asks for, why, how to mend a field that breaks it, and the law behind it."""

    id: str
    name: str
    what: str
    why: str
    mend: str
    basis: str | None = None


RULES: Mapping[str, Rule] = {
    rule.id: rule
    for rule in (
        Rule(
            "PG001",
            "unencrypted-personal-data",
            what="A field holds personal data in the clear, or is declared as encrypted and is not. "
            "Unsalted digests of values that can be guessed are a warning.",
            why="A copy, a backup or a leak of the data gives the values to anyone.",
            mend='Encrypt the field with `pii-guard protect`, or state protection = "none" and a reason in its rule.',
            basis="PIPA Art. 24-2(2), Art. 29; Decree Art. 21-2, Art. 30(1); Standard Art. 7",
        ),
        Rule(
            "PG002",
            "no-purpose",
            what="A field holds personal data and nothing says why it is kept.",
            why="Personal data may be kept only for a stated purpose; without one nobody can say who may open it.",
            mend="Add a rule with `purposes` for the field to the policy.",
            basis="PIPA Art. 3(1), Art. 15(1)",
        ),
        Rule(
            "PG003",
            "no-retention-class",
            what="A field holds personal data and nothing says how long it is kept.",
            why="Personal data must be destroyed without delay when its period ends; without a period it never is.",
            mend="Add a rule with `retention` for the field to the policy.",
            basis="PIPA Art. 21(1); Decree Art. 16",
        ),
        Rule(
            "PG004",
            "unknown-purpose",
            what="The tag of a field names a purpose that the policy does not declare.",
            why="A use beyond the declared purposes needs a consent or a law of its own.",
            mend="Declare the purpose in the policy, or correct the tag.",
            basis="PIPA Art. 3(2), Art. 18(1)",
        ),
        Rule(
            "PG005",
            "unknown-retention-class",
            what="The tag of a field names a retention class that the policy does not declare.",
            why="A class without a period cannot end, so the data is never destroyed.",
            mend="Declare the class in the policy, or correct the tag.",
            basis="PIPA Art. 21(1); Decree Art. 16",
        ),
        Rule(
            "PG010",
            "not-examined",
            what="Something was tried and could not be read, so nothing is known about it.",
            why="A check says `clean` only of what was read.",
            mend="Make it readable, or take it out of the targets, and check again.",
        ),
        Rule(
            "PG011",
            "expired-suppression",
            what="A suppression of the policy covers a finding, but its last day is past.",
            why="The reason for it was given until that day; the finding counts again.",
            mend="See whether the reason still holds; then set a later day, or take the suppression out.",
        ),
        Rule(
            "PG012",
            "unused-suppression",
            what="A suppression of the policy matches a field that was checked, and no finding in it.",
            why="What suppresses nothing now may hide something later.",
            mend="Correct its pattern, or take it out of the policy.",
        ),
        Rule(
            "PG013",
            "idle-allow-comment",
            what="A comment in a line allows nothing: no reason, an unknown kind, or nothing of the kind in the line.",
            why="It promises an exception that is none.",
            mend="Give it a kind that its line holds and a reason, or take it out.",
        ),
    )
}
"""Rule id -> rule, in the order of the ids."""
