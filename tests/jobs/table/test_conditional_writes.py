"""Conditional writes: one of several writers wins, and no write is lost."""

from __future__ import annotations

import multiprocessing
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import botocore.exceptions
import pytest

from jobs.errors import ConflictError, UsageError
from jobs.storage.opening import open_store
from jobs.storage.s3 import S3Store
from jobs.table.lock import write_lock
from tests.conftest import S3
from tests.support.quick import slow_but
from tests.support.s3_double import RESET_AFTER, double, first

N_WRITERS = 8


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
    slow_but(
        [ignoring_if_match, refusing_all],
        [ignoring_all, ignoring_if_match, ignoring_if_none_match, refusing_all, refusing_if_match],
    ),
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


@pytest.mark.slow
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
        for n in range(4):
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


@pytest.mark.slow
def test_no_update_is_lost_between_threads(open_table: Callable[[], S3Store], s3: S3) -> None:
    store = open_table()
    store.replace("number", b"0")
    with ThreadPoolExecutor(N_WRITERS) as pool:
        args = [(s3.storage_options, store.url, 6)] * N_WRITERS
        n_conflicts = sum(pool.map(count_up, *zip(*args, strict=True)))
    assert store.read("number")[0].split()[0] == b"%d" % (6 * N_WRITERS)
    assert n_conflicts > 0  # it was a race


@pytest.mark.slow
def test_no_update_is_lost_between_processes(open_table: Callable[[], S3Store], s3: S3) -> None:
    store = open_table()  # used before the processes are made, as in a driver
    store.replace("number", b"0")
    with ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as pool:
        args = [(s3.storage_options, store.url, 8)] * 6
        n_conflicts = sum(pool.map(count_up, *zip(*args, strict=True)))
    assert store.read("number")[0].split()[0] == b"48"
    assert n_conflicts > 0
