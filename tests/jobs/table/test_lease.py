"""The lease on a table in a bucket, by a clock that the tests set forward."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jobs.errors import EXIT_BUSY, TableBusyError, TableError
from jobs.storage.opening import open_store
from jobs.storage.s3 import S3Store
from jobs.table.layout import LEASE
from jobs.table.lease import Lease
from tests.conftest import S3
from tests.support.clock import Clock
from tests.support.s3_double import RESET_AFTER, double, first

PERIOD_S = 30.0
N_NEWCOMERS = 5

OpenTable = Callable[[], S3Store]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@contextlib.contextmanager
def held(lease: Lease) -> Iterator[Lease]:
    lease.acquire()
    try:
        yield lease
    finally:
        lease.release()


def holder_in(store: S3Store) -> dict[str, Any]:
    return json.loads(store.read(LEASE)[0])


@pytest.mark.slow
@pytest.mark.parametrize("left", ["nothing", "released", "dead"])
def test_one_of_many_newcomers_gets_the_lease(
    open_table: OpenTable, clock: Clock, left: str
) -> None:
    stores = [open_table() for _ in range(N_NEWCOMERS)]
    barrier = threading.Barrier(N_NEWCOMERS)

    def race(i: int) -> Lease | None:
        lease = clock.lease(stores[i], f"run {i}", PERIOD_S)
        barrier.wait()
        try:
            lease.acquire()
        except TableBusyError:
            return None
        return lease

    with ThreadPoolExecutor(N_NEWCOMERS) as pool:
        for _ in range(3):
            dead = Clock().lease(stores[0], "dead", PERIOD_S)  # its clock stands still
            if left == "dead":
                dead.acquire()
            winners = [lease for lease in pool.map(race, range(N_NEWCOMERS)) if lease]
            assert len(winners) == 1
            winners[0].check()
            if left == "dead":
                dead.release()
            winners[0].release()
            if left == "nothing":
                stores[0].delete([LEASE])


def test_a_newcomer_is_turned_away_while_the_holder_renews(
    open_table: OpenTable, clock: Clock
) -> None:
    with held(clock.lease(open_table(), "first", PERIOD_S)) as first:
        for _ in range(3):
            now = clock()
            with pytest.raises(TableBusyError, match=r"run first, process \d+ on ") as caught:
                clock.lease(open_table(), "second", PERIOD_S).acquire()
            assert caught.value.exit_code == EXIT_BUSY == 75
            assert clock() - now < PERIOD_S / 2
            first.check()


def test_a_released_lease_is_taken_at_once(open_table: OpenTable, clock: Clock) -> None:
    for i in range(4):
        with held(clock.lease(open_table(), f"run {i}", PERIOD_S)) as lease:
            lease.check()
    assert clock() == 0
    assert holder_in(open_table())["released"] is True


def test_a_dead_holder_is_overtaken_after_its_own_period(
    open_table: OpenTable, clock: Clock
) -> None:
    clock_of_dead = Clock()
    dead = clock_of_dead.lease(open_table(), "dead", 7.0)
    dead.acquire()
    dead.check()
    with held(clock.lease(open_table(), "second", PERIOD_S)) as second:
        assert 7.0 <= clock() < 8.0
        clock_of_dead.forward(7.0)  # it was stopped only, and goes on
        with pytest.raises(TableBusyError):
            dead.check()
        second.check()
        dead.release()  # too late: it takes nothing from the second
        assert holder_in(open_table())["run_id"] == "second"
        second.check()


def test_a_holder_that_was_stopped_with_no_newcomer_goes_on(
    open_table: OpenTable, clock: Clock
) -> None:
    with held(clock.lease(open_table(), "first", PERIOD_S)) as lease:
        clock.forward(2 * PERIOD_S)
        lease.check()


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[S3Store], threading.Event]:
    """Give a function that cuts a store off from the service while an event is not set."""

    def break_(store: S3Store) -> threading.Event:
        works, replace = threading.Event(), store.replace

        def replacing(*arguments: Any, **options: Any) -> str:
            if not works.is_set():
                raise ConnectionError("cut off")
            return replace(*arguments, **options)

        monkeypatch.setattr(store, "replace", replacing)
        return works

    return break_


def test_a_holder_that_cannot_renew_stops(
    open_table: OpenTable, clock: Clock, broken: Callable[[S3Store], threading.Event]
) -> None:
    store = open_table()
    with held(clock.lease(store, "first", PERIOD_S)) as lease:
        works = broken(store)
        clock.forward(PERIOD_S / 2)  # from the last renewal, half a period
        lease.check()
        clock.forward(0.1)
        for _ in range(2):
            with pytest.raises(TableBusyError, match="could not be renewed"):
                lease.check()
        works.set()
        lease.check()  # nobody has taken it meanwhile
        clock.forward(PERIOD_S / 2)
        works.clear()
        lease.check()  # it was renewed in the background, too


def test_a_holder_that_was_overtaken_while_cut_off(
    open_table: OpenTable, clock: Clock, broken: Callable[[S3Store], threading.Event]
) -> None:
    store = open_table()
    with held(clock.lease(store, "first", PERIOD_S)) as lease:
        works = broken(store)
        with held(clock.lease(open_table(), "second", PERIOD_S)) as second:
            works.set()
            for _ in range(3):
                with pytest.raises(TableBusyError):
                    lease.check()
            second.check()
        with pytest.raises(TableBusyError, match="taken by another run"):
            lease.check()  # for good


def test_a_renewal_that_was_done_and_not_answered(
    open_table: OpenTable, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, n_unanswered = open_table(), 0
    with held(clock.lease(store, "first", PERIOD_S)) as lease:
        replace = store.replace

        def unheard(*arguments: Any, **options: Any) -> str:
            nonlocal n_unanswered
            version = replace(*arguments, **options)
            if n_unanswered < 3:
                n_unanswered += 1
                raise ConnectionError("no answer")
            return version

        monkeypatch.setattr(store, "replace", unheard)
        clock.forward(0.8 * PERIOD_S)
        assert n_unanswered == 3
        lease.check()
        assert holder_in(store)["run_id"] == "first"
    assert holder_in(store)["released"] is True


def test_the_lease_over_connections_that_break(
    open_table: OpenTable, clock: Clock, s3: S3, waits: list[float]
) -> None:
    store = open_table()
    with double(s3, first(2, RESET_AFTER, "PUT", "lease.json")) as service:
        other = open_store(f"s3://{store.bucket}/t", service.s3.storage_options)
        assert isinstance(other, S3Store)
        with held(clock.lease(other, "first", PERIOD_S)) as lease:
            for _ in range(3):
                n_puts = _n_puts(service.seen)
                clock.forward(PERIOD_S / 6)
                assert _n_puts(service.seen) >= n_puts + 1
                lease.check()
                service.rule = first(1, RESET_AFTER, "PUT", "lease.json")
            lease.check()
        assert service.count(RESET_AFTER) >= 4
    assert waits


def _n_puts(seen: list[Any]) -> int:
    return sum(method == "PUT" and path.endswith("lease.json") for method, path, _ in seen)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"period_s": "soon"}', b"\xff"])
def test_something_else_where_the_lease_is(open_table: Callable[[], S3Store], data: bytes) -> None:
    store = open_table()
    store.replace(LEASE, data)
    with pytest.raises(TableError, match=r"lease\.json is not a lease: delete it"):
        Lease(store, "a", 1.0).acquire()
    assert store.read(LEASE)[0] == data


@pytest.mark.parametrize(("n_slow", "is_lost"), [(0, False), (1, False), (2, True)])
def test_a_renewal_that_took_minutes_is_followed_by_another(
    open_table: OpenTable, monkeypatch: pytest.MonkeyPatch, n_slow: int, is_lost: bool
) -> None:
    """As in a storm of 503: nobody knows when the first was done; the next one tells."""
    store, now, left = open_table(), [0.0], [n_slow]
    lease = Lease(store, "run", PERIOD_S, clock=lambda: now[0], wait=lambda stop, _: stop.wait())
    real = store.replace

    def slow(*arguments: Any, **options: Any) -> str:
        if left[0]:
            left[0] -= 1
            now[0] += 10 * PERIOD_S
        return real(*arguments, **options)

    with held(lease):
        monkeypatch.setattr(store, "replace", slow)
        now[0] += PERIOD_S
        with pytest.raises(TableBusyError) if is_lost else contextlib.nullcontext():
            lease.check()
