"""Extract suspects: files that may end their process, in a child process of a worker.

A worker dies for many reasons, such as preemption, a wall time or a neighbour's memory. So its
death is no evidence against the file that it was at. A child's end is evidence if it comes by a
fault signal, an unexpected exit, or our own limits of time and memory. It is none if somebody else
killed the child. After `MAX_ATTEMPTS` without evidence a file fails as ``unreadable``, which the
next run tries again; so every run ends.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import cloudpickle

import jobs
from jobs.errors import ClusterError
from jobs.execution.attempt import OnFile, never
from jobs.execution.context import TaskContext, stores_of
from jobs.execution.memory import LOOK_EVERY_S, resident_bytes
from jobs.execution.native import ONE_THREAD
from jobs.execution.results import ShardResult
from jobs.execution.sharding import Shard
from jobs.execution.stops import StopClock
from jobs.execution.task import PREPARE_S, stage_failure

#: Number of deaths without evidence after which a file fails as ``unreadable``.
MAX_ATTEMPTS = 5

_FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL)
_FILES_AT_ONCE = 16  # as many are extracted again if one of them ends the child
_END_S = 10.0
_IDLE_S = 20.0


def extract_suspects(
    context: TaskContext,
    shard: Shard,
    on_file: OnFile,
    memory_limit: int | None,
    on_start: Callable[[], None] = lambda: None,
    is_over: Callable[[], bool] = never,
) -> ShardResult:
    """Extract the files of a shard in a child process, and stage their rows.

    Parameters
    ----------
    context : TaskContext
        Parameters of the run.
    shard : Shard
        The files.
    on_file : callable
        Called with the path of each file that is opened or extracted.
    memory_limit : int, optional
        Memory that the child may use, in bytes.
    on_start : callable, optional
        Called when a child is started, which takes a while.
    is_over : callable, optional
        Asked now and then whether the other files are left to another task.

    Raises
    ------
    ClusterError
        If the child cannot work at all.
    TableError
        If a staged file cannot be written.
    """
    started = time.monotonic()
    _, table = stores_of(context)
    result = ShardResult(shard.bucket, shard=shard.name)
    n_deaths: Counter[str] = Counter()
    waiting = deque(shard.pieces(math.ceil(len(shard) / _FILES_AT_ONCE)))
    while waiting:
        if is_over() and (result.n_files or result.failures):
            left = {file for piece in waiting for file in piece.files}
            result.unfinished = shard.only([i for i, f in enumerate(shard.files) if f in left])
            break
        files = waiting.popleft()
        try:
            with _some_child(context, memory_limit, on_start) as child:
                result.add(child.extract(files, on_file))
            continue
        except ChildDiedError as death:
            failed = death
        index = failed.index
        path, _ = files.files[index]
        kind, message = failed.kind, str(failed)
        if kind is None:
            n_deaths[path] += 1
            n = shard.n_deaths + n_deaths[path]
            if n < MAX_ATTEMPTS:
                waiting.appendleft(files)
                continue
            kind, message = "unreadable", nobody_knows(n, message)
        result.add(stage_failure(context, files.only([index]), table, kind, message))
        if len(files) > 1:
            waiting.appendleft(files.without(index))
    result.seconds = time.monotonic() - started
    return result


@contextlib.contextmanager
def _some_child(
    context: TaskContext, memory_limit: int | None, on_start: Callable[[], None]
) -> Iterator[Child]:
    """Context manager for a child: an idle one of this run, or a new one.

    It is kept for a while afterwards, because a child takes a second to start.
    """
    with _lock:
        idle = next((c for c in _idle if c.belongs_to(context, memory_limit)), None)
        if idle is not None:
            _idle.remove(idle)
    if idle is not None and idle.is_alive():
        child = idle
    else:
        on_start()
        child = Child(context, memory_limit)
    try:
        yield child
    except BaseException:
        child.close()
        raise
    with _lock:
        _idle.append(child)
    timer = threading.Timer(_IDLE_S, _close_if_idle, [child, child.n_shards])
    timer.daemon = True
    timer.start()


def _close_if_idle(child: Child, n_shards: int) -> None:
    with _lock:
        is_idle = child in _idle and child.n_shards == n_shards
        if is_idle:
            _idle.remove(child)
    if is_idle:
        child.close()


_lock = threading.Lock()
_idle: list[Child] = []


def nobody_knows(n_deaths: int, last: str) -> str:
    """Return the message for a file over which processes died without evidence against it."""
    return (
        f"{n_deaths} processes were ended while they extracted it, and nothing says that it is"
        f" to blame (the last: {last}): the next run tries it again"
    )


class ChildDiedError(Exception):
    """A child ended, and what that says of the file that it was at.

    Attributes
    ----------
    index : int
        Index of the file in the shard.
    kind : str, optional
        Kind of the file's error; None if nothing says that the file is to blame.
    """

    def __init__(self, index: int, kind: str | None, message: str) -> None:
        super().__init__(message)
        self.index, self.kind = index, kind


class Child:
    """A child process that extracts shards.

    Parameters
    ----------
    context : TaskContext
        Parameters of the run.
    memory_limit : int, optional
        Memory that the child may use, in bytes.

    Attributes
    ----------
    n_shards : int
        Number of shards that it was given.
    """

    def __init__(self, context: TaskContext, memory_limit: int | None) -> None:
        self._context, self._memory_limit = context, memory_limit
        self._is_ready = False
        self.n_shards = 0
        with contextlib.ExitStack() as failing:
            try:
                self._output = failing.enter_context(tempfile.TemporaryFile())
                self._connection, theirs = multiprocessing.Pipe()
                failing.enter_context(self._connection)
                with theirs:
                    self._process = _started(theirs.fileno(), self._output)
            except OSError as error:  # too many processes or open files, or a full disk
                raise ClusterError(
                    f"a worker cannot start a child process: {error.strerror or error}"
                ) from error
            failing.pop_all()
        # the parent measures the time of a file
        context = dataclasses.replace(context, file_timeout_s=math.inf, prefetch_bytes=0)
        with contextlib.suppress(OSError):  # `extract` finds out why it ended
            self._connection.send_bytes(cloudpickle.dumps((context, memory_limit)))

    def belongs_to(self, context: TaskContext, memory_limit: int | None) -> bool:
        """Return whether the child works for a run, with a memory limit."""
        return (context, memory_limit) == (self._context, self._memory_limit)

    def is_alive(self) -> bool:
        """Return whether the child can still work."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the child."""
        self._kill()
        self._connection.close()
        self._output.close()

    def extract(self, shard: Shard, on_file: OnFile) -> ShardResult:
        """Extract the files of a shard.

        Raises
        ------
        ChildDiedError
            If the child ended, or was ended because of a limit.
        ClusterError
            If the child cannot work at all.
        TableError
            If a staged file cannot be written.
        """
        paths = [path for path, _ in shard.files]
        index = 0
        if not self._is_ready:
            self._receive(index, PREPARE_S)
            self._is_ready = True
        self.n_shards += 1
        with contextlib.suppress(OSError):  # `_receive` finds out why it ended
            self._connection.send(shard)
        while True:
            what, value = self._receive(index, self._context.file_timeout_s)
            if what == "done":
                assert isinstance(value, ShardResult)
                return value
            on_file(value)
            index = paths.index(value)

    def _receive(self, index: int, timeout_s: float) -> tuple[str, Any]:
        """Return the next message of the child, which is at the file `index`."""
        ends, clock = time.monotonic() + timeout_s, StopClock()
        try:
            while not self._connection.poll(LOOK_EVERY_S / 2):
                ends += clock.stopped_s()
                self._check_limits(index, time.monotonic() > ends)
            what, value = self._connection.recv()
        except (EOFError, OSError):
            raise self._judged(index) from None
        if what == "error":
            raise value
        return what, value

    def _check_limits(self, index: int, is_late: bool) -> None:
        """Raise an error if the child exceeds a limit, after ending it."""
        limit = self._memory_limit
        if is_late:
            self._kill()
            timeout_s = self._context.file_timeout_s
            raise (
                ChildDiedError(
                    index, "timed_out", f"not done after {timeout_s:g} s (file_timeout_s)"
                )
                if self._is_ready
                else ChildDiedError(index, None, f"not ready after {PREPARE_S:g} s")
            )
        if limit is not None and self._is_ready and resident_bytes(self._process.pid) > limit:
            self._kill()
            raise ChildDiedError(
                index,
                "crashed",
                f"needs more memory than the {limit / 1e6:.0f} MB that a worker may use for a file"
                " (worker_memory)",
            )

    def _judged(self, index: int) -> Exception:
        """Return what the end of the child says."""
        try:
            code = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:  # it closed the connection
            self._kill()
            return ChildDiedError(index, "crashed", "closed the connection of its process")
        if code >= 0 and not self._is_ready:
            return ClusterError(f"a child process of a worker does not start: {self._last_line()}")
        if code >= 0:
            return ChildDiedError(index, "crashed", f"ends its process with the exit code {code}")
        name = _signal_name(-code)
        if -code in _FAULTS and self._is_ready:
            return ChildDiedError(index, "crashed", f"ends its process with {name}")
        return ChildDiedError(index, None, f"killed by {name}")

    def _last_line(self) -> str:
        self._output.seek(0)
        lines = self._output.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "no output"

    def _kill(self) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            # a process that waits for a dead mount cannot be killed: leave it behind
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)


def _started(descriptor: int, output: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            *(sys.executable, "-P", "-m", "jobs.execution.child"),
            *(str(descriptor), str(os.getpid())),
        ],
        pass_fds=(descriptor,),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env={**os.environ, **ONE_THREAD, "PYTHONPATH": python_path()},
        start_new_session=True,  # a process group of its own, away from the terminal
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def python_path() -> str:
    """Return the module search path of this process for a child."""
    own = str(Path(jobs.__file__).parents[1])
    return os.pathsep.join(dict.fromkeys([own, *(path for path in sys.path if path)]))
