"""The executor that runs shards on a Dask cluster."""

from __future__ import annotations

import contextlib
import itertools
import logging
import queue
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

import distributed
from distributed.scheduler import KilledWorker

from jobs.errors import ClusterError, JobError, TableError
from jobs.execution.sharding import Shard
from jobs.execution.task import (
    COMPILING,
    OnCompile,
    ShardResult,
    TaskContext,
    extract_shard,
    prepare_aside,
    stage_crashed,
)
from jobs.execution.workers import n_threads
from jobs.storage.base import Store

logger = logging.getLogger(__name__)

#: How long a cluster may be without workers during a run [s].
WORKERS_GONE_S = 60.0

_SHARDS_IN_FLIGHT_A_THREAD = 3
_COUNT_THREADS_EVERY_S = 5.0


class DaskExecutor:
    """Runs shards on a cluster, with a bounded number of them in flight.

    Parameters
    ----------
    client : distributed.Client
        Client of the cluster.
    """

    def __init__(self, client: distributed.Client) -> None:
        self._client = client
        self._in_flight: dict[Any, tuple[distributed.Future, Shard]] = {}
        self._watch = _Watch(client, self._in_flight)
        self._n_threads = n_threads(client)
        self._counted_at = time.monotonic()

    def n_workers(self) -> int:
        """Return the number of threads of all workers, counted every few seconds."""
        if time.monotonic() - self._counted_at > _COUNT_THREADS_EVERY_S:
            with contextlib.suppress(OSError, RuntimeError):  # the futures report the error
                self._n_threads = n_threads(self._client)
            self._counted_at = time.monotonic()
        return self._n_threads

    def prepare(self, context: TaskContext, on_compile: OnCompile) -> None:
        """Prepare the present workers; the first task of any other worker prepares it."""
        said: queue.SimpleQueue[tuple[int, int] | None] = queue.SimpleQueue()
        self._client.subscribe_topic(COMPILING, lambda event: said.put(tuple(event[1])))
        with ThreadPoolExecutor(1) as pool:
            prepared = pool.submit(self._client.run, prepare_aside, context, on_error="ignore")
            prepared.add_done_callback(lambda _: said.put(None))
            while (progress := said.get()) is not None:
                on_compile(*progress)  # in this thread, as all events of a run
        self._client.unsubscribe_topic(COMPILING)
        prepared.result()

    def run(
        self, context: TaskContext, shards: Iterable[Shard], table: Store
    ) -> Iterator[ShardResult]:
        """Extract shards; yield their results, and find files that kill workers.

        If a shard kills its workers twice, its files are retried one by one at the end of the
        run. A file that kills its workers again is retried alone on the cluster. If that
        fails too, the file is recorded as ``crashed``.
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
        crashed: list[Shard] = []
        yield from self._window(context, retry_alone, lambda: 1, crashed.append)
        for shard in crashed:
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
            # drop the future: if its worker restarts, the scheduler would run the shard again
            # for as long as somebody holds it
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
        """Return the result of a task; None if it killed its workers."""
        if isinstance(value, ShardResult):
            return value
        error = value[1] if isinstance(value, tuple) else value
        if isinstance(error, KilledWorker):
            return None
        if isinstance(error, CancelledError):
            cause = (
                f"the cluster has had no workers for {WORKERS_GONE_S:g} s"
                if self._watch.workers_gone
                else "the connection to the scheduler is lost"
            )
            raise ClusterError(
                f"{cause}: finished work is kept, run the same command again when it is back"
            )
        if isinstance(error, JobError):
            raise error
        if isinstance(error, OSError):
            raise TableError(f"a worker cannot write its results: {error}") from error
        raise ClusterError(f"a task failed: {type(error).__name__}: {error}") from error

    def _restart(self, worker: str) -> None:
        """Restart a worker, which needs a nanny, because a hung file occupies its thread."""
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
    """Cancels all tasks when the cluster has been without workers for too long.

    Without this, tasks would wait for workers forever, and no error would be raised.
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
                return  # the client is closed or has lost its scheduler: its futures fail
            if time.monotonic() - alive_at > WORKERS_GONE_S:
                self.workers_gone = True
                self._client.cancel([future for future, _ in list(self._in_flight.values())])
                return
