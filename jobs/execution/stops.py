"""Notice that this process was stopped for a while: by Ctrl-Z, a debugger or a batch system."""

from __future__ import annotations

import time

_STOPPED_S = 5.0


class StopClock:
    """Measures for how long this process was stopped; ask it at least once a second."""

    def __init__(self) -> None:
        self._asked_at = time.monotonic()

    def stopped_s(self) -> float:
        """Return for how long the process was stopped since the last call [s]."""
        now = time.monotonic()
        gap, self._asked_at = now - self._asked_at, now
        return gap if gap > _STOPPED_S else 0.0
