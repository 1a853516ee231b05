"""From the kinds that a policy defines to their detectors."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from pii_guard.detectors.custom import Custom
from pii_guard.engine.headers import normalise
from pii_guard.errors import CustomKindError, PolicyError
from pii_guard.model import Kind
from pii_guard.policy.models import CustomKind, Policy
from pii_guard.policy.reader import load

__all__ = ["custom_detectors", "with_detectors"]


def with_detectors(policy: Policy | str | os.PathLike[str]) -> tuple[Policy, tuple[Custom, ...]]:
    """A policy, given as such or by the path of its file, and the detectors of the kinds that it defines."""
    if isinstance(policy, Policy):
        return policy, custom_detectors(policy)
    loaded = load(Path(policy))
    return loaded, custom_detectors(loaded, Path(policy))


def custom_detectors(policy: Policy, source: Path | None = None, *, run_code: bool = True) -> tuple[Custom, ...]:
    """The detectors of the kinds that `policy` defines, in the order of its file.

    `source` is the file of the policy: the modules of `check` functions are looked for beside it first. Raises
    PolicyError where a function cannot be loaded; with `run_code=False`, for a policy that has any.
    """
    found = []
    for name, defined in policy.kinds.items():
        check = None
        if defined.check is not None:
            place = f"kinds.{name}.check"
            if not run_code:
                raise PolicyError(
                    str(source or "policy"),
                    [f"{place}: would run code from outside the working directory; if you trust it, use --policy"],
                )
            check = _function(defined.check, place, source)
        found.append(_detector(name, defined, check))
    return tuple(found)


def _detector(name: str, defined: CustomKind, check: Callable[[str], bool] | None) -> Custom:
    return Custom(
        kind=Kind(name, defined.title or name, personal=defined.personal),
        pattern=defined.pattern,
        keywords=defined.keywords,
        headers=frozenset(map(normalise, defined.headers)) - {""},
        check=check,
    )


def _function(named: str, place: str, source: Path | None) -> Callable[[str], bool]:
    """The function `python:module:function`; what it raises becomes a CustomKindError, for it may quote a value."""
    shown = str(source or "policy")
    _, module, name = named.split(":")
    try:
        with _beside(source):
            function = getattr(import_module(module), name)
    except Exception as error:  # noqa: BLE001 - to import a module runs code that may raise anything
        raise PolicyError(shown, [f"{place}: {named} cannot be loaded ({type(error).__name__})"]) from None
    if not callable(function):
        raise PolicyError(shown, [f"{place}: {named} is no function"])

    def check(value: str) -> bool:
        try:
            return bool(function(value))
        except Exception as error:  # noqa: BLE001 - likewise
            raise CustomKindError(f"{shown}: {place}: {named} raised {type(error).__name__} on a value") from None

    return check


@contextmanager
def _beside(source: Path | None) -> Iterator[None]:
    """Modules in the folder of the policy come first."""
    before = list(sys.path)
    if source is not None:
        sys.path.insert(0, str(source.resolve().parent))
    try:
        yield
    finally:
        sys.path[:] = before
