"""Let a worker leave between two files, before its batch job reaches its wall time.

Dask's own ``--lifetime`` ends a worker in the middle of its task. Here the task hands back the
files that are left, the worker takes no other task, and closes as soon as the driver has the
result. So nothing is extracted twice, and no file is a suspect.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time

import distributed
from distributed import Status

#: Variable with the time at which a worker leaves, as seconds since 1970.
LEAVE_AT = "FEATURELIB_LEAVE_AT"

#: How long the driver may take to fetch the last result, and the event loop to answer [s].
_HAND_OVER_S = 20.0

_LOOK_EVERY_S = 0.1

_closing: set[asyncio.Task[None]] = set()


def is_time_to_leave() -> bool:
    """Return whether the process should leave its cluster, by `LEAVE_AT`."""
    at = os.environ.get(LEAVE_AT)
    return at is not None and time.time() >= float(at)


def leave(worker: distributed.Worker) -> None:
    """Let a worker take no more tasks, and close when the driver has the results of all others.

    Call this in the thread of a task, before it returns.
    """
    loop = worker.loop.asyncio_loop  # type: ignore[attr-defined]
    asked = asyncio.run_coroutine_threadsafe(_take_no_more(worker), loop)
    with contextlib.suppress(TimeoutError):
        asked.result(_HAND_OVER_S)


async def _take_no_more(worker: distributed.Worker) -> None:
    if worker.status is Status.running:
        worker.status = Status.closing_gracefully
        task = asyncio.create_task(_close(worker))
        _closing.add(task)  # the event loop itself holds no task
        task.add_done_callback(_closing.discard)


async def _close(worker: distributed.Worker) -> None:
    ends = time.monotonic() + _HAND_OVER_S
    while (worker.state.executing or worker.data) and time.monotonic() < ends:
        await asyncio.sleep(_LOOK_EVERY_S)
    # a worker that closes without this has died for the scheduler, with the tasks that wait at it
    with contextlib.suppress(OSError):
        retired = worker.scheduler.retire_workers(
            workers=[worker.address], close_workers=False, remove=True
        )
        await asyncio.wait_for(retired, _HAND_OVER_S)
    await worker.close(reason="its batch job is about to end")
