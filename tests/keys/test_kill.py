"""kill -9 before any step on the disk of any key command: what is left is the state before, or the one after."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_runner import environment, run

from pii_guard.errors import KeyringError
from pii_guard.keys.keyring import Keyring
from pii_guard.keys.rotation import rotate
from pii_guard.keys.selection import Selection

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL and fork are those of POSIX")
DRIVER = Path(__file__).parents[1] / "support" / "kill_points.py"
PHONE, EMAIL = "customers.phone", "customers.email"


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """A folder with a key directory `ring`: a retired and an active key of phones, one of e-mails; and a copy of it."""
    folder = tmp_path / "original"
    folder.mkdir()
    ring = Keyring.create(folder / "ring")
    for field, purposes in ((PHONE, ["delivery", "billing"]), (EMAIL, ["delivery"])):
        ring.encryption_key(field, "contract", purposes)
    rotate(ring, Selection(field=PHONE))
    return folder


def left(original: Path, tmp_path: Path, *arguments: str) -> list[Path]:
    """What each kill left, and at the end what the whole command left."""
    places = tmp_path / "places"
    command = [sys.executable, str(DRIVER), str(original), str(places), *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = sorted(places.iterdir(), key=lambda place: int(place.name))
    assert len(found) > 5  # as many steps were tried
    return found


def opened(place: Path, field: str, name: str = "ring") -> list[bool]:
    """Which keys of a field open for every purpose that they have, oldest first; destroyed ones do not."""
    ring, found = Keyring.open(place / name), []
    for record in Keyring.describe(place / name):
        if record.field == field:
            try:
                for purpose in record.purposes:
                    ring.decryption_key(record.key_id, purpose)
                ring.marker_key(record.key_id)
                found.append(True)
            except KeyringError:
                found.append(False)
    return found


def test_init(tmp_path: Path) -> None:
    """There is a whole key directory, or none and a second try makes one."""
    (tmp_path / "original").mkdir()
    for place in left(tmp_path / "original", tmp_path, "keys", "init", "--keys", "ring"):
        if not (place / "ring").exists():
            assert run("keys", "init", "--keys", "ring", cwd=place).code == 0
        Keyring.open(place / "ring").encryption_key(PHONE, "contract", ["delivery"])
        assert opened(place, PHONE) == [True]


@pytest.mark.parametrize(
    ("arguments", "after"),
    [
        (("rotate", "--field", PHONE), ([True] * 3, [True])),
        (("withdraw", "billing", "--yes"), ([True] * 2, [True])),
        (("destroy", "--field", PHONE, "--yes"), ([False] * 2, [True])),
        (("destroy", "--retention", "contract", "--yes"), ([False] * 2, [False])),
        (("backup", "copy"), ([True] * 2, [True])),
        (("backup", "copy", "--only-epochs"), ([True] * 2, [True])),
        (("export-marker", "markers.json"), ([True] * 2, [True])),
    ],
    ids=lambda value: value[0] if isinstance(value[0], str) else "",
)
def test_before_or_after(
    original: Path, tmp_path: Path, arguments: tuple[str, ...], after: tuple[list[bool], list[bool]]
) -> None:
    """Every key opens as it did before, or as it does afterwards; and the next command that writes goes through."""
    before = opened(original, PHONE), opened(original, EMAIL)
    places = left(original, tmp_path, "keys", *arguments, "--keys", "ring")
    states = [(opened(place, PHONE), opened(place, EMAIL)) for place in places]
    assert {str(state) for state in states} <= {str(before), str(after)}
    assert (states[0], states[-1]) == (before, after)
    for place, state in zip(places, states, strict=True):
        assert run("keys", "rotate", "--keys", "ring", "--field", PHONE, cwd=place).code in (0, 2)
        Keyring.open(place / "ring").encryption_key(EMAIL, "contract", ["delivery"])
        for now, then in zip((opened(place, PHONE), opened(place, EMAIL)), state, strict=True):
            assert now.count(False) == then.count(False)
            assert now.count(True) >= then.count(True)


def test_a_destruction_that_was_begun_is_finished(original: Path, tmp_path: Path) -> None:
    """Once a key is out of keyring.json, whoever writes next destroys the secret of its epoch and writes the receipt;
    before that, nothing is destroyed."""
    (secret,) = (original / "ring-epochs").glob("*.secret")
    for place in left(original, tmp_path, "keys", "destroy", "--field", PHONE, "--yes", "--keys", "ring"):
        begun = not any(opened(place, PHONE))
        assert run("keys", "destroy", "--finish", "--keys", "ring", cwd=place).code == 0
        assert (place / "ring-epochs" / secret.name).exists() is not begun
        assert len(list((place / "ring").glob("receipts/*.json"))) == int(begun)
        assert not [epoch for epoch in Keyring.open(place / "ring").document.epochs if epoch.state == "doomed"]


@pytest.mark.parametrize("there", [True, False], ids=["over a directory", "into nothing"])
def test_restore(original: Path, tmp_path: Path, there: bool) -> None:
    """A restore that was killed can be done again, and then all that the copy had opens."""
    assert run("keys", "backup", "copy", "--with-secret", "--keys", "ring", cwd=original).code == 0
    if there:
        assert run("keys", "withdraw", "billing", "--yes", "--keys", "ring", cwd=original).code == 0
    else:
        for file in (original / "ring").iterdir():
            file.unlink()
        (original / "ring").rmdir()
    command = ("keys", "restore", "copy", "--yes", "--keys", "ring")
    for place in left(original, tmp_path, *command):
        assert run(*command, cwd=place).code == 0
        assert opened(place, PHONE) == [True, True]
        assert Keyring.open(place / "ring").records()[0].purposes == ("billing", "delivery")
