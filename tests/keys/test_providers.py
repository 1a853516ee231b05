"""Root keys come from where the key directory says, at most once a session; a key service enforces purposes."""

from __future__ import annotations

import base64
import builtins
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import keyring as os_keyring
import pyarrow as pa
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from cli_runner import run
from keyring.backend import KeyringBackend
from moto import mock_aws

from pii_guard.crypto.decryption import decrypt_column
from pii_guard.crypto.token import encrypt_column
from pii_guard.errors import KeyringError, PurposeRefusedError, UsageError, WrongPassphraseError
from pii_guard.keys.health import examine
from pii_guard.keys.keyring import Keyring
from pii_guard.keys.rotation import rotate, withdraw
from pii_guard.keys.selection import Selection

FIELD, PURPOSES = "customers.phone", ["delivery", "배송 문의"]
REGION = "ap-northeast-2"


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """AWS KMS, played by moto in this process: no network."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with mock_aws():
        yield boto3.client("kms", region_name=REGION)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each operation of AWS was called."""
    counted: Counter[str] = Counter()
    real = BaseClient._make_api_call

    def make_api_call(self: Any, operation: str, arguments: Any) -> Any:
        counted[operation] += 1
        return real(self, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", make_api_call)
    return counted


def new_key(kms: Any) -> str:
    return "aws-kms://" + str(kms.create_key()["KeyMetadata"]["Arn"])


def round_trip(directory: Path, purpose: str = "delivery") -> None:
    """A value goes through a key of the directory and back, each time through the directory opened anew."""
    tokens = encrypt_column(pa.array(["010"]), Keyring.open(directory).encryption_key(FIELD, "contract", PURPOSES))
    ring = Keyring.open(directory)
    assert decrypt_column(tokens, lambda id: ring.decryption_key(id, purpose), pa.string(), FIELD)[0].as_py() == "010"


def test_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The root key is a variable; without it, with another or a broken one, nothing opens, and nothing shows it."""
    secret = "ab" * 32
    for uri, name in (("env://MY_ROOT", "MY_ROOT"), ("env:", "PII_GUARD_ROOT")):
        directory = tmp_path / name
        with pytest.raises(KeyringError, match=f"variable {name}, which is not set"):
            Keyring.create(directory, provider=uri)
        monkeypatch.setenv(name, secret)
        Keyring.create(directory, provider=uri)
        round_trip(directory)
        assert not (directory / "root.secret").exists()
        assert secret not in (directory / "keyring.json").read_text()
        for wrong, message in (("cd" * 32, "root key is another one"), ("zz", "64 hexadecimal"), ("", "not set")):
            monkeypatch.setenv(name, wrong)
            with pytest.raises(KeyringError, match=message) as caught:
                Keyring.open(directory)
            assert wrong == "" or wrong not in str(caught.value)
    with pytest.raises(KeyringError, match="no name of an environment variable"):
        Keyring.create(tmp_path / "no", provider="env://1=x")


class Desktop(KeyringBackend):
    """A keyring of an operating system, in memory."""

    priority = 1.0

    def __init__(self) -> None:
        self.held: dict[tuple[str, str], str] = {}
        self.reads = 0

    def get_password(self, service: str, username: str) -> str | None:
        self.reads += 1
        return self.held.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.held[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.held[service, username]


@pytest.fixture
def desktop() -> Iterator[Desktop]:
    before, backend = os_keyring.get_keyring(), Desktop()
    os_keyring.set_keyring(backend)
    yield backend
    os_keyring.set_keyring(before)


def test_the_keyring_of_the_operating_system(tmp_path: Path, desktop: Desktop) -> None:
    """The root key lies there alone, is read once a session, and is never replaced."""
    Keyring.create(tmp_path / "keys", provider="os-keyring:")
    round_trip(tmp_path / "keys")
    assert not (tmp_path / "keys" / "root.secret").exists()
    desktop.reads = 0
    ring = Keyring.open(tmp_path / "keys")
    for purpose in PURPOSES:
        ring.decryption_key(ring.records()[0].key_id, purpose)
    assert desktop.reads == 1
    Keyring.create(tmp_path / "named", provider="os-keyring://me")
    with pytest.raises(KeyringError, match="the account me has a root key already"):
        Keyring.create(tmp_path / "again", provider="os-keyring://me")
    desktop.held.clear()
    with pytest.raises(KeyringError, match="has no root key of"):
        Keyring.open(tmp_path / "keys")


@pytest.mark.parametrize("uri", ["vault://x", "aws-kms://arn", "file", ""])
def test_unknown_providers(tmp_path: Path, uri: str) -> None:
    """A URI that is none is refused before anything is made."""
    if uri:
        with pytest.raises((UsageError, KeyringError), match=r"no such provider|is no key of AWS KMS"):
            Keyring.create(tmp_path / "keys", provider=uri)
    with pytest.raises((UsageError, KeyringError), match="is no key of"):
        Keyring.create(tmp_path / "keys", purpose_keys={"delivery": uri or "env://X"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("provider", "library", "extra"),
    [
        ("aws-kms://arn:aws:kms:eu-west-1:123456789012:key/k", "boto3", "aws-kms"),
        ("os-keyring:", "keyring", "os-keyring"),
    ],
)
def test_missing_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: str, library: str, extra: str
) -> None:
    """What is not installed is named with the line that installs it, and exit 2."""
    real: Callable[..., Any] = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == library:
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    result = run("keys", "init", "--keys", "ring", "--provider", provider, cwd=tmp_path)
    assert result.code == 2
    assert f"pip install 'pii-guard-arrow[{extra}]'" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_aws_kms_is_asked_once_for_each_key(tmp_path: Path, kms: Any, calls: Counter[str]) -> None:
    """A session that opens many keys for many purposes decrypts the root key once and each purpose's key once."""
    uri = new_key(kms)
    purposes = {purpose: new_key(kms) for purpose in PURPOSES}
    ring = Keyring.create(tmp_path / "keys", provider=uri, purpose_keys=purposes)
    assert calls["Encrypt"] == 3
    for number in range(5):
        ring.encryption_key(f"customers.f{number}", "contract", PURPOSES)
    calls.clear()
    ring = Keyring.open(tmp_path / "keys")
    for _ in range(2):
        for record in ring.records():
            ring.marker_key(record.key_id)
            for purpose in PURPOSES:
                ring.decryption_key(record.key_id, purpose)
        ring.encryption_key("customers.new", "contract", PURPOSES)
        rotate(ring, Selection(field="customers.f1"))
    assert calls == {"Decrypt": 3}
    calls.clear()
    Keyring.describe(tmp_path / "keys")
    assert not calls


def test_purposes_with_keys_of_their_own_are_enforced(tmp_path: Path, kms: Any) -> None:
    """The doctor tells enforced from advisory; such a purpose can be withdrawn, and another still opens."""
    uri, delivery = new_key(kms), new_key(kms)
    Keyring.create(tmp_path / "keys", provider=uri, purpose_keys={"delivery": delivery})
    round_trip(tmp_path / "keys")
    found = {check.name: check.text for check in examine(tmp_path / "keys", None)}
    assert found["purpose delivery"] == f"ENFORCED by {delivery}"
    assert found["purpose 배송 문의"].startswith("ADVISORY")
    key_id = Keyring.describe(tmp_path / "keys")[0].key_id
    withdraw(Keyring.open(tmp_path / "keys"), "delivery")
    with pytest.raises(PurposeRefusedError):
        Keyring.open(tmp_path / "keys").decryption_key(key_id, "delivery")
    Keyring.open(tmp_path / "keys").decryption_key(key_id, PURPOSES[1])


def test_what_is_wrapped_for_one_purpose_opens_for_no_other(tmp_path: Path, kms: Any) -> None:
    """The encryption context names directory and purpose: a wrapping that is moved is refused by the service itself."""
    uri, shared = new_key(kms), new_key(kms)
    Keyring.create(tmp_path / "keys", provider=uri, purpose_keys=dict.fromkeys(PURPOSES, shared))
    document = Keyring.open(tmp_path / "keys").document
    raw = [bytes.fromhex(kek.wrapped) for kek in document.keks.purposes.values() if not isinstance(kek, str)]
    key = shared.removeprefix("aws-kms://")
    contexts = [
        {"pii-guard-keyring": document.id, "role": "purpose", "purpose": name}
        for name in ("delivery", "base64." + base64.urlsafe_b64encode("배송 문의".encode()).decode())
    ]
    for blob, own in zip(raw, contexts, strict=True):
        for context in (*contexts, {}):
            if context == own:
                assert len(kms.decrypt(KeyId=key, CiphertextBlob=blob, EncryptionContext=context)["Plaintext"]) == 32
            else:
                with pytest.raises(kms.exceptions.InvalidCiphertextException):
                    kms.decrypt(KeyId=key, CiphertextBlob=blob, EncryptionContext=context)


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ("AccessDeniedException", PurposeRefusedError, "refuses decrypt to this account"),
        ("DisabledException", KeyringError, r"failed to decrypt \(DisabledException\)"),
        ("KMSInvalidStateException", KeyringError, r"failed to decrypt \(KMSInvalidStateException\)"),
    ],
)
def test_a_key_that_aws_refuses_opens_nothing(
    tmp_path: Path, kms: Any, monkeypatch: pytest.MonkeyPatch, code: str, error: type[KeyringError], message: str
) -> None:
    """Where AWS gives a key not to this account, or to nobody, as moto never does, the other purpose still opens."""
    uri, *keys = (new_key(kms) for _ in range(3))
    Keyring.create(tmp_path / "keys", provider=uri, purpose_keys=dict(zip(PURPOSES, keys, strict=True)))
    round_trip(tmp_path / "keys")
    real = BaseClient._make_api_call

    def make_api_call(self: Any, operation: str, arguments: Any) -> Any:
        if arguments["KeyId"] == keys[1].removeprefix("aws-kms://"):
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, operation)
        return real(self, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", make_api_call)
    ring = Keyring.open(tmp_path / "keys")
    key_id = ring.records()[0].key_id
    ring.decryption_key(key_id, "delivery")
    with pytest.raises(error, match=message):
        ring.decryption_key(key_id, PURPOSES[1])


def test_a_passphrase_is_for_the_provider_passphrase_alone(tmp_path: Path) -> None:
    """Two sources of a root key at once are refused."""
    for provider, message in (("file:", "has none; use passphrase:"), ("env://X", "has no passphrase")):
        with pytest.raises((UsageError, WrongPassphraseError), match=message):
            Keyring.create(tmp_path / "keys", "correct horse", provider=provider)
    with pytest.raises(UsageError, match="needs --passphrase-file"):
        Keyring.create(tmp_path / "keys", provider="passphrase:")
    assert list(tmp_path.iterdir()) == []
