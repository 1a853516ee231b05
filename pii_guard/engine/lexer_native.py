"""The native lexer: `pii_guard/engine/_lexer.c`, which the build compiles where there is a C compiler.

Same tokens as `tests/support/lexer_oracle.py`; the contract is in `pii_guard.engine.tokens`. Importing this module
raises ImportError where the extension was not built.
"""

from __future__ import annotations

import numpy as np

from pii_guard.engine import _lexer
from pii_guard.engine.text import Text
from pii_guard.engine.tokens import Family, Tokens, by_shape

__all__ = ["lex_values"]


def lex_values(text: Text) -> Tokens:
    """All tokens of a text. Time and memory are linear in its bytes (at worst 250 of working memory for each).

    The bytes may not be changed meanwhile: the scan lets other threads run.
    """
    columns, families, groups = _lexer.scan(text.data, text.offsets)
    blocks = tuple(np.frombuffer(families, np.int64).tolist())
    total = sum(blocks)
    start, end, rows, shape, gaps, mark = np.frombuffer(columns, np.int64, 6 * total).reshape(6, total)
    before, after = np.frombuffer(columns, np.uint8, offset=6 * total * 8).reshape(2, total)
    return Tokens(
        text=text,
        start=start,
        end=end,
        before=before,
        after=after,
        shape=shape,
        gaps=gaps,
        mark=mark,
        blocks=blocks,
        shapes=by_shape(shape[: blocks[Family.NUMBER]]),
        group_start=np.frombuffer(groups, np.int64),
        rows=rows,
    )
