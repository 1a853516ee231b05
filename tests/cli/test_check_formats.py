"""`pii-guard check --format ...`: the same twice, with an outcome on stderr, and a step summary for GitHub."""

from __future__ import annotations

from pathlib import Path

import pytest
from canaries import EMAIL, PHONE, RRN, leaks
from cli_runner import EXAMPLES, run

from pii_guard.cli.check import FORMATS

OUTCOME = "pii-guard: 4 violation(s), 0 warning(s); 24 rows, 1,759 bytes, 7 fields (4 with findings), 1 source; "


@pytest.mark.parametrize("form", FORMATS)
def test_two_runs_are_the_same(form: str, tmp_path: Path) -> None:
    """Byte for byte, on stdout, in a file and, for GitHub, in the summary."""
    outputs = []
    for number in "12":
        summary = tmp_path / f"summary{number}"
        output = tmp_path / f"output{number}"
        env = {"GITHUB_STEP_SUMMARY": str(summary)}
        result = run("check", "examples", "--format", form, env=env, cwd=EXAMPLES.parent)
        written = run("check", "examples", "--format", form, "--output", output, env=env, cwd=EXAMPLES.parent)
        assert (result.code, written.code) == (1, 1), result.stderr + written.stderr
        assert output.read_text(encoding="utf-8") == result.stdout
        outputs.append((result.stdout, result.stderr, summary.read_bytes() if form == "github" else b""))
        assert summary.exists() == (form == "github")
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("form", FORMATS)
def test_the_outcome_is_always_said(form: str) -> None:
    """One summary line: on stderr where stdout is for a machine, on stdout otherwise."""
    result = run("check", EXAMPLES / "customers.csv", "--format", form)
    if form in ("table", "github"):
        assert "4 violation(s), 0 warning(s)\n24 rows, 1,759 bytes" in result.stdout
        assert result.stderr == ""
    else:
        assert result.stderr == f"{OUTCOME}complete: true\n"


def test_the_outcome_is_said_beside_a_file(tmp_path: Path) -> None:
    """A result that goes to a file says on stderr how it went."""
    result = run("check", EXAMPLES / "customers.csv", "--output", tmp_path / "result.txt")
    assert (result.stdout, result.stderr) == ("", f"{OUTCOME}complete: true\n")


def test_a_summary_is_added_to_what_is_there(tmp_path: Path) -> None:
    """Steps share no file, but a step may run two checks."""
    summary = tmp_path / "summary.md"
    summary.write_text("before\n", encoding="utf-8")
    run("check", EXAMPLES / "customers.csv", "--format", "github", env={"GITHUB_STEP_SUMMARY": str(summary)})
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("before\n### pii-guard check\n\n4 violation(s), 0 warning(s)\n")
    assert text.count("| violation |") == 4


def test_a_summary_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """One line and exit 3; the annotations are out by then."""
    env = {"GITHUB_STEP_SUMMARY": str(tmp_path / "missing" / "summary.md")}
    result = run("check", EXAMPLES / "customers.csv", "--format", "github", env=env)
    assert result.code == 3
    assert result.stdout.count("::error ") == 4
    assert result.stderr.endswith("summary.md: cannot be written: No such file or directory\n")


@pytest.mark.parametrize("form", FORMATS)
def test_no_value_of_a_repository_leaves(form: str, tmp_path: Path) -> None:
    """Values in names, comments, types and mistakes of SQL, Python and YAML are in no format."""
    plant = {
        "a.sql": f"CREATE TABLE t (a text COMMENT '{EMAIL}', \"{EMAIL}\" varchar(9), e enum('{PHONE}'))",
        "b.sql": f"CREATE TABLE u (email text DEFAULT '{EMAIL}', '{PHONE}';",
        "m.py": f"class A(B):\n    __tablename__ = '{EMAIL}'\n    email = Column(String(9), comment='{RRN}')\n",
        "n.py": f"class A(B):\n    __tablename__ = '{EMAIL}\n    x = Column()\n",
        "r.py": f"revision = '{EMAIL}'\ndown_revision = None\ndef upgrade():\n    op.execute('CREATE TABLE {RRN}')\n",
        "d.yml": f"models:\n- name: {EMAIL}\n  columns:\n  - name: a\n    meta: {{pii_guard: {{kind: [{PHONE}]}}}}\n",
        "e.yml": f"models:\n- columns:\n  - name: {EMAIL}: {PHONE}\n",
    }
    for name, text in plant.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    summary = tmp_path / "summary.md"
    result = run("check", ".", "--format", form, env={"GITHUB_STEP_SUMMARY": str(summary)}, cwd=tmp_path)
    assert result.code == 1
    assert leaks(result.output) == []
    assert not summary.exists() or leaks(summary.read_text(encoding="utf-8")) == []
    assert run("check", ".", "--write-baseline", cwd=tmp_path).code == 3
    assert leaks((tmp_path / ".pii-guard-baseline.json").read_text(encoding="utf-8")) == []
