"""Kinds and suppressions in a policy: what is refused and how it is said, and whose code may run."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from cli_runner import run

import pii_guard
from pii_guard.errors import CustomKindError, PolicyError
from pii_guard.policy import custom_detectors, parse, suppress
from pii_guard.policy.examples import failed_examples

POLICY = """\
version = 1

[kinds.staff]
pattern = 'EMP-[0-9]{6}'
check = "python:staff_numbers:is_staff"
examples = ["EMP-000002"]
counterexamples = ["EMP-000001"]
"""
MODULE = "def is_staff(value):\n    return int(value[-1]) % 2 == 0\n"
ROWS = "id\nEMP-000002\nEMP-000004\n"


def kinds(**members: Any) -> dict[str, Any]:
    return {"version": 1, "kinds": {"staff": {"pattern": "EMP-[0-9]{6}"} | members}}


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (kinds(pattern="("), "kinds.staff.pattern: is no regular expression of RE2: missing ): (?:()"),
        (kinds(pattern="(?=a)b"), "kinds.staff.pattern: is no regular expression of RE2: invalid perl operator: (?="),
        (kinds(pattern="a*"), "kinds.staff.pattern: matches the empty text"),
        (kinds(pattern=r"\C"), r"kinds.staff.pattern: has \C, which may end inside a character"),
        (kinds(pattern="(?P<x>a)"), "kinds.staff.pattern: has a named group; write (?:...)"),
        (kinds(check="os.system"), 'kinds.staff.check: must name a function as "python:module:function"'),
        (kinds(patern="a"), 'kinds.staff.patern: unknown key; did you mean "pattern"?'),
        (kinds(personal="yes"), "kinds.staff.personal: must be true or false"),
        (
            {"version": 1, "kinds": {"email": {"pattern": "a"}}},
            "kinds.email: is a kind of pii-guard already; choose another name",
        ),
        (
            {"version": 1, "suppressions": [{"match": "a.b", "reason": "r", "expires": "2027-01-01"}]},
            "suppressions[0].expires: must be a date without quotes, such as 2027-03-31",
        ),
        (
            {
                "version": 1,
                "suppressions": [{"match": "a.b", "reason": "r", "expires": date(2027, 1, 1), "kinds": ["emial"]}],
            },
            'suppressions[0].kinds[0]: unknown kind "emial"; did you mean "email"?',
        ),
        (
            {"version": 1, "suppressions": [{"match": "a.b", "expires": date(2027, 1, 1)}]},
            "suppressions[0].reason: is missing",
        ),
    ],
)
def test_mistakes_are_named(document: dict[str, Any], problem: str) -> None:
    """A wrong kind or suppression is refused with its place and what to do."""
    with pytest.raises(PolicyError) as caught:
        parse(document, "policy")
    assert caught.value.problems == (problem,)


def test_a_suppression_may_name_a_kind_of_the_same_policy() -> None:
    """Kinds of the policy are kinds like any other."""
    rule = {"match": "a.b", "reason": "r", "expires": date(2027, 1, 1), "kinds": ["staff"]}
    assert parse(kinds() | {"suppressions": [rule]}, "policy").suppressions[0].kinds == ("staff",)


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        ("python:no_such_module_here:f", "cannot be loaded (ModuleNotFoundError)"),
        ("python:json:no_such_function", "cannot be loaded (AttributeError)"),
        ("python:json:__name__", "is no function"),
    ],
)
def test_a_function_that_is_not_there(check: str, reason: str) -> None:
    """Said before anything is scanned."""
    with pytest.raises(PolicyError, match=r"kinds\.staff\.check") as caught:
        custom_detectors(parse(kinds(check=check), "policy"))
    assert reason in str(caught.value)


def test_what_the_function_raises_is_not_repeated(tmp_path: Path) -> None:
    """The message of a user's function may quote the value."""
    (tmp_path / "pii-guard.toml").write_text(POLICY.replace("staff_numbers", "raising_numbers"), encoding="utf-8")
    (tmp_path / "raising_numbers.py").write_text(
        "def is_staff(value):\n    raise ValueError(value)\n", encoding="utf-8"
    )
    (tmp_path / "rows.csv").write_text(ROWS, encoding="utf-8")
    result = run("scan", "rows.csv", cwd=tmp_path)
    assert result.code == 2
    assert "python:raising_numbers:is_staff raised ValueError on a value" in result.stderr
    assert "EMP-0" not in result.output


def test_code_that_came_with_the_data_does_not_run(tmp_path: Path) -> None:
    """A policy beside the data is not trusted with code; in the working directory, or named, it is."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "pii-guard.toml").write_text(POLICY.replace("staff_numbers", "trusted_numbers"), encoding="utf-8")
    (data / "trusted_numbers.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w').close()\n{MODULE}", encoding="utf-8"
    )
    (data / "rows.csv").write_text(ROWS, encoding="utf-8")
    for command in (["scan"], ["check"], ["find"], ["explain", "--field", "id"], ["tag"]):
        result = run(command[0], "data/rows.csv", *command[1:], cwd=tmp_path)
        assert (result.code, result.stdout) == (2, ""), command
        assert "would run code from outside the working directory; if you trust it, use --policy" in result.stderr
    assert not (tmp_path / "ran").exists()
    assert "staff" in run("scan", "data/rows.csv", "--policy", "data/pii-guard.toml", cwd=tmp_path).stdout
    assert (tmp_path / "ran").exists()
    assert "staff" in run("scan", "rows.csv", cwd=data).stdout
    assert pii_guard.scan(data / "rows.csv", policy=data / "pii-guard.toml").findings[0][1].kind == "staff"


def test_examples_are_held() -> None:
    """Each example without a value, each counterexample with one, and kinds without either are named."""
    good = parse(kinds(examples=["EMP-123456"], counterexamples=["EMP-1"]), "policy")
    assert failed_examples(good, custom_detectors(good)) == ()
    bad = parse(kinds(examples=["EMP-123456", "EMP-1"], counterexamples=["EMP-654321"]), "policy")
    assert failed_examples(bad, custom_detectors(bad)) == (
        "kinds.staff.examples: number 2 holds no staff",
        "kinds.staff.counterexamples: number 1 holds a staff",
    )
    none = parse(kinds(), "policy")
    assert failed_examples(none, custom_detectors(none)) == (
        "kinds.staff: give at least one of examples and one of counterexamples",
    )


DAY = date(2027, 3, 31)


@pytest.mark.parametrize(
    ("rule", "today", "left"),
    [
        ({"match": "data.phone"}, DAY, []),
        ({"match": "data.phone"}, date(2027, 4, 1), ["kr_phone_mobile"]),
        ({"match": "data.*", "kinds": ["kr_phone_mobile"]}, DAY, []),
        ({"match": "data.phone", "kinds": ["email"]}, DAY, ["kr_phone_mobile"]),
        ({"match": "other.phone"}, DAY, ["kr_phone_mobile"]),
    ],
)
def test_a_suppression_holds_for_its_field_and_kinds_until_its_day(
    rule: dict[str, Any], today: date, left: list[str]
) -> None:
    """The last day included; what is suppressed is kept apart with its reason."""
    report = pii_guard.scan([{"phone": "010-1234-5678"}])
    policy = parse({"version": 1, "suppressions": [rule | {"reason": "test numbers", "expires": DAY}]}, "policy")
    after = suppress(report, policy, today)
    assert [finding.kind for _, finding in after.findings] == left
    apart = [(item.finding.kind, item.reason, item.expires) for item in after.fields[0].suppressed]
    assert apart == ([] if left else [("kr_phone_mobile", "test numbers", DAY)])


def test_each_policy_has_its_own_functions(tmp_path: Path) -> None:
    """Two files of one name, and one that is called like a module of Python, are what stands beside the policy."""
    for folder, verdict in (("outer", True), ("outer/inner", False)):
        place = tmp_path / folder
        place.mkdir()
        text = POLICY.replace("staff_numbers", "numbers")
        (place / "pii-guard.toml").write_text(text, encoding="utf-8")
        (place / "numbers.py").write_text(f"def is_staff(value):\n    return {verdict}\n", encoding="utf-8")
        (place / "rows.csv").write_text(ROWS, encoding="utf-8")
    inner = tmp_path / "outer" / "inner"
    shown = run("scan", "../rows.csv", "rows.csv", "--format", "jsonl", cwd=inner).stdout
    assert shown.count('"kind": "staff"') == 1
    assert '"source": "../rows.csv"' in shown


@pytest.mark.parametrize("error", ["SystemExit(value)", "KeyError(value)"])
def test_nothing_of_an_error_of_a_function_is_left(tmp_path: Path, error: str) -> None:
    """Not in what is printed, and not in the chain of errors."""
    name = f"chained_{error[:4].lower()}"
    (tmp_path / "pii-guard.toml").write_text(POLICY.replace("staff_numbers", name), encoding="utf-8")
    (tmp_path / f"{name}.py").write_text(f"def is_staff(value):\n    raise {error}\n", encoding="utf-8")
    with pytest.raises(CustomKindError) as caught:
        pii_guard.scan([{"id": "EMP-000002"}], policy=tmp_path / "pii-guard.toml")
    assert caught.value.__context__ is None
    assert "EMP" not in str(caught.value)


def test_reports_of_several_policies_stay_what_they_are(tmp_path: Path) -> None:
    """Kinds and suppressions of each hold for its own files, though their names are shown alike."""
    for folder in ("hong@example.com", "kim@example.com"):
        place = tmp_path / "x" / folder
        place.mkdir(parents=True)
        (place / "pii-guard.toml").write_text(
            "version = 1\n[kinds.staff]\npattern = 'EMP-[0-9]{6}'\n[[suppressions]]\nmatch = '*.mail'\n"
            "reason = 'a test'\nexpires = 2999-12-31\n",
            encoding="utf-8",
        )
        (place / "rows.csv").write_text("id,mail\nEMP-000002,a@example.com\n", encoding="utf-8")
    targets = [f"x/{folder}" for folder in ("hong@example.com", "kim@example.com")]
    shown = run("scan", *targets, "--format", "csv", cwd=tmp_path).stdout
    assert shown.count('"staff"') == 2
    assert shown.count('"suppressed"') == 2
    assert '"finding","x/<email>/rows.csv#2"' in shown
