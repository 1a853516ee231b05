"""The first rule that matches decides."""

from __future__ import annotations

from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii_guard.model import path_text
from pii_guard.policy import Policy, parse


def policy(*matches: str | list[str]) -> Policy:
    rules: list[dict[str, Any]] = [{"match": match} for match in matches]
    return parse({"version": 1, "fields": rules}, "policy")


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="*?"), min_size=1, max_size=8)
segments = st.lists(names | st.sampled_from(["[]", "{}"]), min_size=1, max_size=4)


@given(segments)
def test_exact_name_matches_itself(path: list[str]) -> None:
    """The canonical name of any field, lists and maps and quotes included, matches itself as a pattern."""
    name = f"t.{path_text(tuple(path))}"
    assert policy(name).rule_for(name) is not None


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("customers.phone", "customers.phone", True),
        ("customers.phone", "customers.phone2", False),
        ("customers.phone", "xcustomers.phone", False),
        ("*.phone", "customers.phone", True),
        ("*.phone", "customers.home.phone", True),
        ("customers.*", "customers.user.emails[]", True),
        ("customers.phone?", "customers.phone2", True),
        ("Customers.phone", "customers.phone", False),
        ("t.a[].b[]", "t.a[].b[]", True),
        ("t.a[bc]", "t.ab", False),
        ("t.a[!b]", "t.ac", False),
        ("*.emails[]", "t.user.emails[]", True),
        ("고객.전화", normalize("NFD", "고객.전화"), True),
        ('t."e-mail (work)"', 't."e-mail (work)"', True),
    ],
)
def test_patterns(pattern: str, name: str, matches: bool) -> None:
    """`*` and `?` are wild, nothing else is; case matters, the form of Hangul does not."""
    assert (policy(pattern).rule_for(name) is not None) is matches


def test_first_match_wins() -> None:
    """Of several rules that match, duplicates too, the first in the file decides."""
    rules = policy("a.b", ["x.y", "a.*"], "a.b")
    assert rules.rule_for("a.b") is rules.fields[0]
    assert rules.rule_for("a.c") is rules.fields[1]
    assert rules.rule_for("c.c") is None


def test_unmatched_rules_are_listed() -> None:
    """A rule that decides for no field is listed, whether it is misspelt or hidden by an earlier one."""
    rules = policy("a.*", "a.b", "c.d", "misspelt.x")
    assert rules.unmatched(["a.b", "c.d", "e.f"]) == (rules.fields[1], rules.fields[3])
    assert rules.unmatched([]) == rules.fields
