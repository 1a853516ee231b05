"""The next batch is read while the one at hand is worked on."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pyarrow as pa

__all__ = ["ahead"]

_SECONDS = 0.1
"""After which a signal is noticed, at most, though another thread of the process was given it."""


def ahead(batches: Generator[pa.RecordBatch], cancel: Callable[[], object]) -> Iterator[pa.RecordBatch]:
    """The same batches, made by a thread of their own, one ahead.

    Waiting for one can be interrupted at any time, which a driver may not allow. `cancel`, called from another thread
    than theirs, then ends what the database is still at; and so it does where reading is given up.
    """
    with ThreadPoolExecutor(1, "pii-guard-reader") as pool:
        coming = pool.submit(next, batches, None)
        try:
            while (batch := _awaited(coming)) is not None:
                coming = pool.submit(next, batches, None)
                yield batch
        finally:
            if not coming.done():
                cancel()
            pool.submit(batches.close)


def _awaited(coming: Future[pa.RecordBatch | None]) -> pa.RecordBatch | None:
    while not wait([coming], _SECONDS).done:
        pass
    return coming.result()
