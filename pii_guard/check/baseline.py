"""The baseline: violations that are known and accepted for now, so that a build fails on new ones alone.

The file is JSON with one entry a line (docs/FORMAT.md, baseline): no line changes when another one comes or goes, so
branches merge. It holds no value, no time, no line number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from pii_guard.check.places import stable_source
from pii_guard.check.results import Accepted, CheckResult, Place, Violation, joined
from pii_guard.errors import UsageError, WriteError, did_you_mean
from pii_guard.files import replacing
from pii_guard.model import FieldPath

__all__ = ["BASELINE_NAME", "Baseline", "Entry", "accepted", "load_baseline", "save_baseline"]

BASELINE_NAME = ".pii-guard-baseline.json"
VERSION = 1
_MEMBERS = ("field", "rule", "kind", "reason", "expires")


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What an entry is about."""

    field: str
    """The FieldPath as text, its source relative to the folder of the baseline; the source where there is no field."""
    rule: str
    kind: str
    """Empty where the violation is about no kind."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One accepted violation."""

    key: Key
    reason: str | None = None
    expires: date | None = None
    """The last day on which it is accepted; None: until it is mended."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The entries of the file `path`."""

    path: Path
    entries: Mapping[Key, Entry]
    lines: Mapping[Key, int]

    @property
    def base(self) -> Path:
        """What the sources of its entries are relative to."""
        return self.path.resolve().parent


def load_baseline(path: Path) -> Baseline:
    """The baseline in the file `path`. Raises UsageError, in one line, for one that is missing, broken or newer."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        document = json.loads(text)
    except OSError as error:
        hint = "; write one with --write-baseline" if isinstance(error, FileNotFoundError) else ""
        raise UsageError(f"{path}: the baseline cannot be read: {error.strerror}{hint}") from None
    except UnicodeDecodeError:
        raise _broken(path, "not UTF-8") from None
    except json.JSONDecodeError as error:
        raise _broken(path, f"line {error.lineno} is no JSON; was a conflict of a merge left in it?") from None
    except (RecursionError, ValueError):  # a number of thousands of digits
        raise _broken(path, "nested too deeply, or a number is too long") from None
    if not (isinstance(document, list) and document and isinstance(document[0], dict) and "version" in document[0]):
        raise _broken(path, 'it does not begin with [{"version": 1}')
    version = document[0]["version"]
    if type(version) is int and version > VERSION:
        raise UsageError(f"{path}: version {version} is newer than this pii-guard reads ({VERSION})")
    if document[0] != {"version": VERSION} or type(version) is not int:
        raise _broken(path, f"its version must be {VERSION}")
    entries: dict[Key, Entry] = {}
    for number, members in enumerate(document[1:], 1):
        entry = _entry(path, number, members)
        known = entries.get(entry.key)
        if known is None or (known.expires or date.max) < (
            entry.expires or date.max
        ):  # merged twice: what holds longer
            entries[entry.key] = entry
    return Baseline(path, entries, _lines(path, text))


def _broken(path: Path, reason: str) -> UsageError:
    return UsageError(f"{path}: is no baseline of pii-guard: {reason}")


def _entry(path: Path, number: int, members: object) -> Entry:
    place = f"entry {number}"
    if not isinstance(members, dict):
        raise _broken(path, f"{place} is no object")
    for name in members:
        if name not in _MEMBERS:
            near = did_you_mean(name, _MEMBERS)
            raise _broken(path, f"{place} has an unknown member{near}")
    texts = {name: members.get(name) for name in ("field", "rule", "kind", "reason")}
    for name, value in texts.items():
        needed = name in ("field", "rule")
        if not isinstance(value, str) and (needed or value is not None or name in members):
            raise _broken(path, f"{place}: {name} must be text")
    expires = members.get("expires")
    try:
        last = None if expires is None else date.fromisoformat(expires)
    except (TypeError, ValueError):
        raise _broken(path, f'{place}: expires must be a date such as "2027-03-31"') from None
    return Entry(Key(members["field"], members["rule"], texts["kind"] or ""), texts["reason"], last)


def _lines(path: Path, text: str) -> dict[Key, int]:
    """The line of each entry, as far as entries stand on lines of their own."""
    found: dict[Key, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        try:
            members = json.loads(line.strip().strip(",[]"))
        except ValueError:
            continue
        if isinstance(members, dict) and "field" in members:
            found.setdefault(_entry(path, number, members).key, number)
    return found


def save_baseline(result: CheckResult, path: Path) -> int:
    """Write what `result` finds, accepted or not, to the file `path`, and say how many entries that makes.

    Reason and last day of present entries stay. An entry that nothing needs goes, unless it is of something that was
    not read this time. The file appears whole or not at all. Raises UsageError where the present one is broken.
    """
    known = load_baseline(path) if path.exists() else Baseline(path, {}, {})
    found = [*result.violations, *(item.violation for item in result.accepted)]
    keys = {key for violation in found for key in _keys(violation, known.base)}
    gone = _gone(known, result, keys)
    entries = [known.entries.get(key, Entry(key)) for key in sorted({*keys, *(known.entries.keys() - gone)})]
    text = "\n".join([f'[{{"version": {VERSION}}}', *(f",{_line(entry)}" for entry in entries), "]", ""])
    try:
        with replacing(path) as file:
            file.write(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror}; the baseline is as it was") from None
    return len(entries)


def _line(entry: Entry) -> str:
    members: dict[str, Any] = {"field": entry.key.field, "rule": entry.key.rule}
    if entry.key.kind:
        members["kind"] = entry.key.kind
    if entry.reason is not None:
        members["reason"] = entry.reason
    if entry.expires is not None:
        members["expires"] = entry.expires.isoformat()
    return json.dumps(members, ensure_ascii=False)


def _keys(violation: Violation, base: Path) -> list[Key]:
    """One key for each kind that a violation is about: a kind that is new in a field is a new violation."""
    source = stable_source(violation.source, base)
    field = str(replace(violation.field, source=source)) if violation.field else source
    return [Key(field, violation.rule, kind) for kind in violation.kinds or ("",)]


def accepted(result: CheckResult, baseline: Baseline, *, today: date | None = None) -> CheckResult:
    """The same result with the violations apart that `baseline` accepts `today`.

    An entry whose day is past, or that nothing needs any more, is a warning.
    """
    day = today or date.today()
    open_, apart = [], []
    warnings = list(result.warnings)
    used: set[Key] = set()
    expired: set[Key] = set()
    for violation in result.violations:
        keys = _keys(violation, baseline.base)
        entries = [baseline.entries[key] for key in keys if key in baseline.entries]
        used.update(entry.key for entry in entries)
        late = [entry for entry in entries if entry.expires is not None and entry.expires < day]
        expired.update(entry.key for entry in late)
        if len(entries) == len(keys) and not late:
            reasons = dict.fromkeys(entry.reason for entry in entries if entry.reason)
            first = min((entry.expires for entry in entries if entry.expires), default=None)
            apart.append(Accepted(violation, "; ".join(reasons) or None, first))
        else:
            open_.append(violation)
    warnings += _doubts(baseline, sorted(expired), "PG051", "is accepted no more since its last day", _SET_A_DAY)
    unused = _gone(baseline, result, used)
    warnings += _doubts(baseline, sorted(unused), "PG052", "is accepted, and nothing breaks it any more", _TAKE_OUT)
    whole = replace(result, violations=tuple(open_), warnings=tuple(warnings), accepted=(*result.accepted, *apart))
    return joined([whole])


_SET_A_DAY = "mend what it accepts; or, if its reason still holds, set a later day"
_TAKE_OUT = "take it out, or run `pii-guard check` with --write-baseline"


def _doubts(baseline: Baseline, keys: Iterable[Key], rule: str, words: str, mend: str) -> Iterator[Violation]:
    for key in keys:
        place = Place(baseline.path.as_posix(), baseline.lines.get(key))
        what = f"{key.rule} of {key.kind}" if key.kind else key.rule
        message = f"{what} in {key.field} {words}"
        yield Violation(rule, baseline.path.as_posix(), None, message, mend, (key.kind,) if key.kind else (), place)


def _gone(baseline: Baseline, result: CheckResult, used: set[Key]) -> set[Key]:
    """The entries that nothing needs, of sources that were read, or of files that are no more."""
    read = {stable_source(field.field.source, baseline.base) for field in result.report.fields}
    unread = {stable_source(item.source, baseline.base) for item in result.report.not_examined}

    def decided(key: Key) -> bool:
        source = _source(key)
        if source in unread:
            return False
        return source in read or not ("://" in source or (baseline.base / source.partition("!/")[0]).exists())

    return {key for key in baseline.entries if key not in used and decided(key)}


def _source(key: Key) -> str:
    try:
        return FieldPath.parse(key.field).source
    except ValueError:
        return key.field
