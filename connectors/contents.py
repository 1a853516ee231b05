"""What one file holds: the source of its format, or those of all files in it, however they are nested."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from typing import TypeAlias

from pii_guard.connectors.base import OutOfScope, Source, os_reason
from pii_guard.connectors.formats import Container, Unreadable, identify
from pii_guard.connectors.nesting import Nesting
from pii_guard.connectors.resource import SEPARATOR, Resource
from pii_guard.errors import ReadError
from pii_guard.reports import NotExamined

__all__ = ["EXCLUDED", "Found", "excluded", "sources_in"]

Found: TypeAlias = Source | NotExamined | OutOfScope

EXCLUDED = "excluded"


def excluded(path: str, patterns: Sequence[str]) -> bool:
    """Whether a path, or its last part, matches one of the shell patterns."""
    name = path.rpartition("/")[2]
    return any(fnmatch(path, pattern) or fnmatch(name, pattern) for pattern in patterns)


def sources_in(resource: Resource, exclude: Sequence[str] = (), *, explicit: bool = True) -> Iterator[Found]:
    """The source of `resource`, or of each file in it; what cannot be read, and what is out of scope.

    `explicit`: the user named it, so that it is tried whatever it is. The resources are closed one after the other.
    """
    try:
        nesting = Nesting.of(resource.size)
    except OSError as error:
        yield NotExamined(resource.target, os_reason(error))
        return
    yield from _sources(resource, exclude, explicit, nesting)


def _sources(resource: Resource, exclude: Sequence[str], explicit: bool, nesting: Nesting) -> Iterator[Found]:
    try:
        format = identify(resource)
        if isinstance(format, Container):
            yield from _members(resource, format, exclude, explicit and format.single, nesting)
        elif not isinstance(format, Unreadable):
            yield format.load()(resource)
        elif explicit or format.in_scope:
            yield NotExamined(resource.target, format.reason)
        else:
            yield OutOfScope(resource.target, format.reason)
    except OSError as error:
        yield NotExamined(resource.target, os_reason(error))
    except ReadError as error:
        yield NotExamined(resource.target, error.reason)
    finally:
        resource.close()


def _members(
    resource: Resource, container: Container, exclude: Sequence[str], explicit: bool, nesting: Nesting
) -> Iterator[Found]:
    inner = nesting.deeper(resource.target)
    for member in container.load()(resource, inner):
        inner.enter(resource.target)
        if isinstance(member, ReadError):
            yield NotExamined(member.source, member.reason)
        elif not container.single and excluded(member.target.removeprefix(resource.target + SEPARATOR), exclude):
            yield OutOfScope(member.target, EXCLUDED)
        else:
            yield from _sources(member, exclude, explicit, inner)
