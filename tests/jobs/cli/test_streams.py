"""Signals of the process, wherever they come."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from jobs.cli.streams import signals_raised
from jobs.errors import TerminatedError


class Signalling:
    """An object in whose deletion a signal comes."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __del__(self) -> None:
        signal.raise_signal(self._number)


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGTERM, TerminatedError), (signal.SIGINT, KeyboardInterrupt)]
)
def test_a_signal_that_python_drops_comes_again(number: int, error: type[BaseException]) -> None:
    hook = sys.unraisablehook

    def run() -> None:
        Signalling(number)  # is deleted at once; Python drops the exception
        threading.Event().wait(30)

    with pytest.raises(error), signals_raised():
        run()
    assert sys.unraisablehook is hook


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGTERM, TerminatedError), (signal.SIGINT, KeyboardInterrupt)]
)
def test_a_signal_that_an_extension_module_drops_comes_again(
    number: int, error: type[BaseException]
) -> None:
    """SciPy's module, by Cython, ignores whatever fails where it registers a class."""
    program = f"""
import abc, signal, threading
import numpy
from jobs.cli.streams import signals_raised
from jobs.errors import TerminatedError

register, calls = abc.ABCMeta.register, []

def signalling(*arguments):
    if not calls:
        calls.append(arguments)
        signal.raise_signal({int(number)})
    return register(*arguments)

abc.ABCMeta.register = signalling
try:
    with signals_raised():
        import scipy
        assert calls, "the module registers nothing"
        threading.Event().wait(10)
except {error.__name__}:
    print("ended")
"""
    command = [sys.executable, "-c", program]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (process.stdout, process.stderr) == ("ended\n", "")


def test_ctrl_c_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with signals_raised():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_errors_go_where_they_went(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def __del__(self) -> None:
            raise ZeroDivisionError

    seen: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: seen.append(dropped.exc_type))
    with signals_raised():
        Failing()
    assert seen == [ZeroDivisionError]
