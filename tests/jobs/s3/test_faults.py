"""The whole job through the faults of poor networks, each by its name."""

from __future__ import annotations

import time

import pytest

from jobs.errors import TableError
from jobs.table.lease import LEASE_PERIOD_S
from tests.jobs.s3.place import Prepared
from tests.support import driver
from tests.support.faults import FAULTS, Injection, phase_of, run_through, run_with
from tests.support.s3_double import double

pytestmark = pytest.mark.usefixtures("clock_of_leases")

#: Faults that nobody has to wait out: they are noticed in another way, or not at all.
_WITHOUT_RETRY = {"slow", "stale tag"}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_run_through_a_fault(name: str, changed: Prepared) -> None:
    place, fault = changed.place, FAULTS[name]
    outcome = run_through(fault, place.s3, place.bucket, place.folder)
    changed.check()
    place.assert_tidy()
    assert outcome.report["status"] == "done"
    assert set(outcome.hit) == set(fault.phases)
    n_retries = sum(outcome.report["retries"].values())
    print(f"{name}: hit {dict(outcome.hit)}, retries {outcome.report['retries']}")
    if name not in _WITHOUT_RETRY:
        assert n_retries > 0
    if fault.what == 503:
        assert outcome.report["retries"]["throttled"] >= fault.n * (len(fault.phases) - 1)


@pytest.mark.slow
def test_a_storm_of_503_that_outlasts_the_lease(changed: Prepared) -> None:
    """Nothing is answered for a while: the run waits, and keeps the lock that nobody took."""
    ends: list[float] = []

    def rule(method: str, path: str) -> int | None:
        if not ends and phase_of(method, path) == "stage":
            ends.append(time.monotonic() + LEASE_PERIOD_S * 1.5)
        return 503 if ends and time.monotonic() < ends[0] else None

    place = changed.place
    _, report = run_with(rule, place.s3, place.bucket, place.folder)
    changed.check()
    assert report["status"] == "done"
    assert report["retries"]["throttled"] >= 8
    assert report["seconds"]["extract"] > LEASE_PERIOD_S


@pytest.mark.slow
def test_answers_that_stay_stale_end_the_run_and_harm_nothing(changed: Prepared) -> None:
    """After each change, everything is answered once as it was: no S3 does that for long."""
    place, always = changed.place, FAULTS["stale tag"]._replace(n=10**6)
    with (
        double(place.s3, Injection(always)) as service,
        pytest.raises(TableError, match="keeps changing while it is written"),
    ):
        driver.run_inline(place.request(s3=service.s3))
    driver.run_inline(place.request())
    changed.check()
    place.assert_tidy()
