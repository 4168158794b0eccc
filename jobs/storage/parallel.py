"""Work in a few threads, with the results in order."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar, cast

from jobs.storage.base import Store

#: Number of files of one store that are read or written at the same time.
_AT_ONCE = 4

_LOOKS_EVERY_S = 0.5

S = TypeVar("S")
T = TypeVar("T")


def requests_at_once(store: Store) -> int:
    """Return how many files of a store to read or write at the same time."""
    return _AT_ONCE if store.supports_parallel_fetch("") else 1


def in_threads(
    call: Callable[[S], T], items: Iterable[S], n_threads: int
) -> Generator[T, None, None]:
    """Yield the result of a function for each item, in order.

    Items are taken as threads become free, by the calling thread. At most `n_threads` results
    are waiting, so memory does not grow with the number of items. No call is running when this
    ends, also if it ends by an error.

    Parameters
    ----------
    call : callable
        The function. Calls must not change what other calls use.
    items : iterable
        Its arguments.
    n_threads : int
        Number of threads; with 1 the calling thread does all.
    """
    if n_threads < 2:
        yield from map(call, items)
        return
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(n_threads, "featurelib-storage") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(call, item))
                if len(waiting) >= n_threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def read_ahead(items: Iterable[T]) -> Iterator[T]:
    """Yield items that a thread takes ahead, so that they are waited for less.

    The thread ends soon after this has ended. It is not waited for, since it may hang in a
    file system.
    """
    waiting: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(_AT_ONCE)
    is_over = threading.Event()

    def put(item: T | None, error: BaseException | None) -> bool:
        while not is_over.is_set():
            try:
                waiting.put((item, error), timeout=_LOOKS_EVERY_S)
            except queue.Full:
                continue
            return True
        return False

    def take() -> None:
        try:
            for item in items:
                if not put(item, None):
                    return
        except BaseException as error:  # noqa: BLE001 - raised by the other thread
            put(None, error)
        else:
            put(None, StopIteration())

    threading.Thread(target=take, name="featurelib-ahead", daemon=True).start()
    try:
        while True:
            item, error = waiting.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield cast(T, item)
    finally:
        is_over.set()
