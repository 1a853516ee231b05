"""Batches that are read ahead or written behind: the same, in their order, and every error where it belongs."""

import threading
from collections.abc import Iterator

import pytest

from pii_guard.connectors.prefetch import behind


def test_all_is_written_in_order_by_one_other_thread() -> None:
    seen, threads = [], set()

    def write(item: int) -> None:
        seen.append(item)
        threads.add(threading.current_thread())

    behind(range(100), write)
    assert seen == list(range(100))
    assert len(threads) == 1
    assert threading.main_thread() not in threads


def test_items_are_made_where_they_were_asked_for() -> None:
    makers = []

    def items() -> Iterator[int]:
        for number in range(3):
            makers.append(threading.current_thread())
            yield number

    behind(items(), lambda item: None)
    assert set(makers) == {threading.current_thread()}


def test_the_next_item_is_made_while_one_is_written() -> None:
    made = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        made.set()
        yield 2

    waited = []
    behind(items(), lambda item: waited.append(made.wait(30)))
    assert waited == [True, True]


def test_an_error_of_writing_ends_the_making() -> None:
    made = []

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    def write(item: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        behind(items(), write)
    assert len(made) <= 2


def test_an_error_of_making_waits_for_what_is_being_written() -> None:
    written: list[int] = []

    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        behind(items(), written.append)
    assert written == [1]


def test_nothing_to_write() -> None:
    behind([], lambda item: pytest.fail("nothing was there"))
