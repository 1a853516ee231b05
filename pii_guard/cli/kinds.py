"""pii-guard kinds"""

from __future__ import annotations

from pathlib import Path

import click

from pii_guard.cli.options import policy_option
from pii_guard.cli.output import announce, emit, say
from pii_guard.cli.settings import required, settings
from pii_guard.detectors import TABLE, describe, select

__all__ = ["command"]


@click.command("kinds")
@click.argument("kind", required=False)
@policy_option
@click.option("--check", "checking", is_flag=True, help="Hold the kinds that the policy defines to their examples.")
def command(kind: str | None, policy: Path | None, checking: bool) -> int:
    """List the kinds of personal data that pii-guard knows, or explain one KIND: what it finds and what it does not.

    The kinds of the policy come first: of the one named, or the nearest pii-guard.toml here or above.
    """
    if checking:
        return _check(policy)
    chosen = settings(policy, Path.cwd())
    if kind is None:
        words = {detector.kind.id: detector.kind.title + ", by the policy" for detector in chosen.detectors}
        words.update({name: words for name, (_, words) in TABLE.items()})
        width = max(map(len, words))
        emit("".join(f"{name:<{width}}  {title}\n" for name, title in words.items()))
    else:
        own = [detector for detector in chosen.detectors if detector.kind.id not in TABLE]
        (detector,) = select([kind], own=own)
        emit(f"{detector.kind.id}: {detector.kind.title}\n\n{describe(detector)}\n")
    return 0


def _check(policy: Path | None) -> int:
    from pii_guard.policy.examples import failed_examples  # pydantic, which a list of kinds does not need

    rules, chosen = required(policy, Path.cwd())
    failed = failed_examples(rules, chosen.detectors)
    for problem in failed:
        say(problem)
    counted = sum(len(kind.examples) + len(kind.counterexamples) for kind in rules.kinds.values())
    announce(f"{len(rules.kinds)} kinds of the policy, {counted} examples; {len(failed)} problems")
    return 1 if failed else 0
