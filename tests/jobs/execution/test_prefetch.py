"""How far ahead files are read, and what becomes of those that nobody takes."""

from __future__ import annotations

import dataclasses
import os
import threading
from pathlib import Path

import pytest

from jobs.execution.prefetch import Prefetch
from jobs.execution.sharding import Shard
from jobs.storage import base
from jobs.storage.base import Fetched
from jobs.storage.local import LocalStore
from tests.support.driver import wait_until
from tests.support.tables import write_files

NAMES = [f"{i:02d}.wav" for i in range(40)]


class Remote(LocalStore):
    """Files that have to be fetched into memory, as those of a bucket."""

    in_place = False

    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        self.fetched: list[str] = []
        self.closed: list[str] = []

    def fetch(self, name: str) -> Fetched:
        self.fetched.append(name)
        fetched = base.fetched_bytes(*self.read(name))

        def close() -> None:
            fetched.close()
            self.closed.append(name)

        return dataclasses.replace(fetched, close=close)


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote(write_files(tmp_path / "corpus", {name: f"play {name}" for name in NAMES}))


def shard_of(sizes: list[int]) -> Shard:
    return Shard(0, tuple((name, "listed") for name in NAMES), tuple(sizes))


def ignore(index: int) -> None:
    return


@pytest.mark.parametrize(
    ("size", "n_ahead"),
    [(0, 1), (-1, 1), (100, 16), (2**20, 16), (10 * 2**20, 6), (40 * 2**20, 1), (2**30, 1)],
)
def test_so_many_bytes_are_read_ahead_at_most(remote: Remote, size: int, n_ahead: int) -> None:
    with Prefetch(remote, shard_of([size] * len(NAMES)), 64 * 2**20, ignore) as ahead:
        for index, name in enumerate(NAMES[:20]):
            fetched = ahead.take(index)
            assert Path(os.fsdecode(fetched.source)).read_text() == f"play {name}"
            fetched.close()
            wait_until(lambda n=index: len(remote.fetched) == n + 1 + n_ahead, "the next files")


def test_what_was_read_for_nobody_is_closed(remote: Remote) -> None:
    with Prefetch(remote, shard_of([100] * len(NAMES)), 2**20, ignore) as ahead:
        ahead.take(0).close()
        wait_until(lambda: len(remote.fetched) == 17, "the next files")
        assert remote.closed == NAMES[:1]
    wait_until(lambda: sorted(remote.closed) == sorted(remote.fetched), "closed files")


@pytest.mark.parametrize("n_threads", [0, 1, 3])
def test_where_no_thread_can_be_started_files_keep_their_contents(
    remote: Remote, monkeypatch: pytest.MonkeyPatch, n_threads: int
) -> None:
    start, started = threading.Thread.start, []

    def limited(thread: threading.Thread) -> None:
        if thread.name.startswith("prefetch"):
            if len(started) == n_threads:
                raise RuntimeError("can't start new thread")
            started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with Prefetch(remote, shard_of([100] * len(NAMES)), 2**20, ignore) as ahead:
        for index, name in enumerate(NAMES):
            fetched = ahead.take(index)
            assert Path(os.fsdecode(fetched.source)).read_text() == f"play {name}"
            fetched.close()
    assert len(started) == n_threads
