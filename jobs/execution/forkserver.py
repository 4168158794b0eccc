"""Fork worker processes from a server that has imported this package.

Importing Dask, numba and the kernels takes two seconds of processor time. The server pays it
once, while the driver lists and plans. It is like multiprocessing's ``forkserver``, with three
differences:

- It is this module's own, so a program that uses ``forkserver`` itself is not affected.
- Its environment gives native libraries one thread, and `jobs.execution.preloaded`
  checks that it has no thread or event loop before it forks.
- Workers do not import the caller's script. It needs no ``if __name__ == "__main__":``, and it
  may come from standard input.

The server ends when the driver and all workers have ended, also if the driver is killed.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing import context, process, resource_tracker, spawn, util
from multiprocessing.context import reduction, set_spawning_popen  # type: ignore[attr-defined]
from typing import Any

from jobs.execution.native import ONE_THREAD
from jobs.settings import LOCAL, Settings
from jobs.storage.urls import is_url
from jobs.table.layout import TABLE_JSON

#: Name of the start method for Dask (``distributed.worker.multiprocessing-method``).
METHOD = "featurelib"

#: `VARIABLE` and `WARNED` of `featurelib.kernels.choice`, which would import NumPy here.
KERNELS, CACHE_WARNED = "FEATURELIB_KERNELS", "FEATURELIB_CACHE_WARNED"

_PRELOADED = "jobs.execution.preloaded"

#: One of Arrow's memory pools starts a thread when it is loaded, which no fork would inherit.
_NO_ARROW_THREAD = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}


_n_users = 0
_counting = threading.Lock()


def start() -> str:
    """Start the server if it does not run yet; return at once, while it imports.

    Each caller calls `stop` when it needs no more workers.

    Returns
    -------
    str
        The start method to use: `METHOD`, or ``spawn`` where there can be no such server.
    """
    global _n_users
    with _counting:
        _n_users += 1
    if _server is None:
        return "spawn"
    try:
        _server.ensure_running()
    except OSError:  # TMPDIR is full, or its name is too long for a socket
        return "spawn"
    return METHOD


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Context manager for the server; yields the start method, see `start`."""
    method = start()
    try:
        yield method
    finally:
        stop()


@contextlib.contextmanager
def ahead_of(settings: Settings, table: str) -> Iterator[None]:
    """Context manager for a run: start the server at once if it is certain to be needed.

    That is so if there is no table yet. A run on an existing table may find nothing new, so it
    starts the server after planning.
    """
    path = None if is_url(table) else os.path.join(table, TABLE_JSON)
    is_new = path is not None and not os.path.exists(path)
    is_certain = settings.cluster == LOCAL and (is_new or settings.recompute)
    with serving() if is_certain else contextlib.nullcontext():
        yield


def stop() -> None:
    """End the server if nobody else uses it."""
    global _n_users
    with _counting:
        _n_users = max(0, _n_users - 1)
        if _server is not None and _n_users == 0:
            _server.stop()


def _check_used() -> None:
    """Raise an error if the server was stopped: it must not start again for a late worker."""
    if not _n_users:
        raise ConnectionError("the server that forks workers has ended, as its run did")


@contextlib.contextmanager
def signals_kept_from_children() -> Iterator[None]:
    """Keep Ctrl-C and SIGTERM from the workers, which the driver ends.

    A terminal sends Ctrl-C to all processes, which would print tracebacks, and systemd sends
    SIGTERM to all: the driver would start the workers again while it wants to end. Both signals
    are blocked in all threads that are started meanwhile, and in all processes that these
    threads start, now or later.
    """
    # start it now: when multiprocessing starts its resource tracker, it unblocks both
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """Set the environment in which the server starts."""
    values = {
        **ONE_THREAD,
        **_NO_ARROW_THREAD,
        # the server must find the packages that the driver has, not those of the current folder
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        "PYTHONSAFEPATH": "1",
    }
    if not os.environ.get(KERNELS):
        values[CACHE_WARNED] = "1"  # the driver tries a kernel too, and warns
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


try:
    from multiprocessing import forkserver, popen_forkserver
except ImportError:  # Windows
    _server = None
else:

    class _Server(forkserver.ForkServer):
        _forkserver_pid: int | None  # of the base class
        _preload_modules: list[str]

        def __init__(self) -> None:
            super().__init__()
            self.set_forkserver_preload([_PRELOADED])
            self._giving_up = threading.Lock()

        def give_up_preloading(self) -> None:
            """Serve from a process that has imported nothing, if preloading has ended it."""
            with self._giving_up:
                if self._preload_modules:
                    self.stop()
                    self.set_forkserver_preload([])

        def ensure_running(self) -> None:
            if not self._is_running():
                with signals_kept_from_children(), _environment():
                    super().ensure_running()

        def _is_running(self) -> bool:
            if self._forkserver_pid is None:
                return False
            how = os.WEXITED | os.WNOHANG | os.WNOWAIT
            return os.waitid(os.P_PID, self._forkserver_pid, how) is None

        def stop(self) -> None:
            if self._forkserver_pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._forkserver_pid, signal.SIGKILL)
                with contextlib.suppress(OSError):
                    self._stop()  # type: ignore[attr-defined]

    class _Popen(popen_forkserver.Popen):
        _fds: list[int]  # of the base class

        def _launch(self, process_obj: process.BaseProcess) -> None:
            # as in the base class, but with this module's server, and without the main module
            data = spawn.get_preparation_data(process_obj.name)
            for name in ("init_main_from_name", "init_main_from_path"):
                data.pop(name, None)
            buffer = io.BytesIO()
            set_spawning_popen(self)
            try:
                reduction.dump(data, buffer)
                reduction.dump(process_obj, buffer)
            finally:
                set_spawning_popen(None)
            assert _server is not None
            _check_used()
            try:
                self._fork(_server, buffer)
            except (OSError, EOFError):
                _check_used()  # else preloading found threads, or failed
                _server.give_up_preloading()
                self._fork(_server, buffer)

        def _fork(self, server: _Server, buffer: io.BytesIO) -> None:
            self.sentinel, write = server.connect_to_new_process(self._fds)
            kept = os.dup(write)  # its end tells the child that this process has ended
            close: Any = util.close_fds  # type: ignore[attr-defined]
            self.finalizer = util.Finalize(self, close, (kept, self.sentinel))
            with open(write, "wb") as file:
                file.write(buffer.getbuffer())
            self.pid = forkserver.read_signed(self.sentinel)

    class _Process(process.BaseProcess):
        _start_method = "forkserver"

        @staticmethod
        def _Popen(process_obj: process.BaseProcess) -> _Popen:  # noqa: N802 - the base class's name
            return _Popen(process_obj)

    class _Context(context.BaseContext):
        _name = METHOD
        Process = _Process

    _server: _Server | None = _Server()  # type: ignore[no-redef]
    # the only way to make a start method known by name, which is what Dask takes
    context._concrete_contexts[METHOD] = _Context()  # type: ignore[attr-defined]
