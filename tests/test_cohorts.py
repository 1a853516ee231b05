"""Keys by cohort: what is past its period becomes unreadable, and nothing else does."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from guards import guard_of, opened
from hypothesis import given
from hypothesis import strategies as st
from policies import HEAD

from pii_guard import Guard, Keyring, scan
from pii_guard.cohorts import Cohorts
from pii_guard.errors import KeyringError, PolicyError, UsageError
from pii_guard.keys.destruction import destroy
from pii_guard.keys.selection import Selection
from pii_guard.policy import load
from pii_guard.policy.expiry import last_day

POLICY = (
    HEAD
    + """\
period_from = "signed"
granularity = "year"
[[fields]]
match = "t.phone"
purposes = ["delivery"]
retention = "contract"
index = 4
"""
)
DAYS = [datetime.date(2020, 1, 5), None, datetime.date(2021, 12, 31), datetime.date(2020, 12, 31)]
PHONES = ["010-1234-5678", "010-1111-2222", "010-3333-4444", None]
TABLE = pa.table({"phone": PHONES * 20, "signed": pa.array(DAYS * 20)})


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    return guard_of(tmp_path, POLICY)


def test_each_cohort_has_keys_of_its_own(guard: Guard) -> None:
    """All rows open together; with the keys of a year destroyed exactly the rows of that year do not."""
    assert [field.key for field in guard.plan(TABLE, table="t")] == ["each year of signed", ""]
    protected = guard.protect(TABLE, table="t").read_all()
    assert sorted(record.period for record in guard.keys.records()) == ["", "2020", "2021"]
    assert opened(guard, protected, purpose="delivery").select(["phone", "signed"]).equals(TABLE)
    assert guard.protect(protected, table="t").read_all().equals(protected)
    with guard.reveal(purpose="delivery") as session:
        assert session.search(protected, "phone", "+82-10-1234-5678").read_all().num_rows == 20
        assert session.search(protected, "phone", "+82-10-1111-2222").read_all().num_rows == 20
    destroy(guard.keys, Selection(retention="contract", period="2020"))
    later = Guard(guard.policy, guard.keys.directory)
    with pytest.raises(KeyringError, match="was destroyed on"):
        opened(later, protected, purpose="delivery")
    with later.reveal(purpose="delivery") as session:
        rest = session.decrypt(protected, masked=False, on_error="null").read_all()
        assert session.search(protected, "phone", "+82-10-1234-5678").read_all().num_rows == 0
        assert session.search(protected, "phone", "+82-10-1111-2222").read_all().num_rows == 20
    assert rest["phone"].to_pylist() == [None, PHONES[1], PHONES[2], None] * 20
    with pytest.raises(UsageError, match=r"phone: 20 values .* of t\.phone, which was destroyed on .*: nothing opens"):
        later.protect(protected, table="t").read_all()
    left = protected.filter(pa.array([day is None or day.year != 2020 for day in TABLE["signed"].to_pylist()]))
    assert opened(later, left, purpose="delivery")["phone"].to_pylist() == PHONES[1:3] * 20


@given(st.dates(datetime.date(1900, 1, 1), datetime.date(2999, 12, 31)), st.sampled_from(["month", "quarter", "year"]))
def test_a_day_is_in_the_period_of_its_label(day: datetime.date, granularity: str) -> None:
    """Whatever form the day has; the period ends on or after it, and the one before ends earlier."""
    cohorts = Cohorts(0, "d", granularity)
    moment = datetime.datetime.combine(day, datetime.time(23, 59))
    forms = [
        pa.array([day]),
        pa.array([moment], pa.timestamp("us")),
        pa.array([day], pa.date64()),
        *(pa.array([day.strftime(form)]) for form in ("%Y-%m-%d", "%Y.%m.%d", "%Y/%m/%d", "%Y%m%d", "%Y-%m-%dT00:00Z")),
        pa.array([int(day.strftime("%Y%m%d"))]),
    ]
    (label,) = {cohorts.labels(form)[0].as_py() for form in forms}
    for form in forms:
        assert cohorts.labels(pa.concat_arrays([form, pa.nulls(1, form.type)])).to_pylist() == [label, ""]
    months = {"month": 1, "quarter": 3, "year": 12}[granularity]
    last = last_day(label)
    assert last.year == day.year
    assert 0 <= last.month - day.month < months
    assert last.month % months == 0


def test_a_timestamp_with_a_zone_is_of_the_day_there() -> None:
    """Midnight in Seoul is the evening before in UTC."""
    moment = datetime.datetime(2020, 12, 31, 15, 0, tzinfo=datetime.UTC)
    assert Cohorts(0, "d", "year").labels(pa.array([moment], pa.timestamp("us", "Asia/Seoul"))).to_pylist() == ["2021"]


def test_what_is_no_day_is_refused(guard: Guard) -> None:
    """Its row is named, its value is not; an empty text is no day at all."""
    table = pa.table({"phone": PHONES, "signed": ["2020-01-01", "", "홍길동 2020", "2020-13-01"]})
    with pytest.raises(UsageError, match=r"signed: 2 value\(s\) are no day .*row 2, 3") as caught:
        guard.protect(table, table="t").read_all()
    assert "홍길동" not in str(caught.value)


def test_a_year_that_keys_do_not_have_is_refused(guard: Guard) -> None:
    """The day that stands for no end in many a database is named with its row and its column."""
    days = [datetime.date(2020, 1, 1), datetime.date(9999, 12, 31), datetime.date(999, 1, 1), None]
    with pytest.raises(UsageError, match=r"signed: 2 value\(s\) are no day .*row 1, 2"):
        guard.protect(pa.table({"phone": PHONES, "signed": days}), table="t").read_all()


def test_a_key_is_looked_for_once_a_period(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in every batch anew, as a look reads the key directory."""
    looks: list[str] = []
    look = Keyring.encryption_key

    def counted(self: Keyring, *names: Any, period: str = "") -> Any:
        looks.append(period)
        return look(self, *names, period=period)

    monkeypatch.setattr(Keyring, "encryption_key", counted)
    batches = TABLE.to_batches(max_chunksize=8)
    report = scan(TABLE, table="t")
    reader = pa.RecordBatchReader.from_batches(TABLE.schema, batches)
    assert guard.protect(reader, table="t", report=report).read_all().num_rows == len(TABLE)
    assert sorted(looks) == ["", "2020", "2021"]


def test_a_missing_column_is_refused_before_anything_is_done(guard: Guard) -> None:
    """A table without the column that starts the period cannot be divided; no key is made."""
    with pytest.raises(UsageError, match=r'starts in the column signed.*did you mean "signed_"'):
        guard.protect(pa.table({"phone": PHONES, "signed_": DAYS}), table="t")
    assert guard.keys.records() == ()


def test_a_granularity_needs_a_column(tmp_path: Path) -> None:
    """The policy says so at once."""
    (tmp_path / "p.toml").write_text(POLICY.replace('period_from = "signed"\n', ""))
    with pytest.raises(PolicyError, match="needs period_from"):
        load(tmp_path / "p.toml")
