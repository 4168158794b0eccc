"""Runs in processes of their own that tell a test where they are, and wait for its word."""

from __future__ import annotations

import sys
from typing import Any

from jobs.errors import JobError
from jobs.request import RunRequest
from jobs.storage.s3 import S3Store
from tests.support import driver
from tests.support.moments import MOMENTS, at


def run_pausing(request: RunRequest, name: str, n: int, connection: Any) -> None:
    """Run a job that pauses at a moment, or at a write of a file with that in its name."""

    def pause() -> None:
        connection.send(name)
        connection.recv()

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
    try:
        driver.run_inline(request)
    except JobError as error:
        sys.exit(error.exit_code)
