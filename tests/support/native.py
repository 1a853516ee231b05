"""The native lexer for the tests: skipped where it was not built, unless PII_GUARD_REQUIRE asks for it."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass

import pytest

from pii_guard.engine.text import Text
from pii_guard.engine.tokens import Tokens

REQUIRED = "native-lexer" in os.environ.get("PII_GUARD_REQUIRE", "").split(",")
REASON = "the native lexer was not built; PII_GUARD_REQUIRE=native-lexer makes this a failure"


@dataclass(frozen=True, slots=True)
class Native:
    built: bool

    def lex_values(self, text: Text) -> Tokens:
        """The tokens by the native lexer; fails the test where there is none."""
        if not self.built:
            pytest.fail("the native lexer was not built, and PII_GUARD_REQUIRE names it")
        tokens: Tokens = importlib.import_module("pii_guard.engine.lexer_native").lex_values(text)
        return tokens

    @property
    def unless_built(self) -> pytest.MarkDecorator:
        return pytest.mark.skipif(not self.built and not REQUIRED, reason=REASON)


def _native() -> Native:
    try:
        importlib.import_module("pii_guard.engine.lexer_native")
    except ImportError:
        return Native(built=False)
    return Native(built=True)


NATIVE = _native()
