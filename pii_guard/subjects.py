"""Whose data an access opened, as pseudonyms.

The Safety Measures Standard under Korea's PIPA (Art. 8) wants data subjects in access records. These must not hold the
values themselves, so each is replaced by its HMAC under a key that exists for this alone.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from pii_guard.crypto.key import Mode
from pii_guard.crypto.pseudonym import hmac_column
from pii_guard.errors import KeyringError
from pii_guard.keys.keyring import Keyring

__all__ = ["Subjects", "pseudonyms_of"]

FIELD = RETENTION = PURPOSE = "access-records"
"""Logical field, retention class and purpose of the key."""
MOST = 1_000
"""An access to more people than these names none of them: it was to the table as a whole."""


class Subjects:
    """The people in the column `column` of what is opened. A key is made where there is none yet."""

    def __init__(self, column: int, keys: Keyring) -> None:
        self._column = column
        self._key = keys.encryption_key(FIELD, RETENTION, [PURPOSE], Mode.HMAC)
        self._found: set[str] = set()

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the rows of an opened batch in."""
        if len(self._found) <= MOST:
            people = pc.unique(batch.column(self._column)).drop_null()[: MOST + 1]
            self._found.update(hmac_column(people, self._key).to_pylist())

    def entries(self) -> dict[str, object]:
        """What the record says: all of them, or that there were more."""
        if len(self._found) > MOST:
            return {"subjects_over": MOST}
        return {"subjects": sorted(self._found)}


def pseudonyms_of(value: str, keys: Keyring) -> frozenset[str]:
    """What a person may be called in access records. Raises KeyringError where no access has named anybody yet."""
    try:
        made = keys.index_keys(FIELD, PURPOSE)
    except KeyringError:
        raise KeyringError(
            f"{keys.directory}: no access has recorded data subjects yet; see `reveal --subject`"
        ) from None
    hashing = [key for key in made if key.mode is Mode.HMAC]
    return frozenset(hmac_column(pa.array([value]), key)[0].as_py() for key in hashing)
