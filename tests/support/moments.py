"""Moments of a run at which a test steps in: the steps, and every write of a part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jobs.diagnostics.events import (
    Event,
    Observer,
    PartStarted,
    PartWritten,
    RunEnded,
    StepStarted,
)
from jobs.run import STEPS

MOMENTS = (*STEPS, "part started", "part written", "ended")


class Interrupted(BaseException):
    """Stands for a driver's death."""


def moment(event: Event) -> str | None:
    """Return the name of the moment that an event stands for, if it is one."""
    match event:
        case StepStarted(step):
            return step
        case PartStarted():
            return "part started"
        case PartWritten():
            return "part written"
        case RunEnded():
            return "ended"
    return None


def at(name: str | None, action: Callable[[], Any], n: int = 1) -> Observer:
    """Return an observer that acts once: at the n-th moment of a name, or of any name."""
    left = n

    def observe(event: Event) -> None:
        nonlocal left
        now = moment(event)
        if now is None or name not in (None, now):
            return
        left -= 1
        if left == 0:
            action()

    return observe


def every(name: str, action: Callable[[], Any]) -> Observer:
    """Return an observer that acts at every moment of a name."""

    def observe(event: Event) -> None:
        if moment(event) == name:
            action()

    return observe


def die() -> None:
    """Stop a run as if its driver were killed."""
    raise Interrupted


def noting(moments: list[str]) -> Observer:
    """Return an observer that adds each moment to a list."""

    def observe(event: Event) -> None:
        if (now := moment(event)) is not None:
            moments.append(now)

    return observe
