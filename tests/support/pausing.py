"""Runs in processes of their own that tell a test where they are, and wait for its word."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from jobs.errors import JobError
from jobs.request import RunRequest
from jobs.storage.s3 import S3Store
from tests.support import clock, driver
from tests.support.moments import MOMENTS, at


class PausedRun:
    """A run in another process that pauses at a moment, and ends with the context.

    Parameters
    ----------
    request
        What to run.
    name
        The moment; or the run pauses at a write of a file with this in its name.
    n
        At which of them.
    in_real_time
        The run's lease is renewed while the run pauses. Otherwise its clock stands still.
    """

    def __init__(
        self, request: RunRequest, name: str, n: int = 1, *, in_real_time: bool = False
    ) -> None:
        self._here, there = driver.FORK_SERVER.Pipe()
        self._process = driver.forked(_run, request, name, n, in_real_time, there)
        self._name = name

    def __enter__(self) -> PausedRun:
        assert self._here.poll(60), "the run did not come so far"
        assert self._here.recv() == self._name
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.join()

    @property
    def pid(self) -> int:
        return self._process.pid

    def go_on(self, after_s: float = 0.0) -> None:
        """Let the run go on, after some seconds by its clock."""
        self._here.send(after_s)

    def ended(self) -> tuple[int, str]:
        """Wait for the end; return the exit code, and what the run failed with."""
        self._process.join(60)
        try:
            error = self._here.recv() if self._here.poll() else ""
        except EOFError:  # it ended without a word
            error = ""
        return self._process.exitcode, error


def _run(request: RunRequest, name: str, n: int, in_real_time: bool, connection: Any) -> None:
    lease_clock = None if in_real_time else clock.use(pytest.MonkeyPatch())

    def pause() -> None:
        connection.send(name)
        after_s = connection.recv()
        if lease_clock is not None:
            lease_clock.forward(after_s)

    left = n
    if name not in MOMENTS:
        replace = S3Store.replace

        def replacing(store: S3Store, file: str, *arguments: Any, **options: Any) -> str:
            nonlocal left
            left -= name in file
            if name in file and not left:
                pause()
            return replace(store, file, *arguments, **options)

        S3Store.replace = replacing  # type: ignore[method-assign,assignment]
    try:
        driver.run_inline(request, at(name, pause, n))
    except JobError as error:
        connection.send(str(error))
        sys.exit(error.exit_code)


def run_or_exit(request: RunRequest) -> None:
    """Run a job; exit with its exit code."""
    try:
        driver.run_inline(request)
    except JobError as error:
        sys.exit(error.exit_code)
