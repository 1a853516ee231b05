"""Alembic migrations and SQLAlchemy models are read from their syntax trees; nothing of them runs."""

from __future__ import annotations

import ast
import time

import pytest

from pii_guard.static import alembic, django, models
from pii_guard.static.classes import Classes, Module
from pii_guard.static.python_columns import parsed
from pii_guard.static.schema import Column, Tables

REVISION = """
import sqlalchemy as sa
from alembic import op

revision: str = {id!r}
down_revision = {after!r}
raise SystemExit("never run")
{head}

def upgrade():
{body}


def downgrade():
    op.drop_table("staff")
"""


def migrated(*bodies: str, head: str = "") -> tuple[dict[str, list[str]], list[tuple[int, str]]]:
    """Table -> `name type` of its columns, after migrations given in the reverse of their order. `head`: of each."""
    tables = Tables()
    revisions = []
    for number, body in reversed(list(enumerate(bodies))):
        lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
        text = REVISION.format(id=f"r{number}", after=f"r{number - 1}" if number else None, body=lines, head=head)
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
    assert [reason for _, reason in problems] == [
        "the statement (CREATE TABLE) is not understood",
        "the SQL of execute is not a literal: what it does to tables is not known",
    ]


def test_names_that_stand_for_literals() -> None:
    """Constants of the module, lists of columns, loops, f-strings, and functions of the same file."""
    tables, problems = migrated(
        """
name = PREFIX + "staff"
op.create_table(name, sa.Column(EMAIL, sa.Text), *COMMON, *[sa.Column(x, sa.String) for x in ("a", "b")], schema=HR)
for table, columns in [("x", ["c"]), (f"{PREFIX}y", ("d", "e"))]:
    op.create_table(table, *COMMON)
    for column in columns:
        op.add_column(table, sa.Column(column, sa.Text))
make("z", extra=sa.Column("tel", sa.Text))
with op.batch_alter_table(name, schema=HR) as batch:
    batch.drop_column(COMMON_NAME)
for table in ("x",):
    op.execute(f"ALTER TABLE {table} ADD COLUMN rrn text")
op.alter_column(unknown, "a", nullable=False)
op.execute(f"UPDATE {unknown} SET a = 1")
op.execute(users.update().values(a=1))
""",
        head="""
HR: str = "hr"
PREFIX = "t_"
EMAIL, OTHER = "never", "resolved"
EMAIL = "email"
COMMON_NAME = "memo"
COMMON = [sa.Column("id", sa.Integer), sa.Column(COMMON_NAME, sa.Text)]
def make(table, extra):
    op.create_table(table, *COMMON, extra)
    make(table, extra)
""",
    )
    assert tables == {
        "hr.t_staff": ["email Text", "id Integer", "a String", "b String"],
        "x": ["id Integer", "memo Text", "c Text", "rrn text"],
        "t_y": ["id Integer", "memo Text", "d Text", "e Text"],
        "z": ["id Integer", "memo Text", "tel Text"],
    }
    assert problems == []


@pytest.mark.parametrize(
    ("body", "unknown", "left"),
    [
        ("op.create_table(where(), sa.Column('a'))", "the table of create_table", {}),
        ("op.create_table('t', *common(), sa.Column('a'))", "the column of create_table", {"t": ["a"]}),
        ("op.create_table('t', sa.Column('a'), stamp())", "the column of create_table", {"t": ["a"]}),
        ("op.create_table('t', sa.Column('a'), sa.Column(b))", "the column of create_table", {"t": ["a"]}),
        ("c = []\nc.append(sa.Column('a'))\nop.create_table('t', *c)", "the column of create_table", {"t": []}),
        ("c = 't'\nif x:\n    c = 'u'\nop.drop_table(c)", "the table of drop_table", {}),
        ("for t in tables():\n    op.drop_table(t)", "the table of drop_table", {}),
        ("op.add_column('t', column)", "the column of add_column", {}),
        ("op.drop_column('t', column)", "the column of drop_column", {}),
        ("op.rename_table('t', new)", "the new name of rename_table", {}),
        ("op.alter_column('t', 'a', new_column_name=new)", "the new name of alter_column", {}),
        ("with op.batch_alter_table(t) as batch:\n    batch.drop_column('a')", "the table of batch_alter_table", {}),
        ("op.execute(f'DROP TABLE {t}')", "the SQL of execute", {}),
    ],
)
def test_what_no_literal_says_is_named(body: str, unknown: str, left: dict[str, list[str]]) -> None:
    """Once each, with its line; what is known of the rest holds."""
    tables, problems = migrated(body)
    line = REVISION[: REVISION.index("{body}")].count("\n") + 1
    assert tables == left
    assert len(problems) == 1
    assert problems[0][1].startswith(f"{unknown} is not a literal")
    assert line <= problems[0][0] <= line + body.count("\n")


@pytest.mark.parametrize(
    "body",
    [
        "\n".join(["a = [sa.Column('a')]", *["a = [*a, *a]"] * 60, "op.create_table('t', *a)"]),
        "\n".join(["a = ['a']", *["a = a + a"] * 60, "op.create_table('t', *a)"]),
        "\n".join(["a = 'a'", *["a = f'{a}{a}'"] * 60, "op.drop_table(a)"]),
        "a = ['a'] * 9\nop.create_table('t', *['x' for b in a for c in a])",
        "a = [" + "'a'," * 5000 + "]\nfor x in a:\n    for y in a:\n        op.drop_table(x)",
        "a = [" + "'a'," * 5000 + "]\nop.create_table('t', *[[[y for z in a] for y in a] for x in a])",
        "op.drop_table(" + " + ".join(["'a'"] * 2000) + ")",
    ],
)
def test_what_describes_too_much_is_given_up(body: str) -> None:
    """Lists that double, loops in loops and deep sums end within seconds, and are named."""
    started = time.monotonic()
    _, problems = migrated(body)
    assert problems
    assert time.monotonic() - started < 20


def test_branches_and_heads() -> None:
    """Branches, a merge of two, a second head, and a base of its own that depends on a revision of another."""
    bodies = {
        ("a", None, None): "op.create_table('t', sa.Column('id', sa.Integer))",
        ("b", "a", None): "op.add_column('t', sa.Column('email', sa.Text))",
        ("c", "a", None): "op.create_table('u', sa.Column('phone', sa.Text))",
        ("d", ("b", "c"), None): "op.drop_column('t', 'email')",
        ("e", "c", None): "op.add_column('u', sa.Column('rrn', sa.Text))",
        ("f", None, "d"): "op.add_column('t', sa.Column('tel', sa.Text))",
    }
    revisions = []
    for number, ((id, after, depends), body) in enumerate(bodies.items()):
        text = f"revision = {id!r}\ndown_revision = {after!r}\ndepends_on = {depends!r}\ndef upgrade():\n    {body}\n"
        found = alembic.revision_of(ast.parse(text), f"{9 - number}.py")
        assert found is not None
        revisions.append(found)
    tables = Tables()
    for revision in alembic.in_order(revisions):
        assert list(alembic.fold_revision(revision, tables)) == []
    assert {name: sorted(columns) for name, columns in tables.columns.items()} == {
        "t": ["id", "tel"],
        "u": ["phone", "rrn"],
    }


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


def classes_of(**files: str) -> Classes:
    """The classes of files; `__` in a name stands for `/`."""
    return Classes([Module(f"{name.replace('__', '/')}.py", ast.parse(text)) for name, text in files.items()])


def declared(classes: Classes) -> dict[str, list[str]]:
    """Table -> `name type` of its columns, of SQLAlchemy and Django together."""
    tables = Tables()
    for _, columns in (*models.tables_of(classes), *django.tables_of(classes)):
        for column in columns:
            tables.add(column)
    return {table: described(columns.values()) for table, columns in tables.columns.items()}


def test_models() -> None:
    """Declarative classes with their mixins, and tables; abstract classes and relationships are none."""
    found: dict[str, list[Column]] = dict(models.tables_of(classes_of(models=MODELS)))
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


BASE = """
text100 = Annotated[str, mapped_column(String(100), comment="메일")]
alias = Optional[text100]

class Base(DeclarativeBase):
    pass

class Contact:
    phone: Mapped[str] = mapped_column(String(20))
    email: Mapped[text100]

    @declared_attr
    def home_address(cls) -> Mapped[str]:
        return mapped_column(String(50))

    @property
    def shown(self):
        return Column("no", String)

class Named(Base):
    __abstract__ = True
    __table_args__ = {"schema": "hr"}

    @declared_attr.directive
    def __tablename__(cls):
        return f"{cls.__name__.lower()}s"
"""
DERIVED = """
from .base import Base, Contact as Reachable, Named, alias

class Person(Base):
    __abstract__ = True
    rrn: Mapped["str | None"]

class User(Reachable, Person):
    __tablename__ = "users"
    backup: Mapped[alias]
    place: Mapped[Unknown]

class Admin(User):
    passport_no: Mapped[str]

class Member(User):
    __tablename__ = "members"
    grade: Mapped[int]

class Employee(Named):
    tel = mapped_column(String(9))

shared = [Column("email", String(20))]
Table("orders", metadata, *shared, *unknown, Column("no", Integer))
Table(name="empty", metadata=metadata)
"""


def test_columns_of_mixins_and_bases_wherever_they_stand() -> None:
    """Mixins, abstract bases, `declared_attr`, types by alias, inherited tables and names, shared lists of columns."""
    contact = ["phone String(20)", "email String(100)", "home_address String(50)"]
    assert declared(classes_of(app__base=BASE, app__models=DERIVED)) == {
        "users": [*contact, "rrn str", "backup String(100)", "place", "passport_no str"],
        "members": ["grade int"],
        "hr.employees": ["tel String(9)"],
        "orders": ["email String(20)", "no Integer"],
    }


def test_a_name_means_the_nearest_class() -> None:
    """Two services may each have a mixin of that name; a package may hand one on."""
    mixin = "class Mixin:\n    {0} = Column(String)\n"
    model = "from .{1} import Mixin\nclass {0}(Mixin, Base):\n    __tablename__ = '{0}'\n"
    files = {
        "a__parts__base": mixin.format("email"),
        "b__base": mixin.format("phone"),
        "a__models": model.format("A", "parts"),
        "b__models": model.format("B", "base"),
        "c__models": "from far import Mixin\nclass C(Mixin):\n    __tablename__ = 'C'\n    x = Column(Text)",
    }
    assert declared(classes_of(**files)) == {"a": ["email String"], "b": ["phone String"], "c": ["x Text"]}


def test_classes_that_derive_from_each_other_end() -> None:
    """Files that cannot be right are read all the same."""
    text = "class A(B):\n    x = Column(Text)\nclass B(A):\n    __tablename__ = 'b'\n    y = Column(Text)\n"
    assert declared(classes_of(a=text)) == {"b": ["x Text", "y Text"]}
    # two services, each with a model of its own below that of a library which is not in the repository
    text = "from lib.models import User as Shared\nclass User(Shared, db.Model):\n    {0} = db.Column(db.Text)\n"
    files = {"one__models": text.format("tel"), "two__models": text.format("email")}
    assert declared(classes_of(**files)) == {"user": ["tel Text", "email Text"]}


def test_long_lines_of_classes_and_types_end() -> None:
    """What no person writes is read as far as people write, in no time."""
    count = 1_000
    flask = "class C0(db.Model):\n    a = db.Column(db.Text)\n"
    flask += "".join(f"class C{i}(C{i - 1}):\n    pass\n" for i in range(1, count))
    mixins = "".join(f"class M{i}(M{i - 1}):\n    a{i} = Column(Text)\n" for i in range(count))
    mixins += f"class D(M{count - 1}):\n    __tablename__ = 'd'\n    x: Mapped[{' | '.join(['str'] * 2_000)}]\n"
    named = "class N:\n    @declared_attr\n    def __tablename__(cls):\n        return " + " + ".join(["'n'"] * count)
    named += "\nclass O(N):\n    b = Column(Text)\n"
    abstract = "class A0(models.Model):\n    class Meta:\n        abstract = True\n"
    abstract += "".join(
        f"class A{i}(A{i - 1}):\n    a{i} = models.TextField()\n    class Meta:\n        abstract = True\n"
        for i in range(1, count)
    )
    abstract += f"class E(A{count - 1}):\n    b = models.TextField()\n"
    found = declared(classes_of(flask=flask, mixins=mixins, named=named, shop__models=abstract))
    assert found["c0"] == ["a Text"]
    assert found["d"][-2:] == [f"a{count - 1} Text", "x str"]
    assert found["o"] == ["b Text"]


def test_tables_that_flask_and_sqlmodel_name() -> None:
    """By the class, in snake case and in lower case."""
    flask = (
        "class UserAccount(db.Model):\n    email = db.Column(db.String(9))\n"
        "class Admin(UserAccount):\n    tel = db.Column(db.Text)\n"
    )
    sqlmodel = (
        "class Person(SQLModel):\n    email: str = Field(max_length=9)\n    orders: list['Order'] = Relationship()\n"
        "class PersonRow(Person, table=True):\n    id: int | None = Field(primary_key=True)\n    tel: str\n"
    )
    assert declared(classes_of(flask=flask, sqlmodel=sqlmodel)) == {
        "user_account": ["email String(9)", "tel Text"],
        "personrow": ["email str", "id int", "tel str"],
    }


DJANGO = """
class Contact(models.Model):
    email = models.EmailField(_("메일"))
    class Meta:
        abstract = True

class Customer(Contact):
    phone = models.CharField("휴대폰", max_length=20)
    inviter = models.ForeignKey("Customer", on_delete=models.CASCADE)
    born = models.DateField(db_column="birth_date")
    groups = models.ManyToManyField("Group")
    objects = Manager()

class Old(Customer):
    class Meta:
        proxy = True

class Member(AbstractUser):
    nick = models.TextField()
    class Meta:
        db_table = "members"

class Form(forms.Form):
    email = forms.EmailField()
"""


def test_django() -> None:
    """Models with their abstract bases, Django's own too; proxies and forms have no table."""
    classes = classes_of(shop__models=DJANGO, crm__models__lead=DJANGO.partition("class Old")[0])
    contact = ["email EmailField(254)", "phone CharField(20)", "inviter_id ForeignKey", "birth_date DateField"]
    of_users = ["password", "username", "first_name", "last_name", "email"]
    found = declared(classes)
    assert [name.partition(" ")[0] for name in found.pop("members")] == [*of_users, "nick"]
    assert found == {"shop_customer": contact, "crm_customer": contact}
    (columns,) = (columns for table, columns in django.tables_of(classes) if table == "shop_customer")
    assert [(column.comment, column.spot.line) for column in columns[:2]] == [("메일", 3), ("휴대폰", 8)]


def test_broken_python_is_a_reason() -> None:
    """One line that quotes nothing."""
    assert parsed(b"x = 1\ndef (: '010-1234-5678'") == "line 2 is no Python that this version reads"
    assert parsed(b"\0") == "is no Python that this version reads" or "line 1" in str(parsed(b"\0"))
    assert isinstance(parsed(b"x = '\\d'"), ast.Module), "a warning of the compiler is none of ours"
    deep = parsed(b"(" * 100_000)
    assert isinstance(deep, str)
