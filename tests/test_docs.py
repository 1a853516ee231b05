"""What the documentation shows is what happens: doctests of modules and README, and README's sessions.

After a wanted change of output run `PII_GUARD_UPDATE=1 pytest tests/test_docs.py` and read the difference.
"""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
import shlex
import shutil
import tomllib
from pathlib import Path

import pytest
from cli_runner import EXAMPLES, run
from native import NATIVE

import pii_guard
from pii_guard.check import RULES
from pii_guard.detectors import TABLE

ROOT = EXAMPLES.parent
README = ROOT / "README.md"
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(pii_guard.__path__, "pii_guard.")
    if not module.name.endswith("__main__")
)
SESSION = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory with the examples in it, as the working directory."""
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=NATIVE.unless_built if name.endswith(".lexer_native") else ()) for name in MODULES],
)
def test_the_examples_of_a_module_hold(name: str) -> None:
    """Every `>>>` in a docstring of the installed package gives what stands below it."""
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_the_modules_are_all_found() -> None:
    """The walk above sees the packages that a link shows, too."""
    assert {"pii_guard.scanner", "pii_guard.detectors.email", "pii_guard.connectors.parquet"} <= set(MODULES)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("page", ["README.md", "docs/FORMAT.md"])
def test_the_python_of_a_page_holds(page: str) -> None:
    """Every `>>>` in the pages for users gives what stands below it."""
    found = doctest.testfile(str(ROOT / page), module_relative=False, encoding="utf-8")
    assert found.failed == 0
    assert found.attempted > 0


@pytest.mark.parametrize("page", ["README.md", "docs/policy.md"])
def test_the_sessions_of_a_page_hold(page: str, folder: Path) -> None:
    """Every command in a console block prints what the page says, in one session from top to bottom."""

    def replayed(session: re.Match[str]) -> str:
        lines = []
        for line in session[0].splitlines():
            if line.startswith("$ pii-guard "):
                result = run(*shlex.split(line)[2:], cwd=folder)
                lines += [line, *(result.stdout + result.stderr).splitlines()]
        return "\n".join(lines) + "\n"

    path = ROOT / page
    text = path.read_text(encoding="utf-8")
    shown = SESSION.sub(replayed, text)
    if os.environ.get("PII_GUARD_UPDATE"):
        path.write_text(shown, encoding="utf-8")
    assert shown == text


def test_every_command_and_its_help_is_in_the_readme_or_the_help() -> None:
    """No command is undocumented."""
    from pii_guard.cli import COMMANDS

    text = README.read_text(encoding="utf-8")
    for name in COMMANDS:
        assert re.search(rf"pii-guard {name}\b|`{name}`", text) or name == "doctor", name


PAGES = {
    "kind": (
        "# Kinds of personal data\n\nWhat each detector finds, what it must not find, its legal basis, gaps and "
        "sources: the text of `pii-guard kinds KIND`.\nKinds of your own: [own-rules.md](own-rules.md).\n",
        "kinds",
        TABLE,
        " - ",
    ),
    "rule": (
        "# Rules of check\n\nWhat `pii-guard check` holds data and repositories to: the text of `pii-guard rule ID`. "
        "An id is never reused.\n",
        "rule",
        RULES,
        " ",
    ),
}
"""What stands at the top of a page; the command whose texts follow, for which ids; what a heading has for a colon."""


@pytest.mark.parametrize("what", PAGES)
def test_the_page_is_what_the_command_says(what: str) -> None:
    """docs/kinds.md and docs/rules.md hold the texts of `pii-guard kinds KIND` and `pii-guard rule ID`, in order."""
    page = ROOT / "docs" / f"{what}s.md"
    top, command, ids, colon = PAGES[what]
    parts = [top]
    for each in ids:
        heading, _, body = run(command, each).stdout.partition("\n")
        parts.append(f"## {heading.replace(': ', colon, 1)}\n\n```text{body.rstrip()}\n```\n")
    text = "\n".join(parts)
    if os.environ.get("PII_GUARD_UPDATE"):
        page.write_text(text, encoding="utf-8")
    assert page.read_text(encoding="utf-8") == text


def test_the_table_of_rooms_is_the_order_that_is_linted() -> None:
    """docs/ARCHITECTURE.md names every room once, from the top down, and on one line none that know each other."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = [layer.split(" | ") for layer in linter["contracts"][0]["layers"]]
    floor = {room: number for number, layer in enumerate(layers) for room in layer}
    table = (
        (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("| room |")[2].partition("\n\n")[0]
    )
    rows = [re.findall(r"`(\w+)/?`", row.split("|")[1]) for row in table.splitlines()[2:]]
    floors = [{floor[room] for room in row} for row in rows]
    assert sorted(room for row in rows for room in row) == sorted(floor)
    assert all(len(row) == 1 for row in floors)
    assert floors == sorted(floors, key=min)
