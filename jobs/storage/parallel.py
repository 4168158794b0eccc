"""Call a function in a few threads, with the results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from jobs.storage.base import Store

#: Number of files of one store that are read at the same time.
READERS = 4

T = TypeVar("T")


def in_threads(call: Callable[[str], T], names: Iterable[str], store: Store) -> Iterator[T]:
    """Yield the result of a function for each name of a file, in order.

    At most `READERS` results are waiting, so memory does not grow with the number of files.
    No call is running when this ends, also if it ends by an error.

    Parameters
    ----------
    call : callable
        The function. It must not change anything that other calls use.
    names : iterable of str
        Names of files in the store.
    store : Store
        The store, which may serve one request at a time only.
    """
    names = list(names)
    if len(names) < 2 or not store.supports_parallel_fetch(names[0]):
        yield from map(call, names)
        return
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(READERS, "featurelib-read") as pool:
        try:
            for name in names:
                waiting.append(pool.submit(call, name))
                if len(waiting) >= READERS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
