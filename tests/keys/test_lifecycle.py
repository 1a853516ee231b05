"""Keys are rotated, withdrawn, destroyed, copied and restored; what is gone stays gone, and all else stays."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pii_guard.crypto.decryption import decrypt_column
from pii_guard.crypto.token import encrypt_column
from pii_guard.errors import KeyringError, PurposeRefusedError, TokenError, UsageError, WrongPassphraseError
from pii_guard.keys import keyring as keyring_module
from pii_guard.keys.backup import backup, backup_epochs, restore
from pii_guard.keys.destruction import destroy, plan
from pii_guard.keys.health import examine
from pii_guard.keys.keyring import Keyring
from pii_guard.keys.rotation import rotate, withdraw
from pii_guard.keys.selection import Selection

PHONE, EMAIL = "customers.phone", "customers.email"
VALUE = "010-1234-5678"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return Keyring.create(tmp_path / "keys").directory


def token(directory: Path, field: str = PHONE, retention: str = "contract", period: str = "") -> str:
    """A token of VALUE under the active key of a field."""
    key = Keyring.open(directory).encryption_key(field, retention, ["delivery", "billing"], period=period)
    text: str = encrypt_column(pa.array([VALUE]), key)[0].as_py()
    return text


def opens(directory: Path, text: str, purpose: str = "delivery", field: str = PHONE) -> bool:
    """Whether a token opens to VALUE through the directory, opened anew."""
    key_for = functools.partial(Keyring.open(directory).decryption_key, purpose=purpose)
    try:
        return bool(decrypt_column(pa.array([text]), key_for, pa.string(), field)[0].as_py() == VALUE)
    except (TokenError, PurposeRefusedError):
        return False


def secrets(directory: Path) -> list[Path]:
    return sorted(Keyring.open(directory).epochs.glob("*.secret"))


def test_rotation_moves_encryption_and_keeps_decryption(keys: Path) -> None:
    """After a rotation the next token is under a new key; tokens of the old one still open."""
    old, other = token(keys), token(keys, EMAIL)
    ((before, after),) = rotate(Keyring.open(keys), Selection(field=PHONE))
    new = token(keys)
    assert new[:12] != old[:12]
    assert opens(keys, old)
    assert opens(keys, new)
    assert token(keys, EMAIL)[:12] == other[:12]
    assert (before.state, after.state) == ("retired", "active")
    with pytest.raises(UsageError, match="retired already"):
        rotate(Keyring.open(keys), Selection(key_id=before.key_id.hex()))


def test_periods_have_keys_of_their_own(keys: Path) -> None:
    """Another period is another key and another epoch; what is no period is refused, and so is one for equal tokens."""
    texts = {period: token(keys, period=period) for period in ("", "2026", "2026-Q3", "2026-07", "2026-07-31")}
    assert len({text[:12] for text in texts.values()}) == 5
    assert len(secrets(keys)) == 5
    assert token(keys, period="2026-Q3")[:12] == texts["2026-Q3"][:12]
    for wrong in ("2026-Q5", "2026-13", "26", "2026-7", "2026-02-31", "0000", "last year"):
        with pytest.raises(UsageError, match="is no period"):
            token(keys, period=wrong)


def test_a_withdrawn_purpose_opens_nothing_while_another_does(keys: Path) -> None:
    """The wrappings and the key of the purpose are gone from the file; the other purpose opens old and new tokens."""
    text = token(keys)
    assert len(withdraw(Keyring.open(keys), "billing")) == 1
    assert not opens(keys, text, "billing")
    assert opens(keys, text, "delivery")
    content = json.loads((keys / "keyring.json").read_text())
    assert "billing" not in content["keks"]["purposes"]
    assert not any("billing" in record["purposes"] for record in content["records"])
    with pytest.raises(UsageError, match="no key opens for the purpose 'billing'; purposes: delivery"):
        withdraw(Keyring.open(keys), "billing")
    assert [record.withdrawn for record in Keyring.describe(keys)] == [("billing",)]
    destroy(Keyring.open(keys), Selection(field=PHONE))
    assert Keyring.open(keys).records() == ()


def test_the_last_purpose_of_a_key_is_not_withdrawn(keys: Path) -> None:
    """To leave a key that nobody opens would be a destruction that nobody asked for."""
    text = token(keys)
    withdraw(Keyring.open(keys), "billing")
    before = (keys / "keyring.json").read_bytes()
    with pytest.raises(UsageError, match=r"keys of customers\.phone open for delivery alone"):
        withdraw(Keyring.open(keys), "delivery")
    assert (keys / "keyring.json").read_bytes() == before
    assert opens(keys, text)


def test_what_is_destroyed_opens_with_no_older_copy(keys: Path, tmp_path: Path) -> None:
    """Neither the directory nor any copy of keyring.json from before, with root.secret, opens a destroyed key: not for
    any purpose, and not its marker key. Keys of the same epoch survive, in the directory."""
    doomed, survivor, other = token(keys), token(keys, EMAIL), token(keys, retention="tax")
    shutil.copytree(keys, tmp_path / "stolen")
    stolen_id = Keyring.describe(keys)[0].key_id
    destroy(Keyring.open(keys), Selection(key_id=stolen_id.hex()))
    assert not opens(keys, doomed)
    assert opens(keys, survivor, field=EMAIL)
    assert opens(keys, other)
    with pytest.raises(KeyringError, match="was destroyed on"):
        Keyring.open(keys).decryption_key(stolen_id, "delivery")
    # the copy, put where it was, and with its age forgiven in every way that a holder of root.secret has
    shutil.copy(tmp_path / "stolen" / "keyring.json", keys / "keyring.json")
    with pytest.raises(KeyringError, match=r"is an old copy: it was written \d times, the last one seen \d times"):
        Keyring.open(keys)
    (Keyring.create(tmp_path / "blank").epochs / "epochs.json").unlink()
    with pytest.raises(KeyringError, match=r"of another key directory|is missing"):
        Keyring.open(keys, epochs=tmp_path / "blank-epochs")
    restored = restore(keys, None, None)
    assert stolen_id in [record.key_id for record in restored.lost]
    for purpose in ("delivery", "billing"):
        assert not opens(keys, doomed, purpose)
    with pytest.raises(KeyringError, match="destroyed"):
        Keyring.open(keys).marker_key(stolen_id)
    assert opens(keys, other)


def test_an_old_copy_with_an_old_mark_opens_nothing_destroyed(keys: Path, tmp_path: Path) -> None:
    """Even where the whole of both directories is put back but for the destroyed secret, its keys do not open."""
    doomed = token(keys)
    shutil.copytree(keys, tmp_path / "copy" / "keys")
    shutil.copytree(keys.with_name("keys-epochs"), tmp_path / "copy" / "keys-epochs")
    destroy(Keyring.open(keys), Selection(field=PHONE))
    for secret in (tmp_path / "copy" / "keys-epochs").glob("*.secret"):
        secret.unlink()  # this alone is what a copy of keyring.json does not have
    old = Keyring.open(tmp_path / "copy" / "keys")
    (record,) = old.records()
    for purpose in record.purposes:
        with pytest.raises(KeyringError, match="the secret of this epoch is missing or destroyed"):
            old.decryption_key(record.key_id, purpose)
    with pytest.raises(KeyringError, match="the secret of this epoch is missing or destroyed"):
        old.marker_key(record.key_id)
    assert not opens(keys, doomed)


def test_the_epoch_secret_is_needed_and_is_all_that_is_missing(keys: Path) -> None:
    """With the secret put back the same file opens: it is the secret alone that destruction takes away."""
    text = token(keys)
    (secret,) = secrets(keys)
    content = secret.read_bytes()
    secret.unlink()
    with pytest.raises(KeyringError, match="missing or destroyed"):
        Keyring.open(keys).decryption_key(Keyring.describe(keys)[0].key_id, "delivery")
    secret.write_bytes(content)
    secret.chmod(0o600)
    assert opens(keys, text)
    secret.write_bytes(b"0" * 64 + b"\n")
    with pytest.raises(KeyringError, match="does not open"):
        Keyring.open(keys).decryption_key(Keyring.describe(keys)[0].key_id, "delivery")


def test_a_receipt_says_what_is_gone_and_what_is_promised(keys: Path, tmp_path: Path) -> None:
    """The receipt names keys, fields, epoch, copies and their fate; and makes no promise that it cannot keep."""
    token(keys, period="2020")
    token(keys, EMAIL, period="2020")
    kept = token(keys, period="2021")
    backup(Keyring.open(keys), tmp_path / "kept")
    backup_epochs(Keyring.open(keys), tmp_path / "near")
    backup_epochs(Keyring.open(keys), tmp_path / "far")
    shutil.rmtree(tmp_path / "far")
    keyring = Keyring.open(keys)
    selection = Selection(retention="contract", period="2020")
    planned = plan(keyring.document, selection)
    assert [record.field for record in planned.keys] == [PHONE, EMAIL]
    assert planned.survivors == ()
    receipt = json.loads(destroy(keyring, selection).read_text())
    assert {key["field"] for key in receipt["keys"]} == {PHONE, EMAIL}
    assert all(len(key["commitment"]) == 64 and key["period"] == "2020" for key in receipt["keys"])
    states = {Path(copy["path"]).name: copy["state"] for copy in receipt["copies"]}
    assert states["near"] == "the secrets are destroyed in it"
    assert states["far"].startswith("NOT REACHED")
    assert "holds no epoch secret" in states["kept"]
    assert receipt["irrecoverable_from"] is None
    assert receipt["unreadable_from"]
    assert not list((tmp_path / "near").glob(f"{receipt['epochs'][0]['id']}*"))
    assert opens(keys, kept)


def test_backups_hold_no_epoch_secret(keys: Path, tmp_path: Path) -> None:
    """Neither the copy of the keys nor, if asked for, root.secret in it holds what a destruction destroys."""
    token(keys)
    (epoch,) = secrets(keys)
    for name, options in (("plain", False), ("full", True)):
        backup(Keyring.open(keys), tmp_path / name, with_secret=options)
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == [
            ".gitignore",
            "keyring.json",
            *(["root.secret"] if options else []),
        ]
        held = b"".join(path.read_bytes() for path in (tmp_path / name).iterdir())
        assert epoch.read_bytes().strip() not in held
    with pytest.raises(KeyringError, match="exists already"):
        backup(Keyring.open(keys), tmp_path / "plain")
    assert [copy.path for copy in Keyring.open(keys).document.copies] == [
        str(tmp_path / "plain"),
        str(tmp_path / "full"),
    ]


def test_a_lost_directory_comes_back_from_its_backup(keys: Path, tmp_path: Path) -> None:
    """With the backup and the epochs directory everything opens again; without the root key nothing does."""
    text = token(keys)
    backup(Keyring.open(keys), tmp_path / "copy", with_secret=True)
    backup(Keyring.open(keys), tmp_path / "bare")
    shutil.rmtree(keys)
    with pytest.raises(KeyringError, match=r"root\.secret: is missing"):
        restore(keys, None, tmp_path / "bare")
    restore(keys, None, tmp_path / "copy")
    assert opens(keys, text)
    Keyring.create(tmp_path / "other")
    with pytest.raises((KeyringError, WrongPassphraseError)):
        restore(tmp_path / "other", None, tmp_path / "bare")
    Keyring.open(tmp_path / "other")


def test_restoring_brings_back_what_was_withdrawn_and_only_that(keys: Path, tmp_path: Path) -> None:
    """The way back is open, and it is what it says: the age is forgiven, and later writes go on from there."""
    text = token(keys)
    backup(Keyring.open(keys), tmp_path / "copy")
    withdraw(Keyring.open(keys), "billing")
    restored = restore(keys, None, tmp_path / "copy")
    assert (len(restored.keys), restored.lost) == (1, ())
    assert opens(keys, text, "billing")
    assert (keys / "keyring.json.replaced").exists()
    token(keys, EMAIL)
    Keyring.open(keys)


@pytest.mark.parametrize("name", ["missing", "other", "edited", "damaged", "open"])
def test_wrong_epochs_directories_are_refused(keys: Path, tmp_path: Path, name: str) -> None:
    """One line says which directory it is and what to do."""
    token(keys)
    mark = keys.with_name("keys-epochs") / "epochs.json"
    if name == "missing":
        mark.parent.rename(tmp_path / "away")
    elif name == "other":
        shutil.copy(Keyring.create(tmp_path / "second").epochs / "epochs.json", mark)
    elif name == "edited":
        mark.write_text(mark.read_text().replace('"counter": 2', '"counter": 1'))
    elif name == "damaged":
        mark.write_text("{")
    else:
        mark.parent.chmod(0o755)
    words = {
        "missing": "mount its medium",
        "other": "of another key directory",
        "edited": "was changed or is damaged",
        "damaged": "damaged, not JSON",
        "open": "run `chmod 700",
    }
    with pytest.raises(KeyringError, match=words[name]) as caught:
        Keyring.open(keys)
    assert "\n" not in str(caught.value)


def test_an_epochs_directory_may_move(keys: Path, tmp_path: Path) -> None:
    """A medium that is mounted elsewhere is named on opening."""
    text = token(keys)
    keys.with_name("keys-epochs").rename(tmp_path / "stick")
    key = Keyring.open(keys, epochs=tmp_path / "stick").decryption_key(Keyring.describe(keys)[0].key_id, "delivery")
    assert decrypt_column(pa.array([text]), lambda _: key, pa.string(), PHONE).to_pylist() == [VALUE]


@pytest.mark.parametrize(
    "selection", [Selection(field="no.such"), Selection(key_id="00000000"), Selection(retention="x")]
)
def test_a_selection_of_nothing_changes_nothing(keys: Path, selection: Selection) -> None:
    """A mistyped name is refused, with what there is."""
    token(keys)
    before = (keys / "keyring.json").read_bytes()
    for operation in (rotate, destroy):
        with pytest.raises(UsageError, match=f"no key matches {selection.name}"):
            operation(Keyring.open(keys), selection)
    assert (keys / "keyring.json").read_bytes() == before
    with pytest.raises(UsageError, match="say which keys"):
        Selection()


def test_two_processes_rotate_at_once(keys: Path) -> None:
    """Rotations of two processes follow each other: each retires the newest key, and none is lost."""
    texts = [token(keys)]
    code = """
import sys
from pathlib import Path
from pii_guard.keys.keyring import Keyring
from pii_guard.keys.rotation import rotate
from pii_guard.keys.selection import Selection
for _ in range(5):
    rotate(Keyring.open(Path(sys.argv[1])), Selection(field="customers.phone"))
"""
    children = [subprocess.Popen([sys.executable, "-c", code, str(keys)]) for _ in range(2)]
    assert [child.wait() for child in children] == [0, 0]
    records = Keyring.describe(keys)
    assert [record.state for record in records] == ["retired"] * 10 + ["active"]
    assert opens(keys, texts[0])
    Keyring.open(keys).decryption_key(records[5].key_id, "billing")


def test_the_doctor_finds_what_is_wrong(keys: Path, tmp_path: Path) -> None:
    """Missing secrets, a destruction that was cut off, a work tree around: each is named."""
    token(keys)

    def states() -> dict[str, tuple[str, str]]:
        return {check.name: (check.state, check.text) for check in examine(keys, None)}

    assert states()["git"] == ("ok", "in no work tree")
    assert states()["purpose billing"][1].startswith("ADVISORY")
    assert "bad" not in {state for state, _ in states().values()}
    (tmp_path / ".git").mkdir()
    assert states()["git"][0] == "note"
    (keys / ".gitignore").unlink()
    assert states()["git"][0] == "bad"
    (secret,) = secrets(keys)
    secret.rename(tmp_path / "kept")
    assert states()["epoch secrets"] == ("bad", "1 of 1 are missing; put them back")
    (tmp_path / "kept").rename(secret.with_name("0" * 16 + ".secret"))
    assert [check.state for check in examine(keys, None) if check.name == "epoch secrets"] == ["bad", "note"]


def test_an_open_directory_follows_what_others_do_to_it(keys: Path) -> None:
    """A process that had opened the directory, and no key yet, opens what survives a destruction elsewhere; what is
    destroyed or withdrawn meanwhile it opens no more, even if it had."""
    phone, email = token(keys), token(keys, EMAIL)
    early = Keyring.open(keys)
    ids = {record.field: record.key_id for record in early.records()}
    early.decryption_key(ids[PHONE], "delivery")
    destroy(Keyring.open(keys), Selection(field=PHONE))
    assert early.decryption_key(ids[EMAIL], "delivery").key_id == ids[EMAIL]
    assert early.marker_key(ids[EMAIL]).key_id == ids[EMAIL]
    assert [key.key_id for key in early.index_keys(EMAIL, "delivery")] == [ids[EMAIL]]
    with pytest.raises(KeyringError, match=f"of {PHONE} was destroyed on"):
        early.decryption_key(ids[PHONE], "delivery")
    withdraw(Keyring.open(keys), "delivery")
    with pytest.raises(PurposeRefusedError):
        early.decryption_key(ids[EMAIL], "delivery")
    assert early.decryption_key(ids[EMAIL], "billing").key_id == ids[EMAIL]
    assert opens(keys, email, "billing", EMAIL)
    assert not opens(keys, phone, "billing")


def test_a_destruction_amid_the_opening_of_a_key(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that goes away between the look at keyring.json and the look at the secret is no error of a survivor."""
    token(keys), token(keys, EMAIL)
    early = Keyring.open(keys)
    (wanted,) = (record.key_id for record in early.records() if record.field == EMAIL)
    find = Keyring._find
    done: list[bool] = []

    def late(self: Keyring, key_id: bytes) -> object:
        found = find(self, key_id)
        if self is early and not done:
            done.append(True)
            destroy(Keyring.open(keys), Selection(field=PHONE))
        return found

    monkeypatch.setattr(Keyring, "_find", late)
    assert early.decryption_key(wanted, "delivery").key_id == wanted
    assert done


def test_a_write_amid_the_opening_of_a_directory(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who opens a directory while another process writes to it is not told that it is an old copy."""
    token(keys)
    writer = Keyring.open(keys)
    prepared = keyring_module.opener_of

    def slow(*arguments: Any, **options: Any) -> Any:
        opener = prepared(*arguments, **options)
        writer.encryption_key(EMAIL, "contract", ["delivery"])
        return opener

    monkeypatch.setattr(keyring_module, "opener_of", slow)
    assert len(Keyring.open(keys).records()) == 2


def test_unknown_keys_are_told_without_reading_the_directory_again(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data may hold a key id of its own in every row: the file is read again only if it changed."""
    token(keys)
    ring = Keyring.open(keys)
    reads: list[Path] = []
    monkeypatch.setattr(keyring_module, "load", reads.append)
    for number in range(2000):
        with pytest.raises(KeyringError, match="is not in the key directory"):
            ring.record(number.to_bytes(4, "big"))
    assert not reads


def test_only_what_was_shown_is_destroyed(keys: Path) -> None:
    """A key that joins the selection while somebody reads what is to be destroyed is not destroyed unseen."""
    old = token(keys)
    ring = Keyring.open(keys)
    shown = plan(ring.document, Selection(retention="contract"))
    new = token(keys, EMAIL)
    with pytest.raises(UsageError, match="other keys match by now than were shown; nothing was destroyed"):
        destroy(ring, Selection(retention="contract"), shown)
    assert opens(keys, old)
    assert opens(keys, new, field=EMAIL)
    destroy(ring, Selection(retention="contract"), plan(ring.document, Selection(retention="contract")))
    assert not opens(keys, old)


def test_no_secret_is_in_a_copy_that_does_not_say_so(
    keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch that another process makes while the secrets are copied is not copied unregistered: a later destruction
    would not know that it has to reach for it there."""
    token(keys)
    update = Keyring.update

    def busy(self: Keyring, change: Any, *otherwise: str) -> None:
        update(self, change, *otherwise)
        if otherwise and "no backup" in otherwise[0] and len(Keyring.describe(keys)) == 1:
            token(keys, EMAIL, "short")

    monkeypatch.setattr(Keyring, "update", busy)
    backup_epochs(Keyring.open(keys), tmp_path / "copy")
    document = Keyring.open(keys).document
    there = {path.stem for path in (tmp_path / "copy").glob("*.secret")}
    assert len(document.epochs) == 2
    assert there == set(document.copies[-1].epochs)


def test_a_wrong_passphrase_restores_nothing(tmp_path: Path) -> None:
    """Not even an empty directory is left, which `keys init` would refuse to take."""
    ring = Keyring.create(tmp_path / "keys", "right")
    backup(ring, tmp_path / "copy")
    shutil.rmtree(tmp_path / "keys")
    with pytest.raises(WrongPassphraseError):
        restore(tmp_path / "keys", "wrong", tmp_path / "copy")
    assert not (tmp_path / "keys").exists()
    restore(tmp_path / "keys", "right", tmp_path / "copy")
    assert Keyring.open(tmp_path / "keys", "right").records() == ()
