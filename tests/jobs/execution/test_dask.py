"""Shards on a real Dask cluster: deaths, hangs and greed cost the one file that is to blame."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import distributed
import pytest

import jobs.execution.version
from jobs.diagnostics.run_report import RunReport
from jobs.errors import ClusterError
from jobs.execution.clusters import open_cluster
from jobs.execution.context import TaskContext
from jobs.execution.dask import DaskExecutor
from jobs.execution.opening import executor_opener
from jobs.execution.sharding import Shard
from jobs.execution.version import code_version
from jobs.execution.watch import ClusterWatch
from jobs.execution.workers import check_workers
from jobs.request import RunRequest
from jobs.run import run_job
from jobs.settings import Settings
from jobs.storage.opening import open_store
from tests.support import doubles, driver
from tests.support.doubles import Gate
from tests.support.driver import wait_until
from tests.support.tables import (
    assert_same_table,
    assert_tidy,
    errors_of,
    log_of,
    paths_of,
    write_files,
)


@pytest.fixture(scope="module")
def client() -> Iterator[distributed.Client]:
    """Give an embedded cluster of two workers, for tests that leave its workers alive."""
    with open_cluster(Settings(workers=2)) as (client, _):
        yield client


def run_on(client: distributed.Client, request: RunRequest) -> RunReport:
    return run_job(request, executor_opener(request.settings, client))


def n_running(dask_worker: distributed.Worker) -> int:
    """Return how many tasks a worker runs, also of those that nobody wants any more."""
    return len(dask_worker.state.executing)


def tunes(n: int, folder: str = "rock") -> dict[str, str]:
    return {f"{folder}/{i:02d}.wav": f"play {i}" for i in range(n)}


def undisturbed(corpus: Path, table: Path, **settings: Any) -> Path:
    driver.run_inline(driver.request_for(corpus, table, labels="parent", **settings))
    return table


def test_a_run_on_a_callers_client(tmp_path: Path, client: distributed.Client) -> None:
    corpus = write_files(tmp_path / "corpus", tunes(30) | {"pop/bad.wav": "bad"})
    request = driver.request_for(corpus, tmp_path / "table", labels="parent", buckets=2)
    report = run_on(client, request)
    assert (report.n_files, report.n_errors, report.n_read) == (30, 1, 31)
    assert_same_table(request.table, undisturbed(corpus, tmp_path / "inline", buckets=2))
    assert_tidy(request.table)
    assert client.status == "running"  # it is the caller's to close


def test_one_files_failure_costs_one_row(tmp_path: Path, client: distributed.Client) -> None:
    odd = {
        "rock/bad.wav": "bad",
        "rock/unreadable.wav": "unreadable",
        "rock/surprise.wav": "surprise me",
    }
    corpus = write_files(tmp_path / "corpus", tunes(20) | odd)
    request = driver.request_for(corpus, tmp_path / "table", labels="parent")
    run_on(client, request)
    kinds = {"bad": "undecodable", "unreadable": "unreadable", "surprise": "crashed"}
    assert errors_of(request.table) == {f"rock/{name}.wav": kind for name, kind in kinds.items()}
    assert paths_of(request.table) == sorted(tunes(20))
    [line] = [line for line in log_of(request.table) if line.get("kind") == "crashed"]
    assert line["message"] == "unforeseen ZeroDivisionError: me"
    assert "in _surprise" in line["details"]


@pytest.mark.slow
def test_what_kills_hangs_or_eats_memory_is_named_and_nothing_else(tmp_path: Path) -> None:
    odd = {"rock/exit.wav": "exit 1", "rock/hang.wav": "hang", "rock/eat.wav": "eat"}
    corpus = write_files(tmp_path / "corpus", tunes(40) | odd)
    request = driver.request_for(
        corpus,
        tmp_path / "table",
        labels="parent",
        workers=2,
        worker_memory="600MB",
        file_timeout_s=5.0,
    )
    report = run_job(request, executor_opener(request.settings))
    kinds = {"exit": "crashed", "hang": "timed_out", "eat": "crashed"}
    assert errors_of(request.table) == {f"rock/{name}.wav": kind for name, kind in kinds.items()}
    assert paths_of(request.table) == sorted(tunes(40))
    assert report.n_files + report.n_errors == report.n_read == 43
    assert_tidy(request.table)


@pytest.mark.slow
def test_a_file_that_hangs_is_tried_once(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    hanging = {"rock/07.wav": f"gate {gate.folder}"}
    corpus = write_files(tmp_path / "corpus", tunes(40) | hanging)
    request = driver.request_for(
        corpus, tmp_path / "table", labels="parent", workers=2, file_timeout_s=2.0
    )
    report = run_job(request, executor_opener(request.settings))
    assert len(gate.pids) == 1
    assert errors_of(request.table) == {"rock/07.wav": "timed_out"}
    assert (report.n_files, report.n_errors) == (39, 1)
    assert_tidy(request.table)


def test_a_worker_killed_in_mid_shard_costs_nothing(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    corpus = write_files(
        tmp_path / "corpus", tunes(20) | {"rock/at-gate.wav": f"gate {gate.folder}"}
    )
    request = driver.request_for(corpus, tmp_path / "table", labels="parent", workers=2)

    def kill_the_worker() -> None:
        wait_until(lambda: bool(gate.pids), "a file at the gate")
        os.kill(gate.pids[0], signal.SIGKILL)
        gate.open()  # for the next one

    thread = threading.Thread(target=kill_the_worker)
    thread.start()
    report = run_job(request, executor_opener(request.settings))
    thread.join()
    assert len(gate.pids) == 2
    assert len(set(gate.pids)) == 2
    assert (report.n_files, report.n_errors) == (21, 0)
    assert_same_table(request.table, undisturbed(corpus, tmp_path / "inline"))
    assert_tidy(request.table)


def test_the_users_own_process_is_not_ended_for_its_memory(tmp_path: Path) -> None:
    corpus = write_files(tmp_path / "corpus", tunes(5))
    request = driver.request_for(corpus, tmp_path / "table")
    with (
        distributed.LocalCluster(
            n_workers=1, processes=False, memory_limit="20MB", dashboard_address=None
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        assert run_on(client, request).n_files == 5


def test_shards_in_flight_are_bounded(tmp_path: Path, client: distributed.Client) -> None:
    in_flight, most, n_submitted = 0, 0, 0

    class Counts:
        """The client, and a count of what was submitted and is not done."""

        def submit(self, *arguments: Any, **keywords: Any) -> distributed.Future:
            nonlocal in_flight, most, n_submitted
            n_submitted += 1
            in_flight += 1
            most = max(most, in_flight)
            return client.submit(*arguments, **keywords)

        def __getattr__(self, name: str) -> Any:
            return getattr(client, name)

    corpus = write_files(tmp_path / "corpus", tunes(50))
    job = job_for(corpus, tmp_path / "table")
    shards = [Shard(0, ((path, "1"),)) for path in tunes(50)]
    taken = 0

    def shards_one_by_one() -> Iterator[Shard]:
        nonlocal taken
        for shard in shards:
            taken += 1
            yield shard

    results = DaskExecutor(Counts(), Settings()).run(
        job, shards_one_by_one(), open_store(str(tmp_path))
    )
    for _ in results:
        assert taken == n_submitted  # nothing is taken that is not needed yet
        in_flight -= 1
    assert n_submitted == 50
    assert 4 <= most <= 6  # two workers of one thread, three shards each


class Stand:
    """A client in whose place some methods stand in."""

    def __init__(self, client: distributed.Client, **methods: Any) -> None:
        self._client, self._methods = client, methods

    def __getattr__(self, name: str) -> Any:
        return self._methods.get(name) or getattr(self._client, name)


def test_ctrl_c_does_not_wait_for_kernels(tmp_path: Path, client: distributed.Client) -> None:
    goes_on, is_prepared = threading.Event(), threading.Event()
    handlers: list[Any] = []

    def run(*arguments: Any, **keywords: Any) -> None:
        handlers[0]((0.0, [1, 9]))
        goes_on.wait(10)
        is_prepared.set()

    def interrupt(n_done: int, n_kernels: int) -> None:
        raise KeyboardInterrupt

    stand = Stand(client, run=run, subscribe_topic=lambda name, hear: handlers.append(hear))
    with pytest.raises(KeyboardInterrupt):
        DaskExecutor(stand, Settings()).prepare(job_for(tmp_path, tmp_path / "table"), interrupt)
    assert not is_prepared.is_set()
    goes_on.set()


def test_ctrl_c_is_not_lost_while_dask_forgets_a_task(
    tmp_path: Path, client: distributed.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget, n_forgotten = distributed.Future.__del__, 0

    def interrupted(future: distributed.Future) -> None:
        nonlocal n_forgotten
        forget(future)
        n_forgotten += 1
        if n_forgotten == 1:
            signal.raise_signal(signal.SIGINT)  # Python drops what a `__del__` raises

    corpus = write_files(tmp_path / "corpus", tunes(40))
    request = driver.request_for(corpus, tmp_path / "table", labels="parent", workers=2)
    monkeypatch.setattr(distributed.Future, "__del__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_on(client, request)
    assert n_forgotten
    monkeypatch.undo()
    # Dask cannot end a task that runs already: it stages its rows, which the next run clears away
    wait_until(lambda: not any(client.run(n_running).values()), "the first run's tasks ended")
    assert run_on(client, request).n_files == 40
    assert_tidy(request.table)


def test_an_interrupted_run_leaves_no_tasks_to_a_callers_cluster(
    tmp_path: Path, client: distributed.Client
) -> None:
    gate = Gate(tmp_path / "gate")
    files = tunes(20) | {"rock/at-gate.wav": f"gate {gate.folder}"}
    job = job_for(write_files(tmp_path / "corpus", files), tmp_path / "table")
    shards = [Shard(0, ((path, "1"),)) for path in reversed(files)]
    results = DaskExecutor(client, Settings()).run(job, shards, open_store(str(tmp_path)))
    next(results)
    wait_until(lambda: bool(gate.pids), "a file at the gate")
    with pytest.raises(KeyboardInterrupt) as interruption:
        results.throw(KeyboardInterrupt())
    wait_until(lambda: not any(client.processing().values()), "no task is wanted")
    assert interruption.tb is not None  # as `sys.last_traceback` in a notebook
    gate.open()
    wait_until(lambda: not any(client.run(n_running).values()), "no task runs")


def test_a_scheduler_that_does_not_answer_once_is_asked_again(
    client: distributed.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.execution.watch._LOOK_EVERY_S", 0.01)
    n_asked = 0

    def processing() -> Any:
        nonlocal n_asked
        n_asked += 1
        if n_asked == 3:
            raise TimeoutError("no answer")
        return client.processing()

    with ClusterWatch(Stand(client, processing=processing)) as watch:
        wait_until(lambda: n_asked > 3, "asked again", 5)
        assert watch.state.n_threads == 2


def test_a_frozen_worker_does_not_hold_the_start(
    tmp_path: Path, client: distributed.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.execution.dask._SILENT_S", 0.1)
    monkeypatch.setattr("jobs.execution.workers._ANSWER_S", 0.1)
    answers, n_answers = threading.Event(), 0

    def run(*arguments: Any, **keywords: Any) -> None:
        nonlocal n_answers
        answers.wait(5)
        n_answers += 1

    stand = Stand(client, run=run)
    check_workers(stand)
    DaskExecutor(stand, Settings()).prepare(
        job_for(tmp_path, tmp_path / "table"), lambda n_done, n_kernels: None
    )
    assert n_answers == 0
    answers.set()


def job_for(corpus: Path, table: Path, **values: Any) -> TaskContext:
    return dataclasses.replace(
        TaskContext(
            "run", str(corpus), str(table), doubles.SPEC.to_dict(), code_version(), doubles.ORIGIN
        ),
        **{"extractor": doubles.by_content, **values},
    )


def pretend_to_run(version: str) -> None:
    """Make this process run another version of the code, as far as it can tell."""
    jobs.execution.version.code_version = lambda: version


def test_workers_that_run_other_code_are_refused(
    tmp_path: Path, client: distributed.Client
) -> None:
    corpus = write_files(tmp_path / "corpus", tunes(3))
    request = driver.request_for(corpus, tmp_path / "table")
    ours = code_version()
    check_workers(client)
    client.run(pretend_to_run, "0.0+other")
    try:
        with pytest.raises(ClusterError) as raised:
            run_on(client, request)
    finally:
        client.run(pretend_to_run, ours)
    assert f"runs featurelib 0.0+other and the driver {ours}: install the same" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "table" / "features").exists()


def test_a_worker_that_comes_later_with_other_code_is_refused(
    tmp_path: Path, client: distributed.Client
) -> None:
    corpus = write_files(tmp_path / "corpus", tunes(3))
    job = job_for(corpus, tmp_path / "table", code_version="0.0+other")
    shards = [Shard(0, (("rock/00.wav", "1"),))]
    with pytest.raises(ClusterError, match=r"a worker runs featurelib .* the driver 0.0\+other"):
        list(DaskExecutor(client, Settings()).run(job, shards, open_store(str(tmp_path))))


def test_a_corpus_that_cannot_be_read_stops_the_run_early(
    tmp_path: Path, client: distributed.Client
) -> None:
    files = {f"rock/{i:03d}.wav": "unreadable the share is gone" for i in range(200)}
    corpus = write_files(tmp_path / "corpus", files)
    request = driver.request_for(corpus, tmp_path / "table", labels="parent")
    with pytest.raises(Exception, match=r"the first \d+ files could all not be read") as raised:
        run_on(client, request)
    assert raised.value.exit_code == 1  # type: ignore[attr-defined]
    assert str(raised.value).endswith(".wav: unreadable, the share is gone")
    assert not (tmp_path / "table" / "features").exists()
    n_tried = sum(line["errors"] for line in log_of(request.table) if line["event"] == "shard")
    assert 20 <= n_tried < 200
