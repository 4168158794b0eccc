"""Drivers that die, are stopped, or are two."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from jobs.errors import EXIT_BUSY, ConflictError, TableBusyError
from jobs.status import table_status
from jobs.storage import parquet
from jobs.storage.opening import open_store
from jobs.storage.s3 import S3Store
from jobs.table.layout import TABLE_JSON
from jobs.table.metadata import read_metadata
from jobs.table.reader import Table
from tests.jobs.s3.place import (
    FIRST,
    N_FILES,
    Place,
    Prepared,
)
from tests.support import clock, driver, pausing
from tests.support.moments import MOMENTS, at
from tests.support.pausing import PausedRun
from tests.support.quick import slow_but
from tests.support.tables import read_table

pytestmark = pytest.mark.usefixtures("clock_of_leases")


@pytest.mark.parametrize(
    ("name", "n"),
    slow_but(
        [("part written", 3)],
        [*((name, 1) for name in MOMENTS), ("part written", 3)],
    ),
)
def test_killed_at_a_step(changed: Prepared, name: str, n: int) -> None:
    request = changed.place.request()
    code = driver.exit_code_of(driver.run_killed_at_step, request, n, name)
    assert code == -signal.SIGKILL
    driver.run_inline(request)
    changed.check()
    changed.place.assert_tidy()


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_but(["part written"], ["plan", "part written"]))
def test_killed_while_a_table_is_made(changed: Prepared, name: str) -> None:
    changed.place.clear("table")
    request = changed.place.request()
    code = driver.exit_code_of(driver.run_killed_at_step, request, 1, name)
    assert code == -signal.SIGKILL
    driver.run_inline(request)
    changed.check()


def stop_and_overtake(first: PausedRun, second: Callable[[], Any]) -> tuple[int, str]:
    """Stop a driver, run another one, let the first go on an hour later; return how it ends."""
    os.kill(first.pid, signal.SIGSTOP)
    second()
    first.go_on(after_s=3600.0)
    os.kill(first.pid, signal.SIGCONT)
    return first.ended()


@pytest.mark.parametrize(
    ("name", "n"),
    slow_but(
        [("/part-", 2)],
        [
            ("extract", 1),
            ("part started", 1),
            ("part written", 2),
            ("/part-", 2),  # after the check: its PUT comes late
            ("verify", 1),
            ("clean", 1),
        ],
    ),
)
def test_stopped_and_overtaken(changed: Prepared, name: str, n: int) -> None:
    place = changed.place
    request = place.request()
    with PausedRun(request, name, n) as first:
        code, word = stop_and_overtake(first, lambda: driver.run_inline(request))
    assert (code, "another run" in word) == (EXIT_BUSY, True)
    changed.check()
    before = place.parts()
    assert driver.run_inline(request).parts_written == 0
    assert place.parts() == before
    place.assert_tidy()


@pytest.mark.slow
@pytest.mark.parametrize("step", slow_but(["ended"], MOMENTS))
def test_overtaken_in_a_bucket(step: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another driver has the lease, and has deleted what this one staged."""
    place.write(FIRST)
    lease_clock = clock.use(monkeypatch)

    def overtake() -> None:
        lease = {"run_id": "other", "host": "h", "pid": 1, "period_s": 30.0, "token": "t"}
        place.put("table/_job/lease.json", json.dumps(lease).encode())
        for key in place.objects("table/_job/runs"):
            if "/staged/" in key:
                place.clear(key.rpartition("/")[0])
        lease_clock.forward(60.0)

    with pytest.raises(TableBusyError) as caught:
        driver.run_inline(place.request(), at(step, overtake))
    assert str(caught.value) == f"s3://{place.bucket}/table was just taken by another run"
    assert caught.value.exit_code == EXIT_BUSY


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "n"), slow_but([("part started", 2)], [("extract", 1), ("part started", 2)])
)
def test_stopped_and_overtaken_on_a_corpus_that_changed_again(
    place: Place, name: str, n: int
) -> None:
    place.write(FIRST)
    request = place.request()
    with PausedRun(request, name, n) as first:

        def run() -> None:
            place.change()
            driver.run_inline(request)

        code, _ = stop_and_overtake(first, run)
    assert code == EXIT_BUSY
    driver.run_inline(place.local_request())
    place.assert_same_as_local(parts=False)
    before = place.parts()
    assert driver.run_inline(request).parts_written == 0
    assert place.parts() == before


@pytest.mark.slow
def test_a_part_that_comes_after_the_second_driver_is_found_by_the_next_run(place: Place) -> None:
    """The one window there is: stopped between the check and the PUT of a part that is new."""
    place.write(FIRST | {"late/gone.wav": "play late"})
    request = place.request()
    with PausedRun(request, "by_label=late/") as first:

        def run() -> None:
            place.delete(["late/gone.wav"])
            driver.run_inline(request)

        code, _ = stop_and_overtake(first, run)
    assert code == EXIT_BUSY
    driver.run_inline(request)
    driver.run_inline(place.local_request())
    assert set(read_table(place.downloaded())[0]["path"]) == set(
        read_table(place.folder / "table")[0]["path"]
    )


@pytest.mark.slow
def test_stopped_before_the_table_is_made(place: Place) -> None:
    place.write(FIRST)
    driver.run_inline(place.request("undisturbed", buckets=3))
    with PausedRun(place.request(buckets=2), TABLE_JSON) as first:
        second = place.request(buckets=3)
        code, word = stop_and_overtake(first, lambda: driver.run_inline(second))
    assert (code, "another run" in word) == (EXIT_BUSY, True)
    assert json.loads(place.get(f"table/{TABLE_JSON}"))["n_buckets"] == 3
    place.assert_same_as("undisturbed")
    assert driver.run_inline(second).parts_written == 0


@pytest.mark.slow
def test_a_part_that_is_replaced_while_it_is_read(
    changed: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"s3://{changed.place.bucket}/table"
    store = open_store(url, changed.place.s3.storage_options)
    info = read_metadata(store)
    assert info is not None
    expected = [Table(store, info).held(bucket) for bucket in range(2)]
    opened, real = Counter[str](), S3Store.open

    def replaced(self: S3Store, name: str) -> Any:
        opened[name] += 1
        if opened[name] <= 2:
            raise ConflictError(f"{name} changed while it was read")
        return real(self, name)

    monkeypatch.setattr(S3Store, "open", replaced)
    assert [Table(store, info).held(bucket) for bucket in range(2)] == expected
    assert set(opened.values()) == {3}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "name", "n"),
    slow_but(
        [("older", "part started", 2), ("new", "part started", 1)],
        [
            ("older", "extract", 1),
            ("older", "merge", 1),
            ("older", "part started", 2),
            ("older", "verify", 1),
            ("emptied", "merge", 1),
            ("emptied", "part started", 1),
            ("new", "part started", 1),
        ],
    ),
)
def test_a_stale_write_between_planning_and_promotion(
    changed: Prepared, what: str, name: str, n: int
) -> None:
    place, parts = changed.place, {k: v for k, v in changed.before.items() if "/part-" in k}
    late = {
        "older": {key: cut(data, 1) for key, data in parts.items()},
        "emptied": {key: cut(data, 0) for key, data in parts.items() if "=pop/" in key},
        "new": {k.replace("=pop/", "=new/"): cut(v, 0) for k, v in parts.items() if "=pop/" in k},
    }[what]
    assert late

    def write() -> None:
        for key, data in late.items():
            place.put(key, data)

    report = driver.run_inline(place.request(), at(name, write, n))
    assert report.status == "done"
    changed.check()


def cut(part: bytes, n: int) -> bytes:
    """Return a part of which only the rows of the first files are left."""
    rows = parquet.read_parquet(pa.py_buffer(part))
    paths = rows["path"].unique().slice(0, n)
    return parquet.to_parquet(rows.filter(pc.is_in(rows["path"], paths)))


@pytest.mark.slow
def test_two_drivers_at_once(changed: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the first renews its lease in real time
    request = changed.place.request(lease_period_s=6.0)
    with PausedRun(request, "part started", 2, in_real_time=True) as first:
        with pytest.raises(TableBusyError, match=rf"process {first.pid} on .*wait for it"):
            driver.run_inline(request)
        first.go_on()
        assert first.ended() == (0, "")
    changed.check()


@pytest.mark.slow
def test_two_drivers_begin_together(changed: Prepared) -> None:
    request = changed.place.request(lease_period_s=6.0)
    processes = [driver.forked(pausing.run_or_exit, request) for _ in range(2)]
    for process in processes:
        process.join(60)
    codes = sorted(process.exitcode for process in processes)
    assert codes in ([0, EXIT_BUSY], [0, 0])  # the second may come when the first is done
    changed.check()


@pytest.mark.slow
def test_the_status_of_runs_whose_driver_died(place: Place) -> None:
    """A lease that is not renewed for its period is judged by the clock of the service."""
    place.write(FIRST)
    request = place.request(lease_period_s=2.0)
    code = driver.exit_code_of(driver.run_killed_at_step, request, 1, "merge")
    assert code == -signal.SIGKILL
    options = request.settings.options_for("table")

    def of_last_run() -> tuple[str, int]:
        status = table_status(request.table, options)
        return status.runs[-1]["report"]["status"], status.n_waiting

    assert of_last_run()[0] in ("running", "killed")  # nobody can know at once
    driver.wait_until(lambda: of_last_run() == ("killed", N_FILES), "the lease is dead", 20)
    with PausedRun(request, "merge", in_real_time=True):
        assert of_last_run() == ("running", N_FILES)
    driver.run_inline(request)
    assert of_last_run() == ("done", 0)
