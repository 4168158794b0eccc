"""Read the files of a shard ahead of their extraction."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from jobs.execution.sharding import Shard
from jobs.storage.base import SPOOL_BYTES, Fetched, Store

_FILES_AHEAD = 16

#: Assumed size of a file of unknown size.
_UNKNOWN_BYTES = SPOOL_BYTES


class Prefetch:
    """Fetches the next files while the current one is extracted, up to a number of bytes.

    Files that are read in place are only opened beforehand, in the same thread: the system
    then reads ahead, and handing files between threads would take longer. If a store cannot
    fetch in parallel, one thread fetches its files in the shard's order.

    Parameters
    ----------
    store : Store
        Store of the files.
    shard : Shard
        The files.
    n_bytes : int
        Maximum size of the files that are read ahead; a single file may be larger.
    touch : callable
        Called with the index of each file that is opened or waited for.
    """

    def __init__(
        self, store: Store, shard: Shard, n_bytes: int, touch: Callable[[int], None]
    ) -> None:
        self._store, self._shard, self._touch = store, shard, touch
        self._bytes_left = n_bytes
        self._next = 0
        self._waiting: dict[int, tuple[int, Future[Fetched]]] = {}
        self._one: tuple[int, float] | None = None
        self._pools: dict[bool, ThreadPoolExecutor] = {}
        if not store.in_place:
            for parallel, n_threads in ((False, 1), (True, _FILES_AHEAD)):
                self._pools[parallel] = ThreadPoolExecutor(n_threads, thread_name_prefix="prefetch")

    def __enter__(self) -> Prefetch:
        return self

    def __exit__(self, *error: object) -> None:
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        for _, future in self._waiting.values():
            future.add_done_callback(_close)

    def take(self, index: int) -> Fetched:
        """Return the next file of the shard, or raise the error of its fetch.

        Parameters
        ----------
        index : int
            Index in the shard; files must be taken in order.
        """
        self._fill()
        size, future = self._waiting.pop(index)
        self._bytes_left += size
        self._fill()
        self._touch(index)
        return future.result()

    def _fill(self) -> None:
        files, sizes = self._shard.files, self._shard.sizes
        while self._next < len(files) and len(self._waiting) < _FILES_AHEAD:
            size = sizes[self._next] if sizes else 0
            size = size if size > 0 else _UNKNOWN_BYTES
            if self._waiting and size > self._bytes_left:
                return
            self._waiting[self._next] = (size, self._fetch(files[self._next][0]))
            self._bytes_left -= size
            self._next += 1

    def _fetch(self, path: str) -> Future[Fetched]:
        if self._pools:
            parallel = self._store.supports_parallel_fetch(path)
            fetch_one = functools.partial(self._fetch_one, self._next)
            fetch = self._store.fetch if parallel else fetch_one
            with contextlib.suppress(RuntimeError):  # no thread can be started: use this one
                return self._pools[parallel].submit(fetch, path)
        self._touch(self._next)
        future: Future[Fetched] = Future()
        try:
            future.set_result(self._store.fetch(path))
        except Exception as error:  # noqa: BLE001 - raised by `take`
            future.set_exception(error)
        return future

    def _fetch_one(self, index: int, path: str) -> Fetched:
        self._one = (index, time.monotonic())
        try:
            return self._store.fetch(path)
        finally:
            self._one = None

    def overdue(self, seconds: float) -> int | None:
        """Return the index of the file whose serial fetch has lasted this long; None if none."""
        one = self._one
        return one[0] if one is not None and time.monotonic() - one[1] >= seconds else None


def _close(future: Future[Fetched]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().close()
