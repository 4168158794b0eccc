"""Clusters with certificates: who is let in, and what listens."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import distributed
import pytest

from jobs.errors import ClusterError
from jobs.execution.clusters import open_cluster
from jobs.execution.clusters.tls import security_of
from jobs.execution.opening import executor_opener
from jobs.run import run_job
from jobs.settings import Settings
from tests.support import driver
from tests.support.clusters import DASK, certificates, joining, tls_scheduler
from tests.support.driver import Command, running, started, wait_until
from tests.support.sockets import assert_encrypted, family_of, free_port
from tests.support.tables import assert_same_table, write_files

pytestmark = pytest.mark.slow


@pytest.fixture
def tls(tmp_path: Path) -> Path:
    return certificates(tmp_path / "tls")


@pytest.fixture
def scheduler(tls: Path, tmp_path: Path) -> Iterator[tuple[str, Command]]:
    with tls_scheduler(tls, tmp_path) as opened:
        yield opened


def corpus(folder: Path, n: int = 6) -> Path:
    return write_files(folder / "corpus", {f"rock/{i}.wav": f"play {i}" for i in range(n)})


def test_who_is_refused(tls: Path, tmp_path: Path, scheduler: tuple[str, Command]) -> None:
    """Clients of featurelib and of Dask, plain ones and those of another authority, and workers."""
    address, process = scheduler
    other = certificates(tmp_path / "other")
    plain = address.replace("tls://", "tcp://")
    with (
        pytest.raises(ClusterError, match=r"no scheduler answers at tcp://.*; if it has TLS, give"),
        open_cluster(Settings(cluster=plain)),
    ):
        pass
    with (
        pytest.raises(ClusterError, match=r"has certificates of another authority: give those"),
        open_cluster(Settings(cluster=address, tls=str(other))),
    ):
        pass
    with pytest.raises(OSError, match="in <TCP"):
        distributed.Client(plain, timeout=2, set_as_default=False)
    stranger = security_of(Settings(tls=str(other)))
    with pytest.raises(OSError, match="certificate"):
        distributed.Client(address, security=stranger, timeout=2, set_as_default=False)
    with joining(address, other, tmp_path) as workers:
        assert workers.wait() == 1
        assert "has certificates of another authority: copy those" in workers.stderr
    line = [*DASK, "worker", plain, "--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]
    with (
        running([*line, "--death-timeout", "3"], tmp_path) as workers,
        open_cluster(Settings(cluster=address, tls=str(tls))) as (client, _),
    ):
        assert workers.wait() == 1
        assert client.scheduler_info()["workers"] == {}
    assert process.is_running


def test_a_scheduler_of_another_authority_is_not_trusted(tmp_path: Path, tls: Path) -> None:
    """Who has taken over the address of a scheduler gets neither data nor code."""
    other = certificates(tmp_path / "other")
    security = security_of(Settings(tls=str(other)))
    seen: list[object] = []

    async def serve() -> None:
        def heard(comm: object) -> None:
            seen.append(comm)

        listener = await distributed.comm.listen(
            "tls://127.0.0.1:0", heard, **security.get_listen_args("scheduler")
        )
        address = listener.contact_address
        opened = open_cluster(Settings(cluster=address, tls=str(tls)))
        with pytest.raises(ClusterError, match="has certificates of another authority"):
            await asyncio.to_thread(opened.__enter__)
        listener.stop()

    assert security is not None
    asyncio.run(serve())
    assert seen == []


def test_what_listens_during_a_run(
    tls: Path, tmp_path: Path, scheduler: tuple[str, Command]
) -> None:
    address, process = scheduler
    with joining(address, tls, tmp_path) as workers:
        request = driver.request_for(
            corpus(tmp_path), tmp_path / "table", cluster=address, tls=str(tls), workers=2
        )
        report = run_job(request, executor_opener(request.settings))
        family = [*family_of(process.process.pid), *family_of(workers.process.pid)]
        # the scheduler, two nannies, two workers; web servers are on loopback
        assert_encrypted(family, at_least=5)
    assert report.exit_code == 0


def test_an_embedded_cluster_with_certificates(tls: Path, tmp_path: Path) -> None:
    """Other users of the machine reach loopback, too."""
    with open_cluster(Settings(workers=2, tls=str(tls))) as (client, _):
        assert client.scheduler.address.startswith("tls://127.0.0.1:")
        assert client.submit(abs, -1).result() == 1
        client.wait_for_workers(2)
        assert_encrypted(family_of(os.getpid()), at_least=5)


def test_workers_wait_for_the_scheduler_and_end_with_it(tls: Path, tmp_path: Path) -> None:
    address = f"tls://127.0.0.1:{free_port()}"
    with joining(address, tls, tmp_path, n_workers=1) as workers:
        wait_until(lambda: f"waiting for the scheduler at {address}" in workers.stderr, "a wait")
        workers.process.terminate()
        assert workers.wait() == 143
    with (
        tls_scheduler(tls, tmp_path) as (address, scheduler),
        joining(address, tls, tmp_path, n_workers=1) as workers,
    ):
        with open_cluster(Settings(cluster=address, tls=str(tls), workers=1)):
            pass
        family = workers.family()
        scheduler.process.send_signal(signal.SIGKILL)
        assert workers.wait() == 0
        driver.wait_until_gone(family)


def test_kubernetes(tls: Path, tmp_path: Path) -> None:
    """The driver has the scheduler; workers are there before it, and again for the next run."""
    source = corpus(tmp_path)
    port = free_port()
    address = f"tls://127.0.0.1:{port}"
    settings = tmp_path / "featurelib.toml"
    settings.write_text(
        f'[run]\ncluster = "kubernetes"\ntls = "{tls}"\nlabels = "parent"\nworkers = 1\n'
        f'[cluster]\nhost = "127.0.0.1"\nport = {port}\n'
    )
    line = ("extract", source, "--output", tmp_path / "table", "--config", settings)
    line += ("--preset", "tutorial-v1")
    for _ in range(2):
        with joining(address, tls, tmp_path, n_workers=1) as pod:
            wait_until(lambda: "waiting for the scheduler" in pod.stderr, "a pod that waits")
            with started(*line, "--recompute", folder=tmp_path) as command:
                assert command.wait() == 0, command.stderr
            assert pod.wait() == 0
    driver.run_inline(driver.request_for(source, tmp_path / "expected", labels="parent"))
    assert_same_table(tmp_path / "table", tmp_path / "expected")
