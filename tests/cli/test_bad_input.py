"""Bad input ends in one clear line and an exit code, never in a traceback, and nothing in it goes unexamined."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_runner import Result, run

PHONE = "010-1234-5678"
OTHER = "010-0000-1111"


def scan(path: Path, *options: str) -> tuple[Result, dict[str, Any]]:
    result = run("scan", path, "--format", "json", *options, cwd=path.parent)
    assert result.stderr == ""
    return result, json.loads(result.stdout)


def hits(report: dict[str, Any], kind: str = "kr_phone_mobile") -> dict[str, int]:
    """Field -> values found of one kind."""
    return {entry["field"]: entry["hits"] for entry in report["fields"] if entry["kind"] == kind}


def refused(result: Result, code: int, *words: str) -> None:
    """One line on stderr, with `words` in it; nothing on stdout."""
    assert result.stdout == ""
    assert result.stderr.startswith("pii-guard: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr
    assert result.code == code


def left(folder: Path) -> set[str]:
    """The files of a folder, hidden ones too."""
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["empty.csv", "empty.parquet", "empty.ndjson", "empty.txt", "empty"])
def test_empty_file(tmp_path: Path, name: str) -> None:
    """A file of no bytes is read to its end: no rows, nothing found, complete."""
    (tmp_path / name).touch()
    result, report = scan(tmp_path / name)
    assert (result.code, report["complete"], report["fields"]) == (0, True, [])
    assert report["coverage"]["sources"] == 1
    assert report["coverage"]["rows"] == 0


def test_empty_table(desk: Path) -> None:
    """A table of columns without rows is scanned, checked, protected and revealed, and keeps its columns."""
    (desk / "empty.csv").write_text("id,phone\n", encoding="utf-8")
    _, report = scan(desk / "empty.csv")
    assert (report["coverage"]["fields"], report["coverage"]["rows"], report["fields"]) == (2, 0, [])
    assert run("protect", "empty.csv", "--to", "out.parquet", cwd=desk).code == 0
    assert pq.read_schema(desk / "out.parquet").names == ["id", "phone"]
    assert run("check", "out.parquet", cwd=desk).code == 0
    assert run("reveal", "out.parquet", "--to", "back.csv", "--purpose", "delivery", cwd=desk).code == 0
    with (desk / "back.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["id", "phone"]]


def test_truncated_parquet(desk: Path) -> None:
    """A Parquet file cut anywhere is not examined (exit 3), and `protect` and `reveal` write nothing of it."""
    buffer = io.BytesIO()
    pq.write_table(pa.table({"phone": [PHONE] * 500}), buffer)
    whole = buffer.getvalue()
    for size in (4, 11, 100, len(whole) // 2, len(whole) - 1):
        (desk / "cut.parquet").write_bytes(whole[:size])
        result, report = scan(desk / "cut.parquet")
        assert (result.code, report["complete"]) == (3, False)
        (item,) = report["not_examined"]
        assert item["source"].endswith("cut.parquet")
        refused(run("protect", "cut.parquet", "--to", "out.parquet", cwd=desk), 3, "cut.parquet", "truncated")
        arguments = ("--to", "out.parquet", "--purpose", "delivery")
        refused(run("reveal", "cut.parquet", *arguments, cwd=desk), 3, "cut.parquet", "truncated")
        assert "out.parquet" not in left(desk)


def test_damaged_parquet(tmp_path: Path) -> None:
    """A Parquet file with broken pages is not examined (exit 3); what is in it is not quoted."""
    buffer = io.BytesIO()
    pq.write_table(pa.table({"phone": [f"010-1234-{number:04}" for number in range(5000)]}), buffer)
    damaged = bytearray(buffer.getvalue())
    damaged[20:4000] = b"\xa5" * 3980
    (tmp_path / "bad.parquet").write_bytes(damaged)
    result, report = scan(tmp_path / "bad.parquet")
    assert (result.code, report["complete"]) == (3, False)
    assert "010-1234" not in result.output


def test_ragged_csv(desk: Path) -> None:
    """Rows of the wrong width are examined as text; `protect` names the first one's line and writes nothing."""
    (desk / "ragged.csv").write_text(f"id,phone\n1,{PHONE}\n2,{OTHER},x,y\n3\n", encoding="utf-8")
    result, report = scan(desk / "ragged.csv")
    assert result.code == 0
    assert report["coverage"]["unparsed"] == 2
    assert sum(hits(report).values()) == 2
    refused(run("protect", "ragged.csv", "--to", "out.parquet", cwd=desk), 3, "line 3", "4 columns", "2")
    assert "out.parquet" not in left(desk)


@pytest.mark.parametrize(
    "text",
    [
        f'id,phone,note\n1,{OTHER},"never closed\n2,{PHONE},x\n3,010-0000-2222,y\n',
        f'id,phone,note\n1,{OTHER},"cut "here" is {PHONE}\n3,010-0000-2222,y\n',
        f'id,phone,note\n1,{OTHER},"{PHONE}\n',
        f'"id,phone\n1,{OTHER}\n2,{PHONE}\n3,010-0000-2222\n',
    ],
    ids=["never closed", "stray", "last", "header"],
)
def test_unbalanced_quote(desk: Path, text: str) -> None:
    """What stands behind a stray quote is examined, whatever row or column it has fallen out of."""
    (desk / "quote.csv").write_text(text, encoding="utf-8")
    _, report = scan(desk / "quote.csv")
    assert sum(hits(report).values()) >= len({PHONE, OTHER, "010-0000-2222"} & set(text.replace('"', ",").split(",")))
    result = run("protect", "quote.csv", "--to", "out.parquet", "--quiet", cwd=desk)
    assert result.code in (1, 3)
    assert result.stderr.startswith("pii-guard: quote")
    assert "out.parquet" not in left(desk)


def test_nul_bytes(desk: Path) -> None:
    """NUL bytes are data: the values around them are found and come back from encryption as they were."""
    (desk / "nul.csv").write_bytes(f"phone,note\n{PHONE},a\0b\n{OTHER},\0\n".encode())
    _, report = scan(desk / "nul.csv")
    assert hits(report) == {"phone": 2}
    assert run("protect", "nul.csv", "--to", "out.parquet", cwd=desk).code == 0
    assert run("reveal", "out.parquet", "--to", "back.parquet", "--purpose", "delivery", cwd=desk).code == 0
    assert pq.read_table(desk / "back.parquet").to_pydict() == {"phone": [PHONE, OTHER], "note": ["a\0b", "\0"]}


def test_duplicate_and_empty_column_names(desk: Path) -> None:
    """Columns of one name and columns without a name are fields of their own, each found and each encrypted."""
    (desk / "twice.csv").write_text(f"phone,phone,,\n{PHONE},{OTHER},a@example.com,b@example.com\n", encoding="utf-8")
    _, report = scan(desk / "twice.csv")
    assert hits(report) == {"phone": 1, "phone#2": 1}
    assert sum(hits(report, "email").values()) == 2
    with (desk / "pii-guard.toml").open("a", encoding="utf-8") as file:
        file.write('\n[[fields]]\nmatch = "twice.*"\npurposes = ["delivery"]\nretention = "contract"\n')
    assert run("protect", "twice.csv", "--to", "out.parquet", cwd=desk).code == 0
    written = pq.ParquetFile(desk / "out.parquet").read()
    assert written.column_names == ["phone", "phone", "", ""]
    for column in written.columns:
        assert not {PHONE, OTHER, "a@example.com", "b@example.com"} & set(column.to_pylist())
    assert run("reveal", "out.parquet", "--to", "back.csv", "--purpose", "delivery", cwd=desk).code == 0
    with (desk / "back.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file))[1] == [PHONE, OTHER, "a@example.com", "b@example.com"]


def test_windows_line_ends(desk: Path) -> None:
    """CRLF ends a row as LF does: no carriage return stays in a value or a column name."""
    (desk / "dos.csv").write_bytes(f"id,phone\r\n1,{PHONE}\r\n2,{OTHER}\r\n".encode())
    _, report = scan(desk / "dos.csv")
    assert hits(report) == {"phone": 2}
    assert run("protect", "dos.csv", "--to", "out.parquet", cwd=desk).code == 0
    assert run("reveal", "out.parquet", "--to", "back.parquet", "--purpose", "delivery", cwd=desk).code == 0
    assert pq.read_table(desk / "back.parquet").to_pydict() == {"id": ["1", "2"], "phone": [PHONE, OTHER]}


def test_cp949(tmp_path: Path) -> None:
    """A file in CP949 gives the report of the same file in UTF-8."""
    text = f"고객명,전화번호\n홍길동,{PHONE}\n김영희,{OTHER}\n"
    (tmp_path / "people.csv").write_text(text, encoding="utf-8")
    _, expected = scan(tmp_path / "people.csv")
    (tmp_path / "people.csv").write_text(text, encoding="cp949")
    _, report = scan(tmp_path / "people.csv")
    assert report["fields"] == expected["fields"]
    assert hits(report) == {"전화번호": 2}


def test_file_name_that_is_no_utf8(desk: Path) -> None:
    """A file whose name is not UTF-8 is read, named with escapes in every format, and protected like any other."""
    name = os.fsdecode(b"bad\xff.csv")
    (desk / name).write_text(f"phone\n{PHONE}\n", encoding="utf-8")
    for form in ("table", "json", "jsonl", "csv"):
        result = run("scan", name, "--format", form, cwd=desk)
        assert (result.code, result.stderr) == (0, "")
        assert "xff.csv" in result.stdout
    assert run("check", name, cwd=desk).code == 1
    assert run("find", name, cwd=desk).code == 0
    refused(run("scan", os.fsdecode(b"bad\xfe.csv"), cwd=desk), 2, "no such file", "did you mean", "xff.csv")
    result = run("protect", name, "--to", os.fsdecode(b"out\xff.parquet"), cwd=desk)
    assert (result.code, result.stderr) == (0, "")


def test_missing_targets_come_first(tmp_path: Path) -> None:
    """Where one of several targets is missing, that is the answer (exit 2), and no file is read or written."""
    (tmp_path / "customers.csv").write_text(f"phone\n{PHONE}\n", encoding="utf-8")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    for command in (["scan", "--fail-on", "possible"], ["check"], ["scan", "--output", "report.txt"]):
        result = run(*command, "broken.parquet", "customers.csv", "customer.csv", cwd=tmp_path)
        refused(result, 2, "customer.csv: no such file or directory; did you mean customers.csv?")
    assert left(tmp_path) == {"customers.csv", "broken.parquet"}


def test_an_empty_target(desk: Path) -> None:
    """A variable that is not set is no success: the working directory was not meant."""
    for command in ("scan", "check"):
        done = run(command, "", cwd=desk)
        assert (done.code, done.stdout) == (2, "")
        assert "a target is empty" in done.stderr


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without permission is not examined (exit 3), and the others are."""
    (tmp_path / "locked.csv").write_text(f"phone\n{PHONE}\n", encoding="utf-8")
    (tmp_path / "open.csv").write_text(f"phone\n{OTHER}\n", encoding="utf-8")
    (tmp_path / "locked.csv").chmod(0)
    if os.access(tmp_path / "locked.csv", os.R_OK):  # root may read all: the system's answer is given for it
        opened = Path.open

        def denied(path: Path, *arguments: Any, **options: Any) -> Any:
            if path.name == "locked.csv":
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return opened(path, *arguments, **options)

        monkeypatch.setattr(Path, "open", denied)
    result = run("scan", ".", "--format", "json", cwd=tmp_path)
    report = json.loads(result.stdout)
    assert (result.code, result.stderr, hits(report)) == (3, "", {"phone": 1})
    assert report["not_examined"] == [{"source": "locked.csv", "reason": "permission denied"}]
    assert run("check", ".", cwd=tmp_path).code == 1
    refused(run("find", "locked.csv", cwd=tmp_path), 3, "locked.csv: permission denied")


def test_standard_input(tmp_path: Path) -> None:
    """`find -` reads standard input, in UTF-8 and CP949, empty and without a last line feed."""
    for encoding in ("utf-8", "cp949"):
        result = run("find", "-", "--format", "jsonl", stdin=f"연락처\n전화 {PHONE}".encode(encoding))
        assert (result.code, result.stderr) == (0, "")
        hit = json.loads(result.stdout)
        assert (hit["kind"], hit["line"], hit["column"]) == ("kr_phone_mobile", 2, 4)
    assert run("find", "-").stdout == "nothing was found\n"


def test_report_file(tmp_path: Path) -> None:
    """--output holds what stdout would, replaces an older report, and leaves nothing else behind."""
    (tmp_path / "a.csv").write_text(f"phone\n{PHONE}\n", encoding="utf-8")
    shown = run("scan", "a.csv", "--format", "json", cwd=tmp_path).stdout
    (tmp_path / "report.json").write_text("old", encoding="utf-8")
    for _ in range(2):
        result = run("scan", "a.csv", "--format", "json", "--output", "report.json", cwd=tmp_path)
        assert (result.code, result.stdout, result.stderr) == (0, "", "")
        assert (tmp_path / "report.json").read_text(encoding="utf-8") == shown
    assert left(tmp_path) == {"a.csv", "report.json"}


def test_report_into_a_device_or_link(tmp_path: Path) -> None:
    """--output writes through a link and into a device; neither becomes a file of its own."""
    (tmp_path / "a.csv").write_text(f"phone\n{PHONE}\n", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "report.txt")
    assert run("scan", "a.csv", "--output", "link", cwd=tmp_path).code == 0
    assert (tmp_path / "link").is_symlink()
    assert "a.phone" in (tmp_path / "report.txt").read_text(encoding="utf-8")
    (tmp_path / "null").symlink_to(os.devnull)  # by way of a link: a mistake here must not destroy the device itself
    assert run("scan", "a.csv", "--output", "null", cwd=tmp_path).code == 0
    assert (tmp_path / "null").is_symlink()
    assert not Path(os.devnull).is_file()


def test_commands_without_arguments() -> None:
    """A group without a command shows its help on stderr and exits 2."""
    for arguments in ([], ["keys"]):
        result = run(*arguments)
        assert (result.code, result.stdout) == (2, "")
        assert result.stderr.startswith("Usage: pii-guard")


def test_unforeseen_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody foresaw is one line with its place (exit 70): no message of it, which may quote a value."""

    def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError(f"cannot handle {PHONE}")

    monkeypatch.setattr("pii_guard.cli.scan.scan_targets", broken)
    result = run("scan", tmp_path)
    refused(result, 70, "internal error (RuntimeError at test_bad_input.py:", "please report")
    assert PHONE not in result.output
