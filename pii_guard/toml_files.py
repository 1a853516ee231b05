"""TOML files that people write: read, and the places of mistakes in them."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pii_guard.errors import PolicyError

__all__ = ["place_text", "read_toml"]


def read_toml(path: Path) -> dict[str, Any]:
    """The TOML file `path`. A byte order mark and Windows line ends are welcome. Raises PolicyError, with the line."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise PolicyError(str(path), [f"cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise PolicyError(str(path), [f"line {line} is not UTF-8; save the file as UTF-8"]) from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(str(path), [f"is not valid TOML: {error}{_advice(text, str(error))}"]) from None
    except RecursionError:
        raise PolicyError(str(path), ["is nested too deeply"]) from None


def _advice(text: str, error: str) -> str:
    """TOML wants Hangul keys in quotes, and tomllib's message does not say so."""
    place = re.search(r"at line (\d+)", error)
    line = text.split("\n")[int(place[1]) - 1] if place else ""
    return (
        '; names with other letters than A-Z stand in quotes, such as [purposes."배송"]' if not line.isascii() else ""
    )


def place_text(parts: Iterable[str | int]) -> str:
    """The place of a mistake in a TOML file, written as TOML writes keys.

    >>> place_text(["fields", 2, "purposes", 0]), place_text(["fields", "customers.phone"])
    ('fields[2].purposes[0]', 'fields."customers.phone"')
    """
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        bare = part.isascii() and part.replace("-", "_").isidentifier()
        text += ("." if text else "") + (part if bare else json.dumps(part, ensure_ascii=False))
    return text
