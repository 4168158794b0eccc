"""Clusters that grow and shrink, and workers that leave."""

from __future__ import annotations

import time
from pathlib import Path

import distributed
import pytest

from jobs.diagnostics.events import Event, Workers
from jobs.execution.clusters.configuration import configured
from jobs.execution.clusters.scaling import WholeJobs
from jobs.execution.leaving import LEAVE_AT, is_time_to_leave, leave
from jobs.execution.opening import executor_opener
from jobs.run import run_job
from tests.support import driver
from tests.support.doubles import Gate
from tests.support.driver import wait_until
from tests.support.tables import assert_same_table, write_files


@pytest.mark.slow
@pytest.mark.parametrize("cluster", ["local", "distributed.LocalCluster"])
def test_a_cluster_grows_and_shrinks(tmp_path: Path, cluster: str) -> None:
    gate = Gate(tmp_path / "gate")
    files = {f"rock/{i:02}.wav": f"work 0.2 {i}" for i in range(60)}
    corpus = write_files(tmp_path / "corpus", files | {"rock/last.wav": f"gate {gate.folder}"})
    sizes: list[int] = []

    def observe(event: Event) -> None:
        if isinstance(event, Workers):
            sizes.append(event.n_workers)
            if 2 in sizes and sizes[-1] == 1:
                gate.open()  # it has shrunk while one file waited

    request = driver.request_for(
        corpus, tmp_path / "table", labels="parent", cluster=cluster, workers="1:2"
    )
    report = run_job(request, executor_opener(request.settings), observe)
    assert (report.n_files, report.n_errors) == (61, 0)
    assert max(sizes) == 2
    driver.run_inline(driver.request_for(corpus, tmp_path / "undisturbed", labels="parent"))
    assert_same_table(tmp_path / "table", tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_cluster_that_begins_without_workers(tmp_path: Path) -> None:
    corpus = write_files(tmp_path / "corpus", {"a.wav": "play a", "b.wav": "play b"})
    request = driver.request_for(corpus, tmp_path / "table", workers="0:2")
    report = run_job(request, executor_opener(request.settings))
    assert (report.n_files, report.n_errors) == (2, 0)


def at_the_gate(folder: Path) -> None:
    Gate(folder).enter()


def test_jobs_are_ended_only_if_all_of_their_workers_are_idle(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    names = [f"{job}-{number}" for job in "abc" for number in (0, 1)]
    local = {"dashboard_address": None, "host": "127.0.0.1"}
    spec = {"cls": distributed.Worker, "options": local | {"nthreads": 1}}
    with (
        distributed.SpecCluster(
            workers=dict.fromkeys(names, spec),
            scheduler={"cls": distributed.Scheduler, "options": local},
            worker=spec | {"group": ["-0", "-1"]},
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        adaptive = WholeJobs(cluster, interval=0)
        busy = [
            client.submit(at_the_gate, gate.folder, workers=w, pure=False) for w in ("a-0", "b-1")
        ]
        wait_until(lambda: len(gate.pids) == 2, "two jobs are busy")
        assert set(client.sync(adaptive.workers_to_close, 2)) == {"c-0", "c-1"}
        assert not client.sync(adaptive.workers_to_close, 5)
        gate.open()
        client.gather(busy)
        assert len(client.sync(adaptive.workers_to_close, 2)) == 4


def leave_now(answer: str) -> str:
    leave(distributed.get_worker())
    return answer


def test_a_worker_that_leaves_hands_over_its_result_and_takes_no_other_task() -> None:
    options = {"processes": False, "threads_per_worker": 1, "dashboard_address": None}
    with (
        distributed.LocalCluster(n_workers=1, **options) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        first = client.submit(leave_now, "done", pure=False)
        wait_until(first.done, "the task has ended")
        second = client.submit(leave_now, "by another", pure=False)
        assert first.result() == "done"
        assert not second.done()
        del first  # as the driver forgets what it has
        wait_until(lambda: not cluster.scheduler.workers, "the worker has left")
        assert not second.done()


def wait_and_leave(folder: Path) -> None:
    at_the_gate(folder)
    leave(distributed.get_worker())


def test_a_task_that_waits_at_a_worker_that_leaves_goes_to_another(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    options = {"processes": False, "threads_per_worker": 1, "dashboard_address": None}
    with (
        configured(),
        distributed.LocalCluster(n_workers=1, **options) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        first = client.submit(wait_and_leave, gate.folder, pure=False)
        second = client.submit(str, "by another", pure=False)
        wait_until(lambda: len(list(*client.processing().values())) == 2, "both are at the worker")
        gate.open()
        first.result()
        del first
        wait_until(lambda: not cluster.scheduler.workers, "the worker has left")
        cluster.scale(2)
        assert second.result(30) == "by another"


def test_the_time_to_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LEAVE_AT, raising=False)
    assert not is_time_to_leave()
    monkeypatch.setenv(LEAVE_AT, str(int(time.time()) + 60))
    assert not is_time_to_leave()
    monkeypatch.setenv(LEAVE_AT, str(int(time.time()) - 1))
    assert is_time_to_leave()
