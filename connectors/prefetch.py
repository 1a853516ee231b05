"""Waiting for a thread of its own: for the next batch, or the last one written, while the one at hand is worked on."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from queue import Full, Queue
from typing import TypeVar

import pyarrow as pa

__all__ = ["across", "ahead", "apart", "behind"]

T = TypeVar("T")

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


def behind(items: Iterable[T], write: Callable[[T], object]) -> None:
    """`write` each of `items`, in a thread of its own, one behind: while it is at one, the next one is made here.

    So `items` are made where they always were, as a driver may ask for. Raises what `items` and `write` raise; nothing
    is being written any more when it ends, whichever way.
    """
    with ThreadPoolExecutor(1, "pii-guard-writer") as pool:
        going: Future[object] | None = None
        for item in items:
            if going is not None:
                _awaited(going)
            going = pool.submit(write, item)
        if going is not None:
            _awaited(going)


def across(items: Iterable[T], take: Callable[[Iterator[T]], object], cancel: Callable[[], object]) -> None:
    """`take` an iterator over `items`, in a thread of its own, one behind: `items` are made here, as in `behind`.

    For a driver that asks for rows itself. Waiting for it can be interrupted at any time; `cancel`, called until it has
    an effect, then ends what the database is at, and so it does where `items` raise: what was taken is not all of them.
    """
    handed = Queue[T | None](1)
    with ThreadPoolExecutor(1, "pii-guard-writer") as pool:
        taking = pool.submit(take, iter(handed.get, None))
        try:
            for item in items:
                _hand(handed, item, taking)
                if taking.done():
                    break
            _hand(handed, None, taking)
            _awaited(taking)
        finally:
            while not wait([taking], _SECONDS).done:
                cancel()
                with suppress(Full):
                    handed.put_nowait(None)


def apart(work: Callable[[], T], cancel: Callable[[], object]) -> T:
    """What `work` gives, done by a thread of its own.

    Waiting for it can be interrupted at any time; `cancel`, called until it has an effect, then ends what the database
    is at, so that nothing is left open when this returns.
    """
    with ThreadPoolExecutor(1, "pii-guard-reader") as pool:
        coming = pool.submit(work)
        try:
            return _awaited(coming)
        finally:
            while not wait([coming], _SECONDS).done:
                cancel()


def _hand(handed: Queue[T | None], item: T | None, taking: Future[object]) -> None:
    """Hand `item` over, if it is still being taken."""
    while not taking.done():
        with suppress(Full):
            handed.put(item, timeout=_SECONDS)
            break


def _awaited(coming: Future[T]) -> T:
    while not wait([coming], _SECONDS).done:
        pass
    return coming.result()
