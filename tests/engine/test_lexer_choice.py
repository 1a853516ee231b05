"""Which lexer runs: the native one where it was built, the other by name or where it was not; reports are the same."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from cli_runner import EXAMPLES, spawn
from native import NATIVE

import pii_guard.engine
from pii_guard.engine.lexer import choose
from pii_guard.engine.text import Text
from pii_guard.errors import UsageError


@pytest.fixture
def not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the extension had not been built."""
    monkeypatch.delattr(pii_guard.engine, "lexer_native", raising=False)
    monkeypatch.setitem(sys.modules, "pii_guard.engine.lexer_native", None)


@NATIVE.unless_built
def test_the_native_lexer_runs_where_it_was_built() -> None:
    """Without a wish the native lexer is chosen, and by name."""
    assert NATIVE.built
    assert choose("").name == choose("native").name == "native"
    assert choose("numpy").name == "NumPy"


@pytest.mark.usefixtures("not_built")
def test_without_the_extension_numpy_runs() -> None:
    """Without a wish the NumPy lexer is chosen and says why; who asks for the native one is told what to do."""
    assert choose("").name == "NumPy"
    assert "not built" in choose("").why
    with pytest.raises(UsageError, match="install a C compiler"):
        choose("native")


def test_a_wrong_name_is_an_error_in_one_line() -> None:
    """The command says what is wrong with the variable and exits 2, without a traceback and without its value."""
    for command in (("scan", EXAMPLES), ("doctor",)):
        result = spawn(*command, env={"PII_GUARD_LEXER": "quickest"})
        assert (result.code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
        assert result.stderr.startswith("pii-guard: PII_GUARD_LEXER is neither native nor numpy")
        assert "quickest" not in result.stderr


@NATIVE.unless_built
@pytest.mark.parametrize("command", [("scan", EXAMPLES, "--format", "json"), ("find", EXAMPLES / "inquiries.ndjson")])
def test_reports_do_not_depend_on_the_lexer(command: tuple[str, ...]) -> None:
    """The examples give the same output with either lexer, and `doctor` names the one that runs."""
    outputs = []
    for name in ("native", "numpy"):
        chosen = {"PII_GUARD_LEXER": name}
        assert (
            f"lexer: {'NumPy' if name == 'numpy' else name}, as PII_GUARD_LEXER says"
            in spawn("doctor", env=chosen).stdout
        )
        outputs.append(spawn(*command, env=chosen))
    assert outputs[0] == outputs[1]
    assert outputs[0].code == 0
    assert len(outputs[0].stdout) > 100


@NATIVE.unless_built
@pytest.mark.parametrize("offsets", [[], [0, 4], [2, 1], [-1, 1], [1 << 62, 1], [0, -1], [0, 3, 2]])
def test_offsets_outside_of_the_data_are_refused(offsets: list[int]) -> None:
    """The extension reads nothing that is not the text's, whatever the offsets."""
    with pytest.raises(ValueError, match="ascending and within the data"):
        NATIVE.lex_values(Text(np.frombuffer(b"123", np.uint8), np.array(offsets, np.int64)))


@NATIVE.unless_built
def test_threads_lex_the_same_text_at_once() -> None:
    """Scans in several threads give what one gives: there is no state between calls."""
    text = Text.of(pa.array(["010-1234-5678 hong@example.com ::1 홍길동 M12345678"] * 5_000))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(NATIVE.lex_values, [text] * 8))
    assert len(found[0]) == 5_000 * 5
    assert all(np.array_equal(tokens.start, found[0].start) for tokens in found)
