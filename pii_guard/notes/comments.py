"""Comments on the columns of one database, read and written on one connection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from pii_guard.connectors.database import Relation

__all__ = ["Comments"]


class Comments(ABC):
    """A connection that may write. Raises ReadError or WriteError for what the database says no to."""

    at_once: ClassVar[bool]
    """Whether all is written in one transaction, by `commit`; if not, each comment is a statement that is whole."""

    @classmethod
    @abstractmethod
    def opened(cls, source: Any) -> AbstractContextManager[Comments]:
        """A connection of its own; `source` is of the connector of the database."""

    @abstractmethod
    def of(self, relation: Relation) -> Sequence[tuple[str, str]]:
        """Each column of a table that this account sees, and its comment, empty where there is none."""

    @abstractmethod
    def write(self, relation: Relation, column: str, comment: str) -> str:
        """Change a comment. Returns why it was left as it is, or nothing."""

    @abstractmethod
    def commit(self) -> None: ...
