"""Signals of the process, wherever they come."""

from __future__ import annotations

import signal
import sys
import threading

import pytest

from jobs.cli.streams import terminable
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

    with pytest.raises(error), terminable():
        run()
    assert sys.unraisablehook is hook


def test_other_errors_go_where_they_went(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def __del__(self) -> None:
            raise ZeroDivisionError

    seen: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: seen.append(dropped.exc_type))
    with terminable():
        Failing()
    assert seen == [ZeroDivisionError]
