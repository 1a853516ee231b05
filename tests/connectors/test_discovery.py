"""From a target to sources."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from pii_guard import connectors, scan
from pii_guard.connectors import OutOfScope, Source
from pii_guard.errors import ReadError, TargetError
from pii_guard.reports import NotExamined

Found = Source | NotExamined | OutOfScope


def shown(found: Iterator[Found], root: Path) -> list[tuple[str, str]]:
    """(path below root, format or reason) of each."""
    return [
        (os.path.relpath(item.target, root), item.format)
        if isinstance(item, Source)
        else (os.path.relpath(item.source, root), f"{type(item).__name__}: {item.reason}")
        for item in found
    ]


def test_walk_in_order(tmp_path: Path) -> None:
    """A directory is walked by name, files and directories alike; each file by its format."""
    for name in ("b/2.csv", "b/10.ndjson", "a.txt", "c.log", "README", "가/x.tsv", "b/.env"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x\n")
    assert shown(connectors.discover(str(tmp_path)), tmp_path) == [
        ("README", "text"),
        ("a.txt", "text"),
        ("b/.env", "text"),
        ("b/10.ndjson", "ndjson"),
        ("b/2.csv", "csv"),
        ("c.log", "text"),
        ("가/x.tsv", "csv"),
    ]


def test_out_of_scope(tmp_path: Path) -> None:
    """Hidden directories, pictures, programs, our own files and keys, links to directories and pipes are left out.

    A damaged archive is not.
    """
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.csv").write_text("a\n1\n")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "keyring.json").write_text("{}")
    (tmp_path / "access.jsonl").write_text("{}")
    (tmp_path / "pii-guard.toml").write_text("")
    (tmp_path / "photo.JPG").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "blob").write_bytes(b"abc\0def")
    (tmp_path / "damaged.xz").write_bytes(b"abc\0def")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    reasons = dict(shown(connectors.discover(str(tmp_path)), tmp_path))
    assert reasons == {
        ".git": "OutOfScope: a hidden directory",
        "access.jsonl": "OutOfScope: a file of pii-guard",
        "blob": "OutOfScope: binary",
        "damaged.xz": "NotExamined: binary",
        "keys": "OutOfScope: a key directory of pii-guard",
        "loop": "OutOfScope: a link to a directory",
        "photo.JPG": "OutOfScope: binary",
        "pii-guard.toml": "OutOfScope: a file of pii-guard",
        "pipe": "OutOfScope: not a regular file",
    }


def test_not_examined(tmp_path: Path) -> None:
    """Documents and archives may hold personal data: they count as not examined, and so do links to nothing."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("word/document.xml", "y")
    (tmp_path / "1.docx").write_bytes(archive.getvalue())
    (tmp_path / "2.pdf").write_bytes(b"%PDF-1.7\n")
    (tmp_path / "3.dump").write_bytes(b"PGDMP\1")
    (tmp_path / "4.7z").write_bytes(b"7z\xbc\xaf\x27\x1c")
    (tmp_path / "5").symlink_to("nowhere")
    (tmp_path / "6.csv").write_text("a\n")
    assert [reason for _, reason in shown(connectors.discover(str(tmp_path)), tmp_path)] == [
        "NotExamined: a Word document, which no connector reads yet",
        "NotExamined: a PDF document, which no connector reads yet",
        "NotExamined: a PostgreSQL dump in the custom format, which no connector reads yet",
        "NotExamined: a 7z archive, which no connector reads yet",
        "NotExamined: no such file",
        "csv",
    ]


def test_exclude(tmp_path: Path) -> None:
    """A pattern leaves out what matches by name or by path; a directory with all that is in it."""
    for name in ("a/x.csv", "a/y.csv", "b/x.csv", "b/z.log"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x\n")
    assert shown(connectors.discover(str(tmp_path), exclude=["a/x*", "*.log"]), tmp_path) == [
        ("a/x.csv", "OutOfScope: excluded"),
        ("a/y.csv", "csv"),
        ("b/x.csv", "csv"),
        ("b/z.log", "OutOfScope: excluded"),
    ]
    assert shown(connectors.discover(str(tmp_path), exclude=["b"]), tmp_path)[-1] == ("b", "OutOfScope: excluded")


def test_what_is_named_is_tried(tmp_path: Path) -> None:
    """A file that the user names is read, or not examined; never out of scope."""
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\0")
    (tmp_path / "pii-guard.toml").write_text("x = 1\n")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.csv").write_text("a\n")
    os.mkfifo(tmp_path / "pipe")
    assert list(connectors.discover(str(tmp_path / "photo.png"))) == [
        NotExamined((tmp_path / "photo.png").as_posix(), "binary")
    ]
    assert list(connectors.discover(str(tmp_path / "pipe"))) == [
        NotExamined((tmp_path / "pipe").as_posix(), "not a regular file")
    ]
    assert shown(connectors.discover(str(tmp_path / "pii-guard.toml")), tmp_path) == [("pii-guard.toml", "text")]
    assert shown(connectors.discover(str(tmp_path / "link")), tmp_path) == [("link/x.csv", "csv")]
    with pytest.raises(ReadError, match="binary"):
        connectors.open(str(tmp_path / "photo.png"))


def test_walk_goes_on(tmp_path: Path) -> None:
    """A directory that cannot be listed, and a file that vanishes after it was listed, do not end the walk."""
    for name in ("1.csv", "2.csv", "4.csv"):
        (tmp_path / name).write_text("a\n")
    (tmp_path / "3").mkdir()
    real = os.listdir

    def listdir(path: Path) -> list[str]:
        if path == tmp_path / "3":
            raise PermissionError(13, "Permission denied")
        return real(path)

    with mock.patch.object(os, "listdir", listdir):
        found = connectors.discover(str(tmp_path))
        first = next(found)
        (tmp_path / "2.csv").unlink()
        assert isinstance(first, Source)
        assert shown(found, tmp_path) == [
            ("2.csv", "NotExamined: no such file"),
            ("3", "NotExamined: permission denied"),
            ("4.csv", "csv"),
        ]


@pytest.mark.parametrize(
    ("data", "name", "format"),
    [
        (b'{"a": 1}\n{"a": 2}\n', "x.json", "ndjson"),
        (b'{"a": 1}\n', "x.txt", "text"),
        (b'{\n "a": 1\n}\n', "x.json", "json"),
        (b'[{"a": 1}]\n', "x.json", "json"),
        (b'[{"a": 1}]\n', "x", "json"),
        (b'{"a": 1}\n{"a": 2}\n', "x", "ndjson"),
        (b"a,b\n1,2\n3,4\n", "x", "csv"),
        (b"a|b\n1|2", "x", "csv"),
        (b"a,b\n", "x", "text"),
        (b"well, it is\nas it is, and, so\n", "x", "text"),
        (b"a,b\n1,2\n", "x.txt", "text"),
        (b"[section]\nkey = 1\n", "x", "text"),
        (b"a,b\0c\n", "x.csv", "csv"),
        (b"a\0\n", "x.log", "text"),
        ("이름\t전화\n".encode("utf-16"), "x", "text"),
        (b"BZh is a file name\n", "x.txt", "text"),
        (b"PAR1 is a magic\n", "x.txt", "text"),
        (b"a,b\n1,2\n" * 3, "x.parquet", "csv"),
        (b'{"a": 1}\n{"a": 2}\n', "x.avro", "ndjson"),
        (b"no rows at all\n", "x.parquet", "parquet"),
        (b"a,b\n1,2\n" * 3, "x.json", "csv"),
        (b"neither\n", "x.json", "json"),
        (b'{"a": 1}\n{"a": 2}\n', "x.csv", "ndjson"),
        (b'[\n {"a": 1}]\n', "x.csv", "json"),
        (b"[a],{b}\n1,2\n", "x.csv", "csv"),
        (b'[{"a": 1},\n {"a": 2}]\n', "x.ndjson", "json"),
        (b'[{"a": 1}]\n[{"a": 2}]\n', "x.ndjson", "ndjson"),
        (b"a\tb\n" * 5, "x.txt", "csv"),
        (b"a|b\n" * 5, "x.dat", "csv"),
        (b"a|b\n" * 4, "x.txt", "text"),
        (b"a|b\n" * 5, "x.md", "text"),
        (b"well, so\n" * 5, "x.txt", "text"),
    ],
)
def test_formats(tmp_path: Path, data: bytes, name: str, format: str) -> None:
    """Content decides where it is clear, the suffix where it is not; a known text suffix is never binary."""
    (tmp_path / name).write_bytes(data)
    assert connectors.open(str(tmp_path / name)).format == format


def test_targets_that_are_none(tmp_path: Path) -> None:
    """What does not exist, is of an unknown scheme, or is a directory for `open`, is one clear line."""
    (tmp_path / "customers.csv").write_text("a\n")
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    for target, message in (
        (f"{tmp_path}/broken", "broken: a symbolic link that leads nowhere$"),
        (f"{tmp_path}/loop", "loop: a symbolic link that leads nowhere$"),
        (f"{tmp_path}/custmers.csv", "no such file or directory; did you mean .*/customers.csv\\?$"),
        (f"{tmp_path}/none/x.csv", "x.csv: no such file or directory$"),
        ("postgresql://user:secret@host/db", "^postgresql://host/db: is a database"),
        ("redis://user:secret@host/db", "^redis://: no connector for this scheme"),
        ("a\0b", "NUL"),
        (f"{tmp_path}/customers.csv/x", "not a directory|no such file|part of the path"),
    ):
        with pytest.raises((TargetError, ReadError), match=message) as caught:
            connectors.open(target)
        assert "secret" not in str(caught.value)
    with pytest.raises(TargetError, match="no such file"):
        connectors.discover(f"{tmp_path}/none")  # at the call, not at the first step
    with pytest.raises(TargetError, match="is a directory"):
        connectors.open(str(tmp_path))


def test_file_name_that_is_not_utf8(tmp_path: Path) -> None:
    """A file whose name is not UTF-8 is read, and its name can be printed."""
    path = os.fsencode(tmp_path) + b"/\xc8\xab.csv"
    with open(path, "wb") as file:
        file.write(b"a\n1\n")
    (source,) = connectors.discover(str(tmp_path))
    assert isinstance(source, Source)
    source.target.encode()
    (table,) = source.tables()
    assert sum(batch.num_rows for batch in table.batches()) == 1


def test_connectors_are_loaded_when_needed() -> None:
    """Importing the package loads no connector and no library that only one of them needs."""
    program = "import sys, pii_guard.connectors; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )
    assert "pii_guard.connectors" in loaded
    assert not loaded & {
        "pyarrow.parquet",
        "pyarrow.csv",
        "pyarrow.dataset",
        "pandas",
        "pii_guard.connectors.parquet",
        "pii_guard.connectors.delimited",
        "pii_guard.connectors.ndjson",
    }


@pytest.mark.parametrize("name", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    ("file", "text", "format"),
    [
        ("a.csv", "이름,phone\n홍길동,010-1234-5678\n", "csv"),
        ("export", "이름,phone\n홍길동,010-1234-5678\n", "csv"),
        ("a.ndjson", '{"이름": "홍길동", "phone": "010-1234-5678"}\n', "ndjson"),
        ("a.json", '{"이름": "홍길동", "phone": "010-1234-5678"}\n', "ndjson"),
        ("a.log", "2026-01-02 INFO 연락처 010-1234-5678\n", "text"),
        ("a.sql", "INSERT INTO t VALUES ('010-1234-5678');\n", "text"),
    ],
)
def test_text_in_utf16(tmp_path: Path, name: str, file: str, text: str, format: str) -> None:
    """Excel's "Unicode text" and what PowerShell writes are read like any other text, with a byte order mark or not."""
    (tmp_path / file).write_bytes(text.encode(name))
    assert connectors.open(str(tmp_path / file)).format == format
    report = scan(str(tmp_path / file))
    assert report.complete
    assert "kr_phone_mobile" in {finding.kind for _, finding in report.findings}
