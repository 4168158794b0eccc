"""Shards out, results in: on a Dask cluster, or in this process."""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from typing import Any

import distributed
from distributed.scheduler import KilledWorker

from jobs.errors import ClusterError, JobError, TableError
from jobs.execution.sharding import Shard
from jobs.execution.task import (
    ShardResult,
    TaskContext,
    extract_shard,
    prepare_aside,
    stage_crashed,
)
from jobs.execution.workers import n_threads
from jobs.storage.base import Store

logger = logging.getLogger(__name__)

WORKERS_GONE_S = 60.0
"""So long a cluster may be without workers in the middle of a run."""

_SHARDS_IN_FLIGHT_A_THREAD = 3
_THREADS_FRESH_FOR_S = 5.0


class DaskExecutor:
    """Keeps a bounded window of shards in flight on a cluster.

    Parameters
    ----------
    client : distributed.Client
        A client of the cluster.
    """

    def __init__(self, client: distributed.Client) -> None:
        self._client = client
        self._in_flight: dict[Any, tuple[distributed.Future, Shard]] = {}
        self._watch = _Watch(client, self._in_flight)
        self._n_threads = n_threads(client)
        self._counted_at = time.monotonic()

    def n_workers(self) -> int:
        if time.monotonic() - self._counted_at > _THREADS_FRESH_FOR_S:
            with contextlib.suppress(OSError, RuntimeError):  # the futures tell what is wrong
                self._n_threads = n_threads(self._client)
            self._counted_at = time.monotonic()
        return self._n_threads

    def prepare(self, context: TaskContext) -> None:
        # One that comes later, or fails now, is prepared by its first task.
        self._client.run(prepare_aside, context, on_error="ignore")

    def run(
        self, context: TaskContext, shards: Iterable[Shard], table: Store
    ) -> Iterator[ShardResult]:
        """Yield the shards' results; find the file where workers die.

        A shard over which workers died twice is done again file by file, after all
        others; a file over which they died again, once more with nothing beside it, and
        only the death of workers then is the file's own.
        """
        with self._watch:
            yield from self._run(context, shards, table)

    def _run(
        self, context: TaskContext, shards: Iterable[Shard], table: Store
    ) -> Iterator[ShardResult]:
        retry_single: list[Shard] = []
        yield from self._window(
            context,
            shards,
            lambda: _SHARDS_IN_FLIGHT_A_THREAD * self.n_workers(),
            lambda shard: retry_single.extend(shard.single_files()),
        )
        retry_alone: list[Shard] = []
        yield from self._window(context, retry_single, self.n_workers, retry_alone.append)
        dead: list[Shard] = []
        yield from self._window(context, retry_alone, lambda: 1, dead.append)
        for shard in dead:
            yield stage_crashed(context, shard, table)

    def _window(
        self,
        context: TaskContext,
        shards: Iterable[Shard],
        width: Callable[[], int],
        on_killed: Callable[[Shard], None],
    ) -> Iterator[ShardResult]:
        waiting = iter(shards)
        again: deque[Shard] = deque()
        in_flight = self._in_flight
        in_flight.clear()
        completed = distributed.as_completed(
            [], loop=self._client.loop, with_results=True, raise_errors=False
        )

        def fill() -> None:
            free = width() - len(in_flight)
            while free > 0 and again:
                submit(again.popleft())
                free -= 1
            for shard in itertools.islice(waiting, max(0, free)):
                submit(shard)

        def submit(shard: Shard) -> None:
            future = self._client.submit(
                _extract_on_worker, context, shard, key=f"extract-{uuid.uuid4().hex}", pure=False
            )
            in_flight[future.key] = (future, shard)
            completed.add(future)

        fill()
        while in_flight:
            future, value = next(completed)
            shard = in_flight.pop(future.key)[1]
            result = self._unpack(value, shard)
            # The scheduler forgets what nobody holds; it would do a shard again whose result
            # is lost with the worker that is restarted.
            del future, value
            if result is None:
                on_killed(shard)
            else:
                if result.unfinished is not None:
                    again.append(result.unfinished)
                if result.worker is not None:
                    self._restart(result.worker)
                yield result
            fill()

    def _unpack(self, value: Any, shard: Shard) -> ShardResult | None:
        """Return a task's result; None where its workers died."""
        if isinstance(value, ShardResult):
            return value
        error = value[1] if isinstance(value, tuple) else value
        if isinstance(error, KilledWorker):
            return None
        if isinstance(error, CancelledError):
            lost = (
                f"the cluster has had no workers for {WORKERS_GONE_S:g} s"
                if self._watch.workers_gone
                else "the connection to the scheduler is lost"
            )
            raise ClusterError(
                f"{lost}: finished work is kept, run the same command again when it is back"
            )
        if isinstance(error, JobError):
            raise error
        if isinstance(error, OSError):
            raise TableError(f"a worker cannot write its results: {error}") from error
        raise ClusterError(f"a task failed: {type(error).__name__}: {error}") from error

    def _restart(self, worker: str) -> None:
        """End a worker whose thread a hung file still occupies, where a nanny restarts it."""
        try:
            self._client.restart_workers([worker], timeout=20, raise_for_error=False)
        except (ValueError, OSError, RuntimeError) as error:
            logger.warning("the worker %s cannot be restarted: %s", worker, error)


def _extract_on_worker(context: TaskContext, shard: Shard) -> ShardResult:
    result = extract_shard(context, shard)
    if result.is_hung:
        result.worker = distributed.get_worker().address
    return result


class _Watch:
    """Cancels what is in flight when a cluster has had no workers for long.

    Tasks wait for workers without end, and a cluster whose workers are gone gives no sign.
    """

    def __init__(
        self, client: distributed.Client, in_flight: dict[Any, tuple[distributed.Future, Shard]]
    ) -> None:
        self.workers_gone = False
        self._client, self._in_flight = client, in_flight
        self._done = threading.Event()

    def __enter__(self) -> None:
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def __exit__(self, *error: object) -> None:
        self._done.set()

    def _watch(self) -> None:
        alive_at = time.monotonic()
        while not self._done.wait(WORKERS_GONE_S / 10):
            try:
                if self._client.nthreads():
                    alive_at = time.monotonic()
            except (OSError, RuntimeError, AttributeError):
                return  # the client is closed or has lost its scheduler: its futures say so
            if time.monotonic() - alive_at > WORKERS_GONE_S:
                self.workers_gone = True
                self._client.cancel([future for future, _ in list(self._in_flight.values())])
                return
