"""The very commands of the manifests, run on this machine: they make the right table."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import pytest

from jobs import extract_corpus
from tests.deploy.loopback import certificates, free_port, replaced, started
from tests.deploy.test_kubernetes import (
    FOLDER,
    container_of,
    driver_arguments,
    worker_arguments,
)
from tests.support.audio_files import make_corpus
from tests.support.driver import Command, wait_until
from tests.support.tables import assert_same_table, assert_tidy


def _is_ready(worker: Command) -> bool:
    """Run the probe of a worker."""
    probe = replaced(
        container_of("Deployment")["readinessProbe"]["exec"]["command"],
        {"/proc/1/": f"/proc/{worker.process.pid}/"},
    )
    return subprocess.run(probe).returncode == 0


@pytest.mark.slow
def test_the_driver_and_workers_of_the_manifests_make_a_table(tmp_path: Path) -> None:
    corpus, table, tls = (tmp_path / name for name in ("music", "table", "tls"))
    make_corpus(corpus, {"rock": 4, "jazz": 4})
    certificates(tls)
    port = free_port()
    settings = tmp_path / "featurelib.toml"
    text = (FOLDER / "featurelib.toml").read_text()
    places = {"/etc/featurelib/tls": str(tls), "port = 8786": f"port = {port}"}
    places["127.0.0.1:9108"] = f"127.0.0.1:{free_port()}"
    settings.write_text(f'{replaced([text], places)[0]}host = "127.0.0.1"\n')

    places = {"s3://corpus-bucket/music": str(corpus), "s3://table-bucket/music": str(table)}
    driver_line = replaced(
        driver_arguments(), {**places, "/etc/featurelib/featurelib.toml": str(settings)}
    )
    places = {"featurelib-scheduler:8786": f"127.0.0.1:{port}", "/etc/featurelib/tls": str(tls)}
    worker_line = replaced(worker_arguments(), {**places, "\0/tmp": f"\0{tmp_path / 'tmp'}"})

    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(started("featurelib", worker_line, tmp_path)) for _ in range(2)
        ]
        for worker in workers:
            wait_until(lambda w=worker: "waiting" in w.stderr or not w.is_running, "its waiting")
            assert worker.is_running, worker.stderr
        assert not any(map(_is_ready, workers))
        driver = stack.enter_context(started("featurelib", driver_line, tmp_path))
        wait_until(lambda: all(map(_is_ready, workers)) or not driver.is_running, "ready workers")
        assert driver.wait() == 0, driver.stderr
        assert "8 files with features, 0 failed" in driver.stdout
        for worker in workers:  # Kubernetes starts them again, and they wait for the next run
            assert worker.wait() == 0, worker.stderr
    assert_tidy(table)
    extract_corpus(corpus, tmp_path / "here", labels="parent", cluster="inline")
    assert_same_table(table, tmp_path / "here")
