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
from guards import opened
from policies import HEAD

from pii_guard import Guard
from pii_guard.audit import AccessLog
from pii_guard.crypto.key import Mode
from pii_guard.crypto.token import token_prefix
from pii_guard.errors import TokenError, UsageError
from pii_guard.keys.destruction import destroy
from pii_guard.keys.keyring import Keyring
from pii_guard.keys.rotation import rotate, withdraw
from pii_guard.keys.selection import Selection
from pii_guard.model import Tag
from pii_guard.reencryption import reencrypt as reencrypt_table
from pii_guard.tags import read_tag

POLICY = (
    HEAD
    + """\
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
)
MEMO = """
[[fields]]
match = "people.memo"
purposes = ["delivery"]
retention = "contract"
protection = "encrypt-spans"
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


def tag_of(schema: pa.Schema, column: str) -> Tag:
    tag = read_tag(schema.field(column))
    assert tag is not None
    return tag


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
    begun, closed = lines[-2:]
    assert (begun["event"], begun["task"], begun["actor"]) == ("opened", "reencrypt", "batch")
    assert begun["fields"] == ["people.email", "people.phone"]
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
    assert "email: holds tokens of the key " in result.stderr
    assert "nothing opens them; set them to null, or take out their rows" in result.stderr


def test_tokens_inside_of_texts_move(desk: Path) -> None:
    """Each under the newest key, whose old one is then needed no more; all around them stays byte for byte, and what
    does not open is text. A token that was text before it was protected comes back as it was."""
    rule = MEMO + '\n[[fields]]\nmatch = "people.id"\nprotection = "none"\nreason = "numbers"\n'
    (desk / "pii-guard.toml").write_text(POLICY + rule)
    guard = Guard(desk / "pii-guard.toml", desk / "ring")
    first = guard.protect(pa.table({"memo": ["reach a@example.com now"]}), table="people").read_all()
    inner = first["memo"][0].as_py()
    texts = [
        "call a@example.com, or b@example.com!\n",
        None,
        "",
        "nothing",
        inner,
        "[pgd1" + "A" * 76 + "] c@example.com",
    ]
    table = guard.protect(pa.table({"memo": texts}), table="people").read_all()
    assert opened(guard, table, purpose="delivery")["memo"].to_pylist() == texts
    rotate(guard.keys, Selection(field="people.memo"))
    kind = pa.dictionary(pa.int32(), table.schema.types[0])
    categories = table.cast(pa.schema([table.schema.field(0).with_type(kind)]))  # as pandas may have made of it
    moved, done = reencrypt_table(categories.to_reader(), guard.keys, guard.audit, actor="test")
    assert (moved.read_all().schema.types, done.moved) == ([kind], 4)
    moved, done = reencrypt_table(table.to_reader(), guard.keys, guard.audit, actor="test")
    after = moved.read_all()
    newest = guard.keys.records()[-1]
    assert (done.moved, done.current, done.fields) == (4, 0, {"people.memo"})
    assert tag_of(after.schema, "memo").key_id == newest.key_id.hex()
    again, done = reencrypt_table(after.to_reader(), guard.keys, guard.audit, actor="test")
    assert again.read_all().equals(after)
    assert (done.moved, done.current) == (0, 4)
    old = next(record for record in guard.keys.records() if record.field == "people.memo" and not record.active)
    destroy(guard.keys, Selection(key_id=old.key_id.hex()))
    assert opened(guard, after, purpose="delivery")["memo"].to_pylist() == texts
    left, done = reencrypt_table(table.to_reader(), guard.keys, guard.audit, actor="test")
    assert left.read_all()["memo"].to_pylist() == table["memo"].to_pylist()
    assert (done.moved, done.unopened) == (0, 4)


def test_tags_state_what_the_newest_key_is_for(desk: Path) -> None:
    """A purpose that was withdrawn from the old key is not stated of the new one, which never had it."""
    ring = Keyring.open(desk / "ring")
    withdraw(ring, "support")
    rotate(ring, Selection(field="people.phone"))
    assert reencrypt(desk, "people.parquet").code == 0
    tag = tag_of(pq.read_schema(desk / "people.parquet"), "phone")
    assert (tag.purposes, tag.key_id) == (("delivery",), ring.records()[-1].key_id.hex())
    assert revealed(desk, "people.parquet")[0][1] == "010-2000-5678"


def test_a_token_of_another_mode_than_its_key_is_not_passed_over(desk: Path) -> None:
    """A head that was changed to another suite names the old key, and would be lost with it."""
    table = pq.read_table(desk / "people.parquet")
    ring = Keyring.open(desk / "ring")
    (key_id,) = (record.key_id for record in ring.records() if record.field == "people.phone")
    rotate(ring, Selection(field="people.phone"))
    token = table["phone"][0].as_py()
    for head in (token_prefix(key_id, Mode.DETERMINISTIC), token_prefix(key_id, Mode.RANDOMIZED, bound=True)):
        values = pa.array([head + token[12:], *table["phone"].to_pylist()[1:]])
        forged = table.set_column(table.schema.get_field_index("phone"), table.schema.field("phone"), values)
        log = AccessLog(desk / "ring" / "access.jsonl")
        with pytest.raises((TokenError, UsageError), match=r"people\.phone: 1 value|bound to their rows"):
            reencrypt_table(forged.to_reader(), ring, log, actor="test")[0].read_all()


def test_the_key_of_a_tag_is_known_without_rows(desk: Path) -> None:
    """Where the first rows hold no token, the tag still comes to name the newest key."""
    table = pq.read_table(desk / "people.parquet")
    ring = Keyring.open(desk / "ring")
    rotate(ring, Selection(field="people.phone"))
    log = AccessLog(desk / "ring" / "access.jsonl")
    moved, _ = reencrypt_table(table.slice(300).to_reader(), ring, log, actor="test")
    assert tag_of(moved.schema, "phone").key_id == ring.records()[-1].key_id.hex()
    moved.read_all()


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("kind", [pa.string(), pa.dictionary(pa.int32(), pa.string())], ids=["text", "dictionary"])
def test_no_token_is_left_behind(desk: Path, inside: bool, kind: pa.DataType) -> None:
    """Tokens of an old key that first occur in a later batch, where nothing told of them, stop it: said to be moved,
    they would be lost with the old key."""
    ring = Keyring.open(desk / "ring")
    table = pq.read_table(desk / "people.parquet")
    tokens = table["phone"].chunk(0).slice(0, 2).cast(pa.string())
    rotate(ring, Selection(field="people.phone"))
    email = table["email"].chunk(0).slice(0, 2).cast(pa.string())
    if inside:
        tokens = pc.binary_join_element_wise("call [", tokens, "]", "")
    schema = pa.schema([("phone", kind), ("email", pa.string())])
    columns = pa.nulls(2, pa.string()).cast(kind), tokens.cast(kind)
    batches = [pa.record_batch([column, email], schema=schema) for column in columns]
    log = AccessLog(desk / "ring" / "access.jsonl")
    moved, _ = reencrypt_table(pa.RecordBatchReader.from_batches(schema, batches), ring, log, actor="test")
    with pytest.raises(TokenError, match=r"phone: 2 .*tokens in a column that had none in its first rows"):
        moved.read_all()


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
