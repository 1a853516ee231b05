"""Object stores by URL: local servers of S3 and of Google Cloud Storage, and fsspec's file system in memory."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import fsspec
import fsspec.implementations.memory
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_runner import run
from moto.server import ThreadedMotoServer
from pyarrow import fs

from pii_guard import connectors, scan
from pii_guard.connectors import remote
from pii_guard.connectors.remote import shown_url
from pii_guard.detectors import select
from pii_guard.errors import PiiGuardError, ReadError, TargetError
from pii_guard.scanner import scan_targets

ROWS = "name,phone\n홍길동,010-0000-0001\n김영희,010-0000-0002\n"
SECRET = "wJalrXUtnFEMI/K7MDENG"


def files() -> dict[str, bytes]:
    """Path -> content of what the stores hold."""
    parquet, archive = io.BytesIO(), io.BytesIO()
    pq.write_table(pa.table({"phone": ["010-0000-0001"] * 9}), parquet)
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("inner.csv", ROWS)
    return {
        "data/customers.csv": ROWS.encode("cp949"),
        "data/big.csv.gz": gzip.compress(ROWS.encode()),
        "data/sub/t.parquet": parquet.getvalue(),
        "data/sub/a.zip": archive.getvalue(),
        "data/.hidden/x.csv": ROWS.encode(),
        "data/logo.png": b"\x89PNG\r\n\x1a\n",
        "data/old/skip.csv": ROWS.encode(),
    }


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """What follows the `?` of a URL of a bucket named `shop` on a local S3 server."""
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        store = fs.S3FileSystem(
            access_key="key",
            secret_key=SECRET,
            endpoint_override=f"{host}:{port}",
            scheme="http",
            allow_bucket_creation=True,
        )
        store.create_dir("shop")
        for path, content in files().items():
            with store.open_output_stream(f"shop/{path}", compression=None) as file:
                file.write(content)
        yield f"scheme=http&endpoint_override={quote(f'{host}:{port}')}&region=us-east-1"
    finally:
        server.stop()


_GCS = """
import sys
from gcp_storage_emulator.server import create_server
server = create_server("127.0.0.1", 0, in_memory=True, default_bucket="shop")
server.start()
print(server._api._httpd.server_address[1], flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture(scope="module")
def gs() -> Iterator[str]:
    """What follows the `?` of a URL of a bucket named `shop` on a local server of Google Cloud Storage.

    It has a process of its own: pyarrow waits for it without letting other threads run.
    """
    command = [sys.executable, "-c", _GCS]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        options = f"scheme=http&endpoint_override=127.0.0.1%3A{int(server.stdout.readline())}&retry_limit_seconds=5"
        store, _ = fs.FileSystem.from_uri(f"gs://anonymous@shop/?{options}")
        for path, content in files().items():
            with store.open_output_stream(f"shop/{path}", compression=None) as file:
                file.write(content)
        yield options
        server.stdin.close()


@pytest.fixture
def memory() -> Iterator[str]:
    store = fsspec.filesystem("memory")
    for path, content in files().items():
        store.pipe_file(f"/shop/{path}", content)
    yield "memory://shop"
    store.rm("/shop", recursive=True)


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """The root of a store, with credentials where it takes any."""
    if request.param == "memory":
        return str(request.getfixturevalue("memory")) + "/{}"
    if request.param == "gs":
        return f"gs://anonymous@shop/{{}}?{request.getfixturevalue('gs')}"
    return f"s3://key:{quote(SECRET, safe='')}@shop/{{}}?{request.getfixturevalue('s3')}"


every = pytest.mark.parametrize("url", ["s3", "gs", "memory"], indirect=True)


@every
def test_a_folder_is_scanned_like_one_on_disk(url: str, tmp_path: Path) -> None:
    """The same findings as of the same files in a directory; nothing of the credentials anywhere."""
    for path, content in files().items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    local, remote = scan(tmp_path / "data"), scan(url.format("data"))

    def verdicts(report: object, root: str) -> set[tuple[str, str, str, int]]:
        return {
            (field.field.source.removeprefix(root), field.field.path, finding.kind, finding.hits)
            for field, finding in report.findings  # type: ignore[attr-defined]
        }

    assert verdicts(remote, shown_url(url.format("data"))) == verdicts(local, str(tmp_path / "data"))
    assert len({field.field.source for field, _ in remote.findings}) == 5
    assert remote.complete
    assert remote.out_of_scope == {"a hidden directory": 1, "binary": 1}
    assert SECRET not in str(remote)
    assert quote(SECRET, safe="") not in str(remote)


@every
def test_one_file_and_a_pipeline(url: str) -> None:
    """A file opens, compressed or in need of seeking, and its rows can be read again."""
    for path, rows in (("data/customers.csv", 2), ("data/big.csv.gz", 2), ("data/sub/t.parquet", 9)):
        (table,) = connectors.open(url.format(path)).tables()
        assert table.reader().read_all().num_rows == rows
        assert table.reader().read_all().num_rows == rows


@pytest.mark.usefixtures("memory")
def test_parts_of_a_table() -> None:
    """`name=value` in a path is a column here as well."""
    store = fsspec.filesystem("memory")
    for year in (2020, 2021):
        store.pipe_file(f"/shop/parts/orders/year={year}/a.csv", ROWS.encode())
    report = scan("memory://shop/parts")
    assert {str(field.field) for field, _ in report.findings} == {
        "memory://shop/parts/orders::orders::name",
        "memory://shop/parts/orders::orders::phone",
    }
    assert report.coverage.rows == 4


@every
def test_exclude(url: str) -> None:
    """Patterns are held against the path below the target."""
    found = connectors.discover(url.format("data"), exclude=["old/*", "*.zip"])
    names = [each.target.rpartition("/")[2] for each in found if isinstance(each, connectors.Source)]
    assert names == ["big.csv.gz", "customers.csv", "t.parquet"]


@every
def test_what_is_not_there(url: str) -> None:
    """A missing file is one line without credentials; a directory is no file."""
    with pytest.raises(TargetError, match="no such file or directory") as caught:
        connectors.discover(url.format("none.csv"))
    assert "key" not in str(caught.value)
    with pytest.raises(TargetError, match="is a directory; name a file in it"):
        connectors.open(url.format("data"))


def test_a_bucket_that_is_not_there(s3: str) -> None:
    """Whatever the store says of it, it is one line."""
    with pytest.raises(PiiGuardError, match=r"s3://none/data: (no such file or directory|the store said)"):
        connectors.discover(f"s3://key:secret@none/data?{s3}")


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:secret@shop/data?scheme=http&endpoint_override=127.0.0.1%3A9&region=us-east-1",
        "gs://anonymous@shop/data?scheme=http&endpoint_override=127.0.0.1%3A9",
    ],
)
def test_a_store_that_is_not_there(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said by its code, not by its message; nothing is waited for longer than asked."""
    monkeypatch.setattr(remote, "_RETRY_SECONDS", 1)
    with pytest.raises(ReadError, match=r"^(s3|gs)://shop/data: the store (said|did not answer)") as caught:
        connectors.discover(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "nosuch://bucket/a.csv",
            "nosuch://: no connector for this scheme; known are postgresql, .*, s3",
        ),
        ("s3://bucket/a.csv?nosuch=option", "is no URL of a file or directory that pyarrow reads"),
    ],
)
def test_urls_that_are_none(url: str, message: str) -> None:
    """A scheme or an option that nobody knows."""
    with pytest.raises(TargetError, match=message):
        connectors.discover(url)


def test_the_command(s3: str, tmp_path: Path) -> None:
    """`scan` takes a URL, also with several threads; the exit code is that of any scan."""
    target = f"s3://key:{quote(SECRET, safe='')}@shop/data/?{s3}"
    one, four = (run("scan", target, "--format", "json", "--threads", n, cwd=tmp_path) for n in ("1", "4"))
    assert (one.code, one.stderr) == (0, "")
    assert four.stdout == one.stdout
    assert "s3://shop/data/customers.csv" in one.stdout
    assert "key:" not in one.output


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://key:sec/ret@bucket/a.csv?region=x", "s3://bucket/a.csv"),
        ("s3://key:se@cret@bucket/a.csv", "s3://bucket/a.csv"),
        ("s3://key:se?cret@bucket/a.csv", "s3://..."),
        ("https://host/a.csv#sig=secret", "https://host/a.csv"),
        ("https://host/a.csv?token=a@secret", "https://..."),
        ("abfss://container@account/a.csv", "abfss://container@account/a.csv"),
        ("abfss://key:secret@account/a.csv", "abfss://account/a.csv"),
        ("memory://shop/a.csv", "memory://shop/a.csv"),
    ],
)
def test_no_form_of_a_secret_is_shown(url: str, shown: str) -> None:
    """Whatever characters it has; where it cannot be told from the rest, the rest is not shown either."""
    assert shown_url(url) == shown


def test_stores_that_are_shown_alike_are_not_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two places whose difference is in what is not shown are both read."""
    for store in ("one", "two"):
        (tmp_path / store).mkdir()
        (tmp_path / store / "a.csv").write_text(ROWS, encoding="utf-8")

    def local(url: str, shown: str) -> tuple[fs.FileSystem, str]:
        return fs.SubTreeFileSystem(str(tmp_path / url.rpartition("=")[2]), fs.LocalFileSystem()), "a.csv"

    monkeypatch.setattr(remote, "_file_system", local)
    targets = [f"s3://bucket/a.csv?endpoint_override={store}" for store in ("one", "two")]
    assert scan_targets(targets, detectors=select()).coverage.rows == 4
    assert scan_targets(targets[:1] * 2, detectors=select()).coverage.rows == 2


def test_an_error_of_a_library_costs_one_file(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever class it has, while opening or while reading; its message is not repeated."""

    def fail(self: object, *_: object) -> None:
        raise LookupError("010-0000-0001")

    monkeypatch.setattr(fsspec.implementations.memory.MemoryFile, "read", fail)
    report = scan(f"{memory}/data/customers.csv")
    assert [item.source for item in report.not_examined] == ["memory://shop/data/customers.csv"]
    assert "010-0000" not in str(report)
