"""`.pii-guardignore`: which files are left out, and what is wrong with a file of patterns."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pii_guard import connectors
from pii_guard.connectors import OutOfScope, Source
from pii_guard.connectors.ignore import IGNORE_FILE, LEFT_OUT
from pii_guard.errors import UsageError


def tree(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")


def walked(root: Path, target: Path) -> tuple[set[str], set[str]]:
    """(what is examined, what an ignore file leaves out), below `root`."""
    examined, ignored = set(), set()
    for found in connectors.discover(str(target)):
        if isinstance(found, Source):
            examined.add(os.path.relpath(found.target, root))
        elif isinstance(found, OutOfScope) and found.reason == LEFT_OUT:
            ignored.add(os.path.relpath(found.source, root))
    return examined, ignored


def test_patterns_hold_for_the_folder_and_below(tmp_path: Path) -> None:
    """Names anywhere below, anchored paths, folders, two stars, comments and negation mean what git means by them."""
    tree(
        tmp_path,
        {
            IGNORE_FILE: "\ufeff# not these\n*.log\n!kept.log\n/top.csv\nbuild/\nraw/**/old.csv\n원본/\n",
            **dict.fromkeys(("a.log", "kept.log", "top.csv", "sub/top.csv", "build/x.csv", "sub/build/x.csv"), "x\n"),
            **dict.fromkeys(("raw/1/2/old.csv", "raw/1/new.csv", "원본/x.csv", "buildings/x.csv"), "x\n"),
        },
    )
    assert walked(tmp_path, tmp_path) == (
        {"kept.log", "sub/top.csv", "raw/1/new.csv", "buildings/x.csv"},
        {"a.log", "top.csv", "build", "sub/build", "raw/1/2/old.csv", "원본"},
    )


def test_the_nearest_file_decides(tmp_path: Path) -> None:
    """A nested file adds to those above it and may take back what they say."""
    tree(
        tmp_path,
        {
            IGNORE_FILE: "*.log\n",
            "a/" + IGNORE_FILE: "!*.log\n*.csv\n",
            **dict.fromkeys(("1.log", "1.csv", "a/2.log", "a/2.csv", "a/b/3.log", "a/b/3.csv"), "x\n"),
        },
    )
    assert walked(tmp_path, tmp_path) == ({"1.csv", "a/2.log", "a/b/3.log"}, {"1.log", "a/2.csv", "a/b/3.csv"})


def test_files_above_the_target_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the project leaves out is left out of a scan of one of its folders, under any spelling of the target."""
    tree(tmp_path, {IGNORE_FILE: "/data/old/\n*.log\n", **dict.fromkeys(("data/old/x.csv", "data/y.csv"), "x\n")})
    assert walked(tmp_path, tmp_path / "data") == ({"data/y.csv"}, {"data/old"})
    monkeypatch.chdir(tmp_path / "data")
    assert walked(Path(), Path()) == ({"y.csv"}, {"old"})
    assert walked(Path(), Path("../data")) == ({"y.csv"}, {"old"})


def test_what_is_named_is_examined(tmp_path: Path) -> None:
    """A file, and a folder, that the patterns leave out is examined when it is the target."""
    tree(tmp_path, {IGNORE_FILE: "old/\n*.csv\n", "old/x.txt": "x\n", "y.csv": "x\n"})
    assert walked(tmp_path, tmp_path / "y.csv") == ({"y.csv"}, set())
    assert walked(tmp_path, tmp_path / "old") == ({"old/x.txt"}, set())
    assert walked(tmp_path, tmp_path) == (set(), {"old", "y.csv"})


def damaged(path: Path, how: str) -> None:
    if how == "folder":
        path.mkdir()
    elif how == "pipe":
        os.mkfifo(path)
    elif how == "link":
        path.symlink_to("nowhere")
    else:
        path.write_bytes({"encoding": "*.log\n비밀/\n".encode("cp949"), "pattern": b"*.log\n!\n"}[how])


@pytest.mark.parametrize("place", ["", "nested"])
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("folder", "not a regular file; make it a text file of patterns, or remove it"),
        ("pipe", "not a regular file"),
        ("link", "no such file; make it readable, or remove it"),
        ("encoding", "not UTF-8 text; save it as UTF-8"),
        ("pattern", "line 2 is no pattern; mend it, or remove it"),
    ],
)
def test_a_file_that_cannot_be_read_ends_the_walk(tmp_path: Path, how: str, message: str, place: str) -> None:
    """What it would leave out is unknown, so nothing is scanned as though it were not there."""
    (tmp_path / place).mkdir(exist_ok=True)
    damaged(tmp_path / place / IGNORE_FILE, how)
    (tmp_path / "sub").mkdir()
    for target in (tmp_path, tmp_path / "sub") if not place else (tmp_path,):
        with pytest.raises(UsageError, match=message) as caught:
            list(connectors.discover(str(target)))
        assert f"{IGNORE_FILE}: " in str(caught.value)
        assert "\n" not in str(caught.value)
