"""The executor that runs shards on a Dask cluster."""

from __future__ import annotations

import contextlib
import queue
import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import distributed
from distributed.scheduler import KilledWorker

from jobs.diagnostics.events import InFlight, Note, Observer, Serving, Waiting, ignore
from jobs.errors import ClusterError, JobError
from jobs.execution.context import TaskContext
from jobs.execution.dask_task import extract_on_worker, prepare_on_worker
from jobs.execution.interrupts import deferred
from jobs.execution.performance import reported
from jobs.execution.provision import Fixed, Provision, WorkerCount
from jobs.execution.pulse import compiling_topic, topic_of
from jobs.execution.recovery import recovered
from jobs.execution.results import ShardResult
from jobs.execution.sharding import Shard
from jobs.execution.stops import StopClock
from jobs.execution.suspects import MAX_ATTEMPTS, nobody_knows
from jobs.execution.task import PREPARE_S, OnCompile, stage_failure
from jobs.execution.watch import ClusterWatch
from jobs.settings import Settings
from jobs.storage.base import Store

_SHARDS_IN_FLIGHT_A_THREAD = 3

#: With fewer shards in flight, an adaptive cluster without workers would ask for few of them.
_SHARDS_IN_FLIGHT_WITHOUT_WORKERS = 24

#: A shard whose worker died is divided into so many, each of which is extracted in a child; then
#: smaller ones still, so that something gets done between deaths that are frequent.
_PIECES, _PIECES_LATER = 2, 8

#: What a worker gets beyond `Settings.file_timeout_s` before it is thought to be frozen [s].
_GRACE_S = 10.0

#: How long workers that are prepared may say nothing before the run goes on without them [s].
_SILENT_S = 30.0

_LOOK_EVERY_S = 0.5

#: How long the scheduler may not answer while a run goes on [s].
_SCHEDULER_S = 180.0

_WAITING_AFTER_S = 10.0
_WAITING_EVERY_S = 60.0


class DaskExecutor:
    """Runs shards on a cluster, with a bounded number of them in flight.

    Parameters
    ----------
    client : distributed.Client
        Client of the cluster.
    settings : Settings
        How long the cluster may be without workers, and a file without a sign.
    n_expected : int, optional
        Number of workers that the cluster will have, at most.
    provision : Provision, optional
        Where its workers come from.
    """

    def __init__(
        self,
        client: distributed.Client,
        settings: Settings,
        n_expected: int = 1,
        provision: Provision | None = None,
    ) -> None:
        self.client, self.settings, self._n_expected = client, settings, n_expected
        self.provision = provision or Fixed(n_expected)
        self.watch = ClusterWatch(client)

    def n_workers(self) -> int:
        """Return the number of threads of all workers, at least the number that will come."""
        return max(self._n_expected, self.watch.state.n_threads)

    def prepare(self, context: TaskContext, on_compile: OnCompile) -> None:
        """Prepare the present workers; the first task of any other worker prepares it.

        If workers say nothing for long, their first tasks prepare them too.
        """
        said: queue.SimpleQueue[tuple[int, int] | None] = queue.SimpleQueue()
        topic = compiling_topic(context.run_id)
        self.client.subscribe_topic(topic, lambda event: said.put(tuple(event[1])))
        pool = ThreadPoolExecutor(1)
        prepared = pool.submit(self.client.run, prepare_on_worker, context, on_error="ignore")
        pool.shutdown(wait=False)  # Ctrl-C must not wait until all kernels are compiled
        prepared.add_done_callback(lambda _: said.put(None))
        try:
            while (progress := said.get(timeout=_SILENT_S)) is not None:
                on_compile(*progress)  # in this thread, as all events of a run
        except queue.Empty:  # a worker is frozen: the run finds out which
            pass
        finally:
            with contextlib.suppress(ValueError, OSError, RuntimeError):  # the client is closed
                self.client.unsubscribe_topic(topic)
        if prepared.done():
            prepared.result()

    def run(
        self,
        context: TaskContext,
        shards: Iterable[Shard],
        table: Store,
        notify: Observer = ignore,
    ) -> Iterator[ShardResult]:
        """Extract shards; yield their results in order of completion.

        If the worker of a shard dies, or gives no sign for too long, the files of the shard are
        suspects: they are extracted at the end of the run, in child processes, so that a file
        that ends its process is found (see `jobs.execution.suspects`).

        Raises
        ------
        ClusterError
            If the cluster has no workers for too long, or cannot work.
        TableError
            If a worker cannot write its results.
        """
        if self.settings.dashboard:
            notify(Serving("dashboard", self.client.dashboard_link))
        path = self.settings.performance_report
        report = reported(self.client, path, context.run_id, notify)
        with self.watch, report:
            yield from _Extraction(self, context, shards, table, notify).results()


@dataclass
class _Flight:
    """A shard that is submitted.

    Attributes
    ----------
    future : distributed.Future
        Its task.
    shard : Shard
        The files.
    worker : str
        Address of the worker that the task is at; empty if it waits for one.
    sign_at : float
        When the task last gave a sign [s].
    told : dict
        What it told then: see `jobs.execution.pulse`.
    """

    future: distributed.Future
    shard: Shard
    worker: str = ""
    sign_at: float = 0.0
    told: dict[str, Any] = field(default_factory=dict)


class _Extraction:
    """The shards of one run on a cluster."""

    def __init__(
        self,
        executor: DaskExecutor,
        context: TaskContext,
        shards: Iterable[Shard],
        table: Store,
        notify: Observer,
    ) -> None:
        self._n_workers = executor.n_workers
        self._client, self._watch = executor.client, executor.watch
        self._settings, self._provision = executor.settings, executor.provision
        self._count = WorkerCount(notify)
        self._context, self._table, self._notify = context, table, notify
        self._waiting = iter(shards)
        self._again: deque[Shard] = deque()
        self._suspects: deque[Shard] = deque()
        self._flights: dict[str, _Flight] = {}
        self._staged: set[str] = set()  # names of the staged files that results have named
        self._signs_at: dict[str, float] = {}  # when each worker last gave a sign
        self._completed = distributed.as_completed(
            [], loop=self._client.loop, with_results=True, raise_errors=False
        )
        now = time.monotonic()
        self._looked_at = self._moved_at = self._workers_at = now
        self._clock, self._resumed_at = StopClock(), now
        self._waiting_told_at = 0.0
        self._n_told = 0
        self._has_had_workers = bool(self._watch.state.threads)
        self._is_elastic = not self._has_had_workers or self._settings.is_adaptive

    def results(self) -> Iterator[ShardResult]:
        """Yield the results of all shards."""
        topic = topic_of(self._context.run_id)
        self._client.subscribe_topic(topic, self._hear)
        try:
            with deferred():
                self._fill()
            self._tell_flights()
            while self._flights:
                with deferred():
                    results = self._step()
                yield from results  # the next shard's size is decided by what they took
                with deferred():
                    self._fill()
                self._tell_flights()
        finally:
            with contextlib.suppress(ValueError, OSError, RuntimeError):  # the client is closed
                self._client.unsubscribe_topic(topic)
                for flight in self._flights.values():
                    # the traceback of an interrupted run would hold it in a notebook
                    flight.future.release()

    def _step(self) -> list[ShardResult]:
        """Return the results of the next task; if none is done, wait a moment."""
        self._notice_stop()
        if not self._completed.has_ready():
            self._wait()
            return []
        future, value = next(self._completed)
        flight = self._flights.pop(future.key)
        shard, told = flight.shard, flight.told
        # drop the future: if its worker restarts, the scheduler would run the shard again
        # for as long as somebody holds it
        del future, flight
        self._moved_at = time.monotonic()
        return list(self._taken(value, shard, told))

    def _notice_stop(self) -> None:
        """Note when this process was stopped: nobody else is late because of it."""
        if self._clock.stopped_s():
            self._resumed_at = time.monotonic()

    def _age(self, at: float, now: float) -> float:
        """Return the time since a moment, counted from when this process went on [s]."""
        return now - max(at, self._resumed_at)

    def _fill(self) -> None:
        free = self._width() - len(self._flights)
        while free > 0 and (shard := self._next()) is not None:
            self._submit(shard)
            free -= 1

    def _tell_flights(self) -> None:
        if self._n_told != len(self._flights):
            self._n_told = len(self._flights)
            self._notify(InFlight(self._n_told))

    def _next(self) -> Shard | None:
        if self._again:
            return self._again.popleft()
        shard = next(self._waiting, None)
        if shard is None and self._suspects:
            shard = self._suspects.popleft()
        return shard

    def _width(self) -> int:
        width = _SHARDS_IN_FLIGHT_A_THREAD * self._n_workers()
        return max(width, _SHARDS_IN_FLIGHT_WITHOUT_WORKERS) if self._is_elastic else width

    def _submit(self, shard: Shard) -> None:
        name = uuid.uuid4().hex
        key = f"extract-{name}"
        # not the key itself: Dask would replace it by the result of the task
        future = self._client.submit(
            extract_on_worker, self._context, shard, name, key=key, pure=False
        )
        self._flights[key] = _Flight(future, shard)
        self._completed.add(future)

    def _taken(self, value: Any, shard: Shard, told: dict[str, Any]) -> Iterator[ShardResult]:
        """Yield the result of a task; divide its shard if its worker died."""
        result = self._unpack(value)
        if result is None:
            yield from self._divided(shard, told)
            return
        self._staged.update(result.staged)
        self._signs_at[result.worker] = time.monotonic()  # it begins its next shard now
        if result.unfinished is not None:
            self._again.append(result.unfinished)
        if result.is_hung and self._watch.restart(result.worker):
            self._notify(Note(f"the worker {result.worker} is restarted: a file hangs in it"))
        yield result

    def _divided(self, shard: Shard, told: dict[str, Any]) -> Iterator[ShardResult]:
        """Divide a shard whose worker died.

        Yield what the worker had finished, and the error of a file that is not tried again.
        """
        if len(shard) > 1:
            result, shard = recovered(self._context, shard, self._table, self._staged)
            if result.n_files:
                self._staged.update(result.staged)
                yield result
            if not len(shard):
                return
        paths = [path for path, _ in shard.files]
        if told.get("state") == "too large" and told["path"] in paths:
            index = paths.index(told["path"])
            self._notify(
                Note(
                    f"a worker used {told['used'] / 1e6:.0f} MB of memory, and may use"
                    f" {told['limit'] / 1e6:.0f} MB, at {told['path']}: it was ended, and the file"
                    " is extracted in a process of its own"
                )
            )
            self._suspects.append(replace(shard.only([index]), is_suspect=True))
            if len(shard) > 1:
                self._again.append(shard.without(index))
            return
        shard = replace(shard, is_suspect=True, n_deaths=shard.n_deaths + 1)
        if len(shard) > 1 or shard.n_deaths < MAX_ATTEMPTS:
            self._suspects.extend(shard.pieces(_PIECES if shard.n_deaths == 1 else _PIECES_LATER))
            return
        message = nobody_knows(shard.n_deaths, "its worker died")
        yield stage_failure(self._context, shard, self._table, "unreadable", message)

    def _unpack(self, value: Any) -> ShardResult | None:
        """Return the result of a task; None if its worker died."""
        if isinstance(value, ShardResult):
            return value
        error = value[1] if isinstance(value, tuple) else value
        if isinstance(error, KilledWorker):
            return None
        if isinstance(error, CancelledError):
            raise ClusterError(
                "the connection to the scheduler is lost: finished work is kept, run the same"
                " command again when it is back"
            )
        if isinstance(error, JobError):
            raise error
        raise ClusterError(f"a task failed: {type(error).__name__}: {error}") from error

    def _hear(self, event: tuple[float, dict[str, Any]]) -> None:
        """Note what a task tells; in the client's thread."""
        told = event[1]
        self._has_had_workers = True  # the watch may miss one that lives for a moment
        flight = self._flights.get(f"extract-{told['flight']}")
        if flight is not None:
            flight.told, flight.sign_at = told, time.monotonic()
            self._signs_at[told["worker"]] = self._moved_at = flight.sign_at

    def _wait(self) -> None:
        """Wait a moment for a result, and look at the cluster from time to time."""
        with self._completed.thread_condition:
            self._completed.thread_condition.wait(0.1)
        self._notice_stop()
        now = time.monotonic()
        if now - self._looked_at < _LOOK_EVERY_S:
            return
        self._looked_at = now
        self._check_workers(now)
        self._find_frozen(now)
        if (
            self._age(self._moved_at, now) > _WAITING_AFTER_S
            and now - self._waiting_told_at > _WAITING_EVERY_S
        ):
            self._waiting_told_at = now
            self._notify(Waiting(self._what_for(now)))

    def _check_workers(self, now: float) -> None:
        if self._age(self._watch.state.at, now) > _SCHEDULER_S:
            raise ClusterError(
                f"the scheduler has not answered for {_SCHEDULER_S:g} s: finished work is kept, run"
                " the same command again when it works"
            )
        n_workers = len(self._watch.state.threads)
        self._count.look(n_workers, self._provision.n_wanted(), now)
        if n_workers:
            self._workers_at, self._has_had_workers = now, True
            return
        self._provision.check()
        waited, settings = self._age(self._workers_at, now), self._settings
        if not self._has_had_workers and waited > (limit := settings.first_worker_limit_s):
            why = self._provision.why()
            raise ClusterError(
                f"no worker came within {limit:g} s (first_worker_timeout_s):"
                f" {f'{why}; change that' if why else 'start workers'}, and run the same command"
                " again"
            )
        if self._has_had_workers and waited > (limit := settings.no_worker_limit_s):
            why = self._provision.why()
            raise ClusterError(
                f"the cluster has had no workers for {limit:g} s"
                f" (no_worker_timeout_s){why and f': {why}'}: finished work is kept, run the same"
                " command again when it is back"
            )

    def _find_frozen(self, now: float) -> None:
        """Restart workers whose tasks have given no sign for too long."""
        tasks = self._watch.state.tasks
        for key, flight in self._flights.items():
            worker = tasks.get(key, "")
            if worker != flight.worker:
                flight.worker, flight.sign_at = worker, max(flight.sign_at, now)
            if flight.told.get("worker") != worker:
                # it waits at the worker: Dask gives workers more tasks than they have threads
                flight.sign_at = max(flight.sign_at, self._signs_at.get(worker, 0.0))
            limit = self._settings.file_timeout_s + _GRACE_S
            if flight.told.get("state") == "preparing":
                limit = max(limit, PREPARE_S + _GRACE_S)
            is_late = self._age(flight.sign_at, now) > limit
            if worker and is_late and self._watch.restart(worker):
                self._notify(
                    Note(
                        f"the worker {worker} has given no sign for {limit:g} s"
                        f"{self._at_file(flight)}: it is restarted, and its files go to others"
                    )
                )

    def _what_for(self, now: float) -> str:
        """Return what the run waits for."""
        state, settings = self._watch.state, self._settings
        if (silent := self._age(state.at, now)) > _WAITING_AFTER_S:
            return f"the scheduler has not answered for {silent:.0f} s"
        if not state.threads:
            limit = (
                settings.no_worker_limit_s
                if self._has_had_workers
                else settings.first_worker_limit_s
            )
            why = self._provision.why()
            return (
                f"there has been no worker for {self._age(self._workers_at, now):.0f} s"
                f"{why and f': {why}'} (the run ends after {limit:g} s)"
            )
        running = [flight for flight in self._flights.values() if flight.worker]
        if not running:
            return f"{len(state.threads)} workers take none of {len(self._flights)} shards"
        slowest = min(running, key=lambda flight: flight.sign_at)
        return (
            f"the worker {slowest.worker} has given no sign for"
            f" {self._age(slowest.sign_at, now):.0f} s{self._at_file(slowest)}"
            f" (file_timeout_s is {settings.file_timeout_s:g} s)"
        )

    def _at_file(self, flight: _Flight) -> str:
        if flight.told.get("worker") != flight.worker:  # told by an earlier attempt, if at all
            return ""
        if flight.told["state"] == "preparing":
            return ", while it loads libraries and compiles kernels"
        path = flight.told["path"]
        return f", at {path}" if path else ""
