"""What a user sees of a run: a bar on a terminal, lines elsewhere, nothing when quiet."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time

import pytest

from jobs.diagnostics import progress
from jobs.diagnostics.events import (
    Compiling,
    Counted,
    CountEnded,
    CountStarted,
    Observer,
    RunEnded,
    ShardDone,
    StepEnded,
    StepStarted,
    ignore,
)
from jobs.diagnostics.progress import (
    Bar,
    Plain,
    duration,
    printable,
    progress_for_terminal,
)
from jobs.execution.results import Failure, ShardResult
from tests.support.driver import wait_until
from tests.support.quick import slow_but


def shard(n_files: int, n_failed: int = 0) -> ShardDone:
    failures = [Failure("a.wav", "empty", "no audio")] * n_failed
    return ShardDone(ShardResult(0, n_files=n_files - n_failed, failures=failures))


def work(observer: Observer) -> None:
    observer(CountStarted("listing"))
    observer(Counted(3))
    observer(CountEnded())
    observer(StepStarted("extract"))
    observer(CountStarted("extracting", 10))
    observer(shard(4, 2))
    for _ in range(6):
        observer(shard(1))
    observer(CountEnded())
    observer(StepEnded("extract", 1.0))
    observer(RunEnded("done"))


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    work(Plain())
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err == "extracting: 10 files\n"


def test_plain_lines_now_and_then_also_if_nothing_finishes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_PLAIN_EVERY_S", 0.02)
    printed: list[str] = []

    def is_printed(line: str, times: int) -> bool:
        printed.extend(capsys.readouterr().err.splitlines())
        return printed.count(line) >= times

    with progress_for_terminal(quiet=False) as shown:
        wait_until(lambda: is_printed("starting: 0:00", 2), "a line before the first event")
        shown(CountStarted("extracting", 10))
        shown(shard(3, 2))
        line = "extracting: 3 of 10 files, 2 failed"
        wait_until(lambda: is_printed(line, 2), "lines while no file is finished")
        shown(CountEnded())
        shown(StepStarted("verify"))
        wait_until(lambda: is_printed("verifying: 0:00", 2), "lines of a step without a count")
        shown(CountStarted("listing"))
        shown(Counted(5))
        wait_until(lambda: is_printed("listing: 5 files", 1), "a count without a total")
    capsys.readouterr()
    time.sleep(0.1)
    assert capsys.readouterr().err == ""


def test_a_compile_says_that_it_happens_once(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_for_terminal(quiet=False) as shown:
        shown(StepStarted("cluster"))
        for n_done, n_kernels in ((0, 0), (0, 2), (1, 2), (2, 2)):
            shown(Compiling(n_done, n_kernels))
    assert capsys.readouterr().err == "compiling, once a machine: 2 kernels\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (754, "12:34"), (36_061, "10:01:01")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


#: A run of 200 000 files with many failures, on a bar.
_RUN = """
import time
from jobs.diagnostics.events import *
from jobs.diagnostics.progress import progress_for_terminal
from jobs.execution.task import Failure, ShardResult

def step(name):
    shown(StepStarted(name)); time.sleep(0.6)

with progress_for_terminal(quiet=False) as shown:
    time.sleep(0.6)
    for name in ("list", "plan", "cluster"):
        step(name)
    shown(Compiling(0, 29)); shown(Compiling(1, 29)); time.sleep(0.6)
    shown(StepStarted("extract"))
    shown(CountStarted("extracting", 200000, {"wav:9": 400000.0}, 2))
    failures = [Failure("x", "empty", "none")] * 12345
    timings = {"wav:9": (9.0, 1.0)}
    shown(ShardDone(ShardResult(0, n_files=107655, failures=failures, timings=timings)))
    time.sleep(0.6)
    shown(CountEnded()); shown(StepEnded("extract", 1.0)); time.sleep(0.6)
    for name in ("merge", "verify", "clean"):
        step(name)
    shown(RunEnded("done"))
"""


def on_terminal(code: str, columns: int) -> list[str]:
    """Run Python on a terminal; return the lines it shows, without colours."""
    leader, follower = pty.openpty()
    fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    env |= {"TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen([sys.executable, "-c", code], stderr=follower, env=env)
    os.close(follower)
    shown = b""
    while part := _read(leader):
        shown += part
    os.close(leader)
    assert child.wait() == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    return [line for line in re.split(r"[\r\n]+", text) if line.strip()]


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other end of the terminal is closed
        return b""


@pytest.mark.parametrize("columns", slow_but([60], [60, 80]))
def test_each_step_is_one_line_of_the_terminal(columns: int) -> None:
    lines = [line.rstrip() for line in on_terminal(_RUN, columns)]
    assert max(map(len, lines)) <= columns
    steps = [line.split(" 0:")[0].split(" \u2501")[0].split(" \u2578")[0] for line in lines]
    shown = list(dict.fromkeys(steps))
    assert [line for line in shown if not line.startswith("extracting")] == [
        "starting",
        "listing",
        "planning",
        "starting workers",
        "compiling, once a machine",
        "stopping workers",
        "publishing",
        "verifying",
        "cleaning up",
    ]
    states = {line.split("\u2501")[-1].split("\u257a")[-1].strip() for line in lines}
    # 399 991 s for two workers, at a ninth of the expected time
    assert any(re.fullmatch(r"120000/200000 12345 failed 0:0\d 6:10:2\d left", s) for s in states)
    assert any(state.startswith("1/29 0:0") for state in states)
    kept = [line for line in lines if line.startswith("extracting") and "left" not in line]
    assert "120000/200000 12345 failed 0:0" in kept[-1]


def test_the_bar_survives_any_order_of_calls(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar()
    bar(Counted(1))
    bar(CountEnded())
    bar(CountStarted("listing"))
    bar(CountStarted("extracting", 2))
    work(bar)
    assert "listing" not in capsys.readouterr().out


def test_which_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    with progress_for_terminal(quiet=True) as shown:
        assert shown is ignore
    with progress_for_terminal(quiet=False) as shown:
        assert type(shown) is Plain
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress_for_terminal(quiet=False) as shown:
        assert type(shown) is Bar


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("é ☃.wav", "é ☃.wav"),
        ("a\x1b]0;x\x07b", "a\\x1b]0;x\\x07b"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("\udcff\x9b\u202e", "\\udcff\\x9b\\u202e"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_notebook_gets_bars(notebook, capsys: pytest.CaptureFixture[str]) -> None:
    with progress_for_terminal(quiet=False) as shown:
        work(shown)
    listing, extracting = notebook
    assert "3 files" in listing.texts[-1]
    assert "10 of 10 files, 2 failed" in extracting.texts[-1]
    assert capsys.readouterr() == ("", "")
