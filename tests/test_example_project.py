"""examples/project breaks six rules; doing what the output says mends one after the other, until it is clean."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from cli_runner import EXAMPLES, run

Violations = list[dict[str, Any]]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project in a folder of its own, which is the working directory."""
    folder = tmp_path / "project"
    shutil.copytree(EXAMPLES / "project", folder)
    monkeypatch.chdir(folder)
    return folder


def check() -> tuple[int, Violations]:
    result = run("check", ".", "--format", "json")
    return result.code, json.loads(result.stdout)["violations"]


def advice(violations: Violations, rule: str) -> list[str]:
    """What to do about the violations of a rule, each once."""
    return list(dict.fromkeys(item["mend"] for item in violations if item["rule"] == rule))


def rules(violations: Violations) -> set[str]:
    return {item["rule"] for item in violations}


def test_six_reasons_and_how_to_mend_them(project: Path) -> None:
    """Each step does what one rule advises; afterwards nothing breaks that rule, and in the end the check exits 0."""
    policy, tags = project / "pii-guard.toml", project / "pii-guard.tags.toml"
    code, found = check()
    assert code == 1
    assert rules(found) >= {"PG001", "PG003", "PG004", "PG036", "PG041", "PG043"}

    # PG036: "take [fields."customers.fax"] out of pii-guard.tags.toml"
    (words,) = advice(found, "PG036")
    table = re.match(r"take (\[.+\]) out of pii-guard\.tags\.toml", words)
    assert table is not None
    text = tags.read_text(encoding="utf-8")
    tags.write_text(re.sub(rf"{re.escape(table[1])}\n(?:[^\[].*\n|\n)*", "", text), encoding="utf-8")
    code, found = check()
    assert "PG036" not in rules(found)

    # PG004: "add to pii-guard.toml: [purposes.newsletter] title = ..."
    (words,) = advice(found, "PG004")
    added = re.match(r"add to pii-guard\.toml: (\[purposes\.newsletter\]) title = \"\.\.\.\"", words)
    assert added is not None
    policy.write_text(f'{policy.read_text(encoding="utf-8")}\n{added[1]}\ntitle = "Letters"\n', encoding="utf-8")
    code, found = check()
    assert "PG004" not in rules(found)

    # PG041: "add to pii-guard.toml a table [[fields]] with the lines match = ..., purposes = ... and retention = ..."
    for words in advice(found, "PG041"):
        match = re.match(
            r"add to pii-guard\.toml a table (\[\[fields\]\]) with the lines (match = \"[^\"]+\"), ", words
        )
        assert match is not None
        rule = f'\n{match[1]}\n{match[2]}\npurposes = ["delivery"]\nretention = "contract"\n'
        policy.write_text(policy.read_text(encoding="utf-8") + rule, encoding="utf-8")
    code, found = check()
    assert "PG041" not in rules(found)

    # PG003: the same lines, for a field that has a rule already: its rule gets a retention class.
    in_tables = [item for item in found if item["source"] == "data/shop.db"]
    (words,) = advice(in_tables, "PG003")
    assert words.endswith('add to the rule in pii-guard.toml with match = ["customers.name"]: retention = "..."')
    text = policy.read_text(encoding="utf-8")
    rule = 'match = ["customers.name"]\n'
    policy.write_text(text.replace(rule, f'{rule}retention = "contract"\n'), encoding="utf-8")
    code, found = check()
    assert "PG003" not in rules([item for item in found if item["source"] == "data/shop.db"])

    # PG043: "make it text, or wide enough, by a migration: 80 for up to 16, ... bytes of UTF-8"
    (words,) = advice(found, "PG043")
    width = re.search(r"by a migration: (\d+) for up to 16", words)
    assert width is not None
    migration = f"ALTER TABLE customers ALTER COLUMN phone TYPE varchar({width[1]});\n"
    (project / "migrations" / "V3__wider.sql").write_text(migration, encoding="utf-8")
    code, found = check()
    assert "PG043" not in rules(found)

    # PG001 in a line: "take the values out, or allow one in its line by a comment"
    seeds = project / "seeds" / "customers.sql"
    (words,) = advice([item for item in found if item["source"] == "seeds/customers.sql"], "PG001")
    assert words.startswith("take the values out, ")
    seeds.write_text(seeds.read_text(encoding="utf-8").replace("'010-2345-6789'", "NULL"), encoding="utf-8")
    code, found = check()
    assert {item["source"] for item in found} == {"data/shop.db"}

    # PG001 in a table: "run `pii-guard protect sqlite:///data/shop.db --in-place --table customers --column phone`"
    assert run("keys", "init").code == 0
    for words in advice(found, "PG001"):
        command = re.fullmatch(r"run `pii-guard (protect .+ --in-place .+)`", words)
        assert command is not None
        assert run(*shlex.split(command[1])).code == 0
    code, found = check()
    assert (code, found) == (0, [])


def test_the_readme_of_the_project_names_its_rules(project: Path) -> None:
    """Each rule that it lists is broken, and each that is broken without another is listed."""
    listed = set(re.findall(r"^\| (PG\d+) \|", (project / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    _, found = check()
    assert listed <= rules(found)
    assert rules(found) - listed <= {"PG002"}, "PG002 goes with the value in a line"
    assert len(listed) == 6
