"""A drafted policy is a policy: it loads, and it leaves open what a scan cannot know."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cli_runner import EXAMPLES

from pii_guard import scan
from pii_guard.policy import load, parse
from pii_guard.policy.draft import draft
from pii_guard.policy.extending import PACKS
from pii_guard.policy.json_schema import json_schema


def test_draft_names_every_personal_field(tmp_path: Path) -> None:
    """Odd names too: a draft is TOML whatever a column is called."""
    data = {'전화 "번호"': ["010-1234-5678"], "e.mail[]": ["a@example.com"], "note": ["nothing"]}
    policy = parse(
        tomllib.loads(draft(scan([dict(zip(data, row, strict=True)) for row in zip(*data.values(), strict=True)]))),
        "draft",
    )
    (rule,) = policy.fields
    assert rule.matches('data."전화 \\"번호\\""')
    assert len(rule.match) == 2
    assert rule.purposes == ()
    assert rule.retention is None


def test_draft_of_nothing_loads() -> None:
    assert parse(tomllib.loads(draft(scan([{"a": "b"}]))), "draft").fields == ()


def _as_json(value: Any) -> Any:
    """TOML has dates, JSON has not."""
    if isinstance(value, dict):
        return {key: _as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


@pytest.mark.parametrize(
    "path",
    [EXAMPLES / "policy" / "pii-guard.toml", EXAMPLES / "pii-guard.toml", *PACKS.values()],
    ids=lambda path: path.stem,
)
def test_schema_takes_what_is_right(path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    load(path)
    jsonschema.validate(_as_json(tomllib.loads(path.read_text(encoding="utf-8"))), json_schema())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "version = 2",
        "version = 1\nfeilds = []",
        "version = 1\n[retention.x]\nperiod = 5",
        "version = 1\n[[fields]]\npurposes = []",
        'version = 1\n[duties.x]\ndemand = "hide"\nbasis = "y"',
    ],
)
def test_schema_refuses_what_is_wrong(text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(_as_json(tomllib.loads(text)), json_schema())
