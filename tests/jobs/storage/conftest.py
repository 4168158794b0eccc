"""A web server with a corpus, and a folder in memory."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from jobs.storage.retry import with_retries
from tests.jobs.storage.web import Web
from tests.support.light import write


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    impatient = functools.partial(with_retries, attempts=2, max_wait_s=0.01)
    monkeypatch.setattr("jobs.storage.fsspec.with_retries", impatient)
    for i in range(3):
        write(tmp_path / "served" / "rock" / f"{i} ü.wav", "x" * (i + 1))
    server = Web(tmp_path / "served")
    yield server
    server.close()


@pytest.fixture
def memory() -> Iterator[str]:
    root = f"memory://{uuid.uuid4().hex}"
    yield root
    fs = fsspec.filesystem("memory")
    if fs.exists(root):
        fs.rm(root, recursive=True)
