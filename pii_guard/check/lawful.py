"""What the duties and declarations of a policy ask of a field, beyond encryption, purposes and retention classes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pii_guard.engine.protection import is_digest
from pii_guard.engine.verdict import ENCRYPTED
from pii_guard.errors import UsageError, did_you_mean
from pii_guard.model import Kind, Protection, Tag
from pii_guard.planning import FEW
from pii_guard.reports import FieldReport, Finding

if TYPE_CHECKING:
    from pii_guard.policy import Policy
    from pii_guard.policy.declarations import Duty

__all__ = [
    "Breach",
    "against_declarations",
    "against_duties",
    "contradicted",
    "holds_passwords",
    "one_way",
    "receiver_items",
    "told_apart",
]

PASSWORD = "password"  # noqa: S105 - the id of a kind


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that a field breaks: what was found, how to mend it, and the kinds that it is about, sorted."""

    rule: str
    message: str
    mend: str
    kinds: tuple[str, ...]


def holds_passwords(tag: Tag, found: Iterable[Finding]) -> bool:
    """Whether a field is declared, or judged by its findings, to hold passwords."""
    return tag.kind == PASSWORD or any(finding.kind == PASSWORD for finding in found)


def one_way(field: FieldReport, tag: Tag, policy: Policy | None) -> Iterator[Breach]:
    """PG030 for a field of passwords that can be got back, or tried by the billion.

    A reason to leave it so counts only where no duty of the policy says otherwise.
    """
    bound = policy is not None and any(_concerns(duty, PASSWORD) for duty in _duties(policy, "one_way"))
    if tag.exempt and not bound:
        return
    tally = field.tally
    digests = sum(count for state, count in tally.protected.items() if is_digest(state))
    two_way = tally.tokens + tally.states.get(Protection.ENCRYPTED, 0)
    counts = ((tally.plain, "in the clear"), (two_way, "encrypted and so got back"), (digests, "unsalted digests"))
    words = [f"{count} {what}" for count, what in counts if count]
    if words:
        message = f"passwords that can be learnt: {', '.join(words)}, of {tally.examined} values"
        mend = "store hashes made for passwords (Argon2id) in their place, and have the passwords changed"
        yield Breach("PG030", message, mend, (PASSWORD,))


def against_duties(tag: Tag, found: Iterable[Finding], policy: Policy) -> Iterator[Breach]:
    """PG031 where a field is left in the clear against a duty, PG032 where no law is named that has to be."""
    kinds = {finding.kind: finding.protection for finding in found}
    plain = {kind for kind, state in kinds.items() if state in (Protection.PLAIN, Protection.MIXED)}
    if tag.exempt:
        for duty in _duties(policy, "encrypt"):
            concerned = tuple(sorted(kind for kind in plain if _concerns(duty, kind)))
            if concerned and duty.place in (None, policy.place):
                message = f"{', '.join(concerned)} in the clear by a rule, which {duty.basis} does not allow"
                yield Breach("PG031", message, 'take protection = "none" out of its rule and protect it', concerned)
                break
    for duty in _duties(policy, "statute"):
        concerned = tuple(sorted(kind for kind in {*kinds, tag.kind} if kind is not None and kind in duty.kinds))
        if concerned and not any(policy.purposes[name].basis for name in tag.purposes if name in policy.purposes):
            message = (
                f"{', '.join(concerned)} may be kept only where a law says so ({duty.basis}); its purposes name none"
            )
            yield Breach(
                "PG032", message, "name act and article as `basis` of a purpose, or destroy the values", concerned
            )


def against_declarations(
    tag: Tag, found: Iterable[Finding], policy: Policy, recipient: str | None = None
) -> Iterator[Breach]:
    """PG033 for kinds that the policy does not collect, PG034 for kinds that `recipient` may not be given."""
    if tag.exempt:
        return
    kinds = sorted({finding.kind for finding in found} - {ENCRYPTED})
    collected = [item for entry in policy.collected for item in (*entry.required, *entry.optional)]
    outside = _missing(kinds, collected, policy) if collected else ()
    if outside:
        message = f"{', '.join(outside)} among no items that the policy says are collected"
        yield Breach("PG033", message, "add the kind to an item and the item to [[collected]], or destroy it", outside)
    if recipient is None:
        return
    withheld = _missing(kinds, receiver_items(policy, recipient), policy)
    if withheld:
        name = json.dumps(recipient, ensure_ascii=False)
        message = f"{', '.join(withheld)} among no items that {name} may be given"
        yield Breach("PG034", message, f"leave the field out of what {name} gets, or name its item there", withheld)


def contradicted(tag: Tag, found: Sequence[Finding]) -> Iterator[Breach]:
    """PG040 where a kind is stated for a field, and its values are of others."""
    kinds = tuple(sorted({finding.kind for finding in found} - {ENCRYPTED}))
    if tag.kind is not None and kinds and tag.kind not in kinds:
        message = f"is stated to hold {tag.kind}, and holds {', '.join(kinds)}"
        yield Breach("PG040", message, "correct the kind in its tag or rule, or the values", kinds)


def told_apart(field: FieldReport, tag: Tag, kinds: Mapping[str, Kind]) -> Iterator[Breach]:
    """PG039 for deterministic tokens of so few possible values that they are read off by counting them."""
    domain = kinds[tag.kind].domain if tag.kind is not None and tag.kind in kinds else None
    if field.tally.tokens and tag.mode == "deterministic" and domain is not None and domain < FEW:
        message = (
            f"deterministic tokens of {tag.kind}, which has at most {domain:,} different values: counting tells them"
        )
        mend = "reveal the field and protect it again randomized (without mode in its rule)"
        yield Breach("PG039", message, mend, (tag.kind,) if tag.kind else ())


def receiver_items(policy: Policy, recipient: str) -> tuple[str, ...]:
    """The items of a recipient or processor. Raises UsageError where the policy has none of that name."""
    receivers = {**policy.processors, **policy.recipients}
    if recipient not in receivers:
        known = did_you_mean(recipient, receivers) or "; `pii-guard policy render` shows those that it has"
        raise UsageError(f"the policy has no recipient or processor {json.dumps(recipient, ensure_ascii=False)}{known}")
    return receivers[recipient].items


def _missing(kinds: Iterable[str], items: Iterable[str], policy: Policy) -> tuple[str, ...]:
    covered = {kind for item in items for kind in policy.items[item].kinds}
    return tuple(kind for kind in kinds if kind not in covered)


def _duties(policy: Policy, demand: str) -> Iterator[Duty]:
    return (duty for duty in policy.duties.values() if duty.demand == demand)


def _concerns(duty: Duty, kind: str) -> bool:
    return not duty.kinds or kind in duty.kinds
