"""Runs in processes of their own that tell a test where they are, and wait for its word."""

from __future__ import annotations

import sys
from typing import Any

from jobs.diagnostics.progress import Silent
from jobs.errors import JobError
from jobs.run import STEPS, RunRequest
from jobs.storage.s3 import S3Store
from tests.support import driver


class PausesAt(Silent):
    """Tells a test of a step, and waits for its word."""

    def __init__(self, name: str, n: int, connection: Any) -> None:
        self._name, self._left, self._connection = name, n, connection

    def step(self, name: str, detail: str = "") -> None:
        if name == self._name:
            self._left -= 1
            if not self._left:
                self._connection.send(name)
                self._connection.recv()


def run_pausing(request: RunRequest, name: str, n: int, connection: Any) -> None:
    """Run a job that pauses at a step, or at a write of a file with that in its name."""
    if name not in STEPS:
        replace, pauses = S3Store.replace, PausesAt(name, n, connection)

        def replacing(store: S3Store, file: str, *arguments: Any, **options: Any) -> str:
            if name in file:
                pauses.step(name)
            return replace(store, file, *arguments, **options)

        S3Store.replace = replacing  # type: ignore[method-assign,assignment]
    try:
        driver.run_inline(request, PausesAt(name, n, connection))
    except JobError as error:
        connection.send(str(error))
        sys.exit(error.exit_code)


def run_or_exit(request: RunRequest) -> None:
    try:
        driver.run_inline(request)
    except JobError as error:
        sys.exit(error.exit_code)
