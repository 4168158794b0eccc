"""A bucket with a corpus and its table, for the tests of whole runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import S3
from tests.jobs.s3.place import (
    FIRST,
    Place,
    Prepared,
)
from tests.support import clock, driver


@pytest.fixture
def place(s3: S3, tmp_path: Path) -> Place:
    return Place(s3, tmp_path)


@pytest.fixture
def environment(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def prepared(s3_endpoint: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    mine = S3(s3_endpoint.endpoint, s3_endpoint.key, s3_endpoint.secret)
    place = Place(mine, tmp_path_factory.mktemp("place"))
    place.write(FIRST)
    driver.run_inline(place.request())
    before = place.contents("table")
    place.change()
    driver.run_inline(place.request())
    yield Prepared(place, before, place.downloaded())
    mine.remove_buckets()


@pytest.fixture
def changed(s3: S3, prepared: Prepared) -> Prepared:
    prepared.reset()
    return prepared


@pytest.fixture
def clock_of_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge leases of drivers that died or were stopped without waiting."""
    clock.use(monkeypatch)
