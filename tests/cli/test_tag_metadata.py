"""`tag --write metadata`: tags in the files themselves."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from cli_runner import run

from pii_guard.tags import read_tag

TABLE = pa.table(
    {
        "phone": ["010-1234-5678", None, "010-9876-5432"],
        "n": pa.array([1, 2, None], pa.int8()),
        "user": [{"phone": "010-1234-5678", "x": 1}, None, {"phone": None, "x": 2}],
        "phones": [["010-1234-5678"], [], None],
        "phone_lists": [[["010-1234-5678"]], None, [[None], []]],
        "two_phones": [["010-1234-5678", None], None, ["010-1234-5678"] * 2],
        "city": pa.array(["서울", "부산", "서울"]).dictionary_encode(),
    },
    schema=pa.schema(
        [
            pa.field("phone", pa.string(), metadata={"theirs": "kept"}),
            pa.field("n", pa.int8()),
            pa.field("user", pa.struct([("phone", pa.string()), ("x", pa.int32())])),
            pa.field("phones", pa.large_list(pa.string())),
            pa.field("phone_lists", pa.list_(pa.list_(pa.string()))),
            pa.field("two_phones", pa.list_(pa.string(), 2)),
            pa.field("city", pa.dictionary(pa.int32(), pa.string())),
        ],
        metadata={"of the table": "kept"},
    ),
)


def as_parquet(path: Path) -> None:
    pq.write_table(TABLE, path, compression="brotli")


def as_feather(path: Path) -> None:
    feather.write_feather(TABLE, str(path), compression="lz4")


def as_file(path: Path) -> None:
    with pa.ipc.new_file(path, TABLE.schema) as file:
        file.write_table(TABLE)


def as_stream(path: Path) -> None:
    with pa.ipc.new_stream(path, TABLE.schema) as file:
        file.write_table(TABLE)


def read(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        return pq.read_table(path)
    opened = pa.ipc.open_stream if path.suffix == ".arrows" else pa.ipc.open_file
    return opened(path.read_bytes()).read_all()


@pytest.mark.parametrize(
    ("name", "make"),
    [("t.parquet", as_parquet), ("t.feather", as_feather), ("t.arrow", as_file), ("t.arrows", as_stream)],
)
def test_files_carry_their_tags(desk: Path, name: str, make: Callable[[Path], None]) -> None:
    """The tags of all fields, inner ones too, and nothing else of the file is another; a second run changes nothing."""
    make(desk / name)
    os.chmod(desk / name, 0o640)
    result = run("tag", name, "--write", "metadata", cwd=desk)
    assert (result.code, result.stderr) == (0, "")
    assert f"{name}: wrote the tags into it" in result.stdout
    assert not (desk / "pii-guard.tags.toml").exists()
    table = read(desk / name)
    assert table.equals(TABLE)
    assert table.schema.metadata == TABLE.schema.metadata
    assert (desk / name).stat().st_mode & 0o777 == 0o640
    schema = table.schema
    fields = {"phone": schema.field("phone"), "user.phone": schema.field("user").type.field("phone")}
    fields |= {"phones[]": schema.field("phones").type.value_field}
    fields |= {"phone_lists[][]": schema.field("phone_lists").type.value_field.type.value_field}
    fields |= {"two_phones[]": schema.field("two_phones").type.value_field}
    for path, field in fields.items():
        tag = read_tag(field)
        assert tag is not None
        assert (tag.field, tag.purposes, tag.protection) == (f"t.{path}", ("delivery",), "encrypt")
    assert schema.field("phone").metadata[b"theirs"] == b"kept"
    assert [read_tag(schema.field(name)) for name in ("n", "user", "phones", "city")] == [None] * 4
    if name == "t.parquet":
        assert pq.ParquetFile(desk / name).metadata.row_group(0).column(0).compression == "BROTLI"
    before = (desk / name).stat()
    assert f"{name}: carries its tags already" in run("tag", name, "--write", "metadata", cwd=desk).stdout
    assert ((desk / name).stat().st_ino, (desk / name).stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert run("check", name, cwd=desk).code == 1  # tagged, and in the clear
    (desk / "pii-guard.toml").write_text(
        'version = 1\n[[fields]]\nmatch="*.*phone*"\nprotection="none"\nreason="ours"\n'
    )
    result = run("tag", name, "--write", "metadata,sidecar", cwd=desk)
    assert result.code == 0
    tag = read_tag(read(desk / name).schema.field("phone"))
    assert tag is not None
    assert (tag.protection, tag.reason) == ("none", "ours")
    assert (desk / "pii-guard.tags.toml").exists()


def test_protected_files_go_on_opening(desk: Path) -> None:
    """The facts of an encryption stay in the tag."""
    as_parquet(desk / "t.parquet")
    pq.write_table(TABLE.select(["phone", "n"]), desk / "t.parquet")
    assert run("protect", "t.parquet", "--in-place", cwd=desk).code == 0
    (desk / "pii-guard.toml").write_text(
        (desk / "pii-guard.toml").read_text() + '\n[purposes.claims]\ntitle = "Claims"\n', encoding="utf-8"
    )
    before = read_tag(pq.read_schema(desk / "t.parquet").field("phone"))
    assert run("tag", "t.parquet", "--write", "metadata", cwd=desk).code == 0
    assert read_tag(pq.read_schema(desk / "t.parquet").field("phone")) == before
    result = run("reveal", "t.parquet", "--to", "out.parquet", "--purpose", "delivery", cwd=desk)
    assert (result.code, result.stderr) == (0, "")
    assert pq.read_table(desk / "out.parquet")["phone"].to_pylist() == TABLE["phone"].to_pylist()


def test_what_cannot_carry_tags_is_refused_before_anything_is_written(desk: Path) -> None:
    """One line, exit 2, and no file of the folder is another."""
    (desk / "data").mkdir()
    as_parquet(desk / "data" / "a.parquet")
    plain = (desk / "data" / "a.parquet").read_bytes()
    (desk / "packed.parquet.gz").write_bytes(gzip.compress(plain))
    (desk / "other.arrow").write_bytes(plain)
    os.link(desk / "data" / "a.parquet", desk / "linked.parquet")
    (desk / "year" / "y=2024").mkdir(parents=True)
    as_parquet(desk / "year" / "y=2024" / "a.parquet")
    for target, said in (
        ("linked.parquet", "another name (a hard link)"),
        ("packed.parquet.gz", "in no file of its own"),
        ("other.arrow", "of the format parquet under another suffix"),
        ("year", "in no file of its own"),
    ):
        result = run("tag", target, "--write", "sidecar,metadata", cwd=desk)
        assert (result.code, result.stdout) == (2, ""), target
        (line,) = result.stderr.splitlines()
        assert said in line
    (desk / "linked.parquet").unlink()
    (desk / "data" / "b.csv").write_text("phone\n010-1234-5678\n")
    result = run("tag", "data", "--write", "metadata", cwd=desk)
    assert (result.code, "b.csv: the format csv has no field metadata" in result.stderr) == (2, True)
    assert (desk / "data" / "a.parquet").read_bytes() == plain
    (desk / "data" / "b.csv").unlink()
    assert run("tag", "data", "--write", "metadata", cwd=desk).code == 0
    assert read_tag(pq.read_schema(desk / "data" / "a.parquet").field("phone")) is not None
    assert not list(desk.rglob("*.tmp"))


def test_fields_of_one_name_cannot_carry_their_tag(desk: Path) -> None:
    """They are named, exit 3; the others have theirs."""
    column = pa.array(["010-1234-5678"] * 2)
    table = pa.Table.from_arrays([column, column, column], names=["phone", "phone", "phone_b"])
    with pa.ipc.new_file(desk / "t.arrow", table.schema) as file:
        file.write_table(table)
    result = run("tag", "t.arrow", "--write", "metadata", cwd=desk)
    assert result.code == 3
    assert "t.arrow: phone: cannot carry its tag" in result.stderr
    schema = read(desk / "t.arrow").schema
    assert [read_tag(field) is not None for field in schema] == [False, False, True]
