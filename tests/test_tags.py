"""Tags survive both carriers, and a tag that cannot be understood is never taken for an absent one."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii_guard.errors import PolicyError, WriteError
from pii_guard.model import FieldPath, Tag
from pii_guard.sidecar import SIDECAR_NAME, load_sidecar, save_sidecar, sidecar_path
from pii_guard.tags import METADATA_KEY, from_mapping, logical_field, read_tag, to_mapping, write_tag

TAG = Tag(
    field="customers.phone",
    kind="kr_phone_mobile",
    purposes=("delivery", "고객지원"),
    retention="contract",
    basis="E-Commerce Act, Enforcement Decree Art. 6(1)2",
    protection="encrypt",
    key_id="k1",
    type="string",
)

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
tags = st.builds(
    Tag,
    field=text,
    kind=st.none() | text,
    purposes=st.lists(text, max_size=3).map(tuple),
    retention=st.none() | text,
    basis=st.none() | text,
    protection=st.sampled_from(["encrypt", "none"]),
    key_id=st.none() | text,
    type=st.none() | text,
    reason=st.none() | text,
    bind_row=st.lists(text, max_size=3).map(tuple),
)


def string_field(metadata: dict[bytes | str, bytes | str] | None = None) -> pa.Field[Any]:
    return pa.field("phone", pa.string(), nullable=False, metadata=metadata)


@given(tags)
def test_mapping_is_invertible(tag: Tag) -> None:
    """Tag -> mapping -> tag is the identity, and the mapping holds set members only."""
    members = to_mapping(tag)
    assert from_mapping(members) == (tag, [])
    assert all(members.values())


@given(tags)
def test_arrow_metadata_gives_the_tag_back(tag: Tag) -> None:
    """A tag written into Arrow metadata is read back equal, as one JSON object with sorted keys and a version."""
    field = write_tag(string_field(), tag)
    assert read_tag(field) == tag
    assert field.metadata is not None
    stored = json.loads(field.metadata[METADATA_KEY])
    assert stored["version"] == 1
    assert list(stored) == sorted(stored)
    assert None not in stored.values()


def test_arrow_field_is_otherwise_unchanged() -> None:
    """Tagging keeps name, type, nullability and the metadata of others, and a second tag replaces the first."""
    field = write_tag(write_tag(string_field({b"unit": b"none"}), TAG), Tag(field="a.b"))
    assert field.equals(string_field())
    assert not field.nullable
    assert field.metadata is not None
    assert field.metadata[b"unit"] == b"none"
    assert read_tag(field) == Tag(field="a.b")


def test_untagged_field_has_no_tag() -> None:
    """A field without the key has no tag, whatever other metadata it has."""
    assert read_tag(string_field()) is None
    assert read_tag(string_field({b"unit": b"none"})) is None


def test_nested_tag_survives_ipc() -> None:
    """The tag of a field inside a struct is still there after the schema was written and read."""
    inner = write_tag(string_field(), TAG)
    schema = pa.schema([pa.field("user", pa.struct([inner]))])
    back = pa.ipc.read_schema(schema.serialize())
    struct = back.field("user").type
    assert isinstance(struct, pa.StructType)
    assert read_tag(struct.field(0)) == TAG


@pytest.mark.parametrize(
    ("stored", "says"),
    [
        (b"{", "damaged"),
        (b"\xff\xfe", "damaged"),
        (b"[]", "damaged"),
        (b"[" * 100_000, "damaged"),
        (b"{}", "version: must be 1"),
        (b'{"version": true}', "version: must be 1"),
        (b'{"version": "1"}', "version: must be 1"),
        (b'{"version": 2, "anything": 1}', "newer"),
        (b'{"version": 1, "purpose": []}', 'unknown key; did you mean "purposes"?'),
        (b'{"version": 1, "purposes": "delivery"}', "purposes: must be a list"),
        (b'{"version": 1, "purposes": [""]}', "purposes: must be a list"),
        (b'{"version": 1, "bind_row": "id"}', "bind_row: must be a list of names of columns"),
        (b'{"version": 1, "kind": 7}', "kind: must be text"),
        (
            b'{"version": 1, "protection": "maybe"}',
            "protection: must be one of encrypt, encrypt-spans, hmac,",
        ),
    ],
)
def test_damaged_metadata_is_an_error(stored: bytes, says: str) -> None:
    """Metadata that is no tag of this version raises one clear error that names the field."""
    with pytest.raises(PolicyError) as caught:
        read_tag(string_field({METADATA_KEY: stored}))
    assert says in str(caught.value)
    assert 'field "phone"' in str(caught.value)


def test_damaged_metadata_is_not_quoted() -> None:
    """Whatever a data file holds in place of a tag, the error repeats none of it."""
    stored = b'{"version": 1, "010-1234-5678": 1, "kind": ["hong@example.com"], "protection": "010-0000-1111"}'
    with pytest.raises(PolicyError) as caught:
        read_tag(string_field({METADATA_KEY: stored}))
    assert len(caught.value.problems) == 3
    for secret in ("010", "hong", "example"):
        assert secret not in str(caught.value)


@given(st.dictionaries(text, tags, max_size=4))
def test_sidecar_gives_the_tags_back(tmp_path_factory: pytest.TempPathFactory, entries: dict[str, Tag]) -> None:
    """A saved sidecar is loaded equal, and saving the same again changes no byte."""
    path = tmp_path_factory.mktemp("tags") / SIDECAR_NAME
    save_sidecar(path, entries)
    first = path.read_bytes()
    assert load_sidecar(path) == entries
    save_sidecar(path, dict(reversed(entries.items())))
    assert path.read_bytes() == first


def test_sidecar_is_made_for_reading(tmp_path: Path) -> None:
    """The file says what it is, has a version, and one table a field, sorted by name, without repeating the name."""
    path = tmp_path / SIDECAR_NAME
    save_sidecar(
        path, {"orders.card": Tag(field="orders.card"), "customers.phone": TAG, "고객.전화": Tag("고객.phone")}
    )
    content = path.read_text(encoding="utf-8")
    assert content.startswith("# What each field holds")
    assert "version = 1" in content
    tables = [line for line in content.splitlines() if line.startswith("[")]
    assert tables == ['[fields."customers.phone"]', '[fields."orders.card"]', '[fields."고객.전화"]']
    assert [line for line in content.splitlines() if line.startswith("field =")] == ['field = "고객.phone"']


def test_saving_keeps_other_entries(tmp_path: Path) -> None:
    """Saving tags of one table keeps the entries of others and replaces its own."""
    path = tmp_path / SIDECAR_NAME
    save_sidecar(path, {"customers.phone": TAG, "orders.card": Tag(field="orders.card", kind="credit_card")})
    save_sidecar(path, {"customers.phone": Tag(field="customers.phone")})
    assert load_sidecar(path) == {
        "customers.phone": Tag(field="customers.phone"),
        "orders.card": Tag(field="orders.card", kind="credit_card"),
    }


def test_missing_sidecar_has_no_tags(tmp_path: Path) -> None:
    """No file, no tags; a folder in its place is an error."""
    assert load_sidecar(tmp_path / SIDECAR_NAME) == {}
    (tmp_path / SIDECAR_NAME).mkdir()
    with pytest.raises(PolicyError, match="cannot be read"):
        load_sidecar(tmp_path / SIDECAR_NAME)


def test_sidecar_reports_all_mistakes_at_once(tmp_path: Path) -> None:
    """Every mistake in a sidecar is one line with its place; Windows line ends and a byte order mark are none."""
    path = tmp_path / SIDECAR_NAME
    lines = [
        "version = 1",
        'colour = "red"',
        '[fields."a.b"]',
        'purpose = ["x"]',
        "kind = 7",
        "[fields]",
        '"c.d" = 1',
    ]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    with pytest.raises(PolicyError) as caught:
        load_sidecar(path)
    assert caught.value.problems == (
        "colour: unknown key",
        'fields."a.b".purpose: unknown key; did you mean "purposes"?',
        'fields."a.b".kind: must be text',
        'fields."c.d": must be a table',
    )
    assert all(line.startswith(str(path)) for line in str(caught.value).splitlines())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"version = 1\nfields = = 2\n", "line 2"),
        (b"version = 1\n# \xb0\xed\n", "line 2 is not UTF-8"),
        (b"[fields]\n", "version: must be 1"),
        (b"version = 2\nnew = 1\n", "newer"),
        (b"version = 1\nfields = 3\n", "fields: must be tables"),
    ],
)
def test_wrong_sidecar_is_an_error_and_stays(tmp_path: Path, content: bytes, says: str) -> None:
    """A sidecar that cannot be understood is an error for reading and saving, and saving leaves it as it is."""
    path = tmp_path / SIDECAR_NAME
    path.write_bytes(content)
    with pytest.raises(PolicyError, match=says):
        load_sidecar(path)
    with pytest.raises(PolicyError, match=says):
        save_sidecar(path, {"a.b": TAG})
    assert path.read_bytes() == content


def test_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full the old sidecar is whole, no temporary file is left, and the error is ours."""
    path = tmp_path / SIDECAR_NAME
    save_sidecar(path, {"a.b": TAG})
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match="No space left"):
        save_sidecar(path, {"c.d": TAG})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_name_that_toml_cannot_hold_is_an_error(tmp_path: Path) -> None:
    """A name with bytes that are no Unicode raises our error and writes nothing."""
    with pytest.raises(PolicyError, match="not valid Unicode"):
        save_sidecar(tmp_path / SIDECAR_NAME, {"a.\udcff": TAG})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes and links")
def test_save_keeps_mode_and_link(tmp_path: Path) -> None:
    """A sidecar that is a link stays one, and its file keeps its mode."""
    real, link = tmp_path / "real.toml", tmp_path / SIDECAR_NAME
    save_sidecar(real, {"a.b": TAG})
    real.chmod(0o640)
    link.symlink_to(real)
    save_sidecar(link, {"c.d": TAG})
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert set(load_sidecar(real)) == {"a.b", "c.d"}


def test_sidecar_path_is_beside_a_file_and_inside_a_folder(tmp_path: Path) -> None:
    """The sidecar of a folder is in it, that of a file beside it."""
    file = tmp_path / "customers.csv"
    file.touch()
    assert sidecar_path(tmp_path) == tmp_path / SIDECAR_NAME
    assert sidecar_path(file) == tmp_path / SIDECAR_NAME


def test_logical_field_knows_no_source() -> None:
    """A field has the same logical name in every source."""
    names = {logical_field(FieldPath(source, "customers", "user.emails[]")) for source in ("a.csv", "b/c.parquet")}
    assert names == {"customers.user.emails[]"}
