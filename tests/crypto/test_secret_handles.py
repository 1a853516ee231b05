"""Key material stays where it is: no print, no copy, no pickle, and few modules that can read it."""

from __future__ import annotations

import ast
import copy
import pickle
import tempfile
from pathlib import Path

import pytest

import pii_guard
from pii_guard.crypto.key import ColumnKey
from pii_guard.crypto.secret import Handle, Secret, canonical
from pii_guard.keys.keyring import Keyring

RAW = bytes(range(32))
ROOT = Path(pii_guard.__file__).parent


def handles() -> list[Handle]:
    key = ColumnKey(b"\x01\x02\x03\x04", "customers.phone", Secret(RAW))
    with tempfile.TemporaryDirectory() as place:
        ring = Keyring.create(Path(place) / "keys")
    return [Secret(RAW), key, key.marker, ring, ring._opener]


@pytest.mark.parametrize("handle", handles(), ids=lambda handle: type(handle).__name__)
def test_handles_show_nothing(handle: Handle) -> None:
    """No way of printing a handle shows a byte of its key."""
    assert {repr(handle), str(handle), f"{handle}"} == {f"<{type(handle).__name__}>"}


@pytest.mark.parametrize("handle", handles(), ids=lambda handle: type(handle).__name__)
def test_handles_cannot_be_duplicated(handle: Handle) -> None:
    """Copy, deep copy and pickle of any protocol are refused, also inside a container."""
    for duplicate in (copy.copy, copy.deepcopy, lambda one: copy.deepcopy([one])):
        with pytest.raises(TypeError, match="cannot be copied or pickled"):
            duplicate(handle)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot be copied or pickled"):
            pickle.dumps([handle], protocol)


def test_handles_do_not_compare_by_value() -> None:
    """Two handles of one key are different things, so that no comparison answers a guess."""
    for one, other in zip(handles(), handles(), strict=True):
        assert one != other
        assert hash(one) != hash(other)


def test_sizes_are_checked() -> None:
    """A key id of 4 bytes and a data key of 32, nothing else."""
    with pytest.raises(ValueError, match="4 bytes"):
        ColumnKey(b"\x01", "customers.phone", Secret(RAW))
    with pytest.raises(ValueError, match="32 bytes"):
        ColumnKey(b"\x01\x02\x03\x04", "customers.phone", Secret(RAW[:16]))


def test_derived_keys_are_all_different() -> None:
    """Another label, key id, field or data key gives another key."""
    keys = [
        ColumnKey(b"\x01\x02\x03\x04", "a.b", Secret(RAW)),
        ColumnKey(b"\x01\x02\x03\x05", "a.b", Secret(RAW)),
        ColumnKey(b"\x01\x02\x03\x04", "a.c", Secret(RAW)),
        ColumnKey(b"\x01\x02\x03\x04", "a.b", Secret(RAW[::-1])),
    ]
    material = [part for key in keys for part in (key.siv.expose(), key.marker.secret.expose(), key.commitment)]
    assert len({part[:32] for part in material}) == len(material)


def test_canonical_encoding_is_unambiguous() -> None:
    """Moving a byte from one item to the next changes the encoding."""
    assert canonical(b"ab", b"c") != canonical(b"a", b"bc") != canonical(b"abc")
    assert canonical() == b""


def importers(module: str) -> set[str]:
    found = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if isinstance(node, ast.ImportFrom):
                names += [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            if module in names:
                found.add(path.relative_to(ROOT).as_posix())
    return found


def exposers() -> set[str]:
    trees = {path: ast.parse(path.read_text("utf-8")) for path in ROOT.rglob("*.py")}
    return {
        path.relative_to(ROOT).as_posix()
        for path, tree in trees.items()
        if any(isinstance(node, ast.Attribute) and node.attr == "expose" for node in ast.walk(tree))
    }


def test_few_modules_touch_raw_keys() -> None:
    """The modules that import the holder of raw bytes, and those that take the bytes out, are these and no others."""
    assert importers("pii_guard.crypto.secret") == {
        "crypto/blind_index.py",
        "crypto/key.py",
        "crypto/siv.py",
        "field_tally.py",
        "keys/document.py",
        "keys/epochs.py",
        "keys/keyring.py",
        "keys/opening.py",
        "keys/providers/__init__.py",
        "keys/providers/aws_kms.py",
        "keys/providers/base.py",
        "keys/providers/directory.py",
        "keys/providers/environment.py",
        "keys/providers/os_keyring.py",
        "keys/providers/passphrase.py",
        "keys/roots.py",
        "keys/wrapping.py",
    }
    assert exposers() == {
        "crypto/key.py",
        "crypto/pseudonym.py",
        "crypto/siv.py",
        "keys/providers/aws_kms.py",
        "keys/wrapping.py",
    }
