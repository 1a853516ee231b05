"""The kinds that a policy defines, held to the examples that it gives for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pii_guard.engine.detection import Detector, locate
from pii_guard.engine.text import Text
from pii_guard.policy.models import Policy

__all__ = ["failed_examples"]


def failed_examples(policy: Policy, detectors: Sequence[Detector]) -> tuple[str, ...]:
    """A line for each example in which no value of its kind is found, each counterexample in which one is, and each
    kind that has none of either. `detectors` are those of a scan under the policy. No line repeats an example."""
    problems = []
    for name, kind in policy.kinds.items():
        if not kind.examples or not kind.counterexamples:
            problems.append(f"kinds.{name}: give at least one of examples and one of counterexamples")
        held = enumerate(_found(name, kind.examples, detectors), 1)
        problems += [f"kinds.{name}.examples: number {place} holds no {name}" for place, has in held if not has]
        held = enumerate(_found(name, kind.counterexamples, detectors), 1)
        problems += [f"kinds.{name}.counterexamples: number {place} holds a {name}" for place, has in held if has]
    return tuple(problems)


def _found(kind: str, texts: Sequence[str], detectors: Sequence[Detector]) -> list[bool]:
    """For each text, whether it holds a value of `kind`."""
    text = Text.of(pa.array(texts, pa.large_string()))
    found = np.zeros(len(texts), np.bool_)
    for detector, hits in locate(text, detectors):
        if detector.kind.id == kind:
            found[hits.row] = True
    return [bool(has) for has in found]
