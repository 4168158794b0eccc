"""Workers that die, freeze or have too little memory: the run goes on, or says why it cannot."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import dask
import distributed
import pytest

from jobs.diagnostics.events import Event, Note, Waiting
from jobs.diagnostics.run_report import RunReport
from jobs.errors import ClusterError
from jobs.execution.clusters import open_cluster
from jobs.execution.dask import DaskExecutor
from jobs.execution.opening import executor_opener
from jobs.execution.sharding import Shard
from jobs.request import RunRequest
from jobs.run import run_job
from jobs.settings import Settings
from jobs.storage.opening import open_store
from tests.jobs.execution.test_dask import job_for
from tests.support import driver
from tests.support.doubles import Gate
from tests.support.driver import wait_until
from tests.support.tables import (
    assert_same_table,
    assert_tidy,
    errors_of,
    paths_of,
    write_files,
)


def tunes(n: int, seconds: float = 0.0) -> dict[str, str]:
    return {f"rock/{i:04d}.wav": f"work {seconds:g} {i}" for i in range(n)}


def pids(cluster: distributed.LocalCluster) -> list[int]:
    """Return the processes of the workers."""
    return [nanny.pid for nanny in list(cluster.workers.values()) if nanny.pid]


class Disturbance:
    """Something that happens to the workers of an embedded cluster while a run is on it."""

    def __init__(self, settings: Settings, act: Callable[[distributed.LocalCluster], None]) -> None:
        self.settings, self._act = settings, act
        self.over = threading.Event()

    @contextlib.contextmanager
    def __call__(self) -> Iterator[Any]:
        with (
            open_cluster(self.settings) as (client, _),
            executor_opener(self.settings, client)() as executor,
        ):
            thread = threading.Thread(target=self._act, args=(client.cluster,), daemon=True)
            thread.start()
            try:
                yield executor
            finally:
                self.over.set()
                thread.join()


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def run_disturbed(
    request: RunRequest, act: Callable[[distributed.LocalCluster], None]
) -> tuple[RunReport, list[Event]]:
    events: list[Event] = []
    disturbance = Disturbance(request.settings, act)
    return run_job(request, disturbance, events.append), events


def assert_undisturbed(request: RunRequest, folder: Path) -> None:
    """Run again, if files are left, and compare with a run that nothing disturbed."""
    assert set(errors_of(request.table).values()) <= {"unreadable"}
    driver.run_inline(request)
    undisturbed = driver.request_for(request.corpus, folder, labels="parent")
    driver.run_inline(undisturbed)
    assert_same_table(request.table, folder)
    assert_tidy(request.table)


@pytest.mark.slow
def test_workers_killed_every_two_seconds_for_a_minute(tmp_path: Path) -> None:
    corpus = write_files(tmp_path / "corpus", tunes(400, 0.05))
    request = driver.request_for(corpus, tmp_path / "table", labels="parent", workers=2)
    chance, n_killed = random.Random(1), 0

    def act(cluster: distributed.LocalCluster) -> None:
        nonlocal n_killed
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            if alive := pids(cluster):
                kill(chance.choice(alive))
                n_killed += 1
            time.sleep(2)

    report, _ = run_disturbed(request, act)
    assert n_killed >= 25
    assert report.n_files + report.n_errors == 400
    assert_undisturbed(request, tmp_path / "undisturbed")


@pytest.mark.slow
def test_workers_killed_at_their_start(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    files = tunes(60, 0.01) | {"rock/gate.wav": f"gate {gate.folder}"}
    corpus = write_files(tmp_path / "corpus", files)
    request = driver.request_for(corpus, tmp_path / "table", labels="parent", workers=2)
    seen: set[int] = set()

    def act(cluster: distributed.LocalCluster) -> None:
        while len(seen) < 10:  # each as soon as it is there
            for pid in pids(cluster):
                if pid not in seen:
                    seen.add(pid)
                    kill(pid)
            time.sleep(0.01)
        gate.open()

    report, _ = run_disturbed(request, act)
    assert report.n_files + report.n_errors == 61
    assert_undisturbed(request, tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_worker_that_starts_slowly_after_a_death(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    files = tunes(20) | {"rock/gate.wav": f"gate {gate.folder}"}
    corpus = write_files(tmp_path / "corpus", files)
    request = driver.request_for(corpus, tmp_path / "table", labels="parent", workers=2)

    def act(cluster: distributed.LocalCluster) -> None:
        wait_until(lambda: bool(gate.pids), "a file at the gate")
        for pid in pids(cluster):
            kill(pid)
        wait_until(lambda: len(cluster.scheduler.workers) == 2, "both workers are back")
        gate.open()

    # longer than Dask's lost-worker-timeout
    with dask.config.set({"distributed.worker.preload": ["import time; time.sleep(18)"]}):
        report, _ = run_disturbed(request, act)
    assert (report.n_files, report.n_errors) == (21, 0)


@pytest.mark.slow
def test_a_frozen_worker_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.execution.dask._GRACE_S", 1.0)
    gate = Gate(tmp_path / "gate")
    files = tunes(30, 0.05) | {"rock/gate.wav": f"gate {gate.folder}"}
    corpus = write_files(tmp_path / "corpus", files)
    request = driver.request_for(
        corpus, tmp_path / "table", labels="parent", workers=2, file_timeout_s=8.0
    )

    def act(cluster: distributed.LocalCluster) -> None:
        wait_until(lambda: bool(gate.pids), "a file at the gate")
        kill(gate.pids[0], signal.SIGSTOP)
        gate.open()

    started = time.monotonic()
    report, events = run_disturbed(request, act)
    assert time.monotonic() - started < 60
    assert (report.n_files, report.n_errors) == (31, 0)
    [note] = [event.text for event in events if isinstance(event, Note)]
    assert "has given no sign for 9 s" in note
    assert note.endswith(": it is restarted, and its files go to others")
    assert_undisturbed(request, tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_shard_that_waits_at_a_busy_worker_gives_no_sign_and_need_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.execution.dask._GRACE_S", 0.5)
    files = tunes(20, 0.3)
    context = job_for(write_files(tmp_path / "corpus", files), tmp_path / "table")
    shards = [Shard(0, tuple((path, "1") for path in paths)) for paths in batched(files, 10)]
    events: list[Event] = []
    with (
        # Dask's own configuration, which gives a worker of one thread two shards
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        executor = DaskExecutor(client, Settings(file_timeout_s=1.5))
        table = open_store(context.table)
        results = list(executor.run(context, shards, table, events.append))
    assert sum(result.n_files for result in results) == 20
    assert [event for event in events if isinstance(event, Note)] == []


def batched(paths: Iterable[str], n: int) -> list[list[str]]:
    every = list(paths)
    return [every[start : start + n] for start in range(0, len(every), n)]


_IMPATIENT = """
import jobs.execution.dask as dask
dask._SCHEDULER_S = 6.0
from tests.support import driver
driver.main()
"""


@pytest.mark.slow
def test_a_run_that_was_stopped_for_a_while_goes_on(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    files = tunes(20) | {"rock/gate.wav": f"gate {gate.folder}"}
    corpus, table = write_files(tmp_path / "corpus", files), tmp_path / "table"
    config = write_files(tmp_path, {"config.toml": "[run]\nfile_timeout_s = 6.0\n"}) / "config.toml"
    arguments = ["--", "extract", str(corpus), "--output", str(table), "--workers", "2"]
    arguments += ["--config", str(config)]
    with driver.running([sys.executable, "-c", _IMPATIENT, *arguments], tmp_path) as command:
        wait_until(lambda: bool(gate.pids), "a file at the gate")
        os.killpg(command.process.pid, signal.SIGSTOP)  # Ctrl-Z
        time.sleep(8)
        os.killpg(command.process.pid, signal.SIGCONT)
        gate.open()
        code = command.wait()
        assert (code, command.stderr) == (0, "extracting: 21 files\n")
    assert len(paths_of(table)) == 21


@pytest.mark.slow
def test_a_memory_limit_too_small_for_one_file(tmp_path: Path) -> None:
    corpus = write_files(tmp_path / "corpus", tunes(40) | {"rock/eat.wav": "eat"})
    request = driver.request_for(
        corpus, tmp_path / "table", labels="parent", workers=2, worker_memory="600MB"
    )
    events: list[Event] = []
    report = run_job(request, executor_opener(request.settings), events.append)
    assert errors_of(request.table) == {"rock/eat.wav": "crashed"}
    assert paths_of(request.table) == sorted(tunes(40))
    assert report.n_files + report.n_errors == 41
    [failure] = [f for f in report_failures(events) if f.path == "rock/eat.wav"]
    assert failure.message.startswith("needs more memory than the 540 MB that a worker may use")
    [note] = [event.text for event in events if isinstance(event, Note)]
    assert "may use 540 MB, at rock/eat.wav: it was ended" in note


def report_failures(events: list[Event]) -> list[Any]:
    from jobs.diagnostics.events import ShardDone

    return [f for e in events if isinstance(e, ShardDone) for f in e.result.failures]


def test_a_memory_limit_too_small_for_anything(tmp_path: Path) -> None:
    corpus = write_files(tmp_path / "corpus", tunes(4))
    request = driver.request_for(
        corpus, tmp_path / "table", labels="parent", workers=1, worker_memory="50MB"
    )
    with pytest.raises(ClusterError) as raised:
        run_job(request, executor_opener(request.settings))
    assert "of memory before its first file, and may use 45 MB" in str(raised.value)
    assert str(raised.value).endswith("give it more with --worker-memory")


KILLERS = {
    "rock/segv.wav": ("signal 11", "crashed", "ends its process with SIGSEGV"),
    "rock/exit.wav": ("exit 7", "crashed", "ends its process with the exit code 7"),
    "rock/eat.wav": ("eat", "crashed", "needs more memory than the 540 MB"),
    "rock/hang.wav": ("hang", "timed_out", "not done after 6 s (file_timeout_s)"),
}


@pytest.mark.slow
def test_files_that_kill_among_a_thousand_while_workers_die_at_random(tmp_path: Path) -> None:
    texts = {path: text for path, (text, _, _) in KILLERS.items()}
    corpus = write_files(tmp_path / "corpus", tunes(1000, 0.01) | texts)
    request = driver.request_for(
        corpus,
        tmp_path / "table",
        labels="parent",
        workers=2,
        worker_memory="600MB",
        file_timeout_s=6.0,
    )
    chance = random.Random(2)

    def act(cluster: distributed.LocalCluster) -> None:
        for _ in range(8):
            time.sleep(3)
            if alive := pids(cluster):
                kill(chance.choice(alive))

    report, events = run_disturbed(request, act)
    assert report.n_files + report.n_errors == 1004
    failures = {f.path: (f.kind, f.message) for f in report_failures(events)}
    assert set(failures) == set(KILLERS)
    if failures["rock/hang.wav"][0] == "unreadable":
        # its 6 s did not fit between the kills in five attempts: the next run tries it again
        assert failures["rock/hang.wav"][1].startswith("5 processes were ended while")
        again: list[Event] = []
        run_job(request, executor_opener(request.settings), again.append)
        failures |= {f.path: (f.kind, f.message) for f in report_failures(again)}
    for path, (_, kind, message) in KILLERS.items():
        assert failures[path][0] == kind
        assert failures[path][1].startswith(message)


@pytest.mark.slow
def test_an_adaptive_cluster_that_begins_with_no_worker(tmp_path: Path) -> None:
    corpus = write_files(tmp_path / "corpus", tunes(60, 0.1))
    request = driver.request_for(corpus, tmp_path / "table", labels="parent")
    most = 0
    with (
        distributed.LocalCluster(
            n_workers=0,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        cluster.adapt(minimum=0, maximum=2, interval="200ms")

        def count(event: Event) -> None:
            nonlocal most
            most = max(most, len(cluster.scheduler.workers))

        opener = executor_opener(request.settings, client)
        report = run_job(request, opener, count)
    assert (report.n_files, report.n_errors, most) == (60, 0, 2)


@pytest.mark.slow
def test_what_the_run_waits_for_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.execution.dask._WAITING_AFTER_S", 1.0)
    gate = Gate(tmp_path / "gate")
    corpus = write_files(tmp_path / "corpus", {"rock/a.wav": f"gate {gate.folder}"})
    request = driver.request_for(corpus, tmp_path / "table", labels="parent", workers=1)
    events: list[Event] = []

    def note(event: Event) -> None:
        events.append(event)
        if isinstance(event, Waiting):
            gate.open()

    run_job(request, executor_opener(request.settings), note)
    [waiting] = [event.what_for for event in events if isinstance(event, Waiting)]
    assert "has given no sign for" in waiting
    assert "at rock/a.wav (file_timeout_s is 600 s)" in waiting


def test_no_worker_comes(tmp_path: Path) -> None:
    corpus = write_files(tmp_path / "corpus", tunes(2))
    request = driver.request_for(
        corpus, tmp_path / "table", labels="parent", first_worker_timeout_s=1.5
    )
    with (
        distributed.LocalCluster(
            n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
        pytest.raises(
            ClusterError, match=r"no worker came within 1.5 s \(first_worker_timeout_s\)"
        ),
    ):
        run_job(request, executor_opener(request.settings, client))
