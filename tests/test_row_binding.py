"""`bind_row`: tokens that open in their own rows alone, from a rule to the refusal of a swap."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_runner import run
from guards import guard_of, opened

from pii_guard import Guard
from pii_guard.errors import PolicyError, TokenError, UsageError
from pii_guard.keys.rotation import rotate
from pii_guard.keys.selection import Selection
from pii_guard.reencryption import reencrypt
from pii_guard.sidecar import load_sidecar, save_sidecar
from pii_guard.tags import read_tag, write_tag

HEAD = """
version = 1
[purposes.delivery]
title = "Delivery of goods"
[retention.contract]
period = "P5Y"
[retention.yearly]
period = "P5Y"
period_from = "day"
granularity = "year"
"""
RULE = '[[fields]]\nmatch = "customers.phone"\npurposes = ["delivery"]\nretention = "contract"\n'
BOUND = RULE + 'bind_row = ["id"]\n'
ROWS = 100
PHONES = [f"010-1234-{number:04}" if number % 7 else None for number in range(ROWS)]
PLAIN = pa.table({"id": range(ROWS), "shop": ["a", "b"] * (ROWS // 2), "phone": PHONES})


def guard_by(folder: Path, rules: str = BOUND) -> Guard:
    return guard_of(folder, HEAD + rules)


def protected(guard: Guard, table: pa.Table = PLAIN) -> pa.Table:
    return guard.protect(table, table="customers").read_all()


def revealed(guard: Guard, table: pa.Table) -> pa.Table:
    return opened(guard, table, purpose="delivery")


def with_column(table: pa.Table, name: str, values: Any) -> pa.Table:
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(place), pa.chunked_array([values.combine_chunks()]))


def swapped(table: pa.Table, one: int, other: int) -> pa.Table:
    order = list(range(table.num_rows))
    order[one], order[other] = other, one
    return with_column(table, "phone", table["phone"].take(pa.array(order)))


@pytest.mark.parametrize("names", [["id"], ["shop", "id"]], ids=str)
def test_a_swapped_row_is_refused(tmp_path: Path, names: list[str]) -> None:
    """The round trip is exact in any order of rows; two tokens in each other's place are refused and named."""
    guard = guard_by(tmp_path, RULE + f"bind_row = {names}\n")
    table = protected(guard)
    tag = read_tag(table.schema.field("phone"))
    assert tag is not None
    assert tag.bind_row == tuple(names)
    assert "bound to its row by " + ", ".join(names) in str(guard.plan(PLAIN, table="customers"))
    assert revealed(guard, table)["phone"].to_pylist() == PHONES
    back = table.take(pa.array(range(ROWS)[::-1]))
    assert revealed(guard, back)["phone"].to_pylist() == PHONES[::-1]
    with pytest.raises(TokenError) as caught:
        revealed(guard, swapped(table, 3, 5))
    assert caught.value.rows == (3, 5)
    with guard.reveal(purpose="delivery") as session:
        lost = session.decrypt(swapped(table, 3, 5), masked=False, on_error="null").read_all()["phone"].to_pylist()
    assert [row for row in range(ROWS) if lost[row] != PHONES[row]] == [3, 5]


def test_without_it_a_swapped_row_opens(tmp_path: Path) -> None:
    """As docs/security.md says of tokens that are not bound."""
    guard = guard_by(tmp_path, RULE)
    found = revealed(guard, swapped(protected(guard), 3, 5))["phone"].to_pylist()
    assert (found[3], found[5]) == (PHONES[5], PHONES[3])


def test_an_older_token_of_the_same_row_opens(tmp_path: Path) -> None:
    """What binding does not prevent, as docs/security.md says."""
    guard = guard_by(tmp_path)
    old = protected(guard)
    new = protected(guard, with_column(PLAIN, "phone", pa.chunked_array([["010-9999-0000"] * ROWS])))
    assert revealed(guard, with_column(new, "phone", old["phone"]))["phone"].to_pylist() == PHONES


def test_a_changed_or_missing_row_key_opens_nothing(tmp_path: Path) -> None:
    """Another number in the row, no such column, one of another type, and a tag that says nothing of it."""
    guard = guard_by(tmp_path)
    table = protected(guard)
    with pytest.raises(TokenError):
        revealed(guard, with_column(table, "id", pa.chunked_array([range(1, ROWS + 1)])))
    for other in (table.drop_columns(["id"]), table.set_column(0, "id", table["id"].cast(pa.float64()))):
        with pytest.raises(
            UsageError, match="phone: its tokens are bound to their rows by the column id, which is not"
        ):
            revealed(guard, other)
    field = table.schema.field("phone")
    tag = read_tag(field)
    assert tag is not None
    forged = table.set_column(2, write_tag(field, replace(tag, bind_row=())), table["phone"])
    with pytest.raises(TokenError, match="nothing says which columns are the key of a row"):
        revealed(guard, forged)
    text = table.set_column(0, "id", table["id"].cast(pa.string()))  # as CSV has it
    assert revealed(guard, text)["phone"].to_pylist() == PHONES


def test_protecting_again_changes_nothing(tmp_path: Path) -> None:
    """Bound tokens stay; where the rule says otherwise than the tokens, it is refused, either way."""
    guard = guard_by(tmp_path)
    table = protected(guard)
    assert protected(guard, table)["phone"].equals(table["phone"])
    free = guard_by(tmp_path, RULE)
    with pytest.raises(UsageError, match="holds tokens that are bound to their rows, and are not to be"):
        protected(free, table)
    unbound = protected(free)
    with pytest.raises(UsageError, match="holds tokens that are not bound to their rows, and are to be"):
        protected(guard_by(tmp_path), unbound)
    back = revealed(guard, table)
    assert revealed(guard, protected(guard, back))["phone"].to_pylist() == PHONES


def test_rows_of_several_keys(tmp_path: Path) -> None:
    """Rows are bound whatever the cohort whose key they have."""
    guard = guard_by(tmp_path, BOUND.replace('"contract"', '"yearly"'))
    plain = PLAIN.append_column("day", pa.array([f"202{number % 4}-01-01" for number in range(ROWS)]))
    table = protected(guard, plain)
    assert revealed(guard, table)["phone"].to_pylist() == PHONES
    assert len(guard.keys.records()) == 5
    with pytest.raises(TokenError) as caught:
        revealed(guard, swapped(table, 1, 5))  # of one year
    assert caught.value.rows == (1, 5)


def test_a_search_opens_what_it_finds(tmp_path: Path) -> None:
    """Through the blind index to bound tokens; a token that was moved there is refused."""
    guard = guard_by(tmp_path, BOUND + "index = 4\n")
    table = protected(guard)
    with guard.reveal(purpose="delivery") as session:
        found = session.search(table, "phone", "+82 10 1234 0003", masked=False).read_all()
        assert found["id"].to_pylist() == [3]
        with pytest.raises(TokenError):
            session.search(swapped(table, 3, 5), "phone", "010-1234-0003", masked=False).read_all()


def test_bound_tokens_move_with_their_rows(tmp_path: Path) -> None:
    """To the newest key, bound as before: swapped ones do not open, neither before nor after."""
    guard = guard_by(tmp_path)
    table = protected(guard)
    rotate(guard.keys, Selection(field="customers.phone"))
    moved, done = reencrypt(table.to_reader(), guard.keys, guard.audit, actor="me")
    after = moved.read_all()
    assert done.moved == len(table) - table["phone"].null_count
    assert after["phone"].to_pylist() != table["phone"].to_pylist()
    assert opened(guard, after, purpose="delivery").equals(opened(guard, table, purpose="delivery"))
    with pytest.raises(TokenError):
        opened(guard, swapped(after, 3, 5), purpose="delivery")
    with pytest.raises(TokenError):
        reencrypt(swapped(table, 3, 5).to_reader(), guard.keys, guard.audit, actor="me")[0].read_all()


def test_single_values_and_older_keys_are_refused(tmp_path: Path) -> None:
    """A token alone has no row; tokens are not moved to a newer key without their rows."""
    guard = guard_by(tmp_path)
    table = protected(guard)
    with guard.reveal(purpose="delivery") as session, pytest.raises(TokenError, match="bound to their rows"):
        session.value(table["phone"][1].as_py(), "customers.phone")
    rotate(guard.keys, Selection(field="customers.phone"))
    untagged = pa.table({"id": table["id"], "phone": table["phone"]})
    with pytest.raises(UsageError, match="bound to their rows, and no tag says which columns name a row"):
        reencrypt(untagged.to_reader(), guard.keys, guard.audit, actor="me")[0].read_all()
    with pytest.raises(UsageError, match="bound to their rows by the column id, which is not here once"):
        reencrypt(table.select(["phone"]).to_reader(), guard.keys, guard.audit, actor="me")[0].read_all()


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (RULE + 'bind_row = ["idd"]\n', 'names the column idd, which this table does not have; did you mean "id"'),
        (RULE + 'bind_row = ["phone"]\n', r"names the column phone, which does not stay as it is \(encrypt\)"),
        (RULE + 'bind_row = ["price"]\n', "names the column price, whose values are not written alike"),
        (BOUND + '[[fields]]\nmatch = "customers.id"\nprotection = "drop"\n', r"which does not stay as it is \(drop\)"),
    ],
    ids=["missing", "itself", "a float", "dropped"],
)
def test_rows_that_cannot_be_named_are_refused_in_the_plan(tmp_path: Path, rules: str, message: str) -> None:
    """In one line, before any key is made."""
    guard = guard_by(tmp_path, rules)
    with pytest.raises(UsageError, match=message) as caught:
        guard.plan(PLAIN.append_column("price", pa.array([0.5] * ROWS)), table="customers")
    assert "\n" not in str(caught.value)
    assert not guard.keys.records()


def test_a_row_without_a_name_is_refused(tmp_path: Path) -> None:
    """A null or an empty text in the key of a row, unless the row has nothing to protect."""
    for ids, missing in (([None, "", "c"], 2), (["a", None, "c"], 1)):
        table = pa.table({"id": pa.array(ids), "phone": ["010-1234-5678"] * 3})
        with pytest.raises(UsageError, match=rf"{missing} row\(s\) of a batch have no value in id"):
            protected(guard_by(tmp_path), table)
    table = pa.table({"id": ["a", None], "phone": ["010-1234-5678", None]})
    guard = guard_by(tmp_path)
    assert revealed(guard, protected(guard, table)).equals(table)


@pytest.mark.parametrize("other", ['protection = "hmac"', 'protection = "encrypt-spans"', 'mode = "deterministic"'])
def test_other_protections_do_not_bind(tmp_path: Path, other: str) -> None:
    """`bind_row` with anything but randomized encryption is a mistake of the policy."""
    with pytest.raises(PolicyError, match=r'bind_row: belongs to protection = "encrypt" and mode = "randomized"'):
        guard_by(tmp_path, BOUND + other + '\nreason = "joins"\n' * other.startswith("mode") + "\n")


def test_the_sidecar_keeps_it(tmp_path: Path) -> None:
    """What a tag says of rows is the same on both carriers."""
    tag = read_tag(protected(guard_by(tmp_path)).schema.field("phone"))
    assert tag is not None
    save_sidecar(tmp_path / "pii-guard.tags.toml", {"customers.phone": tag})
    assert load_sidecar(tmp_path / "pii-guard.tags.toml") == {"customers.phone": tag}


def test_where_no_tag_is_the_rule_says_it(tmp_path: Path) -> None:
    """A store that keeps no tags: the rule of the field names the columns, of bound tokens and of no others."""
    guard = guard_by(tmp_path)
    table = protected(guard)
    untagged = pa.table(dict(zip(table.column_names, table.columns, strict=True)))
    assert revealed(guard, untagged)["phone"].to_pylist() == PHONES
    with pytest.raises(TokenError) as caught:
        revealed(guard, swapped(untagged, 3, 5))
    assert caught.value.rows == (3, 5)
    with pytest.raises(TokenError, match="nothing says which columns are the key of a row"):
        revealed(guard_by(tmp_path, RULE), untagged)
    before = protected(guard_by(tmp_path, RULE))
    assert revealed(guard, pa.table({"id": table["id"], "phone": before["phone"]}))["phone"].to_pylist() == PHONES


def test_what_sees_no_rows_refuses_the_rule(tmp_path: Path) -> None:
    """Columns in place, before anything is written, and a column type of SQLAlchemy."""
    from pii_guard.integrations.sqlalchemy import Encrypted

    with pytest.raises(UsageError, match=r"customers\.phone: its rule has bind_row"):
        Encrypted(guard_by(tmp_path), "customers.phone")
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, phone TEXT)")
        shop.execute("INSERT INTO customers VALUES (1, '010-1234-5678')")
    where = ("sqlite:///shop.db", "--in-place", "--table", "customers", "--column", "phone", "--keys", "keys")
    refused = run("protect", *where, cwd=tmp_path)
    assert refused.code == 2
    assert "tokens bound to rows, a blind index or keys by period, which are not made in place" in refused.stderr
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        assert shop.execute("SELECT phone FROM customers").fetchall() == [("010-1234-5678",)]


def test_the_commands(tmp_path: Path) -> None:
    """CSV, protected Parquet, revealed CSV; a swap in the Parquet file ends `reveal` with the rows, and no file."""
    (tmp_path / "pii-guard.toml").write_text(HEAD + BOUND, "utf-8")
    lines = ["id,phone", *(f"{row},{phone or ''}" for row, phone in enumerate(PHONES))]
    (tmp_path / "customers.csv").write_text("\n".join(lines) + "\n")
    assert run("keys", "init", cwd=tmp_path).code == 0
    done = run("protect", "customers.csv", "--to", "safe.parquet", cwd=tmp_path)
    assert done.code == 0
    assert "each token bound to its row by id" in done.stdout + done.stderr
    assert run("check", "safe.parquet", cwd=tmp_path).code == 0
    assert run("reveal", "safe.parquet", "--to", "back.csv", "--purpose", "delivery", cwd=tmp_path).code == 0
    assert (tmp_path / "back.csv").read_text().replace('"', "").splitlines() == lines
    assert run("protect", "customers.csv", "--to", "safe.csv", cwd=tmp_path).code == 0
    again = run("reveal", "safe.csv", "--to", "again.csv", "--purpose", "delivery", cwd=tmp_path)
    assert (again.code, (tmp_path / "again.csv").read_text()) == (0, (tmp_path / "back.csv").read_text())
    pq.write_table(swapped(pq.read_table(tmp_path / "safe.parquet"), 3, 5), tmp_path / "swapped.parquet")
    refused = run("reveal", "swapped.parquet", "--to", "no.csv", "--purpose", "delivery", cwd=tmp_path)
    assert refused.code != 0
    assert "2 changed since they were made, or moved here from elsewhere" in refused.stderr
    assert "010-1234" not in refused.stderr
    assert not (tmp_path / "no.csv").exists()
