"""SQL text to statements, without parsing: cheap enough for a dump of 50 MB.

Strings, quoted names, comments and the bodies of functions are passed over whole, so that a semicolon in them ends
nothing. Only the statements that declare tables are handed out; INSERT and the data of COPY cost one pass of a regular
expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["Statement", "statements"]

LONGEST = 1 << 20
"""Bytes of a statement that is still parsed."""

_RUN = rb"M?!(?!999999)\d{5,6}"
"""Behind `/*`: MySQL or MariaDB runs what stands in the comment, from that version on; that of six nines is none."""


def _whole(string: bytes, quoted: bytes, others: bytes, end: bytes = b";") -> re.Pattern[bytes]:
    """From the start of a statement to `end`, or to the end of the text.

    Linear time whatever the text is: quantifiers over alternatives are possessive, and what has no end ends with it.
    """
    parts = {b"string": string, b"quoted": quoted, b"others": others, b"end": re.escape(end), b"run": _RUN}
    return re.compile(
        rb"""(?x) (?:
            [^%(first)b'"`$\-/\#]++
          | (?!%(end)b) (?:
                '%(string)b*+ (?:'|\Z)
              | "%(quoted)b*+ (?:"|\Z)
              | `[^`]*+ (?:`|\Z)
              | --[^\n]*+
              | /\*(?!%(run)b) (?s:.*?) (?:\*/|\Z)
              | %(others)b
              | (?s:.)
            )
        )*+ (?:%(end)b|\Z)"""
        % {**parts, b"first": re.escape(end[:1])}
    )


_STANDARD = _whole(
    rb"(?:[^']|'')",
    rb'(?:[^"]|"")',
    rb"\$\$ (?s:.*?) (?:\$\$|\Z) | \$([A-Za-z_]\w*+)\$ (?s:.*?) (?:\$\1\$|\Z)",
)


@lru_cache(maxsize=16)
def _mysql(end: bytes) -> re.Pattern[bytes]:
    """Of MySQL: a backslash escapes in strings, `#` begins a comment, and `end` is what DELIMITER said."""
    return _whole(rb"(?:[^'\\]|\\(?s:.)|'')", rb'(?:[^"\\]|\\(?s:.)|"")', rb"\#[^\n]*+", end)


_DELIMITER = re.compile(rb"(?i)DELIMITER[ \t]+(\S{1,16})[^\n]*")
"""Not SQL: it tells MySQL's client where statements end from here on, so that the body of a trigger is one."""

_BLANK = re.compile(rb"(?:\s++|--[^\n]*+(?:\n|\Z)|/\*(?!" + _RUN + rb")(?s:.*?)(?:\*/|\Z)|#[^\n]*+(?:\n|\Z))*+")
_COMMENT_RUN = re.compile(rb"/\*" + _RUN)
_MARK = re.compile(
    rb"""(?x) (?P<mark> /\*%b | \*/ ) | /\*(?s:.*?)(?:\*/|\Z) | --[^\n]*+
    | '(?:[^'\\]|\\(?s:.)|'')*+(?:'|\Z) | "(?:[^"\\]|\\(?s:.)|"")*+(?:"|\Z) | `[^`]*+(?:`|\Z)"""
    % _RUN
)
_DECLARES = re.compile(
    rb"(?i)CREATE\s+(?:OR\s+REPLACE\s+)?(?:(?:GLOBAL|LOCAL|TEMP|TEMPORARY|UNLOGGED|FOREIGN|EXTERNAL)\s+)*TABLE\b"
    rb"|CREATE\s+(?:OR\s+REPLACE\s+)?(?:(?:TEMP|TEMPORARY|RECURSIVE|MATERIALIZED|SQL\s+SECURITY\s+\w+"
    rb"|\w+\s*=\s*\S+)\s+)*+VIEW\b|DROP\s+(?:MATERIALIZED\s+)?VIEW\b"
    rb"|ALTER\s+(?:(?:MATERIALIZED|SQL\s+SECURITY\s+\w+|\w+\s*=\s*\S+)\s+)*+VIEW\b"
    rb"|ALTER\s+(?:FOREIGN\s+)?TABLE\b|DROP\s+(?:TEMPORARY\s+)?TABLE\b|RENAME\s+TABLE\b|COMMENT\s+ON\s+COLUMN\b"
)
_COPY = re.compile(rb"(?is)COPY\b.{1,2000}?\bFROM\s+stdin\b[^;]*;\Z")
_END_OF_COPY = re.compile(rb"\n\\\.[ \r]*(?=\n|\Z)")
# Migrations that hold the way back beside the way there: what undoes is no part of the schema.
_WAY_BACK = re.compile(rb"(?im)^--\s*(?:\+goose\s+Down|\+migrate\s+Down|migrate:down|@UNDO|rollback\b)[^\n]*$")
_WAY_THERE = re.compile(rb"(?im)^--\s*(?:\+goose\s+Up|\+migrate\s+Up|migrate:up)[^\n]*$")
_MYSQL = re.compile(rb"(?im)`|/\*M?!\d{5}|\bAUTO_INCREMENT\b|\bENGINE\s*=|^DELIMITER[ \t]+[^\s']")


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that declares something. `text` is None for one that is too long to be parsed."""

    text: str | None
    line: int
    mysql: bool


def statements(data: bytes) -> Iterator[Statement]:
    """The statements of `data`, UTF-8, that create, change, rename or drop tables or comment on their columns."""
    mysql = _MYSQL.search(data[: 1 << 20]) is not None
    delimiter = b";"
    position, line, counted = 0, 1, 0
    undone = False
    while position < len(data):
        blank = _BLANK.match(data, position)
        start = blank.end() if blank else position
        undone = _undone(data, position, start, undone)
        told = _DELIMITER.match(data, start) if mysql else None
        if told:
            delimiter, position = told[1], told.end()
            continue
        found = (_mysql(delimiter) if mysql else _STANDARD).match(data, start)
        end = found.end() if found else len(data)
        run = _without_marks(data[start:end]) if _COMMENT_RUN.match(data, start) else None
        if (_DECLARES.match(data, start) if run is None else _DECLARES.match(run)) and not undone:
            line += data.count(b"\n", counted, start)
            counted = start
            text = (data[start:end] if run is None else run).removesuffix(delimiter if delimiter != b";" else b"")
            yield Statement(text.decode(errors="replace") if len(text) <= LONGEST else None, line, mysql)
        elif _COPY.match(data, start, min(end, start + 4096)):
            rest = _END_OF_COPY.search(data, end)
            end = rest.end() if rest else len(data)
        position = max(end, start + 1)


def _without_marks(text: bytes) -> bytes:
    """A statement without the marks of the comments that MySQL runs, as mysqldump writes them around views."""
    return _MARK.sub(lambda hit: b"" if hit["mark"] else hit[0], text).strip()


def _undone(data: bytes, start: int, end: int, before: bool) -> bool:
    """Whether what follows is the way back, by the comments between two statements."""
    back = [hit.start() for hit in _WAY_BACK.finditer(data, start, end)]
    there = [hit.start() for hit in _WAY_THERE.finditer(data, start, end)]
    if not back and not there:
        return before
    return max(back, default=-1) > max(there, default=-1)
