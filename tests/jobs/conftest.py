"""What the tests of the job share."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tests.support.slurm import Slurm, running_slurm


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give what is waited between attempts, instead of waiting."""
    waited: list[float] = []
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=waited.append))
    return waited


@pytest.fixture(scope="session")
def started_slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    with running_slurm(tmp_path_factory.mktemp("slurm") / "state") as slurm:
        yield slurm


@pytest.fixture
def slurm(started_slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slurm]:
    """Give a running Slurm of the session, without jobs of other tests."""
    monkeypatch.setenv("SLURM_CONF", str(started_slurm.conf))
    yield started_slurm
    if numbers := started_slurm.active():
        started_slurm.cancel(*numbers)
        started_slurm.wait_until_empty()
