"""What is wrong with a policy that is well written: held against the law of its packs, and against itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import combinations

from pii_guard.policy.declarations import AccessRecordFloor
from pii_guard.policy.models import Policy, RetentionClass, pattern_matches
from pii_guard.policy.periods import parse_period
from pii_guard.toml_files import place_text

__all__ = ["Defect", "review"]


@dataclass(frozen=True, slots=True, order=True)
class Defect:
    """One rule that an entry of a policy breaks."""

    rule: str
    """A key of `pii_guard.check.RULES`."""
    place: str
    """The entry, as TOML writes it: `retention.inquiry`."""
    message: str
    mend: str


def review(policy: Policy) -> tuple[Defect, ...]:
    """All defects of a policy, in the order of their rules and places.

    Entries of packs are looked at where the policy uses them; nothing is repaired or guessed.
    """
    parts = (_classes, _titles, _access_records, _collections, _receivers, _identifiers, _rules)
    return tuple(sorted({defect for part in parts for defect in part(policy)}))


def _used(policy: Policy) -> dict[str, RetentionClass]:
    """The retention classes of the policy itself, and those of packs that a field rule names."""
    named = {rule.retention for rule in policy.fields}
    return {
        name: entry for name, entry in policy.retention.items() if policy.is_own("retention", name) or name in named
    }


def _classes(policy: Policy) -> Iterator[Defect]:
    for name, entry in _used(policy).items():
        place = place_text(["retention", name])
        statute = policy.retention[entry.statute] if entry.statute else None
        if not (entry.basis or (statute and statute.basis)):
            mend = 'state the law or consent that sets the period: basis = "...", or statute = "..." of a pack'
            yield Defect("PG101", place, "nothing says what its period rests on (basis)", mend)
        gone = entry.repealed or (statute.repealed if statute else None)
        if gone:
            basis = entry.basis or (statute.basis if statute else "")
            message = f"its basis ceased on {gone.isoformat()}: {basis}"
            yield Defect("PG102", place, message, "rest it on consent (a class of its own, term = maximum), or destroy")
        if statute is not None and not gone:
            yield from _held_against(place, entry, entry.statute or "", statute)


def _held_against(place: str, entry: RetentionClass, name: str, statute: RetentionClass) -> Iterator[Defect]:
    own, law = parse_period(entry.period), parse_period(statute.period)
    if statute.term in ("minimum", "floor") and not own.covers(law):
        message = f"{entry.period} is shorter than the {statute.period} of {name} ({statute.basis})"
        yield Defect("PG103", place, message, f'set period = "{statute.period}" or longer')
    if statute.term == "maximum" and not law.covers(own):
        message = f"{entry.period} is longer than the {statute.period} of {name} ({statute.basis})"
        yield Defect("PG104", place, message, f'set period = "{statute.period}" or shorter')
    if statute.separate and not entry.separate:
        message = f"is not stored apart from data in use, as {name} asks"
        yield Defect("PG105", place, message, "store it apart and set separate = true")


def _titles(policy: Policy) -> Iterator[Defect]:
    titled = [(name, entry) for name, entry in _used(policy).items() if entry.title]
    for (name, entry), (other, same) in combinations(titled, 2):
        if entry.title == same.title and entry.period != same.period:
            message = f"has the title of {place_text(['retention', name])}, and another period"
            yield Defect(
                "PG106", place_text(["retention", other]), message, "say in each title which records are meant"
            )


def _access_records(policy: Policy) -> Iterator[Defect]:
    records = policy.access_records
    broken = [
        floor
        for floor in policy.access_record_floors
        if _holds(floor, policy)
        and (records is None or not parse_period(records.period).covers(parse_period(floor.period)))
    ]
    if not broken:
        return
    longest = max(broken, key=lambda floor: parse_period(floor.period).after(date(2024, 1, 1)))
    stated = f"{records.period} is shorter than" if records else "nothing says how long they are kept, at least"
    message = f"{stated} {longest.period} ({longest.basis})"
    mend = f'set period = "{longest.period}" or longer{"" if records else " in a table [access_records]"}'
    yield Defect("PG107", "access_records", message, mend)


def _holds(floor: AccessRecordFloor, policy: Policy) -> bool:
    """Whether one of the conditions of a floor holds; one without conditions always does."""
    records = policy.access_records
    if not (floor.data_subjects or floor.kinds or floor.telecom_operator):
        return True
    many = (
        records is not None and floor.data_subjects is not None and (records.data_subjects or 0) >= floor.data_subjects
    )
    telecom = records is not None and floor.telecom_operator and records.telecom_operator
    return many or telecom or bool(set(floor.kinds) & _kinds(policy))


def _kinds(policy: Policy) -> set[str]:
    """The kinds that the policy says are kept."""
    collected = {kind for item in _collected(policy) for kind in policy.items[item].kinds}
    return collected | {rule.kind for rule in policy.fields if rule.kind}


def _collected(policy: Policy) -> set[str]:
    return {item for entry in policy.collected for item in (*entry.required, *entry.optional)}


def _collections(policy: Policy) -> Iterator[Defect]:
    if not policy.collected:
        return
    for name in policy.purposes:
        if policy.is_own("purposes", name) and all(entry.purpose != name for entry in policy.collected):
            mend = "add a table [[collected]] with the items that it needs, or take the purpose out"
            yield Defect("PG108", place_text(["purposes", name]), "no items are collected for it", mend)


def _receivers(policy: Policy) -> Iterator[Defect]:
    known = _collected(policy)
    for table, receivers in (("recipients", policy.recipients), ("processors", policy.processors)):
        for name, entry in receivers.items():
            strange = sorted(set(entry.items) - known) if policy.collected else []
            if strange:
                message = f"is given items that are not among those collected: {', '.join(strange)}"
                mend = "say in [[collected]] for which purpose they are collected, or give them to nobody"
                yield Defect("PG109", place_text([table, name]), message, mend)
    for name, recipient in policy.recipients.items():
        place = place_text(["recipients", name])
        missing = [member for member in ("purpose", "period", "basis") if getattr(recipient, member) is None]
        missing += [] if recipient.items else ["items"]
        if missing:
            message = f"does not say its {', '.join(missing)}"
            yield Defect(
                "PG110", place, message, "a consent names recipient, purpose, items and period; so does the policy"
            )
        if any(recipient.name == processor.name for processor in policy.processors.values()):
            message = "is a processor too: what is handled on your behalf is not given to a third party"
            yield Defect("PG111", place, message, "keep it in one of the two, by who decides what the data is used for")


def _identifiers(policy: Policy) -> Iterator[Defect]:
    """Identifiers that a statute has to name, collected for a purpose that names none."""
    for duty in policy.duties.values():
        if duty.demand != "statute":
            continue
        for entry in policy.collected:
            items = [
                item for item in (*entry.required, *entry.optional) if set(policy.items[item].kinds) & set(duty.kinds)
            ]
            if items and policy.purposes[entry.purpose].basis is None:
                place = place_text(["purposes", entry.purpose])
                message = (
                    f"{', '.join(sorted(items))} may be kept only where a law says so ({duty.basis}); it names none"
                )
                yield Defect("PG112", place, message, "name the act and article in basis, or stop collecting them")


def _rules(policy: Policy) -> Iterator[Defect]:
    """Rules that never decide, because earlier ones match all that they match."""
    before: list[str] = []
    for index, rule in enumerate(policy.fields):
        if all(any(_covers(other, pattern) for other in before) for pattern in rule.match):
            message = "never decides: earlier rules match all that it matches"
            yield Defect("PG113", f"fields[{index}]", message, "put it before them, join them, or take it out")
        before += rule.match


def _covers(wide: str, narrow: str) -> bool:
    """Whether the pattern `wide` matches whatever `narrow` does: held against texts that only a `*` of its own fits."""
    filled = (narrow.replace("?", "\0").replace("*", "\0" * length) for length in (0, len(wide) + 1))
    return all(pattern_matches(wide, text) for text in filled)
