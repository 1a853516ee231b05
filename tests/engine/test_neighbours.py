"""Columns beside each other: what one says about another."""

from __future__ import annotations

import pyarrow as pa

from pii_guard import Confidence, scan
from pii_guard.detectors import select
from pii_guard.engine.neighbours import with_neighbours
from pii_guard.merging import merge

ACCOUNTS = [f"110-{n:03d}-{n * 7919 % 1_000_000:06d}" for n in range(40)]
BANKS = ["국민은행", "신한은행", "카카오뱅크", "NH농협"] * 10


def test_numbers_beside_names_of_banks_are_accounts() -> None:
    """The shape alone is no finding; a column of bank names beside it makes it likely, and the evidence says so."""
    report = scan(pa.table({"ref": ACCOUNTS, "c2": BANKS}))
    (found,) = report.fields[0].findings
    assert (found.kind, found.confidence, found.hits) == ("kr_bank_account", Confidence.LIKELY, 40)
    assert found.evidence == (
        "40 of 40 values have the shape of a Korean bank account number",
        "the field c2 beside it holds names of banks",
    )
    assert found.samples
    assert scan(pa.table({"ref": ACCOUNTS, "c2": ["a", "b"] * 20})).fields[0].findings == ()


def test_a_header_of_banks_will_do() -> None:
    """Codes of banks under 은행코드 have no shape; their header is enough."""
    report = scan(pa.table({"ref": ACCOUNTS, "bank_cd": ["004", "088"] * 20}))
    assert [finding.kind for finding in report.fields[0].findings] == ["kr_bank_account"]


def test_what_reads_as_something_surer_stays_that() -> None:
    """Phones beside a bank are phones; words beside a bank are words."""
    phones = [f"010-1234-{n:04d}" for n in range(40)]
    report = scan(pa.table({"c1": phones, "memo": ["문의"] * 40, "은행명": BANKS}))
    assert [finding.kind for finding in report.fields[0].findings] == ["kr_phone_mobile"]
    assert report.fields[1].findings == ()


def test_another_table_is_not_beside() -> None:
    """Neighbours are columns of one table, under one parent."""
    left, right = scan(pa.table({"ref": ACCOUNTS}), table="a"), scan(pa.table({"은행": BANKS}), table="b")
    assert merge(left, right).fields[0].findings == ()
    rows = [{"ref": account, "at": {"은행": bank}} for account, bank in zip(ACCOUNTS, BANKS, strict=True)]
    assert scan(rows).fields[0].findings == ()


def test_a_second_look_changes_nothing() -> None:
    """The function is pure and idempotent, and leaves fields without such neighbours alone."""
    fields = scan(pa.table({"ref": ACCOUNTS, "은행": BANKS, "x": ["y"] * 40})).fields
    assert with_neighbours(fields, select()) == fields


def test_partial_scans_are_judged_as_the_whole() -> None:
    """Names of banks in the first half alone support nothing once both halves are known."""
    table = pa.table({"ref": ACCOUNTS, "c2": BANKS[:10] + [f"상품 {n}" for n in range(30)]})
    halves = [scan(table.slice(0, 10)), scan(table.slice(10))]
    assert [finding.kind for finding in halves[0].fields[0].findings] == ["kr_bank_account"]
    assert merge(*halves).fields == scan(table).fields
    assert scan(table).fields[0].findings == ()
