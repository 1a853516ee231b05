"""Each protection that a policy can ask for: what it does, what it refuses, and what a check makes of it."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from guards import guard_of, opened, recorded
from policies import HEAD

from pii_guard import Guard, Keyring, scan
from pii_guard.check import check
from pii_guard.crypto.blind_index import labels, tokens
from pii_guard.crypto.key import Mode
from pii_guard.crypto.normaliser import normaliser_of
from pii_guard.crypto.password import verify
from pii_guard.errors import KeyringError, PurposeRefusedError, UnprotectedDataError, UsageError
from pii_guard.finder import find
from pii_guard.model import BLANK, Tag
from pii_guard.reports import ScanReport
from pii_guard.tags import read_tag, write_tag

KEPT = 'purposes = ["delivery"]\nretention = "contract"\n'
DETERMINISTIC = KEPT + 'mode = "deterministic"\nreason = "joined with orders"\n'
ROWS = 300
PHONES = [f"010-1234-{number:04}" for number in range(ROWS)]


def rule(match: str, members: str = KEPT) -> str:
    return f'[[fields]]\nmatch = "{match}"\n{members}'


def guard_by(folder: Path, *rules: str, tags: dict[str, Tag] | None = None) -> Guard:
    return guard_of(folder, HEAD + "".join(rules), tags=tags)


def protected(guard: Guard, data: Any, table: str = "customers") -> pa.Table:
    return guard.protect(data if isinstance(data, pa.Table) else pa.table(data), table=table).read_all()


def revealed(guard: Guard, data: pa.Table, **options: Any) -> pa.Table:
    with guard.reveal(purpose="delivery") as session:
        return session.decrypt(data, masked=False, **options).read_all()


def searched(guard: Guard, data: pa.Table, value: str, purpose: str = "delivery") -> pa.Table:
    with guard.reveal(purpose=purpose) as session:
        return session.search(data, "phone", value, masked=False).read_all()


def stated(table: pa.Table, column: str) -> Tag:
    tag = read_tag(table.schema.field(column))
    assert tag is not None
    return tag


def broken(guard: Guard, table: pa.Table, name: str = "customers") -> list[tuple[str, str]]:
    found = check(scan(table, table=name), guard.policy, {})
    return [(item.field.path, item.rule) for item in found.violations if item.field]


# --- deterministic encryption ----------------------------------------------------------------------------------------


def test_deterministic_columns_join(tmp_path: Path) -> None:
    """Equal values of two tables have equal tokens under one logical field, and each opens; the tag says it."""
    rules = (rule("customers.phone", DETERMINISTIC), rule("orders.tel", DETERMINISTIC + 'joins = "customers.phone"\n'))
    guard = guard_by(tmp_path, *rules)
    customers = protected(guard, {"phone": PHONES})
    orders = protected(guard, {"tel": PHONES[:150] * 2}, "orders")
    assert customers["phone"].to_pylist()[:150] == orders["tel"].to_pylist()[:150]
    assert customers.join(orders.append_column("n", pa.array(range(300))), "phone", "tel", "inner").num_rows == 300
    assert revealed(guard, orders)["tel"].to_pylist() == PHONES[:150] * 2
    (record,) = guard.keys.records()
    assert (record.mode, record.field) == (Mode.DETERMINISTIC, "customers.phone")
    assert (stated(orders, "tel").field, stated(orders, "tel").mode) == ("customers.phone", "deterministic")
    assert broken(guard, customers) == broken(guard, orders, "orders") == []


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        (
            "생년월일",
            [datetime.date(1950 + n % 70, 1 + n % 12, 1 + n % 28) for n in range(ROWS)],
            "date_of_birth has at most",
        ),
        ("disease", [f"J{number:03}" for number in range(ROWS)], "sensitive has at most"),
        ("newsletter", [True, False] * (ROWS // 2), "type bool has at most 2 different values"),
        ("score", pa.array(range(ROWS // 10), pa.int8()), "type int8 has at most 256"),
        ("phone", [*PHONES[4:], *PHONES[:1] * 4], "one value makes up to 1.3 % of all"),
    ],
)
def test_values_that_can_be_told_apart_are_refused(tmp_path: Path, column: str, values: Any, message: str) -> None:
    """Few possible values, or one that is frequent, unless forced; nothing is made before."""
    guard = guard_by(tmp_path, rule("customers.*", DETERMINISTIC))
    with pytest.raises(UsageError, match=message) as caught:
        protected(guard, {column: values})
    assert "force = true" in str(caught.value)
    assert guard.keys.records() == ()
    forced = guard_by(tmp_path, rule("customers.*", DETERMINISTIC + "force = true\n"))
    table = pa.table({column: values})
    made = protected(forced, table)
    assert len(set(made[column].to_pylist())) == len(set(table[column].to_pylist()))
    assert revealed(forced, made).equals(table)


@pytest.mark.parametrize("copies", [1, 3])
def test_a_value_of_one_in_a_hundred_is_not_refused(tmp_path: Path, copies: int) -> None:
    """1 % of the rows is the limit, and a table of few rows that are all different shows nothing."""
    guard = guard_by(tmp_path, rule("customers.*", DETERMINISTIC))
    protected(guard, {"phone": PHONES[copies - 1 :] + PHONES[-1:] * (copies - 1)})
    protected(guard, {"phone": PHONES[:5]})


def test_frequent_values_are_found_in_any_number_of_batches(tmp_path: Path) -> None:
    """Over 100,000 different values around it, in a report of parts and in the first batch of a stream."""
    guard = guard_by(tmp_path, rule("customers.*", DETERMINISTIC))
    values = [f"{number:07}" if number % 80 else "0000000" for number in range(120_000)]
    table = pa.table({"code": values})
    with pytest.raises(UsageError, match=r"customers\.code: one value makes up to 1\.[23] %"):
        protected(guard, table)
    with pytest.raises(UsageError, match=r"one value makes up to 1\.[23] %"):
        guard.protect(table.to_reader(), table="customers")
    assert protected(guard, {"code": [f"{number:07}" for number in range(120_000)]}).num_rows == 120_000


def test_a_sidecar_cannot_ask_for_it_without_a_reason(tmp_path: Path) -> None:
    """What a tag states is held to the same rules."""
    tag = Tag(
        "customers.phone", "kr_phone_mobile", ("delivery",), "contract", protection="encrypt", mode="deterministic"
    )
    guard = guard_by(tmp_path, tags={"customers.phone": tag})
    with pytest.raises(UsageError, match="needs a reason"):
        protected(guard, {"phone": PHONES})


# --- blind index -----------------------------------------------------------------------------------------------------


def test_an_indexed_column_is_found_by(tmp_path: Path) -> None:
    """The index stands behind its column, finds every spelling, and shares its values among several."""
    guard = guard_by(tmp_path, rule("customers.phone", KEPT + "index = true\n"))
    made = protected(guard, {"phone": [*PHONES, None], "note": ["x"] * (ROWS + 1)})
    assert made.column_names == ["phone", "phone_index", "note"]
    assert stated(made, "phone").index == "6"
    assert stated(made, "phone_index").protection == "index"
    index = made["phone_index"].combine_chunks()
    assert index[-1].as_py() is None
    assert 32 < len(set(index.to_pylist())) <= 65
    keys = guard.keys.index_keys("customers.phone", "delivery")
    wanted = tokens("+82 10 1234 0007", keys, [(normaliser_of("kr_phone_mobile"), 6)])
    assert index[7].as_py() in wanted
    assert labels(index) == {(keys[0].key_id, normaliser_of("kr_phone_mobile"), 6)}
    assert broken(guard, made) == []
    with pytest.raises(PurposeRefusedError):
        guard.keys.index_keys("customers.phone", "support")


def test_search_returns_the_rows_that_hold_the_value(tmp_path: Path) -> None:
    """All of them, whatever the spelling and whenever their key was made, and no others; the access is recorded."""
    guard = guard_by(tmp_path, rule("customers.phone", KEPT + "index = 3\n"))
    first = protected(guard, {"phone": PHONES})
    wider = guard_by(tmp_path, rule("customers.phone", KEPT.replace('"]', '", "support"]') + "index = 5\n"))
    second = protected(wider, {"phone": [*PHONES[:10], "01012340007", None]})
    both = pa.concat_tables([first.replace_schema_metadata(), second.cast(first.schema)])
    for spelling in ("010-1234-0007", "+82-10-1234-0007"):
        found = searched(guard, both, spelling)
        assert found["phone"].to_pylist() == ["010-1234-0007", "010-1234-0007", "01012340007"]
    assert searched(guard, both, "010-9999-9999").num_rows == 0
    last = recorded(guard)[-2:]
    assert [(record["event"], record["task"]) for record in last] == [("opened", "search"), ("closed", "search")]
    with pytest.raises(PurposeRefusedError):
        searched(guard, first, PHONES[0], "support")
    with pytest.raises(UsageError, match="has no blind index"):
        searched(guard, first.select(["phone"]), PHONES[0])


def test_search_misses_no_row_without_an_index(tmp_path: Path) -> None:
    """Rows that have no index yet are opened and compared, also where no row has one."""
    guard = guard_by(tmp_path, rule("customers.phone", KEPT + "index = 5\n"))
    made = protected(guard, {"phone": PHONES})
    bare = made.set_column(1, made.schema.field(1), pa.nulls(ROWS, pa.string()))
    for table in (bare, pa.concat_tables([bare, made])):
        assert set(searched(guard, table, "+82-10-1234-0007")["phone"].to_pylist()) == {PHONES[7]}
    assert searched(guard, pa.concat_tables([bare, made]), "+82-10-1234-0007").num_rows == 2
    with pytest.raises(UsageError, match="is searched for a value such as text, not for") as caught:
        searched(guard, made, Path("010-1234-0007"))  # type: ignore[arg-type]
    assert "1234" not in str(caught.value)


def test_few_values_are_not_indexed(tmp_path: Path) -> None:
    """No number of bits hides which of 16 values are equal, unless somebody says how many are to come."""
    guard = guard_by(tmp_path, rule("customers.phone", KEPT + "index = true\n"))
    with pytest.raises(UsageError, match=r"a blind index of 16 values tells them apart"):
        protected(guard, {"phone": PHONES[:16]})
    stating = guard_by(tmp_path, rule("customers.phone", KEPT + "index = 12\n"))
    assert stated(protected(stating, {"phone": PHONES[:16]}), "phone").index == "12"


def test_protecting_an_indexed_column_again(tmp_path: Path) -> None:
    """What is there stays, bits included; what was added since is indexed beside it; a lost index is not forgotten."""
    guard = guard_by(tmp_path, rule("customers.phone*", KEPT + "index = true\n"))
    made = protected(guard, {"phone": PHONES})
    assert protected(guard, made).equals(made)
    more = pa.table({"phone": [*made["phone"].to_pylist(), "010-9999-0000"]})
    index = pa.array([*made["phone_index"].to_pylist(), None])
    schema = pa.schema([made.schema.field("phone"), made.schema.field("phone_index")])
    again = protected(guard, pa.table([more["phone"], index], schema=schema))
    assert again["phone_index"].to_pylist()[:ROWS] == made["phone_index"].to_pylist()
    assert again["phone_index"][-1].as_py() in tokens(
        "01099990000", guard.keys.index_keys("customers.phone", "delivery"), [(normaliser_of("kr_phone_mobile"), 6)]
    )
    with pytest.raises(UsageError, match="holds tokens without an index"):
        protected(guard, made.select(["phone"]))


def test_the_name_of_an_index_may_not_be_taken(tmp_path: Path) -> None:
    """A column of that name that is no index is not overwritten."""
    guard = guard_by(tmp_path, rule("customers.phone", KEPT + "index = 8\n"))
    with pytest.raises(UsageError, match="rename that"):
        protected(guard, {"phone": PHONES, "phone_index": range(ROWS)})


# --- one way ---------------------------------------------------------------------------------------------------------


def test_redacted_and_dropped_columns_hold_nothing(tmp_path: Path) -> None:
    """A constant of the same length for all, or no column; they need no purpose, and make no key."""
    rules = (rule("customers.phone", 'protection = "redact"\n'), rule("customers.mobile", 'protection = "drop"\n'))
    guard = guard_by(tmp_path, *rules)
    table = pa.table({"phone": [*PHONES[:3], None], "mobile": [*PHONES[:4]], "n": range(4)})
    assert {name for name, _ in broken(guard, table)} == {"phone", "mobile"}
    made = protected(guard, table)
    assert made.to_pydict() == {"phone": [BLANK] * 3 + [None], "n": [0, 1, 2, 3]}
    assert guard.keys.records() == ()
    assert broken(guard, made) == []
    assert protected(guard, made).equals(made)


def test_masked_columns_show_what_a_sample_shows(tmp_path: Path) -> None:
    """By the kind of the field; masks are not masked again."""
    guard = guard_by(tmp_path, rule("customers.*", KEPT + 'protection = "mask"\n'))
    table = pa.table({"phone": PHONES[:20], "고객명": ["홍길동", "김민수"] * 10, "n": range(20)})
    made = protected(guard, table)
    assert made["phone"].to_pylist()[7] == "***-****-**07"
    assert made["고객명"].to_pylist()[:2] == ["홍**", "김**"]
    assert made["n"].to_pylist()[-1] == "**"
    assert broken(guard, made.drop_columns(["n"])) == []
    assert protected(guard, made).equals(made)
    assert stated(made, "phone").protection == "mask"


def test_pseudonyms_are_equal_where_values_are(tmp_path: Path) -> None:
    """Under a key of their own that two fields can share; nothing opens them."""
    hmac = KEPT + 'protection = "hmac"\n'
    guard = guard_by(tmp_path, rule("customers.phone", hmac), rule("orders.tel", hmac + 'joins = "customers.phone"\n'))
    made = protected(guard, {"phone": PHONES})
    orders = protected(guard, {"tel": [*PHONES[:3], None]}, "orders")
    assert orders["tel"].to_pylist() == [*made["phone"].to_pylist()[:3], None]
    assert len(set(made["phone"].to_pylist())) == ROWS
    (record,) = guard.keys.records()
    assert record.mode is Mode.HMAC
    assert stated(made, "phone").key_id == record.key_id.hex()
    with pytest.raises(UsageError, match="nothing in it is encrypted"):
        revealed(guard, made)
    assert broken(guard, made) == broken(guard, orders, "orders") == []
    assert broken(guard, pa.table({"phone": ["x", *made["phone"].to_pylist()]})) == [("phone", "PG001")]
    assert protected(guard, made).equals(made)


def test_passwords_are_hashed_one_way(tmp_path: Path) -> None:
    """Plain ones by Argon2id; hashes of other schemes stay, for nobody knows what they are of."""
    guard = guard_by(tmp_path, rule("members.password", KEPT + 'protection = "password"\n'))
    bcrypt = "$2b$12$" + "a" * 53
    table = pa.table({"password": ["hunter2", bcrypt, None, ""]})
    report = guard._scan(table, "members")
    (planned,) = guard.plan(table, report=report)
    assert "1 to hash by Argon2id, some 1 s of one core" in planned.why
    done: list[int] = []
    made = guard.protect(table, table="members", hashed=done.append).read_all()
    values = made["password"].to_pylist()
    assert verify("hunter2", values[0])
    assert values[1:] == [bcrypt, None, ""]
    assert done == [1]
    assert broken(guard, table, "members") == [("password", "PG030")]
    assert broken(guard, made, "members") == []
    assert guard.keys.records() == ()


def test_spans_of_free_text(tmp_path: Path) -> None:
    """The text stays readable around its tokens, opens for its purpose, and is protected once."""
    guard = guard_by(tmp_path, rule("customers.memo", KEPT + 'protection = "encrypt-spans"\n'))
    texts = ["메일 hong@example.com으로 보내 주세요", "", None, "문 앞", "[pgd1] 010-1234-5678입니다"]
    table = pa.table({"memo": texts, "n": range(5)})
    made = protected(guard, table)
    assert find(made["memo"]).num_rows == 0
    assert made["memo"][3].as_py() == "문 앞"
    assert broken(guard, table) == [("memo", "PG001")]
    assert broken(guard, made) == []
    assert protected(guard, made).equals(made)
    assert revealed(guard, made).equals(table)
    bare = pa.table(made.to_pydict())  # as CSV keeps it: without tags
    assert revealed(guard, bare).equals(table)
    with pytest.raises(PurposeRefusedError):
        opened(guard, made, purpose="support")


def test_values_that_only_their_column_tells_are_no_spans(tmp_path: Path) -> None:
    """What the detectors find in no text is not left in the clear without a word: nothing is released."""
    guard = guard_by(tmp_path, rule("customers.*", KEPT + 'protection = "encrypt-spans"\n'))
    reader = guard.protect(pa.table({"계좌번호": [f"110-739-{n:06}" for n in range(50)]}), table="customers")
    with pytest.raises(UnprotectedDataError, match=r'kr_bank_account is left .* protection = "encrypt"'):
        reader.read_next_batch()


def test_spans_that_do_not_open_are_counted(tmp_path: Path) -> None:
    """They stay in the text, and the access record says how many."""
    guard = guard_by(tmp_path, rule("customers.memo", KEPT + 'protection = "encrypt-spans"\n'))
    made = protected(guard, {"memo": ["hong@example.com", "kim@example.com"]})
    first = made["memo"][0].as_py()
    changed = first[:-3] + ("A" if first[-3] != "A" else "B") + first[-2:]
    mixed = pa.table([pa.array([changed, made["memo"][1].as_py()])], schema=made.schema)
    assert revealed(guard, mixed)["memo"].to_pylist() == [changed, "kim@example.com"]
    closed = json.loads(guard.audit.path.read_text().splitlines()[-1])
    assert (closed["rows"], closed["failures"]) == (2, 1)


def test_failed_values_are_null_on_request_alone(tmp_path: Path) -> None:
    """Counted in the access record; any other word is refused before anything is recorded."""
    guard = guard_by(tmp_path, rule("customers.phone"))
    made = protected(guard, {"phone": PHONES})
    values = [None, "010-0000-0000", *made["phone"].to_pylist()[2:]]
    mixed = pa.table([pa.array(values)], schema=made.schema)
    with pytest.raises(UsageError, match="on_error"):
        revealed(guard, mixed, on_error="pass")
    assert not guard.audit.path.exists()
    assert revealed(guard, mixed, on_error="null")["phone"].to_pylist() == [None, None, *PHONES[2:]]
    closed = json.loads(guard.audit.path.read_text().splitlines()[-1])
    assert (closed["rows"], closed["failures"], closed["outcome"]) == (ROWS, 1, "done")
    strange = pa.table({"phone": ["pgd1AQECAwR38TwjwvmlvIUNye4XriqcszQ78C7o2CwOx5XEmYJTyo81y-kZmknCKXbYLJB7MR2coMM6"]})
    with pytest.raises(KeyringError, match="01020304 is not in the key directory"):
        revealed(guard, strange)
    assert revealed(guard, strange, on_error="null")["phone"].to_pylist() == [None]


# --- what a check makes of it ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("protection", ["redact", "mask", "hmac", "index", "encrypt-spans", "password", "drop"])
def test_data_cannot_excuse_itself_by_a_tag(tmp_path: Path, protection: str) -> None:
    """Plain values under a tag that calls them protected are in the clear; with a rule or without one."""
    tag = Tag("customers.phone", "kr_phone_mobile", ("delivery",), "contract", protection=protection)
    field = write_tag(pa.field("phone", pa.string()), tag)
    table = pa.table([pa.array(PHONES)], schema=pa.schema([field]))
    for rules in ((rule("customers.phone"),), ()):
        assert ("phone", "PG001") in broken(guard_by(tmp_path, *rules), table)
    with pytest.raises(UnprotectedDataError):
        protected(guard_by(tmp_path), pa.table([pa.array(PHONES)], schema=pa.schema([write_tag(field, Tag())])))


def test_a_rule_that_changed_is_seen(tmp_path: Path) -> None:
    """Masked values under a rule that asks for encryption now are not what is declared."""
    made = protected(guard_by(tmp_path, rule("customers.phone", KEPT + 'protection = "mask"\n')), {"phone": PHONES})
    assert broken(guard_by(tmp_path, rule("customers.phone")), made) == [("phone", "PG001")]


def test_empty_tables_are_planned_like_full_ones(tmp_path: Path) -> None:
    """The schema does not depend on the rows."""
    rules = (rule("customers.phone", KEPT + "index = 8\n"), rule("customers.memo", KEPT + 'protection = "hmac"\n'))
    guard = guard_by(tmp_path, *rules)
    table = pa.table({"phone": PHONES, "memo": ["x"] * ROWS})
    assert protected(guard, table.slice(0, 0)).schema.names == protected(guard, table).schema.names
    assert protected(guard, protected(guard, table.slice(0, 0))).num_rows == 0


def test_reports_with_frequencies_add_up() -> None:
    """The parts of a scan give the frequencies of the whole, however they are cut."""
    from pii_guard.detectors import select
    from pii_guard.merging import merge
    from pii_guard.scanner import scan_data

    values = ["a"] * 30 + [f"v{number}" for number in range(5_000)] + ["b"] * 20
    parts = [values[:17], values[17:3_000], values[3_000:]]

    def counted(part: list[str]) -> ScanReport:
        return scan_data(pa.table({"v": part}), detectors=select(["email"]), frequencies=lambda name: name == "data.v")

    whole = counted(values).fields[0].tally.frequencies
    added = merge(*map(counted, parts)).fields[0].tally.frequencies
    assert whole is not None
    assert added is not None
    for found in (whole, added):
        assert (found.values, len(found.counts) <= found.LIMIT) == (5_050, True)
        assert 30 <= found.top <= 30 + 5_050 // found.LIMIT
    assert scan_data(pa.table({"v": values}), detectors=select(["email"])).fields[0].tally.frequencies is None
    assert "'a'" not in repr(whole)
    with pytest.raises(KeyringError):
        Keyring.open(Path("nowhere"))
