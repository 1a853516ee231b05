"""pii-guard rule"""

from __future__ import annotations

import click

from pii_guard.check.rules import RULES, describe
from pii_guard.cli.output import emit
from pii_guard.errors import UsageError, did_you_mean

__all__ = ["command"]


@click.command("rule")
@click.argument("rule", required=False)
def command(rule: str | None) -> int:
    """List the rules of `pii-guard check`, or explain one RULE, by its id or its name: what, why, how to mend it."""
    if rule is None:
        width = max(len(known.name) for known in RULES.values())
        emit("".join(f"{known.id}  {known.name:<{width}}  {known.what}\n" for known in RULES.values()))
        return 0
    found = next((known for known in RULES.values() if rule.lower() in (known.id.lower(), known.name)), None)
    if found is None:
        near = did_you_mean(rule, [*RULES, *(known.name for known in RULES.values())])
        raise UsageError(f"no such rule: {rule!r}{near}; pii-guard rule lists them")
    emit(describe(found))
    return 0
