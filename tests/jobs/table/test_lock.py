"""One driver at a time: locks, leases, and conditional commits of several drivers."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest

from jobs.errors import EXIT_BUSY, ConflictError, TableBusyError, TableError, UsageError
from jobs.storage.opening import open_store
from jobs.storage.s3 import S3Store
from jobs.table.layout import LEASE
from jobs.table.lease import Lease
from jobs.table.lock import write_lock
from tests.conftest import S3
from tests.support.s3_double import RESET_AFTER, double, first

N_WRITERS = 8


def until(condition: Callable[[], Any], timeout_s: float = 20.0) -> None:
    """Wait until something holds."""
    ends = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends, "it did not come to that"
        time.sleep(0.005)


@pytest.fixture
def open_table(s3: S3) -> Callable[[], S3Store]:
    """Return a function that opens the same table again, as another driver would."""
    bucket = s3.bucket()

    def open_() -> S3Store:
        store = open_store(f"s3://{bucket}/t", s3.storage_options)
        assert isinstance(store, S3Store)
        return store

    return open_


def kill(lease: Lease) -> None:
    """Let a lease's holder stop as a killed process does: without release."""
    lease._stop.set()
    lease._thread.join()


@contextlib.contextmanager
def held(lease: Lease) -> Iterator[Lease]:
    lease.acquire()
    try:
        yield lease
    finally:
        lease.release()


# conditions


def test_the_service_honours_conditions(open_table: Callable[[], S3Store]) -> None:
    store = open_table()
    assert not store.conditional
    assert store.probe_conditions()
    assert store.conditional
    assert list(store.scan()) == []


def refused(status: int) -> botocore.exceptions.ClientError:
    response: Any = {"Error": {"Code": "x"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return botocore.exceptions.ClientError(response, "PutObject")


def differing(
    monkeypatch: pytest.MonkeyPatch, store: S3Store, change: Callable[[dict[str, Any]], None]
) -> None:
    """Let a store's requests reach another kind of service: `change` gets their arguments."""
    send = store._send

    async def changed(method: str, **arguments: Any) -> dict[str, Any]:
        change(arguments)
        return await send(method, **arguments)

    monkeypatch.setattr(store, "_send", changed)


def ignoring_all(arguments: dict[str, Any]) -> None:
    arguments.pop("IfMatch", None)
    arguments.pop("IfNoneMatch", None)


def ignoring_if_match(arguments: dict[str, Any]) -> None:
    arguments.pop("IfMatch", None)


def ignoring_if_none_match(arguments: dict[str, Any]) -> None:
    arguments.pop("IfNoneMatch", None)


def refusing_all(arguments: dict[str, Any]) -> None:
    if "IfMatch" in arguments or "IfNoneMatch" in arguments:
        raise refused(501)


def refusing_if_match(arguments: dict[str, Any]) -> None:
    if "IfMatch" in arguments:
        raise refused(400)


@pytest.mark.parametrize(
    "service",
    [ignoring_all, ignoring_if_match, ignoring_if_none_match, refusing_all, refusing_if_match],
)
def test_a_service_without_conditions_is_refused(
    open_table: Callable[[], S3Store],
    monkeypatch: pytest.MonkeyPatch,
    service: Callable[[dict[str, Any]], None],
) -> None:
    store = open_table()
    differing(monkeypatch, store, service)
    assert not store.probe_conditions()
    assert not store.conditional
    with pytest.raises(UsageError, match="--single-writer"), write_lock(store, "a"):
        pass
    assert list(store.scan()) == []
    with write_lock(store, "a", single_writer=True) as guard:
        guard.check()


def test_a_service_that_wants_quotes(
    open_table: Callable[[], S3Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wants_quotes(arguments: dict[str, Any]) -> None:
        if "IfMatch" in arguments:
            if not arguments["IfMatch"].startswith('"'):
                raise refused(412)
            arguments["IfMatch"] = arguments["IfMatch"].strip('"')

    store = open_table()
    differing(monkeypatch, store, wants_quotes)
    assert store.probe_conditions()
    version = store.replace("p", b"1")
    store.replace("p", b"2", expected=version)
    with pytest.raises(ConflictError):
        store.replace("p", b"3", expected=version)
    assert store.open("p")[0].read(1) == b"2"


def test_other_storage_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="--single-writer"),
        write_lock(open_store("memory://x"), "a"),
    ):
        pass


def test_a_write_that_was_done_and_not_answered(open_table: Callable[[], S3Store], s3: S3) -> None:
    store = open_table()
    with double(s3) as service:
        other = open_store(f"s3://{store.bucket}/t", service.s3.storage_options)
        version = None
        for data in (b"1", b"2", b"3"):
            service.rule = first(1, RESET_AFTER, "PUT")
            version = other.replace("p", data, expected=version)
            assert store.read("p") == (data, version)
        assert service.count(RESET_AFTER) == 3
        service.rule = first(1, 409, "PUT")  # a service's word for "at the same time as another"
        version = other.replace("p", b"4", expected=version)
        assert store.read("p") == (b"4", version)


def test_a_write_that_came_after_another(open_table: Callable[[], S3Store], s3: S3) -> None:
    store = open_table()
    before = store.replace("p", b"1")
    with double(s3, first(1, RESET_AFTER, "PUT")) as service:
        other = open_store(f"s3://{store.bucket}/t", service.s3.storage_options)
        rule = service.rule

        def overtaken(method: str, path: str) -> int | str | None:
            if any(done == RESET_AFTER for _, _, done in service.seen) and method == "PUT":
                store.replace("p", b"3")
            return rule(method, path)

        service.rule = overtaken
        with pytest.raises(ConflictError):
            other.replace("p", b"2", expected=before)
    assert store.read("p")[0] == b"3"


# races


@pytest.mark.parametrize("present", [False, True], ids=["made", "replaced"])
def test_one_of_many_promotions_wins(open_table: Callable[[], S3Store], present: bool) -> None:
    stores = [open_table() for _ in range(N_WRITERS)]
    barrier = threading.Barrier(N_WRITERS)

    def write(i: int, n: int, expected: str | None) -> str | None:
        barrier.wait()
        name = "p" if present else f"p{n}"
        try:
            return stores[i].replace(name, f"{n} by {i}".encode(), expected=expected)
        except ConflictError:
            return None

    with ThreadPoolExecutor(N_WRITERS) as pool:
        expected = stores[0].replace("p", b"0") if present else None
        for n in range(12):
            name = "p" if present else f"p{n}"
            written = list(
                pool.map(write, range(N_WRITERS), [n] * N_WRITERS, [expected] * N_WRITERS)
            )
            winners = [i for i, version in enumerate(written) if version is not None]
            assert len(winners) == 1
            assert stores[0].read(name) == (f"{n} by {winners[0]}".encode(), written[winners[0]])
            expected = written[winners[0]] if present else None


def count_up(options: dict[str, Any], url: str, n: int) -> int:
    """Add one to a number n times, again where another came between; return how often one did."""
    store, n_conflicts = open_store(url, options), 0
    for _ in range(n):
        while True:
            data, version = store.read("number")
            # a writer's own contents, as equal ones would count as its own success
            mine = f"{int(data.split()[0]) + 1} {uuid.uuid4()}".encode()
            try:
                store.replace("number", mine, expected=version)
            except ConflictError:
                n_conflicts += 1
            else:
                break
    return n_conflicts


def test_no_update_is_lost_between_threads(open_table: Callable[[], S3Store], s3: S3) -> None:
    store = open_table()
    store.replace("number", b"0")
    with ThreadPoolExecutor(N_WRITERS) as pool:
        args = [(s3.storage_options, store.url, 6)] * N_WRITERS
        n_conflicts = sum(pool.map(count_up, *zip(*args, strict=True)))
    assert store.read("number")[0].split()[0] == b"%d" % (6 * N_WRITERS)
    assert n_conflicts > 0  # it was a race


def test_no_update_is_lost_between_processes(open_table: Callable[[], S3Store], s3: S3) -> None:
    store = open_table()  # used before the processes are made, as in a driver
    store.replace("number", b"0")
    with ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as pool:
        args = [(s3.storage_options, store.url, 8)] * 6
        n_conflicts = sum(pool.map(count_up, *zip(*args, strict=True)))
    assert store.read("number")[0].split()[0] == b"48"
    assert n_conflicts > 0


@pytest.mark.parametrize("left", ["nothing", "released", "dead"])
def test_one_of_many_newcomers_gets_the_lease(open_table: Callable[[], S3Store], left: str) -> None:
    # long enough for the winner to renew in time among so many threads
    period_s = 1.5 if left == "dead" else 3.0
    stores = [open_table() for _ in range(N_WRITERS)]
    barrier = threading.Barrier(N_WRITERS)

    def race(i: int) -> Lease | None:
        lease = Lease(stores[i], f"run {i}", period_s)
        barrier.wait()
        try:
            lease.acquire()
        except TableBusyError:
            return None
        return lease

    with ThreadPoolExecutor(N_WRITERS) as pool:
        for _ in range(2 if left == "dead" else 6):
            winners = [lease for lease in pool.map(race, range(N_WRITERS)) if lease]
            assert len(winners) == 1
            winners[0].check()
            if left == "dead":
                kill(winners[0])
            else:
                winners[0].release()
            if left == "nothing":
                stores[0].delete([LEASE])


# the lease of one driver


def test_a_newcomer_is_turned_away_while_the_holder_renews(
    open_table: Callable[[], S3Store],
) -> None:
    with write_lock(open_table(), "first", period_s=1.0) as guard:
        started = time.monotonic()
        for _ in range(3):
            with (
                pytest.raises(TableBusyError, match=r"run first, process \d+ on ") as caught,
                write_lock(open_table(), "second", period_s=1.0),
            ):
                pass
            assert caught.value.exit_code == EXIT_BUSY == 75
            guard.check()
        assert time.monotonic() - started < 3.0


def test_a_released_lease_is_taken_at_once(open_table: Callable[[], S3Store]) -> None:
    started = time.monotonic()
    for i in range(4):
        with write_lock(open_table(), f"run {i}", period_s=30.0) as guard:
            guard.check()
    assert time.monotonic() - started < 15.0
    assert json.loads(open_table().read(LEASE)[0])["released"] is True


def test_a_dead_holder_is_overtaken_after_its_own_period(
    open_table: Callable[[], S3Store],
) -> None:
    dead = Lease(open_table(), "dead", 1.0)
    dead.acquire()
    dead.check()
    kill(dead)
    started = time.monotonic()
    with held(Lease(open_table(), "second", 30.0)) as second:
        assert 1.0 <= time.monotonic() - started < 5.0
        with pytest.raises(TableBusyError):
            dead.check()
        second.check()
        dead.release()  # too late: it takes nothing from the second
        assert json.loads(open_table().read(LEASE)[0])["run_id"] == "second"
        second.check()


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
    open_table: Callable[[], S3Store], broken: Callable[[S3Store], threading.Event]
) -> None:
    store = open_table()
    with held(Lease(store, "first", 2.0)) as lease:
        works = broken(store)
        cut_off = time.monotonic()
        lease.check()
        with pytest.raises(TableBusyError, match="could not be renewed"):
            until(lambda: lease.check())
        assert 0.5 < time.monotonic() - cut_off < 2.0  # from the last renewal, half a period
        with pytest.raises(TableBusyError):
            lease.check()
        works.set()
        lease.check()  # nobody has taken it meanwhile
        until(lambda: not lease._is_stale())


def test_a_holder_that_was_overtaken_while_cut_off(
    open_table: Callable[[], S3Store], broken: Callable[[S3Store], threading.Event]
) -> None:
    store = open_table()
    with held(Lease(store, "first", 1.0)) as lease:
        works = broken(store)
        with held(Lease(open_table(), "second", 1.0)) as second:
            works.set()
            for _ in range(3):
                with pytest.raises(TableBusyError):
                    lease.check()
            second.check()
        with pytest.raises(TableBusyError, match="taken by another run"):
            lease.check()  # for good


def test_a_renewal_that_was_done_and_not_answered(
    open_table: Callable[[], S3Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, unanswered = open_table(), 0
    with held(Lease(store, "first", 1.2)) as lease:
        replace = store.replace

        def unheard(*arguments: Any, **options: Any) -> str:
            nonlocal unanswered
            version = replace(*arguments, **options)
            if unanswered < 3:
                unanswered += 1
                raise ConnectionError("no answer")
            return version

        monkeypatch.setattr(store, "replace", unheard)
        until(lambda: unanswered == 3)
        renewed = lease._renewed_at
        until(lambda: lease._renewed_at > renewed)
        lease.check()
        assert json.loads(store.read(LEASE)[0])["run_id"] == "first"
    assert json.loads(store.read(LEASE)[0])["released"] is True


def test_the_lease_over_connections_that_break(open_table: Callable[[], S3Store], s3: S3) -> None:
    store = open_table()
    with double(s3, first(2, RESET_AFTER, "PUT", "lease.json")) as service:
        other = open_store(f"s3://{store.bucket}/t", service.s3.storage_options)
        with write_lock(other, "first", period_s=3.0) as guard:
            for n in range(1, 4):
                until(lambda n=n: _n_puts(service.seen) >= 2 * n)  # type: ignore[misc]
                guard.check()
                service.rule = first(1, RESET_AFTER, "PUT", "lease.json")
            guard.check()


def _n_puts(seen: list[Any]) -> int:
    return sum(method == "PUT" and path.endswith("lease.json") for method, path, _ in seen)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"period_s": "soon"}', b"\xff"])
def test_something_else_where_the_lease_is(open_table: Callable[[], S3Store], data: bytes) -> None:
    store = open_table()
    store.replace(LEASE, data)
    with pytest.raises(TableError, match=r"lease\.json is not a lease: delete it"):
        Lease(store, "a", 1.0).acquire()
    assert store.read(LEASE)[0] == data


_HOLDER = """
import sys, time
from jobs.table.lock import hold
from jobs.storage.opening import open_store
with hold(open_store(sys.argv[1]), "child", period_s=float(sys.argv[2])) as guard:
    print("held", flush=True)
    for line in sys.stdin:
        try:
            guard.check()
            print("fine", flush=True)
        except Exception as error:
            print(type(error).__name__, flush=True)
"""


@contextlib.contextmanager
def holder(
    url: str, period_s: float, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Hold a table in another process."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, url, str(period_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=env,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def asked(process: subprocess.Popen[str]) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


@pytest.fixture
def s3_environment(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("s3_environment")
def test_a_holder_that_is_killed(s3: S3) -> None:
    url = f"s3://{s3.bucket()}/t"
    with holder(url, 1.0) as process:
        with (
            pytest.raises(TableBusyError, match="run child"),
            write_lock(open_store(url), "second"),
        ):
            pass
        process.kill()
        process.wait()
        with write_lock(open_store(url), "second") as guard:
            guard.check()


@pytest.mark.usefixtures("s3_environment")
def test_a_holder_that_is_stopped_and_goes_on(s3: S3) -> None:
    url = f"s3://{s3.bucket()}/t"
    with holder(url, 1.0) as process:
        assert asked(process) == "fine"
        process.send_signal(signal.SIGSTOP)
        with write_lock(open_store(url), "second", period_s=1.0) as guard:
            process.send_signal(signal.SIGCONT)
            assert asked(process) == "TableBusyError"
            guard.check()
        assert asked(process) == "TableBusyError"


@pytest.mark.usefixtures("s3_environment")
def test_a_holder_that_is_stopped_for_a_while_only(s3: S3) -> None:
    url = f"s3://{s3.bucket()}/t"
    with holder(url, 1.0) as process:
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)  # the time is the point: longer than a whole period, with no newcomer
        process.send_signal(signal.SIGCONT)
        assert asked(process) == "fine"


def test_the_lock_of_a_folder(tmp_path: Path) -> None:
    url = str(tmp_path / "table")
    with holder(url, 1.0) as process:
        with (
            pytest.raises(TableBusyError, match=rf"run child, process {process.pid} on ") as caught,
            write_lock(open_store(url), "second"),
        ):
            pass
        assert caught.value.exit_code == EXIT_BUSY
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(TableBusyError), write_lock(open_store(url), "second"):
            pass  # stopped is not dead: the kernel knows
        process.kill()
        process.wait()
        with write_lock(open_store(url), "second") as guard:
            guard.check()
        with write_lock(open_store(url), "third"):
            pass
