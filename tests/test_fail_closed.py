"""Fail closed: what was tried and not read is counted, named in every format, and exits 3; nothing is read as if it
were not there."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_runner import Result, run

import pii_guard
from pii_guard.connectors.base import os_reason, reading
from pii_guard.errors import ReadError

PHONE = "010-1234-5678"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Good files, and files that cannot be read, each for its own reason."""
    folder = tmp_path / "archive"
    folder.mkdir()
    (folder / "a.csv").write_text(f"phone\n{PHONE}\n", encoding="utf-8")
    (folder / "z.ndjson").write_text(f'{{"phone": "{PHONE}"}}\n', encoding="utf-8")
    pq.write_table(pa.table({"phone": [PHONE] * 100}), folder / "good.parquet")
    whole = (folder / "good.parquet").read_bytes()
    (folder / "cut.parquet").write_bytes(whole[:-20])
    (folder / "report.pdf").write_bytes(b"%PDF-1.7")
    (folder / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n\0")
    (folder / "gone.csv").symlink_to(folder / "nowhere.csv")
    return folder


def expected() -> set[tuple[str, str]]:
    return {
        ("archive/cut.parquet", "a truncated Parquet file: its end is missing"),
        ("archive/gone.csv", "no such file"),
        ("archive/report.pdf", "a PDF document, which no connector reads yet"),
    }


def from_json(text: str) -> tuple[bool, set[tuple[str, str]]]:
    report = json.loads(text)
    return report["complete"], {(item["source"], item["reason"]) for item in report["not_examined"]}


def from_jsonl(text: str) -> tuple[bool, set[tuple[str, str]]]:
    return from_json(json.dumps(json.loads(text.splitlines()[-1])["summary"]))


def from_csv(text: str) -> tuple[bool, set[tuple[str, str]]]:
    rows = list(csv.DictReader(io.StringIO(text)))
    failed = {(row["source"], row["evidence"]) for row in rows if row["record"] == "not_examined"}
    return "complete: true" in rows[-1]["evidence"], failed


def from_table(text: str) -> tuple[bool, set[tuple[str, str]]]:
    lines = [line.removeprefix("not examined: ") for line in text.splitlines() if line.startswith("not examined: ")]
    return "complete: true" in text, {
        (source, reason) for source, _, reason in (line.partition(": ") for line in lines)
    }


READERS: dict[str, Callable[[str], tuple[bool, set[tuple[str, str]]]]] = {
    "json": from_json,
    "jsonl": from_jsonl,
    "csv": from_csv,
    "table": from_table,
}


@pytest.mark.parametrize("form", READERS)
def test_every_format_names_what_was_not_read(archive: Path, form: str) -> None:
    """Every format says `complete: false`, names each source that failed with its reason, and the run exits 3."""
    result = run("scan", "archive", "--format", form, cwd=archive.parent)
    assert result.code == 3
    assert READERS[form](result.stdout) == (False, expected())


def test_the_rest_is_read(archive: Path) -> None:
    """Files behind a broken one are read all the same, and pictures are counted, not failed."""
    report = json.loads(run("scan", "archive", "--format", "json", cwd=archive.parent).stdout)
    assert {entry["source"]: entry["hits"] for entry in report["fields"]} == {
        "archive/a.csv": 1,
        "archive/good.parquet": 100,
        "archive/z.ndjson": 1,
    }
    assert report["out_of_scope"] == {"binary": 1}
    assert report["coverage"]["rows"] == 102


@pytest.mark.parametrize("name", ["rows.csv", "rows.ndjson", "rows.txt", "day=1/rows.csv"])
def test_text_of_no_known_encoding_is_not_read(tmp_path: Path, name: str) -> None:
    """Where it is most of a file, the file is named; what was found in the rest of it stays in the report."""
    rows = f'{{"phone": "{PHONE}"}}\n' if name.endswith("json") else f"phone\n{PHONE}\n"
    path = tmp_path / "data" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(rows.encode() + b"\xff\xfe\x81\n" * 1000)
    result = run("scan", "data", "--format", "json", cwd=tmp_path)
    report = json.loads(result.stdout)
    assert (result.code, report["complete"]) == (3, False)
    assert sum(entry["hits"] for entry in report["fields"]) == 1
    (left,) = report["not_examined"]
    assert left["reason"].endswith("most of its text is in no known encoding; --encoding says which it is")
    assert ("day=1/rows.csv" in left["source"] + left["reason"]) is name.startswith("day")
    path.write_bytes(rows.encode() * 1000 + b"\xff\xfe\x81\n")
    assert run("scan", "data", "--format", "json", cwd=tmp_path).code == 0


def test_the_library_says_so_too(archive: Path) -> None:
    """`pii_guard.scan` gives a report that is not complete."""
    report = pii_guard.scan(archive)
    assert not report.complete
    assert {Path(item.source).name for item in report.not_examined} == {"cut.parquet", "gone.csv", "report.pdf"}


@pytest.mark.parametrize("form", ["table", "json"])
def test_check_is_not_clean(archive: Path, form: str) -> None:
    """`check` of what it cannot read wholly exits 3 and never says plainly `clean`."""
    for name in ("a.csv", "z.ndjson", "good.parquet"):
        (archive / name).unlink()
    result = run("check", "archive", "--format", form, cwd=archive.parent)
    assert result.code == 3
    assert READERS[form](result.stdout)[0] is False
    assert "; clean\n" not in result.stdout
    assert result.stdout.count("PG010") == 3


def code(result: Result) -> int:
    assert "Traceback" not in result.output
    return result.code


def test_precedence_of_exit_codes(archive: Path) -> None:
    """2 (a mistake of the call) goes before 1 (findings), and 1 before 3 (incomplete); the report says all the same."""
    work = archive.parent
    for form in ("table", "json"):
        result = run("check", "archive", "--format", form, cwd=work)
        assert code(result) == 1
        assert READERS[form](result.stdout) == (False, expected())
    result = run("scan", "archive", "--fail-on", "likely", cwd=work)
    assert code(result) == 1
    assert READERS["table"](result.stdout) == (False, expected())
    assert code(run("scan", "archive", "--fail-on", "certain", cwd=work)) == 3
    for command in ("check", "scan"):
        result = run(command, "archive", "archive/none.csv", cwd=work)
        assert (code(result), result.stdout) == (2, "")
    (work / "pii-guard.toml").write_text("version = 0\n", encoding="utf-8")
    assert code(run("check", "archive", cwd=work)) == 2


def test_what_is_left_out_on_purpose_is_no_failure(archive: Path) -> None:
    """Excluded files are counted as out of scope, and the run is complete without them."""
    arguments = ("--exclude", "*.pdf", "--exclude", "cut.*", "--exclude", "gone.csv")
    result = run("scan", "archive", "--format", "json", *arguments, cwd=archive.parent)
    report = json.loads(result.stdout)
    assert (result.code, report["complete"]) == (0, True)
    assert report["out_of_scope"] == {"binary": 1, "excluded": 3}


def test_a_named_target_is_never_out_of_scope(archive: Path) -> None:
    """A picture that was asked for by name was tried and not read: exit 3, not success."""
    result = run("scan", "archive/photo.png", "--format", "json", cwd=archive.parent)
    assert (result.code, from_json(result.stdout)) == (3, (False, {("archive/photo.png", "binary")}))


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("a.ndjson", f'garbage {PHONE}\n{{"id": 1}}\n{{"phone": "010-0000-1111"\n[1, "{PHONE}"]\n', 3),
        ("a.csv", f"id,note\n1,x\n2,x,{PHONE}\n010-0000-1111\n", 2),
        ("b.csv", f'id,note\n1,x\n2,"never closed {PHONE}\n3,x\n', 1),
    ],
    ids=["ndjson", "ragged", "quote"],
)
def test_lines_that_do_not_parse_are_examined(tmp_path: Path, name: str, text: str, lines: int) -> None:
    """Lines that are no rows are searched as text, and counted."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    report = json.loads(run("scan", name, "--format", "json", cwd=tmp_path).stdout)
    found = sum(entry["hits"] for entry in report["fields"] if entry["kind"] == "kr_phone_mobile")
    assert found == text.count("010-")
    assert report["coverage"]["unparsed"] == lines
    assert f"{lines} line" in run("scan", name, cwd=tmp_path).stdout


def test_invalid_text_is_examined_and_counted(tmp_path: Path) -> None:
    """Values that are not valid UTF-8 are searched all the same, and counted."""
    binary = pa.array([b"\xff\xfe " + PHONE.encode(), PHONE.encode()], pa.binary())
    report = pii_guard.scan(pa.table({"phone": binary}))
    (finding,) = (finding for _, finding in report.findings)
    assert (finding.kind, finding.hits, report.coverage.invalid) == ("kr_phone_mobile", 2, 1)


def test_vanished_between_listing_and_reading(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is gone when its turn comes is named as not examined, and the others are read."""
    from pii_guard.connectors.formats import Format

    load = Format.load

    def vanish(form: Format) -> Any:
        (archive / "a.csv").unlink(missing_ok=True)
        return load(form)

    monkeypatch.setattr(Format, "load", vanish)
    result = run("scan", "archive", "--format", "json", cwd=archive.parent)
    complete, failed = from_json(result.stdout)
    assert (result.code, complete) == (3, False)
    assert ("archive/a.csv", "no such file") in failed


def test_read_errors_are_in_our_own_words() -> None:
    """An error of the operating system or of pyarrow becomes a ReadError that repeats nothing of its text."""
    for error in (
        OSError(5, PHONE),
        OSError(PHONE),
        pa.ArrowInvalid(PHONE),
        pa.ArrowException(PHONE),
        MemoryError(PHONE),
    ):
        with pytest.raises(ReadError) as caught, reading("a.csv"):
            raise error
        assert PHONE not in str(caught.value)
        assert str(caught.value).startswith("a.csv: ")
        assert caught.value.__suppress_context__
    assert os_reason(PermissionError(13, PHONE)) == "permission denied"
