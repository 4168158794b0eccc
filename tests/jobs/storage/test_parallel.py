"""Work in a few threads: in order, bounded, and over when it ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from jobs.storage.parallel import in_threads, read_ahead


@pytest.mark.parametrize("n_threads", [1, 2, 4])
def test_results_are_in_order_and_few_wait(n_threads: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for i in range(50):
            taken.append(i)
            yield i

    found = []
    for result in in_threads(lambda i: i * i, items(), n_threads):
        assert len(taken) <= len(found) + n_threads
        found.append(result)
    assert found == [i * i for i in range(50)]


@pytest.mark.parametrize("n_threads", [1, 3])
def test_an_error_ends_it_when_no_call_runs_any_more(n_threads: int) -> None:
    running: set[int] = set()

    def call(i: int) -> int:
        running.add(i)
        if i == 2:
            running.discard(i)
            raise OSError("broken")
        running.discard(i)
        return i

    with pytest.raises(OSError, match="broken"):
        list(in_threads(call, range(10), n_threads))
    assert not running


def test_calls_run_at_the_same_time() -> None:
    together = threading.Barrier(4, timeout=30)
    list(in_threads(lambda _: together.wait(), range(8), 4))


def test_items_are_taken_ahead_in_order() -> None:
    taken = threading.Semaphore(0)

    def items() -> Iterator[int]:
        for i in range(20):
            taken.release()
            yield i

    ahead = read_ahead(items())
    assert next(ahead) == 0
    assert taken.acquire(timeout=30)
    assert taken.acquire(timeout=30)  # of an item that nobody asked for yet
    assert list(ahead) == list(range(1, 20))


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise PermissionError("no")

    ahead = read_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(PermissionError, match="no"):
        next(ahead)


def test_the_thread_ends_when_nobody_takes_its_items() -> None:
    before = set(threading.enumerate())
    ahead = read_ahead(range(10**9))
    assert next(ahead) == 0
    [thread] = set(threading.enumerate()) - before
    ahead.close()
    thread.join(30)
    assert not thread.is_alive()
