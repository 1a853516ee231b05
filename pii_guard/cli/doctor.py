"""pii-guard doctor"""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

import click

from pii_guard import __version__
from pii_guard.cli.options import keys_option
from pii_guard.cli.output import announce
from pii_guard.connectors import cp949
from pii_guard.engine.lexer import LEXER
from pii_guard.errors import KeyringError, PolicyError
from pii_guard.keys.document import RemoteKek
from pii_guard.keys.keyring import load as load_keys
from pii_guard.policy import find_policy, load

__all__ = ["command"]

LIBRARIES = ("pyarrow", "numpy", "cryptography", "presidio-analyzer", "spacy", "sqlalchemy")


@click.command("doctor")
@keys_option
def command(keys: Path) -> int:
    """Say what this installation has: versions, native parts, policy, keys, and what the purpose binding is worth.

    Exit 2 where the policy or the key directory is there and does not work.
    """
    lines = [f"pii-guard {__version__}, Python {platform.python_version()} on {platform.system()}"]
    lines += [f"  {name} {_version(name)}" for name in LIBRARIES]
    policy, policy_works = _policy()
    ring, keys_work = _keys(keys)
    lines.append(f"lexer: {LEXER.name}, {LEXER.why}")
    lines.append(f"CP949: {'native' if cp949.native else 'by Python, the native transcoder was not built'}")
    for line in [*lines, policy, ring]:
        announce(line)
    return 0 if policy_works and keys_work else 2


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "is missing; run pip install ."


def _policy() -> tuple[str, bool]:
    try:
        path = find_policy(Path.cwd())
        if path is None:
            return "policy: none found here or above", True
        policy = load(path)
    except PolicyError as error:
        return f"policy: {error.source}: " + "; ".join(error.problems), False
    roles = f", {len(policy.roles)} roles: ADVISORY, a role is what its caller claims" if policy.roles else ""
    return f"policy: {path} ({len(policy.purposes)} purposes, {len(policy.fields)} field rules{roles})", True


def _keys(directory: Path) -> tuple[str, bool]:
    if not directory.exists():
        return f"keys: none at {directory}; `pii-guard keys init` makes a key directory", True
    try:
        document = load_keys(directory, private=False)
    except KeyringError as error:
        return f"keys: {error}", False
    enforced = [purpose for purpose, kek in document.keks.purposes.items() if isinstance(kek, RemoteKek)]
    advisory = len(document.keks.purposes) - len(enforced)
    binding = "ADVISORY: whoever opens the directory opens every purpose"
    if enforced:
        binding = f"ENFORCED for {', '.join(sorted(enforced))}, ADVISORY for {advisory} others"
    return (
        f"keys: {directory} ({len(document.records)} keys); purpose binding {binding}; more: pii-guard keys doctor",
        True,
    )
