"""Batches that are read ahead or written behind: the same, in their order, and every error where it belongs."""

import threading
from collections.abc import Iterator

import pytest

from pii_guard.connectors.prefetch import across, behind


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


def test_items_are_made_here_and_taken_there() -> None:
    """Each is taken once, in order; items come from the thread that calls, which drivers may ask for."""
    makers, takers, taken = set[int](), set[int](), list[int]()

    def items() -> Iterator[int]:
        for number in range(5):
            makers.add(threading.get_ident())
            yield number

    def take(given: Iterator[int]) -> None:
        takers.add(threading.get_ident())
        taken.extend(given)

    across(items(), take, lambda: None)
    assert taken == [0, 1, 2, 3, 4]
    assert makers == {threading.get_ident()}
    assert takers.isdisjoint(makers)


def test_what_takes_and_what_is_taken_may_raise() -> None:
    """The error is that of whichever raised, and nothing is being taken any more."""
    cancelled = threading.Event()

    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    def refuse(given: Iterator[int]) -> None:
        next(given)
        raise OSError("full")

    def wait_for_ever(given: Iterator[int]) -> None:
        assert cancelled.wait(10)

    with pytest.raises(OSError, match="full"):
        across(iter(range(1000)), refuse, lambda: None)
    with pytest.raises(ValueError, match="no more"):
        across(broken(), list, lambda: None)
    with pytest.raises(ValueError, match="no more"):
        across(broken(), wait_for_ever, cancelled.set)
