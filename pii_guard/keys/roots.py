"""Where the root key of a key directory comes from, as keyring.json says it (docs/FORMAT.md, Key directory)."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pii_guard.crypto.secret import canonical

__all__ = [
    "EnvironmentRoot",
    "KmsRoot",
    "Name",
    "OsKeyringRoot",
    "Part",
    "PassphraseRoot",
    "RemoteWrapped",
    "Root",
    "Salt",
    "SecretRoot",
]

Salt = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Name = Annotated[str, Field(min_length=1)]
RemoteWrapped = Annotated[str, Field(pattern="^([0-9a-f]{2})+$", max_length=16_384)]
"""A key that a key service wrapped: its ciphertext."""


class Part(BaseModel):
    """A part of a file that is checked to the last entry."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SecretRoot(Part):
    """The root key lies in the file root.secret."""

    kind: Literal["secret"] = "secret"

    def context(self) -> bytes:
        return canonical(b"secret")


class PassphraseRoot(Part):
    """The root key is derived from a passphrase. The upper bounds keep an edited file from exhausting the machine."""

    kind: Literal["argon2id"] = "argon2id"
    salt: Salt
    memory_kib: Annotated[int, Field(ge=8, le=2 * 1024 * 1024)]
    iterations: Annotated[int, Field(ge=1, le=64)]
    lanes: Annotated[int, Field(ge=1, le=64)]

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.memory_kib < 8 * self.lanes:
            raise ValueError("memory_kib is below 8 per lane")
        return self

    def context(self) -> bytes:
        numbers = f"{self.memory_kib} {self.iterations} {self.lanes}"
        return canonical(b"argon2id", bytes.fromhex(self.salt), numbers.encode())


class EnvironmentRoot(Part):
    """The root key is in a variable of the environment."""

    kind: Literal["environment"] = "environment"
    name: Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]

    def context(self) -> bytes:
        return canonical(b"environment", self.name.encode())


class OsKeyringRoot(Part):
    """The root key is in the keyring of the operating system."""

    kind: Literal["os-keyring"] = "os-keyring"
    account: Name

    def context(self) -> bytes:
        return canonical(b"os-keyring", self.account.encode())


class KmsRoot(Part):
    """The root key was encrypted by AWS KMS, which alone can decrypt it."""

    kind: Literal["aws-kms"] = "aws-kms"
    uri: Name
    wrapped: RemoteWrapped

    def context(self) -> bytes:
        return canonical(b"aws-kms", self.uri.encode())


Root: TypeAlias = SecretRoot | PassphraseRoot | EnvironmentRoot | OsKeyringRoot | KmsRoot
