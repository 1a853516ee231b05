"""Migrations are folded in their order: what is left is what the database would have."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii_guard.static.schema import Tables
from pii_guard.static.sql import fold_sql


def folded(*texts: str) -> tuple[dict[str, list[str]], list[tuple[int, str]]]:
    """Table -> its columns with their types, and what was not understood."""
    tables = Tables()
    problems = [problem for text in texts for problem in fold_sql(text.encode(), "a.sql", tables)]
    return {
        name: [f"{column.name} {column.type.text}".strip() for column in columns.values()]
        for name, columns in tables.columns.items()
    }, problems


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CREATE TABLE t (a text, b varchar(20) NOT NULL, PRIMARY KEY (a))", {"t": ["a text", "b varchar(20)"]}),
        (
            'CREATE TABLE IF NOT EXISTS public."고객" ("E Mail" character varying(80))',
            {"public.고객": ["E Mail varchar(80)"]},
        ),
        ("CREATE TABLE t (a int); CREATE TABLE IF NOT EXISTS t (b int)", {"t": ["a int"]}),
        ("CREATE TABLE t (a int); ALTER TABLE ONLY t ADD COLUMN b date, DROP COLUMN a", {"t": ["b date"]}),
        ("CREATE TABLE t (a int); ALTER TABLE t RENAME COLUMN a TO b", {"t": ["b int"]}),
        ("CREATE TABLE t (a int); ALTER TABLE t RENAME a TO b", {"t": ["b int"]}),
        ("CREATE TABLE t (a int); ALTER TABLE t RENAME TO u", {"u": ["a int"]}),
        ("CREATE TABLE s.t (a int); ALTER TABLE s.t RENAME TO u", {"s.u": ["a int"]}),
        ("CREATE TABLE t (a int); ALTER TABLE t ALTER COLUMN a TYPE varchar(120)", {"t": ["a varchar(120)"]}),
        ("CREATE TABLE t (a int); ALTER TABLE t ALTER a SET DATA TYPE text", {"t": ["a text"]}),
        ("CREATE TABLE t (a int); CREATE TABLE u (b int); DROP TABLE IF EXISTS t, u CASCADE", {}),
        ("CREATE TABLE t (a text); CREATE TABLE u (LIKE t INCLUDING ALL)", {"t": ["a text"], "u": ["a text"]}),
        ("CREATE TABLE t (a int) PARTITION BY RANGE (a); CREATE TABLE p PARTITION OF t DEFAULT", {"t": ["a int"]}),
        ("CREATE TABLE `t` (`a` int(11) NOT NULL AUTO_INCREMENT, KEY `k` (`a`)) ENGINE=InnoDB", {"t": ["a int(11)"]}),
        ("CREATE TABLE `t` (`a` int); ALTER TABLE t CHANGE a b VARCHAR(9) AFTER x", {"t": ["b varchar(9)"]}),
        ("CREATE TABLE `t` (`a` int); ALTER TABLE t MODIFY a text", {"t": ["a text"]}),
        ("CREATE TABLE `t` (`a` int); ALTER TABLE t ADD (b text, c int), ENGINE=x", None),
        ("CREATE TABLE `t` (`a` int); ALTER TABLE t ADD (b text, c int)", {"t": ["a int", "b text", "c int"]}),
        ("CREATE TABLE `t` (`a` int); RENAME TABLE t TO `u`", {"u": ["a int"]}),
        ("CREATE TABLE `t` (`a` int); ALTER TABLE t DROP a, DROP INDEX k", {"t": []}),
        (
            "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, email, b TEXT) STRICT",
            {"t": ["id int", "email", "b text"]},
        ),
        ("CREATE TABLE t (a text) WITHOUT ROWID; ALTER TABLE t DROP COLUMN a", {"t": []}),
        ("CREATE TABLE T (Email text); ALTER TABLE t DROP COLUMN EMAIL", {"t": []}),
    ],
)
def test_fold(text: str, expected: dict[str, list[str]] | None) -> None:
    """Each statement does what it does in its database; None: it is named as not understood."""
    tables, problems = folded(text)
    if expected is None:
        assert [line for line, _ in problems] == [1]
    else:
        assert (tables, problems) == (expected, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CREATE VIEW v AS SELECT a, b AS c, upper(b) d FROM t", ["c varchar(9)", "d"]),
        ("CREATE OR REPLACE VIEW v (a, e) AS SELECT * FROM t", ["e varchar(9)"]),
        ("CREATE VIEW v AS SELECT x.* FROM t AS x", []),
        ("CREATE VIEW v AS SELECT tel FROM elsewhere", ["tel"]),
        ("CREATE MATERIALIZED VIEW IF NOT EXISTS v AS SELECT * FROM t WITH NO DATA", ["a int", "b varchar(9)"]),
        ("CREATE TABLE v AS SELECT t.b AS c, count(*) AS n FROM t JOIN u ON true", ["c varchar(9)", "n"]),
        ("CREATE TABLE v AS SELECT * FROM (SELECT b AS c FROM t) AS s", ["c varchar(9)"]),
        ("CREATE TABLE v AS WITH q AS (SELECT b AS c FROM t) SELECT q.* FROM q UNION SELECT 1", ["c varchar(9)"]),
        ("CREATE TABLE v AS SELECT upper('x')", []),
        ("CREATE ALGORITHM=MERGE DEFINER=`a`@`%` SQL SECURITY DEFINER VIEW `v` AS SELECT `b` AS `c` FROM `t`", None),
        ("CREATE RECURSIVE VIEW v (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM v", []),
    ],
)
def test_columns_that_a_query_gives(text: str, expected: list[str] | None) -> None:
    """All of a table or a materialized view; of a view those that it computes or calls something else."""
    tables, problems = folded("CREATE TABLE t (a int, b varchar(9));" + text)
    assert (tables["v"], problems) == (["c varchar(9)"] if expected is None else expected, [])


def test_queries_that_double_their_columns_end() -> None:
    """Each `SELECT *` here has twice the columns of the one before: no more are made than a table can have."""
    doubled = "".join(f", q{i + 1} AS (SELECT * FROM q{i}, q{i} AS other)" for i in range(64))
    tables, problems = folded(f"CREATE TABLE t AS WITH q0 AS (SELECT 1 AS a, 2 AS b){doubled} SELECT * FROM q64")
    assert (tables, problems) == ({"t": ["a", "b"]}, [])


DUMP = """\
/*M!999999\\- enable the sandbox mode */
-- MariaDB dump 10.19
/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40103 SET TIME_ZONE='+00:00' */;
DROP TABLE IF EXISTS `t`;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `t` (
  `email` varchar(80) DEFAULT '/*!50001 x */' /*!80023 INVISIBLE */
) ENGINE=InnoDB /*!50100 PARTITION BY HASH (1) */;
LOCK TABLES `t` WRITE;
/*!40000 ALTER TABLE `t` DISABLE KEYS */;
INSERT INTO `t` VALUES ('/*!50001 DROP TABLE t */;');
/*!40000 ALTER TABLE `t` ENABLE KEYS */;
UNLOCK TABLES;
/*!50001 DROP VIEW IF EXISTS `v`*/;
/*!50001 CREATE VIEW `v` AS SELECT
 1 AS `mail`,
 1 AS `draft`*/;
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`%`*/ /*!50003 TRIGGER `tr` BEFORE INSERT ON `t` FOR EACH ROW BEGIN
  SET NEW.email = 'x'; DROP TABLE t; END */;;
DELIMITER ;
/*!50001 DROP VIEW IF EXISTS `v`*/;
/*!50001 CREATE ALGORITHM=UNDEFINED */
/*!50013 DEFINER=`a`@`%` SQL SECURITY DEFINER */
/*!50001 VIEW `v` AS select `t`.`email` AS `mail`, 'a; */' AS `memo` from `t` */;
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;
"""


@pytest.mark.parametrize(
    "dump", [DUMP, DUMP.replace("/*M!", "/*!"), DUMP.replace("/*!5", "/*M!10"), DUMP[DUMP.index("/*!401") :]]
)
def test_comments_that_mysql_runs(dump: str) -> None:
    """What mysqldump writes in comments with a version: views are made, settings and triggers disturb nothing."""
    assert folded(dump) == ({"t": ["email varchar(80)"], "v": ["mail varchar(80)", "memo"]}, [])


def test_comments_that_only_look_like_those() -> None:
    """Of a licence, as tools keep it; of a version that no server has."""
    text = "/*! (c) the firm */ CREATE TABLE t (a int); /*!999999 DROP TABLE t */; /* CREATE TABLE u (a int) */"
    assert folded(text) == ({"t": ["a int"]}, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ALTER VIEW v RENAME TO w", {"w": ["c varchar(9)"]}),
        ("ALTER VIEW IF EXISTS v RENAME TO w", {"w": ["c varchar(9)"]}),
        ("ALTER VIEW v RENAME COLUMN c TO d", {"v": ["d varchar(9)"]}),
        ("ALTER VIEW v RENAME c TO d", {"v": ["d varchar(9)"]}),
        ("ALTER VIEW v RENAME COLUMN a TO e", {"v": ["c varchar(9)", "e"]}),
        ("ALTER VIEW v OWNER TO someone", {"v": ["c varchar(9)"]}),
        ("ALTER VIEW v ALTER COLUMN c SET DEFAULT 1", {"v": ["c varchar(9)"]}),
        ("ALTER VIEW v AS SELECT b AS x FROM t", {"v": ["x varchar(9)"]}),
        ("ALTER ALGORITHM=MERGE SQL SECURITY INVOKER VIEW v (y) AS SELECT b FROM t", {"v": ["y varchar(9)"]}),
        ("ALTER MATERIALIZED VIEW m RENAME TO n", {"v": ["c varchar(9)"], "n": ["b varchar(9)"]}),
        ("ALTER TABLE v ADD COLUMN view int AS (1)", {"v": ["c varchar(9)", "view int"]}),
    ],
)
def test_views_that_change(text: str, expected: dict[str, list[str]]) -> None:
    """They change their names, those of their columns, and what they are made of."""
    made = "CREATE TABLE t (a int, b varchar(9)); CREATE VIEW v AS SELECT a, b AS c FROM t;"
    made += "CREATE MATERIALIZED VIEW m AS SELECT b FROM t;"
    kept = {"t": ["a int", "b varchar(9)"]} | ({} if "n" in expected else {"m": ["b varchar(9)"]})
    assert folded(made, text) == ({**kept, **expected}, [])


def test_views_may_have_columns_that_are_not_known() -> None:
    """So no tag of theirs is called lost; a table all of whose columns are known is one."""
    tables = Tables()
    text = "CREATE TABLE t (a int); CREATE VIEW v AS SELECT a AS b FROM t; CREATE TABLE u AS SELECT * FROM t;"
    list(fold_sql((text + "CREATE TABLE w AS SELECT * FROM far; DROP VIEW v;").encode(), "a.sql", tables))
    assert tables.schema().tables == {"t", "u"}
    assert [column.table for column in tables.schema().columns] == ["t", "u"]


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE t OWNER TO app",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE t ADD CONSTRAINT k PRIMARY KEY (a)",
        "ALTER TABLE t DROP CONSTRAINT k",
        "ALTER TABLE t ATTACH PARTITION p FOR VALUES IN (1)",
        "ALTER TABLE `t` DROP INDEX k",
        "ALTER TABLE `t` CONVERT TO CHARACTER SET utf8mb4",
        "ALTER TABLE t ALTER COLUMN a DROP NOT NULL",
        "CREATE TABLE t AS SELECT * FROM u",
    ],
)
def test_what_changes_no_column_is_passed_over(text: str) -> None:
    """Neither a change nor a problem."""
    assert folded("CREATE TABLE t (a int);" + text)[1] == []


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE t (a int",
        "CREATE TABLE t a int)",
        "CREATE TABLE ${schema}.t (email text)",
        "ALTER TABLE t ADD COLUMN",
        "CREATE TABLE t (" + "(" * 5000 + ")",
    ],
)
def test_what_does_not_parse_is_named_and_the_rest_goes_on(text: str) -> None:
    """With the line and the kind of statement, and no word of its content."""
    tables, problems = folded(f"CREATE TABLE a (x int);\n\n{text};\nCREATE TABLE b (y int);")
    assert tables == {"a": ["x int"], "b": ["y int"]}
    ((line, reason),) = problems
    assert line == 3
    assert reason.startswith("the statement (")
    assert "email" not in reason


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE t ADD (a)" + " " * 300_000 + "x",
        "CREATE TABLE t (a int) STRICT" + " " * 300_000 + "x",
        "RENAME TABLE a TO b" + " " * 300_000 + "x" + " " * 300_000,
        "ALTER TABLE t " + "RENAME " * 40_000,
        "ALTER TABLE t ADD " + " " * 300_000 + "COLUMN x",
        "CREATE TABLE t (" + "a int," * 5_000 + "b",
    ],
    ids=lambda text: text[:20],
)
def test_no_statement_takes_long(text: str) -> None:
    """Statements made to be slow are read, or named, in seconds."""
    start = time.process_time()
    folded(text)
    assert time.process_time() - start < 20


def test_lines_and_comments_are_kept() -> None:
    """The line is that of the column; a comment is that of MySQL's column or of COMMENT ON."""
    tables = Tables()
    text = """
    CREATE TABLE t (
        a text,
        b text
    );
    COMMENT ON COLUMN t.b IS '휴대폰';
    ALTER TABLE t
        ADD c text;
    """
    assert list(fold_sql(text.encode(), "a.sql", tables)) == []
    columns = tables.columns["t"]
    assert [(column.name, column.spot.line) for column in columns.values()] == [("a", 3), ("b", 4), ("c", 8)]
    assert columns["b"].comment == "휴대폰"
    list(fold_sql("CREATE TABLE `m` (`a` text COMMENT '이메일') ENGINE=InnoDB".encode(), "b.sql", tables))
    assert tables.columns["m"]["a"].comment == "이메일"


def test_enumerated_values_are_not_shown() -> None:
    """A type is its name and its width: what an enumeration lists is data."""
    assert folded("CREATE TABLE `t` (`a` enum('gildong@example.com','x'))")[0] == {"t": ["a enum"]}


CHANGES = st.one_of(
    st.tuples(st.just("add"), st.sampled_from("abcd"), st.just("")),
    st.tuples(st.just("drop"), st.sampled_from("abcd"), st.just("")),
    st.tuples(st.just("rename"), st.sampled_from("abcd"), st.sampled_from("abcd")),
)


@given(st.lists(CHANGES, max_size=12))
def test_any_sequence_of_changes(changes: list[tuple[str, str, str]]) -> None:
    """Against a plain set of names, of those sequences that a database would accept."""
    names = {"a"}
    statements = ["CREATE TABLE t (a text)"]
    for change, name, new in changes:
        if change == "add" and name not in names:
            names.add(name)
            statements.append(f"ALTER TABLE t ADD COLUMN {name} text")
        elif change == "drop" and name in names:
            names.remove(name)
            statements.append(f"ALTER TABLE t DROP COLUMN {name}")
        elif change == "rename" and name in names and new not in names:
            names.remove(name)
            names.add(new)
            statements.append(f"ALTER TABLE t RENAME COLUMN {name} TO {new}")
    tables, problems = folded(";\n".join(statements))
    assert (sorted(tables["t"]), problems) == (sorted(f"{name} text" for name in names), [])
