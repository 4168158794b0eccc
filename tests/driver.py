"""Runs of the job in a process of their own, that can be killed, with doubles for some parts.

``python -m tests.driver [--inline] [--real] -- ARGUMENTS`` is the command ``featurelib`` with
`tests.doubles.by_content` for its extractor, unless ``--real`` is given.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.dataset  # noqa: F401 - loaded before anything is forked

import jobs.api
import jobs.cli
import jobs.run
from jobs.progress import Silent
from jobs.report import RunReport
from jobs.run import Request, run_job
from jobs.version import code_version
from tests import doubles
from tests.jobs import light

ROOT = Path(__file__).resolve().parent.parent


request_for = functools.partial(light.request, extractor=doubles.by_content)
"""Return a request whose extractor does what the files say."""


def run_inline(request: Request, reporter: Silent | None = None) -> RunReport:
    """Run a job in this process."""
    return run_job(request, light.inline, reporter)


def kill_self() -> None:
    """End this process as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


class KilledAt(Silent):
    """Kills its process when the n-th step begins, of all steps or of those of one name."""

    def __init__(self, n: int, name: str | None = None) -> None:
        self._left, self._name = n, name

    def step(self, name: str, detail: str = "") -> None:
        self._left -= self._name in (None, name)
        if not self._left:
            kill_self()


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


def run_killed_at_step(request: Request, n: int, name: str | None = None) -> None:
    run_inline(request, KilledAt(n, name))


def run_killed_at_write(request: Request, n: int) -> None:
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
    process.join(60)
    assert process.exitcode is not None
    return process.exitcode


def command(*arguments: str | Path, options: tuple[str, ...] = ()) -> list[str]:
    """Return the command line of this module."""
    return [sys.executable, "-m", __name__, *options, "--", *map(str, arguments)]


def main() -> None:
    split = sys.argv.index("--")
    options, arguments = sys.argv[1:split], sys.argv[split + 1 :]
    if "--real" not in options:
        jobs.run.Request = functools.partial(Request, extractor=doubles.by_content)  # type: ignore[misc,assignment]
    if "--inline" in options:
        jobs.api.executor_opener = lambda *_, **__: light.inline  # type: ignore
    jobs.cli.main(arguments)


if __name__ == "__main__":
    main()
