"""Services that fail, and bytes that are damaged."""

from __future__ import annotations

import itertools

import pytest

from jobs.errors import EXIT_BUSY, EXIT_FAILED, JobError
from jobs.storage import base
from jobs.storage.opening import open_store
from jobs.table.metadata import read_metadata
from jobs.table.reader import Table
from tests.jobs.s3.place import (
    Place,
    Prepared,
)
from tests.support import driver
from tests.support.moments import at
from tests.support.quick import slow_but
from tests.support.s3_double import FLIP, RESET, RESET_AFTER, double, first
from tests.support.tables import read_table

ETAG: dict[str, str] = {}
CRC = {"ChecksumAlgorithm": "CRC32"}

pytestmark = pytest.mark.usefixtures("clock_of_leases")


@pytest.mark.slow
def test_a_service_that_fails_now_and_then(changed: Prepared, waits: list[float]) -> None:
    n_asked, n_puts = 0, 0
    failures: dict[int, int | str] = {0: 503, 4: 500, 8: RESET}

    def rule(method: str, path: str) -> int | str | None:
        nonlocal n_asked, n_puts
        n_asked += 1
        n_puts += method == "PUT"
        if method == "PUT" and n_puts % 5 == 2:
            return RESET_AFTER
        return failures.get(n_asked % 12)

    with double(changed.place.s3, rule) as service:
        request = changed.place.request(s3=service.s3)
        report = driver.run_inline(request)
        assert report.status == "done"
        for kind, status in (("throttled", 503), ("server", 500)):
            # the lock is released after the report is made
            assert service.count(status) - 1 <= report.retries[kind] <= service.count(status)
        assert "The storage throttled requests" in "\n".join(report.summary_lines())
        assert min(service.count(what) for what in (503, 500, RESET, RESET_AFTER)) >= 2
    assert len(waits) >= 6
    changed.check()


@pytest.mark.slow
def test_a_service_that_is_gone_in_the_midst(changed: Prepared, waits: list[float]) -> None:
    with double(changed.place.s3) as service:
        gone = [False]
        service.rule = lambda method, path: RESET if gone[0] else None

        def go() -> None:
            gone[0] = True

        with pytest.raises(JobError) as caught:
            driver.run_inline(changed.place.request(s3=service.s3), at("part started", go, 2))
        assert "\n" not in str(caught.value)
        assert caught.value.exit_code in (EXIT_FAILED, EXIT_BUSY)
    driver.run_inline(changed.place.request())
    changed.check()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("checksum", "spooled"),
    slow_but([(CRC, True)], itertools.product([ETAG, CRC], [False, True])),
)
def test_damaged_bytes_are_not_decoded(
    place: Place,
    checksum: dict[str, str],
    spooled: bool,
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if spooled:
        monkeypatch.setattr(base, "SPOOL_BYTES", 3)
    for name in ("good", "once", "always"):
        place.s3.client.put_object(
            Bucket=place.bucket, Key=f"corpus/{name}.wav", Body=b"play it", **checksum
        )
    once = first(1, FLIP, "GET", "/once.wav")

    def rule(method: str, path: str) -> int | str | None:
        return FLIP if path.endswith("/always.wav") else once(method, path)

    with double(place.s3, rule) as service:
        report = driver.run_inline(place.request(s3=service.s3, labels="none"))
    assert (report.n_files, report.failures) == (2, {"unreadable": 1})
    rows, errors = read_table(place.downloaded())
    of_file = rows.groupby("path")["duration_s"].apply(tuple)
    assert list(of_file.index) == ["good.wav", "once.wav"]
    assert of_file.nunique() == 1
    assert "checksum" in errors["message"][0] or "ETag" in errors["message"][0]
    assert len(waits) >= 2

    report = driver.run_inline(place.request(labels="none"))
    assert (report.n_files, report.n_errors, report.n_read) == (3, 0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("check_etag", [True, False])
def test_parts_that_were_damaged_on_the_way_are_read_again(
    changed: Prepared, waits: list[float], check_etag: bool
) -> None:
    """Also where no ETag is the MD5 of what was read, as for a range of a large part."""
    place = changed.place
    here, options = f"s3://{place.bucket}/table", place.s3.storage_options
    direct = open_store(here, options)
    info = read_metadata(direct)
    assert info is not None
    with double(place.s3, first(2, FLIP, "GET", ".parquet")) as service:
        far = {**service.s3.storage_options, "check_etag": check_etag}
        table = Table(open_store(here, far), info)
        held = [table.held(bucket) for bucket in range(info.n_buckets)]
    assert held == [Table(direct, info).held(bucket) for bucket in range(info.n_buckets)]
    assert len(waits) == service.count(FLIP) == 2
