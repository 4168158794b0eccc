"""The files of a shard, read ahead of what is computed."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from jobs.execution.sharding import Shard
from jobs.storage.base import SPOOL_BYTES, Fetched, Store

_FILES_AHEAD = 16
_UNKNOWN_BYTES = SPOOL_BYTES
"""What a file of unknown size counts for."""


class Prefetch:
    """Reads the next files while the present one is computed, within a bound of bytes.

    What is read in place is only looked at beforehand, by the same thread: the system
    then reads ahead, and threads would take longer over handing files on. What its store
    fetches one at a time is fetched by one thread, in the shard's order.

    Parameters
    ----------
    store : Store
        Where the files are.
    shard : Shard
        The files.
    n_bytes : int
        Bound of what is read ahead; one file may be larger.
    touch : callable
        Is told which file is looked at, or waited for.
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
            for at_once, n_threads in ((False, 1), (True, _FILES_AHEAD)):
                self._pools[at_once] = ThreadPoolExecutor(n_threads, thread_name_prefix="prefetch")

    def __enter__(self) -> Prefetch:
        return self

    def __exit__(self, *error: object) -> None:
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        for _, future in self._waiting.values():
            future.add_done_callback(_close)

    def take(self, index: int) -> Fetched:
        """Return a file of the shard, or raise what its reading failed with; in their order."""
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
            at_once = self._store.supports_parallel_fetch(path)
            fetch = self._store.fetch if at_once else functools.partial(self._fetch_one, self._next)
            with contextlib.suppress(RuntimeError):  # no thread can be started: this one, then
                return self._pools[at_once].submit(fetch, path)
        self._touch(self._next)
        future: Future[Fetched] = Future()
        try:
            future.set_result(self._store.fetch(path))
        except Exception as error:  # noqa: BLE001 - raised where the file is taken
            future.set_exception(error)
        return future

    def _fetch_one(self, index: int, path: str) -> Fetched:
        self._one = (index, time.monotonic())
        try:
            return self._store.fetch(path)
        finally:
            self._one = None

    def overdue(self, seconds: float) -> int | None:
        """Return the file that has kept its store, and so all who ask it, for so long."""
        one = self._one
        return one[0] if one is not None and time.monotonic() - one[1] >= seconds else None


def _close(future: Future[Fetched]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().close()
