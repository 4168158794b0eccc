"""What a user sees of a run: a bar on a terminal, lines elsewhere, nothing when quiet."""

from __future__ import annotations

import pytest

from jobs.diagnostics import progress
from jobs.diagnostics.progress import Bar, Plain, Silent, printable, reporter_for_terminal


def work(reporter: progress.Reporter) -> None:
    reporter.step("extract")
    reporter.start("listing", None)
    reporter.advance(3)
    reporter.stop()
    reporter.start("extracting", 10)
    for _ in range(10):
        reporter.advance(1, note="2 failed")
    reporter.stop()
    reporter.say("a\x1b[31mb")
    reporter.stop()


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    work(Plain())
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err == "extracting: 10 files\na\\x1b[31mb\n"


def test_plain_lines_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_PLAIN_EVERY_S", 0.0)
    reporter = Plain()
    reporter.start("extracting", 10)
    reporter.advance(3, note="2 failed")
    reporter.start("listing", None)
    reporter.advance(5)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "extracting: 10 files",
        "extracting: 3 of 10 files, 2 failed",
        "listing: 5 files",
    ]


def test_the_bar_survives_any_order_of_calls(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar()
    bar.advance(1)
    bar.stop()
    bar.start("listing", None)
    bar.start("extracting", 2)
    work(bar)
    assert "\x1b[31m" not in capsys.readouterr().err


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    work(Silent())
    assert capsys.readouterr() == ("", "")


def test_which_reporter(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(reporter_for_terminal(quiet=True)) is Silent
    assert type(reporter_for_terminal(quiet=False)) is Plain
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert type(reporter_for_terminal(quiet=False)) is Bar


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("é ☃.wav", "é ☃.wav"),
        ("a\x1b]0;x\x07b", "a\\x1b]0;x\\x07b"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("\udcff\x9b\u202e", "\\udcff\\x9b\\u202e"),
    ],
)
def test_printable(text: str, redacted: str) -> None:
    assert printable(text) == redacted


def test_a_notebook_gets_bars(notebook, capsys: pytest.CaptureFixture[str]) -> None:
    reporter = reporter_for_terminal(quiet=False)
    work(reporter)
    listing, extracting = notebook
    assert "3 files" in listing.texts[-1]
    assert "10 of 10 files, 2 failed" in extracting.texts[-1]
    assert capsys.readouterr() == ("a\\x1b[31mb\n", "")
