"""The verdict on a field: what its counts, its name and its look-alikes say together, with the reasons in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pii_guard.engine.detection import Detector
from pii_guard.engine.headers import names_kind
from pii_guard.engine.protection import GUESSABLE, MASKED, STATES, is_digest, is_hash
from pii_guard.model import Confidence, Protection, TokenState
from pii_guard.reports import Finding
from pii_guard.tallies import FieldTally, KindTally

__all__ = ["ENCRYPTED", "MASKED_VALUE", "findings"]

ENCRYPTED = "encrypted_value"
"""The kind of a field whose values look encrypted: what they were is for its tag to say."""
MASKED_VALUE = "masked_value"
"""The kind of a field whose values are masked: not personal in that form, but worth knowing."""

FEW = 5
"""Below this many values a share says little: a column is then judged by its hits alone."""
COLUMN = 0.25
"""From this share of values on, numbers of one shape are what the column is about, not chance finds in texts."""
LOOKALIKE = 0.3
"""At or below this pass rate the numbers of a column pass their check digit by chance (random numbers: 0.1-0.13)."""
PASS = 0.5
"""At or above this pass rate they are real. Resident numbers given out since 2020-10-05 have no check digit."""
HALF = 0.5
"""From this share on, masked values are what a column consists of."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """One way to read a column."""

    finding: Finding
    counted: KindTally
    hinted: bool
    """Whether the header supports it."""


def findings(
    name: str, tally: FieldTally, detectors: Sequence[Detector], protection: Protection, *, comment: str = ""
) -> tuple[Finding, ...]:
    """Findings of one field, surest first. `name` is the field's own name, the last part of its path; `comment` what
    else its source calls it, which counts as much."""
    readings = []
    called = {"name": name, "comment": comment} if comment else {"name": name}
    named = {
        detector.kind.id: saying
        for detector in detectors
        if detector.kind.id in tally.kinds
        and (saying := _saying(called, detector.headers, detector.column.unless)) is not None
    }
    guessable = named.keys() & GUESSABLE
    digested = next((detector.kind.id for detector in detectors if detector.kind.id in guessable), None)
    for detector in detectors:
        kind = detector.kind.id
        counted = tally.kinds.get(kind)
        if counted is None:
            continue
        verdict = _verdict(detector, counted, tally.plain, named.get(kind), called)
        state = Protection.HASHED if verdict is None else protection  # with nothing plain, hashes are all there is
        if detector.column.hashes:
            verdict = _with_hashes(verdict, tally, named.get(kind))
        elif kind == digested:
            verdict = _with_digests(verdict, tally, detector, named[kind])
        if verdict is not None:
            confidence, hits, evidence = verdict
            found = Finding(
                kind=kind,
                confidence=confidence,
                personal=detector.kind.personal,
                examined=tally.examined,
                hits=hits,
                protection=state,
                samples=counted.samples,
                evidence=(*evidence, *_also(tally)),
                lines=counted.lines,
            )
            readings.append(_Reading(found, counted, kind in named))
    settled = _settle(_supported(readings, tally.plain))
    return tuple(sorted((*settled, *_protected(tally, protection, bool(named))), key=_order))


_Verdict = tuple[Confidence, int, tuple[str, ...]]


def _saying(called: Mapping[str, str], hints: frozenset[str], unless: frozenset[str]) -> str | None:
    """What of the field names the kind: its name, else the comment on it."""
    return next((what for what, text in called.items() if names_kind(text, hints, unless)), None)


def _verdict(
    detector: Detector, counted: KindTally, plain: int, hinted: str | None, called: Mapping[str, str]
) -> _Verdict | None:
    title, rule = _with_article(detector.kind.title), detector.column
    evidence: list[str] = []
    level = _best(counted)
    hits = counted.hits
    rate = counted.checked / counted.shaped if counted.shaped else 0.0
    enough = counted.shaped >= rule.hinted * plain and counted.hits >= rule.sure * plain
    if hinted and counted.shaped and enough:
        level = max(level or Confidence.LIKELY, Confidence.LIKELY)
        hits = counted.shaped
        shape = "have the shape of" if rule.sparse or rule.unhinted is not None else "may be"
        evidence += [f"{_of(hits, plain)} values {shape} {title}", f"the {hinted} of the field says so"]
    elif plain and rule.alone and (saying := _saying(called, rule.alone, rule.unless)):
        level, hits = Confidence.LIKELY, plain
        evidence.append(f"the {saying} of the field says that it holds {title}; no shape of the values is needed")
    elif rule.unhinted is not None and plain >= FEW and counted.whole >= rule.unhinted * plain:
        level = max(level or Confidence.LIKELY, Confidence.LIKELY)
        evidence.append(f"{_of(counted.whole, plain)} values are {title} and nothing else")
    elif not rule.sparse and (level or Confidence.POSSIBLE) < Confidence.LIKELY:
        level = None
    elif level is not None:
        evidence.append(f"{_of(hits, plain)} values hold {title}")
        if 0 < (surest := getattr(counted, str(level))) < hits:
            evidence.append(f"{surest:,} of them {'is' if surest == 1 else 'are'} {level}")
    if rule.check is not None and counted.shaped and level is not None:
        evidence.append(f"the check digit holds for {_of(counted.checked, counted.shaped)} of that shape")
        alone = counted.whole >= 0.8 * counted.hits  # numbers that fill their cells are no chance finds in texts
        in_column = counted.shaped >= COLUMN * plain or not counted.certain or alone
        if rate <= LOOKALIKE and counted.shaped >= 2 * FEW and in_column:
            spared = hinted and rule.check <= PASS  # some of the kind have no check digit
            level = min(level, Confidence.LIKELY if spared else Confidence.POSSIBLE)
            evidence.append("no more than chance" if spared else "no more than chance: they look like other numbers")
        elif rate >= max(rule.check, PASS) and counted.shaped >= FEW and counted.whole >= 0.8 * plain:
            level = Confidence.CERTAIN
    if counted.named:
        floor = Confidence.LIKELY if rule.sparse else Confidence.POSSIBLE  # 부서명 reads like a name
        level = max(level or floor, floor)
        hits = max(hits, 1)
        evidence.append(f"the name of the field itself is {title}")
    return None if level is None else (level, hits, tuple(evidence))


def _best(counted: KindTally) -> Confidence | None:
    for level in reversed(Confidence):
        if getattr(counted, str(level)):
            return level
    return None


def _with_hashes(verdict: _Verdict | None, tally: FieldTally, hinted: str | None) -> _Verdict | None:
    """The verdict on passwords, hashed ones included: a hash with a salt is one anywhere, a digest by the header."""
    hashed = sum(count for state, count in tally.protected.items() if is_hash(state) or (hinted and is_digest(state)))
    says = (f"the {hinted} of the field says so",) if hinted else ()
    if verdict is not None:
        return verdict[0], verdict[1], (f"{_of(verdict[1], tally.examined)} values are not hashed", *says)
    return (Confidence.LIKELY, hashed, says) if hashed else None


def _with_digests(verdict: _Verdict | None, tally: FieldTally, detector: Detector, hinted: str) -> _Verdict | None:
    """The verdict on a kind of which few values exist, where some are bare digests under its header."""
    digests = sum(count for state, count in tally.protected.items() if is_digest(state))
    if not digests:
        return verdict
    title = _with_article(detector.kind.title)
    words = (
        f"the {hinted} of the field says that {digests:,} digests are of {title}",
        "reversible: without a secret, a digest of such a value is undone by trying all of them",
    )
    if verdict is None:
        return Confidence.LIKELY, digests, words
    confidence, hits, evidence = verdict
    return confidence, hits, (*evidence, *words)


def _also(tally: FieldTally) -> tuple[str, ...]:
    """What protects values of the field, with exact counts."""
    return (
        *(f"{_of(count, tally.examined)} values are {STATES[state]}" for state, count in tally.protected.items()),
        *((f"{_of(tally.plain, tally.examined)} values are plain",) if tally.protected and tally.plain else ()),
    )


def _protected(tally: FieldTally, protection: Protection, named: bool) -> tuple[Finding, ...]:
    """Findings on values that need no kind: ciphertext, and columns of masks."""
    found = []
    evidence = [
        f"{_of(count, tally.examined)} values are {STATES[state]}"
        for state, count in tally.protected.items()
        if state.startswith(Protection.ENCRYPTED)
    ]
    evidence += _token_words(tally)
    false = sum(tally.token_states.get(state, 0) for state in (TokenState.TEXT, TokenState.BROKEN))
    hits = tally.states.get(Protection.ENCRYPTED, 0) + tally.tokens + false
    if hits:
        found.append(
            Finding(ENCRYPTED, Confidence.LIKELY, True, tally.examined, hits, protection, evidence=tuple(evidence))
        )
    masked = tally.protected.get(MASKED, 0)
    if masked and (named or masked >= HALF * tally.examined):
        words = f"{_of(masked, tally.examined)} values are masked"
        found.append(
            Finding(MASKED_VALUE, Confidence.LIKELY, False, tally.examined, masked, protection, evidence=(words,))
        )
    return tuple(found)


TOKENS = {
    TokenState.LOOKS: "have the form of a pii-guard token; only a key proves it",
    TokenState.KNOWN: "are tokens of a known key of this field; their markers were not verified",
    TokenState.VERIFIED: "are tokens of this field whose markers verify",
    TokenState.OTHER_FIELD: "are tokens of another field:",
    TokenState.DESTROYED: "are tokens of a destroyed key, unreadable for everybody",
    TokenState.UNKNOWN_KEY: "have the form of a token of an unknown key",
    TokenState.FORGED: "have the form of a token of a known key, and its marker does not verify",
    TokenState.TEXT: "are readable text behind the head of a token: encoded, not encrypted",
    TokenState.BROKEN: "begin like a token and are none: cut off or changed",
}
UNEVEN = 0.5
"""`FieldTally.chi_square` of ciphertexts is about 0.1 for 2,048 bytes and less for more; that of text is above 3."""


def _token_words(tally: FieldTally) -> list[str]:
    words = []
    for state, count in tally.token_states.items():
        name, _, of = state.partition("/")
        words.append(f"{_of(count, tally.examined)} values {TOKENS[TokenState(name)]} {of}".rstrip())
    if tally.chi_square is not None and tally.chi_square > UNEVEN:
        words.append("the bytes of these tokens are not spread as those of ciphertext are: they may be encoded only")
    return words


def _supported(readings: list[_Reading], plain: int) -> list[_Reading]:
    """Without the readings that only misread what the header names: a phone number in a column of accounts.

    Two readings are of the same values where their counts add up to more than there are. One whose check digits hold
    throughout stands against any header.
    """
    supported = max((reading.counted.shaped for reading in readings if reading.hinted), default=0)

    def misread(reading: _Reading) -> bool:
        whole, counted = reading.counted.whole, reading.counted
        proven = counted.shaped >= max(FEW, 0.8 * plain) and counted.checked >= PASS * counted.shaped
        return not (reading.hinted or counted.named or proven) and 2 * (supported + whole - plain) > whole > 0

    return [reading for reading in readings if not misread(reading)]


def _settle(readings: list[_Reading]) -> tuple[Finding, ...]:
    """Surest and most frequent first; what is merely possible beside a sure kind of the whole column goes."""
    readings = sorted(readings, key=lambda reading: _order(reading.finding))
    if readings and readings[0].finding.confidence >= Confidence.LIKELY:
        first = readings[0]
        if first.counted.whole >= 0.8 * max(first.finding.examined, 1):
            readings[1:] = [other for other in readings[1:] if other.finding.confidence > Confidence.POSSIBLE]
    return tuple(reading.finding for reading in readings)


def _order(finding: Finding) -> tuple[int, int, str]:
    return -finding.confidence, -finding.hits, finding.kind


def _with_article(title: str) -> str:
    return f"{'an' if title[0].lower() in 'aeiou' else 'a'} {title}"


def _of(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,}"
