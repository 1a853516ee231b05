"""What an import costs: heavy libraries load where they are needed and nowhere else; only the command line prints."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_runner import EXAMPLES, environment

ROOT = Path(__file__).parents[1]
HEAVY = {
    *("spacy", "presidio_analyzer", "sqlalchemy", "polars", "pandas", "fastavro", "python_calamine", "defusedxml"),
    *("sqlglot", "yaml"),
    *("adbc_driver_manager", "pymysql", "connectorx", "duckdb"),
}
DATA = {"numpy", "pyarrow", "pyarrow.dataset", "pydantic", "cryptography"}

# Where there is a pandas, pyarrow imports it at the first `pa.array`; an installation of pii-guard brings none.
WITHOUT_PANDAS = """\
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name="pandas")
sys.meta_path.insert(0, Missing())
"""


def loaded(code: str) -> set[str]:
    """The modules that are loaded when `code` has run in a process of its own."""
    code = (
        f"import sys\n{WITHOUT_PANDAS}try:\n    {code}\nexcept SystemExit: pass\nprint(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment(), check=True, timeout=60)
    return set(done.stderr.decode().split())


def test_package() -> None:
    """`import pii_guard` loads nothing that takes time."""
    modules = loaded("import pii_guard")
    assert "pii_guard" in modules
    assert not modules & (HEAVY | DATA | {"rich", "click"})


def test_public_names_load_on_use() -> None:
    """A public name loads what it needs, and no more."""
    modules = loaded(
        "import pii_guard; pii_guard.find, pii_guard.scan, pii_guard.Guard, pii_guard.Keyring; "
        "pii_guard.read, pii_guard.write"
    )
    assert "pyarrow" in modules
    assert not modules & (HEAVY | {"rich", "click", "pyarrow.dataset"})


def test_help() -> None:
    """`pii-guard --help` and `--version` load no library that does the work."""
    for option in ("--help", "--version"):
        modules = loaded(f"from pii_guard.cli import main; main([{option!r}])")
        assert "pii_guard.cli" in modules
        assert not modules & (HEAVY | DATA | {"rich"})


@pytest.mark.parametrize(
    "arguments",
    [
        ["scan", str(EXAMPLES)],
        ["check", str(EXAMPLES / "payments.parquet")],
        ["find", str(EXAMPLES / "customers.csv")],
        ["kinds"],
        ["doctor"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_commands(arguments: list[str]) -> None:
    """The commands load no language model, no database library and no data frame library."""
    modules = loaded(f"from pii_guard.cli import main; main({arguments!r})")
    assert f"pii_guard.cli.{arguments[0]}" in modules
    assert not modules & HEAVY


def written_to(tree: ast.AST) -> Iterator[str]:
    """What a module does that writes to the terminal."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "print":
            yield "print"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = f"{node.value.id}.{node.attr}"
            if name in ("sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__", "click.echo", "click.secho"):
                yield name
        if isinstance(node, ast.ImportFrom) and node.module in ("sys", "click"):
            yield from (alias.name for alias in node.names if alias.name in ("stdout", "stderr", "echo", "secho"))


def test_only_the_command_line_prints() -> None:
    """No module outside `pii_guard/cli` writes to stdout or stderr."""
    printing = {
        path.relative_to(ROOT).as_posix(): found
        for folder in ("pii_guard", "detectors", "connectors")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if (found := sorted(set(written_to(ast.parse(path.read_text(encoding="utf-8"))))))
    }
    assert "pii_guard/cli/output.py" in printing
    assert {path: found for path, found in printing.items() if not path.startswith("pii_guard/cli/")} == {}
