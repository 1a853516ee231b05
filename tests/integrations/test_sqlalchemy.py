"""Encrypted columns of SQLAlchemy: tokens in the database, values for a purpose, equality by the blind index."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from guards import guard_of, recorded
from policies import HEAD
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, aliased, mapped_column
from sqlalchemy.schema import CreateTable

from pii_guard import Guard
from pii_guard.crypto.blind_index import index_column
from pii_guard.crypto.key import ColumnKey
from pii_guard.crypto.normaliser import Normaliser
from pii_guard.crypto.secret import Secret
from pii_guard.errors import AccessRefusedError, KeyringError, PurposeRefusedError, TokenError, UsageError
from pii_guard.integrations.sqlalchemy import BlindIndex, Encrypted, Sealed, keep_index, reading, render_item

POLICY = (
    HEAD
    + """\
[[fields]]
match = "customers.phone"
purposes = ["delivery"]
retention = "contract"
kind = "kr_phone_mobile"
index = 4
[[fields]]
match = "customers.name"
purposes = ["delivery"]
retention = "contract"
"""
)
PHONES = [f"010-1234-{number:04}" for number in range(40)]


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    return guard_of(tmp_path, POLICY)


@pytest.fixture
def customer(guard: Guard) -> Any:
    class Base(DeclarativeBase):
        pass

    class Customer(Base):
        __tablename__ = "customers"
        id: Mapped[int] = mapped_column(primary_key=True)
        phone: Mapped[Any] = mapped_column(Encrypted(guard, "customers.phone", accept_plain=True))
        phone_index: Mapped[Any] = mapped_column(
            BlindIndex(guard, "customers.phone", accept_plain=True), nullable=True, index=True
        )
        name: Mapped[Any] = mapped_column(Encrypted(guard, "customers.name"), nullable=True)

    keep_index(Customer.phone, Customer.phone_index)
    return Customer


@pytest.fixture
def engine(customer: Any, tmp_path: Path) -> Iterator[sa.Engine]:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    customer.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(customer(phone=phone, name="홍길동" if phone == PHONES[7] else None) for phone in PHONES)
        session.commit()
    yield engine
    engine.dispose()


def raw(engine: sa.Engine, statement: str) -> list[Any]:
    with engine.begin() as connection:
        result = connection.execute(sa.text(statement))
        return list(result.all()) if result.returns_rows else []


def read_all(engine: sa.Engine, customer: Any, guard: Guard) -> None:
    with guard.reveal(purpose="delivery", rows=3) as opening, reading(opening), Session(engine) as session:
        session.scalars(sa.select(customer)).all()


def test_the_database_holds_tokens_and_indexes(engine: sa.Engine) -> None:
    """No value in the clear, equal width, an index for every row; nothing of it reads back without a purpose."""
    rows = raw(engine, "SELECT phone, phone_index, name FROM customers")
    assert all(phone.startswith("pgd1") and index for phone, index, _ in rows)
    assert {len(phone) for phone, _, _ in rows} == {80}
    assert not any("010" in str(row[1]) or "홍" in str(row) for row in rows)


def test_values_are_sealed_without_a_purpose(engine: sa.Engine, customer: Any, guard: Guard) -> None:
    """A sealed value shows nothing, and is written back as the token that it was."""
    before = raw(engine, "SELECT phone, phone_index FROM customers WHERE id = 1")
    with Session(engine) as session:
        found = session.get_one(customer, 1)
        assert isinstance(found.phone, Sealed)
        assert repr(found.phone) == "Sealed(field='customers.phone')"
        sealed, found.phone = found.phone, None
        found.phone = sealed
        found.name = "김영희"
        session.commit()
        with pytest.raises(Exception, match="does not belong"):
            session.execute(sa.insert(customer).values(id=99, phone="x", name=sealed))
        other = session.get_one(customer, 2)
        with pytest.raises(UsageError, match="sealed value of another row"):
            other.phone = sealed
    assert raw(engine, "SELECT phone, phone_index FROM customers WHERE id = 1") == before
    assert not guard.audit.path.exists()


def test_equality_finds_every_spelling(engine: sa.Engine, customer: Any, guard: Guard) -> None:
    """Candidates hold all rows of the value; the access is recorded once a field, with the number of values."""
    with guard.reveal(purpose="delivery", reason="TICKET-7") as opening, reading(opening, masked=False):
        with Session(engine) as session:
            for spelling in (PHONES[7], "+82 10 1234 0007"):
                found = session.scalars(sa.select(customer).where(customer.phone_index == spelling)).all()
                assert len(found) < len(PHONES)
                assert [(one.phone, one.name) for one in found if one.phone == PHONES[7]] == [(PHONES[7], "홍길동")]
            both = session.scalars(sa.select(customer).where(customer.phone_index.in_(PHONES[:2]))).all()
            assert {PHONES[0], PHONES[1]} <= {one.phone for one in both}
        with Session(engine) as session, reading(opening):
            assert session.get_one(customer, 8).phone == "***-****-**07"
    records = recorded(guard)
    assert [record["event"] for record in records] == ["opened", "opened", "closed", "closed"]
    assert {record["reason"] for record in records} == {"TICKET-7"}
    assert min(record["rows"] for record in records[2:]) >= 1


def test_updates_keep_the_index(engine: sa.Engine, customer: Any, guard: Guard) -> None:
    """A value that is set anew is found by its new index, not by the old one, and null has none."""
    with Session(engine) as session:
        session.get_one(customer, 1).phone = "010-9999-0000"
        session.get_one(customer, 2).phone = "010-9999-0000"
        session.commit()
    with guard.reveal(purpose="delivery") as opening, reading(opening, masked=False), Session(engine) as session:
        found = session.scalars(sa.select(customer).where(customer.phone_index == "01099990000")).all()
        assert sorted(one.id for one in found if one.phone == "010-9999-0000") == [1, 2]


def test_other_purposes_and_budgets_are_refused(engine: sa.Engine, customer: Any, guard: Guard) -> None:
    """Neither read nor searched; the refusal is recorded."""
    with guard.reveal(purpose="support") as opening, reading(opening), Session(engine) as session:
        with pytest.raises(PurposeRefusedError):
            session.get_one(customer, 1)
        with pytest.raises(PurposeRefusedError):
            sa.select(customer).where(customer.phone_index == PHONES[0])
    with pytest.raises(AccessRefusedError, match="row budget"):
        read_all(engine, customer, guard)
    with pytest.raises(UsageError, match="within `reading"):
        sa.select(customer).where(customer.phone_index == PHONES[0])
    with pytest.raises(UsageError, match="not compared"):
        sa.select(customer).where(customer.phone == PHONES[0])
    assert len(raw(engine, str(sa.select(customer.id).where(customer.name.is_(None))))) == 39
    events = [json.loads(line)["event"] for line in guard.audit.path.read_text().splitlines()]
    assert events == ["refused", "refused", "opened", "closed"]


def test_an_index_is_searched_by_values_alone(engine: sa.Engine, customer: Any, guard: Guard) -> None:
    """What an index cannot answer is refused, not answered wrong: after a rotation a value has two indexes, and the
    newest alone would be compared. What was stored is an index already."""
    other, index = aliased(customer), customer.phone_index
    with guard.reveal(purpose="delivery") as opening, reading(opening, masked=False), Session(engine) as session:
        refused: list[Callable[[], Any]] = [
            lambda: index != PHONES[0],
            lambda: index.not_in(PHONES[:1]),
            lambda: index.like("010%"),
            lambda: index < PHONES[0],
            lambda: index == sa.bindparam("value"),
            lambda: index == other.phone_index,
            lambda: index.in_(sa.select(other.phone_index)),
            lambda: index.in_([PHONES[0], 7]),
        ]
        for compare in refused:
            with pytest.raises(UsageError, match="searched by == and in_ with texts"):
                compare()
        with pytest.raises(UsageError, match="not compared"):
            _ = customer.phone == other.phone
        stored = session.get_one(customer, 1).phone_index
        for chosen in (index.in_({PHONES[0], None}), index.in_([stored, PHONES[0]]), index == stored):
            found = session.scalars(sa.select(customer).where(chosen)).all()
            assert PHONES[0] in {one.phone for one in found}
        assert session.scalars(sa.select(customer.id).order_by(index.desc())).all()


def test_plain_values_only_during_a_migration(engine: sa.Engine, customer: Any, guard: Guard) -> None:
    """They are counted where they are accepted, found although they have no index, and an error elsewhere."""
    raw(engine, "UPDATE customers SET phone = '010-5555-5555', phone_index = NULL WHERE id = 3")
    kind = customer.__table__.c.phone.type
    with guard.reveal(purpose="delivery") as opening, reading(opening, masked=False), Session(engine) as session:
        found = session.scalars(sa.select(customer).where(customer.phone_index == "010-5555-5555")).all()
        assert [one.id for one in found if one.phone == "010-5555-5555"] == [3]
        assert kind.plain_values == 1
    raw(engine, "UPDATE customers SET name = '김철수' WHERE id = 3")
    with Session(engine) as session, pytest.raises(TokenError, match="is in the clear") as caught:
        session.get_one(customer, 3)
    assert "김철수" not in str(caught.value)


def test_a_field_needs_its_rule(guard: Guard) -> None:
    """A column that the policy does not encrypt, or whose index has no stated size, is refused when it is declared."""
    with pytest.raises(UsageError, match=r"customers\.city: needs a rule"):
        Encrypted(guard, "customers.city")
    with pytest.raises(UsageError, match="bits of its index stated"):
        BlindIndex(guard, "customers.name")


def test_a_token_that_does_not_open_is_counted(engine: sa.Engine, customer: Any, guard: Guard) -> None:
    """A token of another column is an error, and the access says that a value did not open."""
    token = raw(engine, "SELECT name FROM customers WHERE id = 8")[0][0]
    changed = token[:40] + ("A" if token[40] != "A" else "B") + token[41:]
    with guard.reveal(purpose="delivery") as opening:
        assert opening.value(token, "customers.name", masked=False) == "홍길동"
        with pytest.raises(TokenError):
            opening.value(changed, "customers.name")
        with pytest.raises(KeyringError, match="several fields"):
            opening.value(token, "customers.phone")
    closed = recorded(guard)[-1]
    assert (closed["rows"], closed["failures"], closed["outcome"]) == (1, 1, "done")


def find(engine: sa.Engine, customer: Any, guard: Guard, phone: str) -> list[str]:
    """The phones of the rows that the index finds for a phone."""
    opening = guard.reveal(purpose="delivery")
    with opening as session, reading(session, masked=False), Session(engine) as database:
        found = database.scalars(sa.select(customer).where(customer.phone_index == phone)).all()
        return [each.phone for each in found if each.phone == phone]


def test_statements_keep_the_index_too(engine: sa.Engine, customer: Any, guard: Guard) -> None:
    """Rows that INSERT and UPDATE statements write without an object are found like others, by the ORM and by Core."""
    table = customer.__table__
    new = [f"010-9999-000{number}" for number in range(6)]
    with Session(engine) as session:
        session.execute(sa.insert(customer), [{"phone": new[0]}, {"phone": new[1]}])
        session.execute(sa.insert(customer).values(phone=new[2]))
        session.execute(sa.update(customer).where(customer.id == 1).values(phone=new[3], name="김"))
        session.execute(sa.update(customer).where(customer.id == 2).values(name="김"))
        session.commit()
    with engine.begin() as connection:
        connection.execute(sa.insert(table), [{"phone": new[4], "name": None}])
        connection.execute(sa.update(table).where(table.c.id == sa.bindparam("own")), [{"own": 3, "phone": new[5]}])
        with pytest.raises(UsageError, match=r"customers\.phone: give the rows to execute"):
            connection.execute(sa.insert(table).values([{"phone": new[0]}, {"phone": new[1]}]))
    for phone in (*new, PHONES[1]):
        assert find(engine, customer, guard, phone) == [phone]
    for phone in (PHONES[0], PHONES[2]):
        assert find(engine, customer, guard, phone) == []


def test_statements_whose_index_is_not_known_are_refused(engine: sa.Engine, customer: Any) -> None:
    """A value that no parameter of its name brings would keep the index of the one before, and be missed."""
    table = customer.__table__
    by_name: sa.BindParameter[Any] = sa.bindparam("new")
    other: sa.BindParameter[Any] = sa.bindparam("other")
    own = sa.update(table).where(table.c.id == 3)
    some = sa.select(table.c.id + 100, table.c.phone)
    statements: list[tuple[Any, Any]] = [
        (own.values(phone=by_name), {"new": PHONES[0]}),
        (own.values(phone=by_name), [{"new": PHONES[0]}, {"new": PHONES[1]}]),
        (own.values(phone=table.c.name), {}),
        (own.ordered_values((table.c.phone, table.c.name)), {}),
        (sa.insert(table).from_select(["id", "phone"], some), {}),
    ]
    for statement, rows in statements:
        with pytest.raises(UsageError, match=r"customers\.phone: .* set phone_index too"), engine.begin() as connection:
            connection.execute(statement, rows)
    with engine.begin() as connection:
        connection.execute(own.values(phone=by_name, phone_index=other), {"new": PHONES[0], "other": PHONES[0]})
        both = sa.select(table.c.id + 100, table.c.phone, table.c.phone_index).where(table.c.id == 1)
        connection.execute(sa.insert(table).from_select(["id", "phone", "phone_index"], both))
    rows = raw(engine, "SELECT phone_index FROM customers WHERE id IN (1, 3, 101)")
    assert len({*rows}) == 1


def test_errors_quote_no_other_value_of_the_row(engine: sa.Engine, customer: Any) -> None:
    """What a type refuses is told as it is: SQLAlchemy would quote the parameters of the statement, in the clear."""
    with Session(engine) as session:
        session.add(customer(phone=PHONES[0], name=7))
        with pytest.raises(UsageError, match=r"^customers\.name: is a column of text; int is not stored in it$"):
            session.commit()
    broken = [{"phone": PHONES[0], "name": "\ud800"}, {"phone": "\ud800"}, {"phone_index": "\ud800"}]
    for row in broken:
        refused = pytest.raises(UsageError, match=r"^customers\.\w+: text with a part of a character \(a surrogate\)")
        with refused, engine.begin() as connection:
            connection.execute(sa.insert(customer.__table__), [row])


def test_statements_are_cached_by_their_column(engine: sa.Engine, customer: Any, guard: Guard) -> None:
    """Types of other fields or guards are other keys of SQLAlchemy's cache of compiled statements."""
    keys = [
        kind._static_cache_key
        for kind in (
            Encrypted(guard, "customers.phone"),
            Encrypted(guard, "customers.name"),
            Encrypted(guard, "customers.name", accept_plain=True),
            BlindIndex(guard, "customers.phone"),
        )
    ]
    assert len({*keys}) == 4
    assert Encrypted(guard, "customers.phone")._static_cache_key == keys[0]
    read_some = sa.select(customer.phone, customer.name).where(customer.id == 8)
    with guard.reveal(purpose="delivery") as opening, reading(opening, masked=False), engine.connect() as connection:
        for _ in range(2):
            assert connection.execute(read_some).all() == [(PHONES[7], "홍길동")]


def test_migrations_state_the_types_of_the_database(customer: Any) -> None:
    """Alembic writes what a database has, not a type that needs keys; an index has a width, as MySQL wants of keys."""
    columns = customer.__table__.c
    rendered = [render_item("type", columns[name].type, None) for name in ("phone", "phone_index", "id")]
    assert rendered == ["sa.Text()", "sa.String(length=20)", False]
    ddl = str(CreateTable(customer.__table__).compile(dialect=mysql.dialect()))
    assert "phone_index VARCHAR(20)" in ddl
    assert max(len(index) for index in (index_of(bits) for bits in (1, 12, 32))) == 19


def index_of(bits: int) -> str:
    key = ColumnKey(bytes(4), "f", Secret(bytes(32)))
    index: str = index_column(pa.array(["value"]), key, Normaliser.TEXT, bits)[0].as_py()
    return index
