"""The text of notes, and the definitions of columns of MariaDB."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pii_guard.connectors.selection import Selection
from pii_guard.engine.headers import label_of, without_note
from pii_guard.errors import UsageError
from pii_guard.model import Tag
from pii_guard.notes import check_notes, remove_notes, with_note
from pii_guard.notes.definition import parts
from pii_guard.tags import to_json

TAGS = st.builds(
    Tag,
    field=st.text(min_size=1),
    reason=st.sampled_from([None, "published [pii-guard {}]", '"]}', "한글 \\"]),
    purposes=st.lists(st.text(min_size=1), max_size=3).map(tuple),
)
COMMENTS = st.one_of(
    st.text(), st.lists(st.sampled_from(["[pii-guard {", "}]", " ", "phone", " - ", '"'])).map("".join)
)


@given(COMMENTS, TAGS, TAGS)
def test_what_people_wrote_stays(human: str, first: Tag, second: Tag) -> None:
    """Notes come, are replaced and go; the rest of a comment is the same, and so is the label that it gives."""
    assume(without_note(human) == human)
    noted = with_note(human, first)
    assume(without_note(noted) == human)  # but for what somebody began to write as a note, and did not end
    assert with_note(with_note(human, second), first) == noted == with_note(noted, first)
    assert with_note(noted, None) == human
    assert label_of(noted) == label_of(human)
    assert noted.endswith(f"[pii-guard {to_json(first)}]")


@given(st.text(), TAGS)
def test_any_text_takes_a_note(human: str, tag: Tag) -> None:
    """Without the form of a note in it, a text is kept whatever it is."""
    assume("[pii-guard {" not in human)
    assert without_note(with_note(human, tag)) == human


@pytest.mark.parametrize(
    ("comment", "human"),
    [
        ('a [pii-guard {"version":1}] see #7', "a see #7"),
        ('a [pii-guard {"version":1}][pii-guard {}]', "a"),
        ("a [pii-guard {broken}]", "a [pii-guard {broken}]"),
        ('a [pii-guard {"version":1}', 'a [pii-guard {"version":1}'),
        ("a [pii-guard] b", "a [pii-guard] b"),
        ('a [pii-guard {"x":"[pii-guard {}]"}]', "a"),
        ("", ""),
    ],
)
def test_where_notes_stand(comment: str, human: str) -> None:
    assert without_note(comment) == human


STATEMENT = """CREATE TABLE `a``(` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `x``, COMMENT 'y` enum('a,b','CHECK (','it''s \\') `') DEFAULT NULL COMMENT 'a, ''b'' \\'',
  `n` int(11) DEFAULT NULL COMMENT 'n' CHECK (`n` > 0 and `n` <> 'COMMENT'),
  `c` text /*!100301 COMPRESSED, */ DEFAULT NULL CHECK (`c` <> '?'),
  `g` int(11) GENERATED ALWAYS AS (`n` + 1) STORED,
  PRIMARY KEY (`id`),
  KEY `x` (`x``, COMMENT 'y`(3),`n`)
) ENGINE=InnoDB COMMENT='t (, )'
 PARTITION BY RANGE (`id`) (PARTITION p0 VALUES LESS THAN (10))"""


def test_definitions_are_taken_apart() -> None:
    """Names, quotes, parentheses and comments of all kinds; put together again they are what they were."""
    found = list(parts(STATEMENT))
    assert [part.name for part in found] == ["id", "x`, COMMENT 'y", "n", "c", "g", None, None]
    assert [part.comment for part in found] == ["", " COMMENT 'a, ''b'' \\''", " COMMENT 'n'", "", "", "", ""]
    assert [part.generated for part in found] == [False] * 4 + [True, False, False]
    assert [part.lossy for part in found] == [False] * 3 + [True, False, False, False]
    body = STATEMENT[STATEMENT.index("(\n") + 4 : STATEMENT.index("\n) ENGINE")]
    assert ",\n  ".join(part.before + part.comment + part.after for part in found) == body
    assert found[2].with_comment("'m'") == "`n` int(11) DEFAULT NULL COMMENT 'm' CHECK (`n` > 0 and `n` <> 'COMMENT')"
    assert found[3].with_comment("'m'").endswith("DEFAULT NULL COMMENT 'm' CHECK (`c` <> '?')")
    assert found[2].with_comment("") == found[2].bare == "`n` int(11) DEFAULT NULL CHECK (`n` > 0 and `n` <> 'COMMENT')"


@pytest.mark.parametrize("target", ["a.csv", "sqlite:///a.db"])
def test_what_has_no_comments(target: str) -> None:
    with pytest.raises(UsageError, match="notes are comments on columns"):
        check_notes(target, Selection())
    with pytest.raises(UsageError, match="notes are comments on columns"):
        remove_notes(target, selection=Selection())
