"""A key directory opens for its owner, its passphrase and its purposes, and for nothing that was tampered with."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pii_guard.crypto.decryption import decrypt_column
from pii_guard.crypto.key import Mode
from pii_guard.crypto.token import encrypt_column, verify_column
from pii_guard.errors import KeyringError, PurposeRefusedError, UsageError, WrongPassphraseError
from pii_guard.keys.backup import backup
from pii_guard.keys.document import Document
from pii_guard.keys.keyring import Keyring
from pii_guard.keys.opening import sealed
from pii_guard.keys.wrapping import secret_from_text

FIELD, RETENTION, PURPOSES = "customers.phone", "contract-5y", ["delivery", "billing"]
POSIX = pytest.mark.skipif(os.name != "posix", reason="modes and owners of files are those of POSIX")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A key directory with one key."""
    Keyring.create(tmp_path / "keys").encryption_key(FIELD, RETENTION, PURPOSES)
    return tmp_path / "keys"


def only_id(directory: Path) -> bytes:
    (record,) = Keyring.describe(directory)
    return record.key_id


@pytest.mark.parametrize("passphrase", [None, "correct horse", "비밀 열쇠"])
def test_what_one_process_encrypts_another_opens(tmp_path: Path, passphrase: str | None) -> None:
    """A value encrypted with a key comes back through the directory opened anew, for each purpose of the key."""
    key = Keyring.create(tmp_path / "keys", passphrase).encryption_key(FIELD, RETENTION, PURPOSES)
    tokens = encrypt_column(pa.array(["010-1234-5678"]), key)
    for purpose in PURPOSES:
        keyring = Keyring.open(tmp_path / "keys", passphrase)
        key_for = functools.partial(keyring.decryption_key, purpose=purpose)
        back = decrypt_column(tokens, key_for, pa.string(), FIELD)
        assert back.to_pylist() == ["010-1234-5678"]
    keyring = Keyring.open(tmp_path / "keys", passphrase)
    assert verify_column(tokens, keyring.marker_key, FIELD).to_pylist() == [True]


def test_a_passphrase_is_the_same_in_any_spelling(tmp_path: Path) -> None:
    """Composed and decomposed Hangul are one passphrase."""
    Keyring.create(tmp_path / "keys", unicodedata.normalize("NFD", "비밀"))
    Keyring.open(tmp_path / "keys", unicodedata.normalize("NFC", "비밀"))


def test_one_key_per_field_retention_and_purposes(directory: Path) -> None:
    """The same question gives the same key, in any order of purposes; any other question another key."""
    keyring = Keyring.open(directory)
    first = keyring.encryption_key(FIELD, RETENTION, ["billing", "delivery", "billing"])
    assert first.key_id == only_id(directory)
    others = [
        keyring.encryption_key("customers.email", RETENTION, PURPOSES),
        keyring.encryption_key(FIELD, "tax-10y", PURPOSES),
        keyring.encryption_key(FIELD, RETENTION, ["delivery"]),
    ]
    assert len({first.key_id, *(key.key_id for key in others)}) == 4
    assert [record.key_id for record in keyring.records()][1:] == [key.key_id for key in others]


def test_modes_have_keys_of_their_own(directory: Path) -> None:
    """A mode is part of the question; a key of pseudonyms makes no tokens, and the record tells the modes apart."""
    keyring = Keyring.open(directory)
    keys = {mode: keyring.encryption_key(FIELD, RETENTION, PURPOSES, mode) for mode in Mode}
    assert len({key.key_id for key in keys.values()}) == len(Mode)
    for mode, key in keys.items():
        assert Keyring.open(directory).encryption_key(FIELD, RETENTION, PURPOSES, mode).key_id == key.key_id
        assert keyring.record(key.key_id).mode is key.mode is mode
    values = pa.array(["010-1234-5678"] * 2)
    assert len(set(encrypt_column(values, keys[Mode.DETERMINISTIC]).to_pylist())) == 1
    with pytest.raises(UsageError, match="makes no tokens"):
        encrypt_column(values, keys[Mode.HMAC])


def test_every_key_of_a_field_may_have_indexed_a_value(directory: Path) -> None:
    """All keys of the field that the purpose opens; another purpose and a field without keys are refused."""
    keyring = Keyring.open(directory)
    other = keyring.encryption_key(FIELD, "short", ["delivery"])
    found = [key.key_id for key in keyring.index_keys(FIELD, "delivery")]
    assert found == [only.key_id for only in keyring.records()]
    assert other.key_id in found
    assert other.key_id not in [key.key_id for key in keyring.index_keys(FIELD, "billing")]
    with pytest.raises(PurposeRefusedError, match="may not be searched"):
        keyring.index_keys(FIELD, "marketing")
    with pytest.raises(KeyringError, match="has no key of"):
        keyring.index_keys("customers.memo", "delivery")


def test_records_are_public(directory: Path) -> None:
    """Field, retention, mode and purposes are readable without any secret, and say nothing of the key."""
    (directory / "root.secret").unlink()
    (record,) = Keyring.describe(directory)
    assert (record.field, record.retention, record.mode) == (FIELD, RETENTION, "randomized")
    assert record.purposes == ("billing", "delivery")
    assert record.active


def test_a_retired_key_still_opens_but_encrypts_no_more(directory: Path) -> None:
    """A retired record decrypts; the next encryption makes a new key."""
    old = only_id(directory)
    edit(directory, lambda data: data["records"][0].update(state="retired"))
    keyring = Keyring.open(directory)
    assert keyring.encryption_key(FIELD, RETENTION, PURPOSES).key_id != old
    assert keyring.decryption_key(old, "delivery").key_id == old
    assert [record.active for record in keyring.records()] == [False, True]


def test_other_purposes_are_refused(directory: Path) -> None:
    """A purpose that the key is not wrapped for is refused by name."""
    with pytest.raises(PurposeRefusedError) as caught:
        Keyring.open(directory).decryption_key(only_id(directory), "advertising")
    assert str(caught.value) == f"{FIELD}: may not be opened for purpose 'advertising'; allowed: billing, delivery"


def test_an_unknown_key_is_named(directory: Path) -> None:
    """The message says which key and where it was looked for."""
    keyring = Keyring.open(directory)
    unknown = bytes(byte ^ 0xFF for byte in only_id(directory))
    for ask in (lambda: keyring.decryption_key(unknown, "delivery"), lambda: keyring.record(unknown)):
        with pytest.raises(KeyringError, match=f"key {unknown.hex()} is not in the key directory {directory}"):
            ask()


def test_keys_of_another_process_are_seen(directory: Path) -> None:
    """A key that was added after a directory was opened is found without opening it again."""
    early, late = Keyring.open(directory), Keyring.open(directory)
    key = late.encryption_key("customers.email", RETENTION, PURPOSES)
    assert early.decryption_key(key.key_id, "delivery").field == "customers.email"
    assert early.encryption_key("customers.email", RETENTION, PURPOSES).key_id == key.key_id


@pytest.mark.parametrize(
    ("field", "retention", "purposes"),
    [
        ("", "r", ["p"]),
        ("f", "", ["p"]),
        ("f", "r", []),
        ("f", "r", [""]),
        ("f", "r", "delivery"),
        ("\ud800", "r", ["p"]),
    ],
)
def test_names_are_checked(directory: Path, field: str, retention: str, purposes: Any) -> None:
    """Nothing is written for a name that is empty or no text, nor for a purpose given as one string."""
    before = (directory / "keyring.json").read_bytes()
    with pytest.raises(UsageError):
        Keyring.open(directory).encryption_key(field, retention, purposes)
    assert (directory / "keyring.json").read_bytes() == before


def test_wrong_secrets(tmp_path: Path, directory: Path) -> None:
    """A wrong, missing or superfluous passphrase and the root secret of another directory do not open."""
    sealed = tmp_path / "sealed"
    Keyring.create(sealed, "correct horse")
    for passphrase in ("wrong horse", None, "", "correct horse "):
        with pytest.raises(WrongPassphraseError):
            Keyring.open(sealed, passphrase)
    with pytest.raises(WrongPassphraseError, match="has no passphrase"):
        Keyring.open(directory, "correct horse")
    Keyring.create(tmp_path / "other")
    (directory / "root.secret").write_bytes((tmp_path / "other" / "root.secret").read_bytes())
    with pytest.raises(WrongPassphraseError, match=r"root\.secret is not of this directory"):
        Keyring.open(directory)


def test_missing_and_existing(tmp_path: Path, directory: Path) -> None:
    """A missing directory says how to make one, an existing one is never overwritten."""
    for missing in (tmp_path / "nowhere", tmp_path, directory / "keyring.json"):
        with pytest.raises(KeyringError, match="run `pii-guard keys init`"):
            Keyring.open(missing) if missing != tmp_path else Keyring.describe(missing)
    before = sorted((path.name, path.read_bytes()) for path in directory.iterdir())
    for existing in (directory, directory / "keyring.json"):
        with pytest.raises(KeyringError, match="exists already"):
            Keyring.create(existing)
    assert sorted((path.name, path.read_bytes()) for path in directory.iterdir()) == before
    with pytest.raises(KeyringError, match="cannot be created: No such file"):
        Keyring.create(tmp_path / "no" / "parent")
    with pytest.raises(UsageError, match="passphrase is empty"):
        Keyring.create(tmp_path / "empty", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys", "keys-epochs"]


def test_git_ignores_a_key_directory(directory: Path) -> None:
    """Whatever repository the directory lies in, no file of it is picked up."""
    assert (directory / ".gitignore").read_text() == "*\n"


@POSIX
@pytest.mark.parametrize("name", [".", "keyring.json", "root.secret"])
@pytest.mark.parametrize("bit", [0o040, 0o004, 0o020])
def test_files_open_to_others_are_refused(directory: Path, name: str, bit: int) -> None:
    """A directory, key file or secret that group or others can open is refused, with the command that mends it."""
    path = directory / name
    right = path.stat().st_mode & 0o777
    assert right == (0o700 if name == "." else 0o600)
    path.chmod(right | bit)
    with pytest.raises(KeyringError, match=f"run `chmod {right:o} {path}`"):
        Keyring.open(directory)
    path.chmod(right)
    Keyring.open(directory)


@POSIX
def test_files_of_another_owner_are_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key directory of another account is not used, even if it can be read."""
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(KeyringError, match="belongs to user"):
        Keyring.open(directory)


def edit(directory: Path, change: Callable[[dict[str, Any]], Any], *, seal: bool = True) -> None:
    """Change keyring.json; `seal`: as somebody could who has root.secret."""
    path = directory / "keyring.json"
    data = json.loads(path.read_text("utf-8"))
    change(data)
    path.write_text(json.dumps(data), "utf-8")
    if seal:
        root = secret_from_text((directory / "root.secret").read_text())
        path.write_bytes(sealed(Document.from_bytes(path.read_bytes(), "keyring.json"), root).to_bytes())


def flip(text: str) -> str:
    return ("1" if text[0] == "0" else "0") + text[1:]


RECORD_EDITS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "key id": lambda data: data["records"][0].update(key_id=flip(data["records"][0]["key_id"])),
    "field": lambda data: data["records"][0].update(field="customers.memo"),
    "retention": lambda data: (
        data["records"][0].update(retention="for ever"),
        data["epochs"][0].update(retention="for ever"),
    ),
    "mode": lambda data: data["records"][0].update(mode="deterministic"),
    "created": lambda data: data["records"][0].update(created="2000-01-01T00:00:00Z"),
    "commitment": lambda data: data["records"][0].update(commitment=flip(data["records"][0]["commitment"])),
    "wrapped key": lambda data: data["records"][0]["purposes"].update(
        delivery=flip(data["records"][0]["purposes"]["delivery"])
    ),
    "purpose swapped": lambda data: data["records"][0]["purposes"].update(
        delivery=data["records"][0]["purposes"]["billing"]
    ),
    "purpose renamed": lambda data: data["records"][0]["purposes"].update(
        advertising=data["records"][0]["purposes"]["delivery"]
    ),
    "purpose renamed with its key": lambda data: (
        data["records"][0]["purposes"].update(advertising=data["records"][0]["purposes"]["delivery"]),
        data["keks"]["purposes"].update(advertising=data["keks"]["purposes"]["delivery"]),
    ),
    "key of a purpose": lambda data: data["keks"]["purposes"].update(
        delivery=flip(data["keks"]["purposes"]["delivery"])
    ),
    "key of a purpose gone": lambda data: data["keks"]["purposes"].pop("delivery"),
}


@pytest.mark.parametrize("change", RECORD_EDITS.values(), ids=RECORD_EDITS.keys())
def test_an_edited_record_does_not_open(directory: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Whatever of a record is edited in keyring.json, its key does not open; no new key covers it up."""
    edit(directory, change)
    keyring = Keyring.open(directory)
    record = keyring.records()[0]
    purpose = "advertising" if "advertising" in record.purposes else "delivery"
    with pytest.raises(KeyringError, match=r"keyring\.json was changed or is damaged"):
        keyring.decryption_key(record.key_id, purpose)


@pytest.mark.parametrize("name", ["key id", "field", "retention", "mode", "created"])
def test_an_edited_record_has_no_marker_key(directory: Path, name: str) -> None:
    """The marker key is bound to the record as the data key is; so is its own wrapping."""
    original = (directory / "keyring.json").read_bytes()
    for change in (
        RECORD_EDITS[name],
        lambda data: data["records"][0].update(marker=flip(data["records"][0]["marker"])),
        lambda data: data["records"][0].update(marker=data["records"][0]["purposes"]["billing"]),
    ):
        (directory / "keyring.json").write_bytes(original)
        edit(directory, change)
        keyring = Keyring.open(directory)
        with pytest.raises(KeyringError, match="marker key of"):
            keyring.marker_key(keyring.records()[0].key_id)


SEALED_EDITS: dict[str, Callable[[dict[str, Any]], Any]] = {
    **{name: change for name, change in RECORD_EDITS.items() if name != "purpose renamed with its key"},
    "reactivated": lambda data: data["records"][0].update(state="retired"),
    "purpose withdrawn": lambda data: data["records"][0]["purposes"].pop("billing"),
    "record gone": lambda data: data["records"].clear(),
    "counter": lambda data: data.update(counter=99),
    "epochs elsewhere": lambda data: data.update(epochs_at="/tmp"),
    "copy forgotten": lambda data: data.update(copies=[]),
    "seal": lambda data: data.update(seal=flip(data["seal"])),
}


@pytest.mark.parametrize("change", SEALED_EDITS.values(), ids=SEALED_EDITS.keys())
def test_whatever_is_edited_is_noticed(
    tmp_path: Path, directory: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    """Without the root key nothing in keyring.json can be changed unseen, not even what no wrapping binds."""
    backup(Keyring.open(directory), tmp_path / "copy")
    edit(directory, change, seal=False)
    with pytest.raises(WrongPassphraseError, match=r"or keyring\.json was changed"):
        Keyring.open(directory)


ROOT_EDITS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "id": lambda data: data.update(id=flip(data["id"])),
    "created": lambda data: data.update(created="2000-01-01T00:00:00Z"),
    "salt": lambda data: data["root"].update(salt=flip(data["root"]["salt"])),
    "memory": lambda data: data["root"].update(memory_kib=64),
    "iterations": lambda data: data["root"].update(iterations=1),
    "lanes": lambda data: data["root"].update(lanes=2),
    "marker": lambda data: data["keks"].update(marker=flip(data["keks"]["marker"])),
}


@pytest.mark.parametrize("change", ROOT_EDITS.values(), ids=ROOT_EDITS.keys())
def test_an_edited_root_does_not_open(tmp_path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Identity, salt and cost parameters of a directory cannot be edited, not even to weaken the passphrase."""
    Keyring.create(tmp_path / "keys", "correct horse")
    edit(tmp_path / "keys", change, seal=False)
    with pytest.raises(WrongPassphraseError, match=r"or keyring\.json was changed"):
        Keyring.open(tmp_path / "keys", "correct horse")


DAMAGE: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "newer": (lambda data: data.update(version=2), "newer than 1; use a newer pii-guard"),
    "no version": (lambda data: data.pop("version"), "damaged at version"),
    "unknown entry": (lambda data: data.update(extra=1), "damaged at extra"),
    "root of another kind": (lambda data: data["root"].update(kind="magic"), "damaged at root"),
    "short wrapping": (lambda data: data["records"][0].update(marker="00"), r"damaged at records\.0\.marker"),
    "no purposes": (lambda data: data["records"][0].update(purposes={}), r"damaged at records\.0\.purposes"),
    "upper case": (lambda data: data["records"][0].update(key_id="ABCDEFAB"), r"damaged at records\.0\.key_id"),
    "key id twice": (lambda data: data.update(records=data["records"] * 2), "a key id occurs twice"),
}


@pytest.mark.parametrize(("change", "message"), DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_file_is_refused(directory: Path, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    """One line says where the file is wrong."""
    edit(directory, change, seal=False)
    with pytest.raises(KeyringError, match=message) as caught:
        Keyring.open(directory)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"version": 1}'])
def test_other_content_is_refused(directory: Path, content: bytes) -> None:
    """A file cut short or overwritten is damaged, not missing."""
    (directory / "keyring.json").write_bytes(content)
    with pytest.raises(KeyringError, match="damaged"):
        Keyring.open(directory)


@pytest.mark.parametrize("content", [b"", b"00", b"\xff" * 64, b"zz" * 32])
def test_a_damaged_root_secret_is_refused(directory: Path, content: bytes) -> None:
    """A root secret is 64 hexadecimal digits; a missing one says so."""
    (directory / "root.secret").write_bytes(content)
    with pytest.raises(KeyringError, match=r"root\.secret: damaged"):
        Keyring.open(directory)
    (directory / "root.secret").unlink()
    with pytest.raises(KeyringError, match=r"root\.secret: is missing"):
        Keyring.open(directory)


def test_a_withdrawn_purpose_is_refused(directory: Path) -> None:
    """Deleting one wrapping withdraws that purpose and no other."""
    edit(directory, lambda data: data["records"][0]["purposes"].pop("delivery"))
    keyring = Keyring.open(directory)
    with pytest.raises(PurposeRefusedError):
        keyring.decryption_key(only_id(directory), "delivery")
    keyring.decryption_key(only_id(directory), "billing")


def test_a_directory_replaced_while_open_is_noticed(tmp_path: Path, directory: Path) -> None:
    """No key is written into a directory other than the one that was opened."""
    keyring = Keyring.open(directory)
    directory.rename(tmp_path / "moved")
    with pytest.raises(KeyringError, match=r"no key can be added: .*No such file"):
        keyring.encryption_key("customers.email", RETENTION, PURPOSES)
    Keyring.create(directory, epochs=tmp_path / "other-epochs")
    with pytest.raises(KeyringError, match="was replaced by another key directory"):
        keyring.encryption_key("customers.email", RETENTION, PURPOSES)


def test_errors_and_prints_hold_no_key(directory: Path) -> None:
    """Neither the object nor its errors show the root secret or anything wrapped."""
    keyring = Keyring.open(directory)
    assert repr(keyring) == "<Keyring>"
    edit(directory, RECORD_EDITS["commitment"])
    with pytest.raises(KeyringError) as caught:
        Keyring.open(directory).decryption_key(only_id(directory), "delivery")
    secret = (directory / "root.secret").read_text().strip()
    assert secret not in str(caught.value)


CHILD = """
import itertools, sys
from pathlib import Path
from pii_guard.keys.backup import backup
from pii_guard.keys.document import Document
from pii_guard.keys.keyring import Keyring
from pii_guard.keys.opening import sealed
from pii_guard.keys.wrapping import secret_from_text
keyring = Keyring.open(Path(sys.argv[1]))
for number in itertools.count():
    key = keyring.encryption_key(f"{sys.argv[2]}.field{number}", "contract-5y", ["delivery", "billing"])
    print(key.key_id.hex(), flush=True)
"""


@POSIX
def test_kill_loses_no_key_that_was_returned(directory: Path) -> None:
    """After kill -9 at any point the directory opens, and every key that was handed out is in it."""
    for number in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(directory), f"table{number}"], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        with child, child.stdout as output:
            returned = [output.readline().strip() for _ in range(5 + 7 * number)]
            child.send_signal(signal.SIGKILL)
            returned += [line.strip() for line in output if line.endswith("\n")]
        keyring = Keyring.open(directory)
        assert len(returned) >= 5
        for key_id in returned:
            keyring.decryption_key(bytes.fromhex(key_id), "delivery")
    Keyring.open(directory).encryption_key("customers.after", RETENTION, PURPOSES)


def test_concurrent_writers_lose_nothing(directory: Path) -> None:
    """Two processes that add keys at once end with all of them."""
    code = CHILD.replace("itertools.count()", "range(10)")
    children = [
        subprocess.Popen([sys.executable, "-c", code, str(directory), name], stdout=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    returned = [line for child in children for line in child.communicate()[0].split()]
    assert [child.returncode for child in children] == [0, 0]
    assert len(set(returned)) == 20
    assert {record.key_id.hex() for record in Keyring.describe(directory)} >= set(returned)
