"""What pipelines rely on of PostgreSQL alone: its types through Parquet and back, its constraints, its rights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from databases import Made, postgresql

import pii_guard
from pii_guard.errors import ReadError, TargetError, UsageError, WriteError

PHONE = "010-9876-5432"
ROWS = 20_000

COLUMNS = {
    "n2": ("smallint", "i % 30000 - 15000"),
    "n4": ("integer", "i * 7 - 2000000000"),
    "n8": ("bigint", "i::bigint * 7 - 9000000000000000000"),
    "f4": ("real", "i * 0.1"),
    "f8": ("double precision", "CASE i % 4 WHEN 0 THEN 'NaN' WHEN 1 THEN 'Infinity' ELSE i * 0.1 END"),
    "yes": ("boolean", "i % 3 = 0"),
    "bytes": ("bytea", "decode(md5(i::text), 'hex') || '\\x00'"),
    '텍스트 "%s\\': ("text", "'값 ' || i || E'\\n\\t\\'\\\\'"),
    "day": ("date", "'2024-02-29'::date - i * 10"),
    "at": ("time without time zone", "'12:00'::time + i * interval '1.000001 s'"),
    "then": ("timestamp without time zone", "'2024-02-29 12:00'::timestamp - i * interval '1.000001 h'"),
    "thenz": ("timestamp with time zone", "'2024-02-29 12:00+09'::timestamptz - i * interval '1.000001 h'"),
    "key": ("uuid", "md5(i::text)::uuid"),
    "doc": ("json", "json_build_object('전화', '010-' || i, 'n', i)"),
    "amount": ("numeric(10,2)", "i * 1.01 - 1000"),
    "large": ("numeric(60,20)", "i * 1.00000000000000000001 + 10::numeric ^ 35"),
}
"""Types that a new table has again."""

TEXTS = {
    "word": ("character varying(40)", "'w' || i", "text"),
    "code": ("character(4)", "i % 10000", "text"),
    "docb": ("jsonb", "jsonb_build_object('a', i)", "json"),
    "any": ("numeric", "i * 1.10", "text"),
    "long": ("interval", "i * interval '1 day 1 s'", "text"),
    "many": ("integer[]", "ARRAY[[i, 2], [3, NULL]]", "text"),
    "address": ("inet", "'10.0.0.0'::inet + i", "text"),
    "number": ("oid", "3000000000 + i", "bigint"),
    "zoned": ("time with time zone", "'12:00+09'::timetz", "text"),
    "mood": ("mood", "CASE i % 2 WHEN 0 THEN '좋음' ELSE '''so so' END::mood", "text"),
    "positive": ("positive", "i + 1", "integer"),
    "span": ("int4range", "int4range(i, i + 5)", "text"),
    "pair": ("pair", "ROW(i, 'a,\"b')::pair", "text"),
    "mark": ("bit varying", "i::bit(8)", "text"),
    "page": ("xml", "'<a>' || i || '</a>'", "text"),
}
"""Types that come back into a new table as another one: the last."""


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    with postgresql(tmp_path) as database:
        yield database


def types(made: Made, table: str) -> dict[str, str]:
    sql = f"""SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
              WHERE attrelid = '{table}'::regclass AND attnum > 0 ORDER BY attnum"""
    return dict(made.execute(sql))


def differing(made: Made, one: str, other: str, columns: str = "*") -> int:
    """Rows that one of two tables has and the other has not, by their text, duplicates counted."""
    texts = {table: f"SELECT t::text FROM (SELECT {columns} FROM {table}) AS t" for table in (one, other)}
    sql = "SELECT count(*) FROM ({} EXCEPT ALL {}) AS d"
    return sum(made.execute(sql.format(texts[a], texts[b]))[0][0] for a, b in ((one, other), (other, one)))


def test_through_parquet_and_back(made: Made, tmp_path: Path) -> None:
    """PostgreSQL -> Parquet -> PostgreSQL: equal row by row and by type, in a new table but for the types that the
    documentation lists, in a table of the same definition for all types."""
    made.execute(
        "CREATE TYPE mood AS ENUM ('좋음', '''so so')",
        "CREATE TYPE pair AS (a int, b text)",
        "CREATE DOMAIN positive AS int CHECK (value > 0)",
    )
    every = {name: (kind, value) for name, (kind, value, *_) in {**COLUMNS, **TEXTS}.items()}
    definition = ", ".join(f"{made.name(name)} {kind}" for name, (kind, _) in every.items())
    values = ", ".join(
        f"CASE WHEN i % 11 = {place} THEN NULL ELSE ({value})::{kind} END"
        for place, (kind, value) in enumerate(every.values())
    )
    made.execute(
        f"CREATE TABLE source ({definition})",
        f"INSERT INTO source SELECT {values} FROM generate_series(1, {ROWS}) AS i",
        "CREATE TABLE alike (LIKE source)",
    )
    path = tmp_path / "source.parquet"
    assert pii_guard.write(pii_guard.read(made.url, table="source"), path) == ROWS
    for table, mode in (("fresh", "create"), ("alike", "replace")):
        assert pii_guard.write(pii_guard.read(path), made.url, table=table, mode=mode) == ROWS  # type: ignore[arg-type]
    assert types(made, "alike") == types(made, "source") == {name: kind for name, (kind, _) in every.items()}
    assert differing(made, "source", "alike") == 0
    assert types(made, "fresh") == {
        **{name: kind for name, (kind, _) in COLUMNS.items()},
        **{name: back for name, (_, _, back) in TEXTS.items()},
    }
    assert differing(made, "source", "fresh", ", ".join(map(made.name, COLUMNS))) == 0
    made.execute("UPDATE alike SET amount = amount + 1 WHERE n2 = -14999")
    assert differing(made, "source", "alike") > 0  # the comparison sees a difference


def test_what_arrow_has_no_value_for(made: Made) -> None:
    """Infinity and NaN stop the reading by the name of the column; `where` leaves them out."""
    made.execute("CREATE TABLE t (i int, d date, s timestamp, z timestamptz, n numeric(5, 2))")
    made.execute(
        "INSERT INTO t VALUES (0, '2024-01-01', '2024-01-01', '2024-01-01', 1)",
        "INSERT INTO t (i, d) VALUES (1, 'infinity'), (2, '-infinity')",
        "INSERT INTO t (i, s) VALUES (3, 'infinity'), (4, '-infinity'), (5, '294276-01-01')",
        "INSERT INTO t (i, z) VALUES (6, 'infinity'), (7, '-infinity')",
        "INSERT INTO t (i, n) VALUES (8, 'NaN')",
        "INSERT INTO t VALUES (9, '4713-01-01 BC', '4713-01-01 BC', '4713-01-01 BC', -999.99)",
        "INSERT INTO t (i) VALUES (10)",
    )
    for row, column in enumerate("ddssszzn", 1):
        with pytest.raises(ReadError, match=f"column {column} holds"):
            pii_guard.read(made.url, table="t", where=f"i = {row}").read_all()
    assert pii_guard.read(made.url, table="t", where="i IN (0, 9, 10)").read_all().num_rows == 3


def test_reading_cannot_write(made: Made) -> None:
    """A condition with an effect is refused by the server."""
    made.execute("CREATE SEQUENCE s", "CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)")
    with pytest.raises(ReadError):
        pii_guard.read(made.url, table="t", where="nextval('s') > 0").read_all()


def test_which_table(made: Made) -> None:
    """`schema` says where it stands; without it the search path does. A parent is read without those that inherit."""
    made.execute(
        'CREATE SCHEMA "s 1"',
        'CREATE TABLE "s 1".t (a int)',
        'INSERT INTO "s 1".t VALUES (1)',
        "CREATE TABLE p (a int)",
        "CREATE TABLE c () INHERITS (p)",
        "INSERT INTO c VALUES (2)",
        "CREATE TABLE parts (a int) PARTITION BY LIST (a)",
        "CREATE TABLE part PARTITION OF parts DEFAULT",
        "CREATE VIEW v AS SELECT 3 AS a",
    )
    with pytest.raises(TargetError, match="no such table"):
        pii_guard.read(made.url, table="t")
    assert pii_guard.read(made.url, table="t", schema="s 1").read_all().to_pylist() == [{"a": 1}]
    one = pa.table({"a": [5]})
    assert pii_guard.write(one, made.url, table="t", schema="s 1", mode="replace") == 1
    assert made.execute('SELECT a FROM "s 1".t') == [(5,)]
    pii_guard.write(one, made.url, table="p", mode="replace")
    assert pii_guard.read(made.url, table="p").read_all().to_pylist() == [{"a": 5}]
    assert made.execute("SELECT a FROM c") == [(2,)]
    pii_guard.write(one, made.url, table="parts", mode="append")
    assert pii_guard.read(made.url, table="parts").read_all().to_pylist() == [{"a": 5}]
    assert pii_guard.read(made.url, table="v").read_all().to_pylist() == [{"a": 3}]
    with pytest.raises(TargetError, match="no table of its own"):
        pii_guard.write(one, made.url, table="v", mode="append")
    with pytest.raises(WriteError, match="there is no such schema; nothing"):
        pii_guard.write(one, made.url, table="t", schema="nowhere")


def test_names_that_the_server_would_cut(made: Made) -> None:
    """Names of over 63 bytes are no names: neither of the table that has their beginning, nor of a new one."""
    data = pa.table({"a": [1]})
    long = "가" * 21
    pii_guard.write(data, made.url, table=long)
    with pytest.raises(TargetError, match="no such table"):
        pii_guard.read(made.url, table=long + "x")
    for mode in ("append", "replace", "swap"):
        with pytest.raises(TargetError, match="no such table"):
            pii_guard.write(data, made.url, table=long + "x", mode=mode)
    for table, column in (("b" * 64, "a"), ("t", "b" * 64)):
        with pytest.raises(UsageError, match=r"names of more bytes than PostgreSQL keeps: b{64}; nothing was written"):
            pii_guard.write(data.rename_columns([column]), made.url, table=table)
    assert made.execute("SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace") == [(long,)]


def test_replace_keeps_what_belongs_to_the_table(made: Made) -> None:
    """Definition, keys, triggers and grants stay; identities take the values that are given."""
    made.execute(
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
        "word varchar(9) NOT NULL CHECK (word <> 'no'))",
        "CREATE TABLE log (n int)",
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql "
        "AS 'BEGIN INSERT INTO log VALUES (NEW.id); RETURN NEW; END'",
        "CREATE TRIGGER noted AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION note()",
        "GRANT SELECT ON t TO PUBLIC",
        "INSERT INTO t (word) VALUES ('a'), ('b')",
    )
    before = made.execute("SELECT relacl::text, oid FROM pg_class WHERE relname = 't'"), types(made, "t")
    rows = pii_guard.read(made.url, table="t").read_all()
    assert pii_guard.write(rows.slice(1), made.url, table="t", mode="replace") == 1
    assert (made.execute("SELECT relacl::text, oid FROM pg_class WHERE relname = 't'"), types(made, "t")) == before
    assert made.execute("SELECT id, word FROM t") == [(2, "b")]
    assert made.execute("SELECT n FROM log") == [(1,), (2,), (2,)]
    pii_guard.write(pa.table({"word": ["c"]}), made.url, table="t", mode="append")
    assert made.execute("SELECT id, word FROM t ORDER BY id") == [(2, "b"), (3, "c")]
    for word, said in (("no", r"a check constraint is broken \(constraint t_word_check\)"), (None, r"\(column word\)")):
        with pytest.raises(WriteError, match=said):
            pii_guard.write(pa.table({"word": pa.array([word], pa.string())}), made.url, table="t", mode="append")


def test_foreign_keys(made: Made) -> None:
    """What would change other tables is refused by us, what would break a key by the server; no row is quoted."""
    made.execute(
        "CREATE TABLE t (id int PRIMARY KEY)",
        "INSERT INTO t VALUES (1)",
        "CREATE TABLE child (id int REFERENCES t)",
        "INSERT INTO child VALUES (1)",
    )
    ids = pa.table({"id": [1]})
    with pytest.raises(WriteError, match=r"a foreign key is broken.*\(constraint child_id_fkey\)"):
        pii_guard.write(ids, made.url, table="t", mode="replace")
    with pytest.raises(WriteError, match="a foreign key is broken"):
        pii_guard.write(pa.table({"id": [9876]}), made.url, table="child", mode="append")
    for action in ("CASCADE", "SET NULL", "SET DEFAULT"):
        made.execute("DROP TABLE child", f"CREATE TABLE child (id int REFERENCES t ON DELETE {action})")
        with pytest.raises(WriteError, match="to empty it would change child"):
            pii_guard.write(ids, made.url, table="t", mode="replace")


def test_text_that_is_no_value(made: Made) -> None:
    """Text into a type that only the server parses: what it refuses is not quoted; NUL is refused by us."""
    made.execute("CREATE TABLE t (a inet, b text, c uuid, d jsonb)")
    good = {"a": ["10.0.0.1"], "b": ["x"], "c": ["6ccd780c-baba-1026-9564-5b8c656024db"], "d": ['{"a": 1}']}
    assert pii_guard.write(pa.table(good), made.url, table="t", mode="append") == 1
    for column in "acd":
        with pytest.raises(WriteError, match="a text is no value of the type that it should have; nothing") as caught:
            pii_guard.write(pa.table({**good, column: [PHONE]}), made.url, table="t", mode="append")
        assert PHONE not in str(caught.value)
    with pytest.raises(WriteError, match="column b holds a NUL character"):
        pii_guard.write(pa.table({**good, "b": ["x\0y"]}), made.url, table="t", mode="append")
    assert made.execute("SELECT count(*) FROM t") == [(1,)]


def test_rights(made: Made) -> None:
    """Columns that the account may read are read; rows that it does not see are no reason to replace the others."""
    made.execute(
        "CREATE TABLE t (a int, b text)",
        f"INSERT INTO t VALUES (1, '{PHONE}'), (2, 'x')",
        "DROP ROLE IF EXISTS pii_guard_stream",
        "CREATE ROLE pii_guard_stream LOGIN",
        "GRANT SELECT (a) ON t TO pii_guard_stream",
        "GRANT INSERT, DELETE ON t TO pii_guard_stream",
    )
    url = re.sub(r"//(.*@)?", "//pii_guard_stream@", made.url)
    try:
        assert pii_guard.read(url, table="t", columns=["a"]).read_all().num_rows == 2
        with pytest.raises(ReadError, match="permission denied"):
            pii_guard.read(url, table="t")
        made.execute("GRANT SELECT ON t TO pii_guard_stream", "ALTER TABLE t ENABLE ROW LEVEL SECURITY")
        made.execute("CREATE POLICY few ON t USING (a = 1)")
        with pytest.raises(WriteError, match="permission denied"):
            pii_guard.write(pa.table({"a": [1], "b": ["y"]}), url, table="t", mode="replace")
        with pytest.raises(WriteError, match="permission denied"):
            pii_guard.write(pa.table({"a": [1]}), url, table="new")
        assert made.execute("SELECT count(*) FROM t") == [(2,)]
    finally:
        made.execute("DROP OWNED BY pii_guard_stream", "DROP ROLE pii_guard_stream")


def test_a_table_without_columns_and_a_server_that_is_not_there(made: Made) -> None:
    """Neither is an accident of ours."""
    made.execute("CREATE TABLE t ()")
    with pytest.raises(UsageError, match="there is no column to read"):
        pii_guard.read(made.url, table="t")
    with pytest.raises(UsageError, match="the table has no column a"):
        pii_guard.write(pa.table({"a": [1]}), made.url, table="t", mode="append")
    gone = re.sub(r":\d+/", ":1/", made.url)
    for act in (
        lambda: pii_guard.read(gone, table="t"),
        lambda: pii_guard.write(pa.table({"a": [1]}), gone, table="t"),
    ):
        with pytest.raises(ReadError, match="no server answers there"):
            act()
