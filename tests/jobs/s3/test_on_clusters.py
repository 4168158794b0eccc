"""Corpus and table in buckets, workers on a cluster: the table is the one of a local run."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.execution.opening import executor_opener
from jobs.request import RunRequest
from jobs.run import run_job
from tests.jobs.s3.place import FIRST, N_FILES, Place
from tests.support import driver
from tests.support.clusters import certificates, joining, tls_scheduler
from tests.support.sshd import sshd


def assert_runs_as_locally(place: Place, request: RunRequest) -> None:
    """Fail unless a first run and an update give the tables that a local job gives."""
    place.write(FIRST)
    report = run_job(request, executor_opener(request.settings))
    assert (report.n_files, report.n_errors, report.exit_code) == (N_FILES - 1, 1, 0)
    driver.run_inline(place.local_request())
    place.assert_same_as_local()
    place.change()
    run_job(request, executor_opener(request.settings))
    driver.run_inline(place.local_request())
    place.assert_same_as_local()
    place.assert_tidy()


@pytest.mark.programs
def test_over_ssh(place: Place, tmp_path: Path) -> None:
    with sshd(tmp_path / "sshd") as server:
        options = server.options("127.0.0.1")
        assert_runs_as_locally(place, place.request(cluster="ssh", cluster_options=options))


@pytest.mark.programs
def test_over_ssh_with_certificates(place: Place, tmp_path: Path) -> None:
    tls = certificates(tmp_path / "tls")
    with sshd(tmp_path / "sshd") as server:
        options = server.options("127.0.0.1")
        request = place.request(cluster="ssh", cluster_options=options, tls=str(tls))
        assert_runs_as_locally(place, request)


@pytest.mark.slow
def test_over_tls(place: Place, tmp_path: Path) -> None:
    tls = certificates(tmp_path / "tls")
    with tls_scheduler(tls, tmp_path) as (address, _), joining(address, tls, tmp_path):
        assert_runs_as_locally(place, place.request(cluster=address, tls=str(tls), workers=2))
