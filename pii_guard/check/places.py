"""Where a violation can be mended, and what it is known by from run to run."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from pii_guard.check.results import CheckResult, Place, Violation
from pii_guard.tags import logical_field

__all__ = ["fingerprints", "placed", "sidecar_places", "stable_source"]

_NO_FILE = re.compile(r"-\Z|\(|[A-Za-z][\w+.-]+://")
"""Standard input, data handed in, URLs."""


def placed(result: CheckResult, declared: Mapping[str, Place]) -> CheckResult:
    """The same violations, each with its place where it has one: what it is in, if that is a file; of a database, where
    `declared` (logical field -> place) says that a file of the repository declares the field.
    """

    def with_place(violation: Violation) -> Violation:
        if violation.place is not None:
            return violation
        if not _NO_FILE.match(violation.source):
            return replace(violation, place=Place(violation.source.partition("!/")[0]))
        name = logical_field(violation.field) if violation.field else ""
        return replace(violation, place=declared.get(name) or declared.get(name.partition(".")[2]))

    return replace(
        result,
        violations=tuple(map(with_place, result.violations)),
        warnings=tuple(map(with_place, result.warnings)),
    )


def sidecar_places(path: Path) -> dict[str, Place]:
    """Logical field -> the line in the sidecar file `path` where its tag begins; nothing where there is no file."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError:  # whoever needs its tags says so
        return {}
    found: dict[str, Place] = {}
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("[fields."):
            with suppress(tomllib.TOMLDecodeError):  # a line of a text over several lines may begin so
                found |= dict.fromkeys(tomllib.loads(line)["fields"], Place(path.as_posix(), number))
    return found


def stable_source(source: str, base: Path) -> str:
    """The name of a source that is the same wherever a run starts: a path below `base`, with `/`, or what it is.

    >>> stable_source("/repo/data/a.csv", Path("/repo")), stable_source("postgresql://host/db", Path("/repo"))
    ('data/a.csv', 'postgresql://host/db')
    """
    if _NO_FILE.match(source):
        return source
    file, mark, member = source.partition("!/")
    path = Path.cwd() / file
    for known in (path, path.resolve()):
        if known.is_relative_to(base):
            return known.relative_to(base).as_posix() + mark + member
    return path.as_posix() + mark + member


def fingerprints(violations: Iterable[Violation]) -> list[str]:
    """For each violation what it is known by: 64 hexadecimal digits of its rule, field and kinds.

    Of neither line nor message, so that it survives other changes of the file. Two that are alike get different ones.
    """
    times: Counter[tuple[str, ...]] = Counter()
    found = []
    for violation in violations:
        source = stable_source(violation.source, Path.cwd())
        field = str(replace(violation.field, source=source)) if violation.field else source
        key = (violation.rule, field, *violation.kinds)
        times[key] += 1
        text = "\0".join((*key, *([str(times[key])] if times[key] > 1 else [])))
        found.append(sha256(text.encode(errors="backslashreplace")).hexdigest())
    return found
