"""What the policy that holds for a target adds to a command: its rules, and the kinds that it defines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from pii_guard.cli.output import watching
from pii_guard.detectors import select
from pii_guard.engine.detection import Detector
from pii_guard.errors import PolicyError
from pii_guard.reports import ScanReport

if TYPE_CHECKING:  # without a policy no command needs pydantic
    from pii_guard.crypto.recognition import Known
    from pii_guard.keys.markers import KnownKeys
    from pii_guard.model import Tag
    from pii_guard.policy import Policy
    from pii_guard.scanner import ScanOptions

__all__ = [
    "Settings",
    "by_policy",
    "existing_policy",
    "found_policy",
    "known_tokens",
    "place_of",
    "required",
    "settings",
]


@dataclass(frozen=True, slots=True)
class Settings:
    """The policy of a run, if it has one, and the detectors of the kinds to look for."""

    policy: Policy | None
    detectors: tuple[Detector, ...]

    def scanned(self, target: str, options: ScanOptions, *, quiet: bool) -> ScanReport:
        """A scan of `target`, with progress, without what the policy suppresses today."""
        from pii_guard.scanner import scan_targets

        with watching(quiet) as progress:
            report = scan_targets([target], detectors=self.detectors, options=options, progress=progress)
        return self.suppressed(report)

    def suppressed(self, report: ScanReport) -> ScanReport:
        """`report` with the findings apart that the policy suppresses today."""
        if self.policy is None:
            return report
        from pii_guard.policy import suppress

        return suppress(report, self.policy, date.today())


def settings(
    given: Path | None,
    start: Path,
    *,
    only: Iterable[str] = (),
    excluding: Iterable[str] = (),
    masked: bool = True,
) -> Settings:
    """By the policy `given`, else by the nearest one at `start` or above; without one, by pii-guard's own kinds.

    A policy that is neither given nor in the working directory or above it may not run code: it came with the data.
    """
    path = _policy_file(given, start)
    if path is None:
        return Settings(None, select(only, excluding, masked=masked))
    from pii_guard.policy import custom_detectors, load

    policy = load(path)
    trusted = given is not None or Path.cwd().is_relative_to(path.resolve().parent)
    own = custom_detectors(policy, path, run_code=trusted)
    return Settings(policy, select(only, excluding, own=own, masked=masked))


def known_tokens(keys: KnownKeys | None, tags: Mapping[str, Tag]) -> Known | None:
    """What a scan knows of tokens: of their keys, and which fields the sidecar `tags` say have another name by now."""
    if keys is None:
        return None
    from pii_guard.crypto.recognition import Known

    return Known(keys, {name: tag.field for name, tag in tags.items() if tag.field})


def place_of(target: str) -> Path:
    """Where the policy and the tags of a target are looked for: of URLs and standard input, the working directory."""
    return Path.cwd() if target == "-" or "://" in target else Path(target)


def existing_policy(given: Path | None, start: Path) -> Policy:
    """The policy for a command that needs one and looks for nothing. Raises PolicyError where there is none."""
    path = _policy_file(given, start)
    if path is None:
        raise PolicyError(str(start), ["no pii-guard.toml here or above; write one, or name one with --policy"])
    from pii_guard.policy import load

    return load(path)


def found_policy(given: Path | None, start: Path) -> Policy | None:
    """The policy for a command that does with and without one, and looks for nothing."""
    return None if _policy_file(given, start) is None else existing_policy(given, start)


def required(given: Path | None, start: Path) -> tuple[Policy, Settings]:
    """The settings of a command that needs a policy. Raises PolicyError where there is none."""
    found = settings(given, start)
    return found.policy or existing_policy(given, start), found


def by_policy(given: Path | None, targets: Sequence[str]) -> list[list[str]]:
    """`targets` in groups, in their order, that the same policy holds for; each of them once."""
    groups: dict[Path | None, list[str]] = {}
    for target in dict.fromkeys(targets):
        groups.setdefault(_policy_file(given, place_of(target)), []).append(target)
    return list(groups.values())


def _policy_file(given: Path | None, start: Path) -> Path | None:
    if given is not None:
        return given
    from pii_guard.policy import find_policy

    return find_policy(start)
