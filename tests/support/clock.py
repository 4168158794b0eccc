"""A clock that a test sets forward, for leases that are not to wait in real time."""

from __future__ import annotations

import functools
import math
import threading
import time
from typing import Any, ClassVar

import pytest

import jobs.table.lock
from jobs.table.lease import Lease


class Clock:
    """The ``clock`` and ``wait`` of one or more leases of this process.

    Who watches a lease sets the clock forward by waiting. What renews leases in the background
    sleeps until the clock is set forward, and has done its work before the clock goes further.
    """

    _owners: ClassVar[dict[threading.Thread, Clock]] = {}

    def __init__(self) -> None:
        self._now = 0.0
        self._wakes_at: dict[threading.Thread, float] = {}
        self._others = set(threading.enumerate())
        self._forward = threading.Lock()

    def __call__(self) -> float:
        return self._now

    def lease(self, *arguments: Any) -> Lease:
        """Return a lease by this clock; the arguments are those of `Lease`."""
        return Lease(*arguments, clock=self, wait=self.wait)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        thread, wakes_at = threading.current_thread(), self._now + seconds
        if thread.name != "lease":
            self.forward(seconds)
            return event.is_set()
        self._wakes_at[thread] = wakes_at
        self._owners[thread] = self
        while not event.wait(0.001):
            if self._now >= wakes_at:
                return False
        return True

    def forward(self, seconds: float) -> None:
        """Set the clock forward; each renewal that is due meanwhile is made at its time."""
        with self._forward:
            ends = self._now + seconds
            self._until_all_sleep()
            while (due := min(self._wakes_at.values(), default=math.inf)) <= ends:
                self._now = due
                self._until_all_sleep()
            self._now = ends

    def _until_all_sleep(self) -> None:
        """Wait until each renewing thread sleeps beyond now, or has ended."""
        timeout = time.monotonic() + 60
        while any(self._wakes_at.get(t, self._now) <= self._now for t in self._renewing()):
            assert time.monotonic() < timeout, "a lease's renewal does not end"
            time.sleep(0.001)
        for thread in [t for t in self._wakes_at if not t.is_alive()]:
            del self._wakes_at[thread]

    def _renewing(self) -> list[threading.Thread]:
        """Return the threads that renew leases by this clock, or have not said by which."""
        threads = (t for t in threading.enumerate() if t.name == "lease")
        return [t for t in threads if self._owners.get(t, self) is self and t not in self._others]


def use(patch: pytest.MonkeyPatch) -> Clock:
    """Give all leases that this process takes from now on the same clock, and return it.

    A lease of another process that is not renewed at once is then judged dead at once.
    """
    clock = Clock()
    patch.setattr(jobs.table.lock, "Lease", functools.partial(Lease, clock=clock, wait=clock.wait))
    return clock
