"""Compressed files and archives: what is in them is read like a file, and what cannot be read is named."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import struct
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from packing import ARCHIVES, COMPRESSIONS, tarred, zipped

from pii_guard import connectors, scan
from pii_guard.connectors import Source, Table, nesting, resource
from pii_guard.errors import ReadError, TargetError
from pii_guard.reports import NotExamined

CSV = "이름,phone\n홍길동,010-1234-5678\n".encode()
ROW = {"이름": "홍길동", "phone": "010-1234-5678"}
NDJSON = '{"이름": "홍길동", "phone": "010-1234-5678"}\n'.encode()
CANARY = "010-1234-5678"


def parquet() -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({name: [value] for name, value in ROW.items()}), buffer)
    return buffer.getvalue()


def rows_of(table: Table) -> list[dict[str, Any]]:
    return [row for batch in table.batches() for row in batch.to_pylist()]


def walked(path: Path, **options: Any) -> Iterator[tuple[str, object]]:
    """(what it is called below the folder of `path`, its rows by table, or why there are none) of all in a file."""
    for found in connectors.discover(str(path), **options):
        if not isinstance(found, Source):
            yield os.path.relpath(found.source, path.parent), found.reason
            continue
        name = os.path.relpath(found.target, path.parent)
        try:
            yield name, {table.name: rows_of(table) for table in found.tables()}
        except ReadError as error:
            yield name, error.reason


def of(tmp_path: Path, name: str, data: bytes, **options: Any) -> dict[str, object]:
    (tmp_path / name).write_bytes(data)
    found = list(walked(tmp_path / name, **options))
    assert len(dict(found)) == len(found)
    return dict(found)


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_a_compressed_file_is_the_file(tmp_path: Path, suffix: str) -> None:
    """It keeps its own name, its table has the name of what it holds, and it is read more than once."""
    pack = COMPRESSIONS[suffix]
    for name, content in (("a.csv", CSV), ("a.parquet", parquet()), ("a.ndjson", NDJSON)):
        assert of(tmp_path, name + suffix, pack(content)) == {name + suffix: {"a": [ROW]}}
        source = connectors.open(str(tmp_path / (name + suffix)))
        (table,) = source.tables()
        assert table.reader().read_all().to_pylist() == [ROW]
        assert rows_of(table) == [ROW]
        assert source.format == name.partition(".")[2]


@pytest.mark.parametrize("suffix", ARCHIVES)
def test_an_archive_is_its_files(tmp_path: Path, suffix: str) -> None:
    """Each file is a source of its own, named after the archive and its name in it; folders are none."""
    names = ["a.csv", "sub/", "sub/a.csv", "b.parquet", "a.csv", "p.png"]
    contents = {"b.parquet": parquet(), "p.png": b"\x89PNG", "sub/": b""}
    name = f"고객{suffix}"
    with warnings.catch_warnings(action="ignore"):  # of two members with one name
        data = ARCHIVES[suffix]([(each, contents.get(each, CSV)) for each in names])
    assert of(tmp_path, name, data) == {
        f"{name}!/a.csv": {"a": [ROW]},
        f"{name}!/sub/a.csv": {"a": [ROW]},
        f"{name}!/b.parquet": {"b": [ROW]},
        f"{name}!/a.csv#2": {"a": [ROW]},
        f"{name}!/p.png": "binary",
    }


def test_content_decides(tmp_path: Path) -> None:
    """A name makes no archive, and takes none away."""
    assert of(tmp_path, "a.csv", gzip.compress(CSV)) == {"a.csv": {"a": [ROW]}}
    assert of(tmp_path, "b.csv", zipped([("a.csv", CSV)])) == {"b.csv!/a.csv": {"a": [ROW]}}
    assert of(tmp_path, "c.gz", CSV) == {"c.gz": {"c": [{"text": line} for line in CSV.decode().splitlines()]}}
    assert of(tmp_path, "PK.txt", b"PK is a name\n") == {"PK.txt": {"PK": [{"text": "PK is a name"}]}}


def test_nested(tmp_path: Path) -> None:
    """Archives in archives, compressed or not, are read to the innermost file."""
    inner = zipped([("x.csv.gz", gzip.compress(CSV)), ("y.parquet", parquet())])
    data = gzip.compress(tarred([("in.zip", inner), ("z.csv", CSV)]))
    assert of(tmp_path, "out.tar.gz", data) == {
        "out.tar.gz!/in.zip!/x.csv.gz": {"x": [ROW]},
        "out.tar.gz!/in.zip!/y.parquet": {"y": [ROW]},
        "out.tar.gz!/z.csv": {"z": [ROW]},
    }


def test_empty_archives(tmp_path: Path) -> None:
    """An archive or a compressed file that holds nothing is read to its end."""
    assert of(tmp_path, "a.zip", zipped([])) == {}
    assert of(tmp_path, "a.csv.gz", gzip.compress(b"")) == {"a.csv.gz": {"a": []}}
    assert of(tmp_path, "a.csv.bz2", COMPRESSIONS[".bz2"](b"")) == {"a.csv.bz2": {"a": []}}


def without_utf8_flag(data: bytes, name: bytes) -> bytes:
    """The archive with the name of its one member, `x`s, replaced by other bytes."""
    return data.replace(b"x" * len(name), name)


@pytest.mark.parametrize("encoding", ["cp949", "utf-8"])
def test_korean_names(tmp_path: Path, encoding: str) -> None:
    """Names of zip and tar members in CP949, and in UTF-8 without the flag, are read as Korean."""
    name = "고객/명단.csv".encode(encoding)
    data = without_utf8_flag(zipped([("x" * len(name), CSV)]), name)
    assert of(tmp_path, "a.zip", data) == {"a.zip!/고객/명단.csv": {"명단": [ROW]}}
    data = tarred([("고객/명단.csv", CSV)], tarfile.GNU_FORMAT, encoding)
    assert of(tmp_path, "a.tar", data) == {"a.tar!/고객/명단.csv": {"명단": [ROW]}}
    data = without_utf8_flag(zipped([("xx.csv", CSV)]), b"\xff\xfe")
    assert of(tmp_path, "b.zip", data) == {r"b.zip!/\xff\xfe.csv": {r"\xff\xfe": [ROW]}}


def test_names_are_labels(tmp_path: Path) -> None:
    """Names that lead out of the archive lead nowhere: nothing is written anywhere."""
    names = ["../../evil.csv", "/etc/passwd.csv", "C:\\evil.csv", "a/../../b.csv"]
    before = set(tmp_path.parent.rglob("*"))
    for suffix in (".zip", ".tar"):
        (tmp_path / f"a{suffix}").write_bytes(ARCHIVES[suffix]([(name, CSV) for name in names]))
        found = [item.target for item in connectors.discover(str(tmp_path / f"a{suffix}")) if isinstance(item, Source)]
        assert found == [f"{tmp_path}/a{suffix}!/{name}" for name in names]
    assert set(tmp_path.parent.rglob("*")) - before == {tmp_path / "a.zip", tmp_path / "a.tar"}


def test_links_and_devices_are_no_files(tmp_path: Path) -> None:
    """A link in a tar archive is passed over, wherever it leads."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            info = tarfile.TarInfo("link.csv")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    assert of(tmp_path, "a.tar", buffer.getvalue()) == {}


def test_encrypted_members(tmp_path: Path) -> None:
    """A member that the archive encrypts is named as that; the others are read."""
    data = bytearray(zipped([("a.csv", CSV), ("b.csv", CSV)]))
    data[6] |= 1  # the flag of the first member, in its own header and in the list
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert of(tmp_path, "a.zip", bytes(data)) == {
        "a.zip!/a.csv": "encrypted by the zip archive, which pii-guard has no password for",
        "a.zip!/b.csv": {"b": [ROW]},
    }


def test_documents_in_zip_form(tmp_path: Path) -> None:
    """A zip archive that is a document is named as that, inside of an archive too."""
    docx = zipped([("[Content_Types].xml", b""), ("word/document.xml", b"")])
    assert of(tmp_path, "a.docx", docx) == {"a.docx": "a Word document, which no connector reads yet"}
    assert of(tmp_path, "a.zip", zipped([("a.docx", docx), ("b.csv", CSV)])) == {
        "a.zip!/a.docx": "a Word document, which no connector reads yet",
        "a.zip!/b.csv": {"b": [ROW]},
    }


def test_a_damaged_member_costs_no_other(tmp_path: Path) -> None:
    """A member whose bytes are not what they were is named; the others are read."""
    data = bytearray(zipped([("a.csv", CSV), ("b.csv", CSV), ("c.csv", CSV)], zipfile.ZIP_STORED))
    second = data.index(b"b.csv")
    data[second + 20] ^= 0xFF
    assert of(tmp_path, "a.zip", bytes(data)) == {
        "a.zip!/a.csv": {"a": [ROW]},
        "a.zip!/b.csv": "damaged or cut off (zip)",
        "a.zip!/c.csv": {"c": [ROW]},
    }


@pytest.mark.parametrize("suffix", [*COMPRESSIONS, ".tar", ".tar.gz", ".tgz", ".zip"])
def test_every_cut_is_noticed(tmp_path: Path, suffix: str) -> None:
    """However much of the end is missing, the file or one of its members is named, in words of our own."""
    members = [(f"{number}.csv", CSV) for number in range(3)]
    data = COMPRESSIONS[suffix](CSV * 100) if suffix in COMPRESSIONS else ARCHIVES[suffix](members)
    if suffix == ".tar":
        data = data[:3073]  # it ends in zeros, of which all but one block may be missing
    for size in range(300 if suffix == ".tar" else 12, len(data), max(len(data) // 60, 1)):
        found = of(tmp_path, f"a.csv{suffix}", data[:size])
        reasons = [reason for reason in found.values() if isinstance(reason, str)]
        assert reasons, size
        assert all("damaged or cut off" in reason for reason in reasons)


def test_a_tar_archive_broken_in_the_middle(tmp_path: Path) -> None:
    """A broken header ends a tar archive: what is in front of it is read, and the archive is named."""
    data = bytearray(tarred([("a.csv", CSV), ("b.csv", CSV), ("c.csv", CSV)]))
    data[1024 + 100] ^= 0xFF
    assert of(tmp_path, "a.tar", bytes(data)) == {
        "a.tar!/a.csv": {"a": [ROW]},
        "a.tar": "damaged or cut off (tar): members behind the last sound one are not read",
    }


def test_a_tar_header_that_claims_too_much(tmp_path: Path) -> None:
    """A header that is said to be larger than any is damage, not memory."""
    data = bytearray(tarred([("a" * 300 + ".csv", CSV)]))
    data[124:136] = b"%011o\0" % (4 << 30)
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    assert of(tmp_path, "a.tar", bytes(data)) == {"a.tar": "damaged or cut off (tar)"}


def test_a_list_of_members_that_claims_too_much(tmp_path: Path) -> None:
    """A zip archive whose list would not fit into memory is refused before it is read."""
    data = bytearray(zipped([("a.csv", CSV)]))
    struct.pack_into("<I", data, data.index(b"PK\x05\x06") + 12, 1 << 30)
    assert of(tmp_path, "a.zip", bytes(data)) == {"a.zip": "its list of members is larger than 32 MB; unpack it"}


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_bombs(tmp_path: Path, suffix: str) -> None:
    """What unpacks to more than the ratio allows is read no further, alone or in an archive, and the rest is named."""
    bomb = COMPRESSIONS[suffix](bytes(1 << 20))
    advice = "; unpack it and scan the files"
    with mock.patch.object(nesting, "FREE_BYTES", 100_000), mock.patch.object(nesting, "MAX_RATIO", 2):
        found = of(tmp_path, f"a.csv{suffix}", bomb)
        assert found == {f"a.csv{suffix}": f"it unpacks to more than 2 times its size{advice}"}
        found = of(tmp_path, "a.zip", zipped([(f"a.csv{suffix}", bomb), ("b.csv", CSV)]))
        assert set(found) == {f"a.zip!/a.csv{suffix}", "a.zip"}
        assert set(found.values()) == {f"it unpacks to more than 2 times its size{advice}"}


def test_bounds_hold_for_all_that_is_in_one_file(tmp_path: Path) -> None:
    """Many small members count together; a member that is read twice counts once."""
    members = [(f"{number}.csv", b"n\n" + b"0" * 50_000 + b"\n") for number in range(10)]
    with mock.patch.object(nesting, "FREE_BYTES", 220_000), mock.patch.object(nesting, "MAX_RATIO", 2):
        found = of(tmp_path, "a.zip", zipped(members))
    assert [name for name, rows in found.items() if isinstance(rows, dict)] == [f"a.zip!/{n}.csv" for n in range(4)]
    assert "a.zip" in found
    with mock.patch.object(nesting, "MAX_MEMBERS", 3):
        found = of(tmp_path, "a.tar", tarred(members))
    assert list(found) == ["a.tar!/0.csv", "a.tar!/1.csv", "a.tar!/2.csv", "a.tar"]
    assert found["a.tar"] == "it holds more than 3 files; unpack it and scan the files"
    with mock.patch.object(nesting, "FREE_BYTES", 220_000), mock.patch.object(nesting, "MAX_RATIO", 2):
        (tmp_path / "one.csv.gz").write_bytes(gzip.compress(b"n\n" + b"0" * 50_000 + b"\n"))
        (table,) = connectors.open(str(tmp_path / "one.csv.gz")).tables()
        for _ in range(10):
            assert sum(batch.num_rows for batch in table.batches()) == 1


def test_depth(tmp_path: Path) -> None:
    """What is nested deeper than the bound is named, and what is beside it is read."""
    data, name = CSV, "a.csv"
    for level in range(nesting.MAX_DEPTH + 1):
        data, name = zipped([(name, data), ("beside.csv", CSV)]), f"{level}.zip"
    found = of(tmp_path, name, data)
    (reason,) = [reason for reason in found.values() if isinstance(reason, str)]
    assert reason == f"nested more than {nesting.MAX_DEPTH} deep; unpack it and scan the files"
    assert len(found) == nesting.MAX_DEPTH + 1
    for _ in range(nesting.MAX_DEPTH + 1):
        data = gzip.compress(data)
    assert "nested more than" in str(of(tmp_path, "a.gz", data))
    with pytest.raises(ReadError, match="nested more than"):
        connectors.open(str(tmp_path / "a.gz"))


def test_exclude(tmp_path: Path) -> None:
    """Patterns leave out members by their name and by their path in the archive."""
    data = zipped([("a/x.csv", CSV), ("b/x.csv", CSV), ("c.log", b"x\n")])
    assert of(tmp_path, "a.zip", data, exclude=["a/*", "*.log"]) == {
        "a.zip!/a/x.csv": "excluded",
        "a.zip!/b/x.csv": {"x": [ROW]},
        "a.zip!/c.log": "excluded",
    }


def test_an_archive_is_no_table(tmp_path: Path) -> None:
    """What wants one table of one file says that an archive is none."""
    (tmp_path / "a.zip").write_bytes(zipped([("a.csv", CSV)]))
    with pytest.raises(TargetError, match="is an archive; unpack it and name a file"):
        connectors.open(str(tmp_path / "a.zip"))


def test_no_name_is_ever_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that needs seeking goes to memory or to a file without a name, and nothing is left open behind it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(resource, "SPOOL_MEMORY", 100)
    (tmp_path / "a.zip").write_bytes(zipped([("a.parquet", parquet()), ("b.zip", zipped([("c.csv", CSV)]))]))
    descriptors = len(os.listdir("/proc/self/fd"))
    names = []
    for found in connectors.discover(str(tmp_path / "a.zip")):
        assert isinstance(found, Source)
        for table in found.tables():
            assert rows_of(table) == [ROW]
        assert list((tmp_path / "tmp").iterdir()) == []
        assert len(os.listdir("/proc/self/fd")) > descriptors
        names.append(found.target.rpartition("!/")[2])
    assert names == ["a.parquet", "c.csv"]
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_errors_hold_no_value(tmp_path: Path) -> None:
    """Errors of the unpackers quote names; ours do not, and keep no trace of theirs."""
    data = bytearray(zipped([(f"{CANARY}.csv", CSV)]))
    data[30] ^= 1  # the name in the header is another than that in the list
    (tmp_path / "a.zip").write_bytes(data)
    (found,) = connectors.discover(str(tmp_path / "a.zip"))
    assert isinstance(found, NotExamined)
    assert found.reason == "damaged or cut off (zip)"


def test_the_file_below_is_gone(tmp_path: Path) -> None:
    """A compressed file that vanishes before it is read is a ReadError like any file."""
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(CSV))
    (table,) = connectors.open(str(tmp_path / "a.csv.gz")).tables()
    assert rows_of(table) == [ROW]
    (tmp_path / "a.csv.gz").unlink()
    with pytest.raises(ReadError, match="no such file"):
        rows_of(table)


HIDDEN = "holds bytes that belong to none of its members (zip); they are not read"


def gapped(*parts: bytes, front: bytes = b"", behind: bytes = b"") -> bytes:
    """A zip archive of two members with these bytes behind the first and the second of them, in front and behind."""
    data = zipped([("a.csv", CSV), ("b.csv", CSV)])
    second, central = data.index(b"PK\3\4", 4), data.index(b"PK\1\2")
    one, two = parts or (b"", b"")
    whole = bytearray(data[:second] + one + data[second:central] + two + data[central:])
    struct.pack_into("<I", whole, whole.index(b"PK\1\2", whole.index(b"PK\1\2") + 4) + 42, second + len(one))
    struct.pack_into("<I", whole, whole.rindex(b"PK\5\6") + 16, central + len(one) + len(two))
    return front + bytes(whole) + behind


@pytest.mark.parametrize(
    ("data", "hidden"),
    [
        (gapped(), False),
        (gapped(bytes(4096), bytes(30)), False),
        (gapped(front=b"MZ a program that unpacks itself"), False),
        (gapped(front=b"#!/usr/bin/env python3\n"), False),
        (gapped(b"", bytes(8) + b"v2" + bytes(50) + b"APK Sig Block 42"), False),
        (gapped(behind=bytes(500)), False),
        (gapped(CANARY.encode(), b""), True),
        (gapped(b"", bytes(2 << 20) + CANARY.encode()), True),
        (gapped(front=CANARY.encode() * 10), True),
        (gapped(front=b"#!/bin/sh\n" + CANARY.encode()), True),
        (gapped(behind=CANARY.encode()), True),
    ],
)
def test_bytes_outside_of_the_members_of_a_zip_archive(tmp_path: Path, data: bytes, hidden: bool) -> None:
    """In front, between, behind: whatever is not padding or a program is named; the members are read all the same."""
    found = of(tmp_path, "a.zip", data)
    assert found == {"a.zip!/a.csv": {"a": [ROW]}, "a.zip!/b.csv": {"b": [ROW]}} | ({"a.zip": HIDDEN} if hidden else {})


def test_what_is_written_with_descriptors_has_no_gaps(tmp_path: Path) -> None:
    """Archives that were written in one pass, and such of more than 4 GB by their form."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation

    for form in (False, True):
        pipe = Pipe()
        with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in "ab":
                with archive.open(f"{name}.csv", "w", force_zip64=form) as member:
                    member.write(CSV)
        assert set(of(tmp_path, "a.zip", pipe.getvalue())) == {"a.zip!/a.csv", "a.zip!/b.csv"}


def test_a_member_that_was_taken_from_the_list(tmp_path: Path) -> None:
    """It is still there, and named."""
    data = zipped([("a.csv", CSV), ("b.csv", CSV)])
    central = data.index(b"PK\1\2")
    entry = data.index(b"PK\1\2", central + 4) - central
    end = bytearray(data[-22:])
    struct.pack_into("<HHII", end, 8, 1, 1, entry, central)
    found = of(tmp_path, "a.zip", data[: central + entry] + bytes(end))
    assert found == {"a.zip!/a.csv": {"a": [ROW]}, "a.zip": HIDDEN}


def test_comments_of_a_zip_archive(tmp_path: Path) -> None:
    """Those of the archive and of its members are a text; a folder that has content is a file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("a.csv")
        info.comment = f"문의 {CANARY}".encode()
        archive.writestr(info, CSV)
        archive.writestr("folder/", b"")
        archive.writestr("odd/", CANARY)
        archive.comment = b"weekly"
    found = of(tmp_path, "a.zip", buffer.getvalue())
    assert found.pop("a.zip!/(comments)") == {"(comments)": [{"text": "weekly"}, {"text": f"문의 {CANARY}"}]}
    assert sorted(found) == ["a.zip!/a.csv", "a.zip!/odd"]


def test_an_archive_with_something_in_front_is_one_under_any_name(tmp_path: Path) -> None:
    """Its end says what it is; a file that only mentions the mark of an archive is none."""
    assert set(of(tmp_path, "a.bin", gapped(front=b"\x89PNG\r\n" + bytes(99)))) == {
        "a.bin!/a.csv",
        "a.bin!/b.csv",
        "a.bin",
    }
    assert of(tmp_path, "b.bin", bytes(99) + b"PK\5\6" + bytes(18) + b"x") == {"b.bin": "binary"}


@pytest.mark.parametrize("name", ["bz2", "xz"])
def test_bytes_behind_a_compressed_stream_are_named(tmp_path: Path, name: str) -> None:
    """Another stream is read on; anything else is not passed over in silence."""
    pack: Callable[[bytes], bytes] = bz2.compress if name == "bz2" else lzma.compress
    rows = b"phone\n010-0000-0001\n"
    (tmp_path / f"a.csv.{name}").write_bytes(pack(rows) + pack(b"010-0000-0002\n") + bytes(8))
    (tmp_path / f"b.csv.{name}").write_bytes(pack(rows) + b"010-0000-0003")
    report = scan(tmp_path)
    assert report.coverage.rows == 2
    assert [Path(item.source).name for item in report.not_examined] == [f"b.csv.{name}"]


def test_an_archive_behind_an_archive_is_named(tmp_path: Path) -> None:
    """tar ends at its first end; what is behind it is not passed over in silence."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("phone\n010-0000-0001\n", encoding="utf-8")
        with tarfile.open(tmp_path / f"{name}.tar", "w") as archive:
            archive.add(tmp_path / f"{name}.csv", f"{name}.csv")
    joined = (tmp_path / "a.tar").read_bytes() + (tmp_path / "b.tar").read_bytes()
    (tmp_path / "both.tar").write_bytes(joined)
    report = scan(tmp_path / "both.tar")
    assert (report.coverage.rows, len(report.not_examined)) == (1, 1)
    assert "goes on behind" in report.not_examined[0].reason
