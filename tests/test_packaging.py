"""What is packaged is what is in the repository, under the names that it is imported by."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import pii_guard

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]
LINKS = ("detectors", "connectors")


def folder(package: str) -> Path:
    """Where the build takes a package from."""
    directory: str = SETUPTOOLS["package-dir"].get(package, package.replace(".", "/"))
    return ROOT / directory


def test_every_module_is_packaged() -> None:
    """Every .py file lies in a listed package, and every listed package has one."""
    packaged = {path for package in SETUPTOOLS["packages"] for path in folder(package).glob("*.py")}
    sources = {path for name in ("pii_guard", *LINKS) for path in (ROOT / name).rglob("*.py") if not linked(path)}
    assert sources == packaged
    for package in SETUPTOOLS["packages"]:
        assert (folder(package) / "__init__.py").is_file()
    assert len(SETUPTOOLS["packages"]) == len(set(SETUPTOOLS["packages"]))


def linked(path: Path) -> bool:
    """Whether a path goes through one of the links, so that it is the same file a second time."""
    return path.relative_to(ROOT).parts[:2] in {("pii_guard", name) for name in LINKS}


def test_every_other_file_is_packaged() -> None:
    """Every file beside the modules is listed as package data or made into an extension, and every pattern matches."""
    data = SETUPTOOLS["package-data"]
    listed = {
        path for package, patterns in data.items() for pattern in patterns for path in folder(package).glob(pattern)
    }
    others = {
        path
        for name in ("pii_guard", *LINKS)
        for path in (ROOT / name).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc", ".so", ".pyd") and not linked(path)
    }
    sources = re.findall(r'"([^"]+\.c)"', (ROOT / "setup.py").read_text(encoding="utf-8"))
    assert sources
    assert others == listed | {ROOT / path for path in sources}
    assert ROOT / "pii_guard" / "py.typed" in listed
    for package, patterns in data.items():
        for pattern in patterns:
            assert list(folder(package).glob(pattern)), f"{package}: nothing matches {pattern}"


@pytest.mark.parametrize("name", LINKS)
def test_links(name: str) -> None:
    """pii_guard/NAME is a relative link to the folder NAME, and the package is imported under that one name."""
    link = ROOT / "pii_guard" / name
    assert link.is_symlink()
    assert link.readlink() == Path("..") / name
    assert link.resolve() == ROOT / name
    assert SETUPTOOLS["package-dir"][f"pii_guard.{name}"] == name
    assert importlib.util.find_spec(f"pii_guard.{name}") is not None


@pytest.mark.parametrize("name", LINKS)
def test_generic_names_are_refused(name: str) -> None:
    """From the repository's root, `import NAME` is an ImportError that says the right name."""
    done = subprocess.run([sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 1
    last = done.stderr.decode().splitlines()[-1]
    assert last == f"ImportError: this folder is the package pii_guard.{name}; import it by that name"


def test_names_and_version() -> None:
    """The distribution is pii-guard-arrow, the command pii-guard, the import pii_guard; both versions are one."""
    assert PROJECT["project"]["name"] == "pii-guard-arrow"
    assert PROJECT["project"]["scripts"] == {"pii-guard": "pii_guard.cli:main"}
    assert PROJECT["project"]["version"] == pii_guard.__version__


def test_dependencies_have_lower_bounds_only() -> None:
    """Every dependency says from which version on it works, and none up to which."""
    extras = PROJECT["project"]["optional-dependencies"]
    for text in PROJECT["project"]["dependencies"] + extras["test"]:
        requirement = Requirement(text)
        assert [each.operator for each in requirement.specifier] == [">="], text
    for text in extras["dev"]:
        assert {each.operator for each in Requirement(text).specifier} <= {">="}, text


def test_nobody_is_sent_to_the_other_project() -> None:
    """No file tells anybody to install `pii-guard`, which is another project's name on the package index."""
    wrong = re.compile("pip3? " + r"install\s+(?:-\S+\s+)*['\"]?pii[-_.]guard(?!-arrow)")
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    names = tracked.stdout.decode().split("\0") if not tracked.returncode else [str(path) for path in ROOT.rglob("*")]
    files = [ROOT / name for name in names if name and (ROOT / name).is_file()]
    assert ROOT / "README.md" in files
    guilty = [path.name for path in files if wrong.search(path.read_text(encoding="utf-8", errors="replace"))]
    assert guilty == []
