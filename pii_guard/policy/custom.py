"""From the kinds that a policy defines to their detectors."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

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
    function, failure = _tried(lambda: getattr(_module(module, source), name))
    if failure:
        raise PolicyError(shown, [f"{place}: {named} cannot be loaded ({failure})"])
    if not callable(function):
        raise PolicyError(shown, [f"{place}: {named} is no function"])

    def check(value: str) -> bool:
        verdict, failure = _tried(lambda: bool(function(value)))
        if failure:
            raise CustomKindError(f"{shown}: {place}: {named} raised {failure} on a value")
        return bool(verdict)

    return check


def _tried(work: Callable[[], Any]) -> tuple[Any, str | None]:
    """What `work` returns, or the name of what it raises: a user's code may raise anything, and quote a value in it.

    The error itself ends here, so that it is in no chain of errors either.
    """
    try:
        return work(), None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit too
        return None, type(error).__name__


def _module(name: str, source: Path | None) -> ModuleType:
    """The module `name`: the file of that name beside the policy, whatever else is called so, or what Python finds."""
    if source is None:
        return import_module(name)
    folder = source.resolve().parent
    places = (folder.joinpath(*name.split(".")).with_suffix(".py"), folder.joinpath(*name.split("."), "__init__.py"))
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        with _beside(folder):
            return import_module(name)
    unique = f"pii_guard_policy_{sha256(str(file).encode()).hexdigest()[:16]}"
    if unique not in sys.modules:
        spec = spec_from_file_location(unique, file)
        if spec is None or spec.loader is None:
            raise ImportError(name)
        module = module_from_spec(spec)
        with _beside(folder):
            spec.loader.exec_module(module)
        sys.modules[unique] = module
    return sys.modules[unique]


@contextmanager
def _beside(folder: Path) -> Iterator[None]:
    """Modules in the folder of the policy are found as well."""
    before = list(sys.path)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = before
