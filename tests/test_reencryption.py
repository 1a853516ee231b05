"""Tokens move to the newest key of their field, and nothing else does."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from cli_runner import Result, run

from pii_guard.audit import AccessLog
from pii_guard.errors import TokenError, UsageError
from pii_guard.keys.destruction import destroy
from pii_guard.keys.keyring import Keyring
from pii_guard.keys.rotation import rotate
from pii_guard.keys.selection import Selection
from pii_guard.model import Tag
from pii_guard.reencryption import reencrypt as reencrypt_table
from pii_guard.tags import write_tag

POLICY = """\
version = 1

[purposes.delivery]
title = "Delivery"

[purposes.support]
title = "Support"

[retention.contract]
period = "P5Y"

[[fields]]
match = "people.phone"
purposes = ["delivery", "support"]
retention = "contract"
index = true

[[fields]]
match = "people.email"
purposes = ["delivery"]
retention = "contract"
mode = "deterministic"
reason = "joins"
"""


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with a key directory and people.csv, protected as people.parquet and protected.csv."""
    rows = [f"{number},010-2{number:03}-5678,a{number}@example.com" for number in range(300)]
    (tmp_path / "people.csv").write_text("\n".join(["id,phone,email", *rows, "900,,"]) + "\n")
    (tmp_path / "pii-guard.toml").write_text(POLICY)
    assert run("keys", "init", "--keys", "ring", cwd=tmp_path).code == 0
    for target in ("people.parquet", "protected.csv"):
        result = run("protect", "people.csv", "--to", target, "--keys", "ring", cwd=tmp_path)
        assert result.code == 0, result.stderr
    return tmp_path


def reencrypt(desk: Path, name: str, *options: str) -> Result:
    return run("reencrypt", name, *(options or ("--in-place",)), "--keys", "ring", cwd=desk)


def revealed(desk: Path, name: str) -> list[tuple[str, str, str]]:
    """The rows without the blind index."""
    result = run("reveal", name, "--to", "back.csv", "--overwrite", "--keys", "ring", "--purpose", "delivery", cwd=desk)
    assert result.code == 0, result.stderr
    with (desk / "back.csv").open() as file:
        return [(row["id"], row["phone"], row["email"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize("name", ["people.parquet", "protected.csv"])
def test_everything_moves_and_comes_back_as_it_was(desk: Path, name: str) -> None:
    """After a rotation every token, index and tag is of the new keys, the values are the same, and the old keys are
    needed no more; a second run changes nothing."""
    before = revealed(desk, name)
    old = {record.key_id.hex() for record in Keyring.describe(desk / "ring")}
    ring = Keyring.open(desk / "ring")
    rotate(ring, Selection(retention="contract"))
    result = reencrypt(desk, name)
    assert (result.code, result.stderr) == (0, "")
    assert f"{name}: moved 602 tokens of people.email, people.phone; 0 were under" in result.stdout
    for record in Keyring.describe(desk / "ring"):
        if record.key_id.hex() in old:
            destroy(Keyring.open(desk / "ring"), Selection(key_id=record.key_id.hex()))
    assert revealed(desk, name) == before
    where = pq.read_schema(desk / name).to_string(show_field_metadata=True) if name.endswith("parquet") else ""
    where += (desk / "pii-guard.tags.toml").read_text() if name.endswith("csv") else ""
    assert not [key_id for key_id in old if key_id in where]
    again = (desk / name).read_bytes()
    assert "moved 0 tokens; 602 were under" in reencrypt(desk, name).stdout
    if name.endswith("csv"):
        assert (desk / name).read_bytes() == again


def test_indexes_move_with_their_column(desk: Path) -> None:
    """The blind index of a moved value is that of the new key, so that the old one can be destroyed."""
    before = pq.read_table(desk / "people.parquet")["phone_index"].to_pylist()
    ring = Keyring.open(desk / "ring")
    rotate(ring, Selection(field="people.phone"))
    reencrypt(desk, "people.parquet")
    after = pq.read_table(desk / "people.parquet")["phone_index"].to_pylist()
    assert [value is None for value in after] == [value is None for value in before]
    assert not {*before} & {*after} - {None}


def test_the_access_is_recorded(desk: Path) -> None:
    """What was opened for it, for which purpose and task, stands in the access records; a refused run is there too."""
    rotate(Keyring.open(desk / "ring"), Selection(field="people.phone"))
    reencrypt(desk, "people.parquet", "--to", "new.parquet", "--actor", "batch")
    lines = [json.loads(line) for line in (desk / "ring" / "access.jsonl").read_text().splitlines()]
    opened, closed = lines[-2:]
    assert (opened["event"], opened["task"], opened["actor"]) == ("opened", "reencrypt", "batch")
    assert opened["fields"] == ["people.email", "people.phone"]
    assert (closed["event"], closed["outcome"], closed["rows"]) == ("closed", "done", 301)


def test_what_does_not_open_stops_it(desk: Path) -> None:
    """A damaged token, or one of a destroyed key: nothing is written, and the source stays."""
    rotate(Keyring.open(desk / "ring"), Selection(field="people.phone"))
    content = (desk / "protected.csv").read_text()
    start = content.index("pgd1") + 40
    broken = content[:start] + ("A" if content[start] != "A" else "B") + content[start + 1 :]
    (desk / "protected.csv").write_text(broken)
    result = reencrypt(desk, "protected.csv")
    assert result.code == 3
    assert "people.phone: 1 value(s) not decrypted" in result.stderr
    assert (desk / "protected.csv").read_text() == broken
    destroy(Keyring.open(desk / "ring"), Selection(field="people.email"))
    result = reencrypt(desk, "people.parquet")
    assert result.code == 2
    assert "was destroyed on" in result.stderr


@pytest.mark.parametrize("inside", [False, True])
def test_no_token_is_left_behind(desk: Path, inside: bool) -> None:
    """Tokens of an old key that first occur in a later batch, where nothing told of them, stop it: said to be moved,
    they would be lost with the old key."""
    ring = Keyring.open(desk / "ring")
    table = pq.read_table(desk / "people.parquet")
    tokens = table["phone"].chunk(0).slice(0, 2).cast(pa.string())
    rotate(ring, Selection(field="people.phone"))
    email = table["email"].chunk(0).slice(0, 2).cast(pa.string())
    if inside:
        tokens = pc.binary_join_element_wise("call [", tokens, "]", "")
    schema = pa.schema([("phone", pa.string()), ("email", pa.string())])
    batches = [pa.record_batch([column, email], schema=schema) for column in (pa.nulls(2, pa.string()), tokens)]
    log = AccessLog(desk / "ring" / "access.jsonl")
    moved, _ = reencrypt_table(pa.RecordBatchReader.from_batches(schema, batches), ring, log, actor="test")
    with pytest.raises(TokenError, match=r"phone: 2 .*tokens in a column that had none in its first rows"):
        moved.read_all()
    tag = Tag(field="people.phone", protection="encrypt-spans", key_id="00000000")
    tagged = pa.schema([write_tag(field, tag) if inside and field.name == "phone" else field for field in schema])
    if inside:
        reader = pa.RecordBatchReader.from_batches(tagged, [batch.cast(tagged) for batch in batches])
        with pytest.raises(UsageError, match="phone: holds tokens inside of texts, which are not moved"):
            reencrypt_table(reader, ring, log, actor="test")[0].read_all()


def test_indexes_move_without_their_tag(desk: Path) -> None:
    """Of a CSV whose sidecar is lost the indexes say themselves how they were made: values stay searchable."""
    rotate(Keyring.open(desk / "ring"), Selection(field="people.phone"))
    before = pacsv.read_csv(desk / "protected.csv")["phone_index"].to_pylist()
    (desk / "pii-guard.tags.toml").unlink()
    assert reencrypt(desk, "protected.csv", "--to", "new.csv").code == 0
    after = pacsv.read_csv(desk / "new.csv")["phone_index"].to_pylist()
    assert [len(value) for value in after] == [len(value) for value in before]
    assert not {value for value in before if value} & {*after}


def test_bad_calls(desk: Path) -> None:
    """A table without tokens, and neither or both of the targets."""
    for arguments, message in (
        (("people.csv", "--in-place"), "nothing in it is encrypted"),
        (("people.parquet", "--in-place", "--to", "x.csv"), "give one of --to TARGET and --in-place"),
    ):
        result = reencrypt(desk, *arguments)
        assert (result.code, message in result.stderr) == (2, True), result.stderr
    assert run("reencrypt", "people.parquet", "--keys", "ring", cwd=desk).code == 2
