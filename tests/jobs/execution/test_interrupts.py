"""Signals that wait until nothing is half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import NoReturn

import pytest

from jobs.cli.streams import signals_raised
from jobs.errors import TerminatedError
from jobs.execution.interrupts import deferred

ERRORS = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: TerminatedError}


@pytest.fixture(autouse=True)
def _handlers_stay() -> Iterator[None]:
    """Fail if a test leaves another handler behind."""
    before = [signal.getsignal(number) for number in ERRORS]
    yield
    assert [signal.getsignal(number) for number in ERRORS] == before


@pytest.mark.parametrize("number", ERRORS)
def test_a_signal_waits_for_the_end(number: signal.Signals) -> None:
    done = []

    def work() -> None:
        signal.raise_signal(number)
        signal.raise_signal(number)  # an impatient user's
        done.append("all")

    with signals_raised(), pytest.raises(ERRORS[number]), deferred():
        work()
    assert done == ["all"]


@pytest.mark.parametrize("number", ERRORS)
def test_before_and_after_it_takes_effect_at_once(number: signal.Signals) -> None:
    with signals_raised():
        with deferred():
            pass
        with pytest.raises(ERRORS[number]):
            signal.raise_signal(number)


def test_a_signal_is_not_lost_where_something_fails() -> None:
    def fail() -> NoReturn:
        signal.raise_signal(signal.SIGINT)
        raise ValueError("another reason")

    with pytest.raises(KeyboardInterrupt) as caught, deferred():
        fail()
    assert isinstance(caught.value.__context__, ValueError)


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with deferred():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_need_none() -> None:
    found = []

    def look() -> None:
        with deferred():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGINT)]
