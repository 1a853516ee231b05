"""Column types for SQLAlchemy: encrypted text, and its blind index to search by.

    class Customer(Base):
        phone = mapped_column(Encrypted(guard, "customers.phone"))
        phone_index = mapped_column(BlindIndex(guard, "customers.phone"), index=True)

    keep_index(Customer.phone, Customer.phone_index)

    with guard.reveal(purpose="delivery", reason="TICKET-7") as opening, reading(opening, masked=False):
        customer = session.scalars(select(Customer).where(Customer.phone_index == "010-1234-5678")).first()
        customer.phone

What is written is encrypted as the rule of the policy for the logical field says. What is read is `Sealed` outside of
`reading`, so that nothing is opened without a purpose and an access record; a sealed value that is written back stays
the token that it is. SQLAlchemy's own log shows rows as they are read with `echo="debug"`: leave that off.

In Alembic, `context.configure(render_item=render_item)` writes the columns into migrations as the text that they are.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pyarrow as pa
from sqlalchemy import ColumnElement, Dialect, Engine, String, Text, event, inspect, or_
from sqlalchemy.exc import DontWrapMixin
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.types import TypeDecorator

from pii_guard.crypto.blind_index import index_column
from pii_guard.crypto.key import ColumnKey, Mode
from pii_guard.crypto.normaliser import Normaliser, normaliser_of
from pii_guard.crypto.token import encrypt_column, find_tokens
from pii_guard.errors import PiiGuardError, TokenError, UsageError
from pii_guard.guard import Guard
from pii_guard.session import Session

__all__ = ["BlindIndex", "Encrypted", "Sealed", "keep_index", "reading", "render_item"]

INDEX_WIDTH = 20
"""Characters of an index: 12, and at most 7 more (docs/FORMAT.md, Blind index)."""
FRESH = 10.0
"""Seconds for which a key is used again without a look at the key directory: so soon a rotation reaches a process."""
_READING: ContextVar[tuple[Session, bool] | None] = ContextVar("pii_guard_reading", default=None)


@contextlib.contextmanager
def reading(session: Session, *, masked: bool = True) -> Iterator[None]:
    """Within the block, encrypted columns are read open, or masked, for the purpose of `session`, and can be searched.

    Values count as rows of its budget. What an ORM loads outside stays `Sealed` also where it is looked at inside.
    """
    before = _READING.set((session, masked))
    try:
        yield
    finally:
        _READING.reset(before)


@dataclasses.dataclass(frozen=True, slots=True)
class Sealed:
    """An encrypted value that nobody asked to open."""

    field: str
    token: str = dataclasses.field(repr=False)


class _Keyed:
    """What the rule of one logical field says, and its key."""

    def __init__(self, guard: Guard, name: str) -> None:
        rule = guard.policy.rule_for(name)
        if rule is None or rule.protection != "encrypt" or not rule.purposes or rule.retention is None:
            raise UsageError(
                f"{name}: needs a rule in the policy with purposes and a retention class that encrypts it: "
                f'[[fields]] match = "{name}"'
            )
        kept = guard.policy.retention[rule.retention]
        if kept.granularity is not None:
            raise UsageError(f"{name}: its retention class has keys by {kept.granularity}, which a column type has not")
        if rule.bind_row:
            raise UsageError(f"{name}: its rule has bind_row, and a column type sees no other column of its row")
        tag = guard.tags.get(name)
        self.guard, self.name, self.rule, self.retention = guard, name, rule, rule.retention
        self.kind = rule.kind or (tag.kind if tag else None)
        self._key: ColumnKey | None = None
        self._until = 0.0

    def key(self) -> ColumnKey:
        now = time.monotonic()
        if self._key is None or now >= self._until:
            mode = Mode(self.rule.mode)
            name = self.rule.joins or self.name
            self._key = self.guard.keys.encryption_key(name, self.retention, self.rule.purposes, mode)
            self._until = now + FRESH
        return self._key


def _unwrapped(bind: Callable[..., str | None]) -> Callable[..., str | None]:
    """Errors as they are: SQLAlchemy would wrap them in one that quotes all values of the row in the clear."""

    @functools.wraps(bind)
    def bound(column: Any, value: Any, dialect: Dialect) -> str | None:
        try:
            return bind(column, value, dialect)
        except UnicodeEncodeError:
            error: PiiGuardError = UsageError(
                f"{column.name}: text with a part of a character (a surrogate) is not stored"
            )
        except PiiGuardError as raised:
            error = raised
        kind = type(error)
        bare = type(kind.__name__, (kind, DontWrapMixin), {"__module__": kind.__module__})
        made = bare.__new__(bare, *error.args)
        made.__dict__.update(error.__dict__)
        raise made

    return bound


class Encrypted(TypeDecorator[Any]):
    """Text that is stored as tokens of the logical field `name` (`TABLE.PATH`).

    `accept_plain`: for the time of a migration, values that are no tokens are read as they are, and counted in
    `plain_values`; without it they raise TokenError. Raises UsageError where the policy has no rule that encrypts it.
    """

    impl = Text
    cache_ok = True  # by the arguments, which are attributes of these names, and none of them keyword-only

    def __init__(self, guard: Guard, name: str, accept_plain: bool = False) -> None:
        super().__init__()
        self._keyed = _Keyed(guard, name)
        self.guard, self.name, self.accept_plain = guard, name, accept_plain
        self._plain_values = [0]  # one count, whichever copies of the type SQLAlchemy makes

    @property
    def plain_values(self) -> int:
        """Plain values that were read so far."""
        return self._plain_values[0]

    @_unwrapped
    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if isinstance(value, Sealed):
            if value.field != self._keyed.name:
                raise UsageError(f"{self._keyed.name}: a sealed value of {value.field} does not belong into it")
            return value.token
        if not isinstance(value, str):
            raise UsageError(f"{self._keyed.name}: is a column of text; {type(value).__name__} is not stored in it")
        token: str = encrypt_column(pa.array([value]), self._keyed.key())[0].as_py()
        return token

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if not find_tokens(pa.array([value]))[0].as_py():
            if not self.accept_plain:
                raise TokenError(self._keyed.name, [0], "is in the clear")
            self._plain_values[0] += 1
            return value
        current = _READING.get()
        if current is None:
            return Sealed(self._keyed.name, value)
        session, masked = current
        return session.value(value, self._keyed.rule.joins or self._keyed.name, kind=self._keyed.kind, masked=masked)

    class comparator_factory(TypeDecorator.Comparator[Any]):  # noqa: N801 - the name that SQLAlchemy looks for
        def operate(self, op: Callable[..., Any], *other: Any, **options: Any) -> ColumnElement[Any]:
            if getattr(op, "__name__", "") in ("is_", "is_not", "isnot") or all(value is None for value in other):
                return super().operate(op, *other, **options)
            if all(isinstance(value, ColumnElement) and hash(value) == hash(self.expr) for value in other):
                return super().operate(op, *other, **options)  # the same column, as where it is the key of a dictionary
            raise UsageError("tokens are not compared; search the blind index of the column, which finds candidates")


class BlindIndex(TypeDecorator[Any]):
    """The blind index of an encrypted column; its rule states the bits: `index = 12`.

    It is given the value itself and stores its index. `==` and `in_` within `reading` find every row whose value is
    equal in any spelling, and some others, which share the index: compare the values of what is found.
    With `accept_plain`, rows without an index, not migrated yet, are found too.
    """

    impl = String
    cache_ok = True  # as above

    def __init__(self, guard: Guard, name: str, accept_plain: bool = False) -> None:
        super().__init__(INDEX_WIDTH)  # MySQL keys no text without a length
        self._keyed = _Keyed(guard, name)
        self.guard, self.name, self.accept_plain = guard, name, accept_plain
        bits = self._keyed.rule.index
        if isinstance(bits, bool) or not isinstance(bits, int):
            raise UsageError(f"{name}: a column that grows needs the bits of its index stated: index = 12 in its rule")
        self._bits: int = bits
        self._form: tuple[Normaliser, int] = (normaliser_of(self._keyed.kind), bits)

    @_unwrapped
    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        if value is None or isinstance(value, _Index):
            return value
        if not isinstance(value, str):
            raise UsageError(f"{self._keyed.name}: is indexed by its text, not by {type(value).__name__}")
        index: str = index_column(pa.array([value]), self._keyed.key(), *self._form)[0].as_py()
        return index

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else _Index(value)

    def candidates(self, column: ColumnElement[Any], values: list[Any]) -> ColumnElement[bool]:
        """Rows that may hold one of `values`. Raises UsageError outside of `reading`."""
        current = _READING.get()
        if current is None:
            raise UsageError(f"{self._keyed.name}: is searched for a purpose: within `reading(session)`")
        session, _ = current
        name = self._keyed.rule.joins or self._keyed.name
        wanted = [value for value in values if isinstance(value, _Index)]
        plain = [value for value in values if not isinstance(value, _Index)]
        wanted += [_Index(index) for value in plain for index in session.indexes(value, name, self._form)]
        found = column.in_(wanted)
        return or_(found, column.is_(None)) if self.accept_plain else found

    class comparator_factory(TypeDecorator.Comparator[Any]):  # noqa: N801 - the name that SQLAlchemy looks for
        def operate(self, op: Callable[..., Any], *other: Any, **options: Any) -> ColumnElement[Any]:
            name, column = getattr(op, "__name__", ""), self.expr
            listed = name == "in_op" and isinstance(other[0], list | tuple | set | frozenset)
            values = [value for value in (other[0] if listed else other) if value is not None]
            plain = [value for value in values if not isinstance(value, _Index)]
            if not plain:
                return super().operate(op, *other, **options)
            if name not in ("eq", "in_op") or not all(isinstance(value, str) for value in plain):
                # an index is of one key: what is unequal, or bound later, would be compared with the newest one alone
                raise UsageError(
                    "a blind index is searched by == and in_ with texts; compare the values of what is found"
                )
            return column.type.candidates(column, values)  # type: ignore[attr-defined, no-any-return]


class _Index(str):
    """An index, as it is stored: not to be indexed once more."""

    __slots__ = ()


_INDEXED: weakref.WeakKeyDictionary[Any, dict[str, str]] = weakref.WeakKeyDictionary()
"""Table -> its encrypted columns and their indexes, by key."""


def keep_index(value: InstrumentedAttribute[Any], index: InstrumentedAttribute[Any]) -> None:
    """Set the attribute `index` of a mapped class whenever `value` is set; and in INSERT and UPDATE statements, which
    set no attributes (`insert(Customer)` with a list of rows, `update(Customer).values(...)`, those of tables too).

    A sealed value can be put back into the row that it was read from; into another one it is refused (UsageError), as
    nobody knows its index. So are statements with several rows in `values`: give the rows to `execute`; and those that
    set it by an expression, a query or a parameter of another name without setting the index. What an upsert sets where
    there is a row already (`set_`) and SQL as text have to name both columns themselves.
    """
    column, other = value.property.columns[0], index.property.columns[0]
    _INDEXED.setdefault(column.table, {})[column.key] = other.key
    if not event.contains(Engine, "before_execute", _indexed):
        event.listen(Engine, "before_execute", _indexed, retval=True)

    def changed(target: Any, new: Any, old: Any, initiator: Any) -> None:
        if not isinstance(new, Sealed):
            setattr(target, index.key, new)
            return
        before = inspect(target).committed_state
        if before.get(value.key, old) != new:
            raise UsageError(f"{new.field}: a sealed value of another row has no index here; open it first")
        if index.key in before:
            setattr(target, index.key, before[index.key])

    event.listen(value, "set", changed, propagate=True)


def _indexed(
    connection: Any, statement: Any, many: Any, one: Any, options: Any
) -> tuple[Any, list[dict[str, Any]], dict[str, Any]]:
    """The statement and its parameters, with the index of each value that it sets."""
    if not (getattr(statement, "is_insert", False) or getattr(statement, "is_update", False)):
        return statement, many, one
    for value, index in _INDEXED.get(statement.table, {}).items():
        many = [{**row, index: row[value]} if value in row and index not in row else row for row in many]
        one = {**one, index: one[value]} if value in one and index not in one else one
        named, given = _named(statement), any(value in row for row in (*many, one))
        if index in named or given:
            continue
        stated = {} if many or one else statement.compile(dialect=connection.dialect).params
        place = f"{statement.table.name}.{value}"
        if value in stated:
            statement = statement.values({index: stated[value]})
        elif f"{value}_m0" in stated and f"{index}_m0" not in stated:
            raise UsageError(f"{place}: give the rows to execute, which then makes its index")
        elif value in named:
            raise UsageError(f"{place}: is set by no value of that name, so its index is not known; set {index} too")
    return statement, many, one


def _named(statement: Any) -> set[str]:
    """The keys of the columns that a statement sets itself; SQLAlchemy has no public word for it."""
    pairs = getattr(statement, "_ordered_values", None) or ()  # of SQLAlchemy 2.0
    columns = (
        *(statement._values or ()),
        *(column for column, _ in pairs),
        *(getattr(statement, "_select_names", ()) or ()),
    )
    return {getattr(column, "key", column) for column in columns}


def render_item(kind: str, item: object, context: object) -> str | bool:
    """For `render_item` of Alembic: the column types of this module as the types that the database has."""
    if kind == "type" and isinstance(item, BlindIndex):
        return f"sa.String(length={INDEX_WIDTH})"
    return "sa.Text()" if kind == "type" and isinstance(item, Encrypted) else False
