"""What a user sees of a run: a bar on a terminal, lines elsewhere, nothing when quiet."""

from __future__ import annotations

import pytest

from jobs.diagnostics import progress
from jobs.diagnostics.events import (
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
from jobs.diagnostics.progress import Bar, Plain, printable, progress_for_terminal
from jobs.execution.results import Failure, ShardResult


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


def test_plain_lines_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_PLAIN_EVERY_S", 0.0)
    observer = Plain()
    observer(CountStarted("extracting", 10))
    observer(shard(3, 2))
    observer(CountStarted("listing"))
    observer(Counted(5))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "extracting: 10 files",
        "extracting: 3 of 10 files, 2 failed",
        "listing: 5 files",
    ]


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
