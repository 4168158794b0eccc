"""A lease object on S3, renewed by conditional writes."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jobs.errors import ConflictError, TableBusyError, TableError
from jobs.table.layout import LEASE

if TYPE_CHECKING:
    from jobs.storage.s3 import S3Store

#: Period of a lease, unless the settings give another [s].
LEASE_PERIOD_S = 30.0

#: A request that the service throttled for minutes has renewed the lease at an unknown time. The
#: next one says that nobody has taken it since.
_RENEWALS = 2


def boot_time() -> float:
    """Return the time of a clock that runs on while the machine sleeps [s]."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def owner(run_id: str) -> dict[str, Any]:
    """Return the record of this process as the holder of a lock."""
    return {"run_id": run_id, "host": socket.gethostname(), "pid": os.getpid()}


def holder_of(data: bytes) -> str:
    """Return text that names the holder of a lock, from its record."""
    try:
        owner = json.loads(data)
        return f"run {owner['run_id']}, process {owner['pid']} on {owner['host']}"
    except (ValueError, KeyError, TypeError):
        return "another run"


class Lease:
    """A lease object on S3, renewed by conditional writes.

    Clocks of different machines are never compared. A new driver takes over a lease only
    after it has seen it unchanged for the whole period recorded in the lease. A holder
    that could not renew its lease for half a period stops writing.

    Parameters
    ----------
    store : S3Store
        Store of the table.
    run_id : str
        Name of this run.
    period_s : float
        A lease that is not renewed within this time is dead [s].
    clock : callable
        Returns the present time [s].
    wait : callable
        Waits for an event, at most for a time [s]; returns whether it is set.
    """

    def __init__(
        self,
        store: S3Store,
        run_id: str,
        period_s: float,
        *,
        clock: Callable[[], float] = boot_time,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        self._clock = clock
        self._wait = wait
        self._store = store
        self._run_id = run_id
        self._period_s = period_s
        self._version: str | None = None
        self._unanswered: list[
            bytes
        ] = []  # contents of failed requests, which may have been written
        self._renewed_at = 0.0
        self._lost: str | None = None
        self._unrenewed: OSError | None = None
        self._stop = threading.Event()
        self._renewing = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def _content(self) -> bytes:
        lease = {**owner(self._run_id), "period_s": self._period_s, "token": uuid.uuid4().hex}
        return json.dumps(lease).encode()

    def acquire(self) -> None:
        """Take the lease; if there is one already, watch it for its period first.

        Raises
        ------
        TableBusyError
            If the lease changes meanwhile, or another driver takes it first.
        TableError
            If the lease object is not a lease.
        """
        other = self._read()
        if other is not None:
            data, version = other
            self._watch(data, version)
            self._put(expected=version, holder=data)
        else:
            self._put(expected=None, holder=b"")
        self._thread.start()

    def _read(self) -> tuple[bytes, str] | None:
        try:
            return self._store.read(LEASE)
        except FileNotFoundError:
            return None

    def _watch(self, data: bytes, version: str) -> None:
        try:
            lease = json.loads(data)
            released, period_s = lease.get("released", False), float(lease["period_s"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TableError(
                f"{self._store.url}/{LEASE} is not a lease: delete it if no job is running"
            ) from error
        ends = self._clock() + period_s
        while not released and self._clock() < ends:
            self._wait(self._stop, min(1.0, period_s / 10))
            now = self._read()
            if now is None or now[1] != version:
                raise TableBusyError(
                    f"{self._store.url} is being written by {holder_of(data)}: wait for it to end"
                )

    def _put(self, *, expected: str | None, holder: bytes) -> None:
        before = self._clock()
        content = self._content()
        try:
            self._version = self._store.replace(LEASE, content, expected=expected)
        except ConflictError as error:
            raise TableBusyError(
                f"{self._store.url} was just taken by another run"
                + (f" (after {holder_of(holder)})" if holder else "")
            ) from error
        except OSError:
            self._unanswered.append(content)
            raise
        self._unanswered.clear()
        self._renewed_at = before  # the request may have taken long

    def _keep(self) -> None:
        while self._lost is None and not self._wait(self._stop, self._period_s / 6):
            with contextlib.suppress(OSError):  # `check` raises if this goes on
                self._renew()

    def _renew(self) -> None:
        with self._renewing:
            try:
                try:
                    self._put(expected=self._version, holder=b"")
                except TableBusyError:
                    if not self._adopt_own_write():
                        raise
                    self._put(expected=self._version, holder=b"")
            except TableBusyError as error:
                self._lost = str(error)
            except OSError as error:
                self._unrenewed = error
                raise

    def _adopt_own_write(self) -> bool:
        """Adopt the version of an own renewal that succeeded without an answer."""
        stored = self._read() if self._unanswered else None
        if stored is None or stored[0] not in self._unanswered:
            return False
        self._version = stored[1]
        return True

    def check(self) -> None:
        """Raise TableBusyError if another driver has, or may have, taken the lease."""
        for _ in range(_RENEWALS):
            if self._lost is None and self._is_stale():
                with contextlib.suppress(OSError):
                    self._renew()
        if self._lost is not None:
            raise TableBusyError(self._lost)
        if self._is_stale():
            cause = f" ({self._unrenewed})" if self._unrenewed is not None else ""
            raise TableBusyError(
                f"the lease on {self._store.url} could not be renewed in time{cause}: another run"
                " may have taken over, so this one stops writing; run the same command again"
            ) from self._unrenewed

    def _is_stale(self) -> bool:
        return self._clock() - self._renewed_at > self._period_s / 2

    def release(self) -> None:
        """Release the lease, so that the next driver need not wait."""
        self._stop.set()
        self._thread.join(timeout=self._period_s)
        lease = {**owner(self._run_id), "period_s": self._period_s, "released": True}
        # not deleted: some services ignore conditions on DELETE, and would delete a new lease
        with contextlib.suppress(OSError):
            self._store.replace(LEASE, json.dumps(lease).encode(), expected=self._version)
