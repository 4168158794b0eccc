"""Schedulers and workers that somebody else started, and what becomes of a run when they die."""

from __future__ import annotations

import contextlib
import functools
import re
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import distributed
import pytest

from jobs.errors import ClusterError, UsageError
from jobs.execution.clusters import open_client
from jobs.execution.clusters.local import CONFIG
from jobs.execution.opening import open_executor
from jobs.run import run_job
from jobs.settings import Settings
from tests.support import driver
from tests.support.doubles import Gate
from tests.support.driver import ROOT, Command, running, wait_until
from tests.support.tables import assert_same_table, assert_tidy, write_files

DASK = [sys.executable, "-m", "dask"]


@contextlib.contextmanager
def hand_made_cluster(folder: Path) -> Iterator[tuple[str, Command, list[Command]]]:
    """Start a scheduler and two workers, as deploy/README.md says; give the address."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str) -> Command:
            line = ["env", f"DASK_CONFIG={ROOT / 'deploy' / 'dask.yaml'}", *DASK, *arguments]
            return stack.enter_context(running(line, folder))

        workers = []
        scheduler = start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        wait_until(lambda: "Scheduler at:" in scheduler.stderr, "the scheduler's address")
        match = re.search(r"Scheduler at: +(tcp://127.0.0.1:\d+)", scheduler.stderr)
        assert match is not None
        for _ in range(2):
            line = ("worker", match[1], "--nthreads", "1", "--host", "127.0.0.1", "--no-dashboard")
            workers.append(start(*line))
        yield match[1], scheduler, workers


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate")


@pytest.fixture
def corpus(tmp_path: Path, gate: Gate) -> Path:
    """Give a corpus whose last file waits at the gate."""
    files = {f"rock/{i:02d}.wav": f"play {i}" for i in range(20)}
    return write_files(tmp_path / "corpus", files | {"rock/last.wav": f"gate {gate.folder}"})


@pytest.mark.slow
def test_a_scheduler_that_dies(tmp_path: Path, corpus: Path, gate: Gate) -> None:
    table = tmp_path / "table"
    arguments = ("extract", corpus, "--output", table, "--labels", "parent")
    arguments += ("--preset", "tutorial-v1", "--workers", "2", "--cluster")
    with (
        hand_made_cluster(tmp_path) as (address, scheduler, _),
        driver.started(*arguments, address, folder=tmp_path) as command,
    ):
        wait_until(lambda: gate.pids or not command.is_running, "a file at the gate")
        assert command.is_running, command.stderr
        scheduler.process.kill()
        assert scheduler.wait() == -signal.SIGKILL
        assert command.wait() == 1
        lines = command.stderr.splitlines()
    assert lines[0] == "extracting: 21 files"
    [line] = lines[1:]
    assert line.startswith("featurelib: the connection to the scheduler is lost: finished work")
    gate.open()
    with (  # it is back
        hand_made_cluster(tmp_path) as (address, _, _),
        driver.started(*arguments, address, folder=tmp_path) as command,
    ):
        assert command.wait() == 0, command.stderr
        assert "21 files with features" in command.stdout
    assert_tidy(table)
    driver.run_inline(driver.request_for(corpus, tmp_path / "undisturbed", labels="parent"))
    assert_same_table(table, tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_cluster_whose_workers_are_all_gone(tmp_path: Path, corpus: Path, gate: Gate) -> None:
    request = driver.request_for(
        corpus, tmp_path / "table", labels="parent", no_worker_timeout_s=2.0
    )
    with (
        hand_made_cluster(tmp_path) as (address, _, workers),
        distributed.Client(address, set_as_default=False) as client,
    ):

        def end_the_workers() -> None:
            wait_until(lambda: bool(gate.pids), "a file at the gate")
            gate.open()
            for worker in workers:
                worker.process.kill()  # a nanny; its worker ends with it

        thread = threading.Thread(target=end_the_workers)
        thread.start()
        with pytest.raises(ClusterError, match=r"no workers for 2 s .*: finished work is kept"):
            run_job(request, functools.partial(open_executor, request.settings, client))
        thread.join()


def test_no_scheduler_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.execution.clusters.address._CONNECT_TIMEOUT", "0.5s")
    with (
        pytest.raises(ClusterError, match=r"no scheduler answers at tcp://127\.0\.0\.1:9"),
        open_client(Settings(cluster="tcp://127.0.0.1:9")),
    ):
        pass


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        ("tcp://10.0.0.1:8786", "without TLS beyond this machine"),
        ("tcp://example.org:8786", "without TLS beyond this machine"),
        ("here", "give 'local', 'inline' or a scheduler's address"),
    ],
)
def test_a_cluster_that_is_refused(cluster: str, message: str) -> None:
    with pytest.raises(UsageError, match=message), open_client(Settings(cluster=cluster)):
        pass


def test_the_file_for_other_clusters_says_what_the_embedded_one_is_told() -> None:
    import yaml

    found = yaml.safe_load((ROOT / "deploy" / "dask.yaml").read_text())
    told = dict(CONFIG)
    environment = told.pop("distributed.nanny.pre-spawn-environ")
    for name, value in told.items():
        place = found
        for part in name.split("."):
            place = place[part]
        assert place == value, name
    in_file = {k: str(v) for k, v in found["distributed"]["nanny"]["pre-spawn-environ"].items()}
    assert in_file.items() <= environment.items()
