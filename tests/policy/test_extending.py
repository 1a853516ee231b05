"""A policy takes what it has not itself from packs and other files."""

from __future__ import annotations

from pathlib import Path

import pytest

from pii_guard.errors import PolicyError
from pii_guard.policy import RetentionClass, load
from pii_guard.policy.declarations import AccessRecordFloor, Duty
from pii_guard.policy.extending import PACKS

BASE = """\
version = 1
place = "device"
[purposes.delivery]
title = "Delivery"
[purposes.support]
title = "Support"
[retention.contract]
period = "P5Y"
[[fields]]
match = "*.phone"
purposes = ["delivery"]
retention = "contract"
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def problems(path: Path) -> tuple[str, ...]:
    with pytest.raises(PolicyError) as caught:
        load(path)
    return caught.value.problems


def test_own_entries_win(tmp_path: Path) -> None:
    """Tables by name, lists with the own entries first, single values where the file is silent."""
    write(tmp_path / "base" / "company.toml", BASE)
    own = """\
version = 1
extends = ["base/company.toml"]
[purposes.delivery]
title = "Delivery of goods"
[[fields]]
match = "orders.phone"
purposes = ["support"]
retention = "contract"
"""
    policy = load(write(tmp_path / "pii-guard.toml", own))
    assert {name: purpose.title for name, purpose in policy.purposes.items()} == {
        "delivery": "Delivery of goods",
        "support": "Support",
    }
    assert [rule.match for rule in policy.fields] == [("orders.phone",), ("*.phone",)]
    assert policy.place == "device"
    assert policy.is_own("purposes", "delivery")
    assert not policy.is_own("purposes", "support")


def test_first_of_several_bases_gives(tmp_path: Path) -> None:
    write(tmp_path / "a.toml", 'version = 1\n[retention.x]\nperiod = "P1Y"\n')
    write(tmp_path / "b.toml", 'version = 1\nplace = "device"\n[retention.x]\nperiod = "P2Y"\n')
    policy = load(write(tmp_path / "pii-guard.toml", 'version = 1\nextends = ["a.toml", "b.toml"]\n'))
    assert (policy.retention["x"].period, policy.place) == ("P1Y", "device")


def test_the_same_file_by_two_ways_counts_once(tmp_path: Path) -> None:
    write(tmp_path / "root.toml", BASE)
    for name in "ab":
        write(tmp_path / f"{name}.toml", 'version = 1\nextends = ["root.toml"]\n')
    policy = load(write(tmp_path / "pii-guard.toml", 'version = 1\nextends = ["a.toml", "b.toml"]\n'))
    assert len(policy.fields) == 1


def test_each_file_is_read_once(tmp_path: Path) -> None:
    """A chain of files that each extend the next one twice would else take 2^40 readings."""
    for number in range(40):
        following = f'["{number + 1}.toml", "./{number + 1}.toml"]' if number < 39 else "[]"
        write(tmp_path / f"{number}.toml", f"version = 1\nextends = {following}\n")
    assert load(tmp_path / "0.toml").fields == ()


@pytest.mark.parametrize(
    ("extends", "problem"),
    [
        (
            '["koera"]',
            'extends[0]: no pack is called "koera" (there is korea); a file is named with its suffix',
        ),
        ('["japan"]', 'extends[0]: no pack is called "japan" (there is korea); a file is named with its suffix'),
        ('["missing.toml"]', 'extends[0]: there is no file "missing.toml" in {folder}'),
        (r'["a\u0000b.toml"]', r'extends[0]: "a\u0000b.toml" is no name of a file'),
        ('["pii-guard.toml"]', 'extends[0]: "pii-guard.toml" extends this file in turn; take one of the two out'),
        ('"korea"', 'extends: must be a list, such as ["..."]'),
        ("[1]", "extends[0]: must be text in quotes"),
    ],
)
def test_what_cannot_be_extended(tmp_path: Path, extends: str, problem: str) -> None:
    path = write(tmp_path / "pii-guard.toml", f"version = 1\nextends = {extends}\n")
    assert problems(path) == (problem.format(folder=tmp_path),)


def test_cycle_is_named_where_it_closes(tmp_path: Path) -> None:
    write(tmp_path / "b.toml", 'version = 1\nextends = ["pii-guard.toml"]\n')
    path = write(tmp_path / "pii-guard.toml", 'version = 1\nextends = ["b.toml"]\n')
    with pytest.raises(PolicyError) as caught:
        load(path)
    assert caught.value.source == str(tmp_path / "b.toml")


def test_mistakes_of_a_base_are_those_of_its_file(tmp_path: Path) -> None:
    write(tmp_path / "b.toml", 'version = 1\n[retention.x]\nperiod = "P1X"\n')
    with pytest.raises(PolicyError) as caught:
        load(write(tmp_path / "pii-guard.toml", 'version = 1\nextends = ["b.toml"]\n'))
    assert caught.value.source == str(tmp_path / "b.toml")


@pytest.mark.parametrize("pack", PACKS)
def test_entries_of_packs_say_where_they_come_from(pack: str) -> None:
    """Of every law in a pack: its article, where it was read, and when."""
    policy = load(PACKS[pack])
    entries: list[RetentionClass | Duty | AccessRecordFloor] = []
    entries += [*policy.retention.values(), *policy.duties.values(), *policy.access_record_floors]
    for entry in entries:
        assert entry.basis, entry
        assert entry.source, entry
        assert entry.as_of, entry


def test_packs_come_with_the_installation() -> None:
    assert all(path.is_file() for path in PACKS.values())
