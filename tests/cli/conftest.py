"""A folder with a policy that covers every field, and a key directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_runner import run
from policies import HEAD

POLICY = (
    HEAD
    + """\
[[fields]]
match = "*.*phone*"
purposes = ["delivery"]
retention = "contract"
"""
)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    (tmp_path / "pii-guard.toml").write_text(POLICY, encoding="utf-8")
    assert run("keys", "init", cwd=tmp_path).code == 0
    return tmp_path
