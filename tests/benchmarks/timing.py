"""Timing calls against each other on a noisy machine."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def interleaved(calls: dict[str, Callable[[], Any]], *, repetitions: int) -> dict[str, float]:
    """Return the median seconds of each call; they take turns, so that drift hits all alike.

    Parameters
    ----------
    calls : dict
        Name to what is timed; each is called once more beforehand, untimed.
    repetitions : int
        How many turns.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(repetitions):
        for name, call in calls.items():
            seconds[name].append(timed(call))
    return {name: statistics.median(times) for name, times in seconds.items()}


def timed(call: Callable[[], Any]) -> float:
    """Return the seconds of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def in_own_process(call: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns in a new process, whose memory is that of this call alone."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(call, *arguments).result()


def ratio(what: str, value: float, aim: str = "") -> str:
    """Return a line that tells a ratio, and what it should be."""
    return f"  {what:<62} {value:6.2f}" + (f"   ({aim})" if aim else "")
