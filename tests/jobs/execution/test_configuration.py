"""The configuration of Dask that all clusters share."""

from __future__ import annotations

import dask
import yaml

from jobs.execution.clusters.configuration import CONFIG, configured
from jobs.execution.native import ONE_THREAD
from tests.support.driver import ROOT


def test_the_file_in_deploy_is_the_embedded_clusters() -> None:
    path = ROOT / "deploy" / "dask.yaml"
    assert path.resolve() == ROOT / "jobs" / "execution" / "clusters" / "dask.yaml"
    assert yaml.safe_load(path.read_text()) == CONFIG


def test_the_configuration_is_added_to_the_users_own() -> None:
    before = dask.config.get("distributed")
    with dask.config.set({"distributed.worker.memory.pause": 0.5, "distributed.mine": 1}):
        with configured():
            assert dask.config.get("distributed.worker.memory.pause") is False
            assert dask.config.get("distributed.mine") == 1
            assert dask.config.get("distributed.comm.timeouts.connect")
        assert dask.config.get("distributed.worker.memory.pause") == 0.5
    assert dask.config.get("distributed") == before


def test_native_libraries_have_one_thread_in_every_process() -> None:
    assert CONFIG["distributed"]["nanny"]["pre-spawn-environ"] == ONE_THREAD
