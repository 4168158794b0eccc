"""Classify I/O errors as transient or permanent, and retry transient ones."""

from __future__ import annotations

import errno
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import tenacity

T = TypeVar("T")

_TRANSIENT_ERRNOS = {
    errno.EAGAIN,
    errno.EBUSY,
    errno.ECONNABORTED,
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.EHOSTUNREACH,
    errno.EINTR,
    errno.EIO,
    errno.ENETUNREACH,
    errno.EPIPE,
    errno.EREMOTEIO,
    errno.ESTALE,
    errno.ETIMEDOUT,
}
_PERMANENT_STATUS = (501, 505)  # not implemented
_TRANSIENT_CODES = {
    "ConditionalRequestConflict",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "RequestTimeTooSkewed",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
}
#: Kinds of transient errors: too many requests, another answer that asks to try again, no answer in
#: time, a broken connection, damaged contents, and an error of a device or a share.
THROTTLED, SERVER, TIMEOUT, CONNECTION, DEVICE = (
    *("throttled", "server", "timeout", "connection"),
    "device",
)
RETRY_KINDS = (THROTTLED, SERVER, TIMEOUT, CONNECTION, DEVICE)

_THROTTLED_STATUS = (429, 503)
_THROTTLED_CODES = {"SlowDown", "Throttling", "ThrottlingException", "TooManyRequests"}
_TIMEOUT_CODES = {"RequestTimeout"}
_TIMEOUT_TYPES = {"ConnectTimeoutError", "FSTimeoutError", "ReadTimeoutError"}
_DEVICE_ERRNOS = {errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EIO, errno.EREMOTEIO, errno.ESTALE}

#: How long a call waits in all while the service throttles it [s].
THROTTLED_S = 300.0

#: Longest wait that an answer may ask for [s].
_MAX_RETRY_AFTER_S = 60.0

_TRANSIENT_TYPES = {  # by name, so that neither botocore nor aiohttp is imported for this
    "ClientPayloadError",
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "ConnectionError",
    "EndpointConnectionError",
    "FSTimeoutError",
    "FlexibleChecksumError",
    "HTTPClientError",
    "IncompleteRead",
    "IncompleteReadError",
    "ReadTimeoutError",
    "ResponseParserError",
    "ServerDisconnectedError",
}


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, then its chain of causes."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def http_status(error: BaseException) -> int | None:
    """Return the HTTP status in an error's chain; None if there is none."""
    for link in chain(error):
        response = getattr(link, "response", None)
        if isinstance(response, dict):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status is not None:
                return int(status)
        status = getattr(link, "status", None)
        if isinstance(status, int):
            return status
    return None


def details_of(error: BaseException) -> dict[str, Any]:
    """Return the fields of the S3 answer in an error's chain; empty if there is none."""
    for link in chain(error):
        response = getattr(link, "response", None)
        if isinstance(response, dict):
            return dict(response.get("Error", {}))
    return {}


def service_code(error: BaseException) -> str | None:
    """Return the S3 error code in an error's chain; None if there is none."""
    return details_of(error).get("Code")


def is_transient(error: BaseException) -> bool:
    """Return whether an I/O error is transient: a timeout, a reset, HTTP 5xx, throttling."""
    status = http_status(error)
    if status is not None:
        if status in _PERMANENT_STATUS:
            return False
        return status >= 500 or status == 429 or service_code(error) in _TRANSIENT_CODES
    for link in chain(error):
        if isinstance(link, FileNotFoundError | PermissionError):
            return False
        if isinstance(link, TimeoutError | ConnectionError):
            return True
        if type(link).__name__ in _TRANSIENT_TYPES:
            return True
        if isinstance(link, OSError) and link.errno in _TRANSIENT_ERRNOS:
            return True
    return False


def kind_of(error: BaseException) -> str:
    """Return the kind of a transient error, one of `RETRY_KINDS`."""
    status, code = http_status(error), service_code(error)
    if status in _THROTTLED_STATUS or code in _THROTTLED_CODES:
        return THROTTLED
    if status is not None:
        return TIMEOUT if code in _TIMEOUT_CODES else SERVER
    links = list(chain(error))
    if any(isinstance(e, TimeoutError) or type(e).__name__ in _TIMEOUT_TYPES for e in links):
        return TIMEOUT
    if any(isinstance(e, OSError) and e.errno in _DEVICE_ERRNOS for e in links):
        return DEVICE
    return CONNECTION


class _Retries:
    """Numbers of retries in this process, from all of its threads."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._turn = threading.Lock()

    def count(self, state: tenacity.RetryCallState) -> None:
        error = _error_of(state)
        if is_transient(error):
            with self._turn:
                self._counts[kind_of(error)] += 1

    def take(self) -> Counter[str]:
        with self._turn:
            taken, self._counts = self._counts, Counter()
        return taken


_retries = _Retries()


def take_retries() -> Counter[str]:
    """Return how often this process tried again since the last call, by kind of error.

    Each retry is returned once, so the sum over all who ask is the number of retries.
    """
    return _retries.take()


def retry_after_s(error: BaseException) -> float:
    """Return the seconds that an answer asks to wait (``Retry-After``); 0 if it does not."""
    for link in chain(error):
        response = getattr(link, "response", None)
        headers = getattr(link, "headers", None)
        if isinstance(response, dict):
            headers = response.get("ResponseMetadata", {}).get("HTTPHeaders")
        text = str(headers.get("retry-after", "")) if isinstance(headers, Mapping) else ""
        if text.isdecimal():
            return min(float(text), _MAX_RETRY_AFTER_S)
    return 0.0


def with_retries(
    call: Callable[[], T],
    *,
    attempts: int = 8,
    max_wait_s: float = 20.0,
    retry_if: Callable[[BaseException], bool] = is_transient,
) -> T:
    """Call a function; retry transient errors with jittered exponential backoff.

    Throttling is no failure of the call: it is waited out for up to `THROTTLED_S`, however many
    attempts that takes, and does not count as one.

    Parameters
    ----------
    call : callable
        The function; it must be safe to repeat.
    attempts : int
        Maximum number of attempts that fail otherwise.
    max_wait_s : float
        Longest wait between two attempts, in seconds, unless the answer asks for a longer one.
    retry_if : callable
        Returns whether to retry an error; others are raised at once.
    """
    patience = _Patience(attempts, max_wait_s)
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(retry_if),
        wait=patience.wait_s,
        stop=patience.is_over,
        before_sleep=_retries.count,
        reraise=True,
    )(call)


class _Patience:
    """How long one call is repeated."""

    def __init__(self, attempts: int, max_wait_s: float) -> None:
        self._attempts_left = attempts
        self._backoff = tenacity.wait_random_exponential(multiplier=0.25, max=max_wait_s)

    def is_over(self, state: tenacity.RetryCallState) -> bool:
        """Return whether to give up after an attempt that failed; asked once after each."""
        if kind_of(_error_of(state)) == THROTTLED:
            return state.idle_for >= THROTTLED_S
        self._attempts_left -= 1
        return self._attempts_left <= 0

    def wait_s(self, state: tenacity.RetryCallState) -> float:
        """Return the seconds to wait before the next attempt."""
        asked = retry_after_s(_error_of(state))
        # jitter also after a time that all clients are told
        return asked + self._backoff(state)


def _error_of(state: tenacity.RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome is not None else None
    assert error is not None
    return error
