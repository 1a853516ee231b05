"""Keys under a key of AWS KMS, which never leaves it: AWS decides, and records, who opens what.

A purpose with a key of its own is enforced: the encryption context names the purpose, so that a policy of IAM or of the
key can grant one purpose and no other. Region and account come from the ARN, credentials from wherever boto3 finds
them, an endpoint from AWS_ENDPOINT_URL_KMS.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from pii_guard.crypto.secret import Secret
from pii_guard.errors import KeyringError, PurposeRefusedError
from pii_guard.keys.document import RemoteKek
from pii_guard.keys.providers.base import Home, without_passphrase
from pii_guard.keys.roots import KmsRoot

__all__ = ["PROVIDER"]

SCHEME = "aws-kms://"
ARN = re.compile(r"arn:aws[a-z-]*:kms:([a-z0-9-]+):\d{12}:(?:key|alias)/[\w/-]+")
PLAIN = re.compile(r"[A-Za-z0-9_-]+")


def _key(uri: str) -> tuple[str, str]:
    """The ARN and the region of a URI."""
    arn = uri.removeprefix("aws-kms:").removeprefix("//")
    match = ARN.fullmatch(arn)
    if match is None:
        raise KeyringError(f"{uri}: is no key of AWS KMS, such as aws-kms://arn:aws:kms:REGION:ACCOUNT:key/ID")
    return arn, match[1]


def _call(uri: str, operation: str, **arguments: Any) -> Any:
    arn, region = _key(uri)
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise KeyringError(
            f"{SCHEME}: needs a library that is not installed; pip install 'pii-guard-arrow[aws-kms]'"
        ) from None
    try:
        client = boto3.client("kms", region_name=region)
        return getattr(client, operation)(KeyId=arn, **arguments)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "error"))
    except BotoCoreError as error:
        code = type(error).__name__
    if code in ("AccessDeniedException", "AccessDenied"):
        raise PurposeRefusedError(f"{uri}: AWS KMS refuses {operation} to this account ({code})")
    if code == "InvalidCiphertextException":
        raise KeyringError(f"{uri}: does not decrypt what keyring.json says it wrapped; restore it from a backup")
    raise KeyringError(f"{uri}: AWS KMS failed to {operation} ({code})")


def _wrap(uri: str, secret: Secret, context: dict[str, str]) -> str:
    answer = _call(uri, "encrypt", Plaintext=secret.expose(), EncryptionContext=context)
    return bytes(answer["CiphertextBlob"]).hex()


def _unwrap(uri: str, wrapped: str, context: dict[str, str]) -> Secret:
    answer = _call(uri, "decrypt", CiphertextBlob=bytes.fromhex(wrapped), EncryptionContext=context)
    return Secret(answer["Plaintext"])


def _purpose_context(keyring: str, purpose: str) -> dict[str, str]:
    # policies of IAM compare plain letters; the dot keeps the two forms apart
    text = purpose if PLAIN.fullmatch(purpose) else "base64." + base64.urlsafe_b64encode(purpose.encode()).decode()
    return {"pii-guard-keyring": keyring, "role": "purpose", "purpose": text}


class _AwsKms:
    def make(self, home: Home, uri: str) -> tuple[KmsRoot, Secret]:
        without_passphrase(home)
        root = Secret.random()
        return KmsRoot(uri=uri, wrapped=_wrap(uri, root, {"pii-guard-keyring": home.id, "role": "root"})), root

    def open(self, home: Home, root: KmsRoot) -> Secret:
        without_passphrase(home)
        return _unwrap(root.uri, root.wrapped, {"pii-guard-keyring": home.id, "role": "root"})

    def wrap(self, uri: str, kek: Secret, keyring: str, purpose: str) -> RemoteKek:
        return RemoteKek(uri=uri, wrapped=_wrap(uri, kek, _purpose_context(keyring, purpose)))

    def unwrap(self, wrapped: RemoteKek, keyring: str, purpose: str) -> Secret:
        return _unwrap(wrapped.uri, wrapped.wrapped, _purpose_context(keyring, purpose))


PROVIDER = _AwsKms()
