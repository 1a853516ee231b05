"""Key directories on media that are full, with secrets that are not theirs, or made twice at once: nothing is lost, and
what is said is so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pii_guard.crypto.secret import Secret
from pii_guard.errors import KeyringError
from pii_guard.keys.backup import backup, backup_epochs
from pii_guard.keys.destruction import destroy
from pii_guard.keys.health import examine
from pii_guard.keys.keyring import Keyring
from pii_guard.keys.rotation import rotate, withdraw
from pii_guard.keys.selection import Selection

PHONE, EMAIL = "customers.phone", "customers.email"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    ring = Keyring.create(tmp_path / "keys")
    for field in (PHONE, EMAIL):
        ring.encryption_key(field, "contract", ["delivery", "billing"])
    return ring.directory


def told(keys: Path) -> list[tuple[str, str]]:
    """What the doctor says that is not good: name and text."""
    usual = ("epochs", "root key", "purpose billing", "purpose delivery")
    found = examine(keys, Keyring.open(keys))
    return [(check.name, check.text) for check in found if check.state != "ok" and check.name not in usual]


def secret_of(keys: Path) -> Path:
    (path,) = Keyring.open(keys).epochs.glob("*.secret")
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda ring: rotate(ring, Selection(field=PHONE)),
        lambda ring: withdraw(ring, "billing"),
        lambda ring: destroy(ring, Selection(field=PHONE)),
        lambda ring: destroy(ring, Selection(retention="contract")),
    ],
    ids=["rotate", "withdraw", "destroy", "destroy all"],
)
def test_nothing_changes_where_the_epochs_directory_cannot_be_written(
    keys: Path, change: Callable[[Keyring], object]
) -> None:
    """Neither of the two files is written where one of them cannot be, and the error says which."""
    ring, secret = Keyring.open(keys), secret_of(keys)
    before = (keys / "keyring.json").read_bytes()
    (ring.epochs / "epochs.json.tmp").mkdir()  # stands for a full or read-only medium, which root can write to
    with pytest.raises(KeyringError, match=r"cannot be changed: .*epochs\.json\.tmp: "):
        change(ring)
    assert (keys / "keyring.json").read_bytes() == before
    assert secret.exists()
    (ring.epochs / "epochs.json.tmp").rmdir()
    change(Keyring.open(keys))


def test_a_destruction_without_its_receipt_says_so_and_is_finished_later(keys: Path) -> None:
    """Keys that are gone are never said to be as they were."""
    (keys / "receipts").write_text("in the way")
    with pytest.raises(KeyringError, match=r"are destroyed in it, and .* is not finished: .*keys destroy --finish"):
        destroy(Keyring.open(keys), Selection(field=PHONE))
    (keys / "receipts").unlink()
    Keyring.open(keys).update(lambda document, _: document)
    assert len(list((keys / "receipts").iterdir())) == 1
    assert [record.field for record in Keyring.open(keys).records()] == [EMAIL]


def test_a_wrong_secret_makes_no_key(keys: Path) -> None:
    """A key that is wrapped under another secret than that of its epoch would be lost when the right one comes back."""
    path = secret_of(keys)
    right, before = path.read_bytes(), (keys / "keyring.json").read_bytes()
    for wrong, message in (
        (Secret.random().expose().hex().encode() + b"\n", "is not the secret of this epoch"),
        (right[:30], "not 64 hexadecimal digits"),
    ):
        path.write_bytes(wrong)
        with pytest.raises(KeyringError, match=message):
            rotate(Keyring.open(keys), Selection(field=PHONE))
        with pytest.raises(KeyringError, match=message):
            Keyring.open(keys).encryption_key("customers.name", "contract", ["delivery"])
        assert (keys / "keyring.json").read_bytes() == before
        ((name, text), *_) = told(keys)
        assert (name, text.partition(":")[0]) == ("epoch secrets", path.name)
    path.write_bytes(right)
    assert [name for name, _ in told(keys)] == ["copy of epochs"]


def test_a_secret_that_is_put_back_is_told_and_removed(keys: Path) -> None:
    """The doctor tells it from a stray file; whatever writes next destroys it again."""
    path = secret_of(keys)
    content = path.read_bytes()
    destroy(Keyring.open(keys), Selection(field=PHONE))
    path.write_bytes(content)
    path.chmod(0o600)
    assert "1 of destroyed epochs were put back" in dict(told(keys))["epoch secrets"]
    rotate(Keyring.open(keys), Selection(field=EMAIL))
    assert not path.exists()
    assert "epoch secrets" not in dict(told(keys))


def test_copies_that_are_worth_less_or_more_are_told(
    keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup from before a destruction opens nothing, and one of epochs that was not reached opens too much."""
    monkeypatch.setattr("pii_guard.keys.backup.now", lambda: "2020-01-01T00:00:00Z")
    backup(Keyring.open(keys), tmp_path / "copy")
    backup_epochs(Keyring.open(keys), tmp_path / "stick")
    ((name, text),) = told(keys)
    assert name == "copy of keys"
    assert "lacks 2 of 2 keys, made or wrapped anew since; make a new one" in text
    secret = secret_of(keys).name
    (tmp_path / "stick").rename(tmp_path / "away")
    destroy(Keyring.open(keys), Selection(field=PHONE))
    assert (
        f"with it and an old keyring.json destroyed keys open; destroy {secret} there"
        in (dict(told(keys))["copy of epochs"])
    )
    rotate(Keyring.open(keys), Selection(field=EMAIL))  # still out of reach
    assert "did not reach it" in dict(told(keys))["copy of epochs"]
    (tmp_path / "away").rename(tmp_path / "stick")
    Keyring.open(keys).update(lambda document, _: document)
    assert not (tmp_path / "stick" / secret).exists()
    assert "did not reach it" not in dict(told(keys))["copy of epochs"]


def test_a_backup_that_fails_leaves_nothing(keys: Path, tmp_path: Path) -> None:
    """So that it can be made again at the same place."""
    ring = Keyring.open(keys)
    (keys / "root.secret").rename(tmp_path / "kept")
    with pytest.raises(KeyringError, match=r"no backup could be made at .*root\.secret: No such file"):
        backup(ring, tmp_path / "copy", with_secret=True)
    assert not (tmp_path / "copy").exists()
    (tmp_path / "kept").rename(keys / "root.secret")
    backup(ring, tmp_path / "copy", with_secret=True)


def test_a_directory_that_is_made_twice_at_once_is_made_once(tmp_path: Path) -> None:
    """One of them makes it, whole; the others are told that it is there."""
    made: list[Keyring] = []
    refused: list[str] = []
    start = threading.Barrier(8)

    def make() -> None:
        start.wait()
        try:
            made.append(Keyring.create(tmp_path / "keys"))
        except KeyringError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert [text for text in refused if "exists already; nothing was changed" not in text] == []
    Keyring.open(tmp_path / "keys").encryption_key(PHONE, "contract", ["delivery"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys", "keys-epochs"]


def test_the_epochs_of_another_directory_are_not_taken(keys: Path, tmp_path: Path) -> None:
    """Not even where all its secrets are destroyed: the memory of that would be lost."""
    destroy(Keyring.open(keys), Selection(retention="contract"))
    epochs = Keyring.open(keys).epochs
    assert not list(epochs.glob("*.secret"))
    with pytest.raises(KeyringError, match="holds the secrets of a key directory already"):
        Keyring.create(tmp_path / "other", epochs=epochs)
    Keyring.open(keys).encryption_key(PHONE, "contract", ["delivery"])
