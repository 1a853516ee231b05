"""The rules of `pii-guard check`: one table, one entry a rule. An id is a promise: stable, never reused."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["RULES", "Rule", "describe"]

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
            what="A field holds personal data in the clear, or is declared as encrypted and is not.",
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
            "PG006",
            "unsalted-digest",
            what="A field holds digests without a secret of values that can be guessed, such as phone numbers.",
            why="All such values can be tried in seconds, so the digest hides none of them.",
            mend="Encrypt the values; to compare them without reading them, use a keyed hash.",
            basis="PIPA Art. 29; Standard Art. 7",
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
        Rule(
            "PG030",
            "one-way-required",
            what="A field holds passwords in the clear, encrypted so that they can be got back, or as digests that are "
            "quick to compute.",
            why="Nobody, not even who runs the service, may learn a password: people use the same one elsewhere.",
            mend='Store a hash made for passwords (Argon2id): protection = "password" in the rule of the field.',
            basis="PIPA Art. 29; Decree Art. 30(1); Standard Art. 7(1)",
        ),
        Rule(
            "PG031",
            "encryption-required-by-law",
            what="A rule leaves a field in the clear whose kind a duty of the policy wants encrypted.",
            why="A reason of one's own is no exception from a law.",
            mend='Take protection = "none" out of the rule and protect the field.',
            basis="PIPA Art. 24(3), Art. 24-2(2); Standard Art. 7(2), 7(5)",
        ),
        Rule(
            "PG032",
            "statute-required",
            what="A field holds identifiers that may be kept only where a statute names them, and neither its purposes "
            "nor its retention class name one.",
            why="For resident registration numbers not even consent is enough.",
            mend="Name act and article as `basis` of the purpose or retention class, or destroy the values.",
            basis="PIPA Art. 24(1), Art. 24-2(1); Decree Art. 19",
        ),
        Rule(
            "PG033",
            "kind-outside-policy",
            what="A field holds personal data of a kind that is in none of the items that the policy collects.",
            why="People were told, or agreed to, the items in the policy and no others.",
            mend="Add the kind to an item and the item to [[collected]], or stop keeping the values.",
            basis="PIPA Art. 15(2), Art. 16(1), Art. 30(1)",
        ),
        Rule(
            "PG034",
            "not-for-this-recipient",
            what="A field holds personal data of a kind that the recipient (`--recipient`) may not be given.",
            why="Third parties and processors get the items that the policy names for them, and no others.",
            mend="Leave the field out of what the recipient gets, or name its item for the recipient in the policy.",
            basis="PIPA Art. 17(1), 17(2), Art. 26",
        ),
        Rule(
            "PG035",
            "past-retention",
            what="Rows of a table are older than the period of their retention class allows.",
            why="Personal data is destroyed without delay when its period is over; what laws keep is stored apart.",
            mend="Destroy the rows, or move them to where data kept by law is stored apart.",
            basis="PIPA Art. 21(1), 21(3); Decree Art. 16",
        ),
        Rule(
            "PG036",
            "declared-not-found",
            what="A tag names a field that its table does not have any more.",
            why="A tag of nothing hides that the field was renamed, and that the new name has no tag.",
            mend="Take the tag out of pii-guard.tags.toml, or give it to the field's new name.",
        ),
        Rule(
            "PG037",
            "idle-field-rule",
            what="A rule of the policy matches no field of what was checked.",
            why="It is misspelt, out of date, or hidden by an earlier rule.",
            mend="Correct its pattern, or take it out of the policy.",
        ),
        Rule(
            "PG038",
            "period-unknown",
            what="A retention class starts in a column that the table does not have, or in which values say no day; or "
            "the rows of a pipe or an archive cannot be counted.",
            why="Nobody knows when the period of these rows ends.",
            mend="Correct `period_from` in the policy, or the values; unpack archives.",
            basis="PIPA Art. 21(1)",
        ),
        Rule(
            "PG039",
            "few-values-deterministic",
            what="A field holds deterministic tokens of a kind that has few possible values.",
            why="Equal values have equal tokens there, so counting them tells which is which.",
            mend="Encrypt it randomized, and use a blind index where it has to be searched.",
            basis="Standard Art. 7",
        ),
        Rule(
            "PG040",
            "kind-contradicted",
            what="A tag or rule states the kind of a field, and its values are of another.",
            why="Purposes, periods and who may have it were decided for other data.",
            mend="Correct the kind in the tag or the rule, or the values.",
            basis="PIPA Art. 3(1)",
        ),
        Rule(
            "PG041",
            "untagged-column",
            what="A migration, a model or a dbt file declares a column that by its name or comment holds personal "
            "data, and nothing says why it is kept or how long.",
            why="What nobody has decided before the first row is stored is seldom decided afterwards.",
            mend="Add a rule with `purposes` and `retention` for the field to the policy; or, if the column holds no "
            "such data, a suppression with a reason and a last day.",
            basis="PIPA Art. 3(1), Art. 15(1), Art. 21(1)",
        ),
        Rule(
            "PG043",
            "column-cannot-hold-token",
            what="A column is to be encrypted, and its type cannot hold a token: it is no text, or too narrow.",
            why="The encryption would fail at the first row, or values would be cut off and lost.",
            mend="Make the column text, or wide enough: 80 characters for values of up to 16 bytes, 100 for up to 31, "
            "and so on.",
            basis="PIPA Art. 29; Standard Art. 7",
        ),
        Rule(
            "PG051",
            "expired-baseline-entry",
            what="An entry of the baseline accepts a violation, but its last day is past.",
            why="It was accepted until that day; the violation counts again.",
            mend="Mend the violation; or, if the reason of the entry still holds, set a later day.",
        ),
        Rule(
            "PG052",
            "unused-baseline-entry",
            what="An entry of the baseline accepts a violation that is there no more.",
            why="What accepts nothing now would hide the same mistake later.",
            mend="Take the entry out, or write the baseline again with `--write-baseline`.",
        ),
        Rule(
            "PG060",
            "foreign-token",
            what="A field holds tokens that were made for another field (with --keys or --markers).",
            why="They open for the purposes of the other field, or not at all; somebody has moved them.",
            mend="Put the values back from their source and run `pii-guard protect`.",
            basis="Standard Art. 7",
        ),
        Rule(
            "PG061",
            "lost-key",
            what="A field holds tokens of a destroyed key, or of one that is in no key directory given.",
            why="Nobody can read them; what is kept without use should be destroyed, and what is needed is lost.",
            mend="Delete the values, or check with the key directory that their keys are in.",
            basis="PIPA Art. 21(1)",
        ),
        Rule(
            "PG062",
            "false-token",
            what="A field holds values that look like tokens and are none: changed, cut off, or encoded text.",
            why="They pass for encrypted and are not, or can never be opened again.",
            mend="Put the values back from their source and run `pii-guard protect`.",
            basis="PIPA Art. 29; Standard Art. 7",
        ),
        Rule(
            "PG101",
            "class-without-basis",
            what="A retention class does not say what its period rests on.",
            why="Without a law or a consent behind it nobody can tell whether the period is right.",
            mend="State its `basis`, or the `statute` of a pack that it follows.",
            basis="PIPA Art. 15(2), Art. 21(1), Art. 30(1)",
        ),
        Rule(
            "PG102",
            "basis-ceased",
            what="The law behind a retention class is not in force any more.",
            why="What only a repealed law kept has to be destroyed.",
            mend="Rest it on consent, or destroy the data.",
            basis="PIPA Art. 21(1)",
        ),
        Rule(
            "PG103",
            "below-statutory-minimum",
            what="A retention class ends before the law that it follows allows.",
            why="The law wants the records kept at least so long.",
            mend="Set the period of the statute.",
            basis="PIPA Art. 21(1), proviso",
        ),
        Rule(
            "PG104",
            "above-maximum",
            what="A retention class lasts longer than the class that it follows allows.",
            why="Beyond the agreed period there is no ground to keep the data.",
            mend="Set the period of the class that it follows.",
            basis="PIPA Art. 21(1)",
        ),
        Rule(
            "PG105",
            "not-stored-apart",
            what="A retention class that a law keeps is not stored apart from data in use.",
            why="What is kept only because a law says so must not be used for anything else.",
            mend="Store it apart, and say so: separate = true.",
            basis="PIPA Art. 21(3)",
        ),
        Rule(
            "PG106",
            "ambiguous-class",
            what="Two retention classes have one title and different periods.",
            why="Nobody can tell which of the two a record belongs to.",
            mend="Say in each title which records are meant.",
        ),
        Rule(
            "PG107",
            "access-records-too-short",
            what="Access records are kept for less time than the floor asks, or for no stated time.",
            why="Who opened what has to be seen when a leak shows, which is often late.",
            mend="Set `period` of [access_records] to the floor or longer.",
            basis="PIPA Art. 29; Decree Art. 30(1); Standard Art. 8(1)",
        ),
        Rule(
            "PG108",
            "purpose-without-items",
            what="A purpose has no items that are collected for it.",
            why="A purpose that needs no data is none, or its items are missing from what people are told.",
            mend="Add a [[collected]] for it, or take it out.",
            basis="PIPA Art. 16(1), Art. 30(1)",
        ),
        Rule(
            "PG109",
            "uncollected-items-given",
            what="A recipient or processor is given items that are not among those collected.",
            why="What is not collected cannot be given: one of the two lists is wrong.",
            mend="Correct the items of the receiver, or [[collected]].",
            basis="PIPA Art. 17(2), Art. 26, Art. 30(1)",
        ),
        Rule(
            "PG110",
            "incomplete-recipient",
            what="A recipient has no stated purpose, period, basis or items.",
            why="People agree to a recipient, its purpose, the items and the period.",
            mend="State what is missing.",
            basis="PIPA Art. 17(2)",
        ),
        Rule(
            "PG111",
            "recipient-and-processor",
            what="One name is both a third party and a processor.",
            why="The two have different duties; a host of data is usually a processor.",
            mend="Keep it in one of the two.",
            basis="PIPA Art. 17, Art. 26",
        ),
        Rule(
            "PG112",
            "identifier-without-statute",
            what="Identifiers that a statute has to name are collected for a purpose that names none.",
            why="For resident registration numbers not even consent is enough.",
            mend="Name act and article as the `basis` of the purpose, or stop collecting them.",
            basis="PIPA Art. 24(1), Art. 24-2(1)",
        ),
        Rule(
            "PG113",
            "hidden-rule",
            what="A field rule never decides, because earlier ones match all that it matches.",
            why="What it says looks as if it held, and does not.",
            mend="Put it before them, join them, or take it out.",
        ),
    )
}
"""Rule id -> rule, in the order of the ids."""


def describe(rule: Rule) -> str:
    """What `rule` asks for, why, how to mend what breaks it, and the law behind it, as text of 100 columns."""
    parts = {"What": rule.what, "Why": rule.why, "Mend": rule.mend, "Legal basis": rule.basis or "none; good practice"}
    lines = [
        line
        for head, text in parts.items()
        for line in textwrap.wrap(f"{head}: {text}", 100, subsequent_indent="  ", break_on_hyphens=False)
    ]
    return "\n".join([f"{rule.id}: {rule.name}", "", *lines, ""])
