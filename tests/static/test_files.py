"""A repository: its files in the order in which migrations run, and what could not be read is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from pii_guard.connectors import discover
from pii_guard.connectors.base import Source
from pii_guard.static import Repository, Schema

DBT = """\
version: 2
models:
  - name: dim_customers
    description: people who buy
    columns:
      - name: email
        description: where to write to
        data_type: varchar
        meta:
          pii_guard: {kind: email, purposes: [delivery], retention: contract, protection: none, reason: public}
      - name: phone
        config: {meta: {pii_guard: {purposes: [delivery]}}}
sources:
  - name: shop
    tables:
      - name: raw_orders
        columns: [{name: address}]
"""


def schema_of(folder: Path, **files: str | bytes) -> Schema:
    """The schema of a folder with `files`; `__` in a name stands for `/`, the last `_` for a dot."""
    repository = Repository()
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for found in discover(str(folder)):
        assert isinstance(found, Source)
        repository.see(found, Path(found.target).relative_to(folder).as_posix())
    return repository.schema()


def columns(schema: Schema) -> list[str]:
    return [f"{column.table}.{column.name}" for column in schema.columns]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("db/migrations/V2__a.sql", "db/migrations/V10__b.sql"),
        ("db/migrations/V1.2__a.sql", "db/migrations/V1.10__b.sql"),
        ("db/migrations/V9__a.sql", "db/migrations/R__b.sql"),
        ("migrations/2_a.up.sql", "migrations/10_b.up.sql"),
        ("migrations/20250101_a/migration.sql", "migrations/20260101_b/migration.sql"),
        ("sql/1.sql", "sql/2.sql"),
        ("sql/a.sql", "sql/b.sql"),
    ],
)
def test_order_of_migrations(first: str, second: str, tmp_path: Path) -> None:
    """A column that a later migration drops is none, whatever the tool that runs them."""
    files = {second: "ALTER TABLE t DROP COLUMN email;", first: "CREATE TABLE t (id int, email text);"}
    assert columns(schema_of(tmp_path, **files)) == ["t.id"]


@pytest.mark.parametrize("name", ["migrations/2_a.down.sql", "migrations/U2__a.sql", "migrations/2_rollback.sql"])
def test_what_undoes_is_left_out(name: str, tmp_path: Path) -> None:
    """Files for the way back are no part of the sequence."""
    files = {"migrations/1_a.up.sql": "CREATE TABLE t (email text);", name: "DROP TABLE t;"}
    assert columns(schema_of(tmp_path, **files)) == ["t.email"]


def test_services_do_not_mix(tmp_path: Path) -> None:
    """Two services of one repository may both have a table of that name."""
    files = {
        "a/migrations/1.sql": "CREATE TABLE users (email text);",
        "b/migrations/2.sql": "CREATE TABLE users (id int);",
    }
    assert columns(schema_of(tmp_path, **files)) == ["users.email", "users.id"]


def test_dbt(tmp_path: Path) -> None:
    """Columns of models and sources with their tags, wherever dbt keeps `meta`."""
    schema = schema_of(tmp_path, **{"models/schema.yml": DBT})
    assert columns(schema) == ["dim_customers.email", "dim_customers.phone", "raw_orders.address"]
    email, phone, _ = schema.columns
    assert email.tag is not None
    assert (email.tag.kind, email.tag.purposes, email.tag.reason) == ("email", ("delivery",), "public")
    assert (email.spot.line, email.comment) == (6, "where to write to")
    assert phone.tag is not None
    assert phone.tag.purposes == ("delivery",)
    assert schema.tables == frozenset(), "dbt files need not name all columns"


VERSIONS = """\
models:
  - name: people
    columns: [{name: email}, {name: phone}, {name: id}]
    versions:
      - v: 1
      - v: 2
        columns: [{include: all, exclude: [email, phone]}, {name: mail}]
      - v: beta
        config: {alias: people_next}
        columns: [{include: [phone]}]
  - name: other
    config: {alias: others}
    columns: [{name: a}]
sources:
  - name: shop
    tables: [{name: orders, identifier: ORDERS_RAW, columns: [{name: address}]}]
"""


def test_dbt_names_tables_as_the_database_does(tmp_path: Path) -> None:
    """Each version of a model with the columns that it includes; aliases and identifiers."""
    assert columns(schema_of(tmp_path, **{"models/schema.yml": VERSIONS})) == [
        "ORDERS_RAW.address",
        "others.a",
        "people_next.phone",
        *("people_v1.email", "people_v1.id", "people_v1.phone"),
        *("people_v2.id", "people_v2.mail"),
    ]


def test_a_column_is_shown_where_it_is_made(tmp_path: Path) -> None:
    """A column that a migration, a model and dbt declare is one column, with the tag of any of them."""
    schema = schema_of(
        tmp_path,
        **{
            "migrations/1.sql": "CREATE TABLE dim_customers (email varchar(20));",
            "app/models.py": "class M(B):\n  __tablename__ = 'dim_customers'\n  email = Column(String(99))\n",
            "models/schema.yml": DBT,
        },
    )
    first = schema.columns[0]
    assert (first.name, first.spot.file, first.type.width) == ("email", "migrations/1.sql", 20)
    assert first.tag is not None


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Each with its file and line; the rest goes on; nothing is quoted."""
    schema = schema_of(
        tmp_path,
        **{
            "a.sql": "CREATE TABLE t (a text);\nCREATE TABLE u (gildong@example.com",
            "m.py": "class M(B):\n  __tablename__ = 'x'\n  a = Column(\n",
            "dbt.yml": "models:\n  - name: x\n    columns:\n      - name: [\n",
            "tag.yml": "models:\n  - name: y\n    columns:\n      - name: a\n        meta: {pii_guard: {purpose: x}}\n",
            "versions/r.py": "down_revision = 1\ndef upgrade(:\n",
        },
    )
    assert columns(schema) == ["t.a"]
    assert sorted((item.source, item.reason) for item in schema.not_examined) == [
        ("a.sql", "line 2: the statement (CREATE TABLE) is not understood"),
        ("dbt.yml", "line 5 is no YAML"),
        ("m.py", "line 3 is no Python that this version reads"),
        ("tag.yml", 'line 4: meta.pii_guard: purpose: unknown key; did you mean "purposes"?'),
        ("versions/r.py", "line 2 is no Python that this version reads"),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("other.yml", "columns: [a]\nmodels: {}\n"),
        ("compose.yml", "services: {db: {image: x}}\n"),
        ("jinja.yml", "{{ columns }}\n"),
        ("aliases.yml", "x: &a [1]\nmodels: *a\ncolumns: 1\n"),
        ("script.py", "print('Table(')\n"),
        ("broken.py", "def (\n"),
        ("query.sql", "SELECT * FROM t;\n"),
        ("list.yml", "- models:\n"),
        ("empty.sql", ""),
    ],
)
def test_other_files_declare_nothing(name: str, content: str, tmp_path: Path) -> None:
    """And are no problem."""
    assert schema_of(tmp_path, **{name: content}) == Schema()


def test_merged_mappings_are_bounded(tmp_path: Path) -> None:
    """YAML whose mappings multiply at each level is named, not expanded."""
    levels = [f"l{level}: &l{level} {{<<: [{', '.join([f'*l{level - 1}'] * 20)}]}}" for level in range(1, 12)]
    text = "\n".join(["l0: &l0 {a: 1, b: 2}", *levels, "models: [{name: x, columns: []}]", "x:", "  columns: 1", ""])
    schema = schema_of(tmp_path, **{"schema.yml": text})
    assert [item.reason for item in schema.not_examined] == ["line 4 is no YAML"]
    merged = "models:\n  - name: m\n    columns:\n      - &a {name: email}\n      - {<<: *a, description: x}\n"
    assert columns(schema_of(tmp_path / "b", **{"b.yml": merged})) == ["m.email"]


def test_korean_encodings(tmp_path: Path) -> None:
    """SQL in CP949 is read as such."""
    assert columns(schema_of(tmp_path, **{"a.sql": "CREATE TABLE 고객 (전화번호 text);".encode("cp949")})) == [
        "고객.전화번호"
    ]
