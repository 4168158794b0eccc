"""The task as a Dask worker runs it: with a pulse, a memory limit, and suspects in a child."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time

import distributed

from jobs.execution.context import TaskContext
from jobs.execution.leaving import is_time_to_leave, leave
from jobs.execution.memory import usable_bytes, watched
from jobs.execution.pulse import Pulse, compiling_topic
from jobs.execution.results import ShardResult
from jobs.execution.sharding import Shard
from jobs.execution.suspects import extract_suspects
from jobs.execution.task import PREPARE_S, check_code, extract_shard, prepare
from jobs.execution.workers import memory_limit_of, never_pause

_TELL_S = 0.3  # Dask sends what a worker tells every few milliseconds


async def prepare_on_worker(context: TaskContext, dask_worker: distributed.Worker) -> None:
    """Prepare a worker in a thread, for at most `PREPARE_S`; its event loop goes on.

    Parameters
    ----------
    context : TaskContext
        Parameters of the run.
    dask_worker : distributed.Worker
        Passed by Dask; its events tell the driver the progress.
    """
    topic = compiling_topic(context.run_id)

    def on_compile(n_done: int, n_kernels: int) -> None:
        dask_worker.log_event(topic, [n_done, n_kernels])

    limit = usable_bytes(memory_limit_of(dask_worker))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.to_thread(prepare, context, on_compile, limit), PREPARE_S)


def extract_on_worker(context: TaskContext, shard: Shard, flight: str) -> ShardResult:
    """Extract a shard in a task on a Dask worker.

    Parameters
    ----------
    context : TaskContext
        Parameters of the run.
    shard : Shard
        The files.
    flight : str
        Name by which the driver knows this attempt.

    Raises
    ------
    ClusterError
        If this process and the driver run different code, or this worker cannot work.
    TableError
        If a staged file cannot be written.
    """
    worker = distributed.get_worker()
    never_pause(worker)
    limit = usable_bytes(memory_limit_of(worker))
    check_code(context)
    with Pulse(worker, context.run_id, flight) as pulse:
        if shard.is_suspect:
            result = extract_suspects(
                context, shard, pulse.file, limit, pulse.prepare, is_time_to_leave
            )
        else:
            prepare(context, memory_limit=limit)

            def end(used: int) -> None:
                # at once, before the machine's memory is used up
                pulse.tell("too large", used=used, limit=limit)
                time.sleep(_TELL_S)
                os.kill(os.getpid(), signal.SIGKILL)

            with watched(limit, end):
                result = extract_shard(context, shard, pulse.file, is_time_to_leave)
    if is_time_to_leave():
        leave(worker)
    result.worker, result.host = worker.address, socket.gethostname()
    return result
