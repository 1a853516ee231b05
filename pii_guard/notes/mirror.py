"""Which comments change: notes are written, replaced and removed, and what people wrote stays as it is.

The sidecar file is the truth and notes are a mirror: nothing reads a tag from one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from pii_guard.connectors.database import DatabaseSource
from pii_guard.connectors.database_url import DatabaseUrl, database_of, shown_target
from pii_guard.connectors.selection import Selection
from pii_guard.engine.headers import without_note
from pii_guard.errors import LostConnectionError, ReadError, UsageError, WriteError
from pii_guard.model import Tag, path_text
from pii_guard.naming import safe_text
from pii_guard.notes.comments import Comments
from pii_guard.reports import FieldReport, NotExamined
from pii_guard.tags import logical_field, to_json

__all__ = ["Outcome", "check_notes", "remove_notes", "with_note", "write_notes"]

_COMMENTS = {
    "postgresql": "pii_guard.notes.postgresql:PostgresqlComments",
    "mysql": "pii_guard.notes.mysql:MysqlComments",
    "duckdb": "pii_guard.notes.duckdb:DuckdbComments",
}


@dataclass(slots=True)
class Outcome:
    """What was done."""

    written: int = 0
    removed: int = 0
    refused: list[str] = field(default_factory=list)
    """Columns, and tables, that were left as they are, each with the reason."""


def with_note(comment: str, tag: Tag | None) -> str:
    """`comment` with the note of `tag` in the place of any other, or without one.

    >>> with_note("Phone", Tag(kind="email"))
    'Phone [pii-guard {"kind":"email","protection":"none","version":1}]'
    """
    human = without_note(comment)
    if tag is None:
        return human
    return f"{human} [pii-guard {to_json(tag)}]" if human else f"[pii-guard {to_json(tag)}]"


def check_notes(target: str, selection: Selection) -> None:
    """Raises UsageError where nothing at `target` can have notes."""
    kind = database_of(target)
    if kind is None or kind.id not in _COMMENTS:
        raise UsageError(
            f"{shown_target(target)}: notes are comments on columns, which {', '.join(_COMMENTS)} have; "
            "the tags of others go into the sidecar file"
        )
    if selection.query is not None:
        raise UsageError("--query has no columns of a table, which notes stand on; use --table")


def write_notes(
    target: str,
    tags: Mapping[str, Tag],
    examined: Iterable[FieldReport],
    *,
    selection: Selection,
    password: str | None = None,
) -> Outcome:
    """Mirror `tags` (`TABLE.PATH` -> tag) into the chosen tables of a database, of which a scan `examined` the fields.

    A note of an examined column that has no tag any more is removed. Fields inside of a column, as of JSON,
    have no comment for a tag to stand in. Raises UsageError as `check_notes`, ReadError and WriteError as `Comments`.
    """
    fields = list(examined)
    seen = {f"{field.field.table}.{path_text(field.segments[:1])}" for field in fields}
    wanted = {name for field in fields if len(field.segments) == 1 and (name := logical_field(field.field)) in tags}

    def changed(name: str, comment: str) -> str:
        wanted.discard(name)
        return with_note(comment, tags.get(name)) if name in seen else comment

    outcome = _rewrite(target, changed, selection, password)
    shown = shown_target(target)
    outcome.refused += [f"{shown}: {name}: is not the name of a column, or no more" for name in sorted(wanted)]
    return outcome


def remove_notes(target: str, *, selection: Selection, password: str | None = None) -> Outcome:
    """Remove all notes from the chosen tables of a database. Raises as `write_notes`."""
    return _rewrite(target, lambda name, comment: without_note(comment), selection, password)


def _rewrite(target: str, changed: Callable[[str, str], str], selection: Selection, password: str | None) -> Outcome:
    check_notes(target, selection)
    kind = database_of(target)
    assert kind is not None  # noqa: S101 - checked
    source: DatabaseSource = kind.load()(DatabaseUrl(target, kind.id, password), selection)
    relations, others = source.chosen
    outcome = Outcome(refused=[f"{item.source}: {item.reason}" for item in others if isinstance(item, NotExamined)])
    module, name = _COMMENTS[kind.id].split(":")
    connector: type[Comments] = getattr(importlib.import_module(module), name)
    try:
        with connector.opened(source) as comments:
            for relation in relations:
                for column, comment in comments.of(relation):
                    new = changed(f"{safe_text(relation.name)}.{path_text((column,))}", comment)
                    if new == comment:
                        continue
                    reason = comments.write(relation, column, new)
                    if reason:
                        outcome.refused.append(f"{source.target}: {relation.name}: column {column}: {reason}")
                    elif new == without_note(new):
                        outcome.removed += 1
                    else:
                        outcome.written += 1
            comments.commit()
    except LostConnectionError:
        raise  # what was committed is not known
    except ReadError as error:
        done = 0 if connector.at_once else outcome.written + outcome.removed
        hint = " (a comment takes the right to alter its table)" if "permission denied" in error.reason else ""
        before = f"comments changed before it: {done:,}; run it again" if done else "no comment was changed"
        raise WriteError(f"{error}{hint}; {before}") from None
    return outcome
