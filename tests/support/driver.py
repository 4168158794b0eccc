"""Runs of the job in a process of their own, that can be killed, with doubles for some parts.

``python -m tests.support.driver [--inline] [--real] -- ARGUMENTS`` is the command ``featurelib``
with
`tests.support.doubles.by_content` for its extractor, unless ``--real`` is given.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow.dataset  # noqa: F401 - loaded before anything is forked
import s3fs  # noqa: F401

import jobs.cli
import jobs.execution.opening
import jobs.request
from jobs.diagnostics.events import Observer, ignore
from jobs.diagnostics.run_report import RunReport
from jobs.execution.version import code_version
from jobs.request import RunRequest
from jobs.run import run_job
from tests.support import doubles, light
from tests.support.moments import at

ROOT = Path(__file__).resolve().parents[2]


request_for = functools.partial(light.request, extractor=doubles.by_content)
"""Return a request whose extractor does what the files say."""


def run_inline(request: RunRequest, observer: Observer = ignore) -> RunReport:
    """Run a job in this process."""
    return run_job(request, light.inline, observer)


def kill_self() -> None:
    """End this process as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at_write(table: str | Path, n: int) -> None:
    """Kill this process just before the n-th change to the files below a table.

    What is written to temporary files does not count: no other part of the job reads it.
    """
    root, left = os.fspath(table), n

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event == "open":
            path, _, flags = arguments
            if not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event in ("os.rename", "os.remove", "os.mkdir"):
            path = arguments[1] if event == "os.rename" else arguments[0]
        else:
            return
        path = os.fsdecode(path) if isinstance(path, str | bytes) else ""
        if path.startswith(root) and not path.startswith(f"{root}/_job/tmp/"):
            left -= 1
            if not left:
                kill_self()

    sys.addaudithook(hook)


def run_killed_at_step(request: RunRequest, n: int, name: str | None = None) -> None:
    run_inline(request, at(name, kill_self, n))


def run_killed_at_write(request: RunRequest, n: int) -> None:
    kill_at_write(request.table, n)
    run_inline(request)


code_version()  # is remembered, for all that are forked

FORK_SERVER = multiprocessing.get_context("forkserver")
FORK_SERVER.set_forkserver_preload([__name__])


def forked(target: Callable[..., Any], *arguments: Any) -> Any:
    """Start a function in a process forked from one that has everything imported already."""
    process = FORK_SERVER.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def exit_code_of(target: Callable[..., Any], *arguments: Any) -> int:
    """Run a function in a forked process to its end; return its exit code, -9 if killed."""
    process = forked(target, *arguments)
    process.join(120)
    assert process.exitcode is not None
    return process.exitcode


class Command:
    """A command in a process group of its own, as a terminal starts one; see `started`."""

    def __init__(self, line: list[str], folder: Path) -> None:
        self._out, self._err = folder / "stdout", folder / "stderr"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                start_new_session=True,
            )

    @property
    def stdout(self) -> str:
        return self._out.read_text()

    @property
    def stderr(self) -> str:
        return self._err.read_text()

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def wait(self, timeout: float = 120) -> int:
        """Wait for the end and return the exit code; fail and tell what it is at if it is late."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGUSR1)  # see `main`
            wait_until(lambda: "Current thread" in self.stderr, "a traceback", 10)
            raise AssertionError(f"not ended after {timeout} s:\n{self.stderr}") from None

    def family(self) -> list[psutil.Process]:
        """Return the process and all that it started."""
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]


@contextlib.contextmanager
def started(
    *arguments: str | Path, folder: Path, options: tuple[str, ...] = ()
) -> Iterator[Command]:
    """Start the command ``featurelib`` through this module; end all of it with the context.

    Parameters
    ----------
    *arguments
        What follows ``featurelib``.
    folder
        Where its output is kept.
    options
        Of this module.
    """
    line = [sys.executable, "-m", "tests.support.driver", *options, "--", *map(str, arguments)]
    with running(line, folder) as command:
        yield command


@contextlib.contextmanager
def running(line: list[str], folder: Path) -> Iterator[Command]:
    """Start a command; end all of it with the context. If a test fails, print what it said."""
    command = Command(line, Path(tempfile.mkdtemp(dir=folder)))
    try:
        yield command
    except BaseException:
        print(command.stderr)
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(command.process.pid, signal.SIGKILL)
        command.process.wait()


def wait_until(condition: Callable[[], Any], what: str, timeout: float = 120) -> None:
    """Wait for a condition; fail after `timeout` seconds."""
    ends = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < ends, f"not so after {timeout} s: {what}"
        time.sleep(0.02)


def wait_until_gone(processes: list[psutil.Process], timeout: float = 120) -> None:
    """Wait until none of the processes is alive."""
    _, alive = psutil.wait_procs(processes, timeout)
    assert alive == []


def main() -> None:
    faulthandler.register(signal.SIGUSR1)
    split = sys.argv.index("--")
    options, arguments = sys.argv[1:split], sys.argv[split + 1 :]
    if "--real" not in options:
        jobs.request.RunRequest = functools.partial(RunRequest, extractor=doubles.by_content)  # type: ignore[misc,assignment]
    if "--inline" in options:
        jobs.execution.opening.executor_opener = lambda *_, **__: light.inline  # type: ignore
    jobs.cli.main(arguments)


if __name__ == "__main__":
    main()
