"""Names that were chosen to do harm, from a file's name to a key in JSON, are harmless in every output."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_runner import on_terminal, run

NAMES = {
    "escape": "\x1b[2J\x1b]0;owned\x07",
    "c1": "a\x9b31mb",
    "command": "::error file=a.py::boom",
    "spaced command": "   ::stop-commands::x",
    "group": "##[error]boom",
    "vso": "##vso[task.setvariable variable=a]b",
    "html": "<script>alert(1)</script>",
    "formula": "=cmd|' /C calc'!A0",
    "plus": "+1+1",
    "at": "@SUM(1)",
    "wide formula": "＝1+1",
    "newline": "two\nlines\r::error::x",
    "separator": "a\u2028b\x85c",
    "override": "\u202egnp.exe",
    "zero width": "mo\u200bno\ufeff",
    "markup": "[bold red]x[/] :smile: \\[",
    "percent": "%s {0} %(x)s $(id) `id`",
    "quotes": 'a"b\'c""d',
    "tag": "a\U000e0041b",
    "long": "n" * 3000,
}
POLICY = """\
version = 1
[purposes.p]
title = "P"
[retention.r]
period = "P1Y"
[[fields]]
match = "*"
purposes = ["p"]
retention = "r"
"""
FORBIDDEN = {"Cc", "Cf", "Zl", "Zp", "Cs"}


def clean(text: str) -> bool:
    """No character in it but line feeds that a terminal obeys or nobody sees."""
    return not any(unicodedata.category(char) in FORBIDDEN for char in text.replace("\n", ""))


def no_commands(text: str) -> bool:
    """No line in it that a build runner obeys."""
    return not re.search(r"^\s*::|##\[|##vso\[", text, re.MULTILINE)


@pytest.fixture(params=NAMES.values(), ids=list(NAMES))
def name(request: pytest.FixtureRequest) -> str:
    hostile: str = request.param
    return hostile


@pytest.fixture
def folder(tmp_path: Path, name: str) -> Path:
    """The name as a column of three formats, as a key in an object, and as the name of a file and of a folder."""
    phone = "010-1234-5678"
    quoted = name.replace('"', '""')
    (tmp_path / "a.csv").write_text(f'id,"{quoted}"\n1,{phone}\n2,a@example.com\n', "utf-8", newline="")
    (tmp_path / "b.ndjson").write_text(json.dumps({name: {name: [phone]}}) + "\n", "utf-8")
    pq.write_table(
        pa.table({name: [phone], "m": pa.array([[(name, phone)]], pa.map_("string", "string"))}), tmp_path / "c.parquet"
    )
    if len(name) < 100:
        inner = tmp_path / name.replace("/", "_")
        inner.mkdir()
        (inner / f"{name.replace('/', '_')}.csv").write_text(f"phone\n{phone}\n", "utf-8")
        (inner / f"{name.replace('/', '_')}.parquet").write_bytes(b"PAR1 cut")
    return tmp_path


def test_text(folder: Path) -> None:
    """Tables and check results hold nothing that a terminal or a build runner obeys, at any width."""
    for width in ("40", "79", "100", "200"):
        result = run("scan", ".", cwd=folder, env={"COLUMNS": width})
        assert result.stdout.count("kr_phone_mobile") >= 4
        assert clean(result.stdout)
        assert no_commands(result.stdout)
    for command in (["check", "."], ["tag", "a.csv"]):
        (folder / "pii-guard.toml").write_text("version = 1\n", encoding="utf-8")
        result = run(*command, cwd=folder)
        assert result.stdout
        assert clean(result.output)
        assert no_commands(result.output)


def test_machine_formats(folder: Path, name: str) -> None:
    """JSON, JSON lines and CSV parse, hold no control character, start no formula; JSON loses nothing of the name."""
    as_json = run("scan", ".", "--format", "json", cwd=folder).stdout
    lines = run("scan", ".", "--format", "jsonl", cwd=folder).stdout
    checked = run("check", ".", "--format", "json", cwd=folder).stdout
    for text in (as_json, lines, checked):
        assert clean(text)
        assert no_commands(text)
    fields = json.loads(as_json)["fields"]
    assert [json.loads(line) for line in lines.splitlines()[:-1]] == fields
    columns = {entry["field"] for entry in fields if entry["source"] == "c.parquet"}
    assert name in {*columns, *(json.loads(column) for column in columns if column.startswith('"'))}
    text = run("scan", ".", "--format", "csv", cwd=folder).stdout
    assert clean(text)
    rows = list(csv.reader(io.StringIO(text)))
    assert len({len(row) for row in rows}) == 1
    assert not [cell for row in rows for cell in row if cell[:1] in tuple("=+-@\t\r＝＋－＠") and cell]


def test_errors(folder: Path, name: str) -> None:
    """An error about a hostile name is harmless too, whichever command it comes from."""
    name = name[:200]
    for arguments in (
        ["scan", f"{name}.missing"],
        ["scan", ".", "--only", name],
        [name],
        ["find", f"{name}.txt"],
        ["kinds", name],
        ["check", ".", "--policy", f"{name}.toml"],
        ["keys", "list", "--keys", name],
        ["protect", "a.csv", "--to", f"{name}.xyz"],
    ):
        result = run(*arguments, cwd=folder)
        assert (result.code, result.stdout) == (2, "")
        assert clean(result.stderr)
        assert no_commands(result.stderr)
        assert all(line.startswith("pii-guard: ") for line in result.stderr.splitlines())


@pytest.mark.parametrize("name", [NAMES["escape"], NAMES["c1"]], ids=["escape", "c1"], indirect=True)
def test_progress_on_a_terminal(folder: Path) -> None:
    """On a terminal the only escapes are our own: colours, and the moves of the progress line."""
    shown = on_terminal("scan", ".", cwd=folder)
    assert shown.code == 3
    rest = re.sub(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[\d?[AK]|\r", "", shown.stdout)
    assert "owned" not in rest or "\\x1b]0;owned" in rest
    assert clean(rest)


def test_plan_and_tags(folder: Path) -> None:
    """A protected table with hostile names is planned, written, listed and opened without harm."""
    (folder / "pii-guard.toml").write_text(POLICY, encoding="utf-8")
    assert run("keys", "init", cwd=folder).code == 0
    for command in (
        ["protect", "a.csv", "--to", "out.parquet"],
        ["reveal", "out.parquet", "--to", "back.parquet", "--purpose", "p"],
        ["reveal", "out.parquet", "--to", "no.parquet", "--purpose", "q"],
        ["keys", "list"],
        ["tag", "a.csv"],
    ):
        result = run(*command, cwd=folder)
        assert result.code == (2 if "q" in command else 0)
        assert clean(result.output)
        assert no_commands(result.output)
    assert pq.read_table(folder / "back.parquet").column(1).to_pylist() == ["010-1234-5678", "a@example.com"]
    for line in (folder / "pii-guard-keys" / "access.jsonl").read_bytes().splitlines():
        assert json.loads(line)["fields"]
