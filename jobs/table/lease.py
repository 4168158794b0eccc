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

LEASE_PERIOD_S = 30.0


def boot_time() -> float:
    """Return the seconds of a clock that goes on while a machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def owner(run_id: str) -> dict[str, Any]:
    """Return what a lock records of its holder."""
    return {"run_id": run_id, "host": socket.gethostname(), "pid": os.getpid()}


def holder_of(data: bytes) -> str:
    """Return the holder that a lock records, for people."""
    try:
        owner = json.loads(data)
        return f"run {owner['run_id']}, process {owner['pid']} on {owner['host']}"
    except (ValueError, KeyError, TypeError):
        return "another run"


class Lease:
    """A lease object on S3, renewed by conditional writes.

    No clock of one machine is compared with another's: a newcomer judges a lease dead
    only when it has itself watched it unchanged for the whole period that it states.
    A holder that could not renew for half a period takes itself for dead.

    Parameters
    ----------
    store : S3Store
        The table's place.
    run_id : str
        Names the holder to others.
    period_s : float
        A lease that is not renewed within this time is dead [s].
    clock : callable
        Returns the present [s].
    wait : callable
        Waits for an event, at most some seconds; returns whether it is set.
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
        self._unanswered: list[bytes] = []  # contents that may have been written all the same
        self._renewed_at = 0.0
        self._lost: str | None = None
        self._stop = threading.Event()
        self._renewing = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def _content(self) -> bytes:
        lease = {**owner(self._run_id), "period_s": self._period_s, "token": uuid.uuid4().hex}
        return json.dumps(lease).encode()

    def acquire(self) -> None:
        """Take the lease, watching a present one for its period first.

        Raises
        ------
        TableBusyError
            If the lease changes while it is watched, or another newcomer is faster.
        """
        found = self._look()
        if found is not None:
            data, version = found
            self._watch(data, version)
            self._put(expected=version, holder=data)
        else:
            self._put(expected=None, holder=b"")
        self._thread.start()

    def _look(self) -> tuple[bytes, str] | None:
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
            now = self._look()
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
        self._renewed_at = before  # counted from before the request, to be on the safe side

    def _keep(self) -> None:
        while self._lost is None and not self._wait(self._stop, self._period_s / 6):
            with contextlib.suppress(OSError):  # `check` counts how long this goes on
                self._renew()

    def _renew(self) -> None:
        with self._renewing:
            try:
                try:
                    self._put(expected=self._version, holder=b"")
                except TableBusyError:
                    if not self._is_own_doing():
                        raise
                    self._put(expected=self._version, holder=b"")
            except TableBusyError as error:
                self._lost = str(error)

    def _is_own_doing(self) -> bool:
        """Take over the version of a renewal that was made, but never answered."""
        found = self._look() if self._unanswered else None
        if found is None or found[0] not in self._unanswered:
            return False
        self._version = found[1]
        return True

    def check(self) -> None:
        if self._lost is None and self._is_stale():
            with contextlib.suppress(OSError):
                self._renew()
        if self._lost is not None:
            raise TableBusyError(self._lost)
        if self._is_stale():
            raise TableBusyError(
                f"the lease on {self._store.url} could not be renewed in time: another run may"
                " have taken over, so this one stops writing"
            )

    def _is_stale(self) -> bool:
        return self._clock() - self._renewed_at > self._period_s / 2

    def release(self) -> None:
        """Give the lease up, so that the next driver need not wait."""
        self._stop.set()
        self._thread.join(timeout=self._period_s)
        lease = {**owner(self._run_id), "period_s": self._period_s, "released": True}
        # not deleted: a service that ignores conditions on DELETE would take a newcomer's
        with contextlib.suppress(OSError):
            self._store.replace(LEASE, json.dumps(lease).encode(), expected=self._version)
