"""The epochs directory: the secrets that make keys destroyable, and the highest counter that was written.

Kept apart from keyring.json, best on another medium: neither of the two opens anything without the other.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, Self

from pii_guard.crypto.secret import Secret
from pii_guard.errors import KeyringError
from pii_guard.files import sync_directory
from pii_guard.keys.document import Document, EpochId, Hash, Time, canonical_json, parsed
from pii_guard.keys.files import PRIVATE_DIRECTORY, check_private, read_private, replacing_durably, write_durably
from pii_guard.keys.roots import Part, Salt
from pii_guard.keys.wrapping import seal, secret_from_text, secret_to_text

__all__ = ["EpochStore", "Mark", "shred"]

FILE, SUFFIX = "epochs.json", ".secret"
VERSION = 1


class Mark(Part):
    """The file epochs.json: what a key directory has to be at least."""

    version: Literal[1] = 1
    id: Salt
    """That of the key directory."""
    counter: int
    destroyed: dict[EpochId, Time]
    seal: Hash

    @classmethod
    def sealed(cls, root: Secret, id: str, counter: int, destroyed: Mapping[str, str]) -> Self:
        """A mark that only the holder of the root key can make."""
        bare = cls.model_construct(version=1, id=id, counter=counter, destroyed=dict(destroyed))
        return bare.model_copy(update={"seal": bare.right_seal(root)})

    def right_seal(self, root: Secret) -> str:
        """What the seal has to be."""
        return seal(root, b"mark", canonical_json(self.model_dump(mode="json", exclude={"seal"})))

    def to_bytes(self) -> bytes:
        """The content of epochs.json."""
        return self.model_dump_json(indent=2).encode() + b"\n"


class EpochStore:
    """The epochs directory of one key directory. Every method raises KeyringError that says what to do."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def make(self) -> None:
        """Make the directory, or take one that is there and private."""
        try:
            if not self.directory.exists():
                with suppress(FileExistsError):  # another process was faster
                    self.directory.mkdir(mode=PRIVATE_DIRECTORY)
                sync_directory(self.directory.parent)
            check_private(self.directory, self.directory.stat())
        except OSError as error:
            raise KeyringError(f"{self.directory}: cannot be created: {error.strerror}") from None

    def prepare(self, mark: Mark) -> None:
        """Write the first mark into a directory that holds no secrets."""
        try:
            if self.names() or self._in_use():
                raise KeyringError(f"{self.directory}: holds the secrets of a key directory already; name another one")
            write_durably(self.directory / ".gitignore", b"*\n")
            write_durably(self.directory / FILE, mark.to_bytes())
        except OSError as error:
            raise KeyringError(f"{self.directory}: cannot be created: {error.strerror}") from None

    def _in_use(self) -> bool:
        """Whether its mark is that of a directory that was ever written to; a mark of counter 1 is what an `init` that
        was cut off left, or of a directory without a key. Raises OSError."""
        path = self.directory / FILE
        return path.exists() and parsed(Mark, read_private(path), str(path), VERSION).counter > 1

    def names(self) -> set[str]:
        """The ids of the epochs whose secrets are there. Raises OSError."""
        return {path.stem for path in self.directory.iterdir() if path.suffix == SUFFIX}

    def mark(self, root: Secret, id: str) -> Mark:
        """The mark, verified."""
        path = self.directory / FILE
        try:
            check_private(self.directory, self.directory.stat())
            mark = parsed(Mark, read_private(path), str(path), VERSION)
        except (FileNotFoundError, NotADirectoryError):
            raise KeyringError(
                f"{path}: is missing, and without the epochs directory no key opens; mount its medium, put it back "
                "from its copy, or say where it is with PII_GUARD_EPOCHS"
            ) from None
        except OSError as error:
            raise KeyringError(f"{path}: cannot be read: {error.strerror}") from None
        if mark.id != id:
            raise KeyringError(f"{self.directory}: is the epochs directory of another key directory")
        if mark.seal != mark.right_seal(root):
            raise KeyringError(f"{path}: was changed or is damaged; put it back from its copy")
        return mark

    @contextmanager
    def raised(self, document: Document, root: Secret) -> Iterator[None]:
        """Raise the mark to a document that is written in the block, once it is. Raises OSError before the block
        where there is no room or no right for it: then nothing was written."""
        ended = {epoch.id: epoch.ended for epoch in document.epochs if epoch.state == "destroyed" and epoch.ended}
        known = self.mark(root, document.id).destroyed
        mark = Mark.sealed(root, document.id, document.counter, {**known, **ended})
        with replacing_durably(self.directory / FILE) as file:
            file.write(mark.to_bytes())
            file.flush()
            os.fsync(file.fileno())
            yield

    def add(self, epoch: str) -> Secret:
        """A new secret, on disk before this returns. Raises OSError."""
        secret = Secret.random()
        write_durably(self.path(epoch), secret_to_text(secret).encode() + b"\n")
        return secret

    def path(self, epoch: str) -> Path:
        """The file of an epoch's secret."""
        return self.directory / f"{epoch}{SUFFIX}"

    def secret(self, epoch: str) -> Secret:
        """The secret of an epoch. Raises KeyringError where it is not there: then nothing of that epoch opens."""
        path = self.path(epoch)
        try:
            return secret_from_text(read_private(path).decode("ascii"))
        except FileNotFoundError:
            raise KeyringError(
                f"{path}: the secret of this epoch is missing or destroyed, and its keys do not open; a copy of "
                "keyring.json from before a destruction opens none of the keys that were rewrapped either"
            ) from None
        except OSError as error:
            raise KeyringError(f"{path}: cannot be read: {error.strerror}") from None
        except ValueError:
            raise KeyringError(f"{path}: damaged, not 64 hexadecimal digits; put it back from its copy") from None


def shred(path: Path) -> bool:
    """Overwrite a file with random bytes, on disk, and remove it; whether it was there. Raises OSError.

    What a file system, an SSD or a snapshot keeps of the old bytes is beyond reach from here (docs/security.md).
    """
    try:
        status = path.lstat()
        if stat.S_ISREG(status.st_mode):
            with path.open("r+b") as file:
                file.write(os.urandom(status.st_size))
                file.flush()
                os.fsync(file.fileno())
        path.unlink()
    except FileNotFoundError:
        return False
    with suppress(OSError):  # some network file systems cannot; the file is gone all the same
        sync_directory(path.parent)
    return True
