"""The guard of a pipeline: what goes in protected comes out equal, for a declared purpose, and not otherwise."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from guards import guard_of, opened, recorded

from pii_guard import Guard, Keyring, scan
from pii_guard.audit import verify
from pii_guard.errors import (
    AuditError,
    KeyringError,
    PurposeRefusedError,
    TokenError,
    UnprotectedDataError,
    UsageError,
)
from pii_guard.model import Protection, Tag
from pii_guard.protection import encrypt_plain
from pii_guard.tags import parse_type, read_tag, write_tag

POLICY = """
version = 1
[purposes.delivery]
title = "Delivery of goods"
[purposes.payment]
title = "Payment"
[retention.contract]
period = "P5Y"
basis = "E-Commerce Act Art. 6(3)"
[[fields]]
match = ["customers.name", "customers.phone"]
purposes = ["delivery"]
retention = "contract"
[[fields]]
match = "customers.born"
purposes = ["delivery", "payment"]
retention = "contract"
[[fields]]
match = "customers.office"
protection = "none"
reason = "published on the website"
"""
TABLE = pa.table(
    {
        "id": [1, 2, 3],
        "name": ["홍길동", None, "김민수"],
        "phone": ["010-1234-5678", "", "010-9876-5432"],
        "born": pa.array([datetime.date(1990, 1, 1), None, datetime.date(2000, 2, 29)]),
        "office": ["02-1234-5678"] * 3,
    }
)


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    return guard_of(tmp_path, POLICY)


def test_what_is_protected_is_revealed_equal(guard: Guard) -> None:
    """Values, nulls, empty strings, types and the order of rows come back."""
    protected = guard.protect(TABLE, table="customers").read_all()
    revealed = opened(guard, protected, purpose="delivery")
    assert revealed.equals(TABLE)


def test_protected_fields_are_tokens_and_tagged_and_others_are_as_they_were(guard: Guard) -> None:
    """Only planned columns change; the tag says why, how long, with which key, and of which type the values were."""
    protected = guard.protect(TABLE, table="customers").read_all()
    assert {field.field.path: field.protection for field in scan(protected).fields} == {
        "id": Protection.PLAIN,
        "name": Protection.TOKEN,
        "phone": Protection.TOKEN,
        "born": Protection.TOKEN,
        "office": Protection.PLAIN,
    }
    assert protected["id"].equals(TABLE["id"])
    tag = read_tag(protected.schema.field("born"))
    assert tag is not None
    assert (tag.field, tag.purposes, tag.retention, tag.type, tag.protection) == (
        "customers.born",
        ("delivery", "payment"),
        "contract",
        "date32[day]",
        "encrypt",
    )
    office = read_tag(protected.schema.field("office"))
    assert office is not None
    assert (office.protection, office.reason) == ("none", "published on the website")
    assert "010-1234" not in str(protected.to_pydict())


@pytest.mark.parametrize(
    "convert", [lambda t: t.to_pandas(), pl.from_arrow, lambda t: t.to_batches()[0], pa.Table.to_pylist]
)
def test_frames_of_other_libraries_are_taken(guard: Guard, convert: Any) -> None:
    """pandas, polars, batches and dicts go in; the strings come back."""
    data = convert(TABLE.select(["name", "phone"]))
    protected = guard.protect(data, table="customers").read_all()
    revealed = opened(guard, protected, purpose="delivery")
    assert revealed["phone"].cast(pa.string()).to_pylist() == TABLE["phone"].to_pylist()


@pytest.mark.parametrize("index", ["", "index = 12\n"], ids=["alone", "indexed"])
def test_pandas_reads_what_it_described_before(guard: Guard, tmp_path: Path, index: str) -> None:
    """Its own description of columns goes along with the data, and follows their types; columns of indexes are new."""
    frame = pd.DataFrame(
        {
            "phone": pd.Categorical(["010-1234-5678", None, "010-1234-5678"]),
            "born": pd.Series(["1990-01-02", None, "2000-02-29"], [10, 20, 30]).pipe(pd.to_datetime, utc=True),
            "card": pd.array([4111111111111111, None, 1], dtype="Int64"),
            "visits": pd.array([1, None, 3], dtype="Int64"),
        },
        index=[10, 20, 30],
    )
    rule = '[[fields]]\nmatch = ["t.phone", "t.born", "t.card"]\npurposes = ["delivery"]\nretention = "contract"\n'
    (tmp_path / "t.toml").write_text(POLICY + rule + index)
    own = Guard(tmp_path / "t.toml", guard.keys)
    protected = own.protect(frame, table="t").read_pandas()
    assert protected.index.tolist() == [10, 20, 30]
    assert [str(value)[:4] for value in protected["card"]] == ["pgd1", "nan", "pgd1"]
    assert str(protected["visits"].dtype) == "Int64"
    with own.reveal(purpose="delivery") as session:
        table = own.protect(frame, table="t").read_all()
        back = session.decrypt(table, masked=False).read_pandas()
    assert back["card"].tolist()[::2] == frame["card"].tolist()[::2]
    assert back["born"].equals(frame["born"])


def test_text_that_would_not_come_back_is_refused(guard: Guard) -> None:
    """A column that says it is text and is not: what is encrypted can be decrypted."""
    broken = pa.array([b"\xff\xfe", b"a"]).view(pa.string())
    with pytest.raises(UsageError, match=r"are not valid UTF-8; make the column binary first"):
        encrypt_plain(broken, guard.keys.encryption_key("t.phone", "contract", ["delivery"]), guard.keys)


def test_an_undeclared_purpose_is_refused_and_recorded(guard: Guard) -> None:
    """Nothing is opened; the record says who asked for what."""
    protected = guard.protect(TABLE, table="customers").read_all()
    with pytest.raises(PurposeRefusedError, match="declares no purpose"):
        opened(guard, protected, purpose="marketing", actor="hong")
    (record,) = recorded(guard)
    assert (record["event"], record["purpose"], record["actor"]) == ("refused", "marketing", "hong")
    assert record["fields"] == ["customers.born", "customers.name", "customers.phone"]


def test_a_declared_purpose_opens_only_its_own_fields(guard: Guard) -> None:
    """`payment` is declared, but names were not protected for it."""
    protected = guard.protect(TABLE, table="customers").read_all()
    with pytest.raises(PurposeRefusedError, match="may not be opened for purpose 'payment'"):
        opened(guard, protected, purpose="payment")
    assert [record["event"] for record in recorded(guard)] == ["refused"]
    born = opened(guard, protected.select(["born"]), purpose="payment")
    assert born.equals(TABLE.select(["born"]))


def test_the_access_record_is_on_disk_before_the_first_batch(guard: Guard) -> None:
    """`opened` first, then data, then `closed` with the number of rows; the chain holds."""
    protected = guard.protect(TABLE, table="customers").read_all()
    with guard.reveal(purpose="delivery", actor="hong", task="shipping") as session:
        reader = session.decrypt(protected)
        assert not guard.audit.path.exists()
        reader.read_next_batch()
        assert [record["event"] for record in recorded(guard)] == ["opened"]
        with pytest.raises(StopIteration):
            reader.read_next_batch()
    first, closed = recorded(guard)
    assert (closed["event"], closed["rows"], closed["failures"], closed["outcome"]) == ("closed", 3, 0, "done")
    assert first["task"] == "shipping"
    assert verify(guard.audit.path) == []


def test_nothing_is_released_without_a_record(guard: Guard, tmp_path: Path) -> None:
    """Where the log cannot be written, no batch comes."""
    protected = guard.protect(TABLE, table="customers").read_all()
    blind = Guard(guard.policy, guard.keys, audit=tmp_path / "missing" / "access.jsonl")
    with pytest.raises(AuditError):
        opened(blind, protected, purpose="delivery")


def test_personal_data_without_a_rule_stops_everything(guard: Guard) -> None:
    """All fields are named at once, with what to add; no key is made."""
    with pytest.raises(UnprotectedDataError) as caught:
        guard.protect(TABLE, table="members")
    message = str(caught.value)
    assert "members.name" in message
    assert "members.phone" in message
    assert "[[fields]]" in message
    assert guard.keys.records() == ()


def test_a_stream_is_watched_to_its_end(guard: Guard) -> None:
    """Personal data that first shows in a later batch of a one-way stream is not released."""

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(3):
            value = "hong@example.com" if number == 2 else "x"
            yield pa.record_batch({"note": [value] * 20_000})

    stream = pa.RecordBatchReader.from_batches(pa.schema([("note", pa.string())]), batches())
    reader = guard.protect(stream, table="customers")
    assert [reader.read_next_batch().num_rows for _ in range(2)] == [20_000, 20_000]
    with pytest.raises(UnprotectedDataError, match=r"customers\.note: email appeared in a later batch"):
        reader.read_next_batch()


def test_a_stream_is_protected_like_a_table(guard: Guard) -> None:
    """What can be read only once is planned on the policy and the first batch."""
    protected = guard.protect(TABLE.to_reader(), table="customers").read_all()
    assert opened(guard, protected, purpose="delivery").equals(TABLE)


def test_protecting_twice_changes_nothing(guard: Guard) -> None:
    """Tokens that verify stay; plain values added since are encrypted beside them."""
    protected = guard.protect(TABLE, table="customers").read_all()
    assert guard.protect(protected, table="customers").read_all().equals(protected)
    token = protected["phone"][0].as_py()
    forged = token[:-1] + ("A" if token[-1] != "A" else "B")
    mixed = pa.table({"phone": [token, "010-5555-4444", forged]})
    again = guard.protect(mixed, table="customers").read_all()
    assert again["phone"][0] == protected["phone"][0]
    revealed = opened(guard, again, purpose="delivery")
    assert revealed["phone"].to_pylist() == ["010-1234-5678", "010-5555-4444", forged]


def test_a_field_inside_an_object_is_refused_not_passed_through(guard: Guard) -> None:
    """What cannot be encrypted in place yet is an error, with what to do."""
    guard = Guard(guard.policy, guard.keys, tags={})
    rows = [{"user": {"phone": "010-1234-5678"}}] * 3
    with pytest.raises(UnprotectedDataError, match=r"customers\.user\.phone"):
        guard.protect(rows, table="customers")
    (guard.keys.directory.parent / "p2.toml").write_text(POLICY.replace('"customers.phone"', '"customers.user.phone"'))
    nested = Guard(guard.keys.directory.parent / "p2.toml", guard.keys)
    with pytest.raises(UsageError, match="inside lists or objects"):
        nested.protect(rows, table="customers")


def test_an_empty_table_is_tagged_like_a_full_one(guard: Guard) -> None:
    """The schema of the output does not depend on the rows."""
    empty = guard.protect(TABLE.slice(0, 0), table="customers")
    full = guard.protect(TABLE, table="customers")
    assert empty.schema.names == full.schema.names
    assert empty.schema.field("phone").type == pa.string()
    assert opened(guard, empty.read_all(), purpose="delivery").num_rows == 0


def test_changed_tokens_are_named_row_by_row(guard: Guard) -> None:
    """All bad rows are in the error, counted from the start of the stream; the record counts them."""
    table = pa.table({"phone": ["010-1234-5678"] * 70_000})
    protected = guard.protect(table, table="customers").read_all()
    values = protected["phone"].to_pylist()
    for row in (66_000, 66_001):
        values[row] = values[row][:-2] + ("AA" if values[row][-2:] != "AA" else "BB")
    broken = pa.table({"phone": values}, schema=protected.schema)
    with pytest.raises(TokenError) as caught:
        opened(guard, broken, purpose="delivery")
    assert caught.value.rows == (66_000, 66_001)
    assert recorded(guard)[-1]["failures"] == 2
    assert recorded(guard)[-1]["outcome"] == "failed"


def test_a_tag_that_contradicts_the_key_is_an_error(guard: Guard) -> None:
    """Tags are statements: the field comes from the key record, and a tag that says otherwise stops the reveal."""
    protected = guard.protect(TABLE, table="customers").read_all()
    field = protected.schema.field("phone")
    tag = read_tag(field)
    assert tag is not None
    from dataclasses import replace

    schema = protected.schema.set(2, write_tag(field, replace(tag, field="customers.name")))
    with pytest.raises(KeyringError, match="correct the tag"):
        opened(guard, protected.cast(schema), purpose="delivery")


def test_a_column_copied_to_another_field_does_not_open(guard: Guard) -> None:
    """Tokens are bound to their field: names pasted into the phone column are refused."""
    protected = guard.protect(TABLE, table="customers").read_all()
    pasted = protected.set_column(2, protected.schema.field("phone"), protected["name"])
    with pytest.raises(KeyringError, match="mixed as several fields"):
        opened(guard, pasted, purpose="delivery")


def test_revealing_without_tags_needs_only_the_keys(guard: Guard) -> None:
    """Where a format dropped the tags (CSV), tokens are recognised and their key records say the field."""
    protected = guard.protect(TABLE.select(["name", "phone"]), table="customers").read_all()
    bare = pa.table({name: protected[name].to_pylist() for name in protected.column_names})
    assert opened(guard, bare, purpose="delivery").to_pydict() == TABLE.select(["name", "phone"]).to_pydict()


def test_data_without_anything_encrypted_is_no_access(guard: Guard) -> None:
    """Revealing plain data is a mistake, and is said to be one; nothing is recorded."""
    with pytest.raises(UsageError, match="nothing in it is encrypted"):
        opened(guard, TABLE, purpose="delivery")
    assert not guard.audit.path.exists()


def test_names_of_columns_that_are_values_stop_everything(guard: Guard) -> None:
    """A headerless file would leave its first row in the clear, as names."""
    with pytest.raises(UnprotectedDataError, match="no header") as caught:
        guard.protect(pa.table({"hong@example.com": ["kim@example.com"]}), table="customers")
    assert "hong" not in str(caught.value)


def test_tokens_of_another_field_or_key_are_refused(guard: Guard, tmp_path: Path) -> None:
    """Encrypted twice they would need two keys; kept, their new tag would lie about who may open them."""
    protected = guard.protect(TABLE.select(["phone"]), table="customers").read_all()
    bare = pa.table({"name": protected["phone"]})
    with pytest.raises(UsageError, match=r"holds tokens of customers\.phone for delivery"):
        guard.protect(bare, table="customers").read_all()
    (tmp_path / "changed.toml").write_text(POLICY.replace('purposes = ["delivery"]', 'purposes = ["payment"]'))
    changed = Guard(tmp_path / "changed.toml", guard.keys)
    with pytest.raises(UsageError, match="reveal them first"):
        changed.protect(protected, table="customers").read_all()


def test_no_token_passes_through_unopened(guard: Guard) -> None:
    """A column whose tokens begin after the first batch, and has no tag to say so, stops the stream."""
    token = guard.protect(TABLE.select(["phone"]), table="customers").read_all()["phone"][0].as_py()
    late = pa.table({"phone": [token] * 70_000, "other": [None] * 69_999 + [token]})
    with guard.reveal(purpose="delivery") as session:
        reader = session.decrypt(late)
        reader.read_next_batch()
        with pytest.raises(TokenError, match="a column that had none") as caught:
            reader.read_next_batch()
    assert caught.value.rows == (69_999,)


def test_an_empty_text_among_tokens_is_null(guard: Guard) -> None:
    """CSV has no null: an empty cell in an encrypted column is one, for an empty text has a token of its own."""
    protected = guard.protect(TABLE.select(["phone", "name"]), table="customers").read_all()
    as_csv = pa.table({name: [value or "" for value in protected[name].to_pylist()] for name in protected.column_names})
    revealed = opened(guard, as_csv, purpose="delivery")
    assert revealed.to_pydict() == TABLE.select(["phone", "name"]).to_pydict()


def test_keys_that_first_occur_late_are_recorded(guard: Guard, tmp_path: Path) -> None:
    """`closed` names every key that was used; one that the purpose may not use is recorded as refused."""
    first = guard.protect(pa.table({"phone": ["010-1234-5678"] * 70_000}), table="customers").read_all()
    (tmp_path / "two.toml").write_text(POLICY.replace('purposes = ["delivery"]', 'purposes = ["delivery", "payment"]'))
    second = (
        Guard(tmp_path / "two.toml", guard.keys).protect(pa.table({"phone": ["010-9"]}), table="customers").read_all()
    )
    both = pa.table({"phone": pa.chunked_array([*first["phone"].chunks, *second["phone"].chunks])})
    opened(guard, both, purpose="delivery")
    assert [len(record["key_ids"]) for record in recorded(guard)] == [1, 2]
    swapped = pa.table({"phone": pa.chunked_array([*[second["phone"].chunk(0)] * 70_000, *first["phone"].chunks])})
    with pytest.raises(PurposeRefusedError):
        opened(guard, swapped, purpose="payment")
    assert [record["event"] for record in recorded(guard)][2:] == ["opened", "refused", "closed"]


def test_a_refusal_is_recorded_even_where_the_keys_are_unknown(guard: Guard, tmp_path: Path) -> None:
    """An undeclared purpose is refused and recorded before any key is looked for."""
    protected = guard.protect(TABLE, table="customers").read_all()
    stranger = Guard(guard.policy, Keyring.create(tmp_path / "others"))
    with pytest.raises(PurposeRefusedError):
        opened(stranger, protected, purpose="marketing")
    assert [record["event"] for record in recorded(stranger)] == ["refused"]


def test_a_type_in_an_old_tag_does_not_touch_other_values(guard: Guard) -> None:
    """Text stays text, whatever type a sidecar remembers from values that were once encrypted under this name."""
    tags = {"customers.phone": Tag(field="customers.phone", protection="encrypt", type="int64")}
    remembering = Guard(guard.policy, guard.keys, tags=tags)
    table = pa.table({"phone": ["0101", "007"]})
    protected = remembering.protect(table, table="customers").read_all()
    assert opened(remembering, protected, purpose="delivery").equals(table)


def test_undeclared_purposes_in_a_tag_are_refused(guard: Guard) -> None:
    """A sidecar cannot make keys for purposes that nobody declared."""
    tags = {"customers.note": Tag("customers.note", "email", ("ghost",), "contract", protection="encrypt")}
    with pytest.raises(UsageError, match="ghost, which the policy does not declare"):
        Guard(guard.policy, guard.keys, tags=tags).protect(pa.table({"note": ["hong@example.com"]}), table="customers")


@pytest.mark.parametrize(
    "kind",
    [
        *(pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.bool_(), pa.binary(), pa.binary(4)),
        *(
            pa.string(),
            pa.large_string(),
            pa.large_binary(),
            pa.date32(),
            pa.date64(),
            pa.time32("ms"),
            pa.time64("us"),
        ),
        *(
            pa.timestamp("us"),
            pa.timestamp("ns", "Asia/Seoul"),
            pa.decimal128(10, 2),
            pa.decimal32(5, 2),
            pa.decimal64(10, 1),
            pa.decimal256(40, -2),
        ),
        *(pa.duration("s"), pa.null()),
    ],
    ids=str,
)
def test_the_type_in_a_tag_is_read_back(kind: pa.DataType) -> None:
    """Every scalar type's name leads back to the type."""
    assert parse_type(str(kind)) == kind


def test_a_type_that_arrow_does_not_have_is_refused() -> None:
    """A damaged tag is an error, not a guess."""
    with pytest.raises(KeyringError, match="correct the tag"):
        parse_type("strnig")


def test_numbers_and_decimals_come_back_exact(guard: Guard, tmp_path: Path) -> None:
    """What is encrypted as text is decrypted to the same value of the same type."""
    (tmp_path / "all.toml").write_text(
        POLICY + '\n[[fields]]\nmatch = "t.*"\npurposes = ["payment"]\nretention = "contract"\n'
    )
    everything = Guard(tmp_path / "all.toml", guard.keys)
    table = pa.table(
        {
            "d": pa.array([decimal.Decimal("1.10"), None]),
            "i": pa.array([2**63 - 1, -1]),
            "f": pa.array([0.1, 1e300]),
            "b": pa.array([b"\x00\xff", b""]),
            "t": pa.array([datetime.datetime(2024, 1, 1, 1, 2, 3, 4), None]),
            "c": pd.Series(["a", "b"]),
        }
    )
    protected = everything.protect(table, table="t").read_all()
    assert opened(everything, protected, purpose="payment").equals(table)


def test_a_plan_says_what_protect_will_do(guard: Guard) -> None:
    """Key, width and reason of each column before anything is done; then exactly that is done."""
    table = pa.table({"phone": ["010-1234-5678", None], "name": ["홍길동", "남궁" * 9], "id": [1, 2]})
    planned = guard.plan(table, table="customers")
    assert guard.keys.records() == ()
    assert [(field.shown, field.action, field.key) for field in planned] == [
        ("phone", "encrypt", "new"),
        ("name", "encrypt", "new"),
        ("id", "keep", ""),
    ]
    protected = guard.protect(table, table="customers").read_all()
    for field in planned[:2]:
        assert max(map(len, filter(None, protected[field.shown].to_pylist()))) == field.width
    again = guard.plan(table, table="customers")
    for field in again[:2]:
        tag = read_tag(protected.schema.field(field.shown))
        assert tag is not None
        assert field.key == tag.key_id
    assert str(again).splitlines()[0] == f"phone: encrypt (key {again[0].key}, up to 80 characters): " + again[0].why
    assert "홍길동" not in str(again)
    with pytest.raises(UsageError, match="only once"):
        guard.plan(table.to_reader(), table="customers")


def test_the_width_of_a_plan_is_enough_for_every_type(guard: Guard, tmp_path: Path) -> None:
    """No token is wider than planned, whatever the type of the values."""
    (tmp_path / "all.toml").write_text(
        POLICY + '\n[[fields]]\nmatch = "t.*"\npurposes = ["payment"]\nretention = "contract"\n'
    )
    everything = Guard(tmp_path / "all.toml", guard.keys)
    table = pa.table(
        {
            "decimal": pa.array([decimal.Decimal("-1234567890123456789012345678.0000000000")], pa.decimal128(38, 10)),
            "float": pa.array([-1.2345678901234567e-300]),
            "time": pa.array([datetime.datetime(2024, 1, 1)], pa.timestamp("ns", "Asia/Seoul")),
            "integer": pa.array([-(2**63)]),
            "bytes": pa.array([b"\xff" * 300]),
        }
    )
    planned = everything.plan(table, table="t")
    protected = everything.protect(table, table="t").read_all()
    for field in planned:
        assert field.width is not None
        assert len(protected[field.shown][0].as_py()) <= field.width
