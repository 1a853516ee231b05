"""docs/security.md: each of its claims is demonstrated by a test, here or beside the thing that it is about."""

from __future__ import annotations

import ast
import base64
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from guards import opened
from policies import HEAD

from pii_guard import Guard, Keyring
from pii_guard.crypto.decryption import decrypt_column
from pii_guard.crypto.token import encrypt_column, verify_column
from pii_guard.errors import KeyringError, PurposeRefusedError, TokenError
from pii_guard.keys.destruction import destroy
from pii_guard.keys.markers import KnownKeys, export_markers
from pii_guard.keys.rotation import withdraw
from pii_guard.keys.selection import Selection

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "security.md"
FIELD, VALUE = "t.phone", "010-1234-5678"
POLICY = (
    HEAD
    + """\
[[fields]]
match = "t.phone"
purposes = ["delivery", "support"]
retention = "contract"
"""
)

WHO_HAS = {
    "pseudonyms or blind indexes": "test_protections.py::test_pseudonyms_are_equal_where_values_are",
    "tokens alone": "crypto/test_token_format.py::test_nonces_are_fresh",
    "tokens and `keyring.json`": "keys/test_keyring.py::test_records_are_public",
    "`keyring.json` and its root key, of any age": (
        "keys/test_lifecycle.py::test_what_is_destroyed_opens_with_no_older_copy"
    ),
    "the epochs directory alone": "test_security.py::test_the_epochs_directory_alone_tells_and_opens_nothing",
    "the right to write to the data": "test_row_binding.py::test_without_it_a_swapped_row_opens",
    "the right to write `keyring.json`": "keys/test_keyring.py::test_whatever_is_edited_is_noticed",
    "the right to write both directories": "test_security.py::test_old_copies_of_both_directories_are_not_noticed",
    "a marker key": "test_security.py::test_a_forged_marker_convinces_and_opens_nothing",
    "the key directory without its root key": (
        "test_security.py::test_a_key_directory_without_its_root_key_opens_nothing"
    ),
    "both directories, open (a passphrase, or `root.secret`)": (
        "keys/test_providers.py::test_a_key_that_aws_refuses_opens_nothing"
    ),
    "the memory of a running process": "test_security.py::test_a_process_keeps_the_keys_that_it_had_opened",
    "the right to write the access records": "test_audit.py::test_heads_show_what_the_chain_cannot",
}
"""Row of the table -> a test of it."""
PARAGRAPHS = {
    "Purposes": "keys/test_providers.py::test_purposes_with_keys_of_their_own_are_enforced",
    "Roles": "test_session.py::test_roles",
    "Masks": "engine/test_masking.py::test_masks_of_every_kind_show_two_characters_at_most",
    "Passphrase or root.secret": "keys/test_keyring.py::test_wrong_secrets",
    "Randomized encryption": "crypto/test_token_format.py::test_nonces_are_fresh",
    "Deterministic encryption": "test_protections.py::test_values_that_can_be_told_apart_are_refused",
    "Blind indexes": "crypto/test_blind_index.py::test_every_index_is_what_the_format_says",
    "Pseudonyms": "crypto/test_pseudonym.py::test_every_pseudonym_is_what_the_format_says",
    "Passwords": "test_protections.py::test_passwords_are_hashed_one_way",
    "Spans": "test_spans.py::test_no_personal_value_is_left",
    "Lengths": "crypto/test_token_format.py::test_buckets_hide_lengths",
    "Presence": "test_security.py::test_whether_a_value_is_there_shows",
    "In place": "inplace/test_in_place.py::test_all_values_are_encrypted_and_nothing_else_changes",
    "Form is no proof": "test_token_states.py::test_a_pasted_head_is_no_token_of_ours",
    "Rows": "test_row_binding.py::test_an_older_token_of_the_same_row_opens",
    "Access records": "test_session.py::test_heads_are_stored_before_anything_is_released",
    "Destruction": "keys/test_lifecycle.py::test_a_receipt_says_what_is_gone_and_what_is_promised",
    "Memory": "crypto/test_secret_handles.py::test_handles_cannot_be_duplicated",
    "Side channels": "crypto/test_token_column.py::test_every_bad_row_is_named",
}
"""Paragraph -> a test of it."""


def test_every_claim_has_its_test() -> None:
    """A claim that is added to the page, and a test that is renamed, show here."""
    text = PAGE.read_text(encoding="utf-8")
    table, _, rest = text.partition("## What this means")
    rows = [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines() if line.startswith("| ")]
    assert rows[1:] == list(WHO_HAS)
    assert [name.rstrip(".") for name in re.findall(r"(?:^|\n\n)\*\*([^*]+)\*\*", rest)] == list(PARAGRAPHS)
    for place in {*WHO_HAS.values(), *PARAGRAPHS.values()}:
        file, name = place.split("::")
        tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, place


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    (tmp_path / "pii-guard.toml").write_text(POLICY)
    return Guard(tmp_path / "pii-guard.toml", Keyring.create(tmp_path / "keys"))


@pytest.fixture
def protected(guard: Guard) -> pa.Table:
    return guard.protect(pa.table({"phone": [VALUE, None, VALUE]}), table="t").read_all()


def test_the_epochs_directory_alone_tells_and_opens_nothing(guard: Guard, protected: pa.Table) -> None:
    """No field, purpose, class or key id stands in it. Without its secrets, nothing opens."""
    (record,) = guard.keys.records()
    found = b"".join(path.read_bytes() + path.name.encode() for path in guard.keys.epochs.iterdir())
    for word in (FIELD, "delivery", "contract", record.key_id.hex()):
        assert word.encode() not in found
    for path in guard.keys.epochs.glob("*.secret"):
        path.unlink()
    with pytest.raises(KeyringError, match="missing or destroyed"):
        Keyring.open(guard.keys.directory).decryption_key(record.key_id, "delivery")


def test_old_copies_of_both_directories_are_not_noticed(guard: Guard, protected: pa.Table, tmp_path: Path) -> None:
    """A purpose that was withdrawn opens again; of one directory alone the old copy is refused."""
    places = [guard.keys.directory, guard.keys.epochs]
    for place in places:
        shutil.copytree(place, tmp_path / "old" / place.name)
    withdraw(guard.keys, "support")
    with pytest.raises(PurposeRefusedError):
        opened(guard, protected, purpose="support")
    for place in places:
        shutil.rmtree(place)
        shutil.copytree(tmp_path / "old" / place.name, place)
        if place == places[0]:
            guard.keys.epochs.rename(tmp_path / "newest")
            shutil.copytree(tmp_path / "newest", guard.keys.epochs)
            with pytest.raises(KeyringError, match="is an old copy"):
                Keyring.open(places[0])
    again = Guard(tmp_path / "pii-guard.toml", Keyring.open(places[0]))
    assert opened(again, protected, purpose="support")["phone"].to_pylist() == [VALUE, None, VALUE]


def test_a_forged_marker_convinces_and_opens_nothing(guard: Guard, protected: pa.Table, tmp_path: Path) -> None:
    """Who has the marker file makes text that verifies for others who have it. It does not open."""
    export_markers(guard.keys, tmp_path / "markers.json")
    known = KnownKeys.exported(tmp_path / "markers.json")
    (record,) = guard.keys.records()
    marker = known.marker_key(record.key_id)
    raw = base64.urlsafe_b64decode(protected["phone"][0].as_py())
    header, sealed = raw[:9], bytes(len(raw) - 15)
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.cmac import CMAC

    mac = CMAC(AES(marker.secret.expose()))
    mac.update(marker.context + header + sealed)
    forged = pa.array([base64.urlsafe_b64encode(header + sealed + mac.finalize()[:6]).decode()])
    assert verify_column(forged, known.marker_key, FIELD).to_pylist() == [True]
    with pytest.raises(TokenError, match="changed since they were made"):
        decrypt_column(forged, lambda key_id: guard.keys.decryption_key(key_id, "delivery"), pa.string(), FIELD)


def test_a_key_directory_without_its_root_key_opens_nothing(guard: Guard, protected: pa.Table) -> None:
    """Neither the keys of purposes, nor those of markers; what is public is public."""
    (guard.keys.directory / "root.secret").unlink()
    with pytest.raises(KeyringError, match=r"root\.secret: is missing"):
        Keyring.open(guard.keys.directory)
    assert [record.field for record in Keyring.describe(guard.keys.directory)] == [FIELD]


def test_a_process_keeps_the_keys_that_it_had_opened(guard: Guard, protected: pa.Table) -> None:
    """A key that was handed out before its destruction still opens; none is handed out after it."""
    (record,) = guard.keys.records()
    held = guard.keys.decryption_key(record.key_id, "delivery")
    destroy(Keyring.open(guard.keys.directory), Selection(field=FIELD))
    tokens = protected["phone"].combine_chunks()
    assert decrypt_column(tokens, lambda _: held, pa.string(), FIELD).to_pylist() == [VALUE, None, VALUE]
    with pytest.raises(KeyringError, match="was destroyed on"):
        guard.keys.decryption_key(record.key_id, "delivery")


def test_whether_a_value_is_there_shows(guard: Guard, protected: pa.Table) -> None:
    """Null stays null, and the empty text is a token that looks like any other of its size."""
    assert protected["phone"].is_null().to_pylist() == [False, True, False]
    key = guard.keys.encryption_key(FIELD, "contract", ["delivery", "support"])
    empty, short = encrypt_column(pa.array(["", VALUE]), key).to_pylist()
    assert (len(empty), empty[:12]) == (len(short), short[:12])
