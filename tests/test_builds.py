"""What the repository offers to builds does what it says: the hook, the Action and the template, run as they would."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli_runner import environment

ROOT = Path(__file__).parents[1]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
INSTALL, CHECK = ACTION["runs"]["steps"]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one violation: a migration that declares a column nothing speaks for."""
    folder = tmp_path / "repository"
    folder.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    (folder / "V1__init.sql").write_text("CREATE TABLE customers (\n  id int,\n  email text\n);\n", encoding="utf-8")
    return folder


def mend(repository: Path) -> None:
    (repository / "V2__drop.sql").write_text("ALTER TABLE customers DROP COLUMN email;\n", encoding="utf-8")


def execute(command: list[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the `pii-guard` of this environment in its PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = environment({"PATH": path, **variables})
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)


def bash(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """As GitHub and GitLab run a step."""
    return execute(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script], folder, **variables)


def inputs(**given: str) -> dict[str, str]:
    """The variables of the Check step, from the inputs of the Action and their defaults."""
    values = {name: given.get(name, declared["default"]) for name, declared in ACTION["inputs"].items()}
    return {name: values[re.fullmatch(r"\$\{\{ inputs\.(\w+) \}\}", text)[1]] for name, text in CHECK["env"].items()}  # type: ignore[index]


def test_pre_commit_hook(repository: Path) -> None:
    """The entry and its arguments, as pre-commit runs them in the root of the repository."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert {"id", "name", "entry", "language"} <= hook.keys()
    assert (hook["pass_filenames"], hook["always_run"]) == (False, True)
    command = [*shlex.split(hook["entry"]), *hook["args"]]
    failed = execute(command, repository)
    assert failed.returncode == 1
    assert "customers.email violation PG041" in failed.stdout
    mend(repository)
    assert execute(command, repository).returncode == 0


def test_action_checks(repository: Path, tmp_path: Path) -> None:
    """The step fails with an annotation at the line and a summary, and passes once the column is gone."""
    summary = str(tmp_path / "summary.md")
    failed = bash(CHECK["run"], repository, GITHUB_STEP_SUMMARY=summary, **inputs())
    assert failed.returncode == 1, failed.stderr
    assert "::error file=V1__init.sql,line=3,title=PG041 untagged-column::customers.email: " in failed.stdout
    assert "| violation | PG041" in Path(summary).read_text(encoding="utf-8")
    mend(repository)
    assert bash(CHECK["run"], repository, **inputs()).returncode == 0


def test_action_inputs_are_lines(repository: Path) -> None:
    """Arguments and targets may hold blanks and what a shell would obey; they are arguments all the same."""
    assert bash("pii-guard check . --write-baseline", repository).returncode == 0
    given = inputs(arguments="--baseline\n.pii-guard-baseline.json", targets="V1__init.sql\n")
    accepted = bash(CHECK["run"], repository, **given)
    assert accepted.returncode == 0
    assert "1 accepted; nothing new" in accepted.stdout
    hostile = "$(touch made); touch made `touch made`"
    refused = bash(CHECK["run"], repository, **inputs(targets=hostile))
    assert refused.returncode == 2
    assert "no such file or directory" in refused.stderr
    assert not (repository / "made").exists()


def test_action_installs(tmp_path: Path) -> None:
    """The step makes an environment, installs the Action's own checkout with its extras, and adds it to the path."""
    shims = tmp_path / "shims"
    shims.mkdir()
    pip = 'printf \'#!/bin/sh\\necho "$@" >>"$LOG"\\n\' >"$3/bin/pip"'
    shim = f'#!/bin/sh\nmkdir -p "$3/bin"\n{pip}\nchmod +x "$3/bin/pip"\n'
    (shims / "python3").write_text(shim, encoding="utf-8")
    (shims / "python3").chmod(0o755)
    log, path = tmp_path / "log", tmp_path / "path"
    step = f'export PATH="{shims}:$PATH"\n{INSTALL["run"]}'
    for extras in ("", "postgresql,mysql"):
        variables = {"RUNNER_TEMP": str(tmp_path / "a b"), "GITHUB_PATH": str(path), "LOG": str(log), "EXTRAS": extras}
        done = bash(step, tmp_path, GITHUB_ACTION_PATH="/src/pii-guard", **variables)
        assert done.returncode == 0, done.stderr
    assert log.read_text(encoding="utf-8").splitlines() == [
        "install --quiet /src/pii-guard",
        "install --quiet /src/pii-guard[postgresql,mysql]",
    ]
    assert path.read_text(encoding="utf-8").splitlines() == [f"{tmp_path}/a b/pii-guard/bin"] * 2


def test_gitlab_component(repository: Path) -> None:
    """The job writes the report that it hands to GitLab, whether the check fails or not."""
    spec, jobs = yaml.safe_load_all((ROOT / "templates" / "check.yml").read_text(encoding="utf-8"))
    (job,) = jobs.values()
    defaults = {name: declared["default"] for name, declared in spec["spec"]["inputs"].items()}
    script = [re.sub(r"\$\[\[ inputs\.(\w+) \]\]", lambda hit: defaults[hit[1]], line) for line in job["script"]]
    assert script[0] == 'pip install --quiet "pii-guard-arrow"'
    report = repository / job["artifacts"]["reports"]["codequality"]
    failed = bash("\n".join(script[1:]), repository)
    assert failed.returncode == 1, failed.stderr
    (issue,) = json.loads(report.read_text(encoding="utf-8"))
    assert issue["location"] == {"path": "V1__init.sql", "lines": {"begin": 3}}
    assert "1 violation(s), 0 warning(s)" in failed.stderr
    assert job["artifacts"]["when"] == "always"
    mend(repository)
    assert bash("\n".join(script[1:]), repository).returncode == 0
    assert json.loads(report.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", ["README.md", "docs/builds.md"])
def test_the_yaml_of_a_page_is_valid(page: str) -> None:
    """And names the Action, the component and the hook as they are called."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        assert yaml.safe_load(block)
    for given in re.findall(r"with:\n((?: {10,}.*\n)+)", "".join(blocks)):
        assert set(yaml.safe_load(given)) <= set(ACTION["inputs"])
