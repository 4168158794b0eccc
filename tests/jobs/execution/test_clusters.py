"""Schedulers and workers that somebody else started, and what becomes of a run when they die."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import dask
import distributed
import pytest

from jobs.errors import ClusterError, UsageError
from jobs.execution import watch
from jobs.execution.clusters import local, open_cluster
from jobs.execution.clusters.address import check_address
from jobs.execution.dask import DaskExecutor
from jobs.execution.opening import executor_opener
from jobs.run import run_job
from jobs.settings import Settings
from tests.support import driver, light
from tests.support.doubles import Gate
from tests.support.driver import ROOT, Command, running, wait_until
from tests.support.tables import assert_same_table, assert_tidy, write_files

DASK = [sys.executable, "-m", "dask"]


@contextlib.contextmanager
def hand_made_cluster(folder: Path) -> Iterator[tuple[str, Command, list[Command]]]:
    """Start a scheduler and two workers by commands of Dask; give the address."""
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
        client.wait_for_workers(1)

        def end_the_workers() -> None:
            wait_until(lambda: bool(gate.pids), "a file at the gate")
            gate.open()
            for worker in workers:
                worker.process.kill()  # a nanny; its worker ends with it

        thread = threading.Thread(target=end_the_workers)
        thread.start()
        with pytest.raises(ClusterError, match=r"no workers for 2 s .*: finished work is kept"):
            run_job(request, executor_opener(request.settings, client))
        thread.join()


@pytest.mark.slow
def test_a_scheduler_that_stops_answering_before_the_first_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_FIRST_LOOK_S", 1.0)
    with (
        hand_made_cluster(tmp_path) as (address, scheduler, _),
        distributed.Client(address, set_as_default=False) as client,
    ):
        scheduler.process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(ClusterError) as raised:
                DaskExecutor(client, Settings())
        finally:
            scheduler.process.send_signal(signal.SIGCONT)
    assert str(raised.value) == (
        f"the scheduler at {address} has not answered for 1 s: run the same command again when it"
        " works"
    )


@pytest.mark.slow
def test_ctrl_c_while_workers_start(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    starts_slowly = f"import pathlib, time; pathlib.Path({str(marker)!r}).touch(); time.sleep(3)"

    def interrupt() -> None:
        wait_until(marker.exists, "a worker starts")
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with (
        dask.config.set({"distributed.worker.preload": [starts_slowly]}),
        pytest.raises(KeyboardInterrupt),
        open_cluster(Settings(workers=1)),
    ):
        pytest.fail("there is a worker already")
    thread.join()


@pytest.mark.slow
def test_a_cluster_that_does_not_close_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    async def close(cluster: distributed.LocalCluster) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(local, "_LEAVE_AFTER_S", 0.2)
    with open_cluster(Settings(workers=1)) as (client, _):
        cluster = client.cluster
        monkeypatch.setattr(distributed.LocalCluster, "_close", close)
    assert client.status == "closed"
    assert cluster.status is distributed.Status.running
    monkeypatch.undo()
    cluster.close()
    assert cluster.status is distributed.Status.closed


@pytest.mark.slow
def test_a_worker_whose_nanny_has_given_up_is_replaced_whatever_its_name() -> None:
    with open_cluster(Settings(workers=2)) as (client, _):
        client.wait_for_workers(2)
        for name, nanny in sorted(client.cluster.workers.items()):
            gone = nanny.worker_address
            client.cluster.sync(nanny.close)

            def is_replaced(gone: str = gone) -> bool:
                there = client.scheduler_info(n_workers=-1)["workers"]
                return len(there) == 2 and gone not in there

            wait_until(is_replaced, f"another worker than {name}", 60)


def test_no_scheduler_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.execution.clusters.address._CONNECT_TIMEOUT", "0.5s")
    with (
        pytest.raises(ClusterError, match=r"no scheduler answers at tcp://127\.0\.0\.1:9"),
        open_cluster(Settings(cluster="tcp://127.0.0.1:9")),
    ):
        pass


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        ("tcp://10.0.0.1:8786", "without TLS beyond this machine"),
        ("tcp://example.org:8786", "without TLS beyond this machine"),
        ("here", "cluster is 'here': give 'local', 'inline'"),
    ],
)
def test_a_cluster_that_is_refused(cluster: str, message: str) -> None:
    with pytest.raises(UsageError, match=message), open_cluster(Settings(cluster=cluster)):
        pass


TLS = "distributed.comm.tls"


@pytest.fixture
def certificates(tmp_path: Path) -> Iterator[dict[str, Path]]:
    """Name files for TLS in Dask's configuration, none of which is a certificate."""
    files = {name: tmp_path / f"{name}.pem" for name in ("ca-file", "client.cert", "client.key")}
    for file in files.values():
        file.write_text("no certificate")
    with dask.config.set({f"{TLS}.{name}": str(file) for name, file in files.items()}):
        yield files


@pytest.mark.parametrize("name", ["ca-file", "client.cert", "client.key"])
def test_a_file_for_tls_that_is_not_there(name: str, certificates: dict[str, Path]) -> None:
    certificates[name].unlink()
    with pytest.raises(UsageError) as caught, open_cluster(Settings(cluster="tls://127.0.0.1:9")):
        pass
    assert str(caught.value) == (
        f"{TLS}.{name} in Dask's configuration names {certificates[name]}: No such file or"
        " directory; correct the name, or make the file (see deploy/README.md)"
    )


def test_what_the_command_says_of_a_missing_key(
    tmp_path: Path, certificates: dict[str, Path]
) -> None:
    certificates["client.key"].unlink()
    write_files(tmp_path / "corpus", {"a.wav": "play a"})
    line = ("extract", tmp_path / "corpus", "-o", tmp_path / "t", "-q")
    result = light.invoke(*line, "--cluster", "tls://127.0.0.1:9")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        f"featurelib: {TLS}.client.key in Dask's configuration names"
        f" {certificates['client.key']}: No such file or directory; correct the name, or make the"
        " file (see deploy/README.md)\n"
    )


@pytest.mark.usefixtures("certificates")
def test_files_for_tls_that_are_no_certificates() -> None:
    with (
        pytest.raises(UsageError, match=r"the certificates for TLS cannot be used: .*; check"),
        open_cluster(Settings(cluster="tls://127.0.0.1:9")),
    ):
        pass


def test_no_certificates() -> None:
    with (
        pytest.raises(UsageError, match=r"tls://… needs certificates: give --tls DIR"),
        open_cluster(Settings(cluster="tls://127.0.0.1:9")),
    ):
        pass


def test_a_client_of_a_scheduler_beyond_this_machine_is_refused(tmp_path: Path) -> None:
    corpus = write_files(tmp_path / "corpus", {"a.wav": "play a"})
    request = driver.request_for(corpus, tmp_path / "t")
    options = {"n_workers": 0, "processes": False, "dashboard_address": None}
    with (
        distributed.LocalCluster(host="0.0.0.0", protocol="tcp", **options) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        address = client.scheduler.address
        if address.startswith("tcp://127."):
            pytest.skip("this machine has no other address")
        with pytest.raises(UsageError) as caught:
            run_job(request, executor_opener(request.settings, client))
    assert str(caught.value) == (
        f"{address} is a scheduler without TLS beyond this machine, where anybody who reaches it"
        " can run code: start it with TLS and give tls://… (see deploy/README.md)"
    )


@pytest.mark.parametrize("address", ["inproc://10.0.0.1/2/1", "tcp://127.0.0.1:1", "tcp://[::1]:1"])
def test_addresses_that_others_cannot_reach(address: str) -> None:
    check_address(address)
