"""The verdict on a field: what its counts, its name and its look-alikes say together, with the reasons in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pii_guard.engine.detection import Detector
from pii_guard.engine.headers import names_kind
from pii_guard.model import Confidence, FieldTally, Finding, KindTally, Protection

__all__ = ["ENCRYPTED", "findings"]

ENCRYPTED = "encrypted_value"
"""The kind of a field whose values look encrypted: what they were is for its tag to say."""

FEW = 5
"""Below this many values a share says little: a column is then judged by its hits alone."""
COLUMN = 0.25
"""From this share of values on, numbers of one shape are what the column is about, not chance finds in texts."""
LOOKALIKE = 0.3
"""At or below this pass rate the numbers of a column pass their check digit by chance (random numbers: 0.1-0.13)."""
PASS = 0.5
"""At or above this pass rate they are real. Resident numbers given out since 2020-10-05 have no check digit."""


def findings(
    name: str, tally: FieldTally, detectors: Sequence[Detector], protection: Protection
) -> tuple[Finding, ...]:
    """Findings of one field, surest first. `name` is the field's own name, the last part of its path."""
    found = []
    for detector in detectors:
        counted = tally.kinds.get(detector.kind.id)
        if counted is None:
            continue
        hinted = names_kind(name, detector.headers, detector.column.unless)
        verdict = _verdict(detector, counted, tally.examined - tally.tokens, hinted)
        if verdict is not None:
            confidence, hits, evidence = verdict
            found.append(
                Finding(
                    kind=detector.kind.id,
                    confidence=confidence,
                    personal=detector.kind.personal,
                    examined=tally.examined,
                    hits=hits,
                    protection=protection,
                    samples=counted.samples,
                    evidence=evidence,
                )
            )
    if tally.tokens:
        words = f"{_of(tally.tokens, tally.examined)} values have the form of a pii-guard token; only a key proves it"
        found.append(
            Finding(ENCRYPTED, Confidence.LIKELY, True, tally.examined, tally.tokens, protection, evidence=(words,))
        )
    return tuple(_settle(found, tally.kinds))


def _verdict(
    detector: Detector, counted: KindTally, examined: int, hinted: bool
) -> tuple[Confidence, int, tuple[str, ...]] | None:
    title, rule = _with_article(detector.kind.title), detector.column
    evidence: list[str] = []
    level = _best(counted)
    hits = counted.hits
    rate = counted.checked / counted.shaped if counted.shaped else 0.0
    if hinted and counted.shaped and counted.shaped >= rule.hinted * examined:
        level = max(level or Confidence.LIKELY, Confidence.LIKELY)
        hits = counted.shaped
        evidence += [f"{_of(hits, examined)} values have the shape of {title}", "the name of the field says so"]
    elif rule.unhinted is not None and examined >= FEW and counted.whole >= rule.unhinted * examined:
        level = max(level or Confidence.LIKELY, Confidence.LIKELY)
        evidence.append(f"{_of(counted.whole, examined)} values are {title} and nothing else")
    elif not rule.sparse:
        level = None
    elif level is not None:
        evidence.append(f"{_of(hits, examined)} values hold {title}")
    if rule.check is not None and counted.shaped and level is not None:
        evidence.append(f"the check digit holds for {_of(counted.checked, counted.shaped)} of that shape")
        in_column = counted.shaped >= COLUMN * examined or not counted.certain
        if rate <= LOOKALIKE and counted.shaped >= 2 * FEW and in_column:
            level = min(level, Confidence.LIKELY if hinted else Confidence.POSSIBLE)
            evidence.append("so few pass by chance" if hinted else "so few pass that they look like other numbers")
        elif rate >= max(rule.check, PASS) and counted.shaped >= FEW and counted.whole >= 0.8 * examined:
            level = Confidence.CERTAIN
    if counted.named:
        level = max(level or Confidence.LIKELY, Confidence.LIKELY)
        hits = max(hits, 1)
        evidence.append(f"the name of the field itself is {title}")
    return None if level is None else (level, hits, tuple(evidence))


def _best(counted: KindTally) -> Confidence | None:
    for level in reversed(Confidence):
        if getattr(counted, str(level)):
            return level
    return None


def _settle(found: list[Finding], kinds: Mapping[str, KindTally]) -> list[Finding]:
    """Surest and most frequent first; what is merely possible beside a sure kind of the whole column goes."""
    found.sort(key=lambda finding: (-finding.confidence, -finding.hits, finding.kind))
    if found and found[0].confidence >= Confidence.LIKELY and found[0].kind in kinds:
        leading = kinds[found[0].kind]
        if leading.whole >= 0.8 * max(found[0].examined, 1):
            found[1:] = [finding for finding in found[1:] if finding.confidence > Confidence.POSSIBLE]
    return found


def _with_article(title: str) -> str:
    return f"{'an' if title[0].lower() in 'aeiou' else 'a'} {title}"


def _of(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,}"
