"""Which failures pass by themselves, and how they are waited out."""

from __future__ import annotations

import errno
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import botocore.exceptions
import botocore.parsers
import multidict
import pytest
from aiobotocore.config import AioConfig
from fsspec.exceptions import FSTimeoutError

from jobs.errors import ConflictError, StorageError
from jobs.storage.base import Fetched
from jobs.storage.opening import open_store
from jobs.storage.retry import (
    THROTTLED_S,
    http_status,
    is_transient,
    kind_of,
    service_code,
    take_retries,
    with_retries,
)
from jobs.storage.s3 import S3Store
from tests.conftest import S3
from tests.support.quick import slow_but
from tests.support.s3_double import RESET, double, first


def answered(status: int, code: str = "") -> botocore.exceptions.ClientError:
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return botocore.exceptions.ClientError(response, "PutObject")


def behind(outer: Exception, inner: BaseException) -> Exception:
    outer.__cause__ = inner
    return outer


def beside(outer: Exception, handled: BaseException) -> Exception:
    outer.__context__ = handled
    return outer


def without(outer: Exception, handled: BaseException) -> Exception:
    outer.__context__, outer.__suppress_context__ = handled, True
    return outer


URL = {"endpoint_url": "http://x"}
DOWN = botocore.exceptions.EndpointConnectionError(**URL)

PASSING = [
    answered(500, "InternalError"),
    answered(502),
    answered(503, "SlowDown"),
    answered(504),
    answered(429, "TooManyRequests"),
    answered(400, "RequestTimeout"),
    answered(409, "ConditionalRequestConflict"),
    answered(409, "OperationAborted"),
    behind(OSError(errno.EINVAL, "x"), answered(503, "SlowDown")),
    behind(PermissionError("x"), answered(503, "SlowDown")),
    DOWN,
    behind(StorageError("nothing answers"), DOWN),
    beside(StorageError("nothing answers"), DOWN),
    botocore.exceptions.ConnectTimeoutError(**URL),
    botocore.exceptions.ReadTimeoutError(**URL),
    botocore.exceptions.ConnectionClosedError(**URL),
    botocore.parsers.ResponseParserError(),
    botocore.exceptions.HTTPClientError(error="x"),
    aiohttp.ClientPayloadError(),
    aiohttp.ServerDisconnectedError(),
    aiohttp.ServerTimeoutError(),
    TimeoutError(),
    FSTimeoutError(),
    TimeoutError(),
    ConnectionResetError(),
    BrokenPipeError(),
    OSError(errno.EIO, "Input/output error"),
    OSError(errno.ESTALE, "Stale file handle"),
    OSError(errno.ENETUNREACH, "Network is unreachable"),
]
STAYING = [
    answered(400, "InvalidRequest"),
    answered(403, "AccessDenied"),
    answered(404, "NoSuchKey"),
    answered(409, "BucketAlreadyExists"),
    answered(412, "PreconditionFailed"),
    answered(416, "InvalidRange"),
    answered(501, "NotImplemented"),
    behind(OSError(errno.EIO, "x"), answered(404)),
    behind(ConflictError("x"), answered(412)),
    FileNotFoundError(errno.ENOENT, "x"),
    PermissionError(errno.EACCES, "x"),
    behind(FileNotFoundError("x"), TimeoutError()),
    without(StorageError("x"), TimeoutError()),
    botocore.exceptions.NoCredentialsError(),
    botocore.exceptions.ParamValidationError(report="x"),
    StorageError("not a regular file"),
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EISDIR, "Is a directory"),
    ValueError("x"),
    MemoryError(),
    KeyboardInterrupt(),
]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answered(503, "SlowDown"), "throttled"),
        (answered(503), "throttled"),
        (answered(429), "throttled"),
        (answered(400, "ThrottlingException"), "throttled"),
        (behind(StorageError("x"), answered(503, "SlowDown")), "throttled"),
        (answered(500, "InternalError"), "server"),
        (answered(409, "OperationAborted"), "server"),
        (answered(400, "RequestTimeout"), "timeout"),
        (FSTimeoutError(), "timeout"),
        (botocore.exceptions.ReadTimeoutError(**URL), "timeout"),
        (behind(StorageError("x"), TimeoutError()), "timeout"),
        (DOWN, "connection"),
        (ConnectionResetError(errno.ECONNRESET, "x"), "connection"),
        (aiohttp.ClientPayloadError(), "connection"),
        (OSError(errno.EIO, "x"), "device"),
        (OSError(errno.ENETUNREACH, "x"), "connection"),
    ],
    ids=repr,
)
def test_kinds_of_what_passes(error: BaseException, kind: str) -> None:
    assert is_transient(error)
    assert kind_of(error) == kind


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_what_passes_by_itself(error: BaseException) -> None:
    assert is_transient(error)


@pytest.mark.parametrize("error", STAYING, ids=repr)
def test_what_does_not(error: BaseException) -> None:
    assert not is_transient(error)


def test_errors_that_are_their_own_cause() -> None:
    one, other = StorageError("one"), StorageError("other")
    one.__cause__, other.__cause__ = other, one
    assert not is_transient(one)


def test_what_a_service_answered() -> None:
    error = behind(StorageError("x"), behind(OSError("y"), answered(412, "PreconditionFailed")))
    assert (http_status(error), service_code(error)) == (412, "PreconditionFailed")
    assert (http_status(OSError()), service_code(OSError())) == (None, None)


class Failing:
    """A call that fails n times."""

    def __init__(self, n: int, error: BaseException) -> None:
        self.left, self.error, self.n_calls = n, error, 0

    def __call__(self) -> str:
        self.n_calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "done"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give what is waited, instead of waiting."""
    waited: list[float] = []
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=waited.append))
    return waited


def test_success_needs_no_waiting(waits: list[float]) -> None:
    assert with_retries(Failing(0, TimeoutError())) == "done"
    assert waits == []


def test_backoff_grows_and_is_bounded_and_jittered(waits: list[float]) -> None:
    runs = []
    for _ in range(200):
        assert with_retries(Failing(9, TimeoutError()), attempts=10, max_wait_s=20) == "done"
        runs.append(waits[:])
        waits.clear()
    for nth, of_runs in enumerate(zip(*runs, strict=True)):
        bound = min(20.0, 0.25 * 2**nth)
        assert 0.6 * bound < max(of_runs) <= bound
        assert min(of_runs) < 0.4 * bound
        assert len(set(of_runs)) > 100


def test_the_last_error_is_raised_as_it_is(waits: list[float]) -> None:
    error = ConnectionResetError("again")
    call = Failing(100, error)
    with pytest.raises(ConnectionResetError) as caught:
        with_retries(call, attempts=5)
    assert caught.value is error
    assert (call.n_calls, len(waits)) == (5, 4)


def test_retries_are_counted_once(waits: list[float]) -> None:
    take_retries()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(with_retries, [Failing(3, answered(503)) for _ in range(20)]))
    with_retries(Failing(2, TimeoutError()))
    with pytest.raises(ConnectionResetError):
        with_retries(Failing(9, ConnectionResetError()), attempts=3)
    with_retries(Failing(1, ConflictError("x")), retry_if=lambda error: True)  # no fault of storage
    assert take_retries() == {"throttled": 60, "timeout": 2, "connection": 2}
    assert take_retries() == {}


def test_throttling_is_waited_out_for_minutes_and_counts_as_no_attempt(waits: list[float]) -> None:
    errors = iter([*[answered(503, "SlowDown")] * 25, *[TimeoutError()] * 3])

    def call() -> str:
        if error := next(errors, None):
            raise error
        return "done"

    assert with_retries(call, attempts=4) == "done"
    assert sum(waits) > 60
    waits.clear()
    with pytest.raises(botocore.exceptions.ClientError):
        with_retries(Failing(1000, answered(503, "SlowDown")))
    assert THROTTLED_S <= sum(waits) < THROTTLED_S + 20


@pytest.mark.parametrize(
    ("header", "at_least"), [("7", 7.0), ("0", 0.0), ("100000", 60.0), ("Wed, 21 Oct 2026", 0.0)]
)
def test_an_answer_may_ask_for_a_longer_wait(
    waits: list[float], header: str, at_least: float
) -> None:
    error = answered(503, "SlowDown")
    error.response["ResponseMetadata"]["HTTPHeaders"] = {"retry-after": header}
    told = multidict.CIMultiDict({"Retry-After": header})
    of_web = aiohttp.ClientResponseError(None, (), status=429, headers=told)  # type: ignore[arg-type]
    for one in (error, of_web):
        waits.clear()
        assert with_retries(Failing(1, one)) == "done"
        assert at_least <= waits[0] <= at_least + 0.25


@pytest.mark.parametrize("error", [answered(404), FileNotFoundError(), ValueError()], ids=repr)
def test_what_does_not_pass_is_not_tried_again(waits: list[float], error: Exception) -> None:
    call = Failing(1, error)
    with pytest.raises(type(error)):
        with_retries(call)
    assert (call.n_calls, waits) == (1, [])


def test_an_interrupt_is_not_waited_out(waits: list[float]) -> None:
    with pytest.raises(KeyboardInterrupt):
        with_retries(Failing(1, KeyboardInterrupt()))
    assert waits == []


# over a service


@pytest.fixture
def store(s3: S3) -> S3Store:
    store = open_store(f"s3://{s3.bucket()}/t", s3.storage_options)
    assert isinstance(store, S3Store)
    store.replace("a", b"12345")
    return store


def contents(fetched: Fetched) -> bytes:
    """Read a file that is there as long as what fetched it is."""
    try:
        return Path(fetched.source).read_bytes()
    finally:
        fetched.close()


@pytest.mark.parametrize("what", slow_but([503], [503, 500, RESET]))
def test_every_operation_waits_out_what_passes(
    store: S3Store, s3: S3, waits: list[float], what: int | str
) -> None:
    with double(s3) as service:
        other = open_store(f"s3://{store.bucket}/t", service.s3.storage_options, retry_connect=True)
        version = store.stat(["a"])[0].version  # type: ignore[union-attr]
        n_failures = 3
        for operation in (
            lambda: [list(page) for page in other.scan()] == [[("a", 5, version)]],
            lambda: other.stat(["a"]) == [("a", 5, version)],
            lambda: other.read("a") == (b"12345", version),
            lambda: contents(other.fetch("a")) == b"12345",
            lambda: other.open("a")[0].read(3) == b"123",
            lambda: other.replace("b", b"1") != "",
            lambda: other.replace("c", b"1", expected=None) != "",
            lambda: other.delete(["b", "c"]) is None,
        ):
            waits.clear()
            service.seen.clear()
            service.rule = first(n_failures, what)
            assert operation()
            # the HTTP client itself sends a request again over a connection that was kept open
            assert len(waits) >= (1 if what == RESET else n_failures)
            assert service.count(what) == n_failures


def test_a_file_that_is_gone_is_asked_for_once(store: S3Store, s3: S3, waits: list[float]) -> None:
    with double(s3) as service:
        other = open_store(f"s3://{store.bucket}/t", service.s3.storage_options)
        with pytest.raises(FileNotFoundError):
            other.read("gone")
        assert other.stat(["gone"]) == [None]
        assert len(service.seen) == 2
        service.rule = first(100, 403)
        with pytest.raises(PermissionError):
            other.read("a")
        assert len(service.seen) == 3
    assert waits == []


def test_a_dead_address_is_given_up_soon_and_a_known_one_late(
    store: S3Store, s3: S3, waits: list[float]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    nowhere = S3(f"http://127.0.0.1:{port}", s3.key, s3.secret)
    with pytest.raises(OSError, match=rf"nothing answers at http://127.0.0.1:{port}: .*endpoint"):
        open_store("s3://bucket/t", nowhere.storage_options).read("a")
    assert len(waits) == 2
    waits.clear()
    with pytest.raises(OSError, match="nothing answers"):
        open_store("s3://bucket/t", nowhere.storage_options, retry_connect=True).read("a")
    assert len(waits) == 7
    waits.clear()
    with double(s3) as service:
        other = open_store(f"s3://{store.bucket}/t", service.s3.storage_options)
        assert other.read("a")[0] == b"12345"
        service.rule = first(1000, RESET)
        with pytest.raises(OSError, match=r"."):
            other.read("a")
    assert len(waits) == 7


def test_a_service_that_is_too_busy_at_first_is_waited_for(
    store: S3Store, s3: S3, waits: list[float]
) -> None:
    with double(s3, first(6, 503)) as service:
        other = open_store(f"s3://{store.bucket}/t", service.s3.storage_options)
        assert other.read("a")[0] == b"12345"
    assert len(waits) == 6


def test_only_one_layer_retries(store: S3Store) -> None:
    store.read("a")
    config = store.fs._s3.meta.config
    assert isinstance(config, AioConfig)
    assert config.retries["total_max_attempts"] == 1  # type: ignore[attr-defined]
    assert store.fs.retries == 1


def test_shares_that_stumble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    (tmp_path / "a").write_bytes(b"1")
    store = open_store(str(tmp_path))
    from jobs.storage import local

    real, failures = local.os.open, [errno.EIO, errno.ESTALE]

    def stumbling(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path).endswith("/a") and failures:
            raise OSError(failures.pop(), "stumbles")
        return real(path, *arguments, **options)

    monkeypatch.setattr(local.os, "open", stumbling)
    assert store.fetch("a").size == 1
    assert len(waits) == 2
