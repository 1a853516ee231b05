"""What stands in the way of a run in place is said before the first write, with what to do about it."""

from __future__ import annotations

import secrets
import sqlite3
from pathlib import Path

import pytest
from cli_runner import run
from databases import Made, mariadb, postgresql
from databases import sqlite as sqlite_file
from policies import PHONES_ENCRYPTED

from pii_guard import Keyring
from pii_guard.errors import WriteError
from pii_guard.inplace.engine import Engine, Pace, keys_of
from pii_guard.inplace.journal import Journal, Phase
from pii_guard.inplace.opening import opened
from pii_guard.model import Tag

PHONE = "010-9876-5432"

# Statements, with ;; between them, and a part of what is said.
POSTGRESQL = [
    ("CREATE TABLE t (id int, phone text)", "has no primary key"),
    (
        "CREATE TABLE t (id int PRIMARY KEY, phone varchar(20));; INSERT INTO t VALUES (1, '010')",
        "first run: ALTER TABLE",
    ),
    ("CREATE TABLE t (id int PRIMARY KEY, phone bigint)", "is of type bigint, and tokens are text"),
    ("CREATE TABLE t (id int PRIMARY KEY, phone char(200))", "is of type character, and tokens are text"),
    ("CREATE TABLE t (id int PRIMARY KEY, phone text UNIQUE)", "is used by constraint t_phone_key"),
    ("CREATE TABLE t (id int PRIMARY KEY, phone text);; CREATE INDEX i ON t (phone)", "is used by index i"),
    ("CREATE TABLE t (id int PRIMARY KEY, phone text);; CREATE INDEX i ON t (lower(phone))", "is used by index i"),
    (
        "CREATE TABLE t (id int PRIMARY KEY, phone text);; CREATE INDEX i ON t (id) INCLUDE (phone)",
        "is used by index i",
    ),
    ("CREATE TABLE t (id int PRIMARY KEY, phone text CHECK (phone <> ''))", "is used by constraint t_phone_check"),
    ("CREATE TABLE t (id int PRIMARY KEY, phone text DEFAULT 'none')", "has a default"),
    (
        "CREATE TABLE t (id int PRIMARY KEY, phone text, g text GENERATED ALWAYS AS (phone || 'x') STORED)",
        "a generated column is made of it",
    ),
    (
        "CREATE TABLE t (id int PRIMARY KEY, x text, phone text GENERATED ALWAYS AS (x || 'x') STORED)",
        "is generated from others",
    ),
    (
        "CREATE TABLE t (id int, phone text, PRIMARY KEY (id, phone)) PARTITION BY LIST (phone)",
        "is in the primary key",
    ),
    (
        "CREATE TABLE t (id int PRIMARY KEY, phone text);; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN RETURN NEW; END';; CREATE TRIGGER touched BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()",
        "has triggers, which would see or change each value: touched",
    ),
    (
        "CREATE TABLE t (id int PRIMARY KEY, phone text);; CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING",
        "has a rule",
    ),
    (
        "CREATE TABLE t (id int PRIMARY KEY, phone text);; CREATE TABLE u () INHERITS (t)",
        "other tables inherit from it",
    ),
    (
        "CREATE TABLE t (id int PRIMARY KEY, phone text);; CREATE STATISTICS s ON id, phone FROM t",
        "is used by statistics object s",
    ),
    ("CREATE VIEW t AS SELECT 1 AS id, '' AS phone", "is a view"),
    (
        "CREATE TABLE t (id int PRIMARY KEY, phone text);; "
        "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || "
        "' SET default_transaction_read_only = on'; END $$",
        "is read-only",
    ),
]
MARIADB = [
    ("CREATE TABLE t (id int, phone text)", "has no primary key"),
    ("CREATE TABLE t (id int PRIMARY KEY, phone text) ENGINE=MyISAM", "is of the engine MyISAM"),
    ("CREATE TABLE t (id int PRIMARY KEY, phone text) WITH SYSTEM VERSIONING", "is system-versioned"),
    (
        "CREATE TABLE t (id int PRIMARY KEY, phone varchar(20) NOT NULL)",
        "MODIFY `phone` varchar(80) CHARACTER SET utf8",
    ),
    ("CREATE TABLE t (id int PRIMARY KEY, phone bigint)", "is of type bigint, and tokens are text"),
    ("CREATE TABLE t (id int PRIMARY KEY, phone varchar(200), KEY i (phone))", "is in the index i"),
    ("CREATE TABLE t (id int PRIMARY KEY, phone text, FULLTEXT i (phone))", "is in the index i"),
    ("CREATE TABLE t (id int PRIMARY KEY, phone varchar(99) CHECK (phone <> ''))", "is used by the CHECK phone"),
    ("CREATE TABLE t (id int PRIMARY KEY, phone varchar(200) DEFAULT 'none')", "has a default"),
    (
        "CREATE TABLE t (id int PRIMARY KEY, phone varchar(200), g varchar(9) AS (left(phone, 3)))",
        "the generated column g is made of it",
    ),
    (
        "CREATE TABLE t (id int, phone varchar(99), PRIMARY KEY (id, phone)) PARTITION BY KEY (phone)",
        "is in the primary key",
    ),
    (
        "CREATE TABLE t (id int PRIMARY KEY, phone text);; "
        "CREATE TRIGGER touched BEFORE UPDATE ON t FOR EACH ROW SET NEW.id = OLD.id",
        "has triggers, which would see or change each value: touched",
    ),
    ("CREATE VIEW t AS SELECT 1 AS id, '' AS phone", "is a view"),
]
SQLITE = [
    ("CREATE TABLE t (id int PRIMARY KEY, phone bigint)", "is of type bigint, and tokens are text"),
    ("CREATE TABLE t (id int PRIMARY KEY, phone)", "is of type none, and tokens are text"),
    ("CREATE TABLE t (rowid int, _rowid_ int, oid int, phone text)", "has no row id that its columns do not hide"),
    ("CREATE TABLE t (id int PRIMARY KEY, phone text UNIQUE)", "is in the index sqlite_autoindex_t_2"),
    ("CREATE TABLE t (id int PRIMARY KEY, phone text);; CREATE INDEX i ON t (lower(phone))", "is in the index i"),
    (
        "CREATE TABLE t (id int PRIMARY KEY, phone text);; CREATE INDEX i ON t (id) WHERE phone <> ''",
        "is in the index i",
    ),
    ("CREATE TABLE t (id int PRIMARY KEY, phone text, CHECK (phone <> ''))", "a CHECK or a generated column"),
    ("CREATE TABLE t (id int PRIMARY KEY, phone text, g AS (phone || 'x'))", "a CHECK or a generated column"),
    ("CREATE TABLE t (id int PRIMARY KEY, x text, phone text AS (x || 'x'))", "is generated from others"),
    ("CREATE TABLE t (id int PRIMARY KEY, phone text DEFAULT 'none')", "has a default"),
    (
        "CREATE TABLE p (n text UNIQUE);; CREATE TABLE t (id int PRIMARY KEY, phone text REFERENCES p (n))",
        "a foreign key",
    ),
    (
        "CREATE TABLE t (id int PRIMARY KEY, phone text);; "
        "CREATE TRIGGER touched AFTER UPDATE ON t BEGIN SELECT 1; END",
        "has triggers, which would see or change each value: touched",
    ),
    ("CREATE TABLE t (id int PRIMARY KEY, phone text);; INSERT INTO t VALUES (2, x'ff')", "holds blobs"),
    ("CREATE VIEW t AS SELECT 1 AS id, '' AS phone", "is a view"),
]


def _check(made: Made, folder: Path, cases: list[tuple[str, str]]) -> None:
    (folder / "pii-guard.toml").write_text(PHONES_ENCRYPTED)
    Keyring.create(folder / "pii-guard-keys")
    for text, message in cases:
        made.execute(*text.split(";; "))
        done = run("protect", made.url, "--in-place", "--table", "t", "--column", "phone", cwd=folder)
        assert (done.code, message in done.stderr) == (2, True), (text, done.output)
        if message != "is read-only":
            kind, cascade = text.split()[1], " CASCADE" if "postgresql" in made.url else ""
            made.execute(f"DROP {kind} t{cascade}")
    assert Keyring.open(folder / "pii-guard-keys").records() == ()


def test_postgresql(tmp_path: Path) -> None:
    with postgresql(tmp_path) as made:
        _check(made, tmp_path, POSTGRESQL)


def test_mariadb(tmp_path: Path) -> None:
    with mariadb(tmp_path) as made:
        _check(made, tmp_path, MARIADB)


def test_sqlite(tmp_path: Path) -> None:
    with sqlite_file(tmp_path) as made:
        _check(made, tmp_path, SQLITE)


def test_an_account_that_may_only_read(tmp_path: Path) -> None:
    """PostgreSQL says so by its catalog, all that is missing at once."""
    role = f"test_{secrets.token_hex(6)}"
    with postgresql(tmp_path) as made:
        (tmp_path / "pii-guard.toml").write_text(PHONES_ENCRYPTED)
        Keyring.create(tmp_path / "pii-guard-keys")
        made.execute(
            "CREATE TABLE t (id int PRIMARY KEY, phone text)",
            f"CREATE ROLE {role} LOGIN",
            f"GRANT SELECT ON t TO {role}",
        )
        try:
            url = made.url.replace("postgresql://", f"postgresql://{role}@").replace(f"{role}@postgres@", f"{role}@")
            done = run("protect", url, "--in-place", "--table", "t", "--column", "phone", cwd=tmp_path)
            assert done.code == 2, done.output
            assert "belongs to another role" in done.stderr
            assert "may make no tables in the schema public" in done.stderr
        finally:
            made.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_a_full_disk(tmp_path: Path) -> None:
    """The page that does not fit is rolled back, the run goes on when there is room."""
    with sqlite_file(tmp_path) as made:
        (tmp_path / "pii-guard.toml").write_text(PHONES_ENCRYPTED)
        keys = Keyring.create(tmp_path / "pii-guard-keys")
        made.fill("t", ("id", "phone"), [(str(number), PHONE) for number in range(5000)])
        key = keys.encryption_key("t.phone", "contract", ["delivery"]).key_id.hex()
        tag = Tag(field="t.phone", purposes=("delivery",), retention="contract", protection="encrypt", key_id=key)
        tags = {"phone": tag}
        with opened(made.url, "t", ["phone"]) as dialect:
            assert dialect.lock()
            ((pages,),) = dialect.execute("PRAGMA page_count")
            dialect.execute(f"PRAGMA max_page_count = {pages + 20}")
            run_ = Engine(dialect, keys_of(tags, keys), Journal(Phase.FILL, tags), pace=Pace(500))
            with pytest.raises(WriteError, match="the disk is full"):
                run_.protect(keys, lambda tags: None)
        done = run("protect", made.url, "--in-place", "--table", "t", "--column", "phone", cwd=tmp_path)
        assert done.code == 0, done.output
        assert "goes on with a run that is under way: back-fill" in done.stdout
        assert "5,000 rows, each value opened once" in done.stdout


def test_a_lock_that_lasts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that does not let go of the file ends the run with a line; nothing is lost."""
    monkeypatch.setattr("pii_guard.inplace.sqlite._BUSY_SECONDS", 0.1)
    monkeypatch.setattr("pii_guard.inplace.engine.ATTEMPTS", 2)
    with sqlite_file(tmp_path) as made:
        (tmp_path / "pii-guard.toml").write_text(PHONES_ENCRYPTED)
        Keyring.create(tmp_path / "pii-guard-keys")
        made.fill("t", ("id", "phone"), [("1", PHONE)])
        other = sqlite3.connect(next(tmp_path.glob("*.db")), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        done = run("protect", made.url, "--in-place", "--table", "t", "--column", "phone", cwd=tmp_path)
        assert (done.code, "locked by another connection for too long" in done.stderr) == (3, True), done.output
        assert "goes on with it, --rollback takes it back" in done.stderr
        other.close()
        assert run("protect", made.url, "--in-place", "--table", "t", "--column", "phone", cwd=tmp_path).code == 0


def test_another_kind_of_database(tmp_path: Path) -> None:
    (tmp_path / "pii-guard.toml").write_text(PHONES_ENCRYPTED)
    Keyring.create(tmp_path / "pii-guard-keys")
    (tmp_path / "x.duckdb").touch()
    done = run("protect", "duckdb:///x.duckdb", "--in-place", "--table", "t", "--column", "phone", cwd=tmp_path)
    assert (done.code, "in place in postgresql, mysql, sqlite; use --to" in done.stderr) == (2, True), done.output
