"""SQL is cut into statements without being parsed: what is quoted, commented or data ends and begins nothing."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii_guard.static.statements import LONGEST, statements

PASSED_OVER = [
    "INSERT INTO a VALUES ('x; CREATE TABLE z (email text);', 'it''s');",
    "-- CREATE TABLE z (email text);\n",
    "/* CREATE TABLE z (email text); */",
    "SELECT 1;",
    "CREATE INDEX i ON a (x);",
    "CREATE FUNCTION f() RETURNS int AS $body$ BEGIN; CREATE TABLE z (email text); END $body$ LANGUAGE plpgsql;",
    "DO $$ BEGIN; DROP TABLE a; END $$;",
    "COPY a (x) FROM stdin;\n1\tCREATE TABLE z (email text);\n\\.\n",
    "UPDATE a SET x = 'DROP TABLE a;';",
    "\n\n",
    ";",
]
DECLARING = [
    "CREATE TABLE a (x text DEFAULT 'a;b')",
    "create  table if not exists a (x text)",
    "CREATE UNLOGGED TABLE a (x int)",
    'ALTER TABLE "a;b" ADD x text',
    "DROP TABLE a",
    "COMMENT ON COLUMN a.x IS 'a; b'",
    "CREATE TABLE a (x text /* ; */, -- ;\n y text)",
]


@given(st.lists(st.sampled_from(PASSED_OVER) | st.sampled_from(DECLARING).map(lambda text: text + ";")))
def test_what_declares_is_found_with_its_line(parts: list[str]) -> None:
    """Of any sequence of statements, those that declare something, each with the line on which it begins."""
    text = "\n".join(parts)
    expected, line = [], 1
    for part in parts:
        if part.rstrip(";") in DECLARING:
            expected.append((part, line))
        line += part.count("\n") + 1
    assert [(found.text, found.line) for found in statements(text.encode())] == expected


def test_mysql_escapes_with_backslashes() -> None:
    """In MySQL a backslash escapes a quote, elsewhere it does not."""
    text = (
        "CREATE TABLE `a` (x text); INSERT INTO a VALUES ('it\\'s; DROP TABLE a;'); # a; DROP TABLE a;\nDROP TABLE b;"
    )
    assert [found.text for found in statements(text.encode())] == ["CREATE TABLE `a` (x text);", "DROP TABLE b;"]
    text = "CREATE TABLE a (x text); INSERT INTO a VALUES ('C:\\'); DROP TABLE b;"
    assert [found.text for found in statements(text.encode())] == ["CREATE TABLE a (x text);", "DROP TABLE b;"]


@pytest.mark.parametrize("mark", ["//", "$$", ";;", "|", "END_OF_IT", "#"])
def test_mysql_ends_statements_where_delimiter_says(mark: str) -> None:
    """The body of a trigger or procedure is one statement: tables that it makes for itself are none of the schema."""
    text = (
        f"CREATE TABLE a (x text);\nDELIMITER {mark}\nCREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN\n"
        f"  SET NEW.x = '{mark}'; CREATE TEMPORARY TABLE z (email text);\nEND {mark}\nDROP TABLE c; {mark}\n"
        "delimiter ;\nCREATE TABLE b (x text);"
    )
    found = [(item.text, item.line) for item in statements(text.encode())]
    assert found == [("CREATE TABLE a (x text);", 1), ("DROP TABLE c; ", 6), ("CREATE TABLE b (x text);", 8)]


def test_delimiter_is_a_word_elsewhere() -> None:
    """Outside of MySQL, and inside of a statement."""
    text = "CREATE TABLE a (x text);\nCOPY a FROM 'f' WITH (\nDELIMITER '|');\nDROP TABLE b;"
    assert [found.text for found in statements(text.encode())] == ["CREATE TABLE a (x text);", "DROP TABLE b;"]


@pytest.mark.parametrize(
    ("up", "down"),
    [("-- +goose Up", "-- +goose Down"), ("-- migrate:up", "-- migrate:down"), ("-- +migrate Up", "-- +migrate Down")],
)
def test_the_way_back_is_left_out(up: str, down: str) -> None:
    """What undoes a migration in the same file is no part of the schema."""
    text = f"{up}\nCREATE TABLE a (x int);\n{down}\nDROP TABLE a;\n{up}\nCREATE TABLE b (x int);"
    assert [found.text for found in statements(text.encode())] == ["CREATE TABLE a (x int);", "CREATE TABLE b (x int);"]


def test_a_statement_too_long_to_parse_is_handed_out_without_text() -> None:
    """It is named, not read."""
    text = b"CREATE TABLE a (x text DEFAULT '" + b"x" * LONGEST + b"');DROP TABLE b;"
    assert [found.text for found in statements(text)] == [None, "DROP TABLE b;"]


@pytest.mark.parametrize(
    "piece",
    [
        b"'",
        b'"',
        b"/*",
        b"$a$",
        b"$",
        b"--",
        b";",
        b"(",
        b"\\",
        b"`",
        b"'\\",
        b"CREATE TABLE ",
        b"\n\\.",
        b"DELIMITER //\n",
    ],
)
def test_time_is_linear(piece: bytes) -> None:
    """Text made to be slow is not: eight times as much takes no sixty times as long."""

    def seconds(times: int) -> float:
        start = time.process_time()
        list(statements(piece * times))
        return time.process_time() - start

    assert seconds(160_000) < 60 * seconds(20_000) + 0.2


def test_a_dump_is_passed_over_quickly() -> None:
    """A dump of 5 MB with the data of one table takes well under 3 seconds, and what follows is found."""
    row = b"INSERT INTO a VALUES (1,'someone; or other','it''s','x');\n"
    data = b"CREATE TABLE a (x int);\n" + row * 90_000 + b"ALTER TABLE a ADD y text;"
    start = time.process_time()
    found = list(statements(data))
    assert time.process_time() - start < 3
    assert [(item.text, item.line) for item in found][1:] == [("ALTER TABLE a ADD y text;", 90_002)]
