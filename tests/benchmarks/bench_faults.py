"""The whole job on S3 through the faults of poor networks: what was hit, and what was retried."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.conftest import S3
from tests.jobs.s3.place import FIRST, Place, Prepared
from tests.support import driver, moto_server
from tests.support.faults import FAULTS, run_through


def run(folder: Path) -> None:
    """Run the job through each fault, check that its table is the undisturbed one, and print."""
    gateway = os.environ.get("FEATURELIB_TEST_S3_ENDPOINT")
    if gateway is not None:
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        _run(S3(gateway, *(os.environ[name] for name in names)), folder, gateway)
        return
    server = moto_server.start(folder / "port")
    try:
        port = moto_server.port(folder / "port")
        _run(S3(f"http://127.0.0.1:{port}", "testkey", "testsecret"), folder, "moto")
    finally:
        server.kill()
        server.communicate()


def _run(s3: S3, folder: Path, name: str) -> None:
    print(f"the job with two workers on S3 ({name}), through faults in every phase")
    place = Place(s3, folder / "place")
    place.write(FIRST)
    driver.run_inline(place.request())
    before = place.contents("table")
    place.change()
    driver.run_inline(place.request())
    prepared = Prepared(place, before, place.downloaded())
    print(f"    {'fault':30}{'requests':>9}{'hit':>6}{'retries':>9}{'seconds':>9}  of which")
    for fault_name, fault in FAULTS.items():
        prepared.reset()
        started = time.perf_counter()
        outcome = run_through(fault, s3, place.bucket, folder)
        seconds = time.perf_counter() - started
        prepared.check()
        retries = outcome.report["retries"]
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(retries.items())) or "-"
        phases = " ".join(f"{phase} {n}" for phase, n in sorted(outcome.hit.items()))
        print(
            f"    {fault_name:30}{outcome.n_requests:9}{sum(outcome.hit.values()):6}"
            f"{sum(retries.values()):9}{seconds:9.1f}  {kinds} | {phases}"
        )
    print("    each table is the undisturbed one")
    s3.remove_buckets()
