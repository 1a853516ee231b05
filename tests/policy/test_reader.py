"""A policy file is read whole and right, or refused with every mistake at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii_guard.errors import PolicyError
from pii_guard.policy import POLICY_NAME, Policy, find_policy, load, parse

GOOD = """\
version = 1

[purposes.delivery]
title = "Delivery of goods"
basis = "consent"

[purposes."고객지원"]
title = "고객 지원"

[retention.contract]
period = "P5Y"
basis = "E-Commerce Act, Enforcement Decree Art. 6(1)2"
starts = "end of contract"

[[fields]]
match = "customers.phone"
purposes = ["delivery", "고객지원"]
retention = "contract"

[[fields]]
match = ["*.email", "orders.to.email"]
purposes = ["delivery"]
retention = "contract"
protection = "none"
reason = "public addresses of companies"
kind = "email"
"""


def problems(document: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(PolicyError) as caught:
        parse(document, "policy")
    assert str(caught.value).count("\n") == len(caught.value.problems) - 1
    return caught.value.problems


def with_rule(**rule: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "purposes": {"delivery": {"title": "Delivery"}},
        "retention": {"contract": {"period": "P5Y"}},
        "fields": [{"match": "a.b", **rule}],
    }


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_good_policy_is_read(tmp_path: Path) -> None:
    """Every member of the form is read, and what is left out has its default."""
    policy = load(write(tmp_path / POLICY_NAME, GOOD))
    assert policy.purposes["고객지원"].title == "고객 지원"
    assert policy.retention["contract"].starts == "end of contract"
    first, second = policy.fields
    assert (first.match, first.purposes, first.protection, first.kind) == (
        ("customers.phone",),
        ("delivery", "고객지원"),
        "encrypt",
        None,
    )
    assert (second.match[1], second.protection, second.kind) == ("orders.to.email", "none", "email")


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n").encode(),
        normalize("NFD", GOOD).encode(),
    ],
    ids=["byte order mark", "Windows line ends", "decomposed Hangul"],
)
def test_form_of_the_text_is_no_matter(tmp_path: Path, content: bytes) -> None:
    """The same policy comes out whatever the editor made of line ends, byte order mark and Hangul."""
    assert load(write(tmp_path / POLICY_NAME, content)) == load(write(tmp_path / "b" / POLICY_NAME, GOOD))


def test_policy_cannot_be_changed() -> None:
    """A policy that was read is frozen."""
    policy = parse(with_rule(), "policy")
    with pytest.raises(ValueError, match="frozen"):
        policy.fields[0].protection = "none"


def test_all_mistakes_at_once() -> None:
    """Each mistake is one line with its place, in one error."""
    document = {
        "version": 1,
        "purpose": {},
        "purposes": {"delivery": {"title": ""}, "Bad Id": {"titel": "x"}},
        "retention": {"contract": {"period": "P1X"}},
        "fields": [
            {"match": "a.b", "purposes": ["delivery"]},
            {"match": "a.c", "purposes": ["delivry"], "retention": "contrct", "protection": "hash"},
            {"purposes": "delivery"},
            {"match": ["a", 2], "kind": "E-Mail!", "colour": 1},
            3,
        ],
    }
    assert set(problems(document)) == {
        'purpose: unknown key; did you mean "purposes"?',
        "purposes.delivery.title: must not be empty",
        'purposes."Bad Id": a name is made of lower-case letters, digits, - _ and Hangul',
        'purposes."Bad Id".title: is missing',
        'purposes."Bad Id".titel: unknown key; did you mean "title"?',
        'retention.contract.period: must be an ISO 8601 duration in whole numbers, such as "P5Y", "P6M" or "P90D"',
        'fields[1].purposes[0]: unknown purpose "delivry"; did you mean "delivery"?',
        'fields[1].retention: unknown retention class "contrct"; did you mean "contract"?',
        "fields[1].protection: must be 'encrypt', 'encrypt-spans', 'hmac', 'password', 'mask', 'redact', 'drop' "
        "or 'none'",
        "fields[2].match: is missing",
        'fields[2].purposes: must be a list, such as ["..."]',
        "fields[3].match[1]: must be text in quotes",
        "fields[3].kind: a name is made of lower-case letters, digits, - _ and Hangul",
        "fields[3].colour: unknown key",
        "fields[4]: must be a table",
    }


def test_unlike_name_is_to_be_declared() -> None:
    """A name that is near no declared one comes with the table that would declare it."""
    assert problems(with_rule(purposes=["마케팅"])) == (
        'fields[0].purposes[0]: unknown purpose "마케팅"; declare it as [purposes."마케팅"]',
    )


def test_policy_needs_parse() -> None:
    """A policy made past `parse` knows no declared names, so no reference holds: it cannot skip the check."""
    with pytest.raises(ValueError, match="unknown purpose"):
        Policy.model_validate(with_rule(purposes=["delivery"]))


def test_plain_text_needs_a_reason() -> None:
    """protection = "none" needs a reason, and a reason is for nothing else."""
    assert "needs a reason" in problems(with_rule(protection="none"))[0]
    assert "needs a reason" not in problems(with_rule(protection="none", reason=""))[0]
    assert "belongs to" in problems(with_rule(reason="because"))[0]
    assert parse(with_rule(protection="none", reason="public"), "policy").fields[0].reason == "public"


@pytest.mark.parametrize("version", [None, 0, 2, "1", True, 1.0])
def test_version_is_the_number_one(version: object) -> None:
    """Version 1 is read; any other, or none, is one mistake about the version."""
    document = with_rule() | {"version": version}
    if version is None:
        del document["version"]
    (problem,) = problems(document)
    assert problem.startswith("version:")


def test_newer_version_is_the_only_complaint() -> None:
    """Of a newer form only the version is reported: its other keys may be right."""
    assert problems({"version": 2, "unheard": 1}) == ("version: 2 is newer than this pii-guard reads (1)",)


parts = st.tuples(*[st.none() | st.integers(0, most) for most in (900, 900, 900, 9999, 9999, 9999)])


@given(parts)
def test_durations(numbers: tuple[int | None, ...]) -> None:
    """Any choice of parts in their order is a duration, but not the empty one."""

    def written(designators: str, values: tuple[int | None, ...]) -> str:
        return "".join(f"{value}{d}" for d, value in zip(designators, values, strict=True) if value is not None)

    time = written("HMS", numbers[3:])
    period = f"P{written('YMD', numbers[:3])}{'T' + time if time else ''}"
    document = with_rule() | {"retention": {"contract": {"period": period}}}
    if period == "P":
        assert len(problems(document)) == 1
    else:
        assert parse(document, "policy").retention["contract"].period == period


@pytest.mark.parametrize(
    "period",
    ["", "P", "P1X", "PT", "P1YT", "1Y", "p1y", "P1.5Y", "P-1Y", "P1W1D", "P1D1Y", "P1H", " P1Y", "P1Y\n", "P٣Y", "5"],
)
def test_no_durations(period: str) -> None:
    """What ISO 8601 does not allow, or what has no whole numbers, is refused."""
    assert len(problems(with_rule() | {"retention": {"contract": {"period": period}}})) == 1


def test_weeks_stand_alone() -> None:
    """Weeks are a duration of their own."""
    assert parse(with_rule() | {"retention": {"contract": {"period": "P2W"}}}, "policy")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"version = 1\n\n[purposes\n", "line 3"),
        ('version = 1\n[purposes.배송]\ntitle = "배송"\n'.encode(), r'line 2.*in quotes, such as \[purposes\."배송"\]'),
        ("version = 1\n# 고객\n".encode("cp949"), "line 2 is not UTF-8"),
        (b"version = 1\nx = " + b"[" * 5000, "nested too deeply|line 2"),
        (b"", "version: is missing"),
    ],
)
def test_broken_file(tmp_path: Path, content: bytes, says: str) -> None:
    """A file that is no TOML is refused with its name and the line."""
    path = write(tmp_path / POLICY_NAME, content)
    with pytest.raises(PolicyError, match=says) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is a clear error."""
    with pytest.raises(PolicyError, match="cannot be read: No such file"):
        load(tmp_path / POLICY_NAME)


def test_pyproject_holds_a_policy(tmp_path: Path) -> None:
    """[tool.pii-guard] of pyproject.toml is the same policy; without the table, or with another value, an error."""
    own = load(write(tmp_path / POLICY_NAME, GOOD))
    shared = GOOD.replace("[purposes", "[tool.pii-guard.purposes").replace("[retention", "[tool.pii-guard.retention")
    shared = "[tool.pii-guard]\n" + shared.replace("[[fields", "[[tool.pii-guard.fields")
    assert load(write(tmp_path / "pyproject.toml", shared)) == own
    for other in ("[tool.ruff]\n", "[tool]\npii-guard = 1\n", "[[tool.pii-guard]]\n", "tool = 1\n"):
        with pytest.raises(PolicyError, match="has no table"):
            load(write(tmp_path / "pyproject.toml", other))


def test_nearest_policy_is_found(tmp_path: Path) -> None:
    """The nearest folder with a policy decides; in one folder pii-guard.toml wins over pyproject.toml."""
    data = write(tmp_path / "a" / "b" / "c" / "customers.csv", "phone\n")
    top = write(tmp_path / POLICY_NAME, GOOD)
    assert find_policy(data) == top
    write(tmp_path / "a" / "b" / "pyproject.toml", "[tool.ruff]\n")
    assert find_policy(data) == top
    shared = write(tmp_path / "a" / "pyproject.toml", "[tool.pii-guard]\nversion = 1\n")
    assert find_policy(data) == find_policy(data.parent) == shared
    own = write(tmp_path / "a" / POLICY_NAME, GOOD)
    assert find_policy(data) == own
    assert find_policy(tmp_path / "a" / "b" / ".." / "..") == top


def test_no_policy_is_none(tmp_path: Path) -> None:
    """Without a policy above, none is found (a policy above the temporary folder would be somebody else's)."""
    found = find_policy(tmp_path)
    assert found is None or not found.is_relative_to(tmp_path)


def test_broken_pyproject_on_the_way_is_an_error(tmp_path: Path) -> None:
    """A pyproject.toml that cannot be read may hold the policy, so the search does not go past it."""
    write(tmp_path / "pyproject.toml", "[tool\n")
    with pytest.raises(PolicyError, match=r"pyproject\.toml"):
        find_policy(tmp_path / "x.csv")


def test_a_value_that_is_misspelt_is_asked_for() -> None:
    """As keys and names are; a value that is near none gets the list alone."""
    classes = {"a": {"period": "P1Y", "term": "maximun"}, "b": {"period": "P1Y", "term": "forever"}}
    with pytest.raises(PolicyError) as raised:
        parse({"version": 1, "retention": classes}, "p")
    listed = "must be 'maximum', 'minimum' or 'floor'"
    assert str(raised.value).splitlines() == [
        f'p: retention.a.term: {listed}; did you mean "maximum"?',
        f"p: retention.b.term: {listed}",
    ]
