"""No raw value leaves: planted values are looked for in everything that any command or call gives out."""

from __future__ import annotations

import io
import json
import logging
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from canaries import ACCOUNT, CANARIES, CARD, EMAIL, NAME, PHONE, RRN, SENTENCE, csv, leaks, plant, sources
from cli_runner import Result, run
from guards import opened
from policies import HEAD

import pii_guard
from pii_guard import connectors
from pii_guard.check import check
from pii_guard.detectors import select
from pii_guard.engine.text import Text
from pii_guard.errors import PiiGuardError
from pii_guard.finder import find_in_stream
from pii_guard.scanner import Progress, scan_targets

POLICY = (
    HEAD
    + """\
[[fields]]
match = "*.*"
purposes = ["delivery"]
retention = "contract"
"""
)
SOURCES = sorted(sources())


@pytest.fixture(autouse=True)
def silent_logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a test does, no log record of any library at any level holds a canary."""
    caplog.set_level(logging.DEBUG)
    yield
    assert leaks(caplog.text) == []


@pytest.fixture
def nest(tmp_path: Path) -> Path:
    plant(tmp_path / "nest")
    (tmp_path / "all.toml").write_text(POLICY, encoding="utf-8")
    (tmp_path / "none.toml").write_text("version = 1\n", encoding="utf-8")
    assert run("keys", "init", "--keys", "ring", cwd=tmp_path).code == 0
    return tmp_path


def silent(result: Result) -> Result:
    """A result in which no canary is, and which is no fault of ours."""
    assert leaks(result.output) == []
    assert "Traceback" not in result.output
    assert result.code in (0, 1, 2, 3)
    return result


@pytest.mark.parametrize("name", SOURCES, ids=ascii)
def test_reading_commands(nest: Path, name: str) -> None:
    """`scan`, `find` and `check` say nothing of a source's values, in any format, on stdout, stderr or in a file."""
    source = f"nest/{name}"
    for form in ("table", "json", "jsonl", "csv"):
        silent(run("scan", source, "--format", form, cwd=nest))
        run("scan", source, "--format", form, "--output", "report", cwd=nest)
        assert leaks((nest / "report").read_text(encoding="utf-8")) == []
    silent(run("scan", source, env={"COLUMNS": "60"}, cwd=nest))
    for form in ("table", "jsonl"):
        silent(run("find", source, "--format", form, cwd=nest))
    for policy in ("all.toml", "none.toml"):
        for form in ("table", "json"):
            silent(run("check", source, "--policy", policy, "--format", form, cwd=nest))


@pytest.mark.parametrize("name", SOURCES, ids=ascii)
def test_writing_commands(nest: Path, name: str) -> None:
    """`tag`, `protect` and `reveal` say nothing either, nor do the tags, the keys and the access records they leave."""
    source = f"nest/{name}"
    silent(run("tag", source, "--policy", "none.toml", cwd=nest))
    silent(run("tag", source, "--policy", "all.toml", cwd=nest))
    ring = ("--keys", "ring", "--policy")
    silent(run("protect", source, "--to", "out.parquet", *ring, "none.toml", cwd=nest))
    for target in ("out.parquet", "out.csv", "out.ndjson"):
        silent(run("protect", source, "--to", target, "--overwrite", *ring, "all.toml", cwd=nest))
    for protected in (source, "out.parquet", "out.csv", "out.ndjson"):
        for purpose in ("delivery", "support", "marketing"):
            arguments = ("--purpose", purpose, "--overwrite", *ring, "all.toml")
            silent(run("reveal", protected, "--to", "back.parquet", *arguments, cwd=nest))
    silent(run("keys", "list", "--keys", "ring", cwd=nest))
    kept = [*(nest / "ring").iterdir(), *nest.rglob("pii-guard.tags.toml")]
    for path in kept:
        assert leaks(path.read_text(encoding="utf-8")) == [], path.name


def test_a_directory_of_all(nest: Path) -> None:
    """One run over all sources, with findings, broken files and files out of scope, says nothing in any format."""
    for form in ("table", "json", "jsonl", "csv"):
        result = silent(run("scan", "nest", "--format", form, cwd=nest))
        assert (result.code, result.stderr) == (3, "")
    for kind in ("email", "kr_phone_mobile", "credit_card", "kr_rrn", "kr_bank_account", "person_name_ko"):
        assert kind in silent(run("scan", "nest", "--format", "csv", cwd=nest)).stdout
    silent(run("check", "nest", "--policy", "all.toml", cwd=nest))


def test_protected_data(nest: Path) -> None:
    """What `protect` writes holds no canary in a cell, and a revealed copy holds them all again."""
    arguments = ("--keys", "ring", "--policy", "all.toml")
    for name in ("cells.csv", "cp949.csv", "utf16.csv", "nul.csv"):
        run("protect", f"nest/{name}", "--to", "out.parquet", "--overwrite", *arguments, cwd=nest)
        table = pq.read_table(nest / "out.parquet")
        assert table.num_rows == 30
        assert leaks(json.dumps(table.to_pylist())) == []
        run(
            "reveal",
            "out.parquet",
            "--to",
            "back.parquet",
            "--overwrite",
            "--purpose",
            "delivery",
            *arguments,
            cwd=nest,
        )
        assert len(leaks(json.dumps(pq.read_table(nest / "back.parquet").to_pylist(), ensure_ascii=False))) > 6


@pytest.mark.parametrize(
    "members",
    [
        *('protection = "redact"', 'protection = "mask"', 'protection = "hmac"', "index = 8", "index = true"),
        'mode = "deterministic"\nreason = "joined"\nforce = true',
        'mode = "deterministic"\nreason = "joined"',
        'protection = "encrypt-spans"',
    ],
)
def test_every_protection(nest: Path, members: str) -> None:
    """Whatever a rule asks for, done or refused, neither the command nor the new table says a value."""
    (nest / "rule.toml").write_text(f"{POLICY}{members}\n", encoding="utf-8")
    pq.write_table(pa.table({"memo": [SENTENCE] * 20}), nest / "memo.parquet")
    for source in ("nest/cells.csv", "nest/cp949.csv", "memo.parquet"):
        arguments = ("--to", "out.parquet", "--overwrite", "--keys", "ring", "--policy", "rule.toml")
        result = silent(run("protect", source, *arguments, cwd=nest))
        if result.code == 0:
            cells = json.dumps(pq.read_table(nest / "out.parquet").to_pylist(), ensure_ascii=False)
            assert leaks(cells) == []
            silent(run("check", "out.parquet", "--policy", "rule.toml", cwd=nest))
        else:
            # equal values can be told apart, few cannot be indexed, numbers that their column tells are no spans
            assert "mode" in members or members == "index = true" or ("spans" in members and source != "memo.parquet")


def test_commands_on_tokens(nest: Path) -> None:
    """Moving tokens, verifying them and destroying their keys say nothing of the values, where they open and where
    they do not."""
    ring = ("--keys", "ring")
    run("protect", "nest/cells.csv", "--to", "out.parquet", *ring, "--policy", "all.toml", cwd=nest)
    assert silent(run("keys", "rotate", "--retention", "contract", *ring, cwd=nest)).code == 0
    assert silent(run("reencrypt", "out.parquet", "--in-place", *ring, cwd=nest)).code == 0
    assert leaks((nest / "out.parquet").read_bytes().decode("latin-1")) == []
    assert silent(run("keys", "export-marker", "markers.json", *ring, cwd=nest)).code == 0
    assert silent(run("keys", "destroy", "--retention", "contract", "--yes", *ring, cwd=nest)).code == 0
    for options in (ring, ("--markers", "markers.json")):
        for form in ("table", "json"):
            silent(run("scan", "out.parquet", *options, "--format", form, cwd=nest))
            silent(run("check", "out.parquet", *options, "--format", form, "--policy", "all.toml", cwd=nest))
    assert silent(run("reencrypt", "out.parquet", "--in-place", *ring, cwd=nest)).code == 2


@pytest.mark.parametrize("canary", [PHONE, EMAIL, RRN, CARD], ids=["phone", "email", "rrn", "card"])
def test_mistakes(nest: Path, canary: str) -> None:
    """A value in an argument of any command is not repeated by the error about it."""
    for arguments in (
        [canary],
        [f"--{canary}"],
        ["scan", canary],
        ["scan", "nest/cells.csv", canary],
        ["scan", f"{canary}://x"],
        ["scan", f"nest/{canary}.cvs"],
        ["scan", "nest", "--only", canary],
        ["scan", "nest", "--except", f"email,{canary}"],
        ["scan", "nest", "--format", canary],
        ["scan", "nest", "--fail-on", canary],
        ["scan", "nest", "--output", f"{canary}/report"],
        ["scan", "nest", f"--{canary}"],
        ["find", f"{canary}.txt"],
        ["find", "nest", "--only", canary],
        ["check", "nest", "--policy", f"{canary}.toml"],
        ["kinds", canary],
        ["keys", canary],
        ["keys", "init", "--keys", f"{canary}/ring"],
        ["keys", "list", "--keys", canary],
        ["doctor", "--keys", f"{canary}"],
        ["tag", f"{canary}.csv"],
        ["protect", f"{canary}.csv", "--to", "x.csv"],
        ["protect", "nest/cells.csv", "--to", f"{canary}/x.csv", "--policy", "all.toml"],
        ["protect", "nest/cells.csv", "--to", f"{canary}.xlsx", "--policy", "all.toml"],
        ["protect", "nest/cells.csv", "--to", "x.csv", "--keys", canary, "--policy", "all.toml"],
        ["reveal", "nest/cells.csv", "--to", "x.csv", "--keys", "ring", "--policy", "all.toml", "--purpose", canary],
    ):
        silent(run(*arguments, cwd=nest))


def test_names_that_commands_make(nest: Path) -> None:
    """A target, key directory or policy that is named like a value is masked in what is said of it."""
    arguments = ("--keys", f"{EMAIL} ring", "--policy", f"{PHONE}.toml")
    (nest / f"{PHONE}.toml").write_text(POLICY, encoding="utf-8")
    assert silent(run("keys", "init", "--keys", f"{EMAIL} ring", cwd=nest)).code == 0
    assert silent(run("protect", "nest/cells.csv", "--to", f"{EMAIL}.parquet", *arguments, cwd=nest)).code == 0
    assert silent(run("protect", "nest/cells.csv", "--to", f"{EMAIL}.parquet", *arguments, cwd=nest)).code == 2
    reveal = ("reveal", f"{EMAIL}.parquet", "--to", f"{PHONE}.csv", "--purpose", "delivery", *arguments)
    assert silent(run(*reveal, cwd=nest)).code == 0
    silent(run("keys", "list", "--keys", f"{EMAIL} ring", cwd=nest))
    silent(run("doctor", "--keys", f"{EMAIL} ring", cwd=nest))
    silent(run("tag", f"nest/{EMAIL}.csv", "--policy", f"{PHONE}.toml", cwd=nest))


def test_mistakes_in_policy_and_tags(nest: Path) -> None:
    """A value in a policy or sidecar file is not repeated by the errors about it."""
    broken = f"""\
version = 1
"{EMAIL}" = "{PHONE}"

[purposes."{PHONE}"]
title = 5

[[fields]]
match = "{EMAIL}"
purposes = ["{RRN}"]
retention = "{CARD}"
kind = "{PHONE}"
"""
    (nest / "pii-guard.toml").write_text(broken, encoding="utf-8")
    for command in (["check"], ["tag"], ["protect", "--to", "x.csv"], ["doctor"]):
        source = [] if command == ["doctor"] else ["nest/cells.csv"]
        assert silent(run(*command, *source, cwd=nest)).code == 2
    (nest / "pii-guard.toml").unlink()
    (nest / "nest" / "pii-guard.tags.toml").write_text(f'version = 1\n[fields."{PHONE}"]\n"{EMAIL}" = 5\n', "utf-8")
    for command in (["check"], ["tag"]):
        assert silent(run(*command, "nest/cells.csv", "--policy", "all.toml", cwd=nest)).code == 2
    (nest / "nest" / "pii-guard.tags.toml").write_text(f'version = "{PHONE}" "{EMAIL}"\n', "utf-8")
    assert silent(run("check", "nest/cells.csv", "--policy", "all.toml", cwd=nest)).code == 2


def test_passphrases_and_damaged_tokens(nest: Path) -> None:
    """Neither a passphrase nor a value shows where a key directory does not open, or tokens do not."""
    for name, content in (("right", f"{SENTENCE}\n"), ("wrong", f"{PHONE} wrong\n"), ("latin", "")):
        (nest / name).write_text(content, encoding="utf-8")
    (nest / "latin").write_bytes(f"{PHONE}\xff\n".encode("latin-1"))
    ring = ("--keys", "locked", "--policy", "all.toml", "--passphrase-file")
    silent(run("keys", "init", "--keys", "locked", "--passphrase-file", "right", cwd=nest))
    assert silent(run("protect", "nest/cells.csv", "--to", "out.parquet", *ring, "right", cwd=nest)).code == 0
    for name in ("wrong", "latin", EMAIL):
        reveal = ("reveal", "out.parquet", "--to", "back.csv", "--purpose", "delivery", *ring, name)
        assert silent(run(*reveal, cwd=nest)).code == 2
    table = pq.read_table(nest / "out.parquet")
    tokens = table["phone"].to_pylist()
    half = [PHONE, f"{tokens[0]}{PHONE}", tokens[0][:-9], tokens[0].swapcase(), *tokens[4:]]
    table = table.set_column(table.schema.get_field_index("phone"), table.schema.field("phone"), pa.array(half))
    pq.write_table(table, nest / "damaged.parquet")
    reveal = ("reveal", "damaged.parquet", "--to", "back.csv", "--purpose", "delivery", *ring, "right")
    result = silent(run(*reveal, cwd=nest))
    assert result.code == 3
    assert "customers.phone" not in result.stderr
    assert "cells.phone: 4 value(s)" in result.stderr
    assert not (nest / "back.csv").exists()
    for path in (nest / "locked").iterdir():
        assert leaks(path.read_text(encoding="utf-8")) == []


# --- Python ----------------------------------------------------------------------------------------------------------


def shown(value: object) -> str:
    return f"{value!r} {value}"


def said(error: BaseException) -> str:
    """All that Python shows of an error that nobody caught, and its repr."""
    return "".join(traceback.format_exception(error)) + repr(error) + repr(error.args)


def harmless(call: Callable[[], object]) -> None:
    """A call that gives something without a canary in it, or raises an error of ours that quotes none."""
    try:
        given = call()
    except PiiGuardError as error:
        text = said(error)
    else:
        text = given if isinstance(given, str) else ""
    assert leaks(text) == []


class Exploding:
    """A stream of another library that breaks, and quotes a value."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        def batches() -> Iterator[pa.RecordBatch]:
            yield pa.record_batch({"phone": [PHONE]})
            raise ValueError(f"Could not convert {PHONE} with {EMAIL}")

        reader = pa.RecordBatchReader.from_batches(pa.schema([("phone", "string")]), batches())
        return reader.__arrow_c_stream__(requested_schema)


def duckdb_cast() -> Any:
    import duckdb

    return duckdb.sql(f"select cast(phone as integer) from (values ('{PHONE}'), ('{EMAIL}')) as t(phone)")


def pandas_mixed() -> Any:
    import pandas

    return pandas.DataFrame({"phone": pandas.Series([PHONE, 5, {"a": EMAIL}], dtype=object)})


def polars_mixed() -> Any:
    import polars

    return polars.DataFrame({"phone": pa.array([PHONE]).to_pylist(), "o": [object()]}, strict=False)


BAD_DATA: dict[str, Callable[[], Any]] = {
    "exploding": Exploding,
    "duckdb": duckdb_cast,
    "pandas": pandas_mixed,
    "polars": polars_mixed,
    "text": lambda: SENTENCE,
    "texts": lambda: [SENTENCE],
    "rows and texts": lambda: [{"phone": PHONE}, SENTENCE],
    "rows of many types": lambda: [{"phone": PHONE}, {"phone": 5}, {"phone": {"x": EMAIL}}, {"phone": [RRN, 1]}],
    "broken unicode": lambda: [{"phone": f"{PHONE}\ud800"}],
    "broken name": lambda: [{f"{PHONE}\ud800": 1}],
    "dict": lambda: {"phone": PHONE},
    "path": lambda: f"{PHONE}.csv",
    "nul": lambda: f"{PHONE}\0",
    "number": lambda: int(PHONE.replace("-", "")),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_errors_about_data(nest: Path, case: str) -> None:
    """Data that cannot be read raises an error of ours without a value in it, in its cause or in its context."""
    guard = pii_guard.Guard(nest / "all.toml", nest / "ring")
    make = BAD_DATA[case]
    harmless(lambda: pii_guard.scan(make()))
    harmless(lambda: guard.protect(make()).read_all())
    harmless(lambda: opened(guard, make(), purpose="delivery"))
    harmless(lambda: opened(guard, make(), purpose="marketing"))


@pytest.mark.parametrize(
    "texts",
    [
        [f"{PHONE}\ud800"],
        [SENTENCE, 5],
        [5, SENTENCE],
        [{"phone": PHONE}],
        [[SENTENCE], SENTENCE],
        [SENTENCE.encode()],
        SENTENCE,
        {PHONE: 1},
        pa.array([{"phone": PHONE}]),
        pa.array([[PHONE]]),
        5,
    ],
    ids=lambda texts: type(texts).__name__,
)
def test_errors_about_texts(texts: Any) -> None:
    """`find` gives a table without a text in it, or raises an error of ours that quotes none."""
    harmless(lambda: pii_guard.find(texts).to_string(preview_cols=100))


@pytest.mark.parametrize("name", SOURCES, ids=ascii)
def test_objects(nest: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No public object shows a value in its repr or str: reports, findings, violations, plans, tags, tables, errors."""
    monkeypatch.chdir(nest)
    source = f"nest/{name}"
    seen: list[object] = []
    report = scan_targets([source], detectors=select(), progress=seen.append)
    assert all(isinstance(item, Progress) for item in seen)
    seen += [
        report,
        *report.fields,
        *report.findings,
        *report.not_examined,
        *(str(each.field) for each in report.fields),
    ]
    guard = pii_guard.Guard("all.toml", "ring")
    result = check(report, guard.policy, {})
    seen += [result, *result.violations, *result.warnings, guard, guard.keys, guard.audit, guard.policy]
    seen += find_in_stream(io.BytesIO((nest / source).read_bytes()), select())
    with suppress(PiiGuardError):
        reader = next(connectors.open(source).tables()).reader()
        seen += guard.plan(reader, report=report)
    for item in seen:
        assert leaks(shown(item)) == [], type(item).__name__


@pytest.mark.parametrize("name", [name for name in SOURCES if not leaks(name)])
def test_errors_about_sources(nest: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No error about a source holds a value of it. (The source's own name is what the caller gave.)"""
    monkeypatch.chdir(nest)
    guard, strict = (pii_guard.Guard(policy, "ring") for policy in ("all.toml", "none.toml"))

    def reader() -> pa.RecordBatchReader:
        return next(connectors.open(f"nest/{name}").tables()).reader()

    harmless(lambda: reader().read_all())
    harmless(lambda: guard.protect(reader(), table="people").read_all())
    harmless(lambda: strict.protect(reader(), table="people").read_all())
    harmless(lambda: strict.protect(reader().read_all(), table="people").read_all())
    harmless(lambda: opened(guard, reader(), purpose="delivery"))
    harmless(lambda: opened(guard, reader(), purpose="marketing"))


def test_secrets(nest: Path) -> None:
    """No handle of a key shows the key."""
    key = nest / "ring" / "root.secret"
    secret = key.read_text(encoding="utf-8").strip()
    ring = pii_guard.Keyring.open(nest / "ring")
    column = ring.encryption_key("customers.phone", "contract", ["delivery"])
    for handle in (ring, column, ring.marker_key(column.key_id), *ring.records()):
        assert secret not in shown(handle)
        with suppress(TypeError):
            assert secret not in repr(vars(handle))


def test_internal_text_is_not_shown() -> None:
    """The buffers of the engine have no repr that prints their bytes as text."""
    assert leaks(shown(Text.of(pa.array([SENTENCE])))) == []


def test_canaries_are_found(tmp_path: Path) -> None:
    """The tests above can fail: each canary is personal data to the scanner, and `leaks` sees it in every form."""
    (tmp_path / "cells.csv").write_text(csv(), encoding="utf-8")
    report = json.loads(run("scan", "cells.csv", "--format", "json", cwd=tmp_path).stdout)
    kinds = {entry["kind"] for entry in report["fields"]}
    assert len(kinds) >= len(CANARIES)
    for value in CANARIES.values():
        assert leaks(f"x{value}y")
        assert leaks(value.replace("-", " "))
    assert leaks(os.fsdecode(NAME.encode()))
    assert leaks(f"{ACCOUNT}")
