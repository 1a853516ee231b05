"""Alembic migrations and SQLAlchemy models are read from their syntax trees; nothing of them runs."""

from __future__ import annotations

import ast

from pii_guard.static import alembic, models
from pii_guard.static.python_columns import parsed
from pii_guard.static.schema import Column, Tables

REVISION = """
import sqlalchemy as sa
from alembic import op

revision: str = {id!r}
down_revision = {after!r}
raise SystemExit("never run")


def upgrade():
{body}


def downgrade():
    op.drop_table("staff")
"""


def migrated(*bodies: str) -> tuple[dict[str, list[str]], list[tuple[int, str]]]:
    """Table -> `name type` of its columns, after migrations given in the reverse of their order."""
    tables = Tables()
    revisions = []
    for number, body in reversed(list(enumerate(bodies))):
        lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
        text = REVISION.format(id=f"r{number}", after=f"r{number - 1}" if number else None, body=lines)
        revision = alembic.revision_of(ast.parse(text), f"{9 - number}.py")
        assert revision is not None
        revisions.append(revision)
    problems = [
        problem for revision in alembic.in_order(revisions) for problem in alembic.fold_revision(revision, tables)
    ]
    return {table: described(columns.values()) for table, columns in tables.columns.items()}, problems


def described(columns: object) -> list[str]:
    assert not isinstance(columns, str)
    return [f"{column.name} {column.type.text}".strip() for column in columns]  # type: ignore[attr-defined]


def test_operations_in_the_order_of_revisions() -> None:
    """Whatever the files are called: create, add, rename, drop, batches, and SQL in op.execute."""
    tables, problems = migrated(
        """
op.create_table(
    "staff",
    sa.Column("email", sa.String(100), nullable=False, comment="메일"),
    sa.Column("tel", sa.String(length=20)),
    sa.PrimaryKeyConstraint("email"),
    schema="hr",
)
op.create_table("gone", sa.Column("a", sa.Text))
""",
        """
op.add_column("staff", sa.Column("born", sa.Date()), schema="hr")
op.alter_column("staff", "tel", new_column_name="phone", type_=sa.Text(), schema="hr")
op.drop_table("gone")
""",
        """
with op.batch_alter_table("staff", schema="hr") as batch:
    batch.drop_column("email")
    batch.add_column(sa.Column("score", sa.Integer))
if True:
    op.execute("ALTER TABLE hr.staff ADD COLUMN passport_no text")
op.execute(sa.text("CREATE TABLE broken (a int"))
op.rename_table("staff", "employees", schema="hr")
op.execute(statement)
""",
    )
    assert tables == {"hr.employees": ["phone Text", "born Date", "score Integer", "passport_no text"]}
    assert [reason for _, reason in problems] == ["the statement (CREATE TABLE) is not understood"]


def test_a_circle_of_revisions_ends() -> None:
    """Files that cannot be right are read all the same."""
    trees = [ast.parse(f"revision = {a!r}\ndown_revision = {b!r}\ndef upgrade(): pass") for a, b in ("ab", "ba")]
    revisions = [alembic.revision_of(tree, str(number)) for number, tree in enumerate(trees)]
    assert len(alembic.in_order(revision for revision in revisions if revision)) == 2


def test_what_is_no_revision() -> None:
    """A module without both names is none."""
    assert alembic.revision_of(ast.parse("revision = 'a'"), "a.py") is None
    assert alembic.revision_of(ast.parse("down_revision = 'a'"), "a.py") is None


MODELS = '''
import sqlalchemy as sa
from sqlalchemy import Column, String
from sqlalchemy.orm import Mapped, deferred, mapped_column, relationship

raise SystemExit("never run")


class Stamped:
    last_ip: Mapped[str]


class Member(Stamped, Base):
    """A docstring."""

    __tablename__ = "members"
    __table_args__ = (sa.Index("i", "x"), {"schema": "shop"})

    id: Mapped[int] = mapped_column(primary_key=True)
    rrn = Column("resident_no", String(14), comment="주민번호")
    memo: Mapped["str | None"] = mapped_column(sa.Text)
    nick: Mapped[str | None]
    born: Mapped[datetime.date | None] = mapped_column()
    photo = deferred(Column(sa.LargeBinary))
    orders: Mapped[list["Order"]] = relationship()
    secret = "010-1234-5678"


class Abstract(Base):
    email = Column(String(10))


orders = sa.Table("orders", metadata, sa.Column("address", sa.String(100)), sa.Column("no", sa.Integer), schema="shop")
existing = sa.Table("existing", metadata, autoload_with=engine)
pandas.Table("no", "columns")
'''


def test_models() -> None:
    """Declarative classes with their mixins, and tables; abstract classes and relationships are none."""
    found: dict[str, list[Column]] = dict(models.tables_of(ast.parse(MODELS), "models.py"))
    assert {table: described(columns) for table, columns in found.items()} == {
        "shop.members": [
            "last_ip str",
            "id int",
            "resident_no String(14)",
            "memo Text",
            "nick str",
            "born date",
            "photo LargeBinary",
        ],
        "shop.orders": ["address String(100)", "no Integer"],
    }
    rrn = found["shop.members"][2]
    assert (rrn.type.family, rrn.type.width, rrn.comment, rrn.spot.line) == ("text", 14, "주민번호", 20)


def test_broken_python_is_a_reason() -> None:
    """One line that quotes nothing."""
    assert parsed(b"x = 1\ndef (: '010-1234-5678'") == "line 2 is no Python that this version reads"
    assert parsed(b"\0") == "is no Python that this version reads" or "line 1" in str(parsed(b"\0"))
    assert isinstance(parsed(b"x = '\\d'"), ast.Module), "a warning of the compiler is none of ours"
    deep = parsed(b"(" * 100_000)
    assert isinstance(deep, str)
