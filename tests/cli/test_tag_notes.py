"""`tag --write notes` and `--remove-notes`, on each kind of database that has comments on columns."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import databases
import pytest
from adbc_driver_postgresql import dbapi
from cli_runner import run
from databases import PHONE, Made

from pii_guard.engine.headers import without_note
from pii_guard.model import Tag
from pii_guard.notes import with_note
from pii_guard.notes.definition import parts

HUMAN = "고객 휴대폰 'mobile' \\ (하이픈 포함)"
SERVERS = {"postgresql": databases.postgresql, "mysql": databases.mariadb, "duckdb": databases.duckdb_file}


def comments(made: Made, table: str = "t") -> dict[str, str]:
    """Column -> its comment."""
    if made.url.startswith("mysql"):
        rows = made.execute(
            f"SELECT column_name, column_comment FROM information_schema.columns WHERE table_name = '{table}' "
            "AND table_schema = DATABASE()"
        )
    elif made.url.startswith("duckdb"):
        rows = made.execute(f"SELECT column_name, comment FROM duckdb_columns() WHERE table_name = '{table}'")
    else:
        rows = made.execute(
            "SELECT attname::text, col_description(attrelid, attnum) FROM pg_attribute "
            f"WHERE attrelid = '{table}'::regclass AND attnum > 0"
        )
    return {name: comment or "" for name, comment in rows}


def describe(made: Made, column: str, comment: str) -> None:
    """Write a comment by hand."""
    text = comment.replace("'", "''")
    if made.url.startswith("mysql"):
        text = text.replace("\\", "\\\\")
        made.execute(f"ALTER TABLE t MODIFY {made.name(column)} longtext COMMENT '{text}'")
    else:
        made.execute(f"COMMENT ON COLUMN t.{made.name(column)} IS '{text}'")


ODD = "Phone \"a\" `b` 'c' \\ ,(x) 전화"


@pytest.mark.parametrize("server", SERVERS)
def test_notes_follow_the_tags(desk: Path, tmp_path: Path, server: str) -> None:
    """They are written behind what people wrote, stay as they are in a second run, and go with their tag."""
    with SERVERS[server](tmp_path) as made:
        made.fill("t", ["phone", ODD.lower(), "memo"], [[PHONE, PHONE, "red"]] * 3)
        describe(made, "phone", HUMAN)
        describe(made, "memo", "a note")
        before = comments(made)
        result = run("tag", made.url, "--write", "sidecar,notes", cwd=desk)
        assert (result.code, result.stderr) == (0, "")
        assert "2 written, 0 removed" in result.stdout
        noted = comments(made)
        assert {name: without_note(comment) for name, comment in noted.items()} == before
        assert noted["phone"].startswith(HUMAN + " [pii-guard {")
        tag = json.loads(noted["phone"].removeprefix(HUMAN + " [pii-guard ").removesuffix("]"))
        assert {name: tag[name] for name in ("kind", "purposes", "retention", "protection", "version")} == {
            "kind": "kr_phone_mobile",
            "purposes": ["delivery"],
            "retention": "contract",
            "protection": "encrypt",
            "version": 1,
        }
        assert noted["memo"] == "a note"
        result = run("tag", made.url, "--write", "notes", cwd=desk)
        assert "0 written, 0 removed" in result.stdout
        assert comments(made) == noted
        (desk / "pii-guard.tags.toml").unlink()  # notes are no truth: the tag is gone with the rule and the values
        made.execute(f"UPDATE t SET {made.name(ODD.lower())} = 'red', phone = 'red'")
        policy = desk / "pii-guard.toml"
        policy.write_text(policy.read_text(encoding="utf-8").replace("*.*phone*", "*.nothing"), encoding="utf-8")
        result = run("tag", made.url, "--write", "notes", cwd=desk)
        assert (result.code, "0 written, 2 removed" in result.stdout) == (0, True)
        assert comments(made) == before
        assert not (desk / "pii-guard.tags.toml").exists()


@pytest.mark.parametrize("server", SERVERS)
def test_notes_are_removed_from_the_chosen_tables(desk: Path, tmp_path: Path, server: str) -> None:
    with SERVERS[server](tmp_path) as made:
        for table in ("t", "u"):
            made.fill(table, ["phone"], [[PHONE]])
        assert run("tag", made.url, "--write", "notes", cwd=desk).code == 0
        result = run("tag", made.url, "--remove-notes", "--table", "u", cwd=desk)
        assert (result.code, "0 written, 1 removed" in result.stdout) == (0, True)
        assert comments(made, "u") == {"phone": ""}
        assert comments(made)["phone"].startswith("[pii-guard {")
        result = run("tag", made.url, "--remove-notes", "--table", "absent", cwd=desk)
        assert (result.code, "there is no table absent" in result.stderr) == (3, True)


def test_the_header_is_what_people_wrote(desk: Path, tmp_path: Path) -> None:
    """A note, which names a kind, is no evidence of it."""
    with databases.postgresql(tmp_path) as made:
        made.fill("t", ["c"], [["112233"]])
        describe(made, "c", with_note("memo", Tag(field="x.password", kind="password", purposes=("delivery",))))
        (field,) = databases.scanned(made.url).fields
        assert (field.comment, field.findings) == ("memo", ())


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


def test_postgresql_writes_all_or_nothing(desk: Path, tmp_path: Path) -> None:
    """Where one table belongs to somebody else, no comment of any is changed, and one line says why."""
    with databases.postgresql(tmp_path) as made:
        for table in ("a", "b"):
            made.fill(table, ["phone"], [[PHONE]])
        role = f"pii_guard_{secrets.token_hex(6)}"
        made.execute(f"CREATE ROLE {role} LOGIN", f"ALTER TABLE a OWNER TO {role}", f"GRANT SELECT ON b TO {role}")
        try:
            result = run("tag", made.url.replace("://", f"://{role}@"), "--write", "notes", cwd=desk)
            assert result.code == 3
            (line,) = result.stderr.splitlines()
            assert "table public.b: permission denied" in line
            assert line.endswith("no comment was changed")
            assert comments(made, "a") == comments(made, "b") == {"phone": ""}
        finally:
            made.execute(f"DROP OWNED BY {role} CASCADE", f"DROP ROLE {role}")


def test_postgresql_waits_for_no_lock_for_ever(desk: Path, tmp_path: Path) -> None:
    """Readers are in nobody's way, somebody's migration is: one line, and no comment is changed."""
    with databases.postgresql(tmp_path) as made:
        for table in ("a", "b"):
            made.fill(table, ["phone"], [[PHONE]])
        with closing(dbapi.connect(made.url)) as other, closing(other.cursor()) as cursor:
            cursor.execute("LOCK TABLE b IN SHARE MODE")
            url = made.url + "?options=-c%20lock_timeout%3D200"
            result = run("tag", url, "--write", "notes", cwd=desk)
        assert result.code == 3
        (line,) = result.stderr.splitlines()
        assert "table public.b: locked by another session; no comment was changed" in line
        assert comments(made, "a") == comments(made, "b") == {"phone": ""}


def test_postgresql_views_and_parents_have_notes(desk: Path, tmp_path: Path) -> None:
    with databases.postgresql(tmp_path) as made:
        made.execute(
            "CREATE TABLE t (phone text, day date) PARTITION BY RANGE (day)",
            "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')",
            f"INSERT INTO t VALUES ('{PHONE}', '2024-05-05')",
            "CREATE VIEW v AS SELECT * FROM t",
        )
        result = run("tag", made.url, "--include-views", "--write", "notes", cwd=desk)
        assert (result.code, result.stderr) == (0, "")
        for table in ("t", "v"):
            assert comments(made, table)["phone"].startswith("[pii-guard {")


# --- MariaDB ---------------------------------------------------------------------------------------------------------

COLUMNS = (
    "id int AUTO_INCREMENT PRIMARY KEY",
    "phone varchar(30) CHARACTER SET latin1 NOT NULL DEFAULT 'it''s \\\\ a' COMMENT 'hu''man \\\\ \\n 한글'",
    "phone_b varchar(30) COLLATE utf8mb4_bin DEFAULT (concat('a', ',b')) CHECK (phone_b <> 'COMMENT')",
    "`phone ``c``, COMMENT 'x' CHECK (` varchar(30) UNIQUE",
    "phone_d timestamp NULL DEFAULT current_timestamp() ON UPDATE current_timestamp()",
    "phone_e enum('CHECK (', 'COMMENT ''x''', 'c') DEFAULT 'c' COMMENT 'COMMENT ''y'''",
    "phone_f text COMPRESSED",
    "phone_g double(10,2) unsigned zerofill NOT NULL DEFAULT 0.00",
    "phone_h varbinary(30) DEFAULT 'a'",
    "FOREIGN KEY (phone_i) REFERENCES p (k)",
    "phone_i int DEFAULT NULL",
)


def shown(made: Made) -> str:
    return str(made.execute("SHOW CREATE TABLE t")[0][1])


def test_mariadb_restates_columns_exactly(desk: Path, tmp_path: Path) -> None:
    """Whatever a column is, its table is as it was but for the comments, and just so without them."""
    with databases.mariadb(tmp_path) as made:
        made.execute(
            "CREATE TABLE p (k int PRIMARY KEY)",
            f"CREATE TABLE t ({', '.join(COLUMNS)})",
            f"INSERT INTO t (phone) VALUES ('{PHONE}'), ('{PHONE}')",
        )
        before, rows = shown(made), made.execute("SELECT * FROM t ORDER BY id")
        result = run("tag", made.url, "--write", "notes", cwd=desk)
        assert (result.code, result.stderr) == (0, "")
        assert "9 written, 0 removed" in result.stdout
        after = shown(made)
        assert [part.bare for part in parts(after)] == [part.bare for part in parts(before)]
        assert sum(" [pii-guard {" in part.comment for part in parts(after)) == 2  # behind what people wrote
        assert sum("[pii-guard {" in part.comment for part in parts(after)) == 9
        assert run("tag", made.url, "--remove-notes", cwd=desk).code == 0
        assert shown(made) == before
        assert made.execute("SELECT * FROM t ORDER BY id") == rows


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ("(id int, phone varchar(30) AS (concat('010-9876-', 5432)) STORED)", "is generated"),
        ("(id int, phone varchar(30) DEFAULT '😀')", "does not show as they are"),
        ("(id int, phone enum('010-9876-5432', '?'))", "does not show as they are"),
        ("(id int, phone varbinary(30) DEFAULT x'ff')", "does not show as they are"),
        ("(id int, phone json)", "more than its comment"),
        ("(id int, phone varchar(30)) WITH SYSTEM VERSIONING", "system-versioned"),
        (f"(id int, phone varchar(30) COMMENT '{'가' * 1000}')", "1,024 fit"),
    ],
)
def test_mariadb_leaves_what_it_cannot_restate(desk: Path, tmp_path: Path, table: str, why: str) -> None:
    """One line says so, exit 3; other tables have their notes."""
    with databases.mariadb(tmp_path) as made:
        made.execute(f"CREATE TABLE t {table}", "CREATE TABLE u (phone varchar(30))")
        value = f"'\"{PHONE}\"'" if "json" in table else f"'{PHONE}'"
        made.execute("INSERT INTO t (id) VALUES (1)" if "AS (" in table else f"INSERT INTO t VALUES (1, {value})")
        made.execute(f"INSERT INTO u VALUES ('{PHONE}')")
        before = made.execute("SHOW FULL COLUMNS FROM t")
        result = run("tag", made.url, "--write", "notes", cwd=desk)
        assert result.code == 3
        (line,) = result.stderr.splitlines()
        assert f"t: column phone: {why}" in line or why in line
        assert made.execute("SHOW FULL COLUMNS FROM t") == before
        assert comments(made, "u")["phone"].startswith("[pii-guard {")


@contextmanager
def account(made: Made, *grants: str) -> Iterator[str]:
    """The URL of the database for an account with these rights on it."""
    name = f"pii_guard_{secrets.token_hex(6)}"
    made.execute(f"CREATE USER {name}@'%'")
    try:
        made.execute(*(f"GRANT {grant} TO {name}@'%'" for grant in grants))
        yield f"mysql://{name}@{made.url.rpartition('@')[2]}"
    finally:
        made.execute(f"DROP USER {name}@'%'")


def test_mariadb_without_the_right(desk: Path, tmp_path: Path) -> None:
    """One line, exit 3; what was written before is said, and nothing is half-written."""
    with databases.mariadb(tmp_path) as made:
        for table in ("a", "b"):
            made.fill(table, ["phone"], [[PHONE]])
        for grants, said in (
            (["SELECT ON *"], "no comment was changed"),
            (["SELECT ON *", "ALTER ON a"], "comments changed before it: 1"),
        ):
            with account(made, *grants) as url:
                result = run("tag", url, "--write", "notes", cwd=desk)
            assert result.code == 3
            (line,) = result.stderr.splitlines()
            assert "permission denied (a comment takes the right to alter its table)" in line
            assert said in line
            assert comments(made, "b") == {"phone": ""}


def test_mistakes(desk: Path) -> None:
    """One line each, exit 2, before anything is read."""
    (desk / "a.csv").write_text("phone\n010-0000-0001\n")
    for said, *arguments in (
        ("'note' is none of sidecar, metadata, notes", "a.csv", "--write", "note"),
        ("names none of", "a.csv", "--write", ","),
        ("notes are comments on columns", "a.csv", "--write", "sidecar,notes"),
        ("notes are comments on columns", "a.csv", "--remove-notes"),
        ("one of --write and --remove-notes", "a.csv", "--remove-notes", "--write", "notes"),
        ("--query has no columns", databases.POSTGRESQL, "--query", "SELECT 1", "--write", "notes"),
        ("a database has no field metadata", databases.POSTGRESQL, "--write", "metadata"),
        ("the format csv has no field metadata", "a.csv", "--write", "metadata"),
    ):
        result = run("tag", *arguments, cwd=desk)
        assert (result.code, result.stdout) == (2, ""), arguments
        assert said in result.stderr
    assert not (desk / "pii-guard.tags.toml").exists()
